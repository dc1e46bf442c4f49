//! What the gateway finds wrong, in words for whoever is woken by it.

use crate::events::alert_rules;

alert_rules! {
    /// Nothing serves.
    RPC_NO_UPSTREAM {
        name: "rpc_no_upstream",
        severity: P1,
        component: Gateway,
        Condition { fail_for: 15, clear_for: 15 },
        title: "No upstream of the JSON-RPC gateway serves",
        cost: "Every call to the gateway is refused: wallets, searchers, rollup nodes and whatever else asks it are cut off from the chain.",
        done: "Every upstream is probed again and again, and serves as soon as it is well.",
        runbook: "Read why each is out at /api/v1/rpc. Start a node, or add a backup provider under [[rpc.upstreams]]. All at once may be this machine's network or clock.",
        page: "/api/v1/rpc",
    }
    /// All heads are old.
    RPC_CHAIN_STANDS {
        name: "rpc_chain_stands",
        severity: P2,
        component: Gateway,
        Condition { fail_for: 15, clear_for: 60 },
        title: "No upstream of the JSON-RPC gateway has a new block",
        cost: "Whoever reads gets the chain as it was then. What is sent may wait for the chain to go on, or for a node to be in step.",
        done: "Upstreams that are where the others are answer all the same. Each is probed on, and out again once another shows a new block and it does not.",
        runbook: "Compare the newest block with a block explorer. If it is newer there, see whether your consensus clients run; look at this machine's clock (timedatectl), too. Reasons are at /api/v1/rpc.",
        page: "/api/v1/rpc",
    }
    /// An upstream does not serve: a signal for each.
    RPC_UPSTREAM_DOWN {
        name: "rpc_upstream_down",
        severity: P3,
        component: Gateway,
        Condition { fail_for: 60, clear_for: 60 },
        title: "An upstream of the JSON-RPC gateway is out",
        cost: "Nothing while others serve: calls go to them. There is one less to fail over to.",
        done: "It is not asked any more, and asked again once its probes are good.",
        runbook: "Look at that node: is it running, has it peers, does its consensus client run? Its state and reason are at /api/v1/rpc.",
        page: "/api/v1/rpc",
    }
    /// An upstream is a node of another chain: a signal for each.
    RPC_WRONG_CHAIN {
        name: "rpc_wrong_chain",
        severity: P2,
        component: Gateway,
        Condition { fail_for: 0, clear_for: 0 },
        title: "An upstream is a node of another chain",
        cost: "It cannot be used at all. Had it been, clients would have read and signed for another chain.",
        done: "It is never asked. It is looked at again with each probe.",
        runbook: "Compare its url under [[rpc.upstreams]] with the chain that you want. Correct the url, or chain_id under [rpc].",
        page: "/api/v1/rpc",
    }
    /// Upstreams have different blocks at one height: a signal for each that is outvoted, and one for two of which nobody can tell who is right.
    RPC_FORK {
        name: "rpc_fork",
        severity: P2,
        component: Gateway,
        Condition { fail_for: 30, clear_for: 60 },
        title: "Upstreams are on different forks",
        cost: "Whoever reads from the wrong one sees transactions and balances that the chain does not have.",
        done: "One that the majority outvotes is not asked. Where two disagree, both serve in their usual order.",
        runbook: "Compare the block's hash with a block explorer. Restart or resync the node that is wrong; is its client ready for the last fork?",
        page: "/api/v1/rpc",
    }
    /// A backup answers.
    RPC_FAILOVER {
        name: "rpc_failover",
        severity: P4,
        component: Gateway,
        Condition { fail_for: 60, clear_for: 60 },
        title: "A backup provider answers the gateway's calls",
        cost: "Each call is paid for, and the provider sees what is asked.",
        done: "Calls go back to your own nodes once one of them has been healthy for failback_secs, under [rpc.health].",
        runbook: "Nothing, if a node of yours is being restarted. Else see at /api/v1/rpc why your own nodes do not serve.",
        page: "/api/v1/rpc",
    }
    /// A day's budget of requests is used up: a signal for each upstream.
    RPC_BUDGET_USED {
        name: "rpc_budget_used",
        severity: P3,
        component: Gateway,
        Condition { fail_for: 0, clear_for: 0 },
        title: "An upstream's budget of requests is used up",
        cost: "It is sent nothing until the next UTC day: if your own nodes fail before, nobody answers.",
        done: "No more requests go to it today.",
        runbook: "See what asked so much at /api/v1/rpc. Raise max_requests_per_day, or bring your own nodes back.",
        page: "/api/v1/rpc",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_texts_name_are_keys_of_the_configuration() {
        let documented = include_str!("../../docs/configuration.md");
        let mut named = Vec::new();
        for rule in RULES {
            for text in [&rule.title, &rule.cost, &rule.done, &rule.runbook] {
                let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                named.extend(words.filter(|word| word.contains('_')));
            }
        }
        assert!(named.contains(&"max_requests_per_day") && named.contains(&"failback_secs"), "{named:?}");
        for key in named {
            assert!(documented.contains(&format!("`{key}`")), "{key} is no key");
        }
    }
}
