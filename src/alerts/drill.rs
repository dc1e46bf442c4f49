//! A rehearsal: an alert about nothing goes through the whole matrix, until a person acknowledges it.
//!
//! It is an alert as every other (same channels, same contacts, same reminders, same links), in a group of its own, so that no real incident
//! is acknowledged with it. No silence and no maintenance window hides it: it is asked for by somebody who waits for it. It ends when it was
//! acknowledged, when its time is over, when whoever asked says so or is not heard of any more, and when the service is restarted: it is
//! kept in memory alone, and an alert of a drill that nobody holds is over. So nothing stays open, whatever is interrupted.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc, time::Duration};

use serde::Serialize;

use super::{
    alert::Alert,
    moment::{Moment, millis},
    text::span,
    trouble::Trouble,
};
use crate::{
    events::{AlertRule, Component, Persistence, Severity},
    ledger::{EvidenceKind, EvidenceRow, OutboxState},
    types::{Label, UnixMillis, labelled},
};

/// Shortest and longest time that a drill waits for a person.
pub const DRILL_WAIT: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(10)..=Duration::from_secs(86_400);
/// A drill of which nobody asks for so long is over: whoever asked for it was killed.
const HEARD_OF: Duration = Duration::from_secs(30);
/// How long messages may be on their way once somebody acknowledged.
const SETTLES_IN: Duration = Duration::from_secs(30);
/// How long the messages of a drill that is over are looked at.
const REMEMBERED: Duration = Duration::from_secs(300);
/// Most messages that are shown.
const MAX_STEPS: usize = 200;
/// A drill that is acknowledged is over at once; this is longer than one can wait.
const OVER_AFTER: Duration = Duration::from_secs(2 * 86_400);

labelled! {
    /// How far a drill is.
    pub enum DrillState {
        /// It asks.
        Running = "running",
        /// Somebody acknowledged, and messages are still on their way.
        Acknowledged = "acknowledged",
        /// It is over, and everything worked.
        Held = "held",
        /// It is over, and something did not work.
        Failed = "failed",
        /// It was ended before anybody acknowledged: it proves nothing.
        Interrupted = "interrupted",
    }
}

impl DrillState {
    /// Whether nothing more comes of it.
    pub const fn is_over(self) -> bool {
        match self {
            Self::Running | Self::Acknowledged => false,
            Self::Held | Self::Failed | Self::Interrupted => true,
        }
    }
}

/// One message of a drill to one channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DrillStep {
    /// The message's id.
    pub message: String,
    /// Why it was sent: `firing`, `reminder`, `acknowledged`, `resolved`.
    pub kind: String,
    /// The channel.
    pub channel: String,
    /// Whom of the escalation's contacts it reaches; empty of a channel that was told in another's stead.
    pub who: Vec<String>,
    /// When it was made, in Unix milliseconds.
    pub made_at: UnixMillis,
    /// How far it has come.
    pub state: Option<Label<OutboxState>>,
    /// How long it took until the service had it, in milliseconds; none before.
    pub took_ms: Option<i64>,
    /// Attempts so far.
    pub attempts: i64,
    /// What the last attempt came to, where it failed.
    pub error: Option<String>,
}

impl DrillStep {
    fn is_taken(&self) -> bool {
        self.state.as_ref().and_then(Label::known) == Some(OutboxState::Sent)
    }

    fn is_decided(&self) -> bool {
        match self.state.as_ref().and_then(Label::known) {
            Some(OutboxState::Sent | OutboxState::Dead) => true,
            Some(OutboxState::Queued | OutboxState::Sending) | None => false,
        }
    }

    /// Whether it asked somebody to acknowledge.
    fn asks(&self) -> bool {
        matches!(self.kind.as_str(), "firing" | "reminder")
    }
}

/// Who acknowledged a drill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DrillAnswer {
    /// Who, as they called themselves.
    pub by: String,
    /// When, in Unix milliseconds.
    pub at: UnixMillis,
    /// How long after the beginning, in milliseconds.
    pub after_ms: i64,
}

