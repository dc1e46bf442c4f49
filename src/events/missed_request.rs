//! A slot of ours in which the consensus client asked for no header.

use serde::Serialize;

use crate::types::{BlsPublicKey, Slot};

/// A slot of one of our validators for which no header was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MissedRequest {
    /// The slot.
    pub slot: Slot,
    /// Whose it was.
    pub proposer: BlsPublicKey,
    /// What is known of why.
    pub reason: NoRequestReason,
    /// The same for people, with what to do.
    pub message: String,
    /// When the client last asked for anything; none where it never did.
    pub last_request_at: Option<i64>,
    /// When this was found, in Unix milliseconds.
    pub at: i64,
}

/// Why no header was asked for, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoRequestReason {
    /// This service was not running when the slot began.
    NotRunning,
    /// The beacon node did not answer.
    BeaconNodeAway,
    /// The beacon node was catching up: a client does not propose then.
    BeaconNodeSyncing,
    /// The client had not asked for anything at all for a while: it was down, or is not connected to this service.
    ClientSilent,
    /// The client spoke to this service, and asked for no header: its circuit breaker, its timeout, or its settings.
    ClientDidNotAsk,
}

impl NoRequestReason {
    /// Every one.
    pub const ALL: [Self; 5] = [
        Self::NotRunning,
        Self::BeaconNodeAway,
        Self::BeaconNodeSyncing,
        Self::ClientSilent,
        Self::ClientDidNotAsk,
    ];

    /// Its name in records, metrics and JSON.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NotRunning => "not_running",
            Self::BeaconNodeAway => "beacon_node_away",
            Self::BeaconNodeSyncing => "beacon_node_syncing",
            Self::ClientSilent => "client_silent",
            Self::ClientDidNotAsk => "client_did_not_ask",
        }
    }
}
