//! When a task is due: a cron expression by the clock of a time zone.
//!
//! Five fields, as in crontab(5): minute, hour, day of the month, month, day of the week. A time of day that a daylight-saving change leaves out comes at the
//! first moment after the gap; one that comes twice is meant the first time. An expression of several times a day goes by the clock as it is: what
//! falls into the gap is left out, and what comes twice comes twice.

use std::fmt;

use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use jiff::{Timestamp, Zoned, tz::TimeZone};

use crate::types::UnixMillis;

/// Longest expression, in bytes. Arbitrary: a list of each minute of an hour is shorter.
const MAX_BYTES: usize = 200;
/// What stands in for a moment where one is needed that is the same on every machine: 2026-01-01 UTC.
const SOME_TIME: UnixMillis = 1_767_225_600_000;
/// Times that are looked at for the shortest time between two.
const LOOKED_AT: usize = 100;

/// The fields, and what each takes.
const FIELDS: [(&str, &str); 5] = [
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of the month", "1 to 31, or L for the last"),
    ("month", "1 to 12, or JAN to DEC"),
    ("day of the week", "0 to 7, or SUN to SAT; both 0 and 7 are Sunday"),
];

/// Why a text is no time of a task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// It has another number of fields.
    #[error(
        "it has {0} fields where five are expected: minute, hour, day of the month, month, day of the week"
    )]
    Fields(usize),
    /// A field is none.
    #[error(
        "the {field} `{found}` is not understood: expected {expected}, a list such as 1,15, a range such as 1-5, or steps such as */5"
    )]
    Field {
        /// Its name.
        field: &'static str,
        /// What stands there.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
    /// Each field is sound, and all of them together are none.
    #[error("it is not understood")]
    Whole,
    /// No day is like that.
    #[error("it never comes")]
    Never,
}

/// When a task is due.
#[derive(Clone)]
pub struct CronSchedule {
    text: String,
    cron: Cron,
    zone: TimeZone,
}

impl PartialEq for CronSchedule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.zone == other.zone
    }
}

impl Eq for CronSchedule {}

impl fmt::Debug for CronSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CronSchedule({self})")
    }
}

/// The expression and its time zone, as in `0 3 * * * Europe/Zurich`.
impl fmt::Display for CronSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.text, self.zone_name())
    }
}

impl CronSchedule {
    /// Reads an expression of five fields, or one of crontab's words such as `@daily`.
    ///
    /// # Errors
    /// When it is none, or no day is like that.
    pub fn parse(text: &str, zone: TimeZone) -> Result<Self, CronError> {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let cron = parse(&text)?;
        let schedule = Self { text, cron, zone };
        schedule.next_after(SOME_TIME).ok_or(CronError::Never)?;
        Ok(schedule)
    }

    /// The expression.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The time zone's name.
    pub fn zone_name(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }

    /// The first time after a moment.
    pub fn next_after(&self, moment: UnixMillis) -> Option<UnixMillis> {
        let found = self.cron.find_next_occurrence(&self.at(moment)?, false).ok()?;
        Some(found.timestamp().as_millisecond())
    }

    /// The last time up to a moment.
    pub fn last_until(&self, moment: UnixMillis) -> Option<UnixMillis> {
        let found = self.cron.find_previous_occurrence(&self.at(moment)?, true).ok()?;
        Some(found.timestamp().as_millisecond())
    }

    /// The shortest time between two times, in milliseconds, as far as a look at some of them shows.
    pub fn shortest_interval_ms(&self) -> i64 {
        let mut last = SOME_TIME;
        let mut shortest = i64::MAX;
        for looked_at in 0..LOOKED_AT {
            let Some(next) = self.next_after(last) else { break };
            if looked_at > 0 {
                shortest = shortest.min(next.saturating_sub(last));
            }
            last = next;
        }
        shortest
    }

    /// A moment by the clock of the zone, in whole seconds.
    fn at(&self, moment: UnixMillis) -> Option<Zoned> {
        let second = Timestamp::from_second(moment.div_euclid(1000)).ok()?;
        Some(second.to_zoned(self.zone.clone()))
    }
}

