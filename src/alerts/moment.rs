//! Time as alerts count it: what was watched, not what the clock says.
//!
//! How long a trouble lasted is the sum of the steps between two looks, each as the clock says it. A clock that jumps back adds nothing. One
//! that jumps forward, a machine that slept and a service that was away add nothing either: more than [`LONGEST_STEP_MS`] between two looks
//! were not watched, and what was not watched neither proves that a trouble lasted nor that it was over. So a leap of hours pages nobody and
//! resolves nothing; at worst, everything comes as much later as nobody looked. A restart of less than that is counted in full.
//!
//! What people plan by the clock (silences, digests, rotas, links that expire) goes by the clock.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::types::UnixMillis;

/// More than this between two looks is no time that was watched. Looks are ten seconds apart at most.
pub(super) const LONGEST_STEP_MS: i64 = 60_000;

/// A point in time: by the clock, for people, and in watched time, for decisions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// What the clock said, in Unix milliseconds.
    pub at: UnixMillis,
    /// Milliseconds that were watched since the first look ever. Never goes back.
    pub watched_ms: i64,
}

impl Moment {
    /// The next look, at `now` by the clock.
    #[must_use]
    pub fn next(self, now: UnixMillis) -> Self {
        let step = if self.is_watched_until(now) { now.saturating_sub(self.at) } else { 0 };
        Self { at: now, watched_ms: self.watched_ms.saturating_add(step) }
    }

    /// Whether a look at `now` would count what passed in between.
    pub(super) fn is_watched_until(self, now: UnixMillis) -> bool {
        (0..=LONGEST_STEP_MS).contains(&now.saturating_sub(self.at))
    }

    /// Whether at least this much was watched since an earlier moment.
    pub fn is_after(self, since: Self, duration: Duration) -> bool {
        self.watched_ms.saturating_sub(since.watched_ms) >= millis(duration)
    }

    /// The same, later in watched time.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let ms = millis(duration);
        Self { at: self.at.saturating_add(ms), watched_ms: self.watched_ms.saturating_add(ms) }
    }

    /// Whether this moment has come in watched time.
    pub fn has_come(self, now: Self) -> bool {
        now.watched_ms >= self.watched_ms
    }
}

/// A duration in whole milliseconds.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_watched_counts() {
        const HOUR: i64 = 3_600_000;
        let start = Moment { at: 1_000_000_000, watched_ms: 500 };
        for (name, step, counted) in [
            ("a second", 1000, 1000),
            ("a short restart", 59_000, 59_000),
            ("a leap forward", 5 * HOUR, 0),
            ("a leap back", -5 * HOUR, 0),
            ("nothing", 0, 0),
        ] {
            let next = start.next(start.at + step);
            assert_eq!(next, Moment { at: start.at + step, watched_ms: 500 + counted }, "{name}");
        }
    }

    #[test]
    fn moments_are_compared_by_what_was_watched() {
        let start = Moment { at: 1000, watched_ms: 0 };
        let later = Moment { at: 0, watched_ms: 5000 };
        assert!(later.is_after(start, Duration::from_secs(5)));
        assert!(!later.is_after(start, Duration::from_millis(5001)));
        assert!(start.plus(Duration::from_secs(5)).has_come(later));
        assert!(!start.plus(Duration::from_millis(5001)).has_come(later));
        assert!(!start.plus(Duration::MAX).has_come(later));
    }
}
