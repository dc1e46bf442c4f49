//! JSON shapes of alerts, and the one line that says how things are. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    alerts::{Alert, AlertView, Hidden, Phase, Silence, Snapshot},
    events::{Component, Severity},
    ledger::{AlertPhase, AlertRow},
    types::{Label, UnixMillis, labelled},
};

/// A look is due every five seconds: what is older than this says nothing of now.
const STALE_MS: i64 = 60_000;

labelled! {
    /// How things are.
    pub(super) enum Verdict {
        /// Nothing is wrong that people are told of.
        Well = "well",
        /// Something is wrong, and somebody takes care of all of it.
        InHand = "in_hand",
        /// Something is wrong.
        Wrong = "wrong",
        /// Nobody has looked, or not of late.
        Unknown = "unknown",
    }
}

/// How things are, in a line.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Summary {
    pub(super) status: Verdict,
    pub(super) in_words: String,
    /// Alerts that last.
    pub(super) open: usize,
    /// Of them, those that nobody is told of.
    pub(super) hidden: usize,
    /// Of them, those that somebody takes care of.
    pub(super) acknowledged: usize,
    /// How grave the gravest is that people are told of.
    pub(super) gravest: Option<Severity>,
}

impl Summary {
    pub(super) fn of(snapshot: &Snapshot, now: UnixMillis) -> Self {
        let open: Vec<&AlertView> =
            snapshot.alerts.iter().filter(|view| view.alert.phase.is_active()).collect();
        let told: Vec<&AlertView> = open.iter().filter(|view| view.hidden.is_none()).copied().collect();
        let is_taken = |view: &&&AlertView| view.alert.acknowledged.is_some();
        let hidden = open.len() - told.len();
        let gravest = told.first().map(|view| &view.alert);
        let (status, in_words) = if snapshot.at == 0 {
            (Verdict::Unknown, "Not known yet: nobody has looked since the start".to_owned())
        } else if now.saturating_sub(snapshot.at) > STALE_MS {
            let minutes = now.saturating_sub(snapshot.at) / 60_000;
            (Verdict::Unknown, format!("Not known: nobody has looked for {minutes} min; the log says why"))
        } else if let Some(gravest) = gravest {
            let what = sentence(gravest);
            let words = match told.len() {
                1 => format!("1 alert: {what}"),
                count => format!("{count} alerts, the gravest: {what}"),
            };
            let in_hand = told.iter().all(|view| is_taken(&view));
            (if in_hand { Verdict::InHand } else { Verdict::Wrong }, words)
        } else if hidden > 0 {
            let words = match hidden {
                1 => "1 alert lasts that is silenced or in maintenance".to_owned(),
                count => format!(
                    "{count} alerts last that are silenced or in maintenance, or follow from one that is"
                ),
            };
            (Verdict::Well, format!("Nothing else is wrong: {words}"))
        } else {
            (Verdict::Well, "Nothing is wrong".to_owned())
        };
        Self {
            status,
            in_words,
            open: open.len(),
            hidden,
            acknowledged: open.iter().filter(is_taken).count(),
            gravest: gravest.map(|alert| alert.severity),
        }
    }
}

/// What happened, and to what.
pub(super) fn sentence(alert: &Alert) -> String {
    let title = &alert.rule.title;
    if alert.subject.is_empty() { title.clone().into_owned() } else { format!("{title} ({})", alert.subject) }
}

/// That somebody takes care.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct AcknowledgedView {
    by: String,
    at: UnixMillis,
}

/// Why nobody is told.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct HiddenView {
    /// `silence`, `maintenance` or `cause`.
    by: &'static str,
    /// Of the silence, or of the alert that is the cause; of a maintenance window, its name.
    id: String,
    why: String,
}

