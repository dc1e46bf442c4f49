//! What can be observed of an upstream.

use std::time::Duration;

use crate::{
    events::NodeState,
    gateway::{Feedback, Head},
};

/// A finalized block, as an upstream showed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finalized {
    /// Its number.
    pub number: u64,
    /// Its time, in seconds since 1970.
    pub timestamp: u64,
}

/// What an upstream answered to a probe. `None` is what was not asked for this time, or what it has no method for: neither is a fault, and what
/// was known before stays known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// The chain that it is a node of.
    pub chain_id: Option<u64>,
    /// Its newest block.
    pub head: Option<Head>,
    /// Its newest finalized block.
    pub finalized: Option<Finalized>,
    /// Whether it says that it is not there yet.
    pub syncing: Option<bool>,
    /// How many peers it has.
    pub peers: Option<u64>,
    /// What it calls itself.
    pub version: Option<String>,
    /// From question to answer.
    pub latency: Duration,
}

/// One thing that was observed.
#[derive(Clone, Debug, PartialEq)]
pub enum Observation {
    /// It answered a probe.
    Probed(Probe),
    /// A probe brought nothing.
    Failed {
        /// Whether there was no connection at all, which is enough by itself.
        refused: bool,
        /// What happened, without a URL.
        message: String,
    },
    /// No probe was sent, as our own budget of requests to it is used up: that says nothing of it.
    NotSent,
    /// What a call met.
    Traffic(Feedback),
    /// What whoever supervises it says; none: nobody does any more.
    Node(Option<NodeState>),
}
