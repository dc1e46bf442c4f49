//! One part's minute while it goes on, and what it comes to when it is over.

use crate::{
    events::{AnswerGrade, AnswersSeen, LatencyCounts},
    ledger::{Ledger, MinuteState},
};

/// A minute is bad when more than one in this many answers or looks failed: 5 %, as the large providers of machines count downtime.
const ONE_IN: u64 = 20;

/// What was seen of a part in a minute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bucket {
    seen: AnswersSeen,
    /// What a look from outside said: it counts where nobody asked.
    looked: Option<AnswerGrade>,
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

    /// Notes what a look from outside said; a failure is not forgotten for a later success.
    pub(super) fn look(&mut self, grade: AnswerGrade) {
        if self.looked != Some(AnswerGrade::Bad) {
            self.looked = Some(grade);
        }
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
        let AnswersSeen { bad, slow, .. } = self.seen;
        let total = self.seen.total();
        let is_more = |part: u64| part.saturating_mul(ONE_IN) > total;
        let grade = match (total, self.looked) {
            (0, None) => return MinuteState::Unknown,
            (0, Some(grade)) => grade,
            (_, _) if is_more(bad) => AnswerGrade::Bad,
            (_, _) if is_more(bad.saturating_add(slow)) => AnswerGrade::Slow,
            (_, _) => AnswerGrade::Good,
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
            ("nothing", (0, 0, 0), None, 60_000, MinuteState::Unknown),
            ("asked by nobody, and there", (0, 0, 0), Some(AnswerGrade::Good), 60_000, MinuteState::Good),
            ("asked by nobody, and away", (0, 0, 0), Some(AnswerGrade::Bad), 60_000, MinuteState::Bad),
            ("good", (5, 0, 0), None, 60_000, MinuteState::Good),
            ("one in twenty", (19, 1, 0), None, 60_000, MinuteState::Good),
            ("more than that", (18, 1, 0), None, 60_000, MinuteState::Bad),
            ("late", (10, 0, 3), None, 60_000, MinuteState::Slow),
            ("late and bad", (20, 1, 1), None, 60_000, MinuteState::Slow),
            (
                "what clients saw, not what we looked at",
                (5, 0, 0),
                Some(AnswerGrade::Bad),
                60_000,
                MinuteState::Good,
            ),
            ("hardly watched", (5, 0, 0), None, 29_999, MinuteState::Unknown),
            ("hardly watched, and away", (0, 5, 0), None, 1, MinuteState::Bad),
        ];
        for (name, (good, bad, slow), looked, watched, want) in cases {
            let mut bucket = Bucket::default();
            bucket.add(&AnswersSeen { good, bad, slow, latency: LatencyCounts::default() });
            if let Some(grade) = looked {
                bucket.look(grade);
            }
            assert_eq!(bucket.state(watched), want, "{name}");
        }
    }

    #[test]
    fn a_failed_look_is_not_forgotten() {
        let mut bucket = Bucket::default();
        assert!(bucket.is_empty());
        bucket.look(AnswerGrade::Bad);
        bucket.look(AnswerGrade::Good);
        assert_eq!(bucket.state(60_000), MinuteState::Bad);
    }
}
