//! JSON shapes of this API.

use serde::Serialize;

use crate::{
    ledger::RelayStats,
    relay::{Relay, SharedRelays},
};

/// One check of `/healthz` and `/readyz`.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) ok: bool,
    pub(super) detail: String,
}

/// The answer of `/healthz` and `/readyz`.
#[derive(Debug, Serialize)]
pub(super) struct Health {
    pub(super) ok: bool,
    pub(super) checks: Vec<Check>,
}

impl Health {
    pub(super) fn of(checks: Vec<Check>) -> Self {
        Self { ok: checks.iter().all(|check| check.ok), checks }
    }
}

/// One relay of `/api/v1/relays`.
#[derive(Debug, Serialize)]
pub(super) struct RelayView {
    id: String,
    url: String,
    pubkey: String,
    /// `active` or `disabled` for now; rotation and quarantine add `standby` and `quarantined`.
    state: &'static str,
    why: String,
    usable: Option<bool>,
    /// Share of races in which it answered as it should, 0 to 1; none before its first.
    score: Option<f64>,
    #[serde(flatten)]
    stats: RelayStats,
}

impl RelayView {
    pub(super) fn new(relay: &Relay, relays: &SharedRelays, stats: RelayStats) -> Self {
        let settings = relay.settings();
        let condition = relays.condition(relay.id());
        let faults: i64 =
            stats.faults.iter().filter(|(name, _)| !name.starts_with("submission_")).map(|(_, n)| n).sum();
        let count = |n: i64| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
        Self {
            id: relay.id().to_string(),
            url: settings.public_url(),
            pubkey: settings.pubkey.bytes().to_string(),
            state: if settings.enabled { "active" } else { "disabled" },
            why: match (&condition, settings.enabled) {
                (_, false) => "enabled = false in the configuration".to_owned(),
                (None, true) => "not probed yet".to_owned(),
                (Some(condition), true) => condition.why.clone(),
            },
            usable: condition.map(|condition| condition.usable),
            score: (stats.auctions > 0).then(|| count(stats.auctions - faults) / count(stats.auctions)),
            stats,
        }
    }
}
