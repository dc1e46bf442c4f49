//! What `[auction]` says, checked.

use std::time::Duration;

use super::early::SoftDeadline;
use crate::types::Wei;

/// How the auction is held.
#[derive(Clone, Debug, PartialEq)]
pub struct AuctionSettings {
    /// Longest time from a header request to its answer. Default 950 ms: most consensus clients hang up at 1 s.
    pub timeout_get_header: Duration,
    /// Longest time from a signed block to its answer. Default 4 s.
    pub timeout_get_payload: Duration,
    /// Longest time for registrations. Default 3 s.
    pub timeout_register_validator: Duration,
    /// No header is asked for or returned later than this into the slot, in milliseconds. Default 2000.
    pub late_in_slot_ms: u64,
    /// Bids below are dropped. Default 0.
    pub min_bid: Wei,
    /// A bid must exceed the local block's value by this, where the beacon node tells it in time. Default: not asked.
    pub min_profit: Option<Wei>,
    /// Part of the budget kept for verifying and encoding. Default 10 ms.
    pub reserve: Duration,
    /// What to do about a gas limit that cannot follow from the registration. Default: warn.
    pub gas_limit_check: GasLimitCheck,
    /// How long after the relays that offered the block the others get it. Default 0: in the same instant.
    pub submit_others_delay: Duration,
    /// When a race may be decided before everybody answered. Default: never.
    pub soft_deadline: Option<SoftDeadline>,
}

/// What to do about a bid whose gas limit ignores the proposer's registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GasLimitCheck {
    /// Nothing.
    Off,
    /// Count and log it, use the bid.
    Warn,
    /// Drop the bid.
    Enforce,
}

impl Default for AuctionSettings {
    fn default() -> Self {
        Self {
            timeout_get_header: Duration::from_millis(950),
            timeout_get_payload: Duration::from_millis(4000),
            timeout_register_validator: Duration::from_millis(3000),
            late_in_slot_ms: 2000,
            min_bid: Wei::ZERO,
            min_profit: None,
            reserve: Duration::from_millis(10),
            gas_limit_check: GasLimitCheck::Warn,
            submit_others_delay: Duration::ZERO,
            soft_deadline: None,
        }
    }
}
