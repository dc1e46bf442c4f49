//! What a channel is given to deliver: the same for all of them. Each renders it in its service's format and within its limits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    events::{Component, Severity},
    types::{UnixMillis, labelled},
};

labelled! {
    /// Why a message is sent.
    pub enum MessageKind {
        /// Alerts began.
        Firing = "firing",
        /// Nobody has acknowledged yet: the same again, perhaps to the next contact.
        Reminder = "reminder",
        /// Somebody acknowledged: whoever was told needs not hurry any more.
        Acknowledged = "acknowledged",
        /// Alerts are over.
        Resolved = "resolved",
        /// What can wait, once a day or week.
        Digest = "digest",
        /// An operator proves that a channel works.
        Test = "test",
    }
}

/// A message to one channel. Written down as JSON before it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Unique; the same at every attempt, so that a service that knows idempotency keys shows it once.
    pub id: String,
    /// Groups messages about the same alerts: the first, its reminders, its end. PagerDuty's `dedup_key`.
    pub group: String,
    /// Why it is sent.
    pub kind: MessageKind,
    /// The gravest of its alerts'.
    pub severity: Severity,
    /// One line: what happened, how many. Made by `text`.
    pub title: String,
    /// What is told, gravest first. May be many: each channel shows as many as its service takes, and says how many more there are.
    pub alerts: Vec<AlertText>,
    /// A text instead of alerts, in plain lines: of a digest or a test.
    pub body: Option<String>,
    /// A link that acknowledges the whole group, signed and expiring.
    pub acknowledge_url: Option<String>,
    /// The page that shows it.
    pub page_url: Option<String>,
    /// When it was made, in Unix milliseconds.
    pub at: UnixMillis,
    /// The name of this machine or sidecar, so that one channel can serve several.
    pub source: String,
}

/// One alert in a message, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertText {
    /// Names the alert for ever: a hash of its rule and labels.
    pub fingerprint: String,
    /// Name of the rule.
    pub rule: String,
    /// What it is about: a relay, a slot, a node.
    pub subject: String,
    /// How grave it is.
    pub severity: Severity,
    /// The part that it is about.
    pub component: Component,
    /// What happened, in a few words.
    pub title: String,
    /// What happened here, with its figures.
    pub message: String,
    /// What it costs.
    pub cost: String,
    /// What relaymux did already.
    pub done: String,
    /// What to do now.
    pub runbook: String,
    /// Since when, in Unix milliseconds.
    pub since: UnixMillis,
    /// Until when, where it is over.
    pub until: Option<UnixMillis>,
    /// Labels beside rule and subject; of others' alerts.
    pub labels: BTreeMap<String, String>,
}
