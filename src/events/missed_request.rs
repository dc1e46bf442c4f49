//! A slot of ours in which the consensus client asked for no header.

use serde::Serialize;

use crate::types::{BlsPublicKey, Slot, labelled};

/// A slot of one of our validators for which no header was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MissedRequest {
    /// The slot in which the validator was to propose.
    pub slot: Slot,
    /// The validator of ours whose slot it was.
    pub proposer: BlsPublicKey,
    /// The most likely reason, by what was seen at the time.
    pub reason: NoRequestReason,
    /// The same for people, with what to do.
    pub message: String,
    /// When the client last asked for anything; none where it never did.
    pub last_request_at: Option<i64>,
    /// When this was found, in Unix milliseconds.
    pub at: i64,
}

labelled! {
    /// Why no header was asked for, as far as is known.
    pub enum NoRequestReason {
        /// This service was not running when the slot began.
        NotRunning = "not_running",
        /// The beacon node did not answer.
        BeaconNodeAway = "beacon_node_away",
        /// The beacon node was catching up: a client does not propose then.
        BeaconNodeSyncing = "beacon_node_syncing",
        /// Requests of the client came and were refused: by the names in them, or for what they said.
        ClientRefused = "client_refused",
        /// The client had not asked for anything at all for a while: it was down, or is not connected to this service.
        ClientSilent = "client_silent",
        /// The client spoke to this service, and asked for no header: its circuit breaker, its timeout, or its settings.
        ClientDidNotAsk = "client_did_not_ask",
    }
}
