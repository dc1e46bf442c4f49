//! What is wrong at the moment, of the board's snapshot: the rule, whom it is about, and why. Pure.

use super::{
    Snapshot, Standing, Tier, UpstreamState,
    rules::{
        RPC_BUDGET_USED, RPC_CHAIN_STANDS, RPC_FAILOVER, RPC_FORK, RPC_NO_UPSTREAM, RPC_UPSTREAM_DOWN,
        RPC_WRONG_CHAIN,
    },
};
use crate::events::AlertRule;

/// The subject of what is about no single upstream.
const ALL: &str = "gateway";

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Trouble {
    pub(super) rule: &'static AlertRule,
    pub(super) subject: String,
    pub(super) message: String,
}

/// What is wrong. `disagreement` and `standstill` are what is wrong with all together; `used_up` says of each upstream whether its budget of today
/// is, and `by_hand` whether a person has taken it out: whoever stops a node knows, and its supervisor tells of a stop from outside.
pub(super) fn troubles(
    snapshot: &Snapshot,
    disagreement: Option<&str>,
    standstill: Option<&str>,
    used_up: &[bool],
    by_hand: &[bool],
) -> Vec<Trouble> {
    let mut found = Vec::new();
    let trouble =
        |rule, subject: &str, message: String| Trouble { rule, subject: subject.to_owned(), message };
    for ((standing, used_up), by_hand) in snapshot.upstreams.iter().zip(used_up).zip(by_hand) {
        let Standing { id, tier, state, reason, .. } = standing;
        let rule = match state {
            UpstreamState::Down if *by_hand => None,
            UpstreamState::Down | UpstreamState::Syncing => Some(&RPC_UPSTREAM_DOWN),
            UpstreamState::WrongChain => Some(&RPC_WRONG_CHAIN),
            UpstreamState::Forked => Some(&RPC_FORK),
            UpstreamState::Unknown | UpstreamState::Healthy | UpstreamState::Lagging => None,
        };
        if let Some(rule) = rule {
            found.push(trouble(
                rule,
                id.as_str(),
                format!("The {tier} {id} is {}. {reason}", spoken(*state)),
            ));
        }
        if *used_up {
            let message = format!("{id} is sent nothing more today: max_requests_per_day is reached.");
            found.push(trouble(&RPC_BUDGET_USED, id.as_str(), message));
        }
    }
    if let Some(disagreement) = disagreement {
        found.push(trouble(&RPC_FORK, ALL, disagreement.to_owned()));
    }
    if let Some(standstill) = standstill {
        let message = format!("{standstill} Calls are answered all the same, as of then.");
        found.push(trouble(&RPC_CHAIN_STANDS, ALL, message));
    }
    let place_of_first = snapshot.order.first();
    match place_of_first.and_then(|place| snapshot.upstreams.get(*place)) {
        Some(first) if first.tier == Tier::Backup => {
            let own = snapshot.upstreams.iter().filter(|other| other.tier != Tier::Backup);
            let why: Vec<String> = own
                .map(|other| format!("{} is {}: {}", other.id, spoken(other.state), other.reason))
                .collect();
            // With nothing but backups, that one answers is no failover.
            if !why.is_empty() {
                let message = format!("Calls go to the backup {}. {}", first.id, why.join(" "));
                found.push(trouble(&RPC_FAILOVER, ALL, message));
            }
        }
        Some(_) => {}
        // At the start nothing is wrong yet.
        None if snapshot.upstreams.iter().any(|standing| standing.state == UpstreamState::Unknown) => {}
        None => {
            let each: Vec<String> = snapshot
                .upstreams
                .iter()
                .map(|standing| format!("{} is {}: {}", standing.id, spoken(standing.state), standing.reason))
                .collect();
            let message = format!("None of {} upstreams serves. {}", each.len(), each.join(" "));
            found.push(trouble(&RPC_NO_UPSTREAM, ALL, message));
        }
    }
    found
}

