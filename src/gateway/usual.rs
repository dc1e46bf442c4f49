//! What need not be told of each answer: an upstream that answers call after call is told of once in a while, so that the task which judges
//! it is not woken for each. What is no answer is always told, and so is the first answer after it.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use tokio::time::Instant;

/// How often it is told that an upstream goes on answering. Arbitrary: well below the time between two probes.
const AGAIN: Duration = Duration::from_millis(100);

/// When it was last told of each upstream that it answers.
#[derive(Debug)]
pub(super) struct UsualAnswers {
    began: Instant,
    /// Milliseconds since then, and one; 0: something else came last.
    told: Vec<AtomicU64>,
}

impl UsualAnswers {
    /// Of so many upstreams.
    pub(super) fn of(upstreams: usize) -> Self {
        Self { began: Instant::now(), told: (0..upstreams).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Whether what came of an upstream is to be told.
    pub(super) fn is_news(&self, place: usize, is_answer: bool, now: Instant) -> bool {
        let Some(told) = self.told.get(place) else { return true };
        let at = crate::types::micros(now.saturating_duration_since(self.began)) / 1000 + 1;
        let before = told.load(Relaxed);
        let is_usual = is_answer && before != 0 && Duration::from_millis(at.saturating_sub(before)) < AGAIN;
        if !is_usual {
            told.store(if is_answer { at } else { 0 }, Relaxed);
        }
        !is_usual
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_after_answers_are_not_told_and_they_are_again_and_again() {
        let usual = UsualAnswers::of(2);
        let start = Instant::now();
        for (name, place, is_answer, ms, want) in [
            ("the first answer", 0, true, 0, true),
            ("the next", 0, true, 1, false),
            ("another one's first", 1, true, 1, true),
            ("a failure", 0, false, 2, true),
            ("another failure", 0, false, 2, true),
            ("the first answer after it", 0, true, 3, true),
            ("the next", 0, true, 4, false),
            ("the other one goes on", 1, true, 50, false),
            ("and is told of again", 1, true, 102, true),
            ("one that is not known", 7, true, 0, true),
            ("and again", 7, true, 0, true),
        ] {
            assert_eq!(usual.is_news(place, is_answer, start + Duration::from_millis(ms)), want, "{name}");
        }
    }
}
