//! The supervisor of `[[nodes]]`: its parts, and how its nodes count for availability.

use std::{fmt, path::Path, sync::Arc};

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::{
    consensus::WallClock,
    events::AnswerMeter,
    http_client::HttpClients,
    sla::Indicator,
    supervisor::{
        NodeSettings, NodesSettings, Probe, ProbeFailed, Runtimes, Sight, Supervising, SupervisorParts,
        probe::Prober,
        runtime::{docker::DockerRuntime, process::ProcessRuntime, systemd::SystemdRuntime},
        start,
    },
    tasks::TaskGroup,
    types::{NodeId, UnixMillis},
};

/// Starts looking after nodes; none where none is configured.
pub(super) fn start_supervisor(parts: SupervisorParts, group: &TaskGroup) -> Option<Supervising> {
    (!parts.nodes.is_empty()).then(|| start(parts, group))
}

/// Adds nodes' answers to what is counted already, unless the gateway counts those of an upstream of the same name: what its clients saw counts
/// more than probes.
pub(super) fn count_nodes(of_nodes: Vec<(NodeId, AnswerMeter)>, meters: &mut Vec<(Indicator, AnswerMeter)>) {
    for (node, meter) in of_nodes {
        let indicator = Indicator::Node(node);
        if meters.iter().all(|(known, _)| *known != indicator) {
            meters.push((indicator, meter));
        }
    }
}

/// What runs nodes.
#[derive(Clone)]
pub(crate) struct NodeRuntimes {
    /// By kind.
    pub(crate) all: Runtimes,
    /// Our own children, which end with us.
    children: Arc<ProcessRuntime>,
}

impl NodeRuntimes {
    /// Nothing is connected or started yet. Without `[[nodes]]` there is nothing to run, and the usual addresses are as good as any.
    pub(crate) fn new(nodes: Option<&NodesSettings>, data_dir: &Path, clock: WallClock) -> Self {
        let host = nodes.map(|nodes| nodes.docker.to_string());
        let children = Arc::new(ProcessRuntime::new(data_dir, clock));
        let all = Runtimes {
            docker: Arc::new(DockerRuntime::new(host)),
            systemd: Arc::new(SystemdRuntime::new()),
            process: Arc::clone(&children) as _,
        };
        Self { all, children }
    }

    /// Ends our children, each within its own grace; kills them where somebody is impatient.
    pub(super) async fn end_children(&self, impatience: &CancellationToken) {
        tokio::select! {
            () = self.children.shutdown() => {}
            () = impatience.cancelled() => self.children.kill(),
        }
    }
}

impl fmt::Debug for NodeRuntimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeRuntimes").finish_non_exhaustive()
    }
}

/// Who asks them.
pub(crate) fn probe(clients: &HttpClients) -> Arc<dyn Probe> {
    Arc::new(ByKind(Prober::new(clients)))
}

/// Asks each by its kind.
struct ByKind(Prober);

impl Probe for ByKind {
    fn probe<'a>(
        &'a self,
        node: &'a NodeSettings,
        now: UnixMillis,
    ) -> BoxFuture<'a, Result<Sight, ProbeFailed>> {
        Box::pin(async move {
            let Some(settings) = &node.probe else {
                return Err(ProbeFailed("It has no rpc_url to ask.".to_owned()));
            };
            self.0.probe(node.kind, settings, now).await.map_err(|failure| ProbeFailed(failure.to_string()))
        })
    }
}
