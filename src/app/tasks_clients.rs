//! The task `client_versions`: which clients the nodes run, and whether each is new enough for the forks that are near. What is too old has an alert
//! of its own, which `client_watch` raises.

use std::collections::BTreeMap;

use super::client_watch::{message, under_floor};
use crate::{
    consensus::{ChainSpec, WallClock},
    ethereum::{BeaconNode, ClientFloor, ClientVersion, ExecutionNode},
    supervisor::{
        Layer, SupervisorHandle,
        schedule::{TaskFailed, TaskReport},
    },
    types::UnixMillis,
};

/// What is asked.
#[derive(Clone, Debug)]
pub(super) struct ClientTask {
    pub(super) spec: ChainSpec,
    pub(super) beacon: Option<BeaconNode>,
    pub(super) execution: Option<ExecutionNode>,
    pub(super) floors: Vec<ClientFloor>,
    pub(super) nodes: Option<SupervisorHandle>,
    pub(super) clock: WallClock,
}

/// Asks each node what it is.
pub(super) async fn check_clients(task: ClientTask) -> Result<TaskReport, TaskFailed> {
    let mut reported = None;
    let mut said: Vec<(String, Option<String>)> = Vec::new();
    if let Some(node) = &task.beacon {
        reported = node.reported_spec().await.ok().map(|spec| spec.forks);
        said.push(("beacon".to_owned(), node.client_version().await.ok()));
    }
    if let Some(node) = &task.execution {
        said.push(("execution".to_owned(), node.client_version().await.ok()));
    }
    let supervised = task.nodes.as_ref().map(SupervisorHandle::view).unwrap_or_default();
    // Forks of this chain are nothing to clients of others.
    for node in
        supervised.into_iter().filter(|node| matches!(node.layer, Layer::Execution | Layer::Consensus))
    {
        if !matches!(node.id.as_str(), "beacon" | "execution") {
            said.push((node.id.to_string(), node.version));
        }
    }
    let forks = task.spec.fork_starts(reported.as_deref());
    Ok(report(&said, &forks, &task.floors, task.clock.now()))
}

fn report(
    said: &[(String, Option<String>)],
    forks: &BTreeMap<String, UnixMillis>,
    floors: &[ClientFloor],
    now: UnixMillis,
) -> TaskReport {
    let (mut old, mut well) = (Vec::new(), Vec::new());
    for (node, text) in said {
        match text.as_deref().map(|text| (text, ClientVersion::parse(text))) {
            None => well.push(format!("The {node} node does not say what it is.")),
            Some((text, None)) => {
                let text: String = text.chars().take(60).collect();
                well.push(format!("The {node} node is `{text}`, of which nothing is known here."));
            }
            Some((text, Some(version))) => match under_floor(text, forks, floors, now) {
                Some((version, found)) => old.push(message(node, &version, &found, now)),
                None => well.push(format!(
                    "The {node} node is {version}: no fork that is near is known to need a newer one."
                )),
            },
        }
    }
    if old.is_empty() {
        return TaskReport::done(well.join(" "));
    }
    TaskReport::found([old, well].concat().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_is_named_and_an_old_one_first() {
        let now = 1_795_876_980_000;
        let forks = BTreeMap::from([("gloas".to_owned(), now + 1000)]);
        let said = |beacon: &str| {
            [
                ("execution".to_owned(), Some("Geth/v1.17.0-stable/linux".to_owned())),
                ("beacon".to_owned(), Some(beacon.to_owned())),
                ("replica".to_owned(), None),
            ]
        };
        let well = report(&said("Lighthouse/v8.3.0-9e12c21/x86_64-linux"), &forks, &[], now);
        assert!(
            well.is_well && well.message.contains("The beacon node is lighthouse 8.3.0: no fork"),
            "{well:?}"
        );
        assert!(well.message.ends_with("The replica node does not say what it is."), "{well:?}");
        let old = report(&said("Lighthouse/v8.2.0-9e12c21/x86_64-linux"), &forks, &[], now);
        assert!(
            !old.is_well
                && old.message.starts_with("The beacon node is lighthouse 8.2.0, and the fork gloas needs"),
            "{old:?}"
        );
    }
}
