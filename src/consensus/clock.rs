//! Slots and the wall clock.
//!
//! Everything is signed: a consensus client whose clock runs ahead asks before its slot starts, and "minus 40 milliseconds into the
//! slot" is a fact to serve, not an underflow.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::types::{Slot, UnixMillis};

/// The system's wall clock. The only place that reads it.
#[derive(Clone, Copy, Debug, Default)]
pub struct WallClock;

impl WallClock {
    /// Now, in milliseconds since 1970.
    #[expect(clippy::disallowed_methods, reason = "this is the one reader of wall time")]
    pub fn now(self) -> UnixMillis {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
        }
    }
}

/// Turns slots into times and back: genesis and the slot's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotClock {
    genesis_secs: u64,
    slot_ms: u64,
}

impl SlotClock {
    /// A clock of a chain whose genesis was at `genesis_secs` (Unix time) and whose slots last `slot_ms` milliseconds.
    pub const fn new(genesis_secs: u64, slot_ms: u64) -> Self {
        Self { genesis_secs, slot_ms }
    }

    /// Length of a slot in milliseconds.
    pub const fn slot_ms(self) -> u64 {
        self.slot_ms
    }

    /// When a slot starts; saturates at the end of time.
    pub fn start_of(self, slot: Slot) -> UnixMillis {
        let ms = u128::from(self.genesis_secs) * 1000 + u128::from(slot.as_u64()) * u128::from(self.slot_ms);
        i64::try_from(ms).unwrap_or(i64::MAX)
    }

    /// The timestamp that a payload of this slot must carry, in Unix seconds.
    /// Spec: consensus-specs `compute_time_at_slot`.
    pub fn payload_timestamp(self, slot: Slot) -> u64 {
        u64::try_from(self.start_of(slot) / 1000).unwrap_or(0)
    }

    /// How far into the slot `now` is, in milliseconds; negative before it starts.
    pub fn ms_into(self, slot: Slot, now: UnixMillis) -> i64 {
        now.saturating_sub(self.start_of(slot))
    }

    /// The slot that `now` lies in; slot 0 before genesis.
    pub fn slot_at(self, now: UnixMillis) -> Slot {
        let since = i128::from(now) - i128::from(self.genesis_secs) * 1000;
        let slots = since.max(0).checked_div(i128::from(self.slot_ms)).unwrap_or(0);
        Slot::new(u64::try_from(slots).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_the_slot_are_negative_not_enormous() {
        let clock = SlotClock::new(1_606_824_023, 12_000);
        assert_eq!(clock.ms_into(Slot::new(1), 1_606_824_023_000 + 11_960), -40);
        assert_eq!(clock.slot_at(0), Slot::new(0));
        assert_eq!(clock.slot_at(1_606_824_035_000), Slot::new(1));
        assert_eq!(clock.start_of(Slot::new(u64::MAX)), i64::MAX);
        assert_eq!(clock.ms_into(Slot::new(u64::MAX), i64::MIN), i64::MIN);
    }

    #[test]
    fn mainnet_fulu_starts_when_it_did() {
        let clock = SlotClock::new(1_606_824_023, 12_000);
        assert_eq!(clock.payload_timestamp(Slot::new(13_164_544)), 1_764_798_551);
    }
}
