//! How far this machine's clock is off, by what others' clocks say. Pure: times come as arguments.
//!
//! Every HTTP answer carries a `Date` of whole seconds. One such answer bounds the difference between the two clocks to a second and the
//! round trip; several answers of one source, at different fractions of a second, bound it more narrowly. What counts is the median of
//! the sources' lower bounds and of their upper bounds: as long as no more than half of the sources are wrong, however wrong, the range
//! between the two contains the true difference, so one relay with a false clock convinces nobody.

use crate::types::UnixMillis;
use std::{collections::VecDeque, fmt, time::UNIX_EPOCH};

/// An HTTP `Date` says only the second.
const RESOLUTION_MS: i64 = 1000;
/// Answers kept of one source. Arbitrary: enough to meet many fractions of a second.
const MAX_SAMPLES: usize = 16;
/// Answers older than this say nothing of the clock now: it may have been set since.
const MAX_AGE_MS: i64 = 10 * 60_000;
/// An answer that took longer than this bounds too little to be worth its place.
const MAX_ROUND_TRIP_MS: i64 = 3000;
/// A clock that is surely off by more than this is said to be wrong. A machine that keeps time by NTP stays below 0.05 s.
pub const WRONG_BEYOND_MS: i64 = 500;
/// A clock that was wrong is right again once it is not surely off by more than this: no to and fro at the limit.
const RIGHT_WITHIN_MS: i64 = 250;
/// Beyond this, header requests come when relays have no bids yet, or no more, and every slot is built locally.
pub const USELESS_BEYOND_MS: i64 = 1500;

/// One comparison with another clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockSample {
    /// The other's `Date`, in Unix milliseconds: whole seconds.
    pub date: UnixMillis,
    /// Our clock when the request was sent.
    pub sent: UnixMillis,
    /// Our clock when the head of the answer had come.
    pub received: UnixMillis,
}

/// Bounds of "our clock minus the other's", in milliseconds: positive when ours is ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetRange {
    /// Lower bound.
    pub low: i64,
    /// Upper bound.
    pub high: i64,
}

/// What one source's answers say.
#[derive(Clone, Debug, Default)]
pub struct SourceClock {
    samples: VecDeque<ClockSample>,
}

/// What all sources together say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockOffset {
    /// The range that our clock's error lies in, unless more than half of the sources are wrong.
    pub range: OffsetRange,
    /// Sources that were compared.
    pub sources: usize,
}

/// What is to be made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockVerdict {
    /// Nobody said the time.
    NotKnown,
    /// No sign of an error, as far as the sources can tell.
    Right(ClockOffset),
    /// A single source says that it is wrong. That may be the source's fault.
    Suspect(ClockOffset),
    /// It is wrong, by several sources.
    Wrong(ClockOffset),
}

impl ClockSample {
    /// From an HTTP answer's `Date` and `Age`; `None` where it says no time, or comes from a cache and says an old one.
    /// Source: RFC 9110 6.6.1, RFC 9111 5.1.
    pub fn of_http(
        date: Option<&str>,
        age: Option<&str>,
        sent: UnixMillis,
        received: UnixMillis,
    ) -> Option<Self> {
        if age.is_some_and(|age| age.trim() != "0") {
            return None;
        }
        let date = httpdate::parse_http_date(date?).ok()?.duration_since(UNIX_EPOCH).ok()?;
        let date = i64::try_from(date.as_millis()).ok()?;
        Some(Self { date, sent, received })
    }

    /// Bounds of the difference: the other wrote its date between `sent` and `received`, anywhere in that second.
    fn range(&self) -> OffsetRange {
        OffsetRange {
            low: self.sent.saturating_sub(self.date).saturating_sub(RESOLUTION_MS),
            high: self.received.saturating_sub(self.date),
        }
    }

    fn is_usable(&self) -> bool {
        (0..=MAX_ROUND_TRIP_MS).contains(&self.received.saturating_sub(self.sent))
    }
}

impl OffsetRange {
    fn intersection(self, other: Self) -> Option<Self> {
        let both = Self { low: self.low.max(other.low), high: self.high.min(other.high) };
        (both.low <= both.high).then_some(both)
    }

    /// Whether the difference is surely larger than `ms`, in one direction.
    fn is_beyond(self, ms: i64) -> bool {
        self.low > ms || self.high < -ms
    }
}

