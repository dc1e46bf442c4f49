//! What people ask for, and what follows: steps, or a refusal in words.

use std::time::Duration;

use super::{
    ending::Ending,
    hold_bounds::LONGEST_HOLD,
    input::{Act, Effect, LimitsChange, Order, OrderDone, OrderKind, OrderRefused},
    node::{Doing, Hold, Job, Node},
    observe::is_worked_on,
    restart::is_restarting,
    watched::WatchedMs,
    whole::Fleet,
};
use crate::{
    events::{NodeAction, NodeHold, NodeWanted},
    supervisor::{Limits, ProcessStatus},
};

/// What is to be done for an order.
struct Plan {
    steps: Vec<NodeAction>,
    limits: Option<Limits>,
    done: String,
}

impl Fleet {
    /// Takes an order: begins it, does it at once, or refuses it.
    pub(super) fn ordered(&mut self, ticket: u64, order: Order, at: WatchedMs, effects: &mut Vec<Effect>) {
        let answer = match self.plan(&order, at) {
            Ok(plan) => {
                let Order { node: id, by, why, .. } = order;
                let why = if why.trim().is_empty() { format!("Ordered by the {by}.") } else { why };
                let Plan { steps, limits, done } = plan;
                if steps.is_empty() {
                    Ok(OrderDone { message: done })
                } else {
                    let Some(node) = self.node_mut(&id) else { return };
                    node.job = Some(Job { ticket, steps: steps.into(), limits, by, why, done });
                    return next_step(node, effects);
                }
            }
            Err(refused) => Err(refused),
        };
        effects.push(Effect::Answer { ticket, answer });
    }

