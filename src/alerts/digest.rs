//! What can wait: what a day or a week came to, with alerts of P4, sent once for each.
//!
//! A digest is of a period: from the time of day at which digests come to the same a day or a week later. It is due once its period is over, and
//! only the newest is: what was missed while nobody was there is sent late, once. The period's beginning is in the message's id, so that no
//! queue ever has it twice, whatever was written down when. A clock that jumps back doubles none; one that jumped far ahead and came back
//! silences none.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;
use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, DateTime, Weekday},
};
use serde::{Deserialize, Serialize};

use super::{
    alert::Alert,
    settings_escalation::{AlertSettings, DailyDigest},
};
use crate::types::{UnixMillis, UtcDay, labelled};

/// Most lines of a digest.
const MAX_LINES: usize = 300;

labelled! {
    /// How often a digest comes.
    pub enum DigestCadence {
        /// Each day.
        Daily = "daily",
        /// Each week.
        Weekly = "weekly",
    }
}

impl DigestCadence {
    /// Days of its period.
    const fn days(self) -> i64 {
        match self {
            Self::Daily => 1,
            Self::Weekly => 7,
        }
    }
}

/// A digest that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueDigest {
    /// How often it comes.
    pub cadence: DigestCadence,
    /// The first day of its period, by the calendar of the digests' time zone.
    pub first_day: Date,
    /// When its period ended, in Unix milliseconds.
    pub ends_at: UnixMillis,
    /// The day on which it ended: days since 1970-01-01 by that calendar.
    day: i64,
}

/// What a digest says beside alerts of P4, made by whoever knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DigestText {
    /// What matters most, in a line.
    pub headline: String,
    /// The rest, in lines of at most 72 columns.
    pub body: String,
    /// Whether anything happened that somebody wants to know.
    pub is_news: bool,
}

/// Whoever knows what a day or a week came to.
pub trait DigestSource: Send + Sync + 'static {
    /// What it came to. Whoever cannot say fails, with a sentence; the digest is sent without it.
    fn make(&self, due: DueDigest) -> BoxFuture<'static, Result<DigestText, String>>;
}

/// What a digest says of one trouble.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Line {
    /// What happened, in a few words.
    pub(super) title: String,
    /// What it is about.
    pub(super) subject: String,
    /// What happened here, the last time.
    pub(super) message: String,
    /// How often.
    pub(super) count: u64,
}

/// What waits for the next digest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct DigestState {
    /// The day on which the period of the last daily one ended: days since 1970-01-01, by the calendar of its time zone.
    last: Option<i64>,
    /// The same of the last weekly one.
    last_week: Option<i64>,
    /// How many there were.
    sent: u64,
    /// By fingerprint.
    lines: BTreeMap<String, Line>,
    /// What had no place.
    left_out: u64,
}

impl DigestState {
    /// Notes that an alert that can wait began.
    pub(super) fn note(&mut self, alert: &Alert) {
        let has_place = self.lines.len() < MAX_LINES;
        match self.lines.get_mut(&alert.fingerprint) {
            Some(line) => {
                line.count = line.count.saturating_add(1);
                line.message.clone_from(&alert.message);
            }
            None if has_place => {
                let line = Line {
                    title: alert.rule.title.clone().into_owned(),
                    subject: alert.subject.clone(),
                    message: alert.message.clone(),
                    count: 1,
                };
                self.lines.insert(alert.fingerprint.clone(), line);
            }
            None => self.left_out = self.left_out.saturating_add(1),
        }
    }

    /// The digest that is due: the daily one before the weekly one.
    pub(super) fn due(&mut self, settings: &AlertSettings, now: UnixMillis) -> Option<DueDigest> {
        DigestCadence::ALL.into_iter().find_map(|cadence| self.due_of(cadence, settings, now))
    }

