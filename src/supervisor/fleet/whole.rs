//! All nodes, and what is known of them.

use super::{
    about::About,
    cut_short::CutShort,
    hold_bounds::LONGEST_HOLD,
    input::{Memory, Remembered},
    node::{Doing, Hold, Node, Probes, Process, Restarts},
    pressure::Pressure,
    watched::{WatchedClock, WatchedMs, millis},
};
use crate::{
    events::{NodeAction, NodeState, NodeWanted},
    supervisor::PsiGuard,
    types::{NodeId, UnixMillis},
};

/// All nodes, and what is known of them.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(super) nodes: Vec<Node>,
    pub(super) clock: WatchedClock,
    /// When this machine was started, in Unix milliseconds.
    pub(super) booted_at: Option<UnixMillis>,
    pub(super) pressure: Pressure,
    /// State of the dice for jitter.
    pub(super) seed: u64,
}

impl Fleet {
    /// Nodes of which an earlier process may have left something. `seed`: of the jitter; any number.
    pub(crate) fn new(
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
            pressure: Pressure::new(PsiGuard::default()),
            seed: seed | 1,
        }
    }

    /// The same with another guard of the machine.
    #[must_use]
    pub(crate) fn guarded_by(mut self, guard: PsiGuard) -> Self {
        self.pressure = Pressure::new(guard);
        self
    }

    pub(super) fn node_mut(&mut self, id: &NodeId) -> Option<&mut Node> {
        self.nodes.iter_mut().find(|node| node.about.id == *id)
    }

    pub(super) fn index(&self, id: &NodeId) -> Option<usize> {
        self.nodes.iter().position(|node| node.about.id == *id)
    }

    /// States of all nodes.
    #[cfg(test)]
    pub(crate) fn states(&self) -> impl Iterator<Item = (&NodeId, NodeState)> {
        self.nodes.iter().map(|node| (&node.about.id, node.state))
    }

    /// How a node is.
    pub(crate) fn state(&self, id: &NodeId) -> Option<NodeState> {
        self.index(id).and_then(|index| self.nodes.get(index)).map(|node| node.state)
    }

    /// How each node is for whoever asks it: one that is being stopped is out before it ends.
    pub(crate) fn said(&self) -> impl Iterator<Item = (&NodeId, NodeState)> {
        self.nodes.iter().map(|node| {
            let takes_down = |doing: &Doing| matches!(doing.action, NodeAction::Stop | NodeAction::Restart);
            let goes = node.doing.as_ref().is_some_and(takes_down) && !node.state.is_out();
            (&node.about.id, if goes { NodeState::Stopped } else { node.state })
        })
    }

    /// 0 to 1023: splitmix64, as jitter has to be spread and not secret.
    pub(super) fn roll(&mut self) -> u32 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.seed ^ (self.seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        u32::try_from((mixed ^ (mixed >> 27)) >> 54).unwrap_or(0)
    }
}

/// A node as an earlier process left it.
fn restored(about: About, left: Option<&Remembered>, at: WatchedMs, now: UnixMillis) -> Node {
    let ago = |then: UnixMillis| WatchedMs(at.0.saturating_sub(now.saturating_sub(then).max(0)));
    let (mut wanted, mut hold, mut restarts) = (NodeWanted::Watched, Hold::NONE, Restarts::default());
    let (mut removal_at, mut cut_short) = (None, None);
    if let Some(left) = left {
        let Memory { wanted: was_wanted, hold: kind, hold_until, hold_why, removal_at: removal } =
            &left.memory;
        wanted = *was_wanted;
        let longest = millis(LONGEST_HOLD);
        let until = hold_until
            .map(|until| WatchedMs(at.0.saturating_add(until.saturating_sub(now).clamp(0, longest))));
        hold = Hold { kind: *kind, until, why: hold_why.clone() };
        restarts.begun = left.restarts.iter().map(|then| ago(*then)).collect();
        cut_short = left.under_way.map(|begun| CutShort::new(begun, now));
        removal_at = *removal;
    }
    Node {
        about,
        wanted,
        hold,
        state: NodeState::Unknown,
        since: now,
        why: "It has not been looked at yet.".to_owned(),
        process: Process::default(),
        probes: Probes::new(at),
        restarts,
        doing: None,
        job: None,
        cut_short,
        found_at: now,
        removal_at,
        to_tell: None,
    }
}