    fn plan(&mut self, order: &Order, at: WatchedMs) -> Result<Plan, OrderRefused> {
        let another_restarts =
            self.nodes.iter().find(|node| is_restarting(node)).map(|node| node.id().clone());
        let index = self.index(&order.node);
        let must_wait = index.is_some_and(|index| self.must_wait(index, at));
        let beside = index.and_then(|index| self.last_beside(index));
        let now = self.clock.wall();
        let beside = beside.map(|other| (other.id().clone(), other.state));
        let Some(node) = self.node_mut(&order.node) else {
            let message = format!("no node `{}` is configured under [[nodes]]", order.node);
            return Err(OrderRefused::Unknown(message));
        };
        let id = node.about.id.clone();
        if let Some(doing) = &node.doing {
            return Err(OrderRefused::Busy(format!(
                "{} of {id} is under way: ask again when it is over",
                doing.action
            )));
        }
        let done = |message: String| Plan { steps: Vec::new(), limits: None, done: message };
        match &order.kind {
            OrderKind::Maintenance(hold) => {
                hold_for(node, NodeHold::Maintenance, *hold, &order.why, at)?;
                Ok(after_hold(node, hold.is_some()))
            }
            OrderKind::Pruning(hold) => {
                hold_for(node, NodeHold::Pruning, *hold, &order.why, at)?;
                Ok(after_hold(node, hold.is_some()))
            }
            kind => {
                if let Some(away) = &node.process.away {
                    return Err(OrderRefused::Refused(format!(
                        "the runtime of {id} does not answer: {away}"
                    )));
                }
                let Some(status) = node.process.status.clone() else {
                    return Err(OrderRefused::Busy(format!(
                        "{id} has not been looked at yet: ask again in some seconds"
                    )));
                };
                match kind {
                    OrderKind::Up => {
                        let steps = to_run(node, &status)?;
                        look_after(node);
                        let message =
                            if steps.is_empty() { "runs already; it is looked after" } else { "was started" };
                        Ok(Plan { steps, limits: None, done: format!("{id} {message}.") })
                    }
                    OrderKind::Resume => {
                        let mut steps = to_run(node, &status)?;
                        look_after(node);
                        steps.insert(0, NodeAction::Resume);
                        Ok(Plan { steps, limits: None, done: format!("{id} is looked after again.") })
                    }
                    OrderKind::Restart => {
                        if let Some(other) = another_restarts {
                            let message = format!("{other} is being restarted: one restart at a time");
                            return Err(OrderRefused::Busy(message));
                        }
                        let group = &node.about.group;
                        if must_wait && node.process.is_running() {
                            let message = format!(
                                "another node of the group {group} is being started and cannot serve yet: never two of them at once"
                            );
                            return Err(OrderRefused::Busy(message));
                        }
                        if let Some((other, state)) = beside {
                            let message = format!(
                                "{id} is the last node of the group {group} that serves: {other} is {state}. Bring {other} back first, or stop it (`relaymux nodes stop {other}`) if nobody is to wait for it"
                            );
                            return Err(OrderRefused::Busy(message));
                        }
                        let steps = match &status {
                            ProcessStatus::Running { .. } => vec![NodeAction::Restart],
                            _ => to_run(node, &status)?,
                        };
                        look_after(node);
                        Ok(Plan { steps, limits: None, done: format!("{id} was restarted.") })
                    }
                    OrderKind::Stop | OrderKind::Down => {
                        let may_remove = matches!(kind, OrderKind::Down) && node.process.ours;
                        let runs = !matches!(
                            status,
                            ProcessStatus::Absent | ProcessStatus::Created | ProcessStatus::Exited { .. }
                        );
                        let is_there = status != ProcessStatus::Absent;
                        let mut steps = Vec::new();
                        if runs {
                            steps.push(NodeAction::Stop);
                        }
                        if may_remove && is_there {
                            steps.push(NodeAction::Remove);
                            node.removal_at = Some(now);
                        }
                        node.wanted = NodeWanted::Stopped;
                        if node.hold.kind == NodeHold::CrashLoop {
                            node.hold = Hold::NONE;
                        }
                        if !runs && is_there {
                            node.process.ending =
                                Some(Ending::Ordered("It was stopped by hand, and stays so.".to_owned()));
                        }
                        let left = match kind {
                            OrderKind::Down if is_there && !may_remove => {
                                " relaymux has not created it, so that it was not removed."
                            }
                            OrderKind::Down if is_there => " It was removed; its data stays.",
                            _ => "",
                        };
                        Ok(Plan {
                            steps,
                            limits: None,
                            done: format!("{id} is stopped, and stays so.{left}"),
                        })
                    }
                    OrderKind::Resize(change) => {
                        let limits = change.onto(&node.about.limits);
                        if *change == LimitsChange::default() {
                            let message = format!("nothing was said of the limits that {id} is to have");
                            return Err(OrderRefused::Refused(message));
                        }
                        if status == ProcessStatus::Absent {
                            let message = format!("{id} is not there: nothing can be resized");
                            return Err(OrderRefused::Refused(message));
                        }
                        let steps = vec![NodeAction::Resize];
                        let message = format!(
                            "{id} has its new limits. Write them under [[nodes]], too: they hold until it is created anew."
                        );
                        Ok(Plan { steps, limits: Some(limits), done: message })
                    }
                    OrderKind::Maintenance(_) | OrderKind::Pruning(_) => Ok(done(String::new())),
                }
            }
        }
    }
}

/// Steps after which it runs.
fn to_run(node: &Node, status: &ProcessStatus) -> Result<Vec<NodeAction>, OrderRefused> {
    let id = &node.about.id;
    match status {
        ProcessStatus::Absent if !node.about.can_create => Err(OrderRefused::Refused(format!(
            "{id} is not there, and its entry under [[nodes]] does not say how to create it"
        ))),
        ProcessStatus::Absent => Ok(vec![NodeAction::Create, NodeAction::Start]),
        ProcessStatus::Created | ProcessStatus::Exited { .. } => Ok(vec![NodeAction::Start]),
        ProcessStatus::Running { .. } => Ok(Vec::new()),
        ProcessStatus::Paused => {
            let message = format!(
                "{id} is frozen, which somebody did by hand: `docker unpause` lets it go on, and it is looked after again then"
            );
            Err(OrderRefused::Refused(message))
        }
        ProcessStatus::Stopping => {
            Err(OrderRefused::Busy(format!("{id} is being stopped: ask again when it is over")))
        }
    }
}

