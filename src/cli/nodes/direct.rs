//! Nodes as their runtimes show them, without the service.

use futures_util::future::join_all;

use super::{meant::Meant, seen::Seen};
use crate::{
    app::{NodeRuntimes, node_probe},
    consensus::WallClock,
    events::NodeState,
    http_client::HttpClients,
    supervisor::{
        Inspection, NodeSettings, ProbeFailed, ProcessStatus, RuntimeError, RuntimeSettings, Sight,
    },
};

/// A node at one look.
pub(super) struct Glance<'a> {
    pub(super) node: &'a NodeSettings,
    pub(super) seen: Result<Inspection, RuntimeError>,
    /// What its probe showed; none where it has none, or does not run.
    pub(super) probed: Option<Result<Sight, ProbeFailed>>,
}

/// Looks at every node of the configuration, all at once; `probes`: asks those that run how they are. `served`: as the service shows them, where it
/// runs.
pub(super) async fn look<'a>(
    meant: &'a Meant,
    clock: &WallClock,
    probes: bool,
    served: Option<&[Seen]>,
) -> Vec<Glance<'a>> {
    let runtimes = NodeRuntimes::new(Some(&meant.nodes), &meant.config.data_dir, clock.clone());
    let probe = HttpClients::build(&meant.config.tls_roots, None).ok().map(|clients| node_probe(&clients));
    join_all(meant.nodes.nodes.iter().map(|node| {
        let (runtimes, probe) = (&runtimes, &probe);
        async move {
            let seen = match &node.runtime {
                // Whoever started it knows it, and nobody else: it is a child of the service.
                RuntimeSettings::Process(_) => of_service(node, served),
                RuntimeSettings::Docker(_) | RuntimeSettings::Systemd(_) => {
                    runtimes.all.of(node).inspect(node).await
                }
            };
            let runs = seen.as_ref().is_ok_and(|seen| matches!(seen.status, ProcessStatus::Running { .. }));
            let probed = match probe {
                Some(probe) if probes && runs && node.probe.is_some() => {
                    Some(probe.probe(node, clock.now()).await)
                }
                _ => None,
            };
            Glance { node, seen, probed }
        }
    }))
    .await
}

/// A child of the service, by its word.
fn of_service(node: &NodeSettings, served: Option<&[Seen]>) -> Result<Inspection, RuntimeError> {
    let unknown = |words: &str| Err(RuntimeError::Away(words.to_owned()));
    let Some(served) = served else {
        return unknown(
            "It is a process of the service's own, and the service does not answer: nothing is known of it.",
        );
    };
    let state = served.iter().find(|seen| seen.id == node.id.as_str()).and_then(Seen::state);
    let status = match state {
        Some(
            NodeState::Healthy
            | NodeState::Starting
            | NodeState::Syncing
            | NodeState::Lagging
            | NodeState::Hung,
        ) => ProcessStatus::Running { since: None },
        Some(NodeState::Crashed | NodeState::CrashLoop | NodeState::Stopped) => {
            ProcessStatus::Exited { code: None, oom_killed: false, at: None }
        }
        Some(NodeState::OutOfMemory) => ProcessStatus::Exited { code: None, oom_killed: true, at: None },
        Some(NodeState::Absent) => ProcessStatus::Absent,
        Some(NodeState::Maintenance | NodeState::Pruning | NodeState::Unknown) | None => {
            return unknown(
                "It is a process of the service's own, which does not say now whether it runs: `relaymux nodes status` says why.",
            );
        }
    };
    let what = match &node.runtime {
        RuntimeSettings::Process(process) => process.program.display().to_string(),
        RuntimeSettings::Docker(_) | RuntimeSettings::Systemd(_) => String::new(),
    };
    Ok(Inspection { status, ours: true, run: None, what, usage: None })
}
