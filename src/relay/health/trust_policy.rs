//! How observations are weighed and offences punished.

use crate::breaker::BreakerPolicy;

/// How observations are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustPolicy {
    /// In what time an observation loses half its weight, in milliseconds. Default 14 days.
    pub half_life_ms: i64,
    /// How long a first offence quarantines, in milliseconds; doubles with each further. Default 6 hours.
    pub quarantine_ms: i64,
    /// Longest quarantine, in milliseconds. Default 30 days.
    pub quarantine_max_ms: i64,
    /// How many failures open a relay's circuit breaker, and for how long.
    pub breaker: BreakerPolicy,
}

impl Default for TrustPolicy {
    fn default() -> Self {
        const HOUR: i64 = 3_600_000;
        Self {
            half_life_ms: 14 * 24 * HOUR,
            quarantine_ms: 6 * HOUR,
            quarantine_max_ms: 30 * 24 * HOUR,
            breaker: BreakerPolicy::default(),
        }
    }
}
