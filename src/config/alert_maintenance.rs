//! `[[alerts.maintenance]]`: times in which something is meant to be wrong.

use std::{collections::BTreeSet, time::Duration};

use jiff::{
    civil::{Time, Weekday},
    tz::TimeZone,
};

use super::{
    alert_people::{instant, time_of_day, time_zone},
    checker::Checker,
    durations::duration,
    raw_alerts::RawMaintenance,
};
use crate::alerts::{
    LONGEST_ONCE_MS, LONGEST_RECURRING, MAX_MATCHERS, MAX_WINDOWS, Maintenance, MaintenanceTime, Matcher,
};

const MINUTE: Duration = Duration::from_secs(60);
/// Longest name, in bytes.
const MAX_NAME: usize = 100;

/// The days of the week by their English names, as Alertmanager and systemd have them.
const DAYS: [(&str, Weekday); 7] = [
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
    ("sunday", Weekday::Sunday),
];

/// Checks all windows. `default_zone`: whose clock they are by, unless they say.
pub(super) fn maintenance(
    raw: &[RawMaintenance],
    default_zone: &TimeZone,
    checker: &mut Checker,
) -> Vec<Maintenance> {
    if raw.len() > MAX_WINDOWS {
        let message = format!("there are {} windows, more than {MAX_WINDOWS}", raw.len());
        checker.wrong("alerts.maintenance", message, "one window can have several `weekdays` and matchers");
    }
    let mut names = BTreeSet::new();
    let mut found = Vec::new();
    for (index, window) in raw.iter().enumerate() {
        let section = format!("alerts.maintenance[{index}]");
        let name = name(window, &section, &mut names, checker);
        let matchers = matchers(&window.matchers, &format!("{section}.matchers"), checker);
        let when = when(window, &section, default_zone, checker);
        if let (Some(name), Some(when)) = (name, when) {
            found.push(Maintenance { name, matchers, when, sla: window.sla });
        }
    }
    found
}

fn name(
    raw: &RawMaintenance,
    section: &str,
    names: &mut BTreeSet<String>,
    checker: &mut Checker,
) -> Option<String> {
    let key = format!("{section}.name");
    let hint = "what is done in it, in a few words, such as name = \"node updates\"";
    let Some(name) = raw.name.as_ref().map(|name| name.trim().to_owned()) else {
        checker.wrong(&key, "is missing", hint);
        return None;
    };
    if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
        checker.wrong(&key, format!("is empty, longer than {MAX_NAME} bytes, or has several lines"), hint);
        return None;
    }
    if !names.insert(name.clone()) {
        let hint = "give it another, so that it is clear which one hides an alert";
        checker.wrong(&key, format!("`{name}` is the name of another window already"), hint);
        return None;
    }
    Some(name)
}

fn matchers(raw: &[String], key: &str, checker: &mut Checker) -> Vec<Matcher> {
    if raw.len() > MAX_MATCHERS {
        let hint = "all matchers of a window must fit at once; a regular expression such as 'alertname=~\"a|b\"' fits any of several";
        checker.wrong(key, format!("has more than {MAX_MATCHERS} entries"), hint);
    }
    let mut found = Vec::new();
    for (number, text) in raw.iter().enumerate() {
        match text.parse() {
            Ok(matcher) => found.push(matcher),
            Err(error) => {
                let hint = "as in Alertmanager, such as 'alertname=\"clock_wrong\"' or 'component=~\"execution|consensus\"'";
                checker.wrong(&format!("{key}[{number}]"), format!("{error}"), hint);
            }
        }
    }
    found
}

fn when(
    raw: &RawMaintenance,
    section: &str,
    default_zone: &TimeZone,
    checker: &mut Checker,
) -> Option<MaintenanceTime> {
    let at = |key: &str| format!("{section}.{key}");
    let before = checker.mistakes_so_far();
    let zone = time_zone(&at("time_zone"), raw.time_zone.as_ref(), default_zone, checker);
    let is_once = raw.from.is_some() || raw.until.is_some();
    let recurring = [
        ("weekdays", raw.weekdays.is_some()),
        ("start_time", raw.start_time.is_some()),
        ("duration", raw.duration.is_some()),
    ];
    let of_recurring = recurring.iter().find(|(_, is_there)| *is_there).map(|(key, _)| *key);
    let both = "write from and until for a window that comes once, or weekdays, start_time and duration for one that recurs";
    let found = match (is_once, of_recurring) {
        (true, Some(key)) => {
            let once = if raw.from.is_some() { "from" } else { "until" };
            let message = format!("is of a window that recurs, and {once} of one that comes once");
            checker.contradicts(&at(key), &at(once), message, both);
            None
        }
        (false, None) => {
            checker.wrong(section, "does not say when it is", both);
            None
        }
        (true, None) => once(raw, section, &zone, checker),
        (false, Some(_)) => weekly(raw, section, zone, checker),
    };
    found.filter(|_| checker.mistakes_so_far() == before)
}

