//! Whether this machine has room for what a person orders. What the supervisor does by itself starts nothing that did not run before.

use crate::{
    events::{NodeState, NodeWanted},
    host::HostSize,
    supervisor::{NodeSettings, NodeView, Order, OrderKind, Reserve, admit},
};

/// Why there is none: every node that runs or is to run is counted, with its limits as they would be. None: there is, or what is ordered takes no more
/// than before.
pub(super) fn no_room(
    order: &Order,
    nodes: &[NodeSettings],
    views: &[NodeView],
    (host, reserve): (HostSize, Reserve),
) -> Option<String> {
    let ordered = views.iter().find(|view| view.id == order.node)?;
    match &order.kind {
        // What runs already is not made better by refusing it.
        OrderKind::Up if !runs(ordered) => {}
        OrderKind::Resize(change) => {
            let limits = &ordered.limits;
            let more_memory =
                change.memory.is_some_and(|after| limits.memory_bytes.is_some_and(|now| after > now));
            let more_cpus = change.cpus.is_some_and(|after| limits.cpus.is_some_and(|now| after > now));
            if !more_memory && !more_cpus {
                return None;
            }
        }
        _ => return None,
    }
    let counted: Vec<NodeSettings> = nodes
        .iter()
        .filter_map(|node| {
            let mut node = node.clone();
            if node.id == order.node {
                if let OrderKind::Resize(change) = &order.kind {
                    node.limits = change.onto(&node.limits);
                }
                return Some(node);
            }
            let view = views.iter().find(|view| view.id == node.id)?;
            (view.wanted == NodeWanted::Up || runs(view)).then_some(node)
        })
        .collect();
    let admission = admit(host, reserve, &counted);
    (!admission.fits()).then(|| admission.words())
}

fn runs(view: &NodeView) -> bool {
    !matches!(view.state, NodeState::Unknown | NodeState::Absent | NodeState::Stopped | NodeState::CrashLoop)
}
