//! How long a sync will take, and whether it goes on at all. Pure.
//!
//! What is left is the distance from a node's head to its target, and both move. The pace is the median of the slopes between all pairs of samples
//! (Theil and Sen): a burst, a pause or one wild answer does not turn it. No number is given before there is enough to go by, as people plan by it.

use std::{collections::VecDeque, time::Duration};

use super::Sight;
use crate::types::UnixMillis;

/// How far back is looked. A sync slows down as state grows, so what was hours ago says little.
const WINDOW: Duration = Duration::from_secs(30 * 60);
/// Samples nearer to each other than this say the same: the later one takes the earlier one's place.
const APART: Duration = Duration::from_secs(15);
/// Fewest samples, and shortest time between the first and the last, for a number.
const FEWEST: usize = 8;
const SHORTEST: Duration = Duration::from_secs(5 * 60);
/// Longest time that is worth a number: beyond, the pace is noise.
const LONGEST: Duration = Duration::from_secs(90 * 86_400);

/// One look at a node that syncs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When, in Unix milliseconds.
    pub at: UnixMillis,
    /// How far it is: a block, a slot, a number of messages.
    pub head: u64,
    /// How far it has to go.
    pub target: u64,
}

impl Sample {
    /// What a probe saw; none where it does not say how much is left.
    pub fn of(sight: &Sight, at: UnixMillis) -> Option<Self> {
        let head = sight.head.unwrap_or(0);
        Some(Self { at, head, target: head.saturating_add(sight.behind?) })
    }

    const fn left(&self) -> u64 {
        self.target.saturating_sub(self.head)
    }
}

/// What can be said of a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// Not enough was seen yet.
    TooEarly,
    /// It gets nearer.
    Nearing {
        /// Time until it is there, at its usual pace.
        eta: Duration,
        /// At the pace of its better quarter.
        soonest: Duration,
        /// At the pace of its worse quarter; none: at that pace it does not get there.
        latest: Option<Duration>,
    },
    /// It moves, and its target moves as fast: at this pace it never gets there.
    NotNearing,
    /// It has not come any further for longer than it may.
    Stalled {
        /// Since when, in Unix milliseconds.
        since: UnixMillis,
    },
}

/// What was seen of one sync. Begin anew when the node was started again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    samples: VecDeque<Sample>,
    /// The best that it reached, and when: the highest head, the least that was left.
    best: Option<Best>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Best {
    head: u64,
    left: u64,
    since: UnixMillis,
}

impl Progress {
    /// Takes in one more look. One from before the last, as when a clock was set back, begins anew.
    pub fn note(&mut self, sample: Sample) {
        if self.samples.back().is_some_and(|last| sample.at < last.at) {
            *self = Self::default();
        }
        if let Some(last) = self.samples.back() {
            // What two looks in a row have reached: one wild answer would be a best that is never reached again.
            let (head, left) = (sample.head.min(last.head), sample.left().max(last.left()));
            let since = match self.best {
                None => last.at,
                Some(best) if head > best.head || left < best.left => sample.at,
                Some(best) => best.since,
            };
            let best = self.best.unwrap_or(Best { head, left, since });
            self.best = Some(Best { head: best.head.max(head), left: best.left.min(left), since });
        }
        let from = sample.at.saturating_sub(millis(WINDOW));
        while self.samples.front().is_some_and(|first| first.at < from) {
            self.samples.pop_front();
        }
        let before_last = self.samples.len().checked_sub(2).and_then(|place| self.samples.get(place));
        if before_last.is_some_and(|before| sample.at.saturating_sub(before.at) < millis(APART)) {
            self.samples.pop_back();
        }
        self.samples.push_back(sample);
    }

    /// What can be said now, where no progress for `stall_after` is a stall.
    pub fn outlook(&self, now: UnixMillis, stall_after: Duration) -> Outlook {
        let (Some(best), Some(first), Some(last)) = (self.best, self.samples.front(), self.samples.back())
        else {
            return Outlook::TooEarly;
        };
        if now.saturating_sub(best.since) >= millis(stall_after) {
            return Outlook::Stalled { since: best.since };
        }
        if self.samples.len() < FEWEST || last.at.saturating_sub(first.at) < millis(SHORTEST) {
            return Outlook::TooEarly;
        }
        let paces = self.paces();
        let elapsed = seconds(now.saturating_sub(last.at));
        let until = |pace: Option<f64>| until(last.left(), pace?, elapsed);
        let Some(eta) = until(quantile(&paces, 0.5)) else { return Outlook::NotNearing };
        let soonest = until(quantile(&paces, 0.75)).unwrap_or(eta).min(eta);
        let latest = until(quantile(&paces, 0.25)).map(|latest| latest.max(eta));
        Outlook::Nearing { eta, soonest, latest }
    }

