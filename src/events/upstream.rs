//! How an upstream of the JSON-RPC gateway is.

use serde::Serialize;

use crate::types::{UnixMillis, labelled};

labelled! {
    /// How an upstream is.
    pub enum UpstreamState {
        /// It never showed a head: nothing is known, and it serves nothing.
        Unknown = "unknown",
        /// It serves.
        Healthy = "healthy",
        /// It is behind the tip, or calls to it fail: it serves only what no healthy one can.
        Lagging = "lagging",
        /// It says itself that it is not there yet.
        Syncing = "syncing",
        /// It does not answer, or its head is too old.
        Down = "down",
        /// It is a node of another chain. Only a restart of it or a change of the configuration ends this.
        WrongChain = "wrong_chain",
        /// At a height that others have, its block is another one than the majority's.
        Forked = "forked",
    }
}

impl UpstreamState {
    /// Whether calls go to it: healthy ones first, lagging ones when there is no healthy one.
    pub const fn serves(self) -> bool {
        matches!(self, Self::Healthy | Self::Lagging)
    }
}

/// An upstream's new state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UpstreamChanged {
    /// Its name.
    pub upstream: String,
    /// Its state from now on.
    pub state: UpstreamState,
    /// The one before.
    pub before: UpstreamState,
    /// Why, as sentences for people; empty when all is well. Nothing is decided by it.
    #[serde(rename = "why")]
    pub message: String,
    /// When it happened, in Unix milliseconds.
    pub at: UnixMillis,
}
