//! What a probe saw of a node: the same for every kind.

use std::time::Duration;

/// A probe that was answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Sight {
    /// Whether it is able to serve, by the age of its head and its distance from the others.
    pub ready: Ready,
    /// Number of its newest block, or slot.
    pub head: Option<u64>,
    /// Age of that block.
    pub head_age: Option<Duration>,
    /// Blocks or slots that it has yet to go by its own account, as far as it says.
    pub behind: Option<u64>,
    /// How far its sync has come where that is not its head, in the unit of `behind`.
    pub reached: Option<u64>,
    /// What its sync has done beside blocks, in a unit of its own that only grows: accounts, slots and trie nodes of a snap sync, blocks of stages.
    pub work: Option<u64>,
    /// Peers, where it says.
    pub peers: Option<u64>,
    /// Client and version, as it calls itself; bounded.
    pub version: Option<String>,
    /// Age of what is final, where the kind has that.
    pub finalized_age: Option<Duration>,
    /// How long the probe took.
    pub took: Duration,
}

impl Sight {
    /// One that shows nothing else.
    pub const fn only(ready: Ready) -> Self {
        Self {
            ready,
            head: None,
            head_age: None,
            behind: None,
            reached: None,
            work: None,
            peers: None,
            version: None,
            finalized_age: None,
            took: Duration::ZERO,
        }
    }
}

/// Whether a node is able to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ready {
    /// It is.
    Yes,
    /// It is on its way: a first sync, or catching up. Sentences for people.
    Syncing(String),
    /// Its head is too old or too far behind, though it does not say that it syncs. Sentences for people.
    Lagging(String),
    /// It answers, and cannot serve: another chain, no database. Sentences for people.
    No(String),
}
