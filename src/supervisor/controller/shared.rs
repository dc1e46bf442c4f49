//! What the tasks of the supervisor share.

use std::{collections::HashMap, fmt, path::PathBuf, sync::Arc};

use tokio::sync::{Mutex, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    consensus::WallClock,
    events::{AnswerMeter, NodeStates, Spine},
    host::HostSize,
    ledger::{Ledger, SignalBook},
    supervisor::{
        NodeSettings, NodeView, Order, OrderDone, OrderRefused, Probe, PsiGuard, Reserve, Runtime,
        RuntimeSettings,
        fleet::{Input, Trouble},
    },
    types::NodeId,
};

/// Who does what is to be done, by where a node runs.
#[derive(Clone)]
pub struct Runtimes {
    /// Containers.
    pub docker: Arc<dyn Runtime>,
    /// Units.
    pub systemd: Arc<dyn Runtime>,
    /// Child processes.
    pub process: Arc<dyn Runtime>,
}

impl Runtimes {
    /// The runtime of a node.
    pub fn of(&self, node: &NodeSettings) -> &Arc<dyn Runtime> {
        match &node.runtime {
            RuntimeSettings::Docker(_) => &self.docker,
            RuntimeSettings::Systemd(_) => &self.systemd,
            RuntimeSettings::Process(_) => &self.process,
        }
    }
}

impl fmt::Debug for Runtimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Runtimes")
    }
}

/// What the supervisor is started with.
#[derive(Clone)]
pub struct SupervisorParts {
    /// `[[nodes]]`
    pub nodes: Vec<NodeSettings>,
    /// Who does what is to be done.
    pub runtimes: Runtimes,
    /// Who asks nodes how they are.
    pub probe: Arc<dyn Probe>,
    /// Where it is written down.
    pub ledger: Ledger,
    /// Where what lasts is raised.
    pub signals: SignalBook,
    /// Where it is told.
    pub spine: Spine,
    /// The wall clock.
    pub clock: WallClock,
    /// Where this machine's `/proc` is under.
    pub host_root: PathBuf,
    /// The machine that nodes must fit, and what is kept of it for everything else; none: nothing is refused for its size.
    pub capacity: Option<(HostSize, Reserve)>,
    /// When the machine is under too much pressure for anything to be started.
    pub guard: PsiGuard,
    /// Cancelled once the service is stopping: nothing is done to any node from then on.
    pub stopping: CancellationToken,
}

impl fmt::Debug for SupervisorParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // URLs of probes may hold keys.
        f.debug_struct("SupervisorParts").field("nodes", &self.nodes.len()).finish_non_exhaustive()
    }
}

/// An order, and where its answer goes.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) order: Order,
    pub(super) answer: oneshot::Sender<Result<OrderDone, OrderRefused>>,
}

/// What the task works with: it outlives a task that begins anew.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) parts: SupervisorParts,
    pub(super) states: watch::Sender<NodeStates>,
    pub(super) views: watch::Sender<Vec<NodeView>>,
    pub(super) troubles: watch::Sender<Option<Vec<Trouble>>>,
    pub(super) meters: HashMap<NodeId, AnswerMeter>,
    /// Held by whoever starts a node for the supervisor.
    pub(super) one_start: Mutex<()>,
}

/// An input, and in which turn of its node it was begun.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) input: Input,
    pub(super) turn: Option<u64>,
}

impl Seen {
    /// Something that is never old.
    pub(super) const fn now(input: Input) -> Self {
        Self { input, turn: None }
    }
}
