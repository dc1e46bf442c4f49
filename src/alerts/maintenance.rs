//! Maintenance windows: times of which the operator said beforehand that something will be wrong.
//!
//! A window is a silence by the calendar, and hides as one does: messages, never alerts, and P1 only where it names the rule. What lasts when
//! it ends is told then. A recurring window begins at a time by the clock on the wall and lasts for a time by the clock that only goes
//! forward: two hours are two hours in the night of a change of clocks, too.

use std::time::Duration;

use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, DateTime, Time, Weekday},
    tz::TimeZone,
};

use super::{
    matcher::Matcher,
    moment::millis,
    silence::{Silence, SilenceKind},
};
use crate::types::{DAY_MS, UnixMillis};

/// Most windows.
pub const MAX_WINDOWS: usize = 100;
/// Longest recurring window.
pub const LONGEST_RECURRING: Duration = Duration::from_secs(7 * 86_400);
/// Longest window that comes once: as a silence, 90 days.
pub const LONGEST_ONCE_MS: i64 = 90 * DAY_MS;

/// A time in which something is meant to be wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maintenance {
    /// Its name in the API.
    pub name: String,
    /// All of them must fit; none at all fit everything but P1.
    pub matchers: Vec<Matcher>,
    /// When it is.
    pub when: MaintenanceTime,
    /// Whether minutes in it are no downtime.
    pub sla: bool,
}

/// When a window is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MaintenanceTime {
    /// Once.
    Once {
        /// From when, in Unix milliseconds.
        from: UnixMillis,
        /// Until when.
        until: UnixMillis,
    },
    /// On some days of each week.
    Weekly {
        /// On which it begins.
        days: Vec<Weekday>,
        /// When on these days, by the clock on the wall.
        start: Time,
        /// How long it lasts.
        duration: Duration,
        /// Whose clock on the wall.
        zone: TimeZone,
    },
}

/// One time that a window holds, in Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MaintenanceSpan {
    /// From when.
    pub from: UnixMillis,
    /// Until when: it does not hold at this moment any more.
    pub until: UnixMillis,
}

impl MaintenanceSpan {
    const fn holds(&self, now: UnixMillis) -> bool {
        self.from <= now && now < self.until
    }
}

impl MaintenanceTime {
    /// Whether it never ends: each time begins before the one before has ended.
    pub fn never_ends(&self) -> bool {
        let Self::Weekly { days, duration, .. } = self else { return false };
        let mut days: Vec<i64> = days.iter().map(|day| i64::from(day.to_monday_zero_offset())).collect();
        days.sort_unstable();
        days.dedup();
        let Some(first) = days.first().copied() else { return false };
        let next = days.iter().skip(1).copied().chain([first + 7]);
        let longest_gap = days.iter().zip(next).map(|(day, next)| next - day).max();
        longest_gap.is_some_and(|gap| millis(*duration) >= gap.saturating_mul(DAY_MS))
    }

    /// The times of it around now, in order: each that holds now, and the next one.
    fn around(&self, now: UnixMillis) -> Vec<MaintenanceSpan> {
        let (days, start, duration, zone) = match self {
            Self::Once { from, until } => return vec![MaintenanceSpan { from: *from, until: *until }],
            Self::Weekly { days, start, duration, zone } => (days, *start, *duration, zone),
        };
        let today = Timestamp::from_millisecond(now).unwrap_or_default().to_zoned(zone.clone()).date();
        // A day more at each end: days of a change of clocks have other lengths.
        let back = millis(duration).div_euclid(DAY_MS).saturating_add(2);
        let mut spans: Vec<MaintenanceSpan> = (-back..=8)
            .filter_map(|offset| today.checked_add(SignedDuration::from_hours(24 * offset)).ok())
            .filter(|date| days.contains(&date.weekday()))
            .filter_map(|date| instant(date, start, zone))
            .map(|from| MaintenanceSpan { from, until: from.saturating_add(millis(duration)) })
            .collect();
        spans.sort_unstable();
        spans
    }
}

impl Maintenance {
    /// The time that holds now; of several that overlap, from the beginning of the first to the end of the last.
    pub fn span_at(&self, now: UnixMillis) -> Option<MaintenanceSpan> {
        let holding = || self.when.around(now).into_iter().filter(|span| span.holds(now));
        let from = holding().map(|span| span.from).min()?;
        Some(MaintenanceSpan { from, until: holding().map(|span| span.until).max()? })
    }

