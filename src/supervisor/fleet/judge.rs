//! What the facts of a node mean: its state, and why in words. Never by `eth_syncing` alone: what a probe saw already says whether it can serve.

use super::{
    about::{About, RuntimeKind},
    ending::Ending,
    node::{Node, Probes},
    watched::{WatchedMs, millis},
};
use crate::{
    events::{NodeHold, NodeState, NodeWanted},
    supervisor::{ProcessStatus, Ready},
};

/// A node's state, and why.
pub(super) fn judge(node: &Node, at: WatchedMs) -> (NodeState, String) {
    let as_it_is = || (node.state, node.why.clone());
    match node.hold.kind {
        NodeHold::None => {}
        NodeHold::CrashLoop => return (NodeState::CrashLoop, node.hold.why.clone()),
        NodeHold::Maintenance => return (NodeState::Maintenance, node.hold.why.clone()),
        NodeHold::Pruning => return (NodeState::Pruning, node.hold.why.clone()),
    }
    // What is half done is no state of its own.
    if node.doing.is_some() && node.state != NodeState::Unknown {
        return as_it_is();
    }
    let process = &node.process;
    if let Some(away) = &process.away {
        // Whoever answers is there, whatever its runtime says.
        let is_seen = node.probes.sight.is_some() && node.probes.fails == 0;
        if is_seen && let Some((state, why)) = by_answers(node, at) {
            return (state, format!("{why} Its runtime does not answer: {away}"));
        }
        return (NodeState::Unknown, format!("Nothing is known of it, and nothing is done: {away}"));
    }
    match &process.status {
        None => (NodeState::Unknown, "It has not been looked at yet.".to_owned()),
        Some(ProcessStatus::Absent) => absent(node),
        Some(ProcessStatus::Created) => match &process.ending {
            Some(Ending::Crash(words)) => (NodeState::Crashed, words.clone()),
            _ if node.wanted == NodeWanted::Up => {
                (NodeState::Crashed, "It was created and never started, though it is wanted up.".to_owned())
            }
            _ => (NodeState::Stopped, "It was created and never started.".to_owned()),
        },
        Some(ProcessStatus::Paused) => {
            let why = "Somebody has paused it (docker pause): it is left alone until somebody unpauses it.";
            (NodeState::Stopped, why.to_owned())
        }
        Some(ProcessStatus::Stopping) => as_it_is(),
        Some(ProcessStatus::Exited { .. }) => match &process.ending {
            Some(Ending::Crash(words)) => (NodeState::Crashed, words.clone()),
            Some(Ending::OutOfMemory(words)) => (NodeState::OutOfMemory, words.clone()),
            Some(Ending::ByHand(words) | Ending::Ordered(words)) => (NodeState::Stopped, words.clone()),
            None => (NodeState::Crashed, "It does not run.".to_owned()),
        },
        Some(ProcessStatus::Running { .. }) => running(node, at),
    }
}

/// What a runtime calls what it runs.
const fn what_is_there(runtime: RuntimeKind) -> &'static str {
    match runtime {
        RuntimeKind::Docker => "container",
        RuntimeKind::Systemd => "unit",
        RuntimeKind::Process => "process",
    }
}

fn absent(node: &Node) -> (NodeState, String) {
    let About { id, runtime, .. } = &node.about;
    match &node.process.ending {
        // A child of ours is gone once it has ended.
        Some(Ending::Crash(words)) => (NodeState::Crashed, words.clone()),
        _ if node.wanted == NodeWanted::Stopped => {
            (NodeState::Stopped, "It was stopped by hand, and stays so.".to_owned())
        }
        _ if node.wanted == NodeWanted::Up => (
            NodeState::Absent,
            format!(
                "It is wanted up, and there is no such {} any more: somebody has removed it. `relaymux nodes up {id}` makes it anew, if it has a template.",
                what_is_there(*runtime)
            ),
        ),
        _ => (
            NodeState::Absent,
            format!("There is no such {}, and nobody has asked for it to run.", what_is_there(*runtime)),
        ),
    }
}

fn running(node: &Node, at: WatchedMs) -> (NodeState, String) {
    let Node { about, probes, .. } = node;
    if about.probed_at.is_none() {
        return (
            NodeState::Healthy,
            "Its process runs; it has no probe, so that nothing more is known.".to_owned(),
        );
    }
    let policy = &about.restart;
    if probes.sight.is_none() && !probes.refuses {
        if !at.is_after(probes.began, policy.start_timeout) {
            let said = node.process.note.unwrap_or("It runs.");
            return (NodeState::Starting, format!("{said} It has not answered a probe yet."));
        }
        let allowed = policy.start_timeout.as_secs();
        let failure = last_words(probes);
        let why = format!("It has not answered within {allowed} s of its start.{failure}");
        return (NodeState::Hung, why);
    }
    if is_hung(node, at) {
        let secs = probes.failing_since.map_or(0, |since| at.since(since) / 1000);
        let (fails, failure) = (probes.fails, last_words(probes));
        let why = format!("Its process runs, and {fails} probes in {secs} s have failed.{failure}");
        return (NodeState::Hung, why);
    }
    by_answers(node, at)
        .unwrap_or_else(|| (NodeState::Starting, "It answers, and cannot serve yet.".to_owned()))
}

/// By what it answered last.
fn by_answers(node: &Node, at: WatchedMs) -> Option<(NodeState, String)> {
    let Node { about, probes, .. } = node;
    let syncing = |words: &String| match probes.sync.trouble(at, about.stall_after) {
        Some(trouble) => (NodeState::Syncing, format!("{trouble} {words}")),
        None => (NodeState::Syncing, words.clone()),
    };
    Some(match &probes.sight.as_ref()?.ready {
        Ready::Yes => (NodeState::Healthy, "It is able to serve.".to_owned()),
        Ready::Syncing(words) => syncing(words),
        // A head that was never at the tip has not fallen behind.
        Ready::Lagging(words) if probes.was_ready => (NodeState::Lagging, words.clone()),
        Ready::Lagging(words) => syncing(words),
        // Kept out of sights: it counts as a failed probe.
        Ready::No(words) => (NodeState::Hung, words.clone()),
    })
}

/// A busy node may leave some probes unanswered, and one that syncs many.
fn is_hung(node: &Node, at: WatchedMs) -> bool {
    let (probes, policy) = (&node.probes, &node.about.restart);
    let Some(since) = probes.failing_since else { return false };
    let is_syncing = probes.sight.as_ref().is_some_and(|sight| matches!(sight.ready, Ready::Syncing(_)));
    let patience = if is_syncing { millis(policy.start_timeout) } else { 0 };
    probes.fails >= policy.hung_after.max(1) && at.since(since) >= patience
}

fn last_words(probes: &Probes) -> String {
    match probes.failure.trim_end_matches('.') {
        "" => String::new(),
        failure => format!(" The last: {failure}."),
    }
}
