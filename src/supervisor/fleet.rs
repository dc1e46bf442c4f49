//! The decision: a pure step over all nodes, from what was observed and ordered, to states and to what is to be done.
//!
//! Level by level: facts of each node are taken in (`observe`, `ending`), its state follows from them (`judge`), a restart follows from the
//! state (`restart`), and what people order comes as steps (`orders`). Nothing else decides, so whatever is missed, the next look makes up for.
//!
//! It promises: at most one restart in flight; none of a node that a person stopped, that is worked on or of which nothing is known; none for a
//! lag; never more within the window than the policy's burst; each with its reason. Time is what was watched (`watched`): a clock that leaps
//! brings no restart nearer than a minute.

mod about;
mod acted;
mod ending;
mod input;
mod judge;
mod node;
mod observe;
mod orders;
#[cfg(test)]
mod properties;
mod restart;
mod sync_watch;
#[cfg(test)]
mod table;
#[cfg(test)]
mod testing;
mod troubles;
mod view;
mod watched;

pub use about::RuntimeKind;
pub use input::{LimitsChange, Order, OrderDone, OrderKind, OrderRefused};
pub use orders::LONGEST_HOLD;
pub use view::NodeView;

pub(super) use about::About;
pub(super) use input::{Act, Effect, Input, Memory, Remembered};
pub(super) use troubles::Trouble;

use super::{
    Cpuset, Inspection, Limits, ProbeFailed, ProcessStatus, Ready, RuntimeError, RuntimeEvent, Sight, Usage,
};
use crate::{
    events::{NodeAction, NodeChanged, NodeHold, NodeState, NodeWanted},
    types::{NodeId, UnixMillis},
};
use ending::Ending;
use node::{Hold, Node, Probes, Process, Restarts};
use observe::Around;
use sync_watch::{HeadWatch, SyncWatch};
use watched::{WatchedClock, WatchedMs};

/// What is said of a run that we began.
const STARTED_BY_US: &str = "It was started.";
/// What is said of a run that we did not begin.
const SOMEBODY_STARTED: &str = "Somebody else has started it.";

/// All nodes, and what is known of them.
#[derive(Debug)]
pub(super) struct Fleet {
    nodes: Vec<Node>,
    clock: WatchedClock,
    /// When this machine was started, in Unix milliseconds.
    booted_at: Option<UnixMillis>,
    pressure: troubles::Pressure,
    /// State of the dice for jitter.
    seed: u64,
}

impl Fleet {
    /// Nodes of which an earlier process may have left something. `seed`: of the jitter; any number.
    pub(super) fn new(
        nodes: Vec<About>,
        remembered: &[Remembered],
        booted_at: Option<UnixMillis>,
        seed: u64,
        now: UnixMillis,
    ) -> Self {
        let mut clock = WatchedClock::default();
        let at = clock.at(now);
        let nodes = nodes.into_iter().map(|about| {
            let left = remembered.iter().find(|left| left.node == about.id);
            restored(about, left, at, now)
        });
        Self {
            nodes: nodes.collect(),
            clock,
            booted_at,
            pressure: troubles::Pressure::default(),
            seed: seed | 1,
        }
    }

    /// Takes in one thing, and says what follows. What is to be remembered comes before all that follows from it.
    pub(super) fn step(&mut self, input: Input, now: UnixMillis) -> Vec<Effect> {
        let at = self.clock.at(now);
        let before: Vec<Kept> = self.nodes.iter().map(kept).collect();
        let mut effects = Vec::new();
        self.take(input, at, &mut effects);
        for node in &mut self.nodes {
            if node.hold.until.is_some_and(|until| until <= at) {
                orders::end_hold(node, at);
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
        let around = Around { at, booted_at: self.booted_at, new_sync };
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
            Input::HostPressure(percent) => self.pressure.see(percent, at),
            Input::Tick => {}
        }
    }

    fn node_mut(&mut self, id: &NodeId) -> Option<&mut Node> {
        self.nodes.iter_mut().find(|node| node.about.id == *id)
    }

    fn index(&self, id: &NodeId) -> Option<usize> {
        self.nodes.iter().position(|node| node.about.id == *id)
    }

    /// States of all nodes.
    pub(super) fn states(&self) -> impl Iterator<Item = (&NodeId, NodeState)> {
        self.nodes.iter().map(|node| (&node.about.id, node.state))
    }

    /// 0 to 1023: splitmix64, as jitter has to be spread and not secret.
    fn roll(&mut self) -> u32 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.seed ^ (self.seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        u32::try_from((mixed ^ (mixed >> 27)) >> 54).unwrap_or(0)
    }
}

fn new_sync() -> Box<dyn SyncWatch> {
    Box::new(HeadWatch::default())
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
}

/// What is remembered of a node, without times that go on by themselves.
type Kept = (NodeWanted, NodeHold, Option<WatchedMs>);

fn kept(node: &Node) -> Kept {
    (node.wanted, node.hold.kind, node.hold.until)
}

/// A node as an earlier process left it.
fn restored(about: About, left: Option<&Remembered>, at: WatchedMs, now: UnixMillis) -> Node {
    let ago = |then: UnixMillis| WatchedMs(at.0.saturating_sub(now.saturating_sub(then).max(0)));
    let (mut wanted, mut hold, mut restarts) = (NodeWanted::Watched, Hold::NONE, Restarts::default());
    let mut our_hand = false;
    if let Some(left) = left {
        let Memory { wanted: was_wanted, hold: kind, hold_until, hold_why } = &left.memory;
        wanted = *was_wanted;
        let longest = watched::millis(LONGEST_HOLD);
        let until = hold_until
            .map(|until| WatchedMs(at.0.saturating_add(until.saturating_sub(now).clamp(0, longest))));
        hold = Hold { kind: *kind, until, why: hold_why.clone() };
        restarts.begun = left.restarts.iter().map(|then| ago(*then)).collect();
        our_hand =
            matches!(left.under_way, Some(NodeAction::Start | NodeAction::Restart | NodeAction::Create));
    }
    Node {
        about,
        wanted,
        hold,
        state: NodeState::Unknown,
        since: now,
        why: "It has not been looked at yet.".to_owned(),
        process: Process { our_hand, ..Process::default() },
        probes: Probes::new(at, new_sync()),
        restarts,
        doing: None,
        job: None,
    }
}
