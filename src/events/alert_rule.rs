//! What can be wrong: a rule for each kind of trouble, declared by the room that finds it, in words for whoever is woken by it.

use std::{borrow::Cow, time::Duration};

use super::Severity;
use crate::types::labelled;

labelled! {
    /// The part of the box that a rule is about: a node in the tree of causes. While a part is down, alerts of what stands on it explain nothing.
    pub enum Component {
        /// CPU, memory, pressure, clock.
        Host = "host",
        /// Filesystems, and the ledger and journal on them.
        Disk = "disk",
        /// Execution clients.
        Execution = "execution",
        /// Beacon nodes and the consensus client.
        Consensus = "consensus",
        /// Rollup nodes and other chains.
        L2 = "l2",
        /// The JSON-RPC gateway.
        Gateway = "gateway",
        /// Relays, and what they did.
        Relays = "relays",
        /// Proposals, payments and profit.
        Money = "money",
        /// relaymux itself.
        Relaymux = "relaymux",
        /// Backups, keys and certificates.
        Backup = "backup",
        /// Availability over time.
        Sla = "sla",
        /// What others sent to the hook.
        External = "external",
    }
}

labelled! {
    /// How long a trouble lasts.
    pub enum Persistence {
        /// Until whoever found it says that it is over.
        Condition = "condition",
        /// It happened, and nothing ends it: the alert is over once a person has acknowledged it, or `clear_for` has passed.
        Occurrence = "occurrence",
    }
}

/// A kind of trouble. Its texts are read at 3 a.m.: each is one plain sentence, or two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertRule {
    /// Its name in the API, metrics and configuration. Stable.
    pub name: Cow<'static, str>,
    /// How grave it is, unless whoever finds it knows better.
    pub severity: Severity,
    /// The part that it is about.
    pub component: Component,
    /// What happened, in a few words and without the subject: `A relay kept a signed block`.
    pub title: Cow<'static, str>,
    /// What it costs while it lasts.
    pub cost: Cow<'static, str>,
    /// What relaymux did about it by itself.
    pub done: Cow<'static, str>,
    /// What a person is to do now.
    pub runbook: Cow<'static, str>,
    /// The page of the ops API that shows it, such as `/profit`.
    pub page: Cow<'static, str>,
    /// How long it must last before anybody is told.
    pub fail_for: Duration,
    /// How long it must be over before it is resolved; of an occurrence, when it is resolved by itself.
    pub clear_for: Duration,
    /// Whether it ends.
    pub persistence: Persistence,
}