/// What there is to be seen of a drill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DrillView {
    /// Its name.
    pub id: String,
    /// Whose escalation is rehearsed.
    pub severity: Severity,
    /// The machine whose alerts are rehearsed, as messages name it.
    pub source: String,
    /// How far it is.
    pub state: DrillState,
    /// When it began, in Unix milliseconds.
    pub started_at: UnixMillis,
    /// How long it waits for a person, in seconds.
    pub wait_secs: u64,
    /// Every message so far, oldest first.
    pub steps: Vec<DrillStep>,
    /// Who acknowledged.
    pub acknowledged: Option<DrillAnswer>,
    /// What came of it, in a sentence; none before it is over.
    pub summary: Option<String>,
    /// Whether that is written down as evidence. What was interrupted proves nothing, and is not.
    pub recorded: bool,
}

/// A drill.
#[derive(Clone, Debug)]
pub(super) struct Drill {
    pub(super) view: DrillView,
    pub(super) incident: Option<String>,
    began: Moment,
    wait: Duration,
    heard_of: Moment,
    /// Since when messages settle.
    settling: Option<Moment>,
    /// When it was over.
    ended: Option<Moment>,
}

impl Drill {
    /// Begins.
    pub(super) fn new(severity: Severity, wait: Duration, source: &str, now: Moment) -> Self {
        let view = DrillView {
            id: format!("drill-{}", now.at),
            severity,
            source: source.to_owned(),
            state: DrillState::Running,
            started_at: now.at,
            wait_secs: wait.as_secs(),
            steps: Vec::new(),
            acknowledged: None,
            summary: None,
            recorded: false,
        };
        Self { view, incident: None, began: now, wait, heard_of: now, settling: None, ended: None }
    }

    /// Whoever asked for it is there.
    pub(super) fn hear_of(&mut self, now: Moment) {
        self.heard_of = now;
    }

