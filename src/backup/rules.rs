//! What is wrong with backups, in words for whoever is woken by it.

use crate::events::alert_rules;

alert_rules! {
    /// The last backup could not be made.
    BACKUP_FAILED {
        name: "backup_failed",
        severity: P3,
        component: Backup,
        Condition { fail_for: 0, clear_for: 0 },
        title: "A backup could not be made",
        cost: "What has happened since the last one would be lost with the disk: records of payments and signed blocks among it.",
        done: "Earlier backups are kept. It is tried again at its next time.",
        runbook: "The message says why: most often no room, or a mount that is away. `relaymux backup create DIR` tries it at once, into any folder.",
        page: "/api/v1/backups",
    }
    /// A backup was restored on trial, and is of no use.
    BACKUP_DAMAGED {
        name: "backup_damaged",
        severity: P2,
        component: Backup,
        Condition { fail_for: 0, clear_for: 0 },
        title: "The newest backup is of no use",
        cost: "If data_dir were lost now, an older backup is the best there is.",
        done: "It is marked, and older ones that were proven are kept.",
        runbook: "Make another one (`relaymux backup create DIR`) and prove it (`relaymux backup verify FILE`). If that fails, too, look at both disks (`smartctl -a`, `dmesg`).",
        page: "/api/v1/backups",
    }
    /// The newest backup is old.
    BACKUP_STALE {
        name: "backup_stale",
        severity: P3,
        component: Backup,
        Condition { fail_for: 3600, clear_for: 0 },
        title: "There is no recent backup",
        cost: "What has happened since the last one would be lost with the disk.",
        done: "Nothing more than its schedule says.",
        runbook: "Is a task named backup in `relaymux maintenance list`, and when did it run? Is the folder of [backup] mounted? `relaymux backup create DIR` makes one now.",
        page: "/api/v1/backups",
    }
    /// No recent backup was proven.
    BACKUP_UNVERIFIED {
        name: "backup_unverified",
        severity: P4,
        component: Backup,
        Condition { fail_for: 3600, clear_for: 0 },
        title: "No recent backup was restored on trial",
        cost: "Nobody knows whether the newest backups can be restored.",
        done: "None is removed that may be needed.",
        runbook: "`relaymux backup verify FILE` proves one; the task backup_verify does it by itself.",
        page: "/api/v1/backups",
    }
}
