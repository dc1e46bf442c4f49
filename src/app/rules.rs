//! What the wiring finds wrong with the machine, the nodes and its own parts, in words for whoever is woken by it.

use crate::events::alert_rules;

/// How long an occurrence stays open by itself: a day, in seconds.
const DAY: u64 = 24 * 3600;

alert_rules! {
    /// This machine's clock is wrong.
    CLOCK_WRONG {
        name: "clock_wrong",
        severity: P2,
        component: Host,
        Condition { fail_for: 0, clear_for: 60 },
        title: "This machine's clock is wrong",
        cost: "Headers are asked for and blocks are sent at the wrong time. More than a second and a half off, slots are lost.",
        done: "Readiness fails where it is surely too far off; nothing here changes a clock.",
        runbook: "`chronyc tracking` or `timedatectl`: start or repair the time service, then check again.",
        page: "/readyz",
    }
    /// A fork comes that this version does not serve.
    FORK_NOT_SERVED {
        name: "fork_not_served",
        severity: P3,
        component: Relaymux,
        Condition { fail_for: 0, clear_for: 0 },
        title: "This version does not serve a coming fork",
        cost: "From the fork on, every block is built locally.",
        done: "Nothing before the fork; from then on headers are answered with no bid.",
        runbook: "Update relaymux before the date in the message.",
        page: "/readyz",
    }
    /// A node is of another network than the configuration.
    NODE_OF_OTHER_NETWORK {
        name: "node_of_other_network",
        severity: P2,
        component: Consensus,
        Condition { fail_for: 0, clear_for: 0 },
        title: "A node is of another network",
        cost: "Nothing it says is used: payments are not proven and proposals not foreseen.",
        done: "Its answers are ignored until it is of the configured network.",
        runbook: "Correct [beacon] url, [execution] url or network in relays.toml.",
        page: "/readyz",
    }
    /// A node says that it is not synced, and bids wait for it.
    BIDS_HELD_BACK {
        name: "bids_held_back",
        severity: P2,
        component: Consensus,
        Condition { fail_for: 0, clear_for: 0 },
        title: "Bids are held back, as a node is not synced",
        cost: "Header requests get no bid: blocks are built locally, or not at all while that node syncs.",
        done: "Headers are answered with no bid until the node says twice that it is synced, or says nothing for 90 s.",
        runbook: "Look at the node that is named: why does it sync? Where another node proposes, set require_synced = \"off\" in [builder_api].",
        page: "/readyz",
    }
    /// No bid was as the beacon node says that the payload must be.
    NODE_CONTRADICTS_RELAYS {
        name: "node_contradicts_relays",
        severity: P2,
        component: Consensus,
        Condition { fail_for: 0, clear_for: 0 },
        title: "The beacon node contradicts all relays",
        cost: "Bids are refused on its word while it lasts, unless relays agree against it: blocks are built locally.",
        done: "Where the relays agree among themselves, they are believed, and nobody is blamed.",
        runbook: "Look at the beacon node: is it on the right chain, in sync, and of the current release?",
        page: "/readyz",
    }
    /// Records end with the process.
    STORAGE_IN_MEMORY {
        name: "storage_in_memory",
        severity: P2,
        component: Disk,
        Condition { fail_for: 0, clear_for: 0 },
        title: "Records are kept in memory only",
        cost: "What happens from now on is lost with the process; reports lack it. Slots are served.",
        done: "The builder API goes on with a store in memory.",
        runbook: "Look at data_dir: space, permissions, a read-only disk. Then restart relaymux between two proposals.",
        page: "/healthz",
    }
    /// A damaged file was moved aside.
    STORAGE_REPLACED {
        name: "storage_replaced",
        severity: P2,
        component: Disk,
        Condition { fail_for: 0, clear_for: 0 },
        title: "A damaged file was replaced by a new one",
        cost: "Earlier records are in the file that was moved aside, and not in reports.",
        done: "The damaged file was kept beside the new one.",
        runbook: "Check the disk's health (`smartctl -a`). Restore the ledger from a backup if you need its past.",
        page: "/healthz",
    }
    /// A task ended that should not.
    TASK_FAILED {
        name: "task_failed",
        severity: P3,
        component: Relaymux,
        Condition { fail_for: 0, clear_for: 600 },
        title: "A part of relaymux failed",
        cost: "What that part does is missing or was interrupted: its name is in the message.",
        done: "What can begin anew has begun anew; if nothing can go on without it, the process ends to be started again.",
        runbook: "This is a defect: keep the log (`journalctl -u relaymux --since -1h`) and report it. Restart relaymux if the part stays away.",
        page: "/readyz",
    }
    /// A slot of ours passed without a request.
    MISSED_REQUEST {
        name: "missed_request",
        severity: P2,
        component: Consensus,
        Occurrence { fail_for: 0, clear_for: DAY },
        title: "The client did not ask for a header",
        cost: "The block was built locally, or not at all: the relays' payment is lost.",
        done: "Nothing: only the client can ask.",
        runbook: "The message names the likely reason. Look at the consensus client: is it up, in sync, and pointed at relaymux's builder port?",
        page: "/",
    }
    /// This process is woken late.
    RUNTIME_LAG {
        name: "runtime_lag",
        severity: P3,
        component: Host,
        Condition { fail_for: 120, clear_for: 120 },
        title: "relaymux gets the CPU too late",
        cost: "Headers keep a larger reserve, so relays have less time; if it gets worse, answers come too late.",
        done: "The time kept back for answers grows with the lag that is measured.",
        runbook: "See what takes the CPU (`top`), whether the virtual machine is short of it (steal time), and whether memory is swapped.",
        page: "/",
    }
    /// Events wait to be written.
    LEDGER_BEHIND {
        name: "ledger_behind",
        severity: P3,
        component: Disk,
        Condition { fail_for: 120, clear_for: 120 },
        title: "The ledger cannot keep up",
        cost: "Reports lag behind. When 8,192 events wait, the oldest are lost; slots are served.",
        done: "What waits is kept in memory and written in larger batches.",
        runbook: "Look at the disk of data_dir (`iostat -x 1`): is it slow, full or failing?",
        page: "/healthz",
    }
    /// Events could not be written.
    EVENTS_LOST {
        name: "events_lost",
        severity: P3,
        component: Disk,
        Occurrence { fail_for: 0, clear_for: DAY },
        title: "Events were lost before they were written",
        cost: "Reports lack what happened in that time. Signed blocks are in the journal all the same.",
        done: "They are counted: relaymux_ledger_events_dropped_total.",
        runbook: "Look at the disk of data_dir: `df -h`, `dmesg | tail`. It refused or was too slow.",
        page: "/healthz",
    }
    /// A channel takes no messages.
    ALERT_CHANNEL_DOWN {
        name: "alert_channel_down",
        severity: P2,
        component: Relaymux,
        Condition { fail_for: 300, clear_for: 60 },
        title: "A channel does not take alerts",
        cost: "Whoever is told by that channel alone is not told.",
        done: "Messages wait for a day, and go to the channel's fallback where it has one.",
        runbook: "`relaymux alert test --severity P1` says why. Most often the webhook's address or the token was revoked.",
        page: "/alerts",
    }
    /// The CPU is busy, and stays so.
    CPU_HIGH {
        name: "cpu_high",
        severity: P3,
        component: Host,
        Condition { fail_for: 300, clear_for: 120 },
        title: "This machine's CPU is at its limit",
        cost: "Nothing as long as answers come in time. Little more load, and headers come late or bids are missed.",
        done: "Where our own answers come late, relays rest whose bids hardly ever win: the message names them.",
        runbook: "See what takes the CPU (`top`, `systemd-cgtop`). A client that syncs is done by itself; limit or move what is not needed.",
        page: "/",
    }
    /// Memory runs out.
    MEMORY_LOW {
        name: "memory_low",
        severity: P3,
        component: Host,
        Condition { fail_for: 120, clear_for: 120 },
        title: "Memory is nearly used up",
        cost: "When it is gone, the kernel kills a process: most likely the largest, which is your execution or consensus client.",
        done: "Nothing: relaymux itself needs little, and stops no other program.",
        runbook: "See who has it (`ps aux --sort=-rss | head`). Restart what has grown between two proposals, or lower its cache.",
        page: "/",
    }
    /// Tasks wait for memory.
    MEMORY_STALLS {
        name: "memory_stalls",
        severity: P3,
        component: Host,
        Condition { fail_for: 60, clear_for: 120 },
        title: "Programs stand still for want of memory",
        cost: "Clients answer late or not at all; attestations and blocks are missed if it gets worse.",
        done: "Nothing: relaymux stops no other program.",
        runbook: "See who has the memory (`ps aux --sort=-rss | head`) and whether it swaps (`vmstat 1`). Stop what is not needed, now if this is P2.",
        page: "/",
    }
    /// Tasks wait for a disk.
    IO_STALLS {
        name: "io_stalls",
        severity: P3,
        component: Disk,
        Condition { fail_for: 120, clear_for: 120 },
        title: "Programs stand still for want of the disk",
        cost: "Clients fall behind and attest late. The journal of signed blocks, which is written before a block leaves, is slow as well.",
        done: "A signed block waits half a second for its journal at most, and leaves then.",
        runbook: "See who reads and writes (`iotop -o`, `iostat -x 1`). A pruning or syncing client is done by itself; else look at the disk's health (`smartctl -a`).",
        page: "/",
    }
    /// A certificate ends.
    CERTIFICATE_EXPIRES {
        name: "certificate_expires",
        severity: P3,
        component: Backup,
        Condition { fail_for: 300, clear_for: 0 },
        title: "A certificate ends soon, or cannot be read",
        cost: "From its end on, whoever checks it is not served: a dashboard behind it, or the mail server that alerts go through.",
        done: "Nothing: relaymux renews no certificate.",
        runbook: "Renew it (`certbot renew`, or whatever made it) and put it into the same file: the file is read again within a minute.",
        page: "/alerts",
    }
    /// A secret is old.
    SECRET_OLD {
        name: "secret_old",
        severity: P4,
        component: Backup,
        Condition { fail_for: 0, clear_for: 0 },
        title: "A secret is older than you want it to be",
        cost: "Nothing. The longer a key is in use, the more places know it.",
        done: "It is used as it is.",
        runbook: "Make a new one where it comes from, write it into the same file, and revoke the old one.",
        page: "/alerts",
    }
    /// A client is too old for a fork.
    CLIENT_TOO_OLD {
        name: "client_too_old",
        severity: P3,
        component: Consensus,
        Condition { fail_for: 0, clear_for: 0 },
        title: "A client is too old for a coming fork",
        cost: "From the fork on it is on a chain of its own: attestations and proposals are lost until it is updated.",
        done: "Nothing: relaymux updates no client.",
        runbook: "Update the client that the message names before the date in it. Over the update the alert ends by itself.",
        page: "/readyz",
    }
}