    /// The next time that it will hold.
    pub fn next_span(&self, now: UnixMillis) -> Option<MaintenanceSpan> {
        self.when.around(now).into_iter().find(|span| span.from > now)
    }

    /// What hides alerts while it holds, or will when it comes next; none of a window that is over for good.
    fn silence(&self, now: UnixMillis) -> Option<Silence> {
        let span = self.span_at(now).or_else(|| self.next_span(now))?;
        Some(Silence {
            id: format!("maintenance:{}", self.name),
            kind: SilenceKind::Maintenance,
            matchers: self.matchers.clone(),
            starts_at: span.from,
            ends_at: span.until,
            created_by: "the configuration".to_owned(),
            comment: self.name.clone(),
            made_at: span.from,
        })
    }
}

/// The silences that windows are, now or when they come next.
pub(super) fn silences(windows: &[Maintenance], now: UnixMillis) -> Vec<Silence> {
    windows.iter().filter_map(|window| window.silence(now)).collect()
}

/// When a day's window begins. A time that a change of clocks leaves out is when the clocks have changed, as much later as the clocks
/// leap; of one that comes twice, the first.
fn instant(date: Date, start: Time, zone: &TimeZone) -> Option<UnixMillis> {
    let local = DateTime::from_parts(date, start);
    zone.to_ambiguous_zoned(local).compatible().ok().map(|zoned| zoned.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::rota::zone, *};

    const HOUR: Duration = Duration::from_secs(3600);

    fn ms(text: &str) -> UnixMillis {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    fn weekly(days: &[Weekday], start: &str, duration: Duration, zone_name: &str) -> Maintenance {
        let (start, zone) = (start.parse().unwrap(), zone(zone_name).unwrap());
        Maintenance {
            name: "updates".to_owned(),
            matchers: Vec::new(),
            when: MaintenanceTime::Weekly { days: days.to_vec(), start, duration, zone },
            sla: false,
        }
    }

    /// The span that holds, as texts.
    fn shown(window: &Maintenance, now: &str) -> Option<(String, String)> {
        let text = |at| Timestamp::from_millisecond(at).unwrap().to_string();
        window.span_at(ms(now)).map(|span| (text(span.from), text(span.until)))
    }

    #[track_caller]
    fn check(window: &Maintenance, now: &str, span: Option<(&str, &str)>) {
        let want = span.map(|(from, until)| (from.to_owned(), until.to_owned()));
        assert_eq!(shown(window, now), want, "{now}");
    }

    #[test]
    fn a_recurring_window_is_by_the_clock_on_the_wall() {
        let saturday = weekly(&[Weekday::Saturday], "02:00", 2 * HOUR, "Europe/Berlin");
        // In winter 02:00 there is 01:00 UTC; in summer midnight.
        let winter = ("2026-01-10T01:00:00Z", "2026-01-10T03:00:00Z");
        check(&saturday, "2026-01-10T00:59:59.999Z", None);
        check(&saturday, "2026-01-10T01:00:00Z", Some(winter));
        check(&saturday, "2026-01-10T02:59:59.999Z", Some(winter));
        check(&saturday, "2026-01-10T03:00:00Z", None);
        check(&saturday, "2026-01-11T01:30:00Z", None);
        check(&saturday, "2026-07-04T00:30:00Z", Some(("2026-07-04T00:00:00Z", "2026-07-04T02:00:00Z")));
        let next = saturday.next_span(ms("2026-01-10T01:00:00Z")).unwrap();
        assert_eq!(next.from, ms("2026-01-17T01:00:00Z"));
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_it_begins() {
        let friday = weekly(&[Weekday::Friday], "23:00", 50 * HOUR, "UTC");
        let span = Some(("2026-01-09T23:00:00Z", "2026-01-12T01:00:00Z"));
        check(&friday, "2026-01-09T22:59:59Z", None);
        check(&friday, "2026-01-10T12:00:00Z", span);
        check(&friday, "2026-01-12T00:59:59Z", span);
        check(&friday, "2026-01-12T01:00:00Z", None);
    }

    /// On 2026-03-29 in Berlin 02:00 became 03:00, at 01:00 UTC; on 2026-10-25 03:00 became 02:00, at 01:00 UTC.
    #[test]
    fn the_nights_in_which_clocks_change_have_their_window_once_and_whole() {
        let sunday = |start: &str, duration| weekly(&[Weekday::Sunday], start, duration, "Europe/Berlin");
        // A start that the clocks leave out: as much later as they leap.
        let gone = sunday("02:30", HOUR);
        check(&gone, "2026-03-29T01:29:59Z", None);
        check(&gone, "2026-03-29T01:30:00Z", Some(("2026-03-29T01:30:00Z", "2026-03-29T02:30:00Z")));
        // Over the leap: two hours are two hours, though the clock on the wall says three.
        let over = Some(("2026-03-29T00:30:00Z", "2026-03-29T02:30:00Z"));
        check(&sunday("01:30", 2 * HOUR), "2026-03-29T02:29:59Z", over);
        check(&sunday("01:30", 2 * HOUR), "2026-03-29T02:30:00Z", None);
        // A start that comes twice: the first time, and not again.
        let twice = sunday("02:30", HOUR / 2);
        check(&twice, "2026-10-25T00:30:00Z", Some(("2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z")));
        check(&twice, "2026-10-25T01:00:00Z", None);
        check(&twice, "2026-10-25T01:30:00Z", None);
        // Over the night in which an hour comes twice.
        let over = Some(("2026-10-24T23:30:00Z", "2026-10-25T01:30:00Z"));
        check(&sunday("01:30", 2 * HOUR), "2026-10-25T01:29:59Z", over);
        check(&sunday("01:30", 2 * HOUR), "2026-10-25T01:30:00Z", None);
    }

    #[test]
    fn a_window_that_comes_once_is_over_for_good() {
        let once = Maintenance {
            when: MaintenanceTime::Once { from: 100, until: 200 },
            ..weekly(&[], "00:00", HOUR, "UTC")
        };
        for (now, holds, is_shown) in
            [(99, false, true), (100, true, true), (199, true, true), (200, false, false)]
        {
            assert_eq!(once.span_at(now).is_some(), holds, "{now}");
            assert_eq!(silences(std::slice::from_ref(&once), now).len(), usize::from(is_shown), "{now}");
        }
    }

    #[test]
    fn a_window_that_leaves_no_time_between_never_ends() {
        use Weekday::{Friday, Monday, Tuesday};
        let every: Vec<Weekday> = (0..7).map(|day| Weekday::from_monday_zero_offset(day).unwrap()).collect();
        for (days, hours, never_ends) in [
            (&every[..], 23, false),
            (&every, 24, true),
            (&[Monday], 167, false),
            (&[Monday], 168, true),
            // The longest time between is from Tuesday to Friday, and from there to Monday.
            (&[Monday, Tuesday, Friday], 71, false),
            (&[Monday, Tuesday, Friday], 72, true),
            (&[Monday, Monday], 100, false),
        ] {
            assert_eq!(
                weekly(days, "09:00", hours * HOUR, "UTC").when.never_ends(),
                never_ends,
                "{days:?} {hours}"
            );
        }
    }

    #[test]
    fn times_that_overlap_are_one() {
        let window = weekly(&[Weekday::Tuesday, Weekday::Monday], "00:00", 30 * HOUR, "UTC");
        check(&window, "2026-01-06T03:00:00Z", Some(("2026-01-05T00:00:00Z", "2026-01-07T06:00:00Z")));
    }

    proptest! {
        /// In every week it holds as long as it lasts, by the clock that only goes forward, whatever the clocks on the wall do.
        #[test]
        fn a_week_has_the_window_once_and_whole(
            start_minute in 0_i64..1440, minutes in 1_u64..600, day in 0_i8..7, week in 0_i64..520,
        ) {
            let day = Weekday::from_monday_zero_offset(day).unwrap();
            let start = format!("{:02}:{:02}", start_minute / 60, start_minute % 60);
            let window = weekly(&[day], &start, Duration::from_secs(minutes * 60), "America/New_York");
            // A Thursday at noon UTC: no window of ours is cut where one begins less than ten hours before or after.
            let begin = ms("2026-01-01T12:00:00Z") + week * 7 * DAY_MS;
            let next = window.next_span(begin).unwrap();
            prop_assert_eq!(next.until - next.from, i64::try_from(minutes).unwrap() * 60_000);
            prop_assert!(next.from - begin <= 8 * DAY_MS);
            prop_assert_eq!(window.span_at(next.from), Some(next));
            prop_assert_eq!(window.span_at(next.until - 1), Some(next));
            prop_assert_eq!(window.span_at(next.until), None);
            prop_assert_eq!(window.span_at(next.from - 1), None);
        }

        #[test]
        fn any_time_can_be_asked(now: i64) {
            let window = weekly(&[Weekday::Sunday], "02:30", HOUR, "Europe/Berlin");
            let _ = (window.span_at(now), window.next_span(now));
        }
    }
}
