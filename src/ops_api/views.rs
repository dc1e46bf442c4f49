//! JSON shapes of this API.

use serde::Serialize;

use crate::{
    breaker::Breaker,
    events::RelayMode,
    ledger::{ModeView, RelayStats},
    relay::{
        Relay, SharedRelays,
        health::{Accusation, FaultClass, OperatorSetting},
    },
    types::UnixMillis,
};

/// One check of `/healthz` and `/readyz`.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) ok: bool,
    #[serde(rename = "detail")]
    pub(super) message: String,
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
    #[serde(rename = "why")]
    message: String,
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
    /// `pinned` or `disabled`, where the operator set it by API.
    #[serde(rename = "hand")]
    operator_setting: Option<OperatorSetting>,
    breaker: Option<Breaker>,
    #[serde(flatten)]
    stats: RelayStats,
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<Vec<ModeView>>,
}

impl RelayView {
    pub(super) fn new(relay: &Relay, relays: &SharedRelays, stats: RelayStats, now: UnixMillis) -> Self {
        let settings = relay.settings();
        let condition = relays.condition(relay.id());
        let status = relays.status(relay.id());
        let trust = status.as_ref().map(|status| {
            let mean = |class| status.trust.mean(class, now, relays.half_life_ms());
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
            state: status.as_ref().map_or("active", |status| status.mode.label()),
            reason: status.as_ref().map_or("fit", |status| status.reason.label()),
            message: match (&status, &condition) {
                (Some(status), Some(condition)) if !condition.usable && status.mode == RelayMode::Active => {
                    format!("{}; its last status call: {}", status.message, condition.message)
                }
                (Some(status), _) => status.message.clone(),
                (None, _) => String::new(),
            },
            usable: condition.as_ref().map(|condition| condition.usable),
            probe: condition.map(|condition| condition.message),
            score: status.as_ref().map(|status| status.score),
            trust,
            rank: status.as_ref().map(|status| status.rank),
            win_rate: status.as_ref().map(|status| status.record.win_rate()),
            offences: status.as_ref().map_or(0, |status| status.offences),
            quarantined_until: status.as_ref().and_then(|status| status.quarantined_until),
            accusations: status.as_ref().map(|status| status.accusations.clone()).unwrap_or_default(),
            operator_setting: status.as_ref().and_then(|status| status.operator_setting),
            breaker: status.map(|status| status.breaker),
            stats,
            history: None,
        }
    }

    pub(super) fn with_history(self, history: Vec<ModeView>) -> Self {
        Self { history: Some(history), ..self }
    }
}
