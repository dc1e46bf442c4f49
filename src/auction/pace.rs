//! How long races lately took, and what follows for one that waits for its turn. Pure.
//!
//! Where `limit` races are held at once and each takes `race`, one ends every `race / limit` (Little's law): nothing else has to be known
//! of what the machine, the relays or other processes do.

use std::time::Duration;

/// Assumed until the first race has ended. Arbitrary: relays' usual latency, and some.
const FIRST: Duration = Duration::from_millis(200);
/// Longest race that is believed: more than any budget.
const MOST: Duration = Duration::from_secs(10);
/// Weight of one more race: a sixteenth. With dozens at once, an average of the last tenth of a second.
const SHIFT: u32 = 4;

/// A moving average of the duration of races, and of how far they are from it, as TCP keeps of its round trips (RFC 6298).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    mean: Duration,
    deviation: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { mean: FIRST, deviation: FIRST / 4 }
    }
}

impl Pace {
    /// How long a race usually takes.
    pub(super) const fn usual(self) -> Duration {
        self.mean
    }

    /// How long most races take.
    pub(super) fn most(self) -> Duration {
        self.mean + self.deviation * 2
    }

    /// Takes in how long a race took.
    pub(super) fn measured(&mut self, took: Duration) {
        let took = took.min(MOST);
        let weigh = |old: Duration, new: Duration| old - old / (1 << SHIFT) + new / (1 << SHIFT);
        self.deviation = weigh(self.deviation, self.mean.abs_diff(took));
        self.mean = weigh(self.mean, took);
    }
}

/// How long the last of `waiting` waits for its turn where `limit` are held at once and each usually takes `race`.
pub(super) fn turn_after(race: Duration, limit: usize, waiting: usize) -> Duration {
    let waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
    let limit = u32::try_from(limit).unwrap_or(u32::MAX).max(1);
    race.saturating_mul(waiting) / limit
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn it_follows_what_is_measured() {
        let mut pace = Pace::default();
        assert_eq!((pace.usual(), pace.most()), (ms(200), ms(300)));
        for _ in 0..200 {
            pace.measured(ms(120));
        }
        assert!(pace.usual().abs_diff(ms(120)) < ms(1) && pace.most() < ms(122), "{pace:?}");
        for _ in 0..200 {
            pace.measured(ms(100));
            pace.measured(ms(200));
        }
        assert!(pace.usual().abs_diff(ms(150)) < ms(5), "{pace:?}");
        assert!(pace.most().abs_diff(ms(250)) < ms(10), "{pace:?}");
    }

    #[test]
    fn a_turn_comes_when_those_before_it_have_ended() {
        for (race, limit, waiting, want) in
            [(150, 50, 0, 0), (150, 50, 1, 3), (150, 50, 100, 300), (150, 0, 1, 150), (940, 16, 16, 940)]
        {
            assert_eq!(turn_after(ms(race), limit, waiting), ms(want), "{race} {limit} {waiting}");
        }
    }

    proptest! {
        #[test]
        fn it_stays_within_its_bounds(took in proptest::collection::vec(any::<u64>(), 0..100), waiting in any::<usize>()) {
            let mut pace = Pace::default();
            for ns in took {
                pace.measured(Duration::from_nanos(ns));
                prop_assert!(pace.usual() <= MOST && pace.most() <= MOST * 3);
            }
            prop_assert!(turn_after(pace.usual(), 1, waiting) >= turn_after(pace.usual(), 7, waiting));
        }
    }
}