fn once(
    raw: &RawMaintenance,
    section: &str,
    zone: &TimeZone,
    checker: &mut Checker,
) -> Option<MaintenanceTime> {
    let mut moment = |key: &str, value: Option<&toml::value::Datetime>| {
        let found = value.and_then(|value| instant(value, zone));
        if found.is_none() {
            let message = if value.is_none() { "is missing" } else { "is no date" };
            let hint = "a date or a date and time without quotes, by the clock of time_zone, such as 2026-12-24T22:00:00";
            checker.wrong(&format!("{section}.{key}"), message, hint);
        }
        found
    };
    let (from, until) = (moment("from", raw.from.as_ref()), moment("until", raw.until.as_ref()));
    let (from, until) = (from?, until?);
    let (own, other) = (format!("{section}.until"), format!("{section}.from"));
    if until <= from {
        let hint = "a window ends after it begins";
        checker.contradicts(&own, &other, "is not after from: the window would never be", hint);
    } else if until.saturating_sub(from) > LONGEST_ONCE_MS {
        let hint = "a window lasts 90 days at most: `disable` turns a rule off for good";
        checker.contradicts(&own, &other, "is more than 90 days after from", hint);
    }
    Some(MaintenanceTime::Once { from, until })
}

fn weekly(
    raw: &RawMaintenance,
    section: &str,
    zone: TimeZone,
    checker: &mut Checker,
) -> Option<MaintenanceTime> {
    let at = |key: &str| format!("{section}.{key}");
    let days = match &raw.weekdays {
        None => Some(DAYS.map(|(_, day)| day).to_vec()),
        Some(texts) => weekdays(texts, &at("weekdays"), checker),
    };
    let start: Option<Time> = raw.start_time.as_deref().and_then(time_of_day);
    if start.is_none() {
        let message = if raw.start_time.is_none() { "is missing" } else { "is no time of day" };
        checker.wrong(
            &at("start_time"),
            message,
            "such as start_time = \"02:00\", by the clock of time_zone",
        );
    }
    let lasts = raw
        .duration
        .as_ref()
        .map(|text| duration(&at("duration"), Some(text), MINUTE, MINUTE..=LONGEST_RECURRING, checker));
    if lasts.is_none() {
        checker.wrong(&at("duration"), "is missing", "how long it lasts, such as duration = \"2h\"");
    }
    let found = MaintenanceTime::Weekly { days: days?, start: start?, duration: lasts?, zone };
    if found.never_ends() {
        let hint = "leave time between two windows: what is hidden is told when a window ends; `disable` turns a rule off for good";
        checker.wrong(&at("duration"), "lasts until the next window begins: it would never end", hint);
    }
    Some(found)
}

/// `["sat", "monday:wednesday", "fri..sun"]`
fn weekdays(texts: &[String], key: &str, checker: &mut Checker) -> Option<Vec<Weekday>> {
    let hint = "days or spans of days, such as weekdays = [\"sat\", \"mon:fri\"]; without the key every day";
    if texts.is_empty() {
        checker.wrong(key, "is empty: the window would never be", hint);
        return None;
    }
    let mut found = Vec::new();
    for (number, text) in texts.iter().enumerate() {
        match days_of(text) {
            Some(days) => {
                found.extend(days.into_iter().filter(|day| !found.contains(day)).collect::<Vec<_>>())
            }
            None => {
                let shown: String = text.chars().take(40).collect();
                checker.wrong(&format!("{key}[{number}]"), format!("`{shown}` is no day of the week"), hint);
                return None;
            }
        }
    }
    Some(found)
}

/// A day, or a span of days with both ends as Alertmanager (`:`) and systemd (`..`) write it. One that ends before it begins goes over Sunday.
fn days_of(text: &str) -> Option<Vec<Weekday>> {
    let (first, last) = text.split_once("..").or_else(|| text.split_once(':')).unwrap_or((text, text));
    let (first, last) = (day(first.trim())?, day(last.trim())?);
    let days: Vec<Weekday> = first.cycle_forward().take(7).collect();
    let end = days.iter().position(|day| *day == last)?;
    Some(days.into_iter().take(end + 1).collect())
}

/// A day by its name or the first three letters of it.
fn day(text: &str) -> Option<Weekday> {
    let text = text.to_ascii_lowercase();
    let is_it = |name: &str| name == text || name.get(..3) == Some(text.as_str());
    DAYS.iter().find(|(name, _)| is_it(name)).map(|(_, day)| *day)
}

#[cfg(test)]
mod tests;
