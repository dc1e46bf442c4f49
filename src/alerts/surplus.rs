//! Alerts about alerts: more is wrong than can be kept, or nobody can say what is.
//!
//! The gravest are kept, and among those of one severity the ones that are known.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::trouble::Trouble;
use crate::{
    events::{AlertRule, Component, Persistence, Severity},
    types::UnixMillis,
};

/// Troubles for which there was no place.
pub(super) struct Dropped {
    pub(super) fingerprints: BTreeSet<String>,
}

impl Dropped {
    /// What the operator is told of it.
    pub(super) fn trouble(&self, now: UnixMillis) -> Trouble {
        let message = format!(
            "{} troubles beyond the most that are kept were left out, the least grave first.",
            self.fingerprints.len()
        );
        Trouble {
            rule: Arc::new(alerts_dropped()),
            subject: String::new(),
            labels: BTreeMap::new(),
            severity: None,
            message,
            since: now,
        }
    }
}

/// More is wrong than can be kept.
pub fn alerts_dropped() -> AlertRule {
    AlertRule {
        name: Cow::Borrowed("alerts_dropped"),
        severity: Severity::P2,
        component: Component::Relaymux,
        title: Cow::Borrowed("More troubles at once than relaymux can keep"),
        cost: Cow::Borrowed("Of the least grave ones nobody is told."),
        done: Cow::Borrowed("The gravest were kept, and those that were known before."),
        runbook: Cow::Borrowed(
            "Look at the open alerts: one rule or one sender of the hook makes most of them. Silence it or make it coarser.",
        ),
        page: Cow::Borrowed("/alerts"),
        fail_for: Duration::ZERO,
        clear_for: Duration::from_secs(600),
        persistence: Persistence::Condition,
    }
}

/// Leaves the `most` gravest troubles. What was left out, where anything was.
pub(super) fn keep_gravest(
    troubles: &mut BTreeMap<String, &Trouble>,
    most: usize,
    is_known: impl Fn(&str) -> bool,
) -> Option<Dropped> {
    if troubles.len() <= most {
        return None;
    }
    let mut order: Vec<_> = troubles
        .iter()
        .map(|(fingerprint, trouble)| {
            (trouble.severity(), !is_known(fingerprint), trouble.since, fingerprint.clone())
        })
        .collect();
    order.sort_unstable();
    let fingerprints: BTreeSet<String> =
        order.into_iter().skip(most).map(|(.., fingerprint)| fingerprint).collect();
    troubles.retain(|fingerprint, _| !fingerprints.contains(fingerprint));
    Some(Dropped { fingerprints })
}

/// Somebody who knows of troubles does not answer.
pub fn alert_source_away() -> AlertRule {
    AlertRule {
        name: Cow::Borrowed("alert_source_away"),
        severity: Severity::P3,
        component: Component::Relaymux,
        title: Cow::Borrowed("relaymux cannot see a part of what may be wrong"),
        cost: Cow::Borrowed("New troubles of that part are not told, and no alert ends while it lasts."),
        done: Cow::Borrowed("It is asked again with each look, every few seconds."),
        runbook: Cow::Borrowed(
            "Look at the log for why. If it is the ledger, look at the disk; else restart relaymux and report it.",
        ),
        page: Cow::Borrowed("/alerts"),
        fail_for: Duration::from_secs(120),
        clear_for: Duration::from_secs(60),
        persistence: Persistence::Condition,
    }
}

/// That a source does not answer, and why.
pub(super) fn source_away(source: &str, why: &str, now: UnixMillis) -> Trouble {
    Trouble {
        rule: Arc::new(alert_source_away()),
        subject: source.to_owned(),
        labels: BTreeMap::new(),
        severity: None,
        message: format!("The source `{source}` of alerts cannot say what is wrong: {why}"),
        since: now,
    }
}

/// What was known of alerts cannot be read.
pub fn alerts_unreadable() -> AlertRule {
    AlertRule {
        name: Cow::Borrowed("alerts_unreadable"),
        severity: Severity::P1,
        component: Component::Relaymux,
        title: Cow::Borrowed("What is known of alerts cannot be read"),
        cost: Cow::Borrowed(
            "Alerts, silences and acknowledgements of before are not known, and nothing is kept over a restart.",
        ),
        done: Cow::Borrowed(
            "What is found from now on is told all the same, P1 and P2 at once. The file is read again every few seconds.",
        ),
        runbook: Cow::Borrowed(
            "Look at the disk and at ledger.db in data_dir: restore it from a backup, or move it away and restart.",
        ),
        page: Cow::Borrowed("/alerts"),
        fail_for: Duration::from_secs(20),
        clear_for: Duration::ZERO,
        persistence: Persistence::Condition,
    }
}

/// That alerts cannot be read, and why.
pub(super) fn unreadable(why: &str, now: UnixMillis) -> Trouble {
    Trouble {
        rule: Arc::new(alerts_unreadable()),
        subject: String::new(),
        labels: BTreeMap::new(),
        severity: None,
        message: format!("Alerts that were written down cannot be read: {why}."),
        since: now,
    }
}

/// No Alertmanager takes what it should tell of.
pub fn alertmanager_unreachable() -> AlertRule {
    AlertRule {
        name: Cow::Borrowed("alertmanager_unreachable"),
        severity: Severity::P2,
        component: Component::Relaymux,
        title: Cow::Borrowed("No Alertmanager takes alerts"),
        cost: Cow::Borrowed("Whoever is told by Alertmanager hears of nothing while it lasts."),
        done: Cow::Borrowed("Alerts of P1 and P2 are told by relaymux's own channels until it is back."),
        runbook: Cow::Borrowed("Look at Alertmanager and at the way to it: the log says what it answered."),
        page: Cow::Borrowed("/alerts"),
        fail_for: Duration::ZERO,
        clear_for: Duration::ZERO,
        persistence: Persistence::Condition,
    }
}

/// That no Alertmanager takes anything. The same words with each look: how long it lasts, the alert itself knows.
pub(super) fn alertmanager_away(now: UnixMillis) -> Trouble {
    let message =
        "No Alertmanager has taken alerts for minutes: those of P1 and P2 are told here in its stead.";
    Trouble {
        rule: Arc::new(alertmanager_unreachable()),
        subject: String::new(),
        labels: BTreeMap::new(),
        severity: None,
        message: message.to_owned(),
        since: now,
    }
}
