//! How long a sync will take, and whether it goes on at all. Pure.
//!
//! What is left is the distance from a node's head to its target, and both move. The pace is the median of the slopes between all pairs of samples
//! (Theil and Sen): a burst, a pause or one wild answer does not turn it. No number is given before there is enough to go by, as people plan by it,
//! nor while a client works on what it does not say the size of: geth's state in a snap sync, reth's stages.
//!
//! A look that does not go with the one before counts once the next agrees with it, and then a new count begins: a head that was set back, a
//! target that was found out late. One that falls back again before it has come any further than ever is not getting anywhere.

use std::{collections::VecDeque, time::Duration};

use super::Sight;
use crate::types::{UnixMillis, labelled};

/// How far back is looked. A sync slows down as state grows, so what was hours ago says little.
const WINDOW: Duration = Duration::from_secs(30 * 60);
/// Samples nearer to each other than this say the same: the later one takes the earlier one's place.
const APART: Duration = Duration::from_secs(15);
/// Fewest samples, and shortest time between the first and the last, for a number.
const FEWEST: usize = 8;
const SHORTEST: Duration = Duration::from_secs(5 * 60);
/// Longest time that is worth a number: beyond, the pace is noise.
const LONGEST: Duration = Duration::from_secs(90 * 86_400);
/// Without a look for so long nothing is said of it.
const SILENT: Duration = Duration::from_secs(5 * 60);
/// So long after the last of it, work beside blocks is still going on.
const WORKING: Duration = Duration::from_secs(10 * 60);
/// No reorganisation sets a head back further.
const REORGANISED: u64 = 64;
/// What is left grows by no more than this at once, and than this each second: no chain makes blocks that fast.
const GROWN: u64 = 128;
const GROWN_A_SECOND: u64 = 50;
/// No sync is in one look so many times as fast as it was in any before, this many blocks aside.
const FASTER: f64 = 20.0;
const GAINED: f64 = 1000.0;

/// What a node has yet to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Blocks, slots or messages, by its own account.
    Blocks(u64),
    /// Where it gives no account: the age of its head, in seconds.
    Age(u64),
}

impl Left {
    const fn count(self) -> u64 {
        match self {
            Self::Blocks(count) | Self::Age(count) => count,
        }
    }

    /// Both counts, where they are of one kind.
    const fn with(self, other: Self) -> Option<(u64, u64)> {
        match (self, other) {
            (Self::Blocks(one), Self::Blocks(two)) | (Self::Age(one), Self::Age(two)) => Some((one, two)),
            (Self::Blocks(_), Self::Age(_)) | (Self::Age(_), Self::Blocks(_)) => None,
        }
    }
}

/// One look at a node that syncs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When, in milliseconds.
    pub at: UnixMillis,
    /// How far it is: a block, a slot, a number of messages.
    pub head: u64,
    /// How far it has to go; none: it does not say.
    pub left: Option<Left>,
    /// What it has done beside blocks, in a unit of its own; none: it does not say.
    pub work: Option<u64>,
}

impl Sample {
    /// What a probe saw. A client that syncs and says that nothing is left does not know its target: then the age of its head says how far it is.
    pub fn of(sight: &Sight, at: UnixMillis) -> Self {
        let blocks = sight.behind.filter(|blocks| *blocks > 0).map(Left::Blocks);
        let age = sight.head_age.map(|age| Left::Age(age.as_secs()));
        Self { at, head: sight.reached.or(sight.head).unwrap_or(0), left: blocks.or(age), work: sight.work }
    }

    /// Counts of what is left in this and a later one, where they can be compared.
    fn left_until(&self, later: &Self) -> Option<(u64, u64)> {
        self.left?.with(later.left?)
    }

    /// Whether a later one cannot be of the same way: it is set back, or has another target or unit.
    fn breaks_off(&self, later: &Self) -> bool {
        let secs = u64::try_from(later.at.saturating_sub(self.at)).unwrap_or(0) / 1000;
        let most = GROWN.saturating_add(GROWN_A_SECOND.saturating_mul(secs));
        let has_other_target = self.left.zip(later.left).is_some_and(|(before, after)| {
            before.with(after).is_none_or(|(before, after)| after.saturating_sub(before) > most)
        });
        has_other_target || self.is_set_back(later)
    }

    fn is_set_back(&self, later: &Self) -> bool {
        later.head.saturating_add(REORGANISED) < self.head
            || self.work.zip(later.work).is_some_and(|(before, after)| after < before)
    }

