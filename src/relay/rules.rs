//! What this room finds wrong, in words for whoever is woken by it.

use crate::events::alert_rules;

alert_rules! {
    /// The machine is overloaded, and relays rest for it.
    MACHINE_PRESSURE {
        name: "machine_pressure",
        severity: P3,
        component: Host,
        Condition { fail_for: 0, clear_for: 60 },
        title: "This machine is overloaded",
        cost: "Fewer relays are asked, so a better bid may be missed. If it gets worse, answers come too late.",
        done: "Some relays rest until the load has fallen; the best ones are still asked.",
        runbook: "See what takes the CPU (`top`, `systemd-cgtop`). Stop or limit what is not needed; relays come back by themselves.",
        page: "/",
    }
    /// A relay is not asked for what it did.
    RELAY_QUARANTINED {
        name: "relay_quarantined",
        severity: P4,
        component: Relays,
        Condition { fail_for: 0, clear_for: 60 },
        title: "A relay is quarantined",
        cost: "Its bids are not asked for; the other relays' are. One block may earn a little less.",
        done: "It is not asked any more, and asked again by itself when its time is over.",
        runbook: "Nothing now. In the morning read why at /api/v1/relays/ID. Not its fault: POST /api/v1/relays/ID/pardon.",
        page: "/",
    }
    /// A relay does not answer.
    RELAY_UNREACHABLE {
        name: "relay_unreachable",
        severity: P4,
        component: Relays,
        Condition { fail_for: 600, clear_for: 120 },
        title: "A relay does not answer",
        cost: "Its bids are missing; the other relays' are not.",
        done: "It is tried again before every slot of ours, and asked as soon as it answers.",
        runbook: "Nothing, if others answer. If it lasts for days, ask the relay's operator, or remove it from relays.toml.",
        page: "/",
    }
    /// No relay answers.
    NO_USABLE_RELAY {
        name: "no_usable_relay",
        severity: P2,
        component: Relays,
        Condition { fail_for: 120, clear_for: 30 },
        title: "No relay answers",
        cost: "Every block is built locally while this lasts: it is kept, and pays less.",
        done: "All relays are tried again before every slot of ours.",
        runbook: "All at once is most likely this machine's network: try `curl -v` on a relay's /eth/v1/builder/status, look at DNS, firewall and proxy.",
        page: "/",
    }
}
