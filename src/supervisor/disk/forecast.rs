//! When a filesystem is full, by how it has grown: the median of all slopes between two of its samples (Theil and Sen), which no outlier moves.
//!
//! Slopes are taken between samples of one segment only: a cleaning, any other big drop and a resize begin a new one. So the number is what comes
//! if nothing is deleted any more. Of the last week and the last day the faster growth counts; the interval covers both. Before a day of samples
//! there is no number: it would be guessed.

use serde::Serialize;

use crate::types::{DAY_MS, UnixMillis};

const HOUR_MS: i64 = 3_600_000;
/// The long window.
const WEEK_MS: i64 = 7 * DAY_MS;
/// Least time between two samples that make a slope: closer ones show noise.
const CLOSEST_MS: i64 = HOUR_MS / 2;
/// Most samples looked at in one window: twice those of a week.
const MAX_SAMPLES: usize = 336;
/// A drop of so much of the whole begins a new segment: one part of a hundred.
const DROP: u64 = 100;
/// Growth that takes longer than this is none: ten years, in hours.
const FAR_HOURS: u64 = 87_600;
/// Width of the interval, in hundredths of a standard deviation: 95 % of cases.
const WIDTH: u64 = 196;

/// How much of a filesystem was in use at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UsageSample {
    /// When, in Unix milliseconds.
    pub(super) at: UnixMillis,
    /// In use, in bytes.
    pub(super) used: u64,
    /// All of it, in bytes.
    pub(super) capacity: u64,
    /// Whether something was cleaned since the sample before.
    pub(super) cleaned: bool,
}

/// When a filesystem is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Forecast {
    /// There are too few samples for a number.
    TooEarly {
        /// Hours that samples cover. From 24 on there is a number.
        hours: u64,
    },
    /// It does not grow, or so slowly that it is full in no less than ten years.
    Steady,
    /// It grows.
    Filling(Filling),
}

/// A filesystem that grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Filling {
    /// By so much a day, in bytes.
    pub bytes_per_day: u64,
    /// Hours until it is full.
    pub hours: u64,
    /// As few as they may be.
    pub soonest_hours: u64,
    /// As many as they may be; none: it may as well not grow.
    pub latest_hours: Option<u64>,
}

impl Filling {
    /// As people read it: `11.5 days (9.2 to 14.8)`.
    pub fn words(&self) -> String {
        let days = |hours: u64| match (hours / 24, hours % 24 * 10 / 24) {
            (days, 0) => days.to_string(),
            (days, tenth) => format!("{days}.{tenth}"),
        };
        let latest = self.latest_hours.map_or_else(|| "never".to_owned(), days);
        format!("{} days ({} to {latest})", days(self.hours), days(self.soonest_hours))
    }
}

impl Forecast {
    /// Hours until it is full; none: not known, or it does not grow.
    pub const fn hours(&self) -> Option<u64> {
        match self {
            Self::Filling(filling) => Some(filling.hours),
            Self::TooEarly { .. } | Self::Steady => None,
        }
    }
}

/// Says when a filesystem is full. `samples`: oldest first; `available`: bytes that are left now.
pub(super) fn forecast(samples: &[UsageSample], available: u64, now: UnixMillis) -> Forecast {
    let week = segments(within(samples, now, WEEK_MS));
    let covered: i64 = week.iter().map(|segment| span(segment)).sum();
    if covered < DAY_MS {
        return Forecast::TooEarly { hours: covered.max(0).unsigned_abs() / HOUR_MS.unsigned_abs() };
    }
    let day = segments(within(samples, now, DAY_MS));
    let covered_of_day: i64 = day.iter().map(|segment| span(segment)).sum();
    let long = Slopes::of(&week);
    let short = Slopes::of(&day).filter(|_| covered_of_day >= DAY_MS / 2);
    let Some(long) = long else { return Forecast::Steady };
    let slopes = match short {
        Some(short) => Slopes {
            middle: long.middle.max(short.middle),
            low: long.low.min(short.low),
            high: long.high.max(short.high),
        },
        None => long,
    };
    let hours = |slope: i64| u64::try_from(slope).ok().and_then(|slope| available.checked_div(slope));
    match hours(slopes.middle) {
        Some(middle) if middle <= FAR_HOURS => Forecast::Filling(Filling {
            bytes_per_day: slopes.middle.unsigned_abs().saturating_mul(24),
            hours: middle,
            soonest_hours: hours(slopes.high).unwrap_or(middle).min(middle),
            latest_hours: hours(slopes.low).filter(|latest| *latest <= FAR_HOURS),
        }),
        Some(_) | None => Forecast::Steady,
    }
}