    /// How much further a later one is, in blocks.
    fn gain(&self, later: &Self) -> f64 {
        let nearer = self.left_until(later).map_or(0, |(before, after)| before.saturating_sub(after));
        float(later.head.saturating_sub(self.head).max(nearer))
    }
}

labelled! {
    /// What can be said of a sync, by name.
    pub enum OutlookKind {
        /// Not enough was seen yet, it says nothing to go by, or it stands and may do so yet.
        TooEarly = "too_early",
        /// It gets nearer: there is a number.
        Nearing = "nearing",
        /// It works on what it does not say the size of.
        Working = "working",
        /// Its chain grows as fast as it syncs, or faster.
        FallingBehind = "falling_behind",
        /// It does not come any further.
        Stalled = "stalled",
    }
}

/// What can be said of a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// Not enough was seen yet, it says nothing to go by, or it stands and may do so yet.
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
    /// Its head stands while it works on what it does not say the size of: the state of a snap sync, stages.
    Working,
    /// Its target moves as fast, or faster: at this pace it never gets there.
    FallingBehind,
    /// It has not come any further for longer than it may.
    Stalled {
        /// For how long.
        standing: Duration,
    },
}

impl Outlook {
    /// Its name.
    pub const fn kind(self) -> OutlookKind {
        match self {
            Self::TooEarly => OutlookKind::TooEarly,
            Self::Nearing { .. } => OutlookKind::Nearing,
            Self::Working => OutlookKind::Working,
            Self::FallingBehind => OutlookKind::FallingBehind,
            Self::Stalled { .. } => OutlookKind::Stalled,
        }
    }
}

/// What was seen of one sync. Begin anew when the node was started again, or was there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    samples: VecDeque<Sample>,
    /// A look that does not go with the last, until the next shows which of them is true.
    odd: Option<Sample>,
    /// When it was looked at last, and when it had done more beside blocks.
    seen: UnixMillis,
    worked: Option<UnixMillis>,
    /// The best that it reached on this way.
    best: Option<Best>,
    /// The best that it reached before it fell back, until it is past that.
    summit: Option<Best>,
    /// Blocks that it gets nearer in a second: worse quarter, median, better quarter.
    paces: Option<[f64; 3]>,
}

/// The highest head, the least that was left and the most work, and since when.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Best {
    head: u64,
    left: Option<Left>,
    work: Option<u64>,
    since: UnixMillis,
}

impl Best {
    const fn of(sample: &Sample) -> Self {
        Self { head: sample.head, left: sample.left, work: sample.work, since: sample.at }
    }

    fn is_passed_by(&self, sample: &Sample) -> bool {
        let is_nearer = self.left.zip(sample.left).and_then(|(best, now)| best.with(now));
        sample.head > self.head
            || is_nearer.is_some_and(|(best, now)| now < best)
            || self.work.zip(sample.work).is_some_and(|(best, now)| now > best)
    }

    fn take(&mut self, sample: &Sample) {
        if self.is_passed_by(sample) {
            self.since = sample.at;
        }
        self.head = self.head.max(sample.head);
        self.work = self.work.max(sample.work);
        let is_further = self.left.zip(sample.left).and_then(|(best, now)| best.with(now));
        if is_further.is_none_or(|(best, now)| now < best) {
            self.left = sample.left.or(self.left);
        }
    }
}

impl Progress {
    /// Takes in one more look. One from before the last, as when a clock was set back, begins anew.
    pub fn note(&mut self, sample: Sample) {
        if sample.at < self.seen {
            *self = Self::default();
        }
        self.seen = sample.at;
        let odd = self.odd.take();
        if self.samples.back().is_some_and(|last| last.breaks_off(&sample) || self.leaps(last, &sample)) {
            match odd {
                Some(odd) if !odd.breaks_off(&sample) => self.begin_at(odd),
                _ => {
                    self.odd = Some(sample);
                    return;
                }
            }
        }
        self.take(sample);
    }

