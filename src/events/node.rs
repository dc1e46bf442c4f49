//! How a node under supervision is, and what was done to it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::types::{NodeId, UnixMillis, labelled};

labelled! {
    /// How a node is.
    pub enum NodeState {
        /// Its runtime does not answer, and its probe has shown nothing yet.
        Unknown = "unknown",
        /// There is no such container, unit or process, and nobody has asked for it to run.
        Absent = "absent",
        /// It runs, and has not answered a probe since it was started.
        Starting = "starting",
        /// It answers, and is not there yet.
        Syncing = "syncing",
        /// It is able to serve.
        Healthy = "healthy",
        /// It was able to serve, and its head has fallen behind.
        Lagging = "lagging",
        /// Its process runs, and its probes fail.
        Hung = "hung",
        /// Its process ended by itself.
        Crashed = "crashed",
        /// The kernel killed it for its memory.
        OutOfMemory = "out_of_memory",
        /// It ended again and again: nothing is started any more until a person says so.
        CrashLoop = "crash_loop",
        /// Its database is being pruned, for which it is stopped.
        Pruning = "pruning",
        /// The operator works on it: nothing is judged, and nothing done.
        Maintenance = "maintenance",
        /// It was stopped by hand, and stays so.
        Stopped = "stopped",
    }
}

impl NodeState {
    /// Whether a person wants it so: that is no trouble of its own.
    pub const fn is_by_hand(self) -> bool {
        matches!(self, Self::Pruning | Self::Maintenance | Self::Stopped)
    }

    /// Whether it can serve, if only in part.
    pub const fn serves(self) -> bool {
        matches!(self, Self::Healthy | Self::Lagging)
    }

    /// Whether nobody is to ask it anything, whatever its port answers: it does not run, it is about to be stopped, or it hangs. Of the other states
    /// probes say more.
    pub const fn is_out(self) -> bool {
        match self {
            Self::Hung
            | Self::Crashed
            | Self::OutOfMemory
            | Self::CrashLoop
            | Self::Pruning
            | Self::Maintenance
            | Self::Stopped => true,
            Self::Unknown | Self::Absent | Self::Starting | Self::Syncing | Self::Healthy | Self::Lagging => {
                false
            }
        }
    }
}

/// How each node under supervision is, as whoever supervises them says: for a `watch`, replaced as a whole. A stop that is planned is said before it
/// begins, so that whoever asks the node has turned to another by then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeStates(BTreeMap<NodeId, NodeState>);

impl NodeStates {
    /// Nobody says anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// How a node is; none: nobody says.
    pub fn get(&self, node: &NodeId) -> Option<NodeState> {
        self.0.get(node).copied()
    }

    /// A node is so from now on. Whether that is news.
    pub fn set(&mut self, node: NodeId, state: NodeState) -> bool {
        self.0.insert(node, state) != Some(state)
    }

    /// Each node, and how it is.
    pub fn all(&self) -> impl Iterator<Item = (&NodeId, NodeState)> {
        self.0.iter().map(|(node, state)| (node, *state))
    }

    /// A node is not supervised any more.
    pub fn forget(&mut self, node: &NodeId) {
        self.0.remove(node);
    }
}

impl FromIterator<(NodeId, NodeState)> for NodeStates {
    fn from_iter<I: IntoIterator<Item = (NodeId, NodeState)>>(states: I) -> Self {
        Self(states.into_iter().collect())
    }
}

labelled! {
    /// What is done to a node.
    pub enum NodeAction {
        /// A container is created from the template.
        Create = "create",
        /// It is started.
        Start = "start",
        /// It is asked to stop, and killed once its grace is over.
        Stop = "stop",
        /// It is stopped and started.
        Restart = "restart",
        /// Its limits are changed while it runs.
        Resize = "resize",
        /// After a crash loop, or a stop by hand, it is looked after again.
        Resume = "resume",
        /// A container that we created is removed; its data stays.
        Remove = "remove",
        /// A person is called: nothing else is done.
        CallHuman = "call_human",
    }
}

labelled! {
    /// Who wanted it.
    pub enum ActedBy {
        /// The supervisor, by its rules.
        Supervisor = "supervisor",
        /// A person: by the command line or the ops API.
        Operator = "operator",
        /// A task of the maintenance schedule.
        Schedule = "schedule",
        /// The disk it writes to is nearly full.
        Disk = "disk",
    }
}

labelled! {
    /// What a node is wanted to be. Kept over restarts.
    pub enum NodeWanted {
        /// Nobody has said, and it was never seen to run: it is watched and left alone.
        Watched = "watched",
        /// It is to run: it was ordered up, or was found running.
        Up = "up",
        /// It was stopped by hand, and stays so.
        Stopped = "stopped",
    }
}

labelled! {
    /// What keeps the supervisor's hands off a node. Kept over restarts.
    pub enum NodeHold {
        /// Nothing.
        None = "none",
        /// The operator works on it.
        Maintenance = "maintenance",
        /// Its database is being pruned.
        Pruning = "pruning",
        /// It ended again and again, and a person has not said yet that it is to be tried again.
        CrashLoop = "crash_loop",
    }
}

/// A node's new state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeChanged {
    /// Its name.
    pub node: NodeId,
    /// Its state from now on.
    pub state: NodeState,
    /// The one before.
    pub before: NodeState,
    /// Why, as sentences for people. Nothing is decided by it.
    #[serde(rename = "why")]
    pub message: String,
    /// When it happened, in Unix milliseconds.
    pub at: UnixMillis,
}

/// Something was done to a node, or could not be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeActed {
    /// The node.
    pub node: NodeId,
    /// What was done.
    pub action: NodeAction,
    /// Who wanted it.
    pub by: ActedBy,
    /// Why, as sentences for people.
    #[serde(rename = "why")]
    pub message: String,
    /// What went wrong with it, in words; none when it was done.
    pub error: Option<String>,
    /// When it began, in Unix milliseconds.
    pub at: UnixMillis,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}
