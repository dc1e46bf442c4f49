//! Takes in what was observed of a node: facts alone, no decisions.

use std::time::Duration;

use super::{
    about::RuntimeKind,
    ending::{End, Ending, ending},
    go_on::go_on,
    node::{EndSeen, Node, Probes, SOMEBODY_STARTED, STARTED_BY_US},
    watched::WatchedMs,
};
use crate::{
    events::{NodeAction, NodeHold, NodeWanted},
    supervisor::{Inspection, ProbeFailed, ProcessStatus, Ready, RuntimeError, RuntimeEvent, Sight},
    types::UnixMillis,
};

/// So long after an end was seen, what else comes to be known of it counts.
const RECONSIDERED: Duration = Duration::from_secs(15);
/// What is told so soon after a start of ours may be of the stop before.
const OWN_ECHO: Duration = Duration::from_secs(10);

/// An engine tells of an end at most so long before or after the time that it notes for it.
const TOLD_AT_ONCE_MS: i64 = 1000;

/// What an observation is taken in with.
pub(super) struct Around {
    pub(super) at: WatchedMs,
    pub(super) booted_at: Option<UnixMillis>,
}

/// Takes a look by the runtime.
pub(super) fn inspected(node: &mut Node, look: Result<Inspection, RuntimeError>, around: &Around) {
    let inspection = match look {
        Ok(inspection) => inspection,
        // Whatever the reason: nothing is known of it now.
        Err(error) => {
            node.process.away = Some(error.to_string());
            // One that is slow is there all the same, and stops what it is told to.
            node.process.was_away |= matches!(error, RuntimeError::Away(_));
            return reconsider(node, around);
        }
    };
    let Inspection { status, ours, run, what, usage } = inspection;
    node.process.away = None;
    node.process.ours = ours;
    node.process.what = what;
    node.process.usage = usage;
    let before = node.process.status.replace(status.clone());
    // One that is being stopped shows what came of it later.
    let cut_short = node.cut_short.take_if(|_| status != ProcessStatus::Stopping);
    let starts = [NodeAction::Start, NodeAction::Restart, NodeAction::Create];
    node.process.our_hand |= cut_short
        .is_some_and(|it| starts.iter().any(|start| it.is(*start)) && it.explains(&status, &node.about));
    let goes_on = go_on(node, cut_short, &status);
    match status {
        ProcessStatus::Running { .. } if goes_on => {
            node.process.run = run;
            node.probes = Probes::new(around.at);
        }
        ProcessStatus::Running { .. } => runs(node, before.as_ref(), run, around),
        ProcessStatus::Exited { code, oom_killed, at } => {
            let is_news = node.process.ending.is_none() || before.as_ref() != Some(&status);
            if is_news {
                ended(node, before.is_some(), (code, oom_killed, at), around);
            }
        }
        ProcessStatus::Absent => {
            let is_child = node.about.runtime == RuntimeKind::Process;
            if is_child && node.wanted == NodeWanted::Up && node.process.ending.is_none() {
                // Children end with the process that has started them.
                node.process.ending =
                    Some(Ending::Crash("Nothing of it runs since relaymux was started.".to_owned()));
            }
        }
        // The state between: nothing is known yet of how it ends.
        ProcessStatus::Created | ProcessStatus::Paused | ProcessStatus::Stopping => {}
    }
}

fn runs(node: &mut Node, before: Option<&ProcessStatus>, run: Option<String>, around: &Around) {
    let was_running = matches!(before, Some(ProcessStatus::Running { .. }));
    let is_first = before.is_none() && node.process.run.is_none();
    let is_other = run.is_some() && node.process.run.is_some() && run != node.process.run;
    let is_thawed = matches!(before, Some(ProcessStatus::Paused | ProcessStatus::Stopping)) && !is_other;
    let our_hand = std::mem::take(&mut node.process.our_hand);
    let is_news = !was_running && !is_thawed || is_other;
    // Until our own start is seen for the first time, its run has another name than the one before.
    let is_ours = our_hand && (is_news || was_running);
    node.process.run = run;
    if is_news || is_ours {
        let ending = node.process.ending.take();
        (node.process.told_stop, node.process.told_end, node.process.end) = (None, None, None);
        node.process.note = match (is_ours, is_first) {
            (true, _) => Some(STARTED_BY_US),
            (false, true) => None,
            (false, false) => Some(SOMEBODY_STARTED),
        };
        // A policy of its own runtime that starts it again and again is a crash loop, too.
        if matches!(ending, Some(Ending::Crash(_) | Ending::OutOfMemory(_))) && !is_ours && !is_first {
            node.restarts.begun.push_back(around.at);
        }
        node.probes = Probes::new(around.at);
        node.restarts.steady_since = None;
        // Found running, or started by somebody: it is looked after.
        if !is_ours {
            node.wanted = NodeWanted::Up;
        }
    }
    node.process.was_away = false;
}

fn ended(
    node: &mut Node,
    was_seen: bool,
    (code, oom_killed, at): (Option<i64>, bool, Option<UnixMillis>),
    around: &Around,
) {
    let our_hand = std::mem::take(&mut node.process.our_hand);
    let taken = around.at;
    node.process.end = Some(EndSeen { code, oom_killed, at, was_seen, our_hand, taken, has_stopped: false });
    decide(node, around);
}