/// An alert that lasts. Times in Unix milliseconds.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct OpenAlert {
    /// Names the trouble for ever: what is acknowledged.
    pub(super) id: String,
    /// Number of this episode.
    episode: u64,
    rule: String,
    subject: String,
    severity: Severity,
    component: Component,
    phase: AlertPhase,
    /// It comes and goes, and is held.
    is_flapping: bool,
    /// As whoever found it says.
    since: UnixMillis,
    firing_at: Option<UnixMillis>,
    message: String,
    title: String,
    /// What it costs, what relaymux did, and what to do now.
    cost: String,
    done: String,
    runbook: String,
    /// Of the ops API.
    page: String,
    acknowledged: Option<AcknowledgedView>,
    /// When people were first told.
    told_at: Option<UnixMillis>,
    /// Whose messages told it.
    incident: Option<String>,
    hidden: Option<HiddenView>,
    labels: BTreeMap<String, String>,
}

impl OpenAlert {
    fn of(view: &AlertView, snapshot: &Snapshot) -> Self {
        let AlertView { alert, hidden } = view;
        Self {
            id: alert.fingerprint.clone(),
            episode: alert.id,
            rule: alert.rule.name.clone().into_owned(),
            subject: alert.subject.clone(),
            severity: alert.severity,
            component: alert.component(),
            phase: phase(alert.phase),
            is_flapping: alert.flap.is_held(),
            since: alert.since,
            firing_at: alert.phase.fired().map(|moment| moment.at),
            message: alert.message.clone(),
            title: alert.rule.title.clone().into_owned(),
            cost: alert.rule.cost.clone().into_owned(),
            done: alert.rule.done.clone().into_owned(),
            runbook: alert.rule.runbook.clone().into_owned(),
            page: alert.rule.page.clone().into_owned(),
            acknowledged: alert
                .acknowledged
                .as_ref()
                .map(|taken| AcknowledgedView { by: taken.by.clone(), at: taken.at.at }),
            told_at: alert.told.as_ref().map(|told| told.at.at),
            incident: alert.told.as_ref().map(|told| told.incident.clone()),
            hidden: hidden.as_ref().map(|hidden| why_hidden(hidden, snapshot)),
            labels: alert.labels.clone(),
        }
    }
}

fn phase(phase: Phase) -> AlertPhase {
    match phase {
        Phase::Pending { .. } => AlertPhase::Pending,
        Phase::Firing { .. } => AlertPhase::Firing,
        Phase::Clearing { .. } => AlertPhase::Clearing,
        Phase::Resolved { .. } => AlertPhase::Resolved,
    }
}

fn why_hidden(hidden: &Hidden, snapshot: &Snapshot) -> HiddenView {
    match hidden {
        Hidden::Silenced(id) => {
            let silence = snapshot.silences.iter().find(|silence| silence.id == *id);
            let by = |silence: &Silence| match silence.comment.as_str() {
                "" => format!("Silenced by {}.", silence.created_by),
                comment => format!("Silenced by {}: {comment}", silence.created_by),
            };
            HiddenView {
                by: "silence",
                id: id.clone(),
                why: silence.map_or_else(|| "Silenced.".to_owned(), by),
            }
        }
        Hidden::Maintenance(name) => {
            HiddenView { by: "maintenance", id: name.clone(), why: format!("maintenance: {name}") }
        }
        Hidden::Inhibited(id) => {
            let cause = snapshot.alerts.iter().find(|view| view.alert.fingerprint == *id);
            let what = cause.map_or_else(|| "another alert".to_owned(), |cause| sentence(&cause.alert));
            HiddenView { by: "cause", id: id.clone(), why: format!("It follows from: {what}") }
        }
    }
}

/// An alert that is over. Times in Unix milliseconds.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct PastAlert {
    id: String,
    episode: u64,
    rule: String,
    subject: String,
    severity: Label<Severity>,
    component: Label<Component>,
    title: String,
    message: String,
    /// When it was first seen.
    since: UnixMillis,
    resolved_at: Option<UnixMillis>,
    told_at: Option<UnixMillis>,
    acknowledged: Option<AcknowledgedView>,
    incident: Option<String>,
}

