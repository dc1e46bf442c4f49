//! A message as its reader sees it, before any service's format: what happened, since when, what it costs, what relaymux did, what to do.
//!
//! Written for somebody who was woken by it: the first words say how grave it is and what it is, the gravest alert comes first, and what does
//! not fit is counted. A page is made in layouts from the richest to the barest; a service takes the first that fits.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    clip::{clip, one_line, plain_lines},
    request::{ChannelContext, Repetition},
};
use crate::{
    alerts::message::{AlertText, Message, MessageKind},
    events::Severity,
    types::UnixMillis,
};

/// A message that arrives later than this, in milliseconds, says so.
const LATE_MS: i64 = 5 * 60_000;
/// Longest link: a longer one is left out rather than cut.
const MAX_LINK: usize = 1000;

/// How much of a message is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Alerts with all that is known of them.
    pub(super) full: usize,
    /// Alerts of a line each, behind these.
    pub(super) lines: usize,
    /// Most UTF-16 units of one text of an alert.
    pub(super) field: usize,
    /// Most UTF-16 units of a digest or test.
    pub(super) body: usize,
}

/// From the richest to the barest. More than twenty-five alerts on a telephone help nobody. The barest is at most 2,200 UTF-16 units with its
/// links.
pub(super) const LAYOUTS: [Layout; 8] = [
    Layout { full: 5, lines: 20, field: 600, body: 9000 },
    Layout { full: 5, lines: 20, field: 300, body: 5000 },
    Layout { full: 5, lines: 10, field: 300, body: 3600 },
    Layout { full: 3, lines: 10, field: 300, body: 3000 },
    Layout { full: 3, lines: 0, field: 250, body: 2500 },
    Layout { full: 2, lines: 0, field: 200, body: 2000 },
    Layout { full: 1, lines: 0, field: 200, body: 1500 },
    Layout { full: 1, lines: 0, field: 80, body: 1000 },
];

/// One thing that is said of an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fact {
    pub(super) name: &'static str,
    pub(super) text: String,
}

/// One alert in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Empty where the headline has said it.
    pub(super) heading: String,
    pub(super) facts: Vec<Fact>,
}

/// A way to act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) label: &'static str,
    pub(super) url: String,
}

/// What a reader sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// How grave, what, how many.
    pub(super) headline: String,
    /// What is unusual about this delivery.
    pub(super) notes: Vec<String>,
    /// Of a digest or test.
    pub(super) body: Option<String>,
    /// The gravest alerts.
    pub(super) entries: Vec<Entry>,
    /// The next, a line each.
    pub(super) lines: Vec<String>,
    /// What is left out.
    pub(super) more: Option<String>,
    /// Where to go.
    pub(super) links: Vec<Link>,
    /// Who says so, and when.
    pub(super) footer: String,
}

/// Makes the page of a message.
pub(super) fn page(message: &Message, context: &ChannelContext, layout: Layout) -> Page {
    let alerts = gravest_first(message);
    let shown = layout.full.saturating_add(layout.lines).min(alerts.len());
    let full = layout.full.min(alerts.len());
    let (first, left) = alerts.split_at(shown);
    let (entries, lines) = first.split_at(full);
    let headline = headline(message);
    let mut entries: Vec<_> = entries.iter().map(|alert| entry(alert, message, layout.field)).collect();
    if let ([alert], [entry]) = (alerts.as_slice(), entries.as_mut_slice())
        && headline.ends_with(&what(alert))
    {
        entry.heading.clear();
    }
    Page {
        headline,
        notes: notes(message, context),
        body: message.body.as_deref().map(|body| clip(&plain_lines(body), layout.body).into_owned()),
        entries,
        lines: lines.iter().map(|alert| clip(&heading(alert), 140).into_owned()).collect(),
        more: more(left),
        links: links(message),
        footer: format!("relaymux on {}, {}", clip(&one_line(&message.source), 100), utc(message.at)),
    }
}

