//! An alert: one episode of one trouble, from when it was first seen until it is over.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{flap::Flap, moment::Moment, trouble::Trouble};
use crate::{
    events::{AlertRule, Component, Persistence, Severity},
    types::UnixMillis,
};

/// How far an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Seen, and not for as long as its rule wants before anybody is told.
    Pending {
        /// When it was first seen.
        since: Moment,
    },
    /// It is so.
    Firing {
        /// When it had lasted long enough.
        since: Moment,
    },
    /// It seems to be over, and not for as long as its rule wants.
    Clearing {
        /// Since when it fired.
        since: Moment,
        /// Since when it was not seen.
        over_since: Moment,
    },
    /// It is over.
    Resolved {
        /// Since when it fired.
        since: Moment,
        /// When that was decided.
        at: Moment,
    },
}

impl Phase {
    /// Whether it is so, or may be.
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Firing { .. } | Self::Clearing { .. })
    }

    /// Whether it is over.
    pub const fn is_resolved(self) -> bool {
        matches!(self, Self::Resolved { .. })
    }

    /// When it began to fire.
    pub const fn fired(self) -> Option<Moment> {
        match self {
            Self::Pending { .. } => None,
            Self::Firing { since } | Self::Clearing { since, .. } | Self::Resolved { since, .. } => {
                Some(since)
            }
        }
    }

    /// When it was over.
    pub const fn resolved(self) -> Option<Moment> {
        match self {
            Self::Pending { .. } | Self::Firing { .. } | Self::Clearing { .. } => None,
            Self::Resolved { at, .. } => Some(at),
        }
    }
}

/// That people know of an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The incident whose messages tell of it.
    pub incident: String,
    /// When they were first told.
    pub at: Moment,
    /// Whether they know that it flaps.
    pub of_flapping: bool,
    /// Whether they know that it is over.
    pub of_end: bool,
}

/// That somebody takes care.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// When.
    pub at: Moment,
    /// Who, as they called themselves.
    pub by: String,
    /// Whether those who were told of the alert know.
    pub is_told: bool,
}

/// One episode of one trouble.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Number of the episode; the next one of the same trouble has another.
    pub id: u64,
    /// Names the trouble for ever.
    pub fingerprint: String,
    /// The kind of trouble.
    pub rule: Arc<AlertRule>,
    /// What it is about.
    pub subject: String,
    /// What else tells it from others of its rule.
    pub labels: BTreeMap<String, String>,
    /// The gravest that it was in this episode.
    pub severity: Severity,
    /// What happened, in the newest words.
    pub message: String,
    /// How it ended, in the words of whoever said so.
    #[serde(default)]
    pub end: Option<String>,
    /// Since when, as whoever found it says.
    pub since: UnixMillis,
    /// When it was first seen here.
    pub began: Moment,
    /// How far it is.
    pub phase: Phase,
    /// Whether it comes and goes.
    pub flap: Flap,
    /// Whether people know.
    pub told: Option<Told>,
    /// Whether somebody takes care.
    pub acknowledged: Option<Acknowledgement>,
}

impl Alert {
    /// A new episode. `flap`: what the one before leaves.
    pub(super) fn new(id: u64, fingerprint: String, trouble: &Trouble, flap: Flap, now: Moment) -> Self {
        Self {
            id,
            fingerprint,
            rule: Arc::clone(&trouble.rule),
            subject: trouble.kept_subject(),
            labels: trouble.kept_labels(),
            severity: trouble.severity(),
            message: trouble.kept_message().to_owned(),
            end: None,
            since: trouble.since,
            began: now,
            phase: Phase::Pending { since: now },
            flap,
            told: None,
            acknowledged: None,
        }
    }

    /// The part that it is about.
    pub fn component(&self) -> Component {
        self.rule.component
    }

    /// Whether it happened once and nothing ends it.
    pub fn is_occurrence(&self) -> bool {
        match self.rule.persistence {
            Persistence::Occurrence => true,
            Persistence::Condition => false,
        }
    }