    fn due_of(
        &mut self,
        cadence: DigestCadence,
        settings: &AlertSettings,
        now: UnixMillis,
    ) -> Option<DueDigest> {
        let newest = newest(cadence, settings, now);
        let last = match cadence {
            DigestCadence::Daily => &mut self.last,
            DigestCadence::Weekly => &mut self.last_week,
        };
        let Some(newest) = newest else {
            // Switched on again, it begins anew.
            *last = None;
            return None;
        };
        // The first day begins the count: a digest of a service that has just been installed says nothing.
        let known = *last.get_or_insert(newest);
        // Further ahead than a jump of hours: the clock was wrong when that was written down.
        if known > newest.saturating_add(cadence.days()) {
            *last = Some(newest);
        }
        (newest > known).then(|| period_until(newest, cadence, settings)).flatten()
    }

    /// It is sent: what it tells of P4, and how much of it had no place.
    pub(super) fn take(&mut self, due: &DueDigest, settings: &AlertSettings) -> (Vec<Line>, u64) {
        self.sent = self.sent.saturating_add(1);
        match due.cadence {
            DigestCadence::Daily => self.last = Some(due.day),
            DigestCadence::Weekly => self.last_week = Some(due.day),
        }
        if due.cadence == DigestCadence::Weekly && settings.daily_digest != DailyDigest::Never {
            return (Vec::new(), 0);
        }
        (std::mem::take(&mut self.lines).into_values().collect(), std::mem::take(&mut self.left_out))
    }
}

/// The last day on which a period ended; none where there are no such digests.
fn newest(cadence: DigestCadence, settings: &AlertSettings, now: UnixMillis) -> Option<i64> {
    let local = Timestamp::from_millisecond(now).ok()?.to_zoned(settings.digest_zone.clone()).datetime();
    let today = UtcDay::from(local.date()).number();
    let day = if local.time() >= settings.digest_at { today } else { today.saturating_sub(1) };
    match cadence {
        DigestCadence::Daily => (settings.daily_digest != DailyDigest::Never).then_some(day),
        DigestCadence::Weekly => {
            let wanted: Weekday = settings.weekly_digest_on?;
            let back = i64::from(date_of(day)?.weekday().since(wanted));
            Some(day.saturating_sub(back))
        }
    }
}

/// A day by its number since 1970-01-01.
fn date_of(day: i64) -> Option<Date> {
    Date::constant(1970, 1, 1).checked_add(SignedDuration::from_hours(day.checked_mul(24)?)).ok()
}

fn period_until(day: i64, cadence: DigestCadence, settings: &AlertSettings) -> Option<DueDigest> {
    let (last, first_day) = (date_of(day)?, date_of(day.saturating_sub(cadence.days()))?);
    let local = DateTime::from_parts(last, settings.digest_at);
    let ended = settings.digest_zone.to_ambiguous_zoned(local).compatible().ok()?;
    Some(DueDigest { cadence, first_day, ends_at: ended.timestamp().as_millisecond(), day })
}

#[cfg(test)]
mod tests {
    use super::{super::alert::made, *};
    use crate::events::{Component, Severity};

    fn settings() -> AlertSettings {
        AlertSettings {
            digest_at: "09:00".parse().unwrap(),
            digest_zone: super::super::rota::zone("Europe/Berlin").unwrap(),
            weekly_digest_on: None,
            ..AlertSettings::default()
        }
    }

