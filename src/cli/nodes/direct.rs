//! Nodes as their runtimes show them, without the service.

use futures_util::future::join_all;

use super::Meant;
use crate::{
    app::{NodeRuntimes, node_probe},
    consensus::WallClock,
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

/// Looks at every node of the configuration, all at once; `probes`: asks those that run how they are. `running`: which children the service has.
pub(super) async fn look<'a>(
    meant: &'a Meant,
    clock: &WallClock,
    probes: bool,
    running: &[String],
) -> Vec<Glance<'a>> {
    let runtimes = NodeRuntimes::new(Some(&meant.nodes), &meant.config.data_dir, clock.clone());
    let probe = HttpClients::build(&meant.config.tls_roots, None).ok().map(|clients| node_probe(&clients));
    join_all(meant.nodes.nodes.iter().map(|node| {
        let (runtimes, probe) = (&runtimes, &probe);
        async move {
            let seen = match &node.runtime {
                // A child of the service: it runs while that does, or not at all.
                RuntimeSettings::Process(settings) => Ok(Inspection {
                    status: if running.iter().any(|id| id == node.id.as_str()) {
                        ProcessStatus::Running { since: None }
                    } else {
                        ProcessStatus::Absent
                    },
                    ours: true,
                    run: None,
                    what: settings.program.display().to_string(),
                    usage: None,
                }),
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