    /// What is wrong, as long as it asks.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        (self.view.state == DrillState::Running).then(|| Trouble {
            rule: Arc::new(alert_drill()),
            subject: String::new(),
            labels: BTreeMap::from([("drill".to_owned(), self.view.id.clone())]),
            severity: Some(self.view.severity),
            message: format!(
                "DRILL, asked for with `relaymux drill alert`. Nothing is wrong. It waits {} for an acknowledgement.",
                span(millis(self.wait))
            ),
            since: self.view.started_at,
        })
    }

    /// Whether it is over, and so are the messages that say so.
    pub(super) fn is_past(&self, now: Moment) -> bool {
        self.ended.is_some_and(|ended| now.is_after(ended, REMEMBERED))
    }

    /// Whoever asked for it wants no more of it.
    pub(super) fn interrupt(&mut self, why: &str, now: Moment) {
        if self.view.state == DrillState::Running {
            self.ended = Some(now);
            self.view.state = DrillState::Interrupted;
            self.view.summary = Some(format!("{why}; nobody is asked any more, and nothing is proven"));
        }
    }

    /// Takes in what there is now: its alert, where there is one, and every message of it. What is to be written down, where it is over by that.
    pub(super) fn follow(
        &mut self,
        now: Moment,
        alert: Option<&Alert>,
        mut steps: Vec<DrillStep>,
    ) -> Option<EvidenceRow> {
        if let Some(told) = alert.and_then(|alert| alert.told.as_ref()) {
            self.incident = Some(told.incident.clone());
        }
        steps.truncate(MAX_STEPS);
        if !steps.is_empty() {
            self.view.steps = steps;
        }
        if self.view.state == DrillState::Running {
            if let Some(by) = alert.and_then(|alert| alert.acknowledged.as_ref()) {
                let after_ms = by.at.watched_ms.saturating_sub(self.began.watched_ms).max(0);
                self.view.acknowledged = Some(DrillAnswer { by: by.by.clone(), at: by.at.at, after_ms });
                self.view.state = DrillState::Acknowledged;
                self.settling = Some(now);
            } else if now.is_after(self.began, self.wait) {
                let waited = span(millis(self.wait));
                let words = format!(
                    "Nobody acknowledged a drill of {} within {waited}; {}",
                    self.view.severity,
                    self.arrived()
                );
                return Some(self.end(DrillState::Failed, words, now));
            } else if now.is_after(self.heard_of, HEARD_OF) {
                self.interrupt("Whoever asked for the drill was not heard of any more", now);
            }
        }
        let (DrillState::Acknowledged, Some(answer)) = (self.view.state, &self.view.acknowledged) else {
            return None;
        };
        let asked = || self.view.steps.iter().filter(|step| step.asks() && step.made_at <= answer.at);
        let is_late = self.settling.is_none_or(|since| now.is_after(since, SETTLES_IN));
        // The message is in the ledger with the look that made it: without one, the ledger does not take anything.
        let is_settled = asked().next().is_some() && asked().all(DrillStep::is_decided);
        if !is_settled && !is_late {
            return None;
        }
        let (by, after, severity) = (&answer.by, span(answer.after_ms), self.view.severity);
        let missing: Vec<String> = asked().filter(|step| !step.is_taken()).map(fault).collect();
        let (state, words) = if asked().next().is_none() {
            (
                DrillState::Failed,
                format!("{by} acknowledged a drill of {severity} after {after}, before any message was sent"),
            )
        } else if missing.is_empty() {
            (
                DrillState::Held,
                format!("{by} acknowledged a drill of {severity} after {after}; {}", self.arrived()),
            )
        } else {
            let words = format!(
                "{by} acknowledged a drill of {severity} after {after}, but not every message arrived: {}",
                missing.join("; ")
            );
            (DrillState::Failed, words)
        };
        Some(self.end(state, words, now))
    }

    fn end(&mut self, state: DrillState, summary: String, now: Moment) -> EvidenceRow {
        self.ended = Some(now);
        self.view.state = state;
        self.view.summary = Some(summary.clone());
        EvidenceRow {
            kind: EvidenceKind::Alert.into(),
            at: now.at,
            ok: state == DrillState::Held,
            summary,
            // Plain data with text as keys always has a JSON.
            details: serde_json::to_string(&self.view).unwrap_or_default(),
        }
    }

    /// How many of the messages that asked arrived, and how soon.
    fn arrived(&self) -> String {
        let asked: Vec<&DrillStep> = self.view.steps.iter().filter(|step| step.asks()).collect();
        let taken: Vec<&&DrillStep> = asked.iter().filter(|step| step.is_taken()).collect();
        let slowest = taken.iter().filter_map(|step| step.took_ms).max();
        let how_soon = slowest.map_or_else(String::new, |ms| format!(", each within {}", seconds(ms)));
        match asked.len() {
            0 => "no message was sent".to_owned(),
            1 if taken.len() == 1 => format!("its message arrived{}", how_soon.replace(", each", "")),
            count => format!("{} of {count} messages arrived{how_soon}", taken.len()),
        }
    }
}

/// Why a message did not arrive.
fn fault(step: &DrillStep) -> String {
    let why = step.error.as_deref().unwrap_or("it was still on its way half a minute later");
    format!("{} did not take it: {why}", step.channel)
}

/// Seconds with a tenth, never less than that.
pub(super) fn seconds(ms: i64) -> String {
    let tenths = ms.max(0).saturating_add(99) / 100;
    format!("{}.{} s", tenths / 10, tenths % 10)
}

/// The rule of drills.
pub fn alert_drill() -> AlertRule {
    AlertRule {
        name: Cow::Borrowed("alert_drill"),
        severity: Severity::P1,
        component: Component::Drill,
        title: Cow::Borrowed("DRILL, nothing is wrong"),
        cost: Cow::Borrowed("DRILL: nothing. It is a rehearsal of who is told of alerts."),
        done: Cow::Borrowed(
            "DRILL: relaymux measures how long messages take, and waits for somebody to acknowledge.",
        ),
        runbook: Cow::Borrowed(
            "DRILL: acknowledge it as you would a real alert. Nothing else is to be done.",
        ),
        page: Cow::Borrowed("/alerts"),
        fail_for: Duration::ZERO,
        clear_for: OVER_AFTER,
        persistence: Persistence::Occurrence,
    }
}

#[cfg(test)]
mod tests;
