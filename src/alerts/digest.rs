//! What can wait: alerts of P4, told once a day.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{alert::Alert, settings_escalation::AlertSettings};
use crate::types::{UnixMillis, UtcDay};

/// Most lines of a digest.
const MAX_LINES: usize = 300;

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
pub(super) struct DigestState {
    /// The day of the last one, by the calendar of its time zone: days since 1970-01-01.
    last: Option<i64>,
    /// How many there were.
    pub(super) sent: u64,
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

    /// What is told now, where a digest is due: what came, and how much of it had no place. Once a day at the set time, and nothing when
    /// nothing came. A clock that jumps back doubles none; a day that a clock jumped over is told with the next.
    pub(super) fn take_due(&mut self, settings: &AlertSettings, now: UnixMillis) -> Option<(Vec<Line>, u64)> {
        let local = Timestamp::from_millisecond(now).ok()?.to_zoned(settings.digest_zone.clone()).datetime();
        let has_come = local.time() >= settings.digest_at;
        let today = UtcDay::from(local.date()).number();
        let newest = if has_come { today } else { today.saturating_sub(1) };
        // The first day begins the count: a digest of a service that has just been installed says nothing.
        let last = *self.last.get_or_insert(newest);
        if newest <= last {
            return None;
        }
        self.last = Some(newest);
        if self.lines.is_empty() {
            return None;
        }
        self.sent = self.sent.saturating_add(1);
        let lines = std::mem::take(&mut self.lines).into_values().collect();
        Some((lines, std::mem::take(&mut self.left_out)))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::alert::made, *};
    use crate::events::{Component, Severity};

    #[test]
    fn a_day_is_told_once_at_its_time() {
        let settings = AlertSettings {
            digest_at: "09:00".parse().unwrap(),
            digest_zone: super::super::rota::zone("Europe/Berlin").unwrap(),
            ..AlertSettings::default()
        };
        let alert = made::firing(made::rule("r", Severity::P4, Component::Host), "a");
        let mut state = DigestState::default();
        for (now, noted, told) in [
            ("2026-01-05T12:00:00Z", 2, None),
            ("2026-01-06T07:59:59Z", 0, None),
            ("2026-01-06T08:00:00Z", 0, Some(2)),
            ("2026-01-06T08:00:01Z", 1, None),
            // The clock jumps back, over the time that was told.
            ("2026-01-06T07:00:00Z", 0, None),
            ("2026-01-06T08:30:00Z", 0, None),
            ("2026-01-07T08:00:00Z", 0, Some(1)),
            // Nothing came.
            ("2026-01-08T08:00:00Z", 1, None),
            // The service was away for days.
            ("2026-01-12T23:00:00Z", 0, Some(1)),
            ("2026-01-13T07:00:00Z", 1, None),
            ("2026-01-13T08:00:00Z", 0, Some(1)),
        ] {
            let at = now.parse::<Timestamp>().unwrap().as_millisecond();
            let due = state.take_due(&settings, at).map(|(lines, _)| lines[0].count);
            for _ in 0..noted {
                state.note(&alert);
            }
            assert_eq!(due, told, "{now}");
        }
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
