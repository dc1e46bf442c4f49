//! The running service, as commands ask it: its ops API on this machine, with the admin token of `data_dir`.

use std::{io, net::SocketAddr, path::Path, time::Duration};

use reqwest::{Client, Method, StatusCode};
use serde_json::Value;

use crate::{config::Config, relay::build_http_client};

/// Longest wait for one answer of the service, unless the caller says otherwise.
const ANSWER: Duration = Duration::from_secs(10);
/// Longest answer that is read, in bytes.
const MAX_ANSWER: usize = 4 << 20;

/// Why an answer is none.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The service said no.
    Refused(StatusCode, String),
    /// It did not answer.
    Silent(String),
}

/// The running service.
pub(super) struct Service {
    http: Client,
    url: String,
    token: String,
}

impl Service {
    /// The service of a configuration, or the one at `url`.
    ///
    /// # Errors
    /// In a sentence, when there is no admin token to show it, or TLS cannot be set up.
    pub(super) fn of(config: &Config, url: Option<&str>) -> Result<Self, String> {
        let url = url.map_or_else(|| url_of(config.ops.listen), str::to_owned);
        let token = read_token(&config.data_dir)?;
        let http = build_http_client(&config.tls_roots, None).map_err(|error| error.to_string())?;
        Ok(Self { http, url: url.trim_end_matches('/').to_owned(), token })
    }

    /// Asks it; the answer is JSON.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Trouble> {
        self.ask_within(ANSWER, method, path, body).await
    }

    /// The same with another patience.
    pub(super) async fn ask_within(
        &self,
        patience: Duration,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Trouble> {
        let silent = |error: reqwest::Error| Trouble::Silent(error.without_url().to_string());
        let request = self.http.request(method, format!("{}{path}", self.url));
        let request = request.timeout(patience).bearer_auth(&self.token);
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string()),
            None => request,
        };
        let mut response = request.send().await.map_err(silent)?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(silent)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MAX_ANSWER {
                return Err(Trouble::Silent("its answer is too long".to_owned()));
            }
        }
        let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if !status.is_success() {
            let message = value.get("message").and_then(Value::as_str).unwrap_or_default();
            return Err(Trouble::Refused(status, message.chars().take(4000).collect()));
        }
        Ok(value)
    }

    /// Says why it could not be asked. `unknown`: what a 404 means.
    pub(super) fn cannot(&self, trouble: &Trouble, unknown: &str) -> String {
        let url = &self.url;
        match trouble {
            Trouble::Refused(StatusCode::UNAUTHORIZED, _) => format!(
                "the service at {url} does not take the admin token of this data_dir: give its configuration with --config"
            ),
            Trouble::Refused(StatusCode::NOT_FOUND, message) if message.is_empty() => {
                format!("the service at {url} {unknown}: is it relaymux, and of this version?")
            }
            Trouble::Refused(status, message) => {
                format!("the service at {url} refuses ({status}): {message}")
            }
            Trouble::Silent(error) => {
                format!(
                    "the service at {url} does not answer ({error}): is it running (`relaymux run`)? Give its address with --url"
                )
            }
        }
    }
}

/// Where the ops API is reached from this machine.
fn url_of(listen: SocketAddr) -> String {
    match (listen.ip().is_unspecified(), listen) {
        (false, listen) => format!("http://{listen}"),
        (true, SocketAddr::V4(listen)) => format!("http://127.0.0.1:{}", listen.port()),
        (true, SocketAddr::V6(listen)) => format!("http://[::1]:{}", listen.port()),
    }
}

fn read_token(data_dir: &Path) -> Result<String, String> {
    let path = data_dir.join("admin.token");
    let text = std::fs::read_to_string(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!(
            "relaymux has never run with this data_dir ({} is not there): start it with `relaymux run`",
            path.display()
        ),
        _ => format!("{}: {error}: the admin token, which the service takes, cannot be read", path.display()),
    })?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_is_reached_where_it_listens() {
        for (listen, url) in [
            ("127.0.0.1:18551", "http://127.0.0.1:18551"),
            ("0.0.0.0:80", "http://127.0.0.1:80"),
            ("[::]:80", "http://[::1]:80"),
            ("10.0.0.7:9", "http://10.0.0.7:9"),
        ] {
            assert_eq!(url_of(listen.parse().unwrap()), url);
        }
    }
}
