//! What the supervisor finds wrong, in words for whoever is woken by it.

use crate::events::alert_rules;

alert_rules! {
    /// A node does not run or does not answer, though it is wanted up: a signal for each.
    NODE_DOWN {
        name: "node_down",
        severity: P2,
        component: Nodes,
        Condition { fail_for: 60, clear_for: 60 },
        title: "A node is down",
        cost: "Whatever stands on it stands still: a beacon node without its execution client, a rollup, the gateway's calls. A replica may serve in its stead.",
        done: "It is started again by itself, with longer and longer waits, unless the message says why not.",
        runbook: "`relaymux nodes status` says why, `relaymux nodes logs` what it said last. A disk that is full or broken ends nodes again and again: look there first.",
        page: "/api/v1/nodes",
    }
    /// A node's head has fallen behind: a signal for each.
    NODE_LAGGING {
        name: "node_lagging",
        severity: P3,
        component: Nodes,
        Condition { fail_for: 120, clear_for: 60 },
        title: "A node has fallen behind its chain",
        cost: "Whoever reads from it gets the chain as it was then. The gateway asks others meanwhile, where there are any.",
        done: "Nothing: a restart makes a lag longer, so that none is restarted for one.",
        runbook: "Has it peers? Is its disk saturated, its CPU throttled? Does its consensus client run? If all nodes lag, look at the machine's network and clock.",
        page: "/api/v1/nodes",
    }
    /// A node's process runs and does not answer: a signal for each.
    NODE_HUNG {
        name: "node_hung",
        severity: P3,
        component: Nodes,
        Condition { fail_for: 60, clear_for: 60 },
        title: "A node runs and does not answer",
        cost: "It is as good as down, and holds its memory and its database.",
        done: "It is restarted once no other of its group is, unless the message says why not.",
        runbook: "`relaymux nodes status` has the reason. If it hangs again after each restart, look at its disk, its memory limit and its logs.",
        page: "/api/v1/nodes",
    }
    /// A node ended again and again: a signal for each.
    NODE_CRASH_LOOP {
        name: "node_crash_loop",
        severity: P1,
        component: Nodes,
        Condition { fail_for: 0, clear_for: 0 },
        title: "A node ends again and again, and is left down",
        cost: "It stays down until a person has looked: whatever stands on it is lost until then.",
        done: "It was started several times, and is not any more: each start may harm its database.",
        runbook: "`relaymux nodes logs` of the node says why it ends: a full disk, a broken database, too little memory, a wrong flag. Mend it, then `relaymux nodes resume`.",
        page: "/api/v1/nodes",
    }
    /// The kernel killed a node for its memory: a signal for each.
    NODE_OUT_OF_MEMORY {
        name: "node_out_of_memory",
        severity: P2,
        component: Nodes,
        Condition { fail_for: 0, clear_for: 0 },
        title: "The kernel killed a node for its memory",
        cost: "It was down, and its database may have to recover. The next time it is not started again.",
        done: "It is started again once within an hour; a second kill within it leaves it down.",
        runbook: "Give it more memory (`relaymux nodes resize`; a process that is down: `limits` under [[nodes]], read when relaymux is started), or a smaller cache in its arguments. `relaymux nodes plan` says what fits this machine.",
        page: "/api/v1/nodes",
    }
    /// A node's sync does not go on: a signal for each.
    NODE_SYNC_STALLED {
        name: "node_sync_stalled",
        severity: P3,
        component: Nodes,
        Condition { fail_for: 60, clear_for: 300 },
        title: "A node's sync does not go on",
        cost: "It will never be able to serve like this.",
        done: "Nothing: a sync that is restarted loses part of what it has.",
        runbook: "Has it peers? Is the disk full? Does its consensus client run and follow the same chain? Its logs say what it waits for.",
        page: "/api/v1/nodes",
    }
    /// A node was stopped from outside, or paused: a signal for each.
    NODE_STOPPED {
        name: "node_stopped",
        severity: P4,
        component: Nodes,
        Condition { fail_for: 0, clear_for: 0 },
        title: "A node was stopped from outside, and stays so",
        cost: "Nothing, if it was you: it is not judged, and not started again.",
        done: "Nothing: what a person stopped stays stopped.",
        runbook: "If nobody meant to stop it, `relaymux nodes up` starts it again.",
        page: "/api/v1/nodes",
    }
    /// The engine that runs nodes does not answer: a signal for each node of it.
    NODE_RUNTIME_AWAY {
        name: "node_runtime_away",
        severity: P2,
        component: Nodes,
        Condition { fail_for: 60, clear_for: 30 },
        title: "What runs a node does not answer",
        cost: "Nobody sees whether the node runs, and nobody starts it again if it ends.",
        done: "It is asked again every few seconds. Nothing is judged or done meanwhile; nodes are probed on.",
        runbook: "`systemctl status docker`, or `systemctl status dbus` for units. May relaymux's user open the engine's socket?",
        page: "/api/v1/nodes",
    }
    /// The kernel holds a node to other limits than it should have: a signal for each.
    NODE_LIMITS_NOT_HELD {
        name: "node_limits_not_held",
        severity: P3,
        component: Nodes,
        Condition { fail_for: 60, clear_for: 0 },
        title: "A node is not held to its limits",
        cost: "It may take memory or CPU from the others, until the kernel kills one of them.",
        done: "Nothing: limits are changed when a person says so.",
        runbook: "`relaymux nodes resize` sets them while it runs. If it was resized by hand, write the new limits under [[nodes]].",
        page: "/api/v1/nodes",
    }
    /// The machine is short of memory, with nodes on it.
    NODE_MEMORY_PRESSURE {
        name: "node_memory_pressure",
        severity: P3,
        component: Host,
        Condition { fail_for: 0, clear_for: 60 },
        title: "Nodes wait for memory of this machine",
        cost: "All of them are slow, blocks are proposed and attested late, and soon the kernel kills one.",
        done: "Nothing is killed. The message says which nodes use most.",
        runbook: "Stop what can be spared (`relaymux nodes stop`), or give the largest less (`relaymux nodes resize`). `relaymux nodes plan` says what fits this machine.",
        page: "/api/v1/nodes",
    }
}