fn parse(text: &str) -> Result<Cron, CronError> {
    let fields: Vec<&str> = text.split(' ').filter(|field| !field.is_empty()).collect();
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let read = |text: &str| -> Option<Cron> {
        // The crate reads ASCII; what is longer than anybody writes is not looked at.
        (text.is_ascii() && text.len() <= MAX_BYTES).then(|| parser.parse(text).ok()).flatten()
    };
    if let [word] = fields.as_slice()
        && word.starts_with('@')
    {
        return read(text).ok_or(CronError::Whole);
    }
    if fields.len() != FIELDS.len() {
        return Err(CronError::Fields(fields.len()));
    }
    if let Some(cron) = read(text) {
        return Ok(cron);
    }
    for (index, (found, (field, expected))) in fields.iter().zip(FIELDS).enumerate() {
        let alone: Vec<&str> =
            (0..FIELDS.len()).map(|place| if place == index { *found } else { "*" }).collect();
        if read(&alone.join(" ")).is_none() {
            let found = found.chars().take(40).collect();
            return Err(CronError::Field { field, found, expected });
        }
    }
    Err(CronError::Whole)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn schedule(text: &str, zone: &str) -> CronSchedule {
        CronSchedule::parse(text, TimeZone::get(zone).unwrap()).unwrap()
    }

    fn ms(text: &str) -> UnixMillis {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    /// The times in a span.
    fn times(text: &str, zone: &str, from: &str, until: &str) -> Vec<String> {
        let schedule = schedule(text, zone);
        let mut found = Vec::new();
        let mut last = ms(from) - 1000;
        while let Some(next) = schedule.next_after(last).filter(|next| *next < ms(until)) {
            found.push(Timestamp::from_millisecond(next).unwrap().to_string());
            last = next;
        }
        found
    }

    /// Both hemispheres, both changes, a zone whose change is half an hour, and one whose clocks change at midnight.
    #[test]
    fn a_time_of_day_comes_once_on_each_day_also_when_clocks_change() {
        for (name, text, zone, from, want) in [
            (
                "Zurich: 02:30 is left out",
                "30 2 * * *",
                "Europe/Zurich",
                "2026-03-28T12:00:00Z",
                "2026-03-29T01:00:00Z",
            ),
            (
                "Zurich: 02:00 is left out",
                "0 2 * * *",
                "Europe/Zurich",
                "2026-03-28T12:00:00Z",
                "2026-03-29T01:00:00Z",
            ),
            (
                "Zurich: 03:00 after it",
                "0 3 * * *",
                "Europe/Zurich",
                "2026-03-28T12:00:00Z",
                "2026-03-29T01:00:00Z",
            ),
            (
                "Zurich: 02:30 comes twice",
                "30 2 * * *",
                "Europe/Zurich",
                "2026-10-24T12:00:00Z",
                "2026-10-25T00:30:00Z",
            ),
            (
                "Zurich: 03:00 after both",
                "0 3 * * *",
                "Europe/Zurich",
                "2026-10-24T12:00:00Z",
                "2026-10-25T02:00:00Z",
            ),
            (
                "New York: 02:30 is left out",
                "30 2 * * *",
                "America/New_York",
                "2026-03-07T12:00:00Z",
                "2026-03-08T07:00:00Z",
            ),
            (
                "New York: 01:30 comes twice",
                "30 1 * * *",
                "America/New_York",
                "2026-10-31T12:00:00Z",
                "2026-11-01T05:30:00Z",
            ),
            (
                "Sydney: 02:30 is left out",
                "30 2 * * *",
                "Australia/Sydney",
                "2026-10-03T00:00:00Z",
                "2026-10-03T16:00:00Z",
            ),
            (
                "Sydney: 02:30 comes twice",
                "30 2 * * *",
                "Australia/Sydney",
                "2026-04-04T00:00:00Z",
                "2026-04-04T15:30:00Z",
            ),
            (
                "Lord Howe: 02:15 is left out",
                "15 2 * * *",
                "Australia/Lord_Howe",
                "2026-10-03T00:00:00Z",
                "2026-10-03T15:30:00Z",
            ),
            (
                "Cairo: 00:30 is left out",
                "30 0 * * *",
                "Africa/Cairo",
                "2026-04-23T12:00:00Z",
                "2026-04-23T22:00:00Z",
            ),
        ] {
            let until = ms(from) + 24 * 3_600_000;
            let until = Timestamp::from_millisecond(until).unwrap().to_string();
            assert_eq!(times(text, zone, from, &until), [want], "{name}");
        }
    }

    #[test]
    fn what_comes_several_times_a_day_goes_by_the_clock_as_it_is() {
        let hourly = |from: &str, until: &str| times("0 * * * *", "Europe/Zurich", from, until).len();
        assert_eq!(hourly("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"), 23);
        assert_eq!(hourly("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"), 25);
        let minutes = times("*/5 * * * *", "Europe/Zurich", "2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z");
        assert_eq!(minutes.len(), 24, "every five minutes, whatever the clock on the wall says");
    }

    #[test]
    fn zones_and_days_of_the_week() {
        assert_eq!(
            times("0 8 * * MON", "Europe/Zurich", "2026-11-23T00:00:00Z", "2026-12-08T00:00:00Z"),
            ["2026-11-23T07:00:00Z", "2026-11-30T07:00:00Z", "2026-12-07T07:00:00Z"]
        );
        assert_eq!(
            times("@daily", "UTC", "2026-11-23T00:00:00Z", "2026-11-25T00:00:00Z"),
            ["2026-11-23T00:00:00Z", "2026-11-24T00:00:00Z"]
        );
        assert_eq!(schedule(" 0  3 * * * ", "Europe/Zurich").to_string(), "0 3 * * * Europe/Zurich");
        assert_eq!(schedule("0 3 * * *", "UTC").to_string(), "0 3 * * * UTC");
    }

    #[test]
    fn what_is_no_expression_is_said_by_its_field() {
        for (text, want) in [
            ("", "it has 0 fields"),
            ("0 3 * *", "it has 4 fields"),
            ("0 0 3 * * *", "it has 6 fields"),
            ("60 3 * * *", "the minute `60` is not understood: expected 0 to 59"),
            ("0 25 * * *", "the hour `25`"),
            ("0 3 32 * *", "the day of the month `32`"),
            ("0 3 * 13 *", "the month `13`"),
            ("0 3 * * FUNDAY", "the day of the week `FUNDAY`"),
            ("0 3 * * ü", "the day of the week `ü`"),
            ("*/0 * * * *", "the minute `*/0`"),
            ("@fortnightly", "it is not understood"),
            ("0 3 30 2 *", "it never comes"),
        ] {
            let error = CronSchedule::parse(text, TimeZone::UTC).unwrap_err().to_string();
            assert!(error.starts_with(want), "{text}: {error}");
        }
    }

    #[test]
    fn the_shortest_interval_is_known() {
        for (text, minutes) in
            [("*/5 * * * *", 5), ("0 3 * * *", 1440), ("0,7 * * * *", 7), ("0 3 * * 0", 10_080)]
        {
            assert_eq!(schedule(text, "UTC").shortest_interval_ms(), minutes * 60_000, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd_to_be_refused(text in "[-0-9*/,LW#@A-Za-z? +üß]{0,30}") {
            let _ = CronSchedule::parse(&text, TimeZone::UTC);
        }

        /// Looked at from before and from after, times are the same.
        #[test]
        fn forwards_and_backwards_are_the_same_times(
            at in ms("2024-01-01T00:00:00Z")..ms("2030-01-01T00:00:00Z"),
            text in prop::sample::select(vec!["30 2 * * *", "0 2 * * *", "*/5 * * * *", "0 3 * * 0", "15 1,2,3 * * *", "0 4 L * *"]),
            zone in prop::sample::select(vec!["UTC", "Europe/Zurich", "America/New_York", "Australia/Sydney", "Australia/Lord_Howe"]),
        ) {
            let schedule = schedule(text, zone);
            let next = schedule.next_after(at).unwrap();
            prop_assert!(next > at);
            prop_assert_eq!(schedule.last_until(next), Some(next));
            let last = schedule.last_until(at).unwrap();
            prop_assert!(last <= at);
            prop_assert_eq!(schedule.next_after(last), Some(next), "nothing lies between {} and {}", last, next);
        }
    }
}
