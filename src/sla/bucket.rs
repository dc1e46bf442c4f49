//! One part's minute while it goes on, and what it comes to when it is over.

use crate::{
    events::{AnswerGrade, AnswersSeen, LatencyCounts},
    ledger::{Ledger, MinuteState},
};

/// What was seen of a part in a minute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bucket {
    seen: AnswersSeen,
    /// Looks from outside that were answered, and those that were not. They say how the minute was, and are no answers to anybody.
    looked: (u64, u64),
}

impl Bucket {
    /// Adds one look.
    pub(super) fn note(&mut self, grade: AnswerGrade) {
        let count = match grade {
            AnswerGrade::Good => &mut self.seen.good,
            AnswerGrade::Bad => &mut self.seen.bad,
            AnswerGrade::Slow => &mut self.seen.slow,
        };
        *count = count.saturating_add(1);
    }

    /// Adds answers that were counted.
    pub(super) fn add(&mut self, more: &AnswersSeen) {
        let AnswersSeen { good, bad, slow, latency } = more;
        self.seen.good = self.seen.good.saturating_add(*good);
        self.seen.bad = self.seen.bad.saturating_add(*bad);
        self.seen.slow = self.seen.slow.saturating_add(*slow);
        self.seen.latency.merge(latency);
    }

    /// Adds looks from outside. In the minute's ratio each counts as an answer does, so that one good answer hides no failed looks, and one
    /// failed look spoils no thousand good answers.
    pub(super) fn look(&mut self, good: u64, bad: u64) {
        let (answered, failed) = self.looked;
        self.looked = (answered.saturating_add(good), failed.saturating_add(bad));
    }

    /// What was counted.
    pub(super) const fn seen(&self) -> &AnswersSeen {
        &self.seen
    }

    /// Whether anything is to be written down.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// How long answers took.
    pub(super) const fn latency(&self) -> &LatencyCounts {
        &self.seen.latency
    }

    /// What it comes to, where it was watched for so long. A failure is one however short the look was; that all was well takes half a minute.
    pub(super) fn state(&self, watched_ms: i64) -> MinuteState {
        let (answered, failed) = self.looked;
        let (bad, slow) = (self.seen.bad.saturating_add(failed), self.seen.slow);
        let total = self.seen.total().saturating_add(answered).saturating_add(failed);
        let is_more = |part: u64| part.saturating_mul(Ledger::FAILED_ONE_IN) > total;
        let grade = match total {
            0 => return MinuteState::Unknown,
            _ if is_more(bad) => AnswerGrade::Bad,
            _ if is_more(bad.saturating_add(slow)) => AnswerGrade::Slow,
            _ => AnswerGrade::Good,
        };
        match grade {
            AnswerGrade::Bad => MinuteState::Bad,
            AnswerGrade::Good | AnswerGrade::Slow if watched_ms < Ledger::KNOWN_MINUTE_MS => {
                MinuteState::Unknown
            }
            AnswerGrade::Good => MinuteState::Good,
            AnswerGrade::Slow => MinuteState::Slow,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_is_what_was_seen_of_it() {
        let cases = [
            ("nothing", (0, 0, 0), (0, 0), 60_000, MinuteState::Unknown),
            ("asked by nobody, and there", (0, 0, 0), (5, 0), 60_000, MinuteState::Good),
            ("asked by nobody, and away", (0, 0, 0), (0, 5), 60_000, MinuteState::Bad),
            ("away once, which is not forgotten", (0, 0, 0), (4, 1), 60_000, MinuteState::Bad),
            ("good", (5, 0, 0), (0, 0), 60_000, MinuteState::Good),
            ("one in twenty", (19, 1, 0), (0, 0), 60_000, MinuteState::Good),
            ("more than that", (18, 1, 0), (0, 0), 60_000, MinuteState::Bad),
            ("late", (10, 0, 3), (0, 0), 60_000, MinuteState::Slow),
            ("late and bad", (20, 1, 1), (0, 0), 60_000, MinuteState::Slow),
            ("one good answer hides no failed looks", (1, 0, 0), (0, 5), 60_000, MinuteState::Bad),
            ("nor do five hide one", (5, 0, 0), (4, 1), 60_000, MinuteState::Bad),
            ("a single failed look among many answers", (1000, 0, 0), (4, 1), 60_000, MinuteState::Good),
            ("good looks make up for no failures", (0, 1, 0), (5, 0), 60_000, MinuteState::Bad),
            ("hardly watched", (5, 0, 0), (0, 0), 29_999, MinuteState::Unknown),
            ("hardly watched, and away", (0, 5, 0), (0, 0), 1, MinuteState::Bad),
        ];
        for (name, (good, bad, slow), (answered, failed), watched, want) in cases {
            let mut bucket = Bucket::default();
            assert!(bucket.is_empty());
            bucket.add(&AnswersSeen { good, bad, slow, latency: LatencyCounts::default() });
            bucket.look(answered, failed);
            assert_eq!(bucket.state(watched), want, "{name}");
        }
    }
}
