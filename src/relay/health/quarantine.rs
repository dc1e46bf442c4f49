//! What offences lead to: a relay that cost a slot or its payment is not asked for a while, longer each time.

use serde::{Deserialize, Serialize};

use super::{Accusation, TrustPolicy};
use crate::types::UnixMillis;

/// What follows from the offences that count: each cost, or could have cost, a slot or its payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// Offences counted: after the first a relay is asked where there is no other that bids, after the second not at all.
    pub level: u32,
    /// Until when.
    pub until: UnixMillis,
    /// When it last offended, Unix milliseconds: a half-life without another offence is counted from then.
    pub since: UnixMillis,
    /// What it did, in words.
    #[serde(rename = "why")]
    pub reason: String,
}

/// Offences that still count: one is forgotten with each half-life without another.
pub(super) fn level_at(quarantine: Option<&Quarantine>, now: UnixMillis, policy: &TrustPolicy) -> u32 {
    let Some(quarantine) = quarantine else { return 0 };
    let quiet = now.saturating_sub(quarantine.since).max(0) / policy.half_life_ms.max(1);
    quarantine.level.saturating_sub(u32::try_from(quiet).unwrap_or(u32::MAX))
}

/// What an offence leads to after those before it.
pub(super) fn offended(
    before: Option<&Quarantine>,
    accusation: &Accusation,
    policy: &TrustPolicy,
) -> Quarantine {
    let level = level_at(before, accusation.at, policy).saturating_add(1);
    let length = policy.quarantine_ms.saturating_mul(1 << (level - 1).min(30));
    Quarantine {
        level,
        until: accusation.at.saturating_add(length.min(policy.quarantine_max_ms)),
        since: accusation.at,
        reason: accusation.reason.clone(),
    }
}
