//! Goes on with what an earlier process of relaymux was ordered to do and has not done, where nobody has used the node since.

use super::{
    cut_short::CutShort,
    input::UnderWay,
    node::{Job, NO_TICKET, Node},
};
use crate::{
    events::{ActedBy, NodeAction, NodeWanted},
    supervisor::ProcessStatus,
};

const DOWN: &str = "It was ordered down, and relaymux itself ended before that was done.";

/// Begins what is left of an order that was cut short, or has a person told that it is not. Whether it begins anything.
pub(super) fn go_on(node: &mut Node, cut_short: Option<CutShort>, status: &ProcessStatus) -> bool {
    let stop = cut_short.filter(|it| it.is(NodeAction::Stop));
    let removal = node.removal_at.filter(|_| node.job.is_none()).map(|at| {
        let begun = UnderWay { action: NodeAction::Remove, at };
        CutShort::new(begun, node.found_at)
    });
    let (why, steps): (&str, &[NodeAction]) = match status {
        ProcessStatus::Running { .. } => {
            let goes = stop.or(removal).is_some_and(|it| it.was_to_stop(status, &node.about));
            match (goes, removal) {
                (true, None) => (
                    "It was ordered to stop, and relaymux itself ended before that was done.",
                    &[NodeAction::Stop],
                ),
                (true, Some(_)) => (DOWN, &[NodeAction::Stop, NodeAction::Remove]),
                (false, _) => ("", &[]),
            }
        }
        ProcessStatus::Exited { .. } | ProcessStatus::Created
            if removal.is_some_and(|it| it.explains(status, &node.about)) =>
        {
            (DOWN, &[NodeAction::Remove])
        }
        ProcessStatus::Absent
            if cut_short.is_some_and(|it| it.is(NodeAction::Create) && it.explains(status, &node.about))
                && node.wanted == NodeWanted::Up =>
        {
            let why = "It was ordered up, and relaymux itself ended while it was being made.";
            (why, &[NodeAction::Create, NodeAction::Start])
        }
        ProcessStatus::Stopping => return false,
        _ => ("", &[]),
    };
    let may_remove = node.process.ours && node.wanted == NodeWanted::Stopped;
    let steps: Vec<NodeAction> =
        steps.iter().copied().filter(|step| *step != NodeAction::Remove || may_remove).collect();
    if removal.is_some() && !steps.contains(&NodeAction::Remove) {
        node.removal_at = None;
        if *status != ProcessStatus::Absent {
            node.to_tell = Some(format!(
                "It was ordered down, and relaymux itself ended before it was removed. Somebody has used it since, so it is left as it is: `relaymux nodes down {id} --remove` removes it.",
                id = node.about.id
            ));
        }
    }
    if steps.is_empty() || node.job.is_some() {
        return false;
    }
    node.process.our_hand = false;
    node.job = Some(Job {
        ticket: NO_TICKET,
        steps: steps.into(),
        limits: None,
        by: ActedBy::Operator,
        why: why.to_owned(),
        done: String::new(),
    });
    true
}
