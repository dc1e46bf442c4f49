//! What is known of a node when a plan is made.

use super::super::{Inspection, Layer, NodeKind, NodeSettings, ProcessStatus};
use crate::types::NodeId;

/// A node, and what its runtime showed.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// The node.
    pub node: &'a NodeSettings,
    /// What its runtime showed; none: it did not answer.
    pub seen: Option<&'a Inspection>,
}

impl Look<'_> {
    /// Whether its process is there: it uses memory, or will the next moment.
    pub(super) fn runs(&self) -> bool {
        self.seen.is_some_and(|seen| match seen.status {
            ProcessStatus::Running { .. } | ProcessStatus::Paused | ProcessStatus::Stopping => true,
            ProcessStatus::Absent | ProcessStatus::Created | ProcessStatus::Exited { .. } => false,
        })
    }

    pub(super) fn is_named(&self, named: &[NodeId]) -> bool {
        named.is_empty() || named.contains(&self.node.id)
    }
}

/// The nodes that admission has to count: those that run, and those that are to. `named`: those that a person named; empty: all.
pub fn counted<'a>(looks: &[Look<'a>], named: &[NodeId]) -> Vec<&'a NodeSettings> {
    looks.iter().filter(|look| look.runs() || look.is_named(named)).map(|look| look.node).collect()
}

/// In which order nodes are started: each after those that it stands on. Stopped in the opposite one.
pub(super) const fn rank(kind: NodeKind) -> u8 {
    match (kind, kind.layer()) {
        (NodeKind::OpReth, _) => 2,
        (_, Layer::Execution) => 0,
        (_, Layer::Consensus) => 1,
        (_, Layer::L2) => 3,
        (_, Layer::Solana) => 4,
        (_, Layer::Other) => 5,
    }
}