/// The alerts of a message, gravest first and otherwise as they came.
pub(super) fn gravest_first(message: &Message) -> Vec<&AlertText> {
    let mut alerts: Vec<_> = message.alerts.iter().collect();
    alerts.sort_by_key(|alert| alert.severity);
    alerts
}

/// The first words: how grave it is, whether it is news, and what it is. Of at most 200 UTF-16 units.
pub(super) fn headline(message: &Message) -> String {
    let severity = message.severity;
    let mark = match message.kind {
        MessageKind::Firing => format!("{severity}: "),
        MessageKind::Reminder => format!("{severity}, nobody has acknowledged: "),
        MessageKind::Acknowledged => format!("{severity} acknowledged: "),
        MessageKind::Resolved => format!("{severity} resolved: "),
        MessageKind::Test => "Test: ".to_owned(),
        MessageKind::Digest => String::new(),
    };
    let title = one_line(&message.title);
    // The title of whoever decides already says how grave it is, and whether it is news.
    let says_it = title.starts_with(&mark) || title.starts_with(&format!("{severity} "));
    clip(&if says_it { title } else { mark + &title }, 200).into_owned()
}

/// A sign that is seen before anything is read.
pub(super) const fn sign(message: &Message) -> &'static str {
    match (message.kind, message.severity) {
        (MessageKind::Resolved, _) => "✅",
        (MessageKind::Acknowledged, _) => "👀",
        (MessageKind::Digest, _) => "📋",
        (MessageKind::Test, _) => "🔧",
        (MessageKind::Firing | MessageKind::Reminder, Severity::P1) => "🔴",
        (MessageKind::Firing | MessageKind::Reminder, Severity::P2) => "🟠",
        (MessageKind::Firing | MessageKind::Reminder, Severity::P3) => "🟡",
        (MessageKind::Firing | MessageKind::Reminder, Severity::P4) => "🔵",
    }
}

fn notes(message: &Message, context: &ChannelContext) -> Vec<String> {
    let mut notes = Vec::new();
    match context.repetition {
        Some(Repetition::Restarted) => {
            notes.push("May be a repetition: relaymux was restarted while sending this.".to_owned());
        }
        Some(Repetition::Unanswered) => {
            notes.push("May be a repetition: an earlier attempt to send this got no answer.".to_owned());
        }
        None => {}
    }
    if let Some(channel) = &context.fallback_of {
        notes
            .push(format!("Sent here because the channel {} did not take it.", clip(&one_line(channel), 60)));
    }
    let late = context.now.saturating_sub(message.at);
    if late > LATE_MS {
        notes.push(format!("Late: this was written {} before it could be delivered.", spoken(late)));
    }
    notes
}

/// What happened, and to whom.
fn what(alert: &AlertText) -> String {
    let (title, subject) = (one_line(&alert.title), one_line(&alert.subject));
    if subject.is_empty() { title } else { format!("{title}: {subject}") }
}

fn heading(alert: &AlertText) -> String {
    format!("{}: {}", alert.severity, what(alert))
}

fn entry(alert: &AlertText, message: &Message, field: usize) -> Entry {
    let mut facts = Vec::new();
    let mut say = |name, text: &str| {
        let text = one_line(text);
        if !text.is_empty() {
            facts.push(Fact { name, text: clip(&text, field).into_owned() });
        }
    };
    say("What happened", &alert.message);
    match (message.kind, alert.until) {
        (MessageKind::Resolved, _) | (_, Some(_)) => {
            let until = alert.until.unwrap_or(message.at);
            let lasted = spoken(until.saturating_sub(alert.since));
            say("Lasted", &format!("{lasted}, until {}", utc(until)));
        }
        (_, None) => {
            let so_far = spoken(message.at.saturating_sub(alert.since));
            say("Since", &format!("{} ({so_far} when this was written)", utc(alert.since)));
            say("What it costs", &alert.cost);
            say("Done already", &alert.done);
            say("Do now", &alert.runbook);
        }
    }
    say("Labels", &labels(&alert.labels));
    Entry { heading: clip(&heading(alert), 200).into_owned(), facts }
}

