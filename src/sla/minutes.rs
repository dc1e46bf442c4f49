//! Which minute it is, and for how much of it somebody watched, by two clocks: the wall clock says which minute, the monotonic one how long.
//! Where they disagree the wall clock was put forward or back. The time in between is nobody's then: it is watched in no minute.

use std::{collections::BTreeMap, time::Duration};

use super::{Indicator, bucket::Bucket};
use crate::types::UnixMillis;

/// A minute in milliseconds.
pub(super) const MINUTE_MS: i64 = 60_000;
/// Further apart than this, the clocks disagree: the wall clock was set. Well above what slewing does between two looks.
const TOLERANCE_MS: i64 = 2_000;
/// A longer time between two looks was watched by nobody: the process was stopped, or the machine asleep or starved.
const LONGEST_MS: i64 = 30_000;

/// Minutes since 1970-01-01 UTC.
pub(super) const fn minute_of(at: UnixMillis) -> i64 {
    at.div_euclid(MINUTE_MS)
}

/// A minute that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClosedMinute {
    pub(super) minute: i64,
    pub(super) watched_ms: i64,
    pub(super) buckets: BTreeMap<Indicator, Bucket>,
}

/// The minute that goes on.
#[derive(Clone, Debug)]
pub(super) struct Minutes {
    wall: UnixMillis,
    monotonic: Duration,
    watched_ms: i64,
    buckets: BTreeMap<Indicator, Bucket>,
    steady_since: Duration,
}

impl Minutes {
    /// Begins to watch. `monotonic` counts from any moment.
    pub(super) const fn new(wall: UnixMillis, monotonic: Duration) -> Self {
        Self { wall, monotonic, watched_ms: 0, buckets: BTreeMap::new(), steady_since: monotonic }
    }

    /// Where what is seen of a part goes.
    pub(super) fn bucket(&mut self, indicator: Indicator) -> &mut Bucket {
        self.buckets.entry(indicator).or_default()
    }

    /// How long the wall clock has gone on as the monotonic one did.
    pub(super) fn steady_for(&self) -> Duration {
        self.monotonic.saturating_sub(self.steady_since)
    }

    /// Time has passed, and what was seen in it is in the buckets; the minute that is over by it, if one is.
    pub(super) fn pass(&mut self, wall: UnixMillis, monotonic: Duration) -> Option<ClosedMinute> {
        let passed = monotonic.saturating_sub(self.monotonic).as_millis();
        let passed = i64::try_from(passed).unwrap_or(i64::MAX);
        let was_set = wall.saturating_sub(self.wall.saturating_add(passed)).saturating_abs() > TOLERANCE_MS;
        let was_away = passed > LONGEST_MS;
        let (before, now) = (minute_of(self.wall), minute_of(wall));
        let end = before.saturating_add(1).saturating_mul(MINUTE_MS);
        let is_watched = !was_set && !was_away;
        if is_watched {
            let watched = wall.min(end).saturating_sub(self.wall).max(0);
            self.watched_ms = self.watched_ms.saturating_add(watched).min(MINUTE_MS);
        }
        if was_set {
            self.steady_since = monotonic;
        }
        (self.wall, self.monotonic) = (wall, monotonic);
        if now == before {
            return None;
        }
        let closed = self.close(before);
        self.watched_ms = if is_watched { wall.saturating_sub(end).clamp(0, MINUTE_MS) } else { 0 };
        Some(closed)
    }

    /// Ends the minute before it is over, as the process stops.
    pub(super) fn stop(&mut self) -> ClosedMinute {
        self.close(minute_of(self.wall))
    }

