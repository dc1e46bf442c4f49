//! What is wrong with tasks that are done by the clock, in words for whoever is woken by it.

use crate::events::alert_rules;

alert_rules! {
    /// A task could not be done, or found something wrong: a signal for each.
    TASK_FAILED {
        name: "maintenance_failed",
        severity: P3,
        component: Relaymux,
        Condition { fail_for: 300, clear_for: 0 },
        title: "A maintenance task failed",
        cost: "What it is for was not done, or it found something wrong: the message says what.",
        done: "It is done again at its next time.",
        runbook: "Mend what the message names, then `relaymux maintenance run` with the task's name: this is over once a run goes well.",
        page: "/api/v1/maintenance",
    }
    /// A task's time passed without it: a signal for each.
    TASK_MISSED {
        name: "maintenance_missed",
        severity: P3,
        component: Relaymux,
        Condition { fail_for: 0, clear_for: 0 },
        title: "A maintenance task was not done at its time",
        cost: "What it is for was not done, and is not made up for.",
        done: "It is done again at its next time.",
        runbook: "`relaymux maintenance list` says why. `relaymux maintenance run` with the task's name does it now: this is over once a run goes well.",
        page: "/api/v1/maintenance",
    }
    /// A task took too long: a signal for each.
    TASK_OVERRAN {
        name: "maintenance_overran",
        severity: P3,
        component: Relaymux,
        Condition { fail_for: 300, clear_for: 0 },
        title: "A maintenance task takes too long",
        cost: "It was ended before it was done, or its next run was left out.",
        done: "It is done again at its next time.",
        runbook: "Is the disk or the network slow? If the task needs that long, give it a longer timeout or a rarer schedule under [maintenance].",
        page: "/api/v1/maintenance",
    }
}
