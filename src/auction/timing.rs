//! Timing games: when a relay is asked first, how often again, and which of its bids counts. Pure.
//!
//! A bid grows while the slot goes on, so asking later, or again, can pay more; asking too late pays nothing. The budget is the
//! race's own and is never made longer: all of this happens within it. Rules as in Commit-Boost, whose keys these are: the first
//! request at `target_first_request_ms` into the slot, at once if that is past or beyond the budget; the next after
//! `frequency_get_header_ms`, while more than that is left.

use std::time::Duration;

/// Which of a relay's bids counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// The highest that verifies: what a relay signed, it must reveal.
    #[default]
    Highest,
    /// The one asked for last: builders may cancel what they bid before. A late, failed or empty answer cancels nothing.
    Latest,
}

/// Timing games with one relay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// When to ask first, into the slot.
    pub first: Option<Duration>,
    /// How long after a request to ask again.
    pub every: Option<Duration>,
    /// Which of the relay's bids counts, where it is asked several times.
    pub keep: Keep,
}

/// Least time that must be left for a first request that is held back: a request that cannot be answered is worth nothing.
const MIN_LEFT: Duration = Duration::from_millis(100);

impl Timing {
    /// Whether anything but one request at once is to be done.
    pub fn is_played(&self) -> bool {
        self.first.is_some() || self.every.is_some()
    }

    /// How long to wait before the first request. `ms_into_slot` is negative before the slot.
    pub fn first_delay(&self, ms_into_slot: i64, budget: Duration) -> Duration {
        let Some(first) = self.first else { return Duration::ZERO };
        let target = i64::try_from(first.as_millis()).unwrap_or(i64::MAX);
        let delay = target.saturating_sub(ms_into_slot);
        let delay = Duration::from_millis(u64::try_from(delay).unwrap_or(0));
        if delay.saturating_add(MIN_LEFT) > budget { Duration::ZERO } else { delay }
    }

    /// How long after a request, with `left` of the budget, to send the next; `None` when it was the last.
    pub fn next_delay(&self, left: Duration) -> Option<Duration> {
        self.every.filter(|every| left > *every)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// When requests go out, in milliseconds into the slot, and how long each may take.
    fn plan(timing: Timing, asked_at: i64, budget: u64) -> Vec<(i64, u64)> {
        let first = timing.first_delay(asked_at, ms(budget));
        let mut left = ms(budget) - first;
        let mut at = asked_at + i64::try_from(first.as_millis()).unwrap();
        let mut plan = vec![(at, u64::try_from(left.as_millis()).unwrap())];
        while let Some(wait) = timing.next_delay(left) {
            left -= wait;
            at += i64::try_from(wait.as_millis()).unwrap();
            plan.push((at, u64::try_from(left.as_millis()).unwrap()));
        }
        plan
    }

    /// [T1] The schedule that rivals document: 200, 500, 800 with 850, 550, 250 left.
    #[test]
    fn the_schedule_that_rivals_document() {
        let timing = Timing { first: Some(ms(200)), every: Some(ms(300)), keep: Keep::Highest };
        for (name, asked_at, budget, want) in [
            ("at 100", 100, 950, vec![(200, 850), (500, 550), (800, 250)]),
            ("at 1500, 500 ms before the cut", 1500, 500, vec![(1500, 500), (1800, 200)]),
            ("before the slot", -50, 950, vec![(200, 700), (500, 400), (800, 100)]),
            ("just past the target", 201, 950, vec![(201, 950), (501, 650), (801, 350), (1101, 50)]),
            ("too little left to hold back", 150, 120, vec![(150, 120)]),
        ] {
            assert_eq!(plan(timing, asked_at, budget), want, "{name}");
        }
        assert_eq!(plan(Timing::default(), 0, 950), [(0, 950)]);
    }

    proptest! {
        #[test]
        fn no_clock_makes_the_budget_longer(
            first in proptest::option::of(0u64..20_000), every in proptest::option::of(10u64..1000),
            asked_at in any::<i64>(), budget in 1u64..2000,
        ) {
            let timing = Timing { first: first.map(ms), every: every.map(ms), keep: Keep::Latest };
            prop_assert!(timing.first_delay(asked_at, ms(budget)) < ms(budget));
            if (-30_000..30_000).contains(&asked_at) {
                for (at, left) in plan(timing, asked_at, budget) {
                    prop_assert!(at >= asked_at && left <= budget);
                    prop_assert_eq!(at - asked_at + i64::try_from(left).unwrap(), i64::try_from(budget).unwrap());
                }
            }
        }
    }
}
