//! What is shown of nodes.

use std::collections::HashMap;

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

use super::NodeView;
use crate::{
    events::{ActedBy, NodeAction, NodeState},
    types::{NodeId, labelled},
};

const STATE: &str = "relaymux_node_state";
const READY: &str = "relaymux_node_ready";
const RESTARTS: &str = "relaymux_node_restarts_total";
const OOM_KILLS: &str = "relaymux_node_oom_kills_total";
const MEMORY: &str = "relaymux_node_memory_bytes";
const MEMORY_LIMIT: &str = "relaymux_node_memory_limit_bytes";
const HEAD_AGE: &str = "relaymux_node_head_age_seconds";
const BEHIND: &str = "relaymux_node_blocks_behind";

labelled! {
    /// Why a node was started again.
    pub(super) enum RestartReason {
        /// It had ended by itself.
        Crashed = "crashed",
        /// The kernel had killed it for its memory.
        OutOfMemory = "out_of_memory",
        /// It ran, and did not answer.
        Hung = "hung",
        /// A person or the schedule had asked for it.
        Ordered = "ordered",
    }
}

impl RestartReason {
    /// Of an action on a node in a state; none: that is no restart.
    pub(super) fn of(action: NodeAction, by: ActedBy, state: NodeState) -> Option<Self> {
        match (action, by) {
            (NodeAction::Restart, ActedBy::Operator | ActedBy::Schedule | ActedBy::Disk) => {
                Some(Self::Ordered)
            }
            (NodeAction::Start | NodeAction::Restart, ActedBy::Supervisor) => match state {
                NodeState::OutOfMemory => Some(Self::OutOfMemory),
                NodeState::Hung => Some(Self::Hung),
                NodeState::Unknown
                | NodeState::Absent
                | NodeState::Starting
                | NodeState::Syncing
                | NodeState::Healthy
                | NodeState::Lagging
                | NodeState::Crashed
                | NodeState::CrashLoop
                | NodeState::Pruning
                | NodeState::Maintenance
                | NodeState::Stopped => Some(Self::Crashed),
            },
            // What was stopped is started: no restart.
            (NodeAction::Start, ActedBy::Operator | ActedBy::Schedule | ActedBy::Disk)
            | (
                NodeAction::Create
                | NodeAction::Stop
                | NodeAction::Resize
                | NodeAction::Resume
                | NodeAction::Remove
                | NodeAction::CallHuman,
                _,
            ) => None,
        }
    }
}

/// Describes what is shown of nodes.
pub fn describe_metrics() {
    describe_gauge!(STATE, "1 for the state that the node has, 0 for the others");
    describe_gauge!(READY, "1 while the node is able to serve, 0 while it is not");
    describe_counter!(RESTARTS, "Restarts of the node that were begun, by why");
    describe_counter!(OOM_KILLS, "How often the kernel ended the node for its memory");
    describe_gauge!(MEMORY, Unit::Bytes, "Memory that the node uses; NaN while it is not known");
    describe_gauge!(MEMORY_LIMIT, Unit::Bytes, "Memory that the node may use; NaN without a limit");
    describe_gauge!(HEAD_AGE, Unit::Seconds, "Age of the node's newest block; NaN while it is not known");
    describe_gauge!(BEHIND, "Blocks or slots that the node has yet to go; NaN while it is not known");
}

/// Shows nodes, and counts what happens to them: of one supervisor, from its beginning.
#[derive(Debug, Default)]
pub(super) struct NodeMeter {
    /// The state that is shown, and kills that were counted.
    shown: HashMap<NodeId, (NodeState, u64)>,
}

impl NodeMeter {
    /// Begins what is counted at 0: a counter that appears with the first restart has no increase.
    pub(super) fn begin<'a>(nodes: impl Iterator<Item = &'a NodeId>) -> Self {
        for node in nodes {
            for reason in RestartReason::ALL {
                counter!(RESTARTS, "node" => node.to_string(), "reason" => reason.label()).increment(0);
            }
            counter!(OOM_KILLS, "node" => node.to_string()).increment(0);
        }
        Self::default()
    }

    /// A restart begins.
    pub(super) fn restarts(&self, node: &NodeId, reason: RestartReason) {
        counter!(RESTARTS, "node" => node.to_string(), "reason" => reason.label()).increment(1);
    }

    /// Shows all nodes as they are.
    pub(super) fn show(&mut self, nodes: &[NodeView]) {
        for node in nodes {
            let before = self.shown.insert(node.id.clone(), (node.state, node.oom_kills));
            if before.map(|(state, _)| state) != Some(node.state) {
                show_state(&node.id, node.state);
            }
            let counted = before.map_or(0, |(_, kills)| kills);
            if node.oom_kills > counted {
                counter!(OOM_KILLS, "node" => node.id.to_string()).increment(node.oom_kills - counted);
            }
            let numbers = [
                (MEMORY, node.usage.memory_bytes.map(float)),
                (MEMORY_LIMIT, node.limits.memory_bytes.map(float)),
                (HEAD_AGE, node.head_age_ms.and_then(seconds)),
                (BEHIND, node.behind.map(float)),
            ];
            for (name, value) in numbers {
                gauge!(name, "node" => node.id.to_string()).set(value.unwrap_or(f64::NAN));
            }
        }
    }
}

fn show_state(node: &NodeId, state: NodeState) {
    for other in NodeState::ALL {
        let is_it = if other == state { 1.0 } else { 0.0 };
        gauge!(STATE, "node" => node.to_string(), "state" => other.label()).set(is_it);
    }
    let is_ready = state == NodeState::Healthy;
    gauge!(READY, "node" => node.to_string()).set(f64::from(u8::from(is_ready)));
}

#[expect(clippy::cast_precision_loss, reason = "bytes of memory and blocks are below 2^52")]
const fn float(number: u64) -> f64 {
    number as f64
}

/// A clock that is behind the block's makes it no younger than now.
fn seconds(ms: i64) -> Option<f64> {
    u64::try_from(ms.max(0)).ok().map(|ms| float(ms) / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_starts_again_is_a_restart() {
        use {
            ActedBy::{Operator, Schedule, Supervisor},
            NodeAction as Do, NodeState as Is,
        };
        for (action, by, state, want) in [
            (Do::Start, Supervisor, Is::Crashed, Some(RestartReason::Crashed)),
            (Do::Start, Supervisor, Is::OutOfMemory, Some(RestartReason::OutOfMemory)),
            (Do::Restart, Supervisor, Is::Hung, Some(RestartReason::Hung)),
            (Do::Restart, Operator, Is::Healthy, Some(RestartReason::Ordered)),
            (Do::Restart, Schedule, Is::Hung, Some(RestartReason::Ordered)),
            (Do::Start, Operator, Is::Stopped, None),
            (Do::Stop, Operator, Is::Healthy, None),
            (Do::CallHuman, Supervisor, Is::CrashLoop, None),
        ] {
            assert_eq!(RestartReason::of(action, by, state), want, "{action:?} {by:?} {state:?}");
        }
    }
}
