//! All containers that run, whoever made them, as `docker inspect` prints them: for the audit. Only looks; bounded in number, bytes and time.

use std::{collections::HashMap, time::Duration};

use bollard::{Docker, models::ContainerSummary, query_parameters::ListContainersOptionsBuilder};
use futures_util::{StreamExt, stream};
use tokio::time::timeout;

use super::engine::{CALL, Engine, is_status};
use crate::supervisor::RuntimeError;

/// Most containers that are looked at: more is no machine of an operator.
const MOST: usize = 1_000;
/// Most bytes of one container's answer. Usual are ten thousand.
const MOST_BYTES: usize = 1 << 20;
/// Most bytes of all answers.
const MOST_BYTES_OF_ALL: usize = 64 << 20;
/// Looks at once: the engine has other work.
const AT_ONCE: usize = 8;
/// Longest time for all of them.
const LONGEST: Duration = Duration::from_secs(120);

/// What runs on an engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Running {
    /// Each container as `docker inspect` prints it, in JSON. Environments are in it: nothing of it is to be shown as it is.
    pub inspected: Vec<String>,
    /// Those that could not be looked at.
    pub unseen: Vec<Unseen>,
    /// Whether there are more than are looked at.
    pub has_more: bool,
}

/// A container that could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unseen {
    /// Its name.
    pub name: String,
    /// Why, as a sentence.
    pub why: String,
}

/// Looks at every container that runs.
pub(super) async fn running(engine: &Engine) -> Result<Running, RuntimeError> {
    timeout(LONGEST, look_at_all(engine)).await.map_err(|_| {
        RuntimeError::TimedOut(format!(
            "The Docker engine did not describe its containers within {} s.",
            LONGEST.as_secs()
        ))
    })?
}

async fn look_at_all(engine: &Engine) -> Result<Running, RuntimeError> {
    let docker = engine.connect().await?;
    let limit = i32::try_from(MOST.saturating_add(1)).unwrap_or(i32::MAX);
    // By their states: with a limit alone, engines count those that do not run.
    let filters = HashMap::from([("status", vec!["running", "paused", "restarting"])]);
    let options = ListContainersOptionsBuilder::new().limit(limit).filters(&filters).build();
    let listed = engine.within(CALL, docker.list_containers(Some(options))).await?;
    let listed = listed.map_err(|error| engine.error(&error, "its containers cannot be listed"))?;
    let all: Vec<(String, String)> = listed.into_iter().filter_map(named).collect();
    let mut found = Running { has_more: all.len() > MOST, ..Running::default() };
    let mut looks = stream::iter(all.into_iter().take(MOST))
        .map(|(id, name)| look_at_one(engine, &docker, id, name))
        .buffered(AT_ONCE);
    let mut bytes = 0_usize;
    while let Some(seen) = looks.next().await {
        match seen? {
            Seen::Gone => {}
            Seen::Unseen(unseen) => found.unseen.push(unseen),
            Seen::Inspected(json) => {
                bytes = bytes.saturating_add(json.len());
                if bytes > MOST_BYTES_OF_ALL {
                    found.has_more = true;
                    break;
                }
                found.inspected.push(json);
            }
        }
    }
    Ok(found)
}

async fn look_at_one(
    engine: &Engine,
    docker: &Docker,
    id: String,
    name: String,
) -> Result<Seen, RuntimeError> {
    let unseen = |name, why| Ok(Seen::Unseen(Unseen { name, why }));
    let found = match engine.within(CALL, docker.inspect_container(&id, None)).await? {
        Ok(found) => found,
        Err(error) if is_status(&error, 404) => return Ok(Seen::Gone),
        Err(error) => {
            return match engine.error(&error, &format!("{name} cannot be inspected")) {
                RuntimeError::Refused(why) => unseen(name, why),
                gone @ (RuntimeError::Away(_) | RuntimeError::TimedOut(_)) => Err(gone),
            };
        }
    };
    match serde_json::to_string(&found) {
        Ok(json) if json.len() <= MOST_BYTES => Ok(Seen::Inspected(json)),
        Ok(_) => {
            let why = format!("What the engine says of {name} is longer than {} KiB.", MOST_BYTES >> 10);
            unseen(name, why)
        }
        Err(_) => {
            let why = format!("What the engine says of {name} is not understood.");
            unseen(name, why)
        }
    }
}

enum Seen {
    Inspected(String),
    Unseen(Unseen),
    /// It ended between the list and the look.
    Gone,
}

/// Its id, and its name for people.
fn named(container: ContainerSummary) -> Option<(String, String)> {
    let id = container.id?;
    let name = container.names.unwrap_or_default().into_iter().next();
    let name = name.map_or_else(|| id.clone(), |name| name.trim_start_matches('/').to_owned());
    Some((id, name))
}
