//! What runs on the Docker engine, for the audit.

use std::{path::Path, process::ExitCode};

use crate::{
    cli::loading::{environment, load},
    supervisor::{
        DockerHost, RuntimeError,
        audit::{Scored, audit_inspect},
        runtime::docker::{DockerRuntime, Unseen},
    },
};

/// Without a file that is named, the one of the working directory counts, as for other commands.
const DEFAULT_CONFIG: &str = "relays.toml";
/// For whom the engine does not answer, but does so to `docker`.
const BY_HAND: &str =
    "What runs can also be handed over: docker inspect $(docker ps -q) | relaymux nodes audit --inspect -";

/// Containers, and whether they are all.
#[derive(Debug, Default)]
pub(super) struct Containers {
    pub(super) scored: Vec<Scored>,
    /// Those that could not be looked at.
    pub(super) unseen: Vec<Unseen>,
    /// Whether there are more.
    pub(super) has_more: bool,
}

impl Containers {
    /// These, and no others.
    pub(super) fn all(scored: Vec<Scored>) -> Self {
        Self { scored, ..Self::default() }
    }
}

/// Why nothing was seen.
pub(super) enum Unasked {
    /// The configuration is wrong, which was said.
    Told(ExitCode),
    /// The engine does not answer: sentences with what to do.
    Engine(String),
}

/// Scores what runs, the worst last: that is where one looks first on a terminal.
pub(super) async fn running(config: Option<&Path>) -> Result<Containers, Unasked> {
    let engine = DockerRuntime::new(address(config)?);
    let running = engine.running().await.map_err(|error| {
        let (RuntimeError::Away(words) | RuntimeError::Refused(words) | RuntimeError::TimedOut(words)) =
            error;
        Unasked::Engine(format!("{words} {BY_HAND}"))
    })?;
    let mut containers =
        Containers { unseen: running.unseen, has_more: running.has_more, ..Containers::default() };
    for json in &running.inspected {
        match audit_inspect(json) {
            Ok(scored) => containers.scored.extend(scored),
            Err(error) => {
                let why = format!("The engine's answer is {error}.");
                containers.unseen.push(Unseen { name: "a container".to_owned(), why });
            }
        }
    }
    containers.scored.sort_by(|a, b| b.score.cmp(&a.score).then_with(|| a.name.cmp(&b.name)));
    Ok(containers)
}

/// Where the engine is, by `DOCKER_HOST`, else by the configuration; none: the usual place.
fn address(config: Option<&Path>) -> Result<Option<String>, Unasked> {
    let named =
        environment().into_iter().find(|(name, value)| name == "DOCKER_HOST" && !value.trim().is_empty());
    if let Some((_, text)) = named {
        return match DockerHost::parse(&text) {
            Some(host) => Ok(Some(host.to_string())),
            None => Err(Unasked::Engine(format!(
                "DOCKER_HOST is neither a socket (unix:///var/run/docker.sock) nor a tcp:// address: ssh:// and TLS are not spoken here. {BY_HAND}"
            ))),
        };
    }
    let default = Path::new(DEFAULT_CONFIG);
    let Some(path) = config.or_else(|| default.exists().then_some(default)) else { return Ok(None) };
    let config = load(path).map_err(Unasked::Told)?;
    Ok(config.nodes.map(|nodes| nodes.docker.to_string()))
}
