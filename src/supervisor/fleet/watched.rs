//! Time as the fleet counts it: what was watched, not what the clock says. A clock that jumps back adds nothing, and one that leaps adds a
//! minute at most: so a leap of hours makes no allowance run out, no window empty, and no burst of restarts.

use std::time::Duration;

use crate::types::UnixMillis;

/// The most that one step adds. Looks are seconds apart.
const LONGEST_STEP_MS: i64 = 60_000;

/// Milliseconds that were watched since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WatchedMs(pub(super) i64);

impl WatchedMs {
    /// Milliseconds since an earlier moment.
    pub(super) fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    pub(super) fn is_after(self, earlier: Self, duration: Duration) -> bool {
        self.since(earlier) >= millis(duration)
    }

    #[must_use]
    pub(super) fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Follows the clock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WatchedClock {
    last: Option<UnixMillis>,
    watched: WatchedMs,
}

impl WatchedClock {
    pub(super) fn at(&mut self, now: UnixMillis) -> WatchedMs {
        if let Some(last) = self.last.replace(now) {
            let step = now.saturating_sub(last).clamp(0, LONGEST_STEP_MS);
            self.watched.0 = self.watched.0.saturating_add(step);
        }
        self.watched
    }

    /// What the clock said last.
    pub(super) fn wall(&self) -> UnixMillis {
        self.last.unwrap_or_default()
    }

    pub(super) const fn now(&self) -> WatchedMs {
        self.watched
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaps_and_steps_back_are_no_time() {
        let mut clock = WatchedClock::default();
        for (now, watched) in [
            (1_000, 0),
            (3_000, 2_000),
            (2_000, 2_000),
            (2_500, 2_500),
            (99_000_000, 62_500),
            (i64::MIN, 62_500),
        ] {
            assert_eq!(clock.at(now), WatchedMs(watched), "{now}");
        }
    }
}
