//! What waits to be checked, and in which order. Pure: `now` and the duration of a check are arguments.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

/// Why a signature was not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::auction) enum NotChecked {
    /// Too much waits already.
    #[error("too many signatures wait to be checked")]
    QueueFull,
    /// The check would end after its deadline.
    #[error("no time was left to check its signature")]
    NoTime,
    /// The check itself failed: a defect of ours, which proves nothing of the bid.
    #[error("the check of its signature failed, which is a defect of relaymux: please report it")]
    Broken,
}

/// What a free thread does next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<T> {
    /// Check this.
    Run(T),
    /// Say of this that it is too late for it.
    TooLate(T),
}

/// The queue before some threads: the earliest deadline goes first, of the same deadline what came first.
#[derive(Debug)]
pub(super) struct CheckQueue<T> {
    waiting: BTreeMap<(Instant, u64), T>,
    next: u64,
    running: usize,
    threads: usize,
    capacity: usize,
}

impl<T> CheckQueue<T> {
    /// An empty queue before `threads` threads, in which `capacity` checks may wait.
    pub(super) fn new(threads: usize, capacity: usize) -> Self {
        Self { waiting: BTreeMap::new(), next: 0, running: 0, threads: threads.max(1), capacity }
    }

    /// How long a check that came now would wait for its turn behind all others.
    pub(super) fn wait(&self, cost: Duration) -> Duration {
        self.turns(self.running + self.waiting.len(), cost)
    }

    /// How long a check waits that has so many before it.
    fn turns(&self, before: usize, cost: Duration) -> Duration {
        cost.saturating_mul(u32::try_from(before / self.threads).unwrap_or(u32::MAX))
    }

    /// Takes in a check that must end by `by`.
    ///
    /// # Errors
    /// Gives it back with the reason when it could not be done in time, or too many wait.
    pub(super) fn offer(
        &mut self,
        by: Instant,
        now: Instant,
        cost: Duration,
        check: T,
    ) -> Result<(), (NotChecked, T)> {
        let earlier = self.waiting.range(..=(by, u64::MAX)).count();
        let before = self.running + earlier;
        // A thread that is free has nothing better to do, and the estimate may be wrong.
        let needs = if before < self.threads { Duration::ZERO } else { self.turns(before, cost) + cost };
        if now + needs >= by {
            return Err((NotChecked::NoTime, check));
        }
        if self.waiting.len() >= self.capacity {
            return Err((NotChecked::QueueFull, check));
        }
        self.waiting.insert((by, self.next), check);
        self.next += 1;
        Ok(())
    }

    /// What a thread that is free does next; `None` where there is nothing to do. What is run counts as running until
    /// [`Self::done`].
    pub(super) fn take(&mut self, now: Instant, cost: Duration) -> Option<Next<T>> {
        let ((by, _), check) = self.waiting.pop_first()?;
        let is_hopeless = by <= now || (now + cost > by && !self.waiting.is_empty());
        if is_hopeless {
            return Some(Next::TooLate(check));
        }
        self.running += 1;
        Some(Next::Run(check))
    }

    /// A check that ran has ended.
    pub(super) fn done(&mut self) {
        self.running = self.running.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COST: Duration = Duration::from_millis(1);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Fills a queue before two threads of which `running` are busy with checks due in `waiting` ms; offers one due in `by` ms.
    fn offered(running: usize, waiting: &[u64], by: u64) -> Result<(), NotChecked> {
        let now = Instant::now();
        let mut queue = CheckQueue::new(2, 4);
        for _ in 0..running {
            queue.offer(now + ms(900), now, COST, ()).unwrap();
            assert_eq!(queue.take(now, COST), Some(Next::Run(())));
        }
        for due in waiting {
            queue.offer(now + ms(*due), now, COST, ()).unwrap();
        }
        queue.offer(now + ms(by), now, COST, ()).map_err(|(reason, ())| reason)
    }

    #[test]
    fn what_cannot_end_in_time_is_not_taken() {
        use NotChecked::{NoTime, QueueFull};
        for (name, running, waiting, by, want) in [
            ("idle", 0, vec![], 100, Ok(())),
            ("idle, and less time than a check takes: tried", 0, vec![], 1, Ok(())),
            ("idle, no time at all", 0, vec![], 0, Err(NoTime)),
            ("one thread free", 1, vec![], 1, Ok(())),
            ("both busy, time for one turn and itself", 2, vec![], 3, Ok(())),
            ("both busy, no time for that", 2, vec![], 2, Err(NoTime)),
            ("others have earlier deadlines", 2, vec![50, 51], 60, Ok(())),
            ("others have later deadlines and let it pass", 2, vec![500, 501, 502], 3, Ok(())),
            ("full", 2, vec![500, 501, 502, 503], 900, Err(QueueFull)),
            ("full, whatever its deadline", 2, vec![500, 501, 502, 503], 100, Err(QueueFull)),
        ] {
            assert_eq!(offered(running, &waiting, by), want, "{name}");
        }
    }

    #[test]
    fn the_earliest_deadline_goes_first_and_what_is_hopeless_is_said_so() {
        let now = Instant::now();
        let mut queue = CheckQueue::new(1, 8);
        for (due, name) in [(50, "last"), (10, "first"), (20, "second"), (20, "third")] {
            queue.offer(now + ms(due), now, ms(1), name).unwrap();
        }
        assert_eq!(queue.wait(COST), ms(4));
        assert_eq!(queue.take(now, COST), Some(Next::Run("first")));
        // Fifteen milliseconds later, one is past and one has no time for a whole check while others wait.
        assert_eq!(queue.take(now + ms(20), COST), Some(Next::TooLate("second")));
        assert_eq!(queue.take(now + ms(20) - ms(1) / 2, COST), Some(Next::TooLate("third")));
        // Alone, it is tried with the time that there is.
        assert_eq!(queue.take(now + ms(50) - ms(1) / 2, COST), Some(Next::Run("last")));
        assert_eq!(queue.take(now, COST), None);
        queue.done();
        queue.done();
        assert_eq!(queue.wait(COST), Duration::ZERO);
    }

    proptest! {
        /// However checks come, no more wait than may, and each is either refused or comes out once, by deadline.
        #[test]
        fn nothing_is_lost(dues in proptest::collection::vec(0u64..50, 0..40), threads in 1usize..5) {
            let now = Instant::now();
            let mut queue = CheckQueue::new(threads, 8);
            let mut taken = Vec::new();
            for (number, due) in dues.iter().enumerate() {
                if queue.offer(now + ms(*due), now, COST, (*due, number)).is_ok() {
                    taken.push((*due, number));
                }
                prop_assert!(queue.waiting.len() <= 8);
            }
            let mut out = Vec::new();
            while let Some(Next::Run(check) | Next::TooLate(check)) = queue.take(now, COST) {
                out.push(check);
            }
            taken.sort_unstable();
            prop_assert_eq!(out, taken);
        }
    }
}
