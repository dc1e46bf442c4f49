//! Sums of minutes. They add up: the sums of two spans that follow each other are those of both, whatever lies between them, so that hours can
//! be written down and a month be read from them.

use serde::{Deserialize, Serialize};

use super::words::share;
use crate::{
    events::LatencyCounts,
    ledger::{MinuteRow, MinuteState},
};

/// What a part's minutes come to, oldest first. Minutes without a row are in none of the counts but `gap`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Minutes that were good.
    pub good: u64,
    /// Bad.
    pub bad: u64,
    /// Too late.
    pub slow: u64,
    /// Not good, in an announced time.
    pub maintenance: u64,
    /// Nobody watched, and the part was bad before and after: bad as well.
    pub gap: u64,
    /// Answers or looks in known minutes that were good.
    pub good_events: u64,
    /// Those that failed.
    pub bad_events: u64,
    /// Those that were too late.
    pub slow_events: u64,
    /// How long answers took.
    pub latency: LatencyCounts,
    first: Option<Edge>,
    last: Option<Edge>,
}

/// The first or last known minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Edge {
    minute: i64,
    is_bad: bool,
}

impl Tally {
    /// Of one minute. One that nobody can say anything of is nothing.
    pub fn of(row: &MinuteRow) -> Self {
        let mut tally = Self::default();
        match row.state.known() {
            Some(MinuteState::Good) => tally.good = 1,
            Some(MinuteState::Bad) => tally.bad = 1,
            Some(MinuteState::Slow) => tally.slow = 1,
            Some(MinuteState::Maintenance) => tally.maintenance = 1,
            // A state of a newer version: nothing can be said here.
            Some(MinuteState::Unknown) | None => return tally,
        }
        let edge = Edge { minute: row.minute, is_bad: tally.bad > 0 };
        (tally.first, tally.last) = (Some(edge), Some(edge));
        if tally.maintenance == 0 {
            (tally.good_events, tally.bad_events, tally.slow_events) = (row.good, row.bad, row.slow);
            tally.latency = LatencyCounts::decode(&row.latency).unwrap_or_default();
        }
        tally
    }

