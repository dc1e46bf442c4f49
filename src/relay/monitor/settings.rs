//! What `[trust]` and `[rotation]` say, checked.

use crate::relay::{health::TrustPolicy, rotation::RotationPolicy};

/// How relays are kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HealthMonitorSettings {
    /// How observations are judged.
    pub trust: TrustPolicy,
    /// When relays rest.
    pub rotation: RotationPolicy,
    /// Whether somebody watches the chain. Then a relay's word that it revealed a block is to its credit only once the block is there.
    pub watches_chain: bool,
}
