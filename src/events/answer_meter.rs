//! How a room's answers went, as counts that its hot path pays two additions for: whoever watches takes them now and then. An event for each
//! answer would cost every watcher something for each of a thousand requests a second.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use super::latency::{BUCKETS, LatencyCounts, bucket_of};

/// How one answer went, as whoever asked saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerGrade {
    /// In time, and no failure of ours.
    Good,
    /// Later than the time there was.
    Slow,
    /// A failure, or none at all.
    Bad,
}

/// Answers that were counted since somebody looked last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswersSeen {
    /// In time.
    pub good: u64,
    /// Failures.
    pub bad: u64,
    /// Later than the time there was.
    pub slow: u64,
    /// How long those took that came: a connection that is refused at once is not quick.
    pub latency: LatencyCounts,
}

impl AnswersSeen {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.good.saturating_add(self.bad).saturating_add(self.slow)
    }
}

/// Counts answers. Clones count into the same place.
#[derive(Clone, Debug, Default)]
pub struct AnswerMeter(Arc<Counters>);

#[derive(Debug)]
struct Counters {
    good: AtomicU64,
    bad: AtomicU64,
    slow: AtomicU64,
    latency: [AtomicU64; BUCKETS],
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            good: AtomicU64::default(),
            bad: AtomicU64::default(),
            slow: AtomicU64::default(),
            latency: std::array::from_fn(|_| AtomicU64::default()),
        }
    }
}

impl AnswerMeter {
    /// Counts an answer, and how long it took unless it failed. Never waits.
    pub fn note(&self, grade: AnswerGrade, elapsed: Duration) {
        let counter = match grade {
            AnswerGrade::Good => &self.0.good,
            AnswerGrade::Slow => &self.0.slow,
            AnswerGrade::Bad => &self.0.bad,
        };
        counter.fetch_add(1, Relaxed);
        if grade != AnswerGrade::Bad
            && let Some(bucket) = self.0.latency.get(bucket_of(elapsed))
        {
            bucket.fetch_add(1, Relaxed);
        }
    }

    /// What was counted since the last look. An answer that is counted meanwhile may have its latency in the next.
    pub fn take(&self) -> AnswersSeen {
        let take = |counter: &AtomicU64| counter.swap(0, Relaxed);
        let mut latency = LatencyCounts::default();
        for (count, counter) in latency.0.iter_mut().zip(&self.0.latency) {
            *count = take(counter);
        }
        AnswersSeen { good: take(&self.0.good), bad: take(&self.0.bad), slow: take(&self.0.slow), latency }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_is_taken_once() {
        let meter = AnswerMeter::default();
        let clone = meter.clone();
        for (grade, ms) in [(AnswerGrade::Good, 5), (AnswerGrade::Slow, 2000), (AnswerGrade::Bad, 1)] {
            clone.note(grade, Duration::from_millis(ms));
        }
        let seen = meter.take();
        assert_eq!((seen.good, seen.slow, seen.bad, seen.latency.total(), seen.total()), (1, 1, 1, 2, 3));
        assert_eq!(meter.take(), AnswersSeen::default());
    }
}
