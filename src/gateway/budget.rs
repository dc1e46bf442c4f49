//! How many requests an upstream may be sent: so many a second, and so many a UTC day. Probes count in the day, and go past the second's limit:
//! there are few of them, and an upstream whose calls leave no room for a probe would look dead because it is busy.
//!
//! The day's count is in memory: after a restart it begins at 0, so that what a provider bills may be more than what is shown.

use std::num::NonZeroU32;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use parking_lot::Mutex;
use serde::Serialize;

use super::UpstreamSettings;
use crate::types::{UnixMillis, UtcDay};

/// The budget of one upstream.
#[derive(Debug)]
pub struct Budget {
    /// By a clock that never jumps, unlike the day.
    second: Option<DefaultDirectRateLimiter>,
    per_second: Option<NonZeroU32>,
    per_day: Option<u64>,
    used: Mutex<Used>,
}

#[derive(Clone, Copy, Debug)]
struct Used {
    day: UtcDay,
    sent: u64,
    refused: u64,
}

/// What is used of a budget today.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BudgetUse {
    /// Requests that were sent this UTC day, as far as this process knows.
    pub sent: u64,
    /// Requests that were not sent this UTC day, as the second's or the day's budget was used up.
    pub refused: u64,
    /// Most requests a day; none: no limit.
    pub per_day: Option<u64>,
}

impl BudgetUse {
    /// Whether nothing can be sent until the next day.
    pub fn is_used_up(&self) -> bool {
        self.per_day.is_some_and(|most| self.sent >= most)
    }
}

impl Budget {
    /// A budget of which nothing is used; no limit where there is none, and 0 a second is no limit either.
    pub fn new(per_second: Option<u32>, per_day: Option<u64>) -> Self {
        let per_second = per_second.and_then(NonZeroU32::new);
        let second = per_second.map(Quota::per_second).map(RateLimiter::direct);
        let used = Used { day: UtcDay::new(i64::MIN), sent: 0, refused: 0 };
        Self { second, per_second, per_day, used: Mutex::new(used) }
    }

    /// The budget that an upstream's settings have.
    pub fn of(settings: &UpstreamSettings) -> Self {
        Self::new(settings.max_requests_per_second, settings.max_requests_per_day)
    }

    /// Takes so many requests out of it, all or none. False: they must not be sent. More than a second has at once can never be taken together.
    pub fn try_take(&self, requests: u32, now: UnixMillis) -> bool {
        self.take(requests, now, |requests| {
            self.second.as_ref().is_none_or(|second| matches!(second.check_n(requests), Ok(Ok(()))))
        })
    }

    /// As [`Budget::try_take`], for probes: from the day alone.
    pub fn try_take_for_probe(&self, requests: u32, now: UnixMillis) -> bool {
        self.take(requests, now, |_| true)
    }

    fn take(&self, requests: u32, now: UnixMillis, is_in_second: impl FnOnce(NonZeroU32) -> bool) -> bool {
        let Some(requests) = NonZeroU32::new(requests) else { return true };
        let count = u64::from(requests.get());
        let mut used = self.used.lock();
        used.turn_to(now);
        let is_in_day = self.per_day.is_none_or(|most| used.sent.saturating_add(count) <= most);
        // The day first, so that a second's share is not spent on what is not sent.
        let may = is_in_day && is_in_second(requests);
        let counter = if may { &mut used.sent } else { &mut used.refused };
        *counter = counter.saturating_add(count);
        may
    }

    /// The most requests that can be taken together: what a second has, and what is left of the day. At least 1, also when nothing is left.
    pub fn most_at_once(&self, now: UnixMillis) -> usize {
        let used = self.used(now);
        let second = self.per_second.map_or(u64::MAX, |most| u64::from(most.get()));
        let day = used.per_day.map_or(u64::MAX, |most| most.saturating_sub(used.sent));
        usize::try_from(second.min(day)).unwrap_or(usize::MAX).max(1)
    }

    /// What is used of it today.
    pub fn used(&self, now: UnixMillis) -> BudgetUse {
        let mut used = self.used.lock();
        used.turn_to(now);
        BudgetUse { sent: used.sent, refused: used.refused, per_day: self.per_day }
    }
}

impl Used {
    /// Begins anew on a new day. A clock that is set back does not give yesterday's budget again.
    fn turn_to(&mut self, now: UnixMillis) {
        let today = UtcDay::of(now);
        if today > self.day {
            *self = Self { day: today, sent: 0, refused: 0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::DAY_MS;

    #[test]
    fn a_day_has_so_many_requests_and_the_next_as_many_again() {
        let budget = Budget::new(None, Some(2));
        let noon = 20_000 * DAY_MS + DAY_MS / 2;
        assert_eq!([0, 1, 2].map(|ms| budget.try_take(1, noon + ms)), [true, true, false]);
        let used = budget.used(noon);
        assert_eq!(used, BudgetUse { sent: 2, refused: 1, per_day: Some(2) });
        assert!(used.is_used_up());
        assert!(budget.try_take(1, noon + DAY_MS / 2), "it is midnight");
        assert!(!budget.used(noon + DAY_MS / 2).is_used_up());
        // The clock is set back: still the same budget.
        assert_eq!([0, 1].map(|ms| budget.try_take(1, noon + ms)), [true, false]);
    }

    #[test]
    fn a_second_has_so_many_and_what_is_not_sent_is_counted() {
        let budget = Budget::new(Some(3), None);
        let taken = (0..1_000).filter(|_| budget.try_take(1, 0)).count();
        assert!((3..1_000).contains(&taken), "{taken}");
        let used = budget.used(0);
        assert_eq!((used.sent, used.refused), (taken as u64, 1_000 - taken as u64));
        assert!(!used.is_used_up());
        let unlimited = Budget::new(Some(0), None);
        assert!((0..1_000).all(|_| unlimited.try_take(1, 0)));
    }

    #[test]
    fn several_are_taken_together_or_none_of_them() {
        let budget = Budget::new(Some(5), Some(7));
        assert_eq!(budget.most_at_once(0), 5);
        assert!(!budget.try_take(6, 0), "more than a second has");
        assert!(budget.try_take(0, 0) && budget.try_take(5, 0), "and yet nothing was taken for it");
        assert_eq!(budget.most_at_once(0), 2);
        // The day says no before the second is asked.
        assert!(!budget.try_take(3, 0));
        assert_eq!(budget.used(0), BudgetUse { sent: 5, refused: 9, per_day: Some(7) });
        assert_eq!(Budget::new(None, None).most_at_once(0), usize::MAX);
        let of_a_day = Budget::new(None, Some(2));
        assert!(!of_a_day.try_take(u32::MAX, 0) && of_a_day.try_take(2, 0));
        assert_eq!(of_a_day.most_at_once(0), 1, "never 0: calls are put together by it");
    }

    #[test]
    fn a_second_that_is_used_up_leaves_room_for_probes_and_a_day_does_not() {
        let budget = Budget::new(Some(1), Some(3));
        assert!(budget.try_take(1, 0) && !budget.try_take(1, 0));
        assert!((0..2).all(|_| budget.try_take_for_probe(1, 0)), "they count in the day");
        assert!(!budget.try_take_for_probe(1, 0) && budget.used(0).is_used_up());
    }
}
