//! When the supervisor starts a node again by itself, and when it does not.
//!
//! One at a time in the whole fleet, with one exception: what has ended is started beside a node that is being stopped, as a stop takes minutes
//! where a node hangs, and whoever is down serves nobody meanwhile. Never one that a person stopped, that is held, or of which nothing is known.
//! Never for a lag. A hung node waits until another of its group that we have started is able to serve. Where all that is probed fails at once on
//! different hosts, it is the network, and a person is called.

use std::{collections::BTreeSet, time::Duration};

use super::{
    input::{Act, Effect},
    node::{Doing, Hold, Node},
    watched::WatchedMs,
    whole::Fleet,
};
use crate::events::{ActedBy, NodeAction, NodeHold, NodeState, NodeWanted};

/// First failures of all nodes within this are one trouble.
const AT_ONCE_MS: i64 = 120_000;

/// Whether rules let it be started again by itself; `Start` where it ended, `Restart` where it hangs.
pub(super) fn wants(node: &Node, at: WatchedMs) -> Option<NodeAction> {
    let is_ours_to_do = node.about.restart.on_failure
        && node.wanted == NodeWanted::Up
        && node.hold.is_none()
        && node.doing.is_none()
        && node.job.is_none()
        && node.process.away.is_none()
        // Somebody stops it from outside, and it has not ended yet: a database takes minutes to close.
        && !(node.process.is_running() && node.lately(node.process.told_stop, at));
    if !is_ours_to_do {
        return None;
    }
    match node.state {
        NodeState::Crashed | NodeState::OutOfMemory => Some(NodeAction::Start),
        // One that answers and says that it cannot serve would say so again.
        NodeState::Hung => (!node.probes.refuses).then_some(NodeAction::Restart),
        NodeState::Unknown
        | NodeState::Absent
        | NodeState::Starting
        | NodeState::Syncing
        | NodeState::Healthy
        | NodeState::Lagging
        | NodeState::CrashLoop
        | NodeState::Pruning
        | NodeState::Maintenance
        | NodeState::Stopped => None,
    }
}

/// How long to wait before a restart: doubled with each attempt, and up to a quarter longer, so that machines do not start in step. `dice`: 0 to 1023.
pub(super) fn backoff(first: Duration, longest: Duration, attempt: u32, dice: u32) -> Duration {
    let doubled = first.saturating_mul(1_u32.checked_shl(attempt).unwrap_or(u32::MAX)).min(longest);
    doubled.saturating_add(doubled.saturating_mul(dice.min(1023)) / 4096)
}

/// Plans the next restart of a node, or holds it where there were too many.
pub(super) fn schedule(node: &mut Node, at: WatchedMs, dice: u32) {
    if node.state.serves() || node.state == NodeState::Syncing {
        let since = *node.restarts.steady_since.get_or_insert(at);
        if at.is_after(since, node.about.restart.burst_window) {
            node.restarts.attempt = 0;
        }
    } else if node.state != NodeState::Unknown {
        node.restarts.steady_since = None;
    }
    node.ooms_in_window(at);
    if wants(node, at).is_none() {
        // What is half done is not over.
        if node.doing.is_none() && node.process.away.is_none() {
            node.restarts.due = None;
            node.restarts.called = false;
        }
        return;
    }
    let policy = node.about.restart.clone();
    let burst = usize::try_from(policy.burst.max(1)).unwrap_or(usize::MAX);
    let in_window = node.restarts_in_window(at);
    let fruitless = node.restarts.attempt >= policy.burst.max(1);
    if in_window >= burst || fruitless {
        let minutes = policy.burst_window.as_secs().div_ceil(60);
        let story = if in_window >= burst {
            format!("It was started {in_window} times within {minutes} minutes and did not stay up.")
        } else {
            format!(
                "It was started {} times and has not run well for {minutes} minutes since.",
                node.restarts.attempt
            )
        };
        let (id, why) = (&node.about.id, &node.why);
        let why = format!(
            "{story} The last time: {why} Nothing is started any more until a person says so: find out why (`relaymux nodes logs {id}`), then `relaymux nodes resume {id}`."
        );
        node.hold = Hold { kind: NodeHold::CrashLoop, until: None, why };
        node.restarts.due = None;
        return;
    }
    if node.restarts.due.is_none() {
        node.restarts.due =
            Some(at.plus(backoff(policy.backoff, policy.max_backoff, node.restarts.attempt, dice)));
    }
}

