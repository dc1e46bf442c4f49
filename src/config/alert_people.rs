//! `[[alerts.contacts]]`, `[[alerts.rotas]]` and `[[alerts.escalation]]`: who is behind a channel, who is on call, and who is told of what.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time, Weekday},
    tz::TimeZone,
};
use toml::value::Datetime;

use super::{
    alert_channels::{name_of, one_of},
    checker::Checker,
    durations::duration,
    raw_alerts::{RawContact, RawEscalation, RawOverride, RawRota},
};
use crate::{
    alerts::{EscalationSettings, Matrix, Override, Rota, zone},
    events::Severity,
    types::UnixMillis,
};

const MINUTE: Duration = Duration::from_secs(60);
const WEEK: Duration = Duration::from_secs(7 * 86_400);
/// Most members of a rota, and most exceptions.
const MAX_ENTRIES: usize = 100;
/// When rotas begin that do not say it.
const FIRST_WEEK: Date = Date::constant(2026, 1, 5);

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// A day of the week by its first three letters.
pub(super) fn weekday(text: &str) -> Option<Weekday> {
    DAYS.iter().find(|(name, _)| *name == text.to_ascii_lowercase()).map(|(_, day)| *day)
}

/// `09:00`
pub(super) fn time_of_day(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str| (text.len() == 2).then(|| text.parse::<i8>().ok()).flatten();
    Time::new(number(hour)?, number(minute)?, 0, 0).ok()
}

/// A time zone by its name.
pub(super) fn time_zone(
    key: &str,
    name: Option<&String>,
    default: &TimeZone,
    checker: &mut Checker,
) -> TimeZone {
    let Some(name) = name else { return default.clone() };
    zone(name).unwrap_or_else(|_| {
        let shown: String = name.chars().take(60).collect();
        checker.wrong(
            key,
            format!("there is no time zone `{shown}`"),
            "write a name such as \"Europe/Berlin\" or \"UTC\", as `timedatectl list-timezones` shows them; one that is newer than relaymux \
             needs the system's database (package tzdata)",
        );
        default.clone()
    })
}

/// The names by which people can be told: those of channels, contacts and rotas.
#[derive(Debug, Default)]
pub(super) struct Names {
    taken: BTreeMap<String, &'static str>,
}

impl Names {
    /// The channels' names. That none is there twice was said where they were read.
    pub(super) fn of_channels(ids: impl Iterator<Item = String>) -> Self {
        Self { taken: ids.map(|id| (id, "channel")).collect() }
    }

    fn take(&mut self, kind: &'static str, id: &str, section: &str, checker: &mut Checker) {
        if let Some(other) = self.taken.get(id) {
            checker.wrong(
                &format!("{section}.id"),
                format!("`{id}` is the name of a {other} already"),
                "give it another, so that it is clear who is told",
            );
            return;
        }
        self.taken.insert(id.to_owned(), kind);
    }

    fn check(&self, name: &str, kinds: &[&str], key: &str, checker: &mut Checker) {
        let known: Vec<&str> =
            self.taken.iter().filter(|(_, kind)| kinds.contains(kind)).map(|(id, _)| id.as_str()).collect();
        if known.contains(&name) {
            return;
        }
        let message = match self.taken.get(name) {
            Some(kind) => format!("`{name}` is a {kind}; this takes a {}", kinds.join(" or ")),
            None => format!("there is no {} `{name}`", kinds.join(" or ")),
        };
        checker.wrong(key, message, one_of(name, &known, &format!("{}s", kinds.join("s and "))));
    }
}

/// People and teams, with their channels.
pub(super) fn contacts(
    raw: &[RawContact],
    names: &mut Names,
    checker: &mut Checker,
) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    for (index, contact) in raw.iter().enumerate() {
        let section = format!("alerts.contacts[{index}]");
        if let Some(id) = name_of("contact", contact.id.as_ref(), &section, checker) {
            names.take("contact", &id, &section, checker);
            found.insert(id, contact.channels.clone());
        }
        if contact.channels.is_empty() {
            checker.wrong(
                &format!("{section}.channels"),
                "is missing or empty: nobody would be told",
                "name one or more of [[alerts.channels]]",
            );
        }
        for (number, channel) in contact.channels.iter().enumerate() {
            names.check(channel, &["channel"], &format!("{section}.channels[{number}]"), checker);
        }
    }
    found
}