    /// Whether it is a rehearsal.
    pub fn is_drill(&self) -> bool {
        self.rule.component == Component::Drill
    }

    /// Whether people were told of it by this incident.
    pub fn is_of(&self, incident: &str) -> bool {
        self.told.as_ref().is_some_and(|told| told.incident == incident)
    }

    /// Whether people believe that it lasts, and it is over.
    pub fn end_is_news(&self) -> bool {
        self.phase.is_resolved() && self.told.as_ref().is_some_and(|told| !told.of_end)
    }

    /// The value of a label, for matchers: its own, and `alertname`, `subject`, `severity` and `component`.
    pub fn label(&self, name: &str) -> Option<&str> {
        match name {
            "alertname" => Some(&self.rule.name),
            "subject" => Some(&self.subject),
            "severity" => Some(self.severity.label()),
            "component" => Some(self.rule.component.label()),
            other => self.labels.get(other).map(String::as_str),
        }
    }
}

/// What the tests of this room make alerts of.
#[cfg(test)]
pub(super) mod made {
    use std::time::Duration;

    use super::*;

    /// A rule that fires at once and clears at once.
    pub(crate) fn rule(name: &str, severity: Severity, component: Component) -> AlertRule {
        AlertRule {
            name: name.to_owned().into(),
            severity,
            component,
            title: format!("Title of {name}").into(),
            cost: "It costs.".into(),
            done: "Nothing was done.".into(),
            runbook: "Look at it.".into(),
            page: "/alerts".into(),
            fail_for: Duration::ZERO,
            clear_for: Duration::ZERO,
            persistence: Persistence::Condition,
        }
    }

    pub(crate) fn trouble(rule: AlertRule, subject: &str) -> Trouble {
        Trouble {
            rule: Arc::new(rule),
            subject: subject.to_owned(),
            labels: BTreeMap::new(),
            severity: None,
            message: format!("What happened to {subject}."),
            since: 0,
        }
    }

    /// An alert that fires.
    pub(crate) fn firing(rule: AlertRule, subject: &str) -> Alert {
        let trouble = trouble(rule, subject);
        let now = Moment::default();
        let mut alert = Alert::new(1, trouble.fingerprint(), &trouble, Flap::default(), now);
        alert.phase = Phase::Firing { since: now };
        alert
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_alert_keeps_its_json() {
        let rule = AlertRule {
            fail_for: Duration::from_secs(90),
            persistence: Persistence::Occurrence,
            ..made::rule("payload_withheld", Severity::P1, Component::Relays)
        };
        let mut alert = made::firing(rule, "titan");
        alert.labels.insert("slot".to_owned(), "5".to_owned());
        let at = Moment { at: 7, watched_ms: 3 };
        alert.told = Some(Told { incident: "i".to_owned(), at, of_flapping: false, of_end: true });
        alert.acknowledged = Some(Acknowledgement { at, by: "anna".to_owned(), is_told: true });
        for phase in [
            Phase::Pending { since: at },
            Phase::Firing { since: at },
            Phase::Clearing { since: at, over_since: at },
            Phase::Resolved { since: at, at },
        ] {
            alert.phase = phase;
            let json = serde_json::to_string(&alert).unwrap();
            assert_eq!(serde_json::from_str::<Alert>(&json).unwrap(), alert);
        }
    }

    #[test]
    fn labels_are_its_own_and_what_everybody_goes_by() {
        let mut alert = made::firing(made::rule("disk_full", Severity::P2, Component::Disk), "/data");
        alert.labels.insert("severity".to_owned(), "none".to_owned());
        alert.labels.insert("team".to_owned(), "a".to_owned());
        for (name, value) in [
            ("alertname", Some("disk_full")),
            ("subject", Some("/data")),
            ("severity", Some("P2")),
            ("component", Some("disk")),
            ("team", Some("a")),
            ("other", None),
        ] {
            assert_eq!(alert.label(name), value, "{name}");
        }
    }
}