    /// Of minutes, oldest first.
    pub fn of_all<'r>(rows: impl IntoIterator<Item = &'r MinuteRow>) -> Self {
        let mut tally = Self::default();
        rows.into_iter().for_each(|row| tally.add(&Self::of(row)));
        tally
    }

    /// Adds the sums of a later span.
    pub fn add(&mut self, later: &Self) {
        let between = match (self.last, later.first) {
            (Some(before), Some(after)) if before.is_bad && after.is_bad => {
                after.minute.saturating_sub(before.minute).saturating_sub(1).max(0).unsigned_abs()
            }
            (_, _) => 0,
        };
        let sums = [
            (&mut self.good, later.good),
            (&mut self.bad, later.bad),
            (&mut self.slow, later.slow),
            (&mut self.maintenance, later.maintenance),
            (&mut self.gap, later.gap.saturating_add(between)),
            (&mut self.good_events, later.good_events),
            (&mut self.bad_events, later.bad_events),
            (&mut self.slow_events, later.slow_events),
        ];
        for (sum, more) in sums {
            *sum = sum.saturating_add(more);
        }
        self.latency.merge(&later.latency);
        self.first = self.first.or(later.first);
        self.last = later.last.or(self.last);
    }

    /// Minutes of which something is known, announced ones aside.
    pub fn known(&self) -> u64 {
        [self.good, self.bad, self.slow, self.gap].into_iter().fold(0, u64::saturating_add)
    }

    /// Minutes that count as down.
    pub fn down(&self, late_is_down: bool) -> u64 {
        let slow = if late_is_down { self.slow } else { 0 };
        self.bad.saturating_add(self.gap).saturating_add(slow)
    }

    /// Answers or looks that were counted.
    pub fn events(&self) -> u64 {
        [self.good_events, self.bad_events, self.slow_events].into_iter().fold(0, u64::saturating_add)
    }

    /// Those of them that count as failed.
    pub fn failed_events(&self, late_is_down: bool) -> u64 {
        self.bad_events.saturating_add(if late_is_down { self.slow_events } else { 0 })
    }

    /// The share of answers or looks that did not fail; none without any.
    pub fn good_share_of_events(&self, late_is_down: bool) -> Option<f64> {
        let all = self.events();
        share(all.saturating_sub(self.failed_events(late_is_down)), all)
    }

    /// The last minute of which something is known.
    pub fn last_minute(&self) -> Option<i64> {
        self.last.map(|edge| edge.minute)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    pub(in crate::sla) fn row(minute: i64, state: MinuteState) -> MinuteRow {
        let mut latency = LatencyCounts::default();
        latency.add(Duration::from_millis(minute.unsigned_abs() % 500));
        let count = |wanted| if state == wanted { 4 } else { 0 };
        MinuteRow {
            minute,
            indicator: "relays".to_owned(),
            state: state.into(),
            good: count(MinuteState::Good),
            bad: count(MinuteState::Bad),
            slow: count(MinuteState::Slow),
            watched_ms: 60_000,
            latency: latency.encode(),
        }
    }

    #[test]
    fn a_gap_between_two_bad_minutes_is_bad_and_any_other_is_unknown() {
        use MinuteState::{Bad, Good, Maintenance, Unknown};
        for (before, after, gap) in
            [(Bad, Bad, 9), (Bad, Good, 0), (Good, Bad, 0), (Good, Good, 0), (Bad, Maintenance, 0)]
        {
            let tally = Tally::of_all(&[row(10, before), row(15, Unknown), row(20, after)]);
            assert_eq!(tally.gap, gap, "{before} to {after}");
        }
    }

    #[test]
    fn announced_minutes_are_counted_apart() {
        let tally = Tally::of_all(&[row(1, MinuteState::Good), row(2, MinuteState::Maintenance)]);
        assert_eq!((tally.known(), tally.maintenance, tally.events()), (1, 1, 4));
    }

    #[test]
    fn late_is_down_for_some() {
        let tally = Tally::of_all(&[row(1, MinuteState::Slow), row(2, MinuteState::Bad)]);
        assert_eq!((tally.down(false), tally.down(true)), (1, 2));
        assert_eq!((tally.failed_events(false), tally.failed_events(true)), (4, 8));
    }

    fn series() -> impl Strategy<Value = Vec<MinuteRow>> {
        proptest::collection::vec((1_i64..20, 0_usize..5), 0..120).prop_map(|steps| {
            let mut minute = 0;
            let mut rows = Vec::new();
            for (step, state) in steps {
                minute += step;
                rows.push(row(minute, MinuteState::ALL[state]));
            }
            rows
        })
    }

    proptest! {
        #[test]
        fn sums_of_parts_are_the_sums_of_the_whole(rows in series(), cuts in proptest::collection::vec(0_usize..120, 0..6)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(rows.len())).collect();
            cuts.extend([0, rows.len()]);
            cuts.sort_unstable();
            let parts: Vec<Tally> = cuts.windows(2).map(|cut| Tally::of_all(&rows[cut[0]..cut[1]])).collect();
            let whole = Tally::of_all(&rows);
            let mut from_left = Tally::default();
            parts.iter().for_each(|part| from_left.add(part));
            let from_right = parts.iter().rev().fold(Tally::default(), |sum, part| {
                let mut both = part.clone();
                both.add(&sum);
                both
            });
            prop_assert_eq!(&from_left, &whole);
            prop_assert_eq!(&from_right, &whole);
            let json = serde_json::to_string(&whole).unwrap();
            prop_assert_eq!(serde_json::from_str::<Tally>(&json).unwrap(), whole);
        }

        #[test]
        fn no_minute_is_counted_twice(rows in series()) {
            let whole = Tally::of_all(&rows);
            let span = rows.first().zip(rows.last()).map_or(0, |(first, last)| last.minute - first.minute + 1);
            prop_assert!(whole.known() + whole.maintenance <= span.unsigned_abs());
        }
    }
}