/// From now on it is wanted up, and what was before does not count.
fn look_after(node: &mut Node) {
    node.wanted = NodeWanted::Up;
    if node.hold.kind == NodeHold::CrashLoop {
        node.hold = Hold::NONE;
    }
    let restarts = &mut node.restarts;
    restarts.begun.clear();
    restarts.ooms.clear();
    (restarts.attempt, restarts.due, restarts.called) = (0, None, false);
}

/// Holds a node for so long, or lets it go.
fn hold_for(
    node: &mut Node,
    kind: NodeHold,
    hold: Option<Duration>,
    why: &str,
    at: WatchedMs,
) -> Result<(), OrderRefused> {
    let id = &node.about.id;
    match hold {
        Some(time) if time.is_zero() || time > LONGEST_HOLD => {
            Err(OrderRefused::Refused(format!("{kind} of {id}: expected 1 second to 7 days")))
        }
        Some(_) if node.hold.kind == NodeHold::CrashLoop => Err(OrderRefused::Refused(format!(
            "{id} is in a crash loop: nothing is done to it anyway until `relaymux nodes resume {id}`, so work on it as long as you like"
        ))),
        Some(time) => {
            let said = if why.trim().is_empty() { "" } else { ": " };
            let minutes = time.as_secs().div_ceil(60);
            let why = format!("{} for {minutes} minutes at most{said}{}", capital(kind), why.trim());
            let why = format!("{}.", why.trim_end_matches('.'));
            node.hold = Hold { kind, until: Some(at.plus(time)), why };
            Ok(())
        }
        None if node.hold.kind == kind => {
            end_hold(node, at);
            Ok(())
        }
        None => Err(OrderRefused::Refused(format!("{id} is not in {kind}"))),
    }
}

fn capital(kind: NodeHold) -> &'static str {
    match kind {
        NodeHold::Pruning => "Its database is pruned",
        NodeHold::Maintenance | NodeHold::CrashLoop | NodeHold::None => "The operator works on it",
    }
}

fn after_hold(node: &Node, is_held: bool) -> Plan {
    let id = &node.about.id;
    let message = if is_held {
        format!("{id} is left alone: nothing is judged, and nothing done.")
    } else {
        format!("{id} is looked after again.")
    };
    Plan { steps: Vec::new(), limits: None, done: message }
}

/// Lets a node go: it is judged anew, and started where it was wanted up and does not run.
pub(super) fn end_hold(node: &mut Node, at: WatchedMs) {
    let was_worked_on = is_worked_on(node.hold.kind);
    node.hold = Hold::NONE;
    node.restarts.due = None;
    if !was_worked_on {
        return;
    }
    if node.wanted == NodeWanted::Up
        && matches!(node.process.ending, Some(Ending::ByHand(_)))
        && !node.process.is_running()
    {
        let why = "It was wanted up before it was worked on, and does not run now that this is over.";
        node.process.ending = Some(Ending::Crash(why.to_owned()));
    }
    // What failed meanwhile proves nothing.
    node.probes.began = at;
    (node.probes.fails, node.probes.failing_since) = (0, None);
}

/// Begins the next step of a node's job, or answers.
pub(super) fn next_step(node: &mut Node, effects: &mut Vec<Effect>) {
    let Some(job) = &mut node.job else { return };
    let Some(action) = job.steps.pop_front() else {
        let Some(job) = node.job.take() else { return };
        node.removal_at = None;
        let answer = Ok(OrderDone { message: job.done });
        return effects.push(Effect::Answer { ticket: job.ticket, answer });
    };
    let limits = job.limits.clone().filter(|_| action == NodeAction::Resize);
    let act =
        Act { node: node.about.id.clone(), action, limits: limits.clone(), by: job.by, why: job.why.clone() };
    if matches!(action, NodeAction::Start | NodeAction::Restart) {
        node.process.our_hand = true;
    }
    node.doing = Some(Doing { action, by: job.by, limits });
    effects.push(Effect::Act(act));
}

/// Ends a node's job for a failure.
pub(super) fn fail_job(node: &mut Node, words: &str, effects: &mut Vec<Effect>) {
    if let Some(Job { ticket, .. }) = node.job.take() {
        node.removal_at = None;
        let answer = Err(OrderRefused::Failed(words.to_owned()));
        effects.push(Effect::Answer { ticket, answer });
    }
}
