//! Days in UTC: what sums and reports are by.

use jiff::{SignedDuration, civil::Date};

/// A day in milliseconds: UTC has no others, as Unix time leaves leap seconds out.
pub const DAY_MS: i64 = 86_400_000;

/// The first of the days that are numbered.
const EPOCH: Date = Date::constant(1970, 1, 1);

/// More days than there are to either end of the calendar, which has the years -9999 to 9999.
const BEYOND_DATES: i64 = 5_000_000;

/// A day in UTC, counted from 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UtcDay(i64);

impl UtcDay {
    /// The day with this number.
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// The day that a time in Unix milliseconds is in.
    pub const fn of(unix_ms: i64) -> Self {
        Self(unix_ms.div_euclid(DAY_MS))
    }

    /// Days since 1970-01-01.
    pub const fn number(self) -> i64 {
        self.0
    }

    /// When it begins, in Unix milliseconds.
    pub const fn start_ms(self) -> i64 {
        self.0.saturating_mul(DAY_MS)
    }

    /// The day after.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Its date; a day beyond the calendar is the calendar's last.
    pub fn date(self) -> Date {
        // Farther than any date, and near enough for a duration.
        let number = self.0.clamp(-BEYOND_DATES, BEYOND_DATES);
        EPOCH.saturating_add(SignedDuration::from_hours(number.saturating_mul(24)))
    }
}

impl From<Date> for UtcDay {
    /// By the calendar alone: a timestamp ends a day before the last date does.
    fn from(date: Date) -> Self {
        Self(date.duration_since(EPOCH).as_hours() / 24)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_are_the_same() {
        for (date, number) in [
            ("1970-01-01", 0),
            ("1969-12-31", -1),
            ("2026-11-27", 20_784),
            ("9999-12-31", 2_932_896),
            ("0001-01-01", -719_162),
        ] {
            let date: Date = date.parse().unwrap();
            assert_eq!(UtcDay::from(date).number(), number, "{date}");
            assert_eq!(UtcDay::new(number).date(), date);
        }
        assert_eq!((UtcDay::new(i64::MIN).date(), UtcDay::new(i64::MAX).date()), (Date::MIN, Date::MAX));
    }

    #[test]
    fn a_day_begins_at_midnight() {
        let day = UtcDay::new(20_784);
        assert_eq!(UtcDay::of(day.start_ms()), day);
        assert_eq!(UtcDay::of(day.start_ms() - 1).next(), day);
        assert_eq!(UtcDay::of(-1).number(), -1);
    }
}