impl Fleet {
    /// Begins at most one restart: the one that is due for the longest, lower layers first.
    pub(super) fn begin_restart(&mut self, at: WatchedMs, effects: &mut Vec<Effect>) {
        if self.nodes.iter().any(is_being_started) {
            return;
        }
        let one_is_restarted = self.nodes.iter().any(is_restarting);
        let fails_everywhere = self.fails_everywhere();
        let mut due: Vec<(usize, WatchedMs)> = self
            .nodes
            .iter()
            .enumerate()
            .filter(|(_, node)| wants(node, at).is_some())
            .filter_map(|(index, node)| Some((index, node.restarts.due.filter(|due| *due <= at)?)))
            .collect();
        due.sort_by_key(|(index, due)| (self.nodes.get(*index).map(|node| node.about.layer()), *due));
        for (index, _) in due {
            let is_held_back = |due| self.pressure.holds_back(due, at);
            if self.nodes.get(index).and_then(|node| node.restarts.due).is_some_and(is_held_back) {
                continue;
            }
            let must_wait = one_is_restarted || self.must_wait(index, at);
            let Some(node) = self.nodes.get_mut(index) else { continue };
            let Some(action) = wants(node, at) else { continue };
            // A start takes nobody down: whoever is down already waits for no other.
            if action == NodeAction::Restart && must_wait {
                continue;
            }
            if action == NodeAction::Restart && fails_everywhere {
                if !std::mem::replace(&mut node.restarts.called, true) {
                    let why = "All nodes that are probed stopped answering at once, on different hosts: that is the network or this machine, and restarts would not help. Nothing is restarted.";
                    effects.push(Effect::Call { node: node.id().clone(), why: why.to_owned() });
                }
                continue;
            }
            let why = format!("{} (attempt {})", node.why, node.restarts.attempt.saturating_add(1));
            node.restarts.begun.push_back(at);
            node.restarts.attempt = node.restarts.attempt.saturating_add(1);
            node.restarts.due = None;
            node.process.our_hand = true;
            node.doing = Some(Doing { action, by: ActedBy::Supervisor, limits: None });
            let (node, by) = (node.id().clone(), ActedBy::Supervisor);
            effects.push(Effect::Act(Act { node, action, limits: None, by, why }));
            return;
        }
    }

    /// Whether another of its group is down by our hand, or about to be.
    pub(super) fn must_wait(&self, index: usize, at: WatchedMs) -> bool {
        self.others_of_its_group(index).any(|other| other.is_down_by_our_hand(at))
    }

    /// Whether it is the last of its group that serves; then one of those that should and do not.
    pub(super) fn last_beside(&self, index: usize) -> Option<&Node> {
        let is_serving = |node: &Node| node.state.serves();
        if !self.nodes.get(index).is_some_and(is_serving) || self.others_of_its_group(index).any(is_serving) {
            return None;
        }
        self.others_of_its_group(index).find(|other| other.wanted == NodeWanted::Up)
    }

    fn others_of_its_group(&self, index: usize) -> impl Iterator<Item = &Node> {
        let group = self.nodes.get(index).map(|node| &node.about.group);
        let others = self.nodes.iter().enumerate().filter(move |(other, _)| *other != index);
        others.map(|(_, other)| other).filter(move |other| Some(&other.about.group) == group)
    }

    /// Whether everything that is probed and runs fails at once, on different hosts.
    fn fails_everywhere(&self) -> bool {
        let probed = || {
            self.nodes
                .iter()
                .filter(|node| node.process.is_running() && node.hold.is_none())
                .filter_map(|node| Some((node.about.probed_at.as_deref()?, node.probes.failing_since)))
        };
        let hosts: BTreeSet<&str> = probed().map(|(host, _)| host).collect();
        let since: Option<Vec<WatchedMs>> = probed().map(|(_, since)| since).collect();
        let Some(since) = since else { return false };
        let (Some(first), Some(last)) = (since.iter().min(), since.iter().max()) else { return false };
        hosts.len() >= 2 && last.since(*first) <= AT_ONCE_MS
    }
}

/// Whether the supervisor starts it again after it has ended.
fn is_being_started(node: &Node) -> bool {
    let starts = |doing: &Doing| doing.by == ActedBy::Supervisor && doing.action == NodeAction::Start;
    node.doing.as_ref().is_some_and(starts)
}

/// Whether it is being started again, by us or by a person's order.
pub(super) fn is_restarting(node: &Node) -> bool {
    node.doing
        .as_ref()
        .is_some_and(|doing| doing.by == ActedBy::Supervisor || doing.action == NodeAction::Restart)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_doubled_up_to_the_longest_and_a_quarter_of_chance() {
        let wait = |attempt, dice| {
            backoff(Duration::from_secs(5), Duration::from_secs(600), attempt, dice).as_millis()
        };
        assert_eq!([0, 1, 2, 3].map(|attempt| wait(attempt, 0)), [5_000, 10_000, 20_000, 40_000]);
        assert_eq!([7, 31, 32, u32::MAX].map(|attempt| wait(attempt, 0)), [600_000; 4]);
        assert_eq!((wait(0, 512), wait(9, 9_999)), (5_625, 749_853));
    }
}
