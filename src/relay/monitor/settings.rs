//! What `[trust]` and `[rotation]` say, checked.

use crate::relay::{health::TrustPolicy, rotation::RotationPolicy};

/// How relays are kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HealthMonitorSettings {
    /// What observations weigh, and what an offence costs: `[trust]`.
    pub trust: TrustPolicy,
    /// What pressure makes relays rest, and for how long: `[rotation]`.
    pub rotation: RotationPolicy,
    /// Whether somebody watches the chain. Then a relay's word that it revealed a block is to its credit only once the block is there.
    pub watches_chain: bool,
}