/// Looks at an end again, as more is known of it: events come before and after a look.
fn reconsider(node: &mut Node, around: &Around) {
    let is_open = matches!(node.process.ending, Some(Ending::Crash(_) | Ending::ByHand(_)));
    let Some(end) = &mut node.process.end else { return };
    if !is_open || node.doing.is_some() || node.job.is_some() || around.at.is_after(end.taken, RECONSIDERED) {
        return;
    }
    if std::mem::take(&mut end.has_stopped) {
        node.wanted = NodeWanted::Up;
    }
    decide(node, around);
}

fn decide(node: &mut Node, around: &Around) {
    let Some(end) = node.process.end else { return };
    let process = &node.process;
    let lately = |told: Option<WatchedMs>| node.lately(told, around.at);
    let EndSeen { code, oom_killed, at, was_seen, our_hand, taken: _, has_stopped: _ } = end;
    let found = ending(End {
        about: &node.about,
        wanted: node.wanted,
        code,
        oom_killed,
        at,
        was_seen,
        was_away: process.was_away,
        told_stop: lately(process.told_stop),
        told_end: lately(process.told_end),
        our_hand,
        booted_at: around.booted_at,
    });
    match &found {
        // In maintenance whoever works on it stops and starts it as he likes: what it was before comes back with its end.
        Ending::ByHand(_) if node.wanted == NodeWanted::Up && !is_worked_on(node.hold.kind) => {
            node.wanted = NodeWanted::Stopped;
            if let Some(end) = &mut node.process.end {
                end.has_stopped = true;
            }
        }
        Ending::OutOfMemory(words) => {
            node.restarts.ooms.push_back(around.at);
            node.restarts.oom_kills = node.restarts.oom_kills.saturating_add(1);
            let is_again = node.ooms_in_window(around.at) >= 2;
            if is_again && node.hold.is_none() && node.about.restart.on_failure {
                node.hold.kind = NodeHold::CrashLoop;
                node.hold.why = format!(
                    "{words} It was the second time within an hour: another start would end in the same way. {}",
                    node.about.more_memory()
                );
            }
        }
        Ending::Crash(_) | Ending::ByHand(_) | Ending::Ordered(_) => {}
    }
    node.process.ending = Some(found);
    node.process.usage = None;
    node.restarts.steady_since = None;
}

pub(super) fn is_worked_on(hold: NodeHold) -> bool {
    matches!(hold, NodeHold::Maintenance | NodeHold::Pruning)
}

/// Takes what a probe saw.
pub(super) fn probed(node: &mut Node, result: Result<Sight, ProbeFailed>, at: WatchedMs) {
    // Of what does not run, whoever answers is somebody else.
    if !node.process.is_running() && node.process.away.is_none() {
        return;
    }
    let hung_after = node.about.restart.hung_after.max(1);
    let probes = &mut node.probes;
    let failure = match result {
        Ok(Sight { ready: Ready::No(words), .. }) => {
            (probes.refuses, probes.unanswered) = (true, 0);
            words
        }
        Ok(sight) => {
            probes.was_ready |= sight.ready == Ready::Yes;
            probes.sync.see(&sight, at);
            probes.sight = Some(sight);
            probes.seen_at = at;
            (probes.fails, probes.failing_since, probes.refuses) = (0, None, false);
            probes.unanswered = 0;
            probes.failure.clear();
            return;
        }
        Err(ProbeFailed(words)) => {
            probes.unanswered = probes.unanswered.saturating_add(1);
            // One probe that is lost says nothing of one that has answered each time that it cannot serve.
            if probes.unanswered >= hung_after {
                probes.refuses = false;
            }
            words
        }
    };
    probes.fails = probes.fails.saturating_add(1);
    probes.failing_since.get_or_insert(at);
    probes.failure = failure;
}

/// Takes what a runtime tells while nothing of ours is under way: only who ends it, which an exit code does not always show.
pub(super) fn told(node: &mut Node, event: &RuntimeEvent, around: &Around) {
    let at = around.at;
    let is_echo = node.process.note == Some(STARTED_BY_US) && is_of_before(node, event, at);
    if node.doing.is_some() || is_echo {
        return;
    }
    match event.what.as_str() {
        "kill" | "stop" => node.process.told_stop = Some(at),
        "die" => node.process.told_end = Some(at),
        _ => return,
    }
    reconsider(node, around);
}

/// Whether what is told is of the run before the one that we have begun. Where nobody says when, what comes soon after is taken for that.
fn is_of_before(node: &Node, event: &RuntimeEvent, at: WatchedMs) -> bool {
    match (event.at, &node.process.status) {
        (Some(told), Some(ProcessStatus::Running { since: Some(since) })) => told < *since,
        (Some(told), Some(ProcessStatus::Exited { at: Some(ended), .. })) => {
            told.saturating_add(TOLD_AT_ONCE_MS) < *ended
        }
        _ => !at.is_after(node.probes.began, OWN_ECHO),
    }
}
