//! Which validators are ours: those whose registration a client still repeats.
//!
//! Clients register all their validators once an epoch. One that moved to another sidecar is not registered here any more, and says nothing of
//! it. So it is ours until registrations came for a day (7,200 slots) without its own. The day is counted in time in which registrations are
//! heard at all: while the client is down, or we are, nobody has moved, and that is just when a slot without a request must be told.

use crate::{events::RegistrationFacts, types::UnixMillis};

/// Slots in which others register before a validator that does not is no longer ours: 225 epochs of mainnet, a day.
const OURS_FOR_SLOTS: u64 = 7200;
/// A longer pause between two registrations counts as one of this length: two epochs of mainnet.
const LONGEST_PAUSE_SLOTS: u64 = 64;

/// A validator, as it last registered, and when that was last repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RememberedValidator {
    /// Fee recipient, gas limit and time of its newest registration.
    pub facts: RegistrationFacts,
    /// When that was last heard, by [`HeardClock`].
    pub heard_at: i64,
}

/// A clock that goes while registrations are heard, in milliseconds. It goes on over restarts where it stood.
#[derive(Clone, Copy, Debug)]
pub struct HeardClock {
    now: i64,
    last: Option<UnixMillis>,
    slot_ms: i64,
}

impl HeardClock {
    /// A clock of a chain that stands where it last stood.
    pub fn new(slot_ms: u64, now: i64) -> Self {
        Self { now, last: None, slot_ms: i64::try_from(slot_ms).unwrap_or(i64::MAX) }
    }

    /// Registrations are heard.
    pub fn hear(&mut self, at: UnixMillis) {
        let longest = self.slots(LONGEST_PAUSE_SLOTS);
        let passed = self.last.map_or(0, |last| at.saturating_sub(last).clamp(0, longest));
        self.now = self.now.saturating_add(passed);
        self.last = Some(at);
    }

    /// Milliseconds by this clock. They are no date: the clock stands while no client registers.
    pub fn now(&self) -> i64 {
        self.now
    }

    /// Whether a validator that was last heard then is ours.
    pub fn is_ours(&self, heard_at: i64) -> bool {
        self.now.saturating_sub(heard_at) <= self.slots(OURS_FOR_SLOTS)
    }

    /// Whether it is worth writing down that a validator is heard that was last written down as heard then: four times while it is ours.
    pub fn is_worth_saving(&self, heard_at: i64) -> bool {
        self.now.saturating_sub(heard_at) >= self.slots(OURS_FOR_SLOTS / 4)
    }

    fn slots(&self, slots: u64) -> i64 {
        self.slot_ms.saturating_mul(i64::try_from(slots).unwrap_or(i64::MAX))
    }
}

/// Those of all remembered validators that are still ours.
pub fn still_ours(mut all: Vec<RememberedValidator>, slot_ms: u64) -> Vec<RememberedValidator> {
    let newest = all.iter().map(|validator| validator.heard_at).max().unwrap_or_default();
    let clock = HeardClock::new(slot_ms, newest);
    all.retain(|validator| clock.is_ours(validator.heard_at));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOT_MS: u64 = 12_000;
    const EPOCH: i64 = 32 * 12_000;

    #[test]
    fn the_clock_goes_while_registrations_are_heard() {
        let mut clock = HeardClock::new(SLOT_MS, 5);
        clock.hear(1_000_000);
        assert_eq!(clock.now(), 5, "an earlier process stopped we do not know when");
        clock.hear(1_000_000 + EPOCH);
        clock.hear(1_000_000 + EPOCH);
        assert_eq!(clock.now(), 5 + EPOCH);
        // The client is down for a week, and the clock of this machine is set back.
        clock.hear(1_000_000 + 1575 * EPOCH);
        assert_eq!(clock.now(), 5 + 3 * EPOCH);
        clock.hear(0);
        assert_eq!(clock.now(), 5 + 3 * EPOCH);
    }

    #[test]
    fn who_is_not_heard_for_a_day_is_not_ours() {
        let mut clock = HeardClock::new(SLOT_MS, 0);
        for epoch in 0..=225 {
            clock.hear(epoch * EPOCH);
        }
        assert!(clock.is_ours(0) && clock.is_worth_saving(0));
        clock.hear(226 * EPOCH);
        assert!(!clock.is_ours(0) && clock.is_ours(EPOCH));
        assert!(clock.is_worth_saving(169 * EPOCH) && !clock.is_worth_saving(170 * EPOCH));
    }

    #[test]
    fn of_those_remembered_the_ones_lately_heard_are_ours() {
        let of = |heard_at| {
            let facts = RegistrationFacts {
                pubkey: Default::default(),
                fee_recipient: Default::default(),
                gas_limit: 1,
                timestamp: 1,
            };
            RememberedValidator { facts, heard_at }
        };
        let day = 225 * EPOCH;
        let ours = still_ours(vec![of(0), of(10), of(10 + day)], SLOT_MS);
        assert_eq!(ours.iter().map(|validator| validator.heard_at).collect::<Vec<_>>(), [10, 10 + day]);
        // An earlier version did not write it down: as good as any other.
        assert_eq!(still_ours(vec![of(0), of(0)], SLOT_MS).len(), 2);
    }
}