fn labels(labels: &BTreeMap<String, String>) -> String {
    let pairs = labels.iter().take(20).map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join(", ")
}

/// What is left out, by severity.
pub(super) fn more(left: &[&AlertText]) -> Option<String> {
    if left.is_empty() {
        return None;
    }
    let mut counts: BTreeMap<Severity, usize> = BTreeMap::new();
    for alert in left {
        *counts.entry(alert.severity).or_default() += 1;
    }
    let counts: Vec<_> = counts.iter().map(|(severity, count)| format!("{count} {severity}")).collect();
    Some(format!("and {} more: {}", left.len(), counts.join(", ")))
}

fn links(message: &Message) -> Vec<Link> {
    let wants_acknowledgement = matches!(message.kind, MessageKind::Firing | MessageKind::Reminder);
    let acknowledge = message.acknowledge_url.as_ref().filter(|_| wants_acknowledgement);
    let all = [("Acknowledge", acknowledge), ("Open the page", message.page_url.as_ref())];
    all.into_iter().filter_map(|(label, url)| Some(Link { label, url: safe_url(url?)? })).collect()
}

/// A link that means the same inside Slack's, Discord's, Telegram's and mail's formats; none of what is no address of the web.
fn safe_url(url: &str) -> Option<String> {
    let url = url::Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let text: String = url.as_str().chars().fold(String::new(), |mut out, c| {
        match c {
            '|' => out.push_str("%7C"),
            '<' => out.push_str("%3C"),
            '>' => out.push_str("%3E"),
            '(' => out.push_str("%28"),
            ')' => out.push_str("%29"),
            '"' => out.push_str("%22"),
            c => out.push(c),
        }
        out
    });
    (text.len() <= MAX_LINK).then_some(text)
}

/// A time for people. The zone is said: whoever reads it may be anywhere.
pub(super) fn utc(at: UnixMillis) -> String {
    Timestamp::from_millisecond(at)
        .map_or_else(|_| format!("{at} ms"), |at| at.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

/// A time for machines. RFC 3339.
pub(super) fn rfc3339(at: UnixMillis) -> String {
    Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

/// A duration for people, in its two greatest units.
pub(super) fn spoken(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let days_word = if days == 1 { "day" } else { "days" };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, 0) => format!("{hours} h"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, 0, _) => format!("{days} {days_word}"),
        (days, hours, _) => format!("{days} {days_word} {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_in_two_units() {
        let cases = [
            (-5, "0 s"),
            (999, "0 s"),
            (59_999, "59 s"),
            (60_000, "1 min"),
            (3_600_000, "1 h"),
            (12_000_000, "3 h 20 min"),
            (86_400_000, "1 day"),
            (2 * 86_400_000 + 4 * 3_600_000 + 60_000, "2 days 4 h"),
        ];
        for (ms, want) in cases {
            assert_eq!(spoken(ms), want);
        }
    }

    #[test]
    fn times_name_their_zone() {
        assert_eq!(utc(1_795_876_980_000), "2026-11-28 14:43 UTC");
        assert_eq!(rfc3339(1_795_876_980_000), "2026-11-28T14:43:00Z");
        assert_eq!(utc(i64::MAX), format!("{} ms", i64::MAX));
    }

    #[test]
    fn a_link_means_the_same_in_every_format() {
        assert_eq!(
            safe_url("https://a.example/x|y?q=<1>&r=(2)").as_deref(),
            Some("https://a.example/x%7Cy?q=%3C1%3E&r=%282%29")
        );
        assert_eq!(safe_url("javascript:alert(1)"), None);
        assert_eq!(safe_url(&format!("https://a.example/{}", "x".repeat(2000))), None);
    }
}
