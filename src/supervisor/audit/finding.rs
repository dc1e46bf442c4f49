//! What was found, and where.

use serde::Serialize;

use super::rule::{Risk, Rule};

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// By which rule.
    pub rule: Rule,
    /// How much it matters.
    pub risk: Risk,
    /// The line in its file, from 1 on; 0: it has none, as of what runs.
    pub line: usize,
    /// The container, the service or the command that it is about.
    pub subject: String,
    /// What is wrong, as a sentence. Never a value that could be a secret.
    pub message: String,
    /// Why it hurts.
    pub why: &'static str,
    /// What to write instead.
    pub instead: &'static str,
}

/// Longest subject, in characters: names come from outside.
const MAX_SUBJECT: usize = 80;

impl Finding {
    /// A finding of a rule.
    pub(super) fn new(rule: Rule, line: usize, subject: &str, message: impl Into<String>) -> Self {
        Self {
            rule,
            risk: rule.risk(),
            line,
            subject: printable(subject),
            message: message.into(),
            why: rule.why(),
            instead: rule.instead(),
        }
    }
}

/// A text from outside as it may be shown: bounded, and without characters that a terminal obeys.
pub(super) fn printable(text: &str) -> String {
    let mut shown: String = text.chars().filter(|c| !c.is_control()).take(MAX_SUBJECT).collect();
    if text.chars().filter(|c| !c.is_control()).nth(MAX_SUBJECT).is_some() {
        shown.push('…');
    }
    shown
}

/// 100 for nothing found, less by what each finding weighs, never below 0. A rule counts once, however often it was broken.
pub(super) fn score(findings: &[Finding]) -> u8 {
    let mut rules: Vec<Rule> = findings.iter().map(|finding| finding.rule).collect();
    rules.sort_unstable();
    rules.dedup();
    let lost: u32 = rules.iter().map(|rule| rule.risk().points()).sum();
    u8::try_from(100_u32.saturating_sub(lost)).unwrap_or(0)
}
