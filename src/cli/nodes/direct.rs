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

/// Looks at every node of the configuration, all at once; `probes`: asks those that run how they are.
pub(super) async fn look<'a>(meant: &'a Meant, clock: &WallClock, probes: bool) -> Vec<Glance<'a>> {
    let runtimes = NodeRuntimes::new(Some(&meant.nodes), &meant.config.data_dir, clock.clone());
    let probe = HttpClients::build(&meant.config.tls_roots, None).ok().map(|clients| node_probe(&clients));
    join_all(meant.nodes.nodes.iter().map(|node| {
        let (runtimes, probe) = (&runtimes, &probe);
        async move {
            let seen = match &node.runtime {
                // Whoever started it knows it, and nobody else: it is a child of the service.
                RuntimeSettings::Process(_) => Err(RuntimeError::Away(
                    "It is a process of the service's own, which does not run: nothing is known of it."
                        .to_owned(),
                )),
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