    /// How fast it gets nearer between any two samples, in blocks a second, the slowest first.
    fn paces(&self) -> Vec<f64> {
        let mut paces = Vec::new();
        for (place, early) in self.samples.iter().enumerate() {
            for late in self.samples.iter().skip(place + 1) {
                let elapsed = seconds(late.at.saturating_sub(early.at));
                if elapsed > 0.0 {
                    paces.push((float(early.left()) - float(late.left())) / elapsed);
                }
            }
        }
        paces.sort_unstable_by(f64::total_cmp);
        paces
    }
}

/// Time from now until nothing is left, at a pace; none where that is never, or beyond what is worth a number.
fn until(left: u64, pace: f64, elapsed: f64) -> Option<Duration> {
    if pace <= 0.0 {
        return None;
    }
    let secs = (float(left) / pace - elapsed).max(0.0);
    (secs <= LONGEST.as_secs_f64()).then(|| Duration::from_secs_f64(secs.round()))
}

/// The value at a part of a sorted list.
fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "a place in a list of some thousand"
    )]
    let place = (last as f64 * part).round() as usize;
    sorted.get(place).copied()
}

#[expect(clippy::cast_precision_loss, reason = "a block more or less of 2^53 is no matter")]
const fn float(count: u64) -> f64 {
    count as f64
}