    /// What can be said now, where no progress for `stall_after` is a stall.
    pub fn outlook(&self, now: UnixMillis, stall_after: Duration) -> Outlook {
        let (Some(best), Some(first), Some(last)) = (self.best, self.samples.front(), self.samples.back())
        else {
            return Outlook::TooEarly;
        };
        // By what was seen: of one that does not answer nothing is known, and that is told elsewhere.
        let standing = self.seen.saturating_sub(best.since);
        if standing >= millis(stall_after) {
            return Outlook::Stalled { standing: duration(standing) };
        }
        let elapsed = now.saturating_sub(last.at);
        if elapsed > millis(SILENT) {
            return Outlook::TooEarly;
        }
        let works = self.worked.is_some_and(|worked| self.seen.saturating_sub(worked) <= millis(WORKING));
        if works && first.head == last.head {
            return Outlook::Working;
        }
        let (Some([slow, usual, fast]), Some(left)) = (self.paces, last.left) else {
            return Outlook::TooEarly;
        };
        let until = |pace| until(left.count(), pace, seconds(elapsed));
        let Some(eta) = until(usual) else {
            // Of one that stands it is not its chain that makes it late.
            return if standing > millis(SILENT) { Outlook::TooEarly } else { Outlook::FallingBehind };
        };
        let soonest = until(fast).unwrap_or(eta).min(eta);
        let latest = until(slow).map(|latest| latest.max(eta));
        Outlook::Nearing { eta, soonest, latest }
    }

    /// A new count, from a look that was odd.
    fn begin_at(&mut self, odd: Sample) {
        let is_set_back = self.samples.back().is_some_and(|last| last.is_set_back(&odd));
        self.samples.clear();
        self.paces = None;
        match (is_set_back, self.summit) {
            (false, _) => {
                if let Some(best) = &mut self.best {
                    best.left = odd.left.or(best.left);
                }
            }
            (true, None) => self.summit = self.best.replace(Best::of(&odd)),
            // Again, and it has not come any further in between.
            (true, Some(summit)) => self.best = Some(summit),
        }
        self.take(odd);
    }

    fn take(&mut self, sample: Sample) {
        if let Some(last) = self.samples.back()
            && last.work.zip(sample.work).is_some_and(|(before, after)| after > before)
        {
            self.worked = Some(sample.at);
        }
        let best = self.best.get_or_insert(Best::of(&sample));
        // It stood for long, and goes on: of what it did before, its pace is not that any more.
        let has_paused = sample.at.saturating_sub(best.since) > millis(WINDOW / 2);
        if has_paused && best.is_passed_by(&sample) {
            self.samples.clear();
        }
        best.take(&sample);
        self.summit.take_if(|summit| summit.is_passed_by(&sample));
        let from = sample.at.saturating_sub(millis(WINDOW));
        while self.samples.front().is_some_and(|first| first.at < from) {
            self.samples.pop_front();
        }
        let before_last = self.samples.len().checked_sub(2).and_then(|place| self.samples.get(place));
        if before_last.is_some_and(|before| sample.at.saturating_sub(before.at) < millis(APART)) {
            self.samples.pop_back();
        }
        self.samples.push_back(sample);
        self.paces = self.measured();
    }

    /// Whether it would have come further than it can have. Of a way that has just begun nobody knows how fast it can.
    fn leaps(&self, last: &Sample, sample: &Sample) -> bool {
        if self.samples.len() < 3 {
            return false;
        }
        let paces = self.samples.iter().zip(self.samples.iter().skip(1)).map(|(early, late)| {
            let elapsed = seconds(late.at.saturating_sub(early.at));
            if elapsed > 0.0 { early.gain(late) / elapsed } else { 0.0 }
        });
        let fastest = paces.fold(0.0, f64::max);
        let elapsed = seconds(sample.at.saturating_sub(last.at));
        last.gain(sample) > GAINED + FASTER * fastest * elapsed
    }

    /// How fast it gets nearer between any two samples; none where there are too few.
    fn measured(&self) -> Option<[f64; 3]> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        if self.samples.len() < FEWEST || last.at.saturating_sub(first.at) < millis(SHORTEST) {
            return None;
        }
        let mut paces = Vec::new();
        for (place, early) in self.samples.iter().enumerate() {
            for late in self.samples.iter().skip(place + 1) {
                let elapsed = seconds(late.at.saturating_sub(early.at));
                if let Some((before, after)) = early.left_until(late)
                    && elapsed > 0.0
                {
                    paces.push((float(before) - float(after)) / elapsed);
                }
            }
        }
        paces.sort_unstable_by(f64::total_cmp);
        Some([quantile(&paces, 0.25)?, quantile(&paces, 0.5)?, quantile(&paces, 0.75)?])
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
        clippy::cast_sign_loss,
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

fn duration(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

#[cfg(test)]
mod tests;