/// The samples of a window, the newest of them where there are many.
fn within(samples: &[UsageSample], now: UnixMillis, window: i64) -> &[UsageSample] {
    let begin = samples.partition_point(|sample| sample.at < now.saturating_sub(window));
    let begin = begin.max(samples.len().saturating_sub(MAX_SAMPLES));
    samples.get(begin..).unwrap_or_default()
}

/// Samples between which nothing but growth has happened.
fn segments(samples: &[UsageSample]) -> Vec<&[UsageSample]> {
    samples.chunk_by(|before, after| !begins_anew(before, after)).collect()
}

fn begins_anew(before: &UsageSample, after: &UsageSample) -> bool {
    let dropped = before.used.saturating_sub(after.used);
    after.cleaned
        || after.at <= before.at
        || after.capacity != before.capacity
        || (dropped > 0 && dropped >= before.capacity / DROP)
}

fn span(segment: &[UsageSample]) -> i64 {
    match (segment.first(), segment.last()) {
        (Some(first), Some(last)) => last.at.saturating_sub(first.at),
        _ => 0,
    }
}

/// Growth, in bytes an hour.
#[derive(Clone, Copy, Debug)]
struct Slopes {
    middle: i64,
    low: i64,
    high: i64,
}

impl Slopes {
    /// None: no two samples are far enough from each other.
    fn of(segments: &[&[UsageSample]]) -> Option<Self> {
        let mut slopes: Vec<i64> = segments.iter().flat_map(|segment| pairs(segment)).collect();
        slopes.sort_unstable();
        // How far from the middle the bounds are, in ranks: by the variance of Kendall's statistic, summed over segments.
        let variance: u64 = segments.iter().map(|segment| variance(segment.len())).sum();
        let ranks = usize::try_from(variance.isqrt().saturating_mul(WIDTH) / 200).unwrap_or(usize::MAX);
        let middle = slopes.len() / 2;
        let last = slopes.len().checked_sub(1)?;
        let (low, high) = (middle.saturating_sub(ranks), middle.saturating_add(ranks).min(last));
        let middle = median(&slopes)?;
        Some(Self { middle, low: middle.min(*slopes.get(low)?), high: middle.max(*slopes.get(high)?) })
    }
}

fn pairs(segment: &[UsageSample]) -> impl Iterator<Item = i64> + '_ {
    segment.iter().enumerate().flat_map(move |(place, before)| {
        segment.iter().skip(place + 1).filter_map(move |after| slope(before, after))
    })
}

fn slope(before: &UsageSample, after: &UsageSample) -> Option<i64> {
    let elapsed = after.at.saturating_sub(before.at);
    if elapsed < CLOSEST_MS {
        return None;
    }
    let grown = i128::from(after.used) - i128::from(before.used);
    i64::try_from(grown * i128::from(HOUR_MS) / i128::from(elapsed)).ok()
}

fn median(sorted: &[i64]) -> Option<i64> {
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *sorted.get((sorted.len() / 2).checked_sub(1)?)?;
    Some(lower.midpoint(upper))
}

