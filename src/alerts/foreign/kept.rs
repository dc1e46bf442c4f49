//! What an alert of somebody else says, in the words that ours have: cut to what a person reads.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    alerts::{hook::ForeignAlert, trouble::Trouble},
    events::{AlertRule, Component, Persistence, Severity},
    ledger::ForeignRow,
    types::UnixMillis,
};

/// Longest title, in characters.
const MAX_TITLE: usize = 160;
/// Longest message, in characters.
const MAX_MESSAGE: usize = 1000;
/// Longest of the other texts.
const MAX_TEXT: usize = 400;
/// Longest label that is kept, in characters.
const MAX_LABEL: usize = 200;
/// Most labels that are kept.
const MAX_LABELS: usize = 32;
/// What an alert is about, by the labels that say so, the first that is there.
const SUBJECTS: [&str; 7] = ["subject", "instance", "node", "pod", "host", "device", "job"];

/// What is kept of an alert: bounded, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) name: String,
    pub(super) subject: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) severity: Severity,
    pub(super) title: String,
    pub(super) message: String,
    pub(super) cost: String,
    pub(super) done: String,
    pub(super) runbook: String,
    pub(super) since: UnixMillis,
}

impl Kept {
    /// What is kept of an alert that came now.
    pub(super) fn of(alert: &ForeignAlert, now: UnixMillis) -> Self {
        let said = |names: &[&str], most| {
            let text = names
                .iter()
                .find_map(|name| alert.annotations.get(*name).filter(|text| !text.trim().is_empty()));
            text.map(|text| one_line(text, most))
        };
        let label = |name: &str| alert.labels.get(name).map_or("", String::as_str);
        let name = one_line(label("alertname"), MAX_LABEL);
        let subject = SUBJECTS.into_iter().find(|name| !label(name).is_empty());
        let is_kept = |name: &str| name != "alertname" && Some(name) != subject;
        let labels = alert.labels.iter().filter(|(name, _)| is_kept(name)).take(MAX_LABELS);
        let title = said(&["summary", "title"], MAX_TITLE).unwrap_or_else(|| name.clone());
        let message = said(&["description", "message"], MAX_MESSAGE);
        let runbook = said(&["runbook"], MAX_TEXT).or_else(|| {
            let url = said(&["runbook_url"], MAX_TEXT)?;
            is_link(&url).then(|| format!("Follow the runbook: {url}"))
        });
        let generator = alert.generator_url.as_deref().map(|url| one_line(url, MAX_TEXT));
        Self {
            subject: subject.map_or_else(String::new, |name| one_line(label(name), MAX_LABEL)),
            labels: labels
                .map(|(name, value)| (one_line(name, MAX_LABEL), one_line(value, MAX_LABEL)))
                .collect(),
            severity: alert.severity,
            message: message.unwrap_or_else(|| format!("{name} fires; its sender says no more.")),
            cost: said(&["cost", "impact"], MAX_TEXT)
                .unwrap_or_else(|| "Its sender does not say what it costs.".to_owned()),
            done: said(&["done"], MAX_TEXT)
                .unwrap_or_else(|| "Nothing: it came by the hook, and relaymux only tells of it.".to_owned()),
            runbook: runbook.unwrap_or_else(|| match generator {
                Some(url) => format!("It has no runbook. What raised it: {url}"),
                None => "It has no runbook. Look at the system that sent it.".to_owned(),
            }),
            since: alert.starts_at.unwrap_or(now).min(now),
            title,
            name,
        }
    }

    pub(super) fn trouble(&self) -> Trouble {
        let rule = AlertRule {
            name: self.name.clone().into(),
            severity: self.severity,
            component: Component::External,
            title: self.title.clone().into(),
            cost: self.cost.clone().into(),
            done: self.done.clone().into(),
            runbook: self.runbook.clone().into(),
            page: "/alerts".into(),
            // Whoever found it has waited already.
            fail_for: Duration::ZERO,
            clear_for: Duration::ZERO,
            persistence: Persistence::Condition,
        };
        Trouble {
            rule: Arc::new(rule),
            subject: self.subject.clone(),
            labels: self.labels.clone(),
            severity: None,
            message: self.message.clone(),
            since: self.since,
        }
    }

    pub(super) fn row(&self, name: &str, now: UnixMillis) -> ForeignRow {
        ForeignRow {
            fingerprint: name.to_owned(),
            severity: self.severity.into(),
            // Plain texts always have a JSON.
            alert: serde_json::to_string(self).unwrap_or_default(),
            heard_at: now,
        }
    }
}

fn is_link(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://")
}

/// Without control characters and line breaks, at most so many characters.
fn one_line(text: &str, most: usize) -> String {
    let mut line = String::new();
    for word in
        text.split(|char: char| char.is_whitespace() || char.is_control()).filter(|word| !word.is_empty())
    {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > 4 * most {
            break;
        }
    }
    if line.chars().count() <= most {
        return line;
    }
    let mut cut: String = line.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_one_line_and_bounded() {
        assert_eq!(one_line(" a\n\tb\u{7}c  d ", 20), "a b c d");
        assert_eq!(one_line("abcdef", 6), "abcdef");
        assert_eq!(one_line("abcdefg", 6), "abcde…");
        assert_eq!(one_line(&"é ".repeat(5000), 10).chars().count(), 10);
    }
}
