//! A digest as a message: at the top the one line that matters, then what can wait, then what the time came to. Pure.

use sha2::{Digest as _, Sha256};

use super::{
    alert::Alert,
    digest::{DigestCadence, DigestText, DueDigest, Line},
    message::{Message, MessageKind},
    settings_escalation::{AlertSettings, DailyDigest},
    text,
};
use crate::{
    events::Severity,
    types::{DAY_MS, UnixMillis},
};

/// A digest that comes later than this after its time, in milliseconds, says so.
const LATE_MS: i64 = 3_600_000;

/// What a digest is made of.
#[derive(Debug)]
pub(super) struct Digested<'a> {
    pub(super) due: &'a DueDigest,
    /// What the time came to; none where nobody could say.
    pub(super) text: Option<&'a DigestText>,
    /// Alerts of P1 and P2 that people know of and nobody has acknowledged, gravest first.
    pub(super) open: &'a [&'a Alert],
    pub(super) waiting: &'a [Line],
    pub(super) left_out: u64,
}

impl Digested<'_> {
    /// The message; none where there is nothing to say, and the operator wants to hear of news alone.
    pub(super) fn message(&self, settings: &AlertSettings, now: UnixMillis) -> Option<Message> {
        let Self { due, text, open, waiting, left_out } = self;
        let is_news = !waiting.is_empty() || !open.is_empty() || text.is_some_and(|text| text.is_news);
        let wants_news_alone =
            due.cadence == DigestCadence::Daily && settings.daily_digest == DailyDigest::News;
        if wants_news_alone && !is_news {
            return None;
        }
        let mut body = String::new();
        if now.saturating_sub(due.ends_at) > LATE_MS {
            let late = text::span(now.saturating_sub(due.ends_at));
            body.push_str(&format!("Sent {late} late: nobody was there to send it when it was due.\n\n"));
        }
        if !waiting.is_empty() {
            body.push_str(&format!("Can wait\n{}\n\n", text::digest(waiting.iter(), *left_out)));
        }
        match text {
            Some(text) => body.push_str(&text.body),
            None => body.push_str("What else happened could not be read: the log says why.\n"),
        }
        let id = id(due, &settings.source);
        Some(Message {
            group: id.clone(),
            id,
            kind: MessageKind::Digest,
            severity: Severity::P4,
            title: self.headline(),
            alerts: Vec::new(),
            body: Some(body.trim_end().to_owned()),
            acknowledge_url: None,
            page_url: settings.pages.as_ref().map(|base| format!("{}/alerts", base.trim_end_matches('/'))),
            at: now,
            source: settings.source.clone(),
        })
    }

    /// The one line that matters: what somebody should do now, else how things went.
    fn headline(&self) -> String {
        let mut parts = Vec::new();
        if let Some(first) = self.open.first() {
            let subject =
                if first.subject.is_empty() { String::new() } else { format!(": {}", first.subject) };
            let more = match self.open.len() {
                1 => String::new(),
                count => format!(" ({} more)", count - 1),
            };
            parts.push(format!(
                "Nobody has acknowledged {} {}{subject}{more}",
                first.severity, first.rule.title
            ));
        }
        let span = match self.due.cadence {
            DigestCadence::Daily => "Your day",
            DigestCadence::Weekly => "Your week",
        };
        let went = self.text.map_or_else(|| format!("{span}: no figures"), |text| text.headline.clone());
        let count = u64::try_from(self.waiting.len()).unwrap_or(u64::MAX).saturating_add(self.left_out);
        let waits = match count {
            0 => String::new(),
            1 => ", 1 thing that can wait".to_owned(),
            count => format!(", {count} things that can wait"),
        };
        parts.push(format!("{went}{waits}"));
        parts.join(". ")
    }
}

/// Until when it makes sense to deliver a digest: until the next one.
pub(super) fn expires_at(due: &DueDigest, now: UnixMillis) -> UnixMillis {
    let worth = match due.cadence {
        DigestCadence::Daily => DAY_MS,
        DigestCadence::Weekly => 3 * DAY_MS,
    };
    now.saturating_add(worth)
}

