//! What can be wrong: a rule for each kind of trouble, declared by the room that finds it, in words for whoever is woken by it.

use std::{borrow::Cow, time::Duration};

use serde::{Deserialize, Serialize};

use crate::types::labelled;

labelled! {
    /// How grave it is.
    pub enum Severity {
        /// Slots are being lost.
        P1 = "P1",
        /// Money is being lost, or soon will be.
        P2 = "P2",
        /// To be looked at.
        P3 = "P3",
        /// To be known.
        P4 = "P4",
    }
}

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
        /// Nodes under supervision, of whatever kind.
        Nodes = "nodes",
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
        /// A rehearsal: nothing is wrong.
        Drill = "drill",
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

/// A kind of trouble. Its texts are read at 3 a.m.: each is one plain sentence, or two. An alert is written down with its rule, so that it can be told of
/// after an update that does not know the rule any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// Declares rules: `static NAME: AlertRule`, and `RULES` with all of them.
macro_rules! alert_rules {
    ($(
        $(#[$doc:meta])*
        $id:ident {
            name: $name:literal,
            severity: $severity:ident,
            component: $component:ident,
            $persistence:ident { fail_for: $fail:expr, clear_for: $clear:expr },
            title: $title:literal,
            cost: $cost:literal,
            done: $done:literal,
            runbook: $runbook:literal,
            page: $page:literal $(,)?
        }
    )+) => {
        $(
            $(#[$doc])*
            pub(crate) static $id: $crate::events::AlertRule = $crate::events::AlertRule {
                name: ::std::borrow::Cow::Borrowed($name),
                severity: $crate::events::Severity::$severity,
                component: $crate::events::Component::$component,
                title: ::std::borrow::Cow::Borrowed($title),
                cost: ::std::borrow::Cow::Borrowed($cost),
                done: ::std::borrow::Cow::Borrowed($done),
                runbook: ::std::borrow::Cow::Borrowed($runbook),
                page: ::std::borrow::Cow::Borrowed($page),
                fail_for: ::std::time::Duration::from_secs($fail),
                clear_for: ::std::time::Duration::from_secs($clear),
                persistence: $crate::events::Persistence::$persistence,
            };
        )+

        /// Every rule of this room.
        pub(crate) static RULES: &[&$crate::events::AlertRule] = &[$(&$id),+];
    };
}
pub(crate) use alert_rules;

#[cfg(test)]
pub(crate) mod for_tests {
    alert_rules! {
        /// For tests of what takes any rule.
        TOO_HOT {
            name: "too_hot",
            severity: P2,
            component: Host,
            Condition { fail_for: 0, clear_for: 0 },
            title: "It is too hot",
            cost: "Ice cream.",
            done: "A window was opened.",
            runbook: "Open another one.",
            page: "/",
        }
    }
}
