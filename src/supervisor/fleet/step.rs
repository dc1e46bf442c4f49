//! One step: takes in one thing, judges, plans, and begins what is due.

use super::{
    acted,
    input::{Effect, Input},
    judge,
    node::Node,
    observe::{self, Around},
    orders, restart,
    watched::WatchedMs,
    whole::Fleet,
};
use crate::{
    events::{NodeChanged, NodeHold, NodeState, NodeWanted},
    types::UnixMillis,
};

impl Fleet {
    /// Takes in one thing, and says what follows. What is to be remembered comes before all that follows from it.
    pub(crate) fn step(&mut self, input: Input, now: UnixMillis) -> Vec<Effect> {
        let at = self.clock.at(now);
        let before: Vec<Kept> = self.nodes.iter().map(kept).collect();
        let mut effects = Vec::new();
        self.take(input, at, &mut effects);
        for node in &mut self.nodes {
            if node.hold.until.is_some_and(|until| until <= at) {
                orders::end_hold(node, at);
            }
        }
        for node in &mut self.nodes {
            if node.job.is_some() && node.doing.is_none() {
                orders::next_step(node, &mut effects);
            }
        }
        for index in 0..self.nodes.len() {
            let dice = self.roll();
            if let Some(node) = self.nodes.get_mut(index) {
                settle(node, at, now, dice, &mut effects);
            }
        }
        self.begin_restart(at, &mut effects);
        let changed = self.nodes.iter().zip(before).filter(|(node, before)| kept(node) != *before);
        let memories = changed
            .map(|(node, _)| Effect::Remember { node: node.id().clone(), memory: node.memory(at, now) });
        memories.collect::<Vec<_>>().into_iter().chain(effects).collect()
    }

    fn take(&mut self, input: Input, at: WatchedMs, effects: &mut Vec<Effect>) {
        let around = Around { at, booted_at: self.booted_at };
        match input {
            Input::Inspected(id, look) => {
                if let Some(node) = self.node_mut(&id) {
                    observe::inspected(node, look, &around);
                }
            }
            Input::Probed(id, result) => {
                if let Some(node) = self.node_mut(&id) {
                    observe::probed(node, result, at);
                }
            }
            Input::Told(event) => {
                if let Some(node) = self.node_mut(&event.node) {
                    observe::told(node, &event, &around);
                }
            }
            Input::Acted { node: id, action, result } => {
                if let Some(node) = self.node_mut(&id) {
                    acted::acted(node, action, result, &around, effects);
                }
            }
            Input::Ordered { ticket, order } => self.ordered(ticket, order, at, effects),
            Input::HostPressure(stalls) => self.pressure.see(stalls, at),
            Input::Tick => {}
        }
    }
}

/// Judges a node, and plans its restart.
fn settle(node: &mut Node, at: WatchedMs, now: UnixMillis, dice: u32, effects: &mut Vec<Effect>) {
    let before = node.state;
    // Planning may find that there were too many restarts: that is a state, too.
    for _ in 0..2 {
        let (state, why) = judge::judge(node, at);
        (node.state, node.why) = (state, why);
        restart::schedule(node, at, dice);
    }
    if let Some(why) = node.to_tell.take() {
        effects.push(Effect::Call { node: node.id().clone(), why });
    }
    let (state, message) = (node.state, node.why.clone());
    if state != before {
        node.since = now;
        effects.push(Effect::Changed(NodeChanged {
            node: node.id().clone(),
            state,
            before,
            message,
            at: now,
        }));
    }
    let stall_after = node.about.stall_after;
    if node.state == NodeState::Syncing
        && let Some(message) = node.probes.sync.news(at, stall_after)
    {
        effects.push(Effect::SyncNews { node: node.id().clone(), message, at: now });
    }
}

/// What is remembered of a node, without times that go on by themselves.
type Kept = (NodeWanted, NodeHold, Option<WatchedMs>, Option<UnixMillis>);

fn kept(node: &Node) -> Kept {
    (node.wanted, node.hold.kind, node.hold.until, node.removal_at)
}