    fn close(&mut self, minute: i64) -> ClosedMinute {
        let buckets = std::mem::take(&mut self.buckets);
        let watched_ms = std::mem::take(&mut self.watched_ms);
        ClosedMinute { minute, watched_ms, buckets }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Looks of (wall, monotonic) in milliseconds; what was closed, with how long it was watched.
    fn play(looks: &[(i64, u64)]) -> Vec<(i64, i64)> {
        let (first, rest) = looks.split_first().unwrap();
        let mut minutes = Minutes::new(first.0, Duration::from_millis(first.1));
        rest.iter()
            .filter_map(|(wall, monotonic)| minutes.pass(*wall, Duration::from_millis(*monotonic)))
            .map(|closed| (closed.minute, closed.watched_ms))
            .collect()
    }

    /// Every five seconds from `wall` and `monotonic` on, so often.
    fn steady(wall: i64, monotonic: u64, looks: i64) -> Vec<(i64, u64)> {
        (0..looks).map(|n| (wall + n * 5000, monotonic + n.unsigned_abs() * 5000)).collect()
    }

    #[test]
    fn minutes_that_were_watched_are_watched_whole() {
        assert_eq!(play(&steady(0, 7, 25)), [(0, 60_000), (1, 60_000)]);
        // Begun in the middle; looks that miss the boundary.
        assert_eq!(play(&steady(33_000, 0, 20)), [(0, 27_000), (1, 60_000)]);
    }

    #[test]
    fn a_clock_put_forward_leaves_the_minutes_between_unknown() {
        let mut looks = steady(0, 0, 7);
        looks.extend(steady(3_600_000, 35_000, 13));
        // What passed around the jump is watched in neither minute.
        assert_eq!(play(&looks), [(0, 30_000), (60, 60_000)]);
    }

    #[test]
    fn a_clock_put_back_ends_the_minute_and_begins_an_earlier_one() {
        let mut looks = steady(600_000, 0, 13);
        looks.extend(steady(300_000, 65_000, 13));
        assert_eq!(play(&looks), [(10, 60_000), (11, 0), (5, 60_000)]);
    }

    #[test]
    fn a_clock_put_back_within_a_minute_makes_it_no_longer() {
        let mut looks = steady(0, 0, 12);
        looks.extend(steady(10_000, 60_000, 12));
        assert_eq!(play(&looks), [(0, 60_000)]);
    }

    #[test]
    fn a_machine_that_slept_watched_nothing() {
        // Asleep by both clocks: no jump, and nobody watched all the same.
        assert_eq!(
            play(&[(0, 0), (5000, 5000), (305_000, 305_000), (310_000, 310_000), (360_000, 330_000)]),
            [(0, 5000), (5, 5000)]
        );
    }

    #[test]
    fn a_clock_that_was_set_is_not_steady() {
        let mut minutes = Minutes::new(0, Duration::ZERO);
        minutes.pass(5000, Duration::from_secs(5));
        assert_eq!(minutes.steady_for(), Duration::from_secs(5));
        minutes.pass(500_000, Duration::from_secs(10));
        minutes.pass(505_000, Duration::from_secs(15));
        assert_eq!(minutes.steady_for(), Duration::from_secs(5));
    }

    proptest! {
        /// However the wall clock is set: no more is watched than passed, and no minute for longer than it has.
        #[test]
        fn no_time_is_watched_twice(steps in proptest::collection::vec((0_u64..40_000, -200_000_i64..200_000, any::<bool>()), 1..200)) {
            let (mut wall, mut monotonic) = (10_000_000_i64, 0_u64);
            let mut minutes = Minutes::new(wall, Duration::ZERO);
            let mut watched = 0;
            for (passed, jump, jumps) in steps {
                monotonic += passed;
                wall += passed as i64 + if jumps { jump } else { 0 };
                if let Some(closed) = minutes.pass(wall, Duration::from_millis(monotonic)) {
                    prop_assert!((0..=MINUTE_MS).contains(&closed.watched_ms));
                    watched += closed.watched_ms;
                }
            }
            watched += minutes.stop().watched_ms;
            // Each look may be off by what the clocks may disagree.
            prop_assert!(watched <= monotonic as i64 + 200 * TOLERANCE_MS);
        }
    }
}
