//! The connection to an engine, and what its errors mean.

use std::{path::Path, time::Duration};

use bollard::{API_DEFAULT_VERSION, ClientVersion, Docker, errors::Error};
use tokio::sync::Mutex;

use crate::supervisor::RuntimeError;

/// Longest wait for an answer of the engine, beside stops and pulls.
pub(super) const CALL: Duration = Duration::from_secs(30);
/// Where Docker listens unless told otherwise.
const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";
/// The oldest API that is spoken: Docker 20.10.
const OLDEST: ClientVersion = ClientVersion { major_version: 1, minor_version: 41 };
/// Longest text of the engine in a sentence of ours.
const TEXT_CHARS: usize = 400;

/// An engine by its address. Connections are made for each call; what is kept is the version that both speak.
#[derive(Debug)]
pub(super) struct Engine {
    host: String,
    negotiated: Mutex<Option<Docker>>,
}

impl Engine {
    pub(super) fn new(host: Option<String>) -> Self {
        let host = host.filter(|host| !host.is_empty()).unwrap_or_else(|| DEFAULT_HOST.to_owned());
        // A path alone is what people mean by it.
        let host = if host.starts_with('/') { format!("unix://{host}") } else { host };
        Self { host, negotiated: Mutex::new(None) }
    }

    /// Whether it may share our kernel, so that its containers' cgroups may be seen.
    pub(super) fn is_local(&self) -> bool {
        self.host.starts_with("unix://")
    }

    /// A client that speaks the engine's version.
    pub(super) async fn connect(&self) -> Result<Docker, RuntimeError> {
        let mut negotiated = self.negotiated.lock().await;
        if let Some(docker) = negotiated.as_ref() {
            return Ok(docker.clone());
        }
        let docker = self.client()?;
        let docker = match tokio::time::timeout(CALL, docker.negotiate_version()).await {
            Ok(Ok(docker)) => docker,
            Ok(Err(error)) => return Err(self.away(&reason(&error))),
            Err(_) => return Err(self.away(&format!("it does not answer within {} s", CALL.as_secs()))),
        };
        let version = docker.client_version();
        if version < OLDEST {
            return Err(RuntimeError::Refused(format!(
                "The Docker engine at {} speaks API {version} only; {OLDEST} is needed, which is Docker 20.10 or newer: upgrade it.",
                self.host
            )));
        }
        *negotiated = Some(docker.clone());
        Ok(docker)
    }

    fn client(&self) -> Result<Docker, RuntimeError> {
        let seconds = CALL.as_secs();
        if let Some(path) = self.host.strip_prefix("unix://") {
            return Docker::connect_with_unix(path, seconds, API_DEFAULT_VERSION)
                .map_err(|error| self.away(&reason(&error)));
        }
        if self.host.starts_with("tcp://") || self.host.starts_with("http://") {
            return Docker::connect_with_http(&self.host, seconds, API_DEFAULT_VERSION)
                .map_err(|error| self.away(&reason(&error)));
        }
        Err(RuntimeError::Refused(
            "The address of the Docker engine (DOCKER_HOST, or `docker_host`) must begin with unix://, tcp:// or http://; \
             TLS and SSH are not spoken: forward the socket, such as by `ssh -L`."
                .to_owned(),
        ))
    }

    /// Waits for a call, though not for ever. The inner result is the engine's own answer; what says that it is away is an error here.
    pub(super) async fn within<T>(
        &self,
        longest: Duration,
        call: impl Future<Output = T>,
    ) -> Result<T, RuntimeError> {
        tokio::time::timeout(longest, call).await.map_err(|_| {
            RuntimeError::TimedOut(format!(
                "The Docker engine at {} has not answered within {} s. What was asked may have been done.",
                self.host,
                longest.as_secs()
            ))
        })
    }