    fn ms(text: &str) -> UnixMillis {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    /// What is sent at each of these times: its first day, and the end of its period.
    fn play(
        settings: &AlertSettings,
        state: &mut DigestState,
        now: &str,
    ) -> Vec<(DigestCadence, String, String)> {
        let mut sent = Vec::new();
        while let Some(due) = state.due(settings, ms(now)) {
            state.take(&due, settings);
            let end = Timestamp::from_millisecond(due.ends_at).unwrap();
            sent.push((due.cadence, due.first_day.to_string(), end.to_string()));
        }
        sent
    }

    #[test]
    fn a_day_is_told_once_at_its_time() {
        let settings = settings();
        let mut state = DigestState::default();
        for (now, told) in [
            ("2026-01-05T12:00:00Z", None),
            ("2026-01-06T07:59:59Z", None),
            ("2026-01-06T08:00:00Z", Some(("2026-01-05", "2026-01-06T08:00:00Z"))),
            ("2026-01-06T08:00:01Z", None),
            // The clock jumps back, over the time that was told.
            ("2026-01-06T07:00:00Z", None),
            ("2026-01-06T08:30:00Z", None),
            ("2026-01-07T08:00:00Z", Some(("2026-01-06", "2026-01-07T08:00:00Z"))),
            // The service was away for days: the last one, late and once.
            ("2026-01-12T23:00:00Z", Some(("2026-01-11", "2026-01-12T08:00:00Z"))),
            ("2026-01-13T07:00:00Z", None),
            ("2026-01-13T08:00:00Z", Some(("2026-01-12", "2026-01-13T08:00:00Z"))),
            // A clock that is years ahead for a moment, and comes back.
            ("2036-01-13T08:00:00Z", Some(("2036-01-12", "2036-01-13T08:00:00Z"))),
            ("2026-01-13T09:00:00Z", None),
            ("2026-01-14T08:00:00Z", Some(("2026-01-13", "2026-01-14T08:00:00Z"))),
            // The clocks change in this night.
            ("2026-03-29T06:59:59Z", Some(("2026-03-27", "2026-03-28T08:00:00Z"))),
            ("2026-03-29T07:00:00Z", Some(("2026-03-28", "2026-03-29T07:00:00Z"))),
        ] {
            let want: Vec<_> = told
                .into_iter()
                .map(|(day, end)| (DigestCadence::Daily, day.to_owned(), end.to_owned()))
                .collect();
            assert_eq!(play(&settings, &mut state, now), want, "{now}");
        }
    }

    #[test]
    fn a_week_is_told_on_its_day() {
        let settings = AlertSettings {
            daily_digest: DailyDigest::Never,
            weekly_digest_on: Some(Weekday::Monday),
            ..settings()
        };
        let mut state = DigestState::default();
        // 2026-01-05 is a Monday.
        for (now, told) in [
            ("2026-01-03T12:00:00Z", None),
            ("2026-01-05T07:59:59Z", None),
            ("2026-01-05T08:00:00Z", Some("2025-12-29")),
            ("2026-01-05T09:00:00Z", None),
            ("2026-01-11T23:00:00Z", None),
            // Two Mondays were missed: the last one, on a Wednesday.
            ("2026-01-21T12:00:00Z", Some("2026-01-12")),
            ("2026-01-22T12:00:00Z", None),
            ("2026-01-26T08:00:00Z", Some("2026-01-19")),
        ] {
            let found: Vec<String> =
                play(&settings, &mut state, now).into_iter().map(|(_, day, _)| day).collect();
            assert_eq!(found, told.into_iter().collect::<Vec<_>>(), "{now}");
        }
    }

    #[test]
    fn both_come_and_what_can_wait_is_in_the_daily_one() {
        let alert = made::firing(made::rule("r", Severity::P4, Component::Host), "a");
        for (daily, expected) in [(DailyDigest::Always, [1, 0]), (DailyDigest::Never, [0, 1])] {
            let settings =
                AlertSettings { daily_digest: daily, weekly_digest_on: Some(Weekday::Tuesday), ..settings() };
            let mut state = DigestState::default();
            assert_eq!(state.due(&settings, ms("2026-01-05T12:00:00Z")), None);
            state.note(&alert);
            let mut lines = BTreeMap::new();
            while let Some(due) = state.due(&settings, ms("2026-01-06T08:00:00Z")) {
                lines.insert(due.cadence, state.take(&due, &settings).0.len());
            }
            let found = DigestCadence::ALL.map(|cadence| lines.get(&cadence).copied().unwrap_or(0));
            assert_eq!(found, expected, "{daily}");
        }
    }

    #[test]
    fn what_an_earlier_version_wrote_is_read() {
        let state: DigestState =
            serde_json::from_str("{\"last\":20458,\"sent\":3,\"lines\":{},\"left_out\":0}").unwrap();
        assert_eq!((state.last, state.last_week), (Some(20_458), None));
    }

    #[test]
    fn a_digest_has_a_bound() {
        let mut state = DigestState::default();
        for number in 0..MAX_LINES + 5 {
            let subject = number.to_string();
            state.note(&made::firing(made::rule("r", Severity::P4, Component::Host), &subject));
        }
        assert_eq!((state.lines.len(), state.left_out), (MAX_LINES, 5));
    }
}
