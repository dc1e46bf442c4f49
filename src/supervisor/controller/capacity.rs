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
        OrderKind::Up | OrderKind::Restart | OrderKind::Resume if !runs(ordered) => {}
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
            let view = views.iter().find(|view| view.id == node.id)?;
            let mut node = node.clone();
            // A resize holds until it is created anew.
            if runs(view) {
                node.limits.memory = view.limits.memory_bytes;
                node.limits.cpus = view.limits.cpus;
            }
            if node.id == order.node {
                if let OrderKind::Resize(change) = &order.kind {
                    node.limits = change.onto(&node.limits);
                }
                return Some(node);
            }
            (view.wanted == NodeWanted::Up || runs(view)).then_some(node)
        })
        .collect();
    let admission = admit(host, reserve, &counted);
    (!admission.fits()).then(|| admission.words())
}

fn runs(view: &NodeView) -> bool {
    !matches!(view.state, NodeState::Unknown | NodeState::Absent | NodeState::Stopped | NodeState::CrashLoop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        events::ActedBy,
        supervisor::{
            LimitsChange,
            controller::testing::settings,
            fleet::{About, Fleet},
        },
        types::NodeId,
    };

    const GIB: u64 = 1 << 30;

    /// A node of the supervisor's own view, with its state.
    fn node(name: &str, memory: u64, state: NodeState) -> (NodeSettings, NodeView) {
        let mut node = settings(name, name);
        node.limits.memory = Some(memory);
        node.limits.cpus = Some(1.0);
        let fleet = Fleet::new(vec![About::of(&node)], &[], None, 1, 0);
        let mut view = fleet.view().remove(0);
        view.state = state;
        view.wanted = if state == NodeState::Healthy { NodeWanted::Up } else { NodeWanted::Watched };
        (node, view)
    }

    #[test]
    fn what_does_not_fit_is_refused_and_what_runs_is_not() {
        let all = [
            node("runs", 10 * GIB, NodeState::Healthy),
            node("small", 4 * GIB, NodeState::Absent),
            node("large", 20 * GIB, NodeState::Absent),
        ];
        let (nodes, views): (Vec<NodeSettings>, Vec<NodeView>) = all.into_iter().unzip();
        let host = HostSize { memory: 24 * GIB, cpus: 8.0 };
        let refused = |name: &str, kind| {
            let order =
                Order { node: NodeId::parse(name).unwrap(), kind, by: ActedBy::Operator, why: String::new() };
            no_room(&order, &nodes, &views, (host, Reserve::default())).is_some()
        };
        let memory =
            |gib| OrderKind::Resize(LimitsChange { memory: Some(gib * GIB), ..LimitsChange::default() });
        for (name, kind, want) in [
            ("small", OrderKind::Up, false),
            ("large", OrderKind::Up, true),
            ("runs", OrderKind::Up, false),
            ("large", OrderKind::Stop, false),
            ("large", OrderKind::Restart, true),
            ("large", OrderKind::Resume, true),
            ("runs", OrderKind::Restart, false),
            ("runs", memory(20), false),
            ("runs", memory(23), true),
            ("runs", memory(2), false),
        ] {
            assert_eq!(refused(name, kind.clone()), want, "{name} {kind:?}");
        }
    }
}
