//! What happens to containers, as the engine tells it.

use std::{collections::HashMap, time::Duration};

use bollard::{Docker, models::EventMessage, query_parameters::EventsOptionsBuilder};
use futures_util::{Stream, StreamExt, future, stream};

use super::engine::CALL;
use crate::supervisor::{NodeSettings, RuntimeEvent};

/// What is asked for. Resizes are our own doing, and executed health checks are many.
const WANTED: [&str; 10] =
    ["create", "start", "die", "oom", "stop", "kill", "pause", "unpause", "destroy", "health_status"];
/// How often a quiet engine is asked whether it is there: the stream of one whose machine went away would never end.
const ASKED: Duration = Duration::from_secs(20);

/// What happens to containers by these names. Ends when the engine does not answer any more.
pub(super) fn of<'a>(
    docker: Docker,
    names: HashMap<&'a str, &'a NodeSettings>,
) -> impl Stream<Item = RuntimeEvent> + Send + 'a {
    let filters = HashMap::from([
        ("type", vec!["container"]),
        ("event", WANTED.to_vec()),
        ("container", names.keys().copied().collect()),
    ]);
    let told = docker.events(Some(EventsOptionsBuilder::new().filters(&filters).build()));
    let gone = stream::unfold(docker, |docker| async move {
        tokio::time::sleep(ASKED).await;
        let answer = tokio::time::timeout(CALL, docker.ping()).await;
        matches!(answer, Ok(Ok(_))).then_some(((), docker))
    });
    told.take_until(gone.for_each(|()| future::ready(())))
        .take_while(|told| future::ready(told.is_ok()))
        .filter_map(move |told| future::ready(told.ok().and_then(|told| event(told, &names))))
}

/// One message; none where it is of no node.
fn event(told: EventMessage, names: &HashMap<&str, &NodeSettings>) -> Option<RuntimeEvent> {
    let name = told.actor?.attributes?.remove("name")?;
    let node = names.get(name.as_str())?;
    let at = told
        .time_nano
        .map(|nanos| nanos / 1_000_000)
        .or(told.time.map(|seconds| seconds.saturating_mul(1000)));
    // `health_status: healthy`, `exec_start: sh`: the word before the colon is what happened.
    let what = told.action?.split(':').next()?.trim().chars().take(40).collect();
    Some(RuntimeEvent { node: node.id.clone(), what, at })
}