/// A state in a sentence.
const fn spoken(state: UpstreamState) -> &'static str {
    match state {
        UpstreamState::Unknown => "not known yet",
        UpstreamState::Healthy => "healthy",
        UpstreamState::Lagging => "lagging",
        UpstreamState::Syncing => "syncing",
        UpstreamState::Down => "down",
        UpstreamState::WrongChain => "of another chain",
        UpstreamState::Forked => "on another fork",
    }
}

#[cfg(test)]
mod tests {
    use UpstreamState::{Down, Forked, Healthy, Syncing, Unknown, WrongChain};

    use super::*;
    use crate::gateway::UpstreamId;

    fn snapshot(states: &[(Tier, UpstreamState)]) -> Snapshot {
        let upstreams: Vec<Standing> = states
            .iter()
            .enumerate()
            .map(|(place, (tier, state))| Standing {
                id: UpstreamId::parse(&format!("u{place}")).unwrap(),
                tier: *tier,
                state: *state,
                reason: "It is so.".to_owned(),
                since: 0,
                head: None,
                finalized: None,
                lag: None,
                earliest: None,
                version: None,
            })
            .collect();
        let order = (0..states.len()).filter(|place| upstreams[*place].state.serves()).collect();
        Snapshot { upstreams, order, ..Snapshot::default() }
    }

    #[test]
    fn each_trouble_is_raised_for_whom_it_is_about() {
        use Tier::{Backup, Primary};
        for (states, used_up, want) in [
            (vec![(Primary, Healthy), (Backup, Healthy)], false, vec![]),
            (vec![(Primary, Unknown)], false, vec![]),
            (vec![(Primary, Unknown), (Backup, Down)], false, vec!["rpc_upstream_down u1"]),
            (vec![(Primary, Down)], false, vec!["rpc_upstream_down u0", "rpc_no_upstream gateway"]),
            (
                vec![(Primary, Syncing), (Backup, Healthy)],
                false,
                vec!["rpc_upstream_down u0", "rpc_failover gateway"],
            ),
            (vec![(Backup, Healthy)], false, vec![]),
            (vec![(Primary, WrongChain), (Primary, Healthy)], false, vec!["rpc_wrong_chain u0"]),
            (
                vec![(Primary, Healthy), (Primary, Forked)],
                true,
                vec!["rpc_budget_used u0", "rpc_fork u1", "rpc_budget_used u1"],
            ),
        ] {
            let count = states.len();
            let all = troubles(&snapshot(&states), None, None, &vec![used_up; count], &vec![false; count]);
            let found: Vec<String> =
                all.iter().map(|trouble| format!("{} {}", trouble.rule.name, trouble.subject)).collect();
            assert_eq!(found, want, "{states:?}");
        }
        let disagree = troubles(&snapshot(&[]), Some("They differ."), None, &[], &[]);
        assert_eq!((&*disagree[0].rule.name, &*disagree[0].subject), ("rpc_fork", "gateway"));
        let stands = troubles(&snapshot(&[]), None, Some("The chain stands still."), &[], &[]);
        assert_eq!((&*stands[0].rule.name, &*stands[0].subject), ("rpc_chain_stands", "gateway"));
        assert_eq!(stands[0].message, "The chain stands still. Calls are answered all the same, as of then.");
    }

    /// What follows from it is told all the same: that a backup serves, or nobody.
    #[test]
    fn what_a_person_has_taken_out_is_not_told_as_down() {
        let states = [(Tier::Primary, Down), (Tier::Replica, Down), (Tier::Backup, Healthy)];
        let all = troubles(&snapshot(&states), None, None, &[false; 3], &[true, false, false]);
        let found: Vec<String> =
            all.iter().map(|trouble| format!("{} {}", trouble.rule.name, trouble.subject)).collect();
        assert_eq!(found, ["rpc_upstream_down u1", "rpc_failover gateway"]);
    }

    #[test]
    fn a_page_says_who_is_out_and_why() {
        let all = troubles(
            &snapshot(&[(Tier::Primary, Down), (Tier::Backup, Healthy)]),
            None,
            None,
            &[false; 2],
            &[false; 2],
        );
        assert_eq!(all[0].message, "The primary u0 is down. It is so.");
        assert_eq!(all[1].message, "Calls go to the backup u1. u0 is down: It is so.");
    }
}
