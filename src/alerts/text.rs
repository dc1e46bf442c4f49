//! Messages in words that are understood half asleep: how grave, what, where, how many; then what it costs and what to do.

use std::collections::BTreeMap;

use super::{
    alert::{Acknowledgement, Alert},
    channels::wrap,
    message::AlertText,
    moment::Moment,
};
use crate::types::UnixMillis;

/// Columns of a digest's lines: as mail is read in terminals.
const WIDTH: usize = 72;
/// Longest title, in characters.
const MAX_TITLE_CHARS: usize = 200;

/// The title of a message that alerts began: `P1 A relay kept a signed block: titan, slot 123 (1 more)`.
pub(super) fn begun(alerts: &[&Alert]) -> String {
    let flaps = alerts.first().is_some_and(|alert| alert.flap.is_held());
    title(if flaps { " comes and goes:" } else { "" }, alerts, "")
}

/// The title of a reminder: nobody has acknowledged for so long.
pub(super) fn reminder(alerts: &[&Alert], asked_for_ms: i64) -> String {
    title(&format!(" nobody has acknowledged for {}:", span(asked_for_ms)), alerts, "")
}

/// The title of a reminder of what somebody acknowledged and did not end.
pub(super) fn still(alerts: &[&Alert], acknowledged: &Acknowledgement, now: Moment) -> String {
    let ago = now.watched_ms.saturating_sub(acknowledged.at.watched_ms);
    title(&format!(" still not over, {} acknowledged it {} ago:", acknowledged.by, span(ago)), alerts, "")
}

/// The title of a message that somebody takes care.
pub(super) fn acknowledged(alerts: &[&Alert], by: &str) -> String {
    title(&format!(" acknowledged by {by}:"), alerts, "")
}

/// The title of a message that alerts are over. `left`: how many of their incident go on.
pub(super) fn resolved(alerts: &[&Alert], left: usize) -> String {
    let left = match left {
        0 => String::new(),
        1 => "; 1 other goes on".to_owned(),
        left => format!("; {left} others go on"),
    };
    title(" over:", alerts, &left)
}

/// The title where an incident ends without that anything was over.
pub(super) fn moved(severity: crate::events::Severity) -> String {
    format!("{severity} goes on elsewhere: what this was about is told with another severity from now on")
}

/// The title where an incident ends as an older one goes on.
pub(super) fn joined(severity: crate::events::Severity) -> String {
    format!("{severity} goes on elsewhere: an incident that was open before tells of this from now on")
}

fn title(what: &str, alerts: &[&Alert], left: &str) -> String {
    let Some(first) = alerts.first() else { return String::new() };
    let subject = if first.subject.is_empty() { String::new() } else { format!(": {}", first.subject) };
    let more = match alerts.len() {
        0 | 1 => String::new(),
        count => format!(" ({} more)", count - 1),
    };
    let tail = format!("{more}{left}");
    let head = format!("{}{what} {}{subject}", first.severity, first.rule.title);
    let room = MAX_TITLE_CHARS.saturating_sub(tail.chars().count());
    format!("{}{tail}", shortened(&head.replace(['\n', '\r'], " "), room))
}

fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        text.to_owned()
    } else {
        text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
    }
}

/// A time span in words, coarse: `40 s`, `5 min`, `3 h`, `2 days`.
pub(super) fn span(ms: i64) -> String {
    let secs = ms.max(0) / 1000;
    match secs {
        0..120 => format!("{secs} s"),
        120..7200 => format!("{} min", secs / 60),
        7200..172_800 => format!("{} h", secs / 3600),
        _ => format!("{} days", secs / 86_400),
    }
}

/// An alert in words.
pub(super) fn alert(alert: &Alert) -> AlertText {
    let mut message = alert.message.clone();
    if alert.flap.is_held() {
        message.push_str(
            " It comes and goes: nobody is told of each change. It is over once it was away for ten minutes on end.",
        );
    }
    if let Some(acknowledged) = &alert.acknowledged {
        message = format!("{message} Acknowledged by {}.", acknowledged.by);
    }
    if let Some(end) = alert.end.as_ref().filter(|_| alert.phase.is_resolved()) {
        message = format!("{message} How it ended: {end}");
    }
    AlertText {
        fingerprint: alert.fingerprint.clone(),
        rule: alert.rule.name.clone().into_owned(),
        subject: alert.subject.clone(),
        severity: alert.severity,
        component: alert.component(),
        title: alert.rule.title.clone().into_owned(),
        message,
        cost: alert.rule.cost.clone().into_owned(),
        done: alert.rule.done.clone().into_owned(),
        runbook: alert.rule.runbook.clone().into_owned(),
        since: began(alert),
        until: alert.phase.resolved().map(|moment| moment.at),
        labels: alert.labels.clone(),
    }
}