impl SourceClock {
    /// Adds an answer. One that took too long, or during which our own clock was set back, is left out.
    pub fn add(&mut self, sample: ClockSample) {
        if !sample.is_usable() {
            return;
        }
        if self.samples.len() >= MAX_SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    /// The range that its newest answers agree on; `None` where there are none lately. Answers that contradict newer ones are from
    /// before one of the clocks was set.
    pub fn range(&self, now: UnixMillis) -> Option<OffsetRange> {
        let mut agreed: Option<OffsetRange> = None;
        for sample in self.samples.iter().rev() {
            if !(-MAX_AGE_MS..=MAX_AGE_MS).contains(&now.saturating_sub(sample.received)) {
                break;
            }
            agreed = Some(match agreed {
                None => sample.range(),
                Some(agreed) => match agreed.intersection(sample.range()) {
                    Some(both) => both,
                    None => break,
                },
            });
        }
        agreed
    }
}

impl ClockOffset {
    /// The median of several sources' ranges; `None` without sources.
    pub fn of(ranges: &[OffsetRange]) -> Option<Self> {
        let count = ranges.len();
        let mut lows: Vec<i64> = ranges.iter().map(|range| range.low).collect();
        let mut highs: Vec<i64> = ranges.iter().map(|range| range.high).collect();
        lows.sort_unstable();
        highs.sort_unstable();
        // Of an even number the outer one: of two sources that disagree, either may be right.
        let low = *lows.get(count.saturating_sub(1) / 2)?;
        let high = *highs.get(count / 2)?;
        Some(Self { range: OffsetRange { low, high }, sources: count })
    }

    /// The middle of the range, in milliseconds.
    pub fn middle_ms(&self) -> i64 {
        self.range.low.midpoint(self.range.high)
    }

    /// Half of the range, in milliseconds.
    pub fn uncertainty_ms(&self) -> i64 {
        self.range.high.saturating_sub(self.range.low) / 2
    }

    /// What is to be made of it. Whether the clock was found wrong before makes no to and fro at the limit.
    pub fn verdict(found: Option<Self>, was_wrong: bool) -> ClockVerdict {
        let Some(offset) = found else { return ClockVerdict::NotKnown };
        let limit = if was_wrong { RIGHT_WITHIN_MS } else { WRONG_BEYOND_MS };
        match (offset.range.is_beyond(limit), offset.sources) {
            (false, _) => ClockVerdict::Right(offset),
            (true, 0 | 1) => ClockVerdict::Suspect(offset),
            (true, _) => ClockVerdict::Wrong(offset),
        }
    }

