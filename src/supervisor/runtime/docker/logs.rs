//! The last lines of a container's output.

use std::time::Duration;

use bollard::{Docker, models::ContainerInspectResponse, query_parameters::LogsOptionsBuilder};
use futures_util::StreamExt;
use tokio::time::{Instant, timeout_at};

use super::engine::{CALL, Engine};
use crate::supervisor::{DockerSettings, RuntimeError, runtime::tail::Tail};

/// Most lines that are asked for.
const MOST_LINES: usize = 10_000;
/// Most bytes that are read for them: a node may write lines of any length.
const MOST_BYTES: usize = 32 << 20;
/// Longest time for them. What has come by then is shown.
const LONGEST: Duration = Duration::from_secs(15);

pub(super) async fn last(
    engine: &Engine,
    docker: &Docker,
    settings: &DockerSettings,
    found: &ContainerInspectResponse,
    lines: usize,
) -> Result<Vec<String>, RuntimeError> {
    let name = &settings.container;
    // With a terminal there are no frames, and what is in their place is the node's to choose.
    if found.config.as_ref().and_then(|config| config.tty) == Some(true) {
        return Err(RuntimeError::Refused(format!(
            "Container {name} has a terminal, so its output has no lines: read it with `docker logs --tail {lines} {name}`."
        )));
    }
    let lines = lines.min(MOST_LINES);
    let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail(&lines.to_string()).build();
    let mut output = Box::pin(docker.logs(name, Some(options)));
    let mut tail = Tail::new(lines);
    let (until, mut read) = (Instant::now() + LONGEST.min(CALL), 0_usize);
    while read < MOST_BYTES {
        let Ok(piece) = timeout_at(until, output.next()).await else { break };
        match piece {
            None => break,
            Some(Ok(piece)) => {
                let bytes = piece.into_bytes();
                read = read.saturating_add(bytes.len());
                tail.push(&bytes);
            }
            Some(Err(error)) => {
                return Err(engine.error(&error, &format!("the output of {name} cannot be read")));
            }
        }
    }
    Ok(tail.last(lines))
}