/// Since when people are told that it is so: when it was first seen here. Whoever found it may have the time of another clock.
fn began(alert: &Alert) -> UnixMillis {
    if alert.is_occurrence() { alert.since } else { alert.began.at }
}

/// The lines of a digest: what came, how often, whether it lasts. Beyond `most`, how many more.
pub(super) fn digest<'a>(lines: impl Iterator<Item = &'a super::digest::Line>, left_out: u64) -> String {
    let mut by_title: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for line in lines {
        let subject = if line.subject.is_empty() { "here" } else { &line.subject };
        let times = if line.count == 1 { String::new() } else { format!(" ({} times)", line.count) };
        let words = format!("{subject}{times}: {}", line.message);
        by_title.entry(&line.title).or_default().push(wrap(&words, WIDTH, "- ", "  "));
    }
    let mut text = String::new();
    for (title, lines) in by_title {
        text.push_str(title);
        text.push('\n');
        for line in lines {
            text.push_str(&line);
            text.push('\n');
        }
        text.push('\n');
    }
    if left_out > 0 {
        text.push_str(&format!("{left_out} more are not listed; see the page of alerts.\n"));
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::{super::alert::made, *};
    use crate::events::{AlertRule, Component, Severity};

    fn withheld(subject: &str) -> Alert {
        let rule = made::rule("payload_withheld", Severity::P1, Component::Relays);
        made::firing(AlertRule { title: "A relay kept a signed block".into(), ..rule }, subject)
    }

    #[test]
    fn titles_say_what_where_and_how_many() {
        let (first, second) = (withheld("titan, slot 123"), withheld("agnostic, slot 124"));
        let one = [&first];
        let two = [&first, &second];
        let acknowledged_by_anna =
            Acknowledgement { at: Moment::default(), by: "anna".to_owned(), is_told: true };
        let later = Moment { at: 0, watched_ms: 4 * 3_600_000 };
        for (title, expected) in [
            (begun(&one), "P1 A relay kept a signed block: titan, slot 123"),
            (begun(&two), "P1 A relay kept a signed block: titan, slot 123 (1 more)"),
            (begun(&[&withheld("")]), "P1 A relay kept a signed block"),
            (
                reminder(&two, 600_000),
                "P1 nobody has acknowledged for 10 min: A relay kept a signed block: titan, slot 123 (1 more)",
            ),
            (
                still(&one, &acknowledged_by_anna, later),
                "P1 still not over, anna acknowledged it 4 h ago: A relay kept a signed block: titan, slot 123",
            ),
            (
                acknowledged(&one, "anna"),
                "P1 acknowledged by anna: A relay kept a signed block: titan, slot 123",
            ),
            (resolved(&two, 0), "P1 over: A relay kept a signed block: titan, slot 123 (1 more)"),
            (resolved(&one, 1), "P1 over: A relay kept a signed block: titan, slot 123; 1 other goes on"),
        ] {
            assert_eq!(title, expected);
        }
    }

    #[test]
    fn a_title_is_one_short_line_that_keeps_its_count() {
        let long = withheld(&format!("a\nb{}", "x".repeat(300)));
        let title = begun(&[&long, &long, &long]);
        assert_eq!(title.chars().count(), MAX_TITLE_CHARS);
        assert!(title.ends_with("… (2 more)"), "{title}");
        assert!(!title.contains('\n'));
    }

    #[test]
    fn spans_are_coarse() {
        for (ms, text) in
            [(-5, "0 s"), (40_000, "40 s"), (300_000, "5 min"), (10_800_000, "3 h"), (172_800_000, "2 days")]
        {
            assert_eq!(span(ms), text);
        }
    }
}
