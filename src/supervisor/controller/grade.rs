//! How a probe counts for a node's availability.

use crate::{
    events::{AnswerGrade, NodeState},
    supervisor::{ProbeFailed, Ready, Sight},
};

/// How a probe counts for availability; none where nobody counts on the node, or it is on its first way.
pub(super) fn grade(state: NodeState, result: &Result<Sight, ProbeFailed>) -> Option<AnswerGrade> {
    let serves = matches!(result, Ok(Sight { ready: Ready::Yes | Ready::Lagging(_), .. }));
    match state {
        NodeState::Stopped
        | NodeState::Absent
        | NodeState::Maintenance
        | NodeState::Pruning
        | NodeState::Unknown
        | NodeState::Syncing => None,
        _ if serves => Some(AnswerGrade::Good),
        NodeState::Healthy
        | NodeState::Lagging
        | NodeState::Starting
        | NodeState::Hung
        | NodeState::Crashed
        | NodeState::OutOfMemory
        | NodeState::CrashLoop => Some(AnswerGrade::Bad),
    }
}
