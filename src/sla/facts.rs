//! What other rooms know and this one is told: plain data.

use serde::{Deserialize, Serialize};

use crate::types::{UnixMillis, Wei};

/// How many own proposals a relay's bid paid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MevFacts {
    /// Own slots that have an end: delivered, built locally, missed, not delivered, orphaned.
    pub proposals: u64,
    /// Of them, those whose payment can be known.
    pub judged: u64,
    /// Of them, those that paid by a relay's bid.
    pub relay_paid: u64,
}

/// What own slots earned over a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProfitFacts {
    /// Received and built locally, a day, over the whole window: days without a proposal count.
    pub per_day: Wei,
    /// The window, or how long the ledger has been there where that is shorter, in days.
    pub days: u64,
    /// Whether anybody looked: there is an execution node, and slots were settled.
    pub is_known: bool,
    /// What searchers' bundles earned in the window: beside it, and no part of it.
    pub bundles: Wei,
}

/// One relay, for a digest.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RelayFacts {
    /// Its name.
    pub relay: String,
    /// Headers that it was asked for.
    pub asked: u64,
    /// Bids that it made.
    pub bids: u64,
    /// Bids of its that were returned.
    pub wins: u64,
    /// Calls that failed, and bids that could not be used.
    pub faults: u64,
    /// Median latency in milliseconds.
    pub latency_p50_ms: Option<f64>,
    /// What to change in its timing, where something is to be gained.
    pub timing_advice: Option<String>,
}

/// How alerts of one cause went, for a digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AlertFacts {
    /// The rule that found them.
    pub cause: String,
    /// How many.
    pub count: u64,
    /// How many were acknowledged; none where nobody keeps that.
    pub acknowledged: Option<u64>,
    /// Median seconds until somebody acknowledged; none where nobody did.
    pub acknowledged_in_secs: Option<u64>,
}

/// Something that will not be valid any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExpiryFacts {
    /// What: a certificate, a token, a supported fork.
    pub what: String,
    /// When, in Unix milliseconds.
    pub at: UnixMillis,
}