fn seconds(ms: i64) -> f64 {
    float(u64::try_from(ms).unwrap_or(0)) / 1000.0
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STALL: Duration = Duration::from_secs(15 * 60);

    /// Looks each 20 s at a node that makes `pace` blocks a second more than its target.
    fn synced(looks: i64, pace: u64, left: u64) -> Progress {
        let mut progress = Progress::default();
        for look in 0..looks {
            let head = u64::try_from(look).unwrap() * 20 * pace;
            progress.note(Sample { at: look * 20_000, head, target: left });
        }
        progress
    }

    #[test]
    fn a_steady_sync_has_a_number() {
        // 16 looks: 300 s, 3000 blocks of 12,000.
        let progress = synced(16, 10, 12_000);
        let secs = Duration::from_secs;
        let want = Outlook::Nearing { eta: secs(900), soonest: secs(900), latest: Some(secs(900)) };
        assert_eq!(progress.outlook(300_000, STALL), want);
        let later = Outlook::Nearing { eta: secs(800), soonest: secs(800), latest: Some(secs(800)) };
        assert_eq!(progress.outlook(400_000, STALL), later, "time goes on without a look");
    }

    #[test]
    fn there_is_no_number_before_there_is_enough() {
        assert_eq!(Progress::default().outlook(0, STALL), Outlook::TooEarly);
        assert_eq!(synced(1, 10, 99).outlook(0, STALL), Outlook::TooEarly);
        assert_eq!(synced(15, 10, 99_999).outlook(280_000, STALL), Outlook::TooEarly, "280 s");
        assert!(matches!(synced(16, 10, 99_999).outlook(300_000, STALL), Outlook::Nearing { .. }));
        // Looks each second are as good as one each 15.
        let mut often = Progress::default();
        (0..60).for_each(|at| often.note(Sample { at: at * 1000, head: 1, target: 2 }));
        assert!(often.samples.len() <= 6, "{}", often.samples.len());
    }

    #[test]
    fn one_that_stands_is_said_to_stand() {
        let mut progress = synced(16, 10, 99_999);
        for look in 16..100 {
            let at = look * 20_000;
            // The chain goes on, the node does not.
            progress.note(Sample { at, head: 3000, target: 99_999 + u64::try_from(look).unwrap() });
            // The second look at it is what counts.
            let is_stalled = at - 320_000 >= millis(STALL);
            let outlook = progress.outlook(at, STALL);
            assert_eq!(outlook == Outlook::Stalled { since: 320_000 }, is_stalled, "{at}: {outlook:?}");
        }
        // One block is progress, when it is seen twice.
        progress.note(Sample { at: 2_000_000, head: 3001, target: 200_000 });
        assert!(matches!(progress.outlook(2_000_000, STALL), Outlook::Stalled { .. }));
        progress.note(Sample { at: 2_000_000, head: 3001, target: 200_001 });
        assert!(!matches!(progress.outlook(2_000_000, STALL), Outlook::Stalled { .. }));
    }

    #[test]
    fn less_left_is_progress_although_the_head_stays() {
        // geth shows block 0 as its head until a snap sync is over.
        let mut progress = Progress::default();
        for look in 0..100_i64 {
            let left = 10_000 - u64::try_from(look).unwrap();
            progress.note(Sample { at: look * 20_000, head: 0, target: left });
            let outlook = progress.outlook(look * 20_000, STALL);
            assert!(!matches!(outlook, Outlook::Stalled { .. } | Outlook::NotNearing), "{outlook:?}");
        }
    }

    #[test]
    fn one_whose_target_runs_away_has_no_number() {
        let mut progress = Progress::default();
        for look in 0..30_i64 {
            let head = u64::try_from(look).unwrap() * 20;
            progress.note(Sample { at: look * 20_000, head, target: 1000 + head * 2 });
        }
        assert_eq!(progress.outlook(580_000, STALL), Outlook::NotNearing);
    }

    #[test]
    fn a_burst_does_not_turn_it() {
        let mut progress = synced(40, 10, 100_000);
        // One answer that is wild, as of another node behind the same name.
        progress.note(Sample { at: 800_000, head: 99_999, target: 100_000 });
        progress.note(Sample { at: 820_000, head: 8200, target: 100_000 });
        let Outlook::Nearing { eta, .. } = progress.outlook(820_000, STALL) else { panic!() };
        assert!((9000..9400).contains(&eta.as_secs()), "{eta:?}");
        for look in 42..90_i64 {
            let head = u64::try_from(look).unwrap() * 200;
            progress.note(Sample { at: look * 20_000, head, target: 100_000 });
            let outlook = progress.outlook(look * 20_000, STALL);
            assert!(matches!(outlook, Outlook::Nearing { .. }), "nor is all after it a stall: {outlook:?}");
        }
    }

    #[test]
    fn a_clock_that_was_set_back_begins_anew() {
        let mut progress = synced(40, 10, 100_000);
        progress.note(Sample { at: 5, head: 9000, target: 100_000 });
        assert_eq!(progress.samples.len(), 1);
        assert_eq!(progress.outlook(5, STALL), Outlook::TooEarly);
    }

    proptest! {
        #[test]
        fn no_look_is_too_much(
            looks in prop::collection::vec((any::<i64>(), any::<u64>(), any::<u64>()), 0..40), now in any::<i64>(),
        ) {
            let mut progress = Progress::default();
            for (at, head, target) in looks {
                progress.note(Sample { at, head, target });
            }
            progress.outlook(now, STALL);
        }

        #[test]
        fn the_number_lies_in_its_own_range_and_near_the_truth(
            pace in 1_u64..1000, left in 1_u64..100_000_000, noise in prop::collection::vec(0_u64..20, 40),
        ) {
            let mut progress = Progress::default();
            let mut at = 0;
            for (look, noise) in (0_u64..).zip(&noise) {
                at = i64::try_from(look).unwrap() * 20_000;
                let head = (look * 20 + noise) * pace;
                progress.note(Sample { at, head, target: left.saturating_add(40 * 20 * pace) });
            }
            match progress.outlook(at, STALL) {
                Outlook::Nearing { eta, soonest, latest } => {
                    prop_assert!(soonest <= eta && latest.is_none_or(|latest| latest >= eta));
                    let truth = float(progress.samples.back().unwrap().left()) / float(pace);
                    let ratio = (eta.as_secs_f64() + 1.0) / (truth + 1.0);
                    prop_assert!((0.8..1.25).contains(&ratio), "{eta:?} {truth}");
                }
                Outlook::NotNearing => prop_assert!(left / pace > LONGEST.as_secs() / 2),
                other => prop_assert!(false, "{other:?}"),
            }
        }

        #[test]
        fn memory_is_bounded(gaps in prop::collection::vec(1_i64..60_000, 0..500)) {
            let (mut progress, mut at) = (Progress::default(), 0);
            for gap in gaps {
                at += gap;
                progress.note(Sample { at, head: 1, target: 2 });
            }
            prop_assert!(progress.samples.len() <= 2 * 30 * 60 / 15 + 2);
        }
    }
}
