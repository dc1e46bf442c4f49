//! What can be wrong with availability, in words for whoever is told of it.

use crate::events::alert_rules;

alert_rules! {
    /// A budget burns too fast: a signal for each `BurnAlert`, as grave as that says, with its indicator and how fast as the subject.
    ERROR_BUDGET_BURNS {
        name: "error_budget_burns",
        severity: P2,
        component: Sla,
        Condition { fail_for: 0, clear_for: 300 },
        title: "An error budget burns too fast",
        cost: "If it goes on, the month's 99.9 % are missed. While the builder API or all relays are down, slots are lost or built locally.",
        done: "Counted it, minute by minute. Nothing was repaired by this.",
        runbook: "Run `relaymux report sla`: it says which part is down, since when, and how long the budget lasts. Look at that part first.",
        page: "/",
    }
}