/// Names the digest of a period of a machine for ever: `digest-daily-2026-11-27-1f3a…`.
fn id(due: &DueDigest, source: &str) -> String {
    let hash = Sha256::digest(source.as_bytes());
    let source: String = hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("digest-{}-{}-{source}", due.cadence, due.first_day)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{alert::made, digest::DigestState},
        *,
    };
    use crate::events::Component;

    const NOON: UnixMillis = 1_767_700_800_000;

    fn due(settings: &AlertSettings) -> DueDigest {
        let mut state = DigestState::default();
        assert_eq!(state.due(settings, NOON - 2 * DAY_MS), None);
        state.due(settings, NOON).unwrap()
    }

    fn line(subject: &str) -> Line {
        Line {
            title: "A relay is not asked".to_owned(),
            subject: subject.to_owned(),
            message: "It answered late. ".repeat(12).trim_end().to_owned(),
            count: 2,
        }
    }

    fn text() -> DigestText {
        DigestText {
            headline: "Your day: uptime 99.9 %, 2 alerts".to_owned(),
            body: "box-1, 2026-01-06\n\nAvailability\n  builder_api: 99.9 %\n".to_owned(),
            is_news: true,
        }
    }

    #[test]
    fn the_one_line_that_matters_is_at_the_top() {
        let settings = AlertSettings::default();
        let due = due(&settings);
        let open = made::firing(made::rule("disk", Severity::P2, Component::Disk), "/data");
        let text = text();
        let (lines, opens) = ([line("titan")], [&open, &open]);
        for (digested, title) in [
            (
                Digested { due: &due, text: Some(&text), open: &[], waiting: &[], left_out: 0 },
                "Your day: uptime 99.9 %, 2 alerts",
            ),
            (
                Digested { due: &due, text: Some(&text), open: &[], waiting: &lines, left_out: 2 },
                "Your day: uptime 99.9 %, 2 alerts, 3 things that can wait",
            ),
            (
                Digested { due: &due, text: Some(&text), open: &opens, waiting: &[], left_out: 0 },
                "Nobody has acknowledged P2 Title of disk: /data (1 more). Your day: uptime 99.9 %, 2 alerts",
            ),
            (
                Digested { due: &due, text: None, open: &[], waiting: &lines, left_out: 0 },
                "Your day: no figures, 1 thing that can wait",
            ),
        ] {
            assert_eq!(digested.message(&settings, due.ends_at).unwrap().title, title);
        }
    }

    #[test]
    fn it_reads_well_in_a_terminal_and_has_the_id_of_its_period() {
        let settings = AlertSettings::default();
        let due = due(&settings);
        let (text, lines) = (text(), [line("titan")]);
        let digested = Digested { due: &due, text: Some(&text), open: &[], waiting: &lines, left_out: 0 };
        let message = digested.message(&settings, due.ends_at).unwrap();
        let body = message.body.unwrap();
        assert!(body.lines().all(|line| line.chars().count() <= 72), "{body}");
        let at = |words: &str| body.find(words).unwrap_or_else(|| panic!("{words}: {body}"));
        assert!(at("Can wait") < at("- titan (2 times)") && at("- titan") < at("Availability"));
        assert!(message.id.starts_with("digest-daily-2026-01-05-"), "{}", message.id);
        // The same however late it is made, and another on another machine.
        let late = digested.message(&settings, NOON).unwrap();
        assert_eq!(late.id, message.id);
        assert!(late.body.unwrap().starts_with("Sent 3 h late"));
        let other = AlertSettings { source: "box-2".to_owned(), ..settings };
        assert_ne!(digested.message(&other, NOON).unwrap().id, message.id);
    }

    #[test]
    fn a_quiet_day_is_told_unless_only_news_are_wanted() {
        let quiet = DigestText { is_news: false, ..text() };
        for (daily, is_told) in [(DailyDigest::Always, true), (DailyDigest::News, false)] {
            let settings = AlertSettings { daily_digest: daily, ..AlertSettings::default() };
            let due = due(&settings);
            let digested = Digested { due: &due, text: Some(&quiet), open: &[], waiting: &[], left_out: 0 };
            assert_eq!(digested.message(&settings, NOON).is_some(), is_told, "{daily}");
            let lines = [line("titan")];
            let digested = Digested { waiting: &lines, ..digested };
            assert!(digested.message(&settings, NOON).is_some(), "{daily}");
        }
    }
}
