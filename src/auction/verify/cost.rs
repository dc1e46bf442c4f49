//! How long a check takes, as measured. Pure.

use std::time::Duration;

/// Assumed until the first check was measured: a signature on a core of 2020.
const FIRST: Duration = Duration::from_millis(1);
/// Bounds of what is believed. A thread that was put aside for half a second says nothing of the next check.
const LEAST: Duration = Duration::from_micros(50);
const MOST: Duration = Duration::from_millis(20);
/// Weight of a new measurement: one eighth.
const SHIFT: u32 = 3;
/// One measurement counts at most this many times what was believed before.
const MAX_RISE: u32 = 4;

/// A moving average of the duration of checks, in wall-clock time: on a busy machine it is longer, and that is what counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CheckCost(Duration);

impl Default for CheckCost {
    fn default() -> Self {
        Self(FIRST)
    }
}

impl CheckCost {
    /// How long the next check will take.
    pub(super) const fn estimate(self) -> Duration {
        self.0
    }

    /// Takes in how long one took.
    pub(super) fn measured(&mut self, took: Duration) {
        let took = took.min(self.0.saturating_mul(MAX_RISE));
        let kept = self.0 - self.0 / (1 << SHIFT);
        self.0 = (kept + took / (1 << SHIFT)).clamp(LEAST, MOST);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_follows_what_is_measured_and_no_single_stall_stops_all_checks() {
        let mut cost = CheckCost::default();
        cost.measured(Duration::from_secs(3));
        assert!(cost.estimate() < Duration::from_millis(2), "{cost:?}");
        for _ in 0..100 {
            cost.measured(Duration::from_millis(4));
        }
        assert!(cost.estimate().abs_diff(Duration::from_millis(4)) < Duration::from_micros(50), "{cost:?}");
        for _ in 0..100 {
            cost.measured(Duration::from_micros(700));
        }
        assert!(cost.estimate() < Duration::from_millis(1), "{cost:?}");
    }

    proptest! {
        #[test]
        fn it_stays_within_its_bounds(took in proptest::collection::vec(any::<u64>(), 0..100)) {
            let mut cost = CheckCost::default();
            for ns in took {
                cost.measured(Duration::from_nanos(ns));
                prop_assert!((LEAST..=MOST).contains(&cost.estimate()));
            }
        }
    }
}