/// Who takes turns.
pub(super) fn rotas(
    raw: &[RawRota],
    default_zone: &TimeZone,
    names: &mut Names,
    checker: &mut Checker,
) -> BTreeMap<String, Rota> {
    let mut found = BTreeMap::new();
    for (index, rota) in raw.iter().enumerate() {
        let section = format!("alerts.rotas[{index}]");
        let id = name_of("rota", rota.id.as_ref(), &section, checker);
        if let Some(id) = &id {
            names.take("rota", id, &section, checker);
        }
        let rota = read_rota(rota, &section, default_zone, names, checker);
        found.extend(id.map(|id| (id, rota)));
    }
    found
}

fn read_rota(
    raw: &RawRota,
    section: &str,
    default_zone: &TimeZone,
    names: &Names,
    checker: &mut Checker,
) -> Rota {
    let at = |key: &str| format!("{section}.{key}");
    if raw.members.is_empty() {
        checker.wrong(
            &at("members"),
            "is missing or empty: nobody would be on call",
            "name contacts or channels",
        );
    }
    if raw.members.len() > MAX_ENTRIES || raw.overrides.len() > MAX_ENTRIES {
        let key = if raw.members.len() > MAX_ENTRIES { "members" } else { "overrides" };
        checker.wrong(&at(key), format!("has more than {MAX_ENTRIES} entries"), "leave out what is over");
    }
    for (number, member) in raw.members.iter().enumerate() {
        names.check(member, &["contact", "channel"], &at(&format!("members[{number}]")), checker);
    }
    let zone = time_zone(&at("time_zone"), raw.time_zone.as_ref(), default_zone, checker);
    let text = raw.handover.as_deref().unwrap_or("mon 09:00");
    let handover =
        text.split_once(' ').and_then(|(day, time)| Some((weekday(day)?, time_of_day(time.trim())?)));
    let (handover_day, handover_time) = handover.unwrap_or_else(|| {
        let message = "is no day of the week and time";
        checker.wrong(&at("handover"), message, "such as handover = \"mon 09:00\"");
        (Weekday::Monday, Time::midnight())
    });
    let first_week = raw.first_week.as_ref().map_or(Some(FIRST_WEEK), |date| {
        date.date.and_then(|date| {
            let (year, month) = (i16::try_from(date.year).ok()?, i8::try_from(date.month).ok()?);
            Date::new(year, month, i8::try_from(date.day).ok()?).ok()
        })
    });
    let first_week = first_week.unwrap_or_else(|| {
        checker.wrong(&at("first_week"), "is no date", "such as first_week = 2026-01-05, without quotes");
        FIRST_WEEK
    });
    let overrides = raw.overrides.iter().enumerate();
    let overrides = overrides.filter_map(|(number, exception)| {
        read_override(exception, &at(&format!("overrides[{number}]")), &zone, names, checker)
    });
    Rota {
        members: raw.members.clone(),
        first_week,
        handover_day,
        handover_time,
        overrides: overrides.collect(),
        zone: zone.clone(),
    }
}

fn read_override(
    raw: &RawOverride,
    section: &str,
    zone: &TimeZone,
    names: &Names,
    checker: &mut Checker,
) -> Option<Override> {
    let mut moment = |key: &str, value: Option<&Datetime>| {
        let found = value.and_then(|value| instant(value, zone));
        if found.is_none() {
            let message = if value.is_none() { "is missing" } else { "is no date" };
            let hint = "a date or a date and time without quotes, by the rota's clock, such as 2026-12-24 or 2026-12-24T09:00:00";
            checker.wrong(&format!("{section}.{key}"), message, hint);
        }
        found
    };
    let from = moment("from", raw.from.as_ref());
    let to = moment("to", raw.to.as_ref());
    let member = raw.member.clone();
    match &member {
        None => {
            checker.wrong(&format!("{section}.member"), "is missing", "who stands in: a contact or channel")
        }
        Some(name) => names.check(name, &["contact", "channel"], &format!("{section}.member"), checker),
    }
    let found = Override { from: from?, to: to?, member: member? };
    if found.to <= found.from {
        let message = "is not after from: nobody would stand in";
        checker.contradicts(
            &format!("{section}.to"),
            &format!("{section}.from"),
            message,
            "the day after the last one",
        );
        return None;
    }
    Some(found)
}

