//! `[profit]`: what the operator wants watched of payments, checked.

use std::time::Duration;

use super::Prices;
use crate::types::Wei;

/// How payments are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfitSettings {
    /// Below this many ETH a day, on average, the operator is told. Zero: never.
    pub target_per_day: Wei,
    /// Between two checks of payments and rate.
    pub check_every: Duration,
    /// Between two looks at what relays have registered for our validators. Zero: never.
    pub registrations_every: Duration,
    /// Whether relays' public records are compared.
    pub data_api: bool,
    /// What an ETH was worth on which day.
    pub prices: Option<Prices>,
}

impl Default for ProfitSettings {
    fn default() -> Self {
        Self {
            // The roadmap's: 0.01 ETH a day.
            target_per_day: Wei::new(alloy_primitives::U256::from_limbs([10_000_000_000_000_000, 0, 0, 0])),
            check_every: Duration::from_secs(300),
            registrations_every: Duration::from_secs(3600),
            data_api: true,
            prices: None,
        }
    }
}
