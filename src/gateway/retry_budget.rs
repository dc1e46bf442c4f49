//! How many second questions may be asked because the first is slow to be answered: a share of the calls that there are, as linkerd's retry budget
//! has it. When all nodes are slow under their load, it is not doubled for that.

use parking_lot::Mutex;
use tokio::time::Instant;

/// One second question for so many calls.
const CALLS_EACH: u64 = 5;
/// As many of them a second there may be however few calls there are.
const LEAST_EACH_SECOND: u64 = 10;
/// Seconds that are looked at.
const SECONDS: usize = 10;

/// The budget of all calls together.
#[derive(Debug)]
pub(super) struct RetryBudget {
    began: Instant,
    slots: Mutex<[Slot; SECONDS]>,
}

/// One second.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    second: u64,
    calls: u64,
    taken: u64,
}

impl RetryBudget {
    /// One of which nothing is used, and for which there were no calls yet.
    pub(super) fn new(now: Instant) -> Self {
        Self { began: now, slots: Mutex::default() }
    }

    /// There is one more call.
    pub(super) fn note_call(&self, now: Instant) {
        self.with_slot(now, |slot| slot.calls += 1);
    }

    /// Takes so many second questions, all or none. False: they must not be asked.
    pub(super) fn try_take(&self, questions: u64, now: Instant) -> bool {
        let second = self.second(now);
        let sums = |slots: &[Slot]| {
            let lately = slots.iter().filter(|slot| second - slot.second.min(second) < SECONDS as u64);
            lately.fold((0_u64, 0_u64), |(calls, taken), slot| (calls + slot.calls, taken + slot.taken))
        };
        let (calls, taken) = sums(&*self.slots.lock());
        let most = LEAST_EACH_SECOND * SECONDS as u64 + calls / CALLS_EACH;
        let may = taken.saturating_add(questions) <= most;
        if may {
            self.with_slot(now, |slot| slot.taken += questions);
        }
        may
    }

    fn second(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.began).as_secs()
    }

    fn with_slot(&self, now: Instant, change: impl FnOnce(&mut Slot)) {
        let second = self.second(now);
        let mut slots = self.slots.lock();
        let place = usize::try_from(second % SECONDS as u64).unwrap_or(0);
        let Some(slot) = slots.get_mut(place) else { return };
        if slot.second != second {
            *slot = Slot { second, ..Slot::default() };
        }
        change(slot);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn second_questions_are_a_fifth_of_the_calls_and_some_there_always_are() {
        let now = Instant::now();
        let at = |ms: u64| now + Duration::from_millis(ms);
        let take = |budget: &RetryBudget, ms: u64| (0..10_000).filter(|_| budget.try_take(1, at(ms))).count();
        for (calls, want) in [(0, 100), (4, 100), (5, 101), (1_000, 300), (10_000, 2_100)] {
            let budget = RetryBudget::new(now);
            (0..calls).for_each(|_| budget.note_call(at(500)));
            assert_eq!(take(&budget, 900), want, "{calls}");
            assert_eq!(take(&budget, 9_900), 0, "{calls}: it is used up");
            // Ten seconds later both the calls and what was taken are forgotten.
            assert_eq!(take(&budget, 10_000), 100, "{calls}");
        }
        let budget = RetryBudget::new(now);
        assert!(!budget.try_take(101, at(0)) && budget.try_take(100, at(0)), "all or none");
    }
}