impl From<AlertRow> for PastAlert {
    fn from(row: AlertRow) -> Self {
        let acknowledged = row
            .acknowledged_at
            .map(|at| AcknowledgedView { by: row.acknowledged_by.clone().unwrap_or_default(), at });
        Self {
            id: row.fingerprint,
            episode: row.id,
            rule: row.rule,
            subject: row.subject,
            severity: row.severity,
            component: row.component,
            title: row.title,
            message: row.message,
            since: row.pending_at,
            resolved_at: row.resolved_at,
            told_at: row.told_at,
            acknowledged,
            incident: row.incident,
        }
    }
}

/// The answer of `/api/v1/alerts`.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct AlertsView {
    /// When the last look was, in Unix milliseconds; 0 before the first.
    at: UnixMillis,
    /// The clock of the service, in Unix milliseconds.
    now: UnixMillis,
    summary: Summary,
    /// Alerts that last or may, gravest first.
    open: Vec<OpenAlert>,
    /// Open ones beyond `limit`.
    left_out: usize,
    /// Alerts that are over, newest first; none where they were not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    past: Option<Vec<PastAlert>>,
    /// Why the last look could not be written down, where it could not.
    not_saved: Option<String>,
}

impl AlertsView {
    pub(super) fn of(
        snapshot: &Snapshot,
        past: Option<Vec<AlertRow>>,
        limit: usize,
        now: UnixMillis,
    ) -> Self {
        let open = || snapshot.alerts.iter().filter(|view| !view.alert.phase.is_resolved());
        Self {
            at: snapshot.at,
            now,
            summary: Summary::of(snapshot, now),
            open: open().take(limit).map(|view| OpenAlert::of(view, snapshot)).collect(),
            left_out: open().count().saturating_sub(limit),
            past: past.map(|rows| rows.into_iter().map(PastAlert::from).collect()),
            not_saved: snapshot.not_saved.clone(),
        }
    }
}

/// What the tests of this room show.
#[cfg(test)]
pub(super) mod made {
    use std::sync::Arc;

    use super::*;
    use crate::{
        alerts::{Acknowledgement, Moment, SilenceKind, Told},
        events::for_tests::TOO_HOT,
    };

    pub(crate) const AT: i64 = 1_795_845_600_000;
    const NOW: Moment = Moment { at: AT, watched_ms: 0 };

    /// So many alerts that fire.
    pub(crate) fn snapshot(count: u64) -> Snapshot {
        let view = |id: u64| {
            let alert = Alert {
                id,
                fingerprint: format!("f{id}"),
                rule: Arc::new(TOO_HOT.clone()),
                subject: format!("attic {id}"),
                labels: BTreeMap::new(),
                severity: Severity::P2,
                message: "It has 60 °C.".to_owned(),
                since: AT,
                began: NOW,
                phase: Phase::Firing { since: NOW },
                end: None,
                flap: Default::default(),
                told: None,
                acknowledged: None,
            };
            AlertView { alert, hidden: None }
        };
        Snapshot { at: AT, alerts: (0..count).map(view).collect(), silences: Vec::new(), not_saved: None }
    }

    pub(crate) fn told(incident: &str) -> Told {
        Told { incident: incident.to_owned(), at: NOW, of_flapping: false, of_end: false }
    }

    pub(crate) fn acknowledged(by: &str) -> Acknowledgement {
        Acknowledgement { at: NOW, by: by.to_owned(), is_told: false }
    }

    pub(crate) fn silence(id: &str, comment: &str) -> Silence {
        Silence {
            id: id.to_owned(),
            kind: SilenceKind::Silence,
            matchers: Vec::new(),
            starts_at: 0,
            ends_at: i64::MAX,
            created_by: "anna".to_owned(),
            comment: comment.to_owned(),
            made_at: 0,
        }
    }
}

#[cfg(test)]
mod tests;
