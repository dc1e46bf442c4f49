//! JSON shapes of this API.

use serde::Serialize;

use crate::{
    consensus::{UnixMillis, WallClock},
    events::RelayMode,
    ledger::{PlaceView, RelayStats},
    relay::{
        Relay, SharedRelays,
        health::{Accusation, Breaker, FaultClass, OperatorSetting},
    },
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
    /// Whether every check that the status depends on is well.
    pub(super) ok: bool,
    pub(super) checks: Vec<Check>,
    /// Checks that are not well, and that the status does not depend on.
    pub(super) degraded: Vec<&'static str>,
}

impl Health {
    pub(super) fn of(vital: Vec<Check>, others: Vec<Check>) -> Self {
        let ok = vital.iter().all(|check| check.ok);
        let degraded = others.iter().filter(|check| !check.ok).map(|check| check.name).collect();
        Self { ok, checks: others.into_iter().chain(vital).collect(), degraded }
    }
}

/// Trust by class of fault, each 0 to 1.
#[derive(Debug, Serialize)]
struct TrustView {
    answers: f64,
    bids: f64,
    reveals: f64,
    payments: f64,
}

/// One relay of `/api/v1/relays`.
#[derive(Debug, Serialize)]
pub(super) struct RelayView {
    id: String,
    url: String,
    pubkey: String,
    /// `active`, `standby`, `quarantined` or `disabled`.
    state: &'static str,
    /// Why, as a kind: `fit`, `pinned`, `unreachable`, `suspected`, `dishonest`, `rotated_out` or `disabled`.
    reason: &'static str,
    why: String,
    /// What its last status probe said.
    usable: Option<bool>,
    probe: Option<String>,
    /// Probability that asking it ends well, as far as its observations tell: the product of `trust`.
    score: Option<f64>,
    trust: Option<TrustView>,
    /// Higher is kept longer under pressure: score × win rate × latency.
    rank: Option<f64>,
    win_rate: Option<f64>,
    /// Offences that still count.
    offences: u32,
    quarantined_until: Option<UnixMillis>,
    /// What it is accused of, oldest first, each with its reason.
    accusations: Vec<Accusation>,
    /// `pinned` or `disabled`, by hand.
    hand: Option<OperatorSetting>,
    breaker: Option<Breaker>,
    #[serde(flatten)]
    stats: RelayStats,
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<Vec<PlaceView>>,
}

impl RelayView {
    pub(super) fn new(relay: &Relay, relays: &SharedRelays, stats: RelayStats) -> Self {
        let settings = relay.settings();
        let condition = relays.condition(relay.id());
        let seat = relays.status(relay.id());
        let now = WallClock.now();
        let trust = seat.as_ref().map(|seat| {
            let mean = |class| seat.trust.mean(class, now, relays.half_life_ms());
            TrustView {
                answers: mean(FaultClass::Answers),
                bids: mean(FaultClass::Bids),
                reveals: mean(FaultClass::Reveals),
                payments: mean(FaultClass::Payments),
            }
        });
        Self {
            id: relay.id().to_string(),
            url: settings.public_url(),
            pubkey: settings.pubkey.bytes().to_string(),
            state: seat.as_ref().map_or("active", |seat| seat.place.label()),
            reason: seat.as_ref().map_or("fit", |seat| seat.reason.label()),
            why: match (&seat, &condition) {
                (Some(seat), Some(condition)) if !condition.usable && seat.place == RelayMode::Active => {
                    format!("{}; its last status call: {}", seat.why, condition.why)
                }
                (Some(seat), _) => seat.why.clone(),
                (None, _) => String::new(),
            },
            usable: condition.as_ref().map(|condition| condition.usable),
            probe: condition.map(|condition| condition.why),
            score: seat.as_ref().map(|seat| seat.score),
            trust,
            rank: seat.as_ref().map(|seat| seat.rank),
            win_rate: seat.as_ref().map(|seat| seat.record.win_rate()),
            offences: seat.as_ref().map_or(0, |seat| seat.offences),
            quarantined_until: seat.as_ref().and_then(|seat| seat.quarantined_until),
            accusations: seat.as_ref().map(|seat| seat.accusations.clone()).unwrap_or_default(),
            hand: seat.as_ref().and_then(|seat| seat.hand),
            breaker: seat.map(|seat| seat.breaker),
            stats,
            history: None,
        }
    }

    pub(super) fn with_history(self, history: Vec<PlaceView>) -> Self {
        Self { history: Some(history), ..self }
    }
}