    /// Whether the error alone makes header requests useless.
    pub fn is_useless(&self) -> bool {
        self.range.is_beyond(USELESS_BEYOND_MS)
    }
}

/// Seconds with one digit, the direction and the uncertainty: `2.1 s ahead (± 0.2 s), by 4 sources`.
impl fmt::Display for ClockOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let middle = self.middle_ms();
        let tenths = |ms: u64| format!("{}.{}", ms / 1000, ms % 1000 / 100);
        let (error, uncertainty) =
            (tenths(middle.unsigned_abs()), tenths(self.uncertainty_ms().unsigned_abs()));
        let direction = if middle < 0 { "behind" } else { "ahead" };
        let sources = if self.sources == 1 { "1 source" } else { &format!("{} sources", self.sources) };
        write!(f, "{error} s {direction} (± {uncertainty} s), by {sources}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: UnixMillis = 1_700_000_000_000;

    /// An answer of a clock that ours is ahead of by `offset`, half of `trip` after it was asked at `sent`.
    fn sample(sent: UnixMillis, trip: i64, offset: i64) -> ClockSample {
        let theirs = sent + trip / 2 - offset;
        ClockSample { date: theirs.div_euclid(1000) * 1000, sent, received: sent + trip }
    }

    fn source(offset: i64) -> OffsetRange {
        let mut clock = SourceClock::default();
        for n in 0..10 {
            clock.add(sample(NOW + n * 1100, 40, offset));
        }
        clock.range(NOW + 12_000).unwrap()
    }

    #[test]
    fn a_date_is_read_unless_it_is_a_caches() {
        let date = Some("Tue, 24 Nov 2026 20:33:11 GMT");
        let sample = ClockSample::of_http(date, None, 5, 6).unwrap();
        assert_eq!(sample, ClockSample { date: 1_795_552_391_000, sent: 5, received: 6 });
        assert!(ClockSample::of_http(date, Some("0"), 5, 6).is_some());
        assert_eq!(ClockSample::of_http(date, Some("40"), 5, 6), None);
        assert_eq!(ClockSample::of_http(Some("tomorrow"), None, 5, 6), None);
        assert_eq!(ClockSample::of_http(None, None, 5, 6), None);
    }

    #[test]
    fn several_answers_bound_the_difference_better_than_one() {
        let mut clock = SourceClock::default();
        assert_eq!(clock.range(NOW), None);
        clock.add(sample(NOW, 40, 2000));
        let one = clock.range(NOW).unwrap();
        assert!(one.low <= 2000 && 2000 <= one.high && one.high - one.low == 1040, "{one:?}");
        let many = source(2000);
        assert!(many.low <= 2000 && 2000 <= many.high && many.high - many.low <= 200, "{many:?}");
    }

    #[test]
    fn answers_that_say_nothing_are_left_out() {
        let mut clock = SourceClock::default();
        clock.add(ClockSample { date: NOW, sent: NOW, received: NOW - 1 });
        clock.add(ClockSample { date: NOW, sent: NOW, received: NOW + MAX_ROUND_TRIP_MS + 1 });
        assert_eq!(clock.range(NOW), None);
        clock.add(sample(NOW, 40, 0));
        assert_eq!(clock.range(NOW + MAX_AGE_MS + 100), None, "too old");
        // Set right in between: only what came since counts.
        clock.add(sample(NOW + 1000, 40, 5000));
        assert!(clock.range(NOW + 1000).unwrap().low > 3000);
    }

    #[test]
    fn one_that_lies_convinces_nobody_and_two_that_agree_do() {
        for (name, offsets, want) in [
            ("nobody", vec![], "not known"),
            ("one, right", vec![0], "right"),
            ("one, wrong", vec![2000], "suspect"),
            ("two that disagree", vec![0, 2000], "right"),
            ("two that agree", vec![2000, 2000], "wrong"),
            ("one liar of three", vec![0, 0, 90_000], "right"),
            ("one liar of three hides nothing", vec![2000, 2000, 0], "wrong"),
            ("two of four", vec![0, 0, 2000, 2000], "right"),
            ("behind", vec![-2000, -2000, -2100], "wrong"),
            ("a little", vec![300, 300, 310], "right"),
        ] {
            let ranges: Vec<_> = offsets.into_iter().map(source).collect();
            let got = match ClockOffset::verdict(ClockOffset::of(&ranges), false) {
                ClockVerdict::NotKnown => "not known",
                ClockVerdict::Right(_) => "right",
                ClockVerdict::Suspect(_) => "suspect",
                ClockVerdict::Wrong(_) => "wrong",
            };
            assert_eq!(got, want, "{name}");
        }
    }

    #[test]
    fn a_wrong_clock_is_not_right_again_at_once() {
        let found = ClockOffset::of(&[source(450), source(450)]);
        assert!(matches!(ClockOffset::verdict(found, false), ClockVerdict::Right(_)));
        assert!(matches!(ClockOffset::verdict(found, true), ClockVerdict::Wrong(_)));
    }

    #[test]
    fn it_is_said_with_its_uncertainty() {
        let range = OffsetRange { low: 1900, high: 2300 };
        assert_eq!(ClockOffset { range, sources: 4 }.to_string(), "2.1 s ahead (± 0.2 s), by 4 sources");
        let range = OffsetRange { low: -2300, high: -1900 };
        let behind = ClockOffset { range, sources: 1 };
        assert_eq!(behind.to_string(), "2.1 s behind (± 0.2 s), by 1 source");
        assert!(behind.is_useless());
    }

    proptest! {
        #[test]
        fn the_range_contains_the_truth_whatever_half_of_the_sources_say(
            truth in -5000i64..5000, honest in 1usize..6, lies in proptest::collection::vec(any::<i64>(), 0..6),
            trips in proptest::collection::vec(0i64..3000, 6),
        ) {
            let mut ranges: Vec<OffsetRange> = (0..honest).map(|n| {
                let mut clock = SourceClock::default();
                for k in 0..5 {
                    clock.add(sample(NOW + k * 1301, trips[n], truth));
                }
                clock.range(NOW + 7000).unwrap()
            }).collect();
            ranges.extend(lies.iter().take(honest).map(|lie| OffsetRange { low: *lie, high: lie.saturating_add(1000) }));
            let offset = ClockOffset::of(&ranges).unwrap();
            prop_assert!(offset.range.low <= truth && truth <= offset.range.high, "{offset:?}");
        }
    }
}