    /// What an error means, `what` being what could not be done.
    pub(super) fn error(&self, error: &Error, what: &str) -> RuntimeError {
        match error {
            Error::DockerResponseServerError { status_code, message } => RuntimeError::Refused(format!(
                "{}: {} (HTTP {status_code}).",
                capital(what),
                clipped(message)
            )),
            Error::DockerStreamError { error } => {
                RuntimeError::Refused(format!("{}: {}.", capital(what), clipped(error)))
            }
            Error::RequestTimeoutError => RuntimeError::TimedOut(format!(
                "{}: the Docker engine at {} has not answered in time. It may have been done.",
                capital(what),
                self.host
            )),
            Error::JsonDataError { .. } | Error::JsonSerdeError { .. } => RuntimeError::Refused(format!(
                "{}: the answer of the Docker engine at {} is not understood.",
                capital(what),
                self.host
            )),
            // Whatever else goes wrong, goes wrong below HTTP.
            other => self.away(&reason(other)),
        }
    }

    fn away(&self, why: &str) -> RuntimeError {
        let path = self.host.strip_prefix("unix://").map(Path::new);
        let to_do = match path {
            Some(path) if !path.exists() => {
                "Is Docker installed and running (`systemctl status docker`)? Another address is named by DOCKER_HOST.".to_owned()
            }
            Some(path) => format!(
                "Is it running (`systemctl status docker`), and may this user open {} (a member of the group `docker` may, and is as good as root)?",
                path.display()
            ),
            None => "Is it running, and does it listen there?".to_owned(),
        };
        RuntimeError::Away(format!("The Docker engine at {} does not answer: {why}. {to_do}", self.host))
    }
}

/// An error without what repeats where it was.
fn reason(error: &Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    match error {
        Error::SocketNotFoundError(_) => "there is no such socket".to_owned(),
        // `transparent` errors hide their own text behind their source's: ask for it where there is no source.
        Error::HyperLegacyError { err } => {
            let mut innermost: &dyn std::error::Error = err;
            while let Some(source) = innermost.source() {
                innermost = source;
            }
            clipped(&innermost.to_string())
        }
        Error::DockerResponseServerError { status_code, message } => {
            format!("HTTP {status_code}: {}", clipped(message))
        }
        _ => clipped(&innermost.to_string()),
    }
}

/// Whether the engine answered with a status.
pub(super) const fn is_status(error: &Error, status: u16) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code, .. } if *status_code == status)
}

/// A sentence of ours.
pub(super) const fn refused(sentence: String) -> RuntimeError {
    RuntimeError::Refused(sentence)
}

/// A text of the engine in a sentence: one line, bounded, without a full stop.
pub(super) fn clipped(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.trim_end_matches('.').chars().take(TEXT_CHARS).collect()
}

fn capital(sentence: &str) -> String {
    let mut rest = sentence.chars();
    rest.next().map(|first| first.to_uppercase().chain(rest).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_engine_that_is_away_is_said_to_be_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("docker.sock");
        let engine = Engine::new(Some(format!("unix://{}", path.display())));
        let RuntimeError::Away(sentence) = engine.connect().await.unwrap_err() else { panic!() };
        assert!(
            sentence.contains("no such socket") && sentence.contains("systemctl status docker"),
            "{sentence}"
        );

        // A socket that nobody listens on: the engine was killed.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let RuntimeError::Away(sentence) = engine.connect().await.unwrap_err() else { panic!() };
        assert!(sentence.contains("refused") && sentence.contains("may this user open"), "{sentence}");
    }

    #[tokio::test]
    async fn an_address_that_is_none_is_refused() {
        for host in ["ssh://box", "https://box:2376", "box"] {
            let error = Engine::new(Some(host.to_owned())).connect().await.unwrap_err();
            assert!(matches!(error, RuntimeError::Refused(_)), "{host}: {error}");
        }
        assert_eq!(Engine::new(None).host, DEFAULT_HOST);
        assert_eq!(Engine::new(Some("/run/docker.sock".into())).host, "unix:///run/docker.sock");
    }
}
