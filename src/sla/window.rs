//! Spans of time that availability is said of: rolling days, and the calendar's month.

use jiff::civil::Date;
use serde::{Serialize, Serializer};

use super::minutes::minute_of;
use crate::types::{UnixMillis, UtcDay};

/// Minutes of a day.
const DAY: i64 = 1440;
/// Longest window in days: for as long hours are kept.
const LONGEST: i64 = 730;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// So many days up to now.
    Days(i64),
    /// The calendar's month, in UTC, as far as it is over; its budget is that of the whole month.
    Month,
}

impl Period {
    /// What the roadmap is judged by.
    pub const THIRTY_DAYS: Self = Self::Days(30);

    /// Reads `30d` (1 to 730 days) or `month`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "month" {
            return Some(Self::Month);
        }
        let days = text.strip_suffix('d').filter(|days| days.bytes().all(|b| b.is_ascii_digit()))?;
        days.parse().ok().filter(|days| (1..=LONGEST).contains(days)).map(Self::Days)
    }

    /// The span up to a moment: the minute that goes on is not in it.
    pub fn window(self, now: UnixMillis) -> Window {
        let until = minute_of(now);
        match self {
            Self::Days(days) => {
                let minutes = days.clamp(1, LONGEST) * DAY;
                Window { period: self, from: until - minutes, until, whole: minutes.unsigned_abs() }
            }
            Self::Month => {
                let first = UtcDay::of(now).date().first_of_month();
                let next = first.last_of_month().tomorrow().unwrap_or(Date::MAX);
                let start = |date: Date| UtcDay::from(date).number().saturating_mul(DAY);
                let whole = start(next).saturating_sub(start(first)).unsigned_abs();
                Window { period: self, from: start(first), until, whole }
            }
        }
    }
}

impl std::fmt::Display for Period {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Days(days) => write!(f, "{days}d"),
            Self::Month => f.write_str("month"),
        }
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A span of minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// What was asked for.
    pub period: Period,
    /// First minute, since 1970-01-01 UTC.
    pub from: i64,
    /// The minute that it ends before.
    pub until: i64,
    /// Minutes that the error budget is of: all of a calendar month, also what is to come.
    pub whole: u64,
}

impl Window {
    /// Its minutes, as far as they are over.
    pub fn minutes(self) -> u64 {
        self.until.saturating_sub(self.from).max(0).unsigned_abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(date: &str) -> i64 {
        UtcDay::from(date.parse::<Date>().unwrap()).start_ms()
    }

    #[test]
    fn windows_are_read_as_they_are_written() {
        for text in ["1d", "30d", "730d", "month"] {
            assert_eq!(Period::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "d", "0d", "731d", "-1d", "+1d", "30", "30h", "1e2d", "99999999999999999999d"] {
            assert_eq!(Period::parse(text), None, "{text}");
        }
    }

    #[test]
    fn thirty_days_end_with_the_last_whole_minute() {
        let window = Period::THIRTY_DAYS.window(at("2026-11-28") + 61_500);
        assert_eq!((window.minutes(), window.whole), (43_200, 43_200));
        assert_eq!(window.until * 60_000, at("2026-11-28") + 60_000);
    }

    #[test]
    fn a_month_is_the_calendars() {
        for (now, first, days) in [
            ("2026-11-28", "2026-11-01", 30),
            ("2026-12-31", "2026-12-01", 31),
            ("2028-02-29", "2028-02-01", 29),
        ] {
            let window = Period::Month.window(at(now));
            assert_eq!(window.from * 60_000, at(first));
            assert_eq!(window.whole, days * 1440);
            assert_eq!(window.minutes(), (at(now) - at(first)).unsigned_abs() / 60_000);
        }
    }
}