fn variance(samples: usize) -> u64 {
    let n = u64::try_from(samples).unwrap_or(0);
    n * n.saturating_sub(1) * (2 * n + 5) / 18
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GIB: u64 = 1 << 30;
    const CAPACITY: u64 = 1000 * GIB;

    /// A sample an hour from 0 on.
    fn hourly(used: impl IntoIterator<Item = u64>) -> Vec<UsageSample> {
        let sample = |(hour, used): (usize, u64)| UsageSample {
            at: i64::try_from(hour).unwrap() * HOUR_MS,
            used,
            capacity: CAPACITY,
            cleaned: false,
        };
        used.into_iter().enumerate().map(sample).collect()
    }

    fn of(samples: &[UsageSample]) -> Forecast {
        let last = samples.last().unwrap();
        forecast(samples, last.capacity - last.used, last.at)
    }

    fn filling(samples: &[UsageSample]) -> Filling {
        match of(samples) {
            Forecast::Filling(filling) => filling,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn steady_growth_is_told_to_the_hour() {
        let filling = filling(&hourly((0..48).map(|hour| 500 * GIB + hour * GIB)));
        assert_eq!(filling.bytes_per_day, 24 * GIB);
        assert_eq!(filling.hours, 453);
        assert_eq!((filling.soonest_hours, filling.latest_hours), (453, Some(453)));
        assert_eq!(filling.words(), "18.8 days (18.8 to 18.8)");
    }

    #[test]
    fn before_a_day_there_is_no_number() {
        for hours in 1_u64..=24 {
            let samples = hourly((0..hours).map(|hour| hour * GIB));
            assert_eq!(of(&samples), Forecast::TooEarly { hours: hours - 1 });
        }
        assert!(matches!(of(&hourly((0..25).map(|hour| hour * GIB))), Forecast::Filling(_)));
        assert_eq!(forecast(&[], 5, 0), Forecast::TooEarly { hours: 0 });
    }

    #[test]
    fn what_does_not_grow_is_never_full() {
        for used in [vec![5 * GIB; 48], (0..48).map(|hour| 900 * GIB - hour * 1000).collect()] {
            assert_eq!(of(&hourly(used)), Forecast::Steady);
        }
        // A KiB a day: centuries.
        assert_eq!(of(&hourly((0..48).map(|hour| hour * 43))), Forecast::Steady);
    }

    /// Every night most of what the day brought is deleted: the growth in between is what fills it if nobody cleans.
    #[test]
    fn a_cleaning_begins_a_new_segment_and_growth_before_it_still_counts() {
        let saw = (0..100).map(|hour| 500 * GIB + (hour % 24) * 2 * GIB);
        assert_eq!(filling(&hourly(saw)).bytes_per_day, 48 * GIB);
        // Also one that is too small to be seen by itself.
        let mut small = hourly((0..72).map(|hour| 500 * GIB + (hour % 24) * GIB / 10));
        for sample in small.iter_mut().skip(24).step_by(24) {
            sample.cleaned = true;
        }
        assert_eq!(filling(&small).bytes_per_day, 24 * (GIB / 10));
    }

    #[test]
    fn a_resize_is_no_growth() {
        let mut samples = hourly((0..60).map(|hour| 500 * GIB + hour * GIB));
        for sample in samples.iter_mut().skip(30) {
            sample.capacity *= 2;
            sample.used += 100 * GIB;
        }
        assert_eq!(filling(&samples).bytes_per_day, 24 * GIB);
    }

    #[test]
    fn the_last_day_counts_where_it_is_faster() {
        let slow = (0..144).map(|hour| 500 * GIB + hour * GIB);
        let fast = (1..=24).map(|hour| 643 * GIB + hour * 5 * GIB);
        let filling = filling(&hourly(slow.chain(fast)));
        assert_eq!(filling.bytes_per_day, 120 * GIB);
        assert!(filling.latest_hours.unwrap() > filling.hours, "the slow week is the other end");
    }

    #[test]
    fn single_leaps_move_nothing() {
        let mut used: Vec<u64> = (0..96).map(|hour| 500 * GIB + hour * GIB).collect();
        // A file of 200 GiB that was there for an hour, twice.
        used[20] += 200 * GIB;
        used[70] += 200 * GIB;
        let filling = filling(&hourly(used));
        assert!((23 * GIB..=25 * GIB).contains(&filling.bytes_per_day), "{filling:?}");
    }

    proptest! {
        #[test]
        fn an_interval_holds_its_number_and_time_is_no_matter(
            used in prop::collection::vec(0_u64..CAPACITY, 25..80), shift in -1_i64 << 40..1_i64 << 40,
        ) {
            let samples = hourly(used);
            let found = of(&samples);
            if let Forecast::Filling(filling) = found {
                prop_assert!(filling.soonest_hours <= filling.hours);
                prop_assert!(filling.latest_hours.is_none_or(|latest| latest >= filling.hours));
            }
            let moved: Vec<_> = samples.iter().map(|it| UsageSample { at: it.at + shift, ..*it }).collect();
            prop_assert_eq!(of(&moved), found);
        }

        #[test]
        fn no_number_before_a_day_whatever_comes(
            used in prop::collection::vec(any::<u64>(), 0..24), capacity in any::<u64>(), now in any::<i64>(),
        ) {
            let samples: Vec<_> = hourly(used).into_iter().map(|it| UsageSample { capacity, ..it }).collect();
            let found = forecast(&samples, 5, now);
            let is_early = matches!(found, Forecast::TooEarly { .. });
            prop_assert!(is_early, "{:?}", found);
        }

        #[test]
        fn faster_growth_is_full_no_later(rate in 1_u64..4 * GIB, more in 0_u64..GIB) {
            let hours = |rate: u64| {
                let samples = hourly((0..30).map(|hour| hour * rate));
                forecast(&samples, CAPACITY, 29 * HOUR_MS).hours().unwrap_or(u64::MAX)
            };
            prop_assert!(hours(rate + more) <= hours(rate));
        }
    }
}