/// The moment of a date or date-time of TOML; without an offset, by the clock of a zone.
pub(super) fn instant(value: &Datetime, zone: &TimeZone) -> Option<UnixMillis> {
    let text = value.to_string();
    if value.offset.is_some() {
        return text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond);
    }
    let local: DateTime = match value.time {
        Some(_) => text.parse().ok()?,
        None => text.parse::<Date>().ok()?.to_datetime(Time::midnight()),
    };
    zone.to_ambiguous_zoned(local).compatible().ok().map(|zoned| zoned.timestamp().as_millisecond())
}

/// Who gets digests.
pub(super) fn digest_contacts(raw: &[String], names: &Names, checker: &mut Checker) -> Vec<String> {
    for (number, contact) in raw.iter().enumerate() {
        let key = format!("alerts.digest_contacts[{number}]");
        names.check(contact, &["channel", "contact", "rota"], &key, checker);
    }
    raw.to_vec()
}

/// Who is told how soon.
pub(super) fn escalation(raw: &[RawEscalation], names: &Names, checker: &mut Checker) -> Matrix {
    let mut matrix = Matrix::default();
    let mut seen = BTreeSet::new();
    for (index, line) in raw.iter().enumerate() {
        let at = |key: &str| format!("alerts.escalation[{index}].{key}");
        for (number, contact) in line.contacts.iter().enumerate() {
            names.check(
                contact,
                &["channel", "contact", "rota"],
                &at(&format!("contacts[{number}]")),
                checker,
            );
        }
        let severity = severity(&at("severity"), line.severity.as_ref(), checker);
        let default = severity.map_or(5 * MINUTE, |severity| matrix.of(severity).respond_within);
        let within = line.respond_within.as_ref();
        let respond_within = duration(&at("respond_within"), within, default, MINUTE..=WEEK, checker);
        let Some(severity) = severity else { continue };
        if !seen.insert(severity) {
            let message = format!("{severity} is there twice");
            checker.wrong(&at("severity"), message, "write all its contacts into one [[alerts.escalation]]");
        }
        let own = EscalationSettings { respond_within, contacts: line.contacts.clone() };
        match severity {
            Severity::P1 => matrix.p1 = own,
            Severity::P2 => matrix.p2 = own,
            Severity::P3 => matrix.p3 = own,
            Severity::P4 => matrix.p4 = own,
        }
    }
    matrix
}

/// A severity by its name.
pub(super) fn severity(key: &str, text: Option<&String>, checker: &mut Checker) -> Option<Severity> {
    let found = text.and_then(|text| Severity::parse(text));
    if found.is_none() {
        let message = text.map_or("is missing".to_owned(), |text| format!("there is no severity `{text}`"));
        let hint = "P1: slots are being lost; P2: money is; P3: to be looked at; P4: in the daily digest";
        checker.wrong(key, message, hint);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_days_are_read() {
        for (text, want) in [
            ("09:00", Some((9, 0))),
            ("23:59", Some((23, 59))),
            ("24:00", None),
            ("9:00", None),
            ("09:60", None),
            ("-1:00", None),
            ("09:00:00", None),
            ("noon", None),
        ] {
            assert_eq!(time_of_day(text).map(|time| (time.hour(), time.minute())), want, "{text}");
        }
        assert_eq!(weekday("Sun"), Some(Weekday::Sunday));
        assert_eq!(weekday("sunday"), None);
    }

    #[test]
    fn moments_are_by_the_clock_of_the_rota_unless_they_say_whose() {
        let berlin = zone("Europe/Berlin").unwrap();
        for (text, ms) in [
            ("2026-12-24", 1_798_066_800_000_i64),
            ("2026-12-24T09:00:00", 1_798_099_200_000),
            ("2026-12-24T09:00:00Z", 1_798_102_800_000),
            ("2026-12-24T09:00:00+02:00", 1_798_095_600_000),
        ] {
            assert_eq!(instant(&text.parse().unwrap(), &berlin), Some(ms), "{text}");
        }
        assert_eq!(instant(&"09:00:00".parse().unwrap(), &berlin), None);
    }
}
