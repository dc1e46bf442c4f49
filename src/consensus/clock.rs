//! Slots and the wall clock.
//!
//! Everything is signed: a consensus client whose clock runs ahead asks before its slot starts, and "minus 40 milliseconds into the
//! slot" is a fact to serve, not an underflow.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use crate::types::{Slot, UnixMillis};

/// The wall clock: the system's, or one that a test moves by hand. Clones show the same time.
///
/// It is made where a process begins and handed down from there: whoever makes one of its own cannot be tested at another time.
#[derive(Clone, Debug)]
pub struct WallClock {
    /// The time of a clock that is moved by hand; none of the system's.
    by_hand: Option<Arc<AtomicI64>>,
}

impl WallClock {
    /// The system's clock.
    pub const fn system() -> Self {
        Self { by_hand: None }
    }

    /// A clock that stands still at a time, and the hand that moves it.
    pub fn manual(now: UnixMillis) -> (Self, ClockHand) {
        let time = Arc::new(AtomicI64::new(now));
        (Self { by_hand: Some(Arc::clone(&time)) }, ClockHand(time))
    }

    /// Now, in milliseconds since 1970.
    pub fn now(&self) -> UnixMillis {
        match &self.by_hand {
            None => system_time(),
            Some(time) => time.load(Ordering::Relaxed),
        }
    }
}

/// The only place that reads the system's clock.
#[expect(clippy::disallowed_methods, reason = "this is the one reader of wall time")]
fn system_time() -> UnixMillis {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    }
}

/// Moves a clock of [`WallClock::manual`], and with it all its clones.
#[derive(Clone, Debug)]
pub struct ClockHand(Arc<AtomicI64>);

impl ClockHand {
    /// Sets the clock, forwards or backwards.
    pub fn set(&self, now: UnixMillis) {
        self.0.store(now, Ordering::Relaxed);
    }

    /// Moves the clock on by so many milliseconds.
    pub fn advance(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
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
    fn a_clock_moved_by_hand_stands_still_in_between_and_takes_its_clones_along() {
        let (clock, hand) = WallClock::manual(1_000);
        let held_elsewhere = clock.clone();
        assert_eq!([clock.now(), clock.now()], [1_000, 1_000]);
        hand.advance(500);
        assert_eq!([clock.now(), held_elsewhere.now()], [1_500, 1_500]);
        hand.set(-7);
        assert_eq!([clock.now(), held_elsewhere.now()], [-7, -7]);
        assert_eq!(WallClock::manual(3).0.now(), 3, "each is a clock of its own");
    }

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
