//! What is found wrong with disks, in words for whoever is woken by it.

use crate::events::alert_rules;

alert_rules! {
    /// A filesystem is at its warning: a signal for each.
    DISK_FILLING {
        name: "disk_filling",
        severity: P3,
        component: Disk,
        Condition { fail_for: 300, clear_for: 600 },
        title: "A disk fills",
        cost: "Nothing yet.",
        done: "The next cleaning deletes what its classes allow, down to its target.",
        runbook: "`relaymux disk plan` shows what would be deleted. If that is not enough, prune a client or give it a larger disk while there is time.",
        page: "/api/v1/disk",
    }
    /// A filesystem is nearly full: a signal for each.
    DISK_HIGH {
        name: "disk_high",
        severity: P2,
        component: Disk,
        Condition { fail_for: 120, clear_for: 600 },
        title: "A disk is nearly full",
        cost: "Nothing yet. Pruning needs room: geth wants 40 GB for it, and above 80 % it may be too late.",
        done: "Nothing before its emergency mark: then it is cleaned, and workloads are stopped.",
        runbook: "`relaymux disk clean` now, and look at /api/v1/disk for what grows. Prune a client while there is room for it.",
        page: "/api/v1/disk",
    }
    /// There is hardly any room: a signal for each filesystem.
    DISK_EMERGENCY {
        name: "disk_emergency",
        severity: P1,
        component: Disk,
        Condition { fail_for: 0, clear_for: 300 },
        title: "There is hardly any room left on a disk",
        cost: "When it is full, every database on it stops: geth ends by itself, and a beacon node may have to sync anew.",
        done: "It is cleaned; then workloads of `stop_order` are stopped, and the ballast is deleted. /api/v1/disk shows how far that is.",
        runbook: "See what takes the room (/api/v1/disk, `du -xh --max-depth=2`). Deleted files that are still open go with a restart of their process. Never delete chain data by hand.",
        page: "/api/v1/disk",
    }
    /// Inodes are few: a signal for each filesystem.
    DISK_INODES {
        name: "disk_inodes",
        severity: P2,
        component: Disk,
        Condition { fail_for: 60, clear_for: 300 },
        title: "A disk has hardly any inodes left",
        cost: "No new file can be made once they are gone, however much room there is.",
        done: "The same as when there is hardly any room: it is cleaned, and workloads are stopped.",
        runbook: "Find the folder with the many small files: `find FOLDER -xdev -printf '%h\\n' | sort | uniq -c | sort -n | tail`.",
        page: "/api/v1/disk",
    }
    /// A filesystem will be full soon: a signal for each.
    DISK_FULL_SOON {
        name: "disk_full_soon",
        severity: P2,
        component: Disk,
        Condition { fail_for: 1800, clear_for: 3600 },
        title: "A disk will be full within days",
        cost: "Nothing yet. When it is full, every database on it stops.",
        done: "It is cleaned, and workloads of `stop_order` are stopped if that does not help.",
        runbook: "/api/v1/disk shows how fast it grows and which folders are large. What is new: a sync, a debug log, a second node?",
        page: "/api/v1/disk",
    }
    /// A filesystem cannot be written: a signal for each.
    DISK_READ_ONLY {
        name: "disk_read_only",
        severity: P1,
        component: Disk,
        Condition { fail_for: 0, clear_for: 60 },
        title: "A disk cannot be written any more",
        cost: "Every database on it has stopped, or will. Most often the disk is failing, and the kernel keeps it from harm.",
        done: "Nothing: nothing is deleted on it either.",
        runbook: "`dmesg | tail -50` says why, `smartctl -a` how the disk is. Move the node to another one before you repair its filesystem.",
        page: "/api/v1/disk",
    }
    /// A filesystem does not answer: a signal for each.
    DISK_UNREACHABLE {
        name: "disk_unreachable",
        severity: P2,
        component: Disk,
        Condition { fail_for: 120, clear_for: 60 },
        title: "A disk does not answer",
        cost: "Whatever is on it hangs or fails, and nobody sees how full it is.",
        done: "It is asked again with each look. Nothing else waits for it.",
        runbook: "Is it mounted (`findmnt`)? A network disk: is its server there? A local one: `dmesg | tail -50`.",
        page: "/api/v1/disk",
    }
    /// A cleaning failed, or a class of it: one signal for all.
    DISK_CLEANING_FAILED {
        name: "disk_cleaning_failed",
        severity: P3,
        component: Disk,
        Condition { fail_for: 0, clear_for: 0 },
        title: "A cleaning of disks failed, or a part of it",
        cost: "What should have been deleted is still there.",
        done: "Nothing of a class that was refused was touched; the others were cleaned. The next cleaning tries again.",
        runbook: "The message names the class and why. `relaymux disk plan` shows the same without deleting anything.",
        page: "/api/v1/disk",
    }
    /// A cleaning was not enough: a signal for each filesystem.
    DISK_ABOVE_TARGET {
        name: "disk_above_target",
        severity: P4,
        component: Disk,
        Condition { fail_for: 0, clear_for: 0 },
        title: "A cleaning was not enough",
        cost: "Nothing yet: there is less room than you want there to be.",
        done: "All that its classes allow was deleted.",
        runbook: "/api/v1/disk shows which folders are large. Add a class, prune a client, or raise `target_percent`.",
        page: "/api/v1/disk",
    }
}
