//! What this room finds wrong, in words for whoever is woken by it.

use crate::events::alert_rules;

/// How long an occurrence stays open by itself: a day, in seconds.
const DAY: u64 = 24 * 3600;

alert_rules! {
    /// No relay published a signed block: the slot is most likely lost.
    BLOCK_NOT_PUBLISHED {
        name: "block_not_published",
        severity: P1,
        component: Relays,
        Occurrence { fail_for: 0, clear_for: DAY },
        title: "No relay published a signed block",
        cost: "The slot's whole reward, unless the block still appears on chain. A block that was signed must not be signed again.",
        done: "The block was sent to every relay until the time was up. It is in the journal, with each relay's answer.",
        runbook: "Open the slot's page and see who kept the block. If one relay did it twice, disable it: POST /api/v1/relays/ID/disable. Keep `relaymux report evidence SLOT` for the relay's operator.",
        page: "/",
    }
    /// A proposer signed two blocks for one slot.
    CONFLICTING_BLOCK {
        name: "conflicting_block",
        severity: P1,
        component: Consensus,
        Occurrence { fail_for: 0, clear_for: DAY },
        title: "Two different blocks were signed for one slot",
        cost: "If both reach the network, the validator is slashed and loses part of its stake.",
        done: "The second block was passed on, as refusing it could not undo its signature. Both are in the journal.",
        runbook: "Find out now whether two validator clients run with one key, and stop one of them. Check the slashing protection of the other before anything is started again.",
        page: "/",
    }
    /// A signed block left without being on disk.
    JOURNAL_FAILED {
        name: "journal_failed",
        severity: P1,
        component: Disk,
        Occurrence { fail_for: 0, clear_for: DAY },
        title: "A signed block left without being written down",
        cost: "If relaymux dies now, nobody knows what became of that block. The slot itself is served.",
        done: "The block was sent to the relays all the same, as the slot would be lost if it waited.",
        runbook: "Look at the disk of data_dir: is it full, read-only or hanging (`df -h`, `dmesg | tail`)? Free space, then restart relaymux between two proposals.",
        page: "/healthz",
    }
    /// A block came that this version cannot read.
    UNDECODED_BLOCK {
        name: "undecoded_block",
        severity: P2,
        component: Relaymux,
        Occurrence { fail_for: 0, clear_for: DAY },
        title: "A signed block could not be decoded",
        cost: "Nothing yet: it was passed on as it came. But it was not checked, and its relays are not judged.",
        done: "The bytes were sent to every relay as the client sent them.",
        runbook: "This version is most likely too old for a fork, or the client too new. Update relaymux.",
        page: "/",
    }
    /// A header was answered after its budget.
    LATE_HEADER {
        name: "late_header",
        severity: P2,
        component: Host,
        Occurrence { fail_for: 0, clear_for: 3600 },
        title: "A header was answered too late",
        cost: "The consensus client has most likely built the block itself: the slot is kept, the relay's payment is not.",
        done: "The time kept back for answers is larger from now on, as measured.",
        runbook: "See what takes the CPU (`top`), and move it elsewhere or limit it. If this repeats, raise [auction] reserve_ms.",
        page: "/",
    }
    /// Own proposals in a row had no bid.
    NO_BIDS {
        name: "no_bids",
        severity: P2,
        component: Relays,
        Condition { fail_for: 0, clear_for: 0 },
        title: "Own proposals got no bid",
        cost: "These blocks were built locally: they are kept, and pay less.",
        done: "Every usable relay was asked each time.",
        runbook: "Open one of the slots: it says per relay why there was no bid. Not registered: wait an epoch, or look at the validator client's fee recipient. All timed out: look at the network.",
        page: "/",
    }
}
