//! What the fleet is told, and what follows from it.

use std::time::Duration;

use crate::{
    events::{ActedBy, NodeAction, NodeChanged, NodeHold, NodeWanted},
    host::Stalls,
    supervisor::{Cpuset, Inspection, Limits, ProbeFailed, RuntimeError, RuntimeEvent, Sight},
    types::{NodeId, UnixMillis},
};

/// Something that was observed, or is asked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Input {
    /// A runtime looked at a node.
    Inspected(NodeId, Result<Inspection, RuntimeError>),
    /// A node was probed.
    Probed(NodeId, Result<Sight, ProbeFailed>),
    /// A runtime tells of something that happened.
    Told(RuntimeEvent),
    /// What an [`Effect::Act`] came to.
    Acted { node: NodeId, action: NodeAction, result: Result<(), RuntimeError> },
    /// Somebody asks for something; `ticket` is what the answer is known by.
    Ordered { ticket: u64, order: Order },
    /// Share of the last minute in which all of the machine waited for memory, in percent; none where that cannot be read.
    HostPressure(Stalls),
    /// Time has passed.
    Tick,
}

/// What somebody asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// Of which node.
    pub node: NodeId,
    /// What.
    pub kind: OrderKind,
    /// Who: a person or the schedule.
    pub by: ActedBy,
    /// Why, as a sentence for people; may be empty.
    pub why: String,
}

/// What can be asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum OrderKind {
    /// It is to run: created where it is not there, and looked after from then on.
    Up,
    /// It is to stop, and what we created of it is removed; its data stays.
    Down,
    /// It is to stop, and stays so.
    Stop,
    /// It is to be stopped and started.
    Restart,
    /// After a crash loop or a stop it is looked after again.
    Resume,
    /// The operator works on it for so long: nothing is judged, and nothing done. None: it is over.
    Maintenance(Option<Duration>),
    /// Its database is pruned for so long. None: it is over.
    Pruning(Option<Duration>),
    /// Its limits are changed while it runs.
    Resize(LimitsChange),
}

impl OrderKind {
    /// Its name in logs, as in the API's route.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Resume => "resume",
            Self::Maintenance(_) => "maintenance",
            Self::Pruning(_) => "pruning",
            Self::Resize(_) => "resize",
        }
    }
}

/// Limits that are to be others. What is none stays as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LimitsChange {
    /// Memory, in bytes.
    pub memory: Option<u64>,
    /// Swap beside the memory, in bytes.
    pub swap: Option<u64>,
    /// Cores.
    pub cpus: Option<f64>,
    /// On which cores it may run.
    pub cpuset: Option<Cpuset>,
    /// Processes and threads.
    pub pids: Option<u32>,
}

impl LimitsChange {
    /// Limits after the change.
    pub fn onto(&self, limits: &Limits) -> Limits {
        let Self { memory, swap, cpus, cpuset, pids } = self;
        Limits {
            memory: memory.or(limits.memory),
            swap: swap.unwrap_or(limits.swap),
            cpus: cpus.or(limits.cpus),
            cpuset: cpuset.clone().or_else(|| limits.cpuset.clone()),
            pids: pids.or(limits.pids),
        }
    }
}

/// An order that was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderDone {
    /// What was done, as sentences for people.
    pub message: String,
}

/// Why an order was not carried out. Sentences for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderRefused {
    /// No node has that name.
    #[error("{0}")]
    Unknown(String),
    /// Something else is being done, or stands in the way now.
    #[error("{0}")]
    Busy(String),
    /// It cannot be done as things are.
    #[error("{0}")]
    Refused(String),
    /// It was tried, and the runtime could not.
    #[error("{0}")]
    Failed(String),
    /// The supervisor is away: the service stops, or begins it anew.
    #[error("{0}")]
    Away(String),
}

/// What follows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Effect {
    /// Something is to be done. Its end comes back as [`Input::Acted`].
    Act(Act),
    /// A person is called: nothing is done, and nothing comes back.
    Call { node: NodeId, why: String },
    /// A node has another state.
    Changed(NodeChanged),
    /// There is something to say of a node's sync: for its history alone.
    SyncNews { node: NodeId, message: String, at: UnixMillis },
    /// To be kept over restarts, before anything that follows it.
    Remember { node: NodeId, memory: Memory },
    /// What came of an order.
    Answer { ticket: u64, answer: Result<OrderDone, OrderRefused> },
}

/// Something that is to be done to a node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Act {
    pub(crate) node: NodeId,
    pub(crate) action: NodeAction,
    /// With a resize.
    pub(crate) limits: Option<Limits>,
    pub(crate) by: ActedBy,
    /// Sentences for people; never empty.
    pub(crate) why: String,
}

/// What is kept of a node over restarts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) wanted: NodeWanted,
    pub(crate) hold: NodeHold,
    pub(crate) hold_until: Option<UnixMillis>,
    pub(crate) hold_why: String,
    /// When its removal was ordered, as long as that is not done.
    pub(crate) removal_at: Option<UnixMillis>,
}

/// Something that was begun, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnderWay {
    pub(crate) action: NodeAction,
    pub(crate) at: UnixMillis,
}

/// What an earlier process left of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remembered {
    pub(crate) node: NodeId,
    pub(crate) memory: Memory,
    /// What it had begun, and not written down the end of.
    pub(crate) under_way: Option<UnderWay>,
    /// When the supervisor has started it by itself of late.
    pub(crate) restarts: Vec<UnixMillis>,
}
