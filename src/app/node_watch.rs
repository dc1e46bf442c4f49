//! Finds out, again and again, whether the operator's nodes are of the configured network: another node may be put under the same
//! address at any time. What is found holds for every use of the node, as the clients themselves refuse to be used.

use metrics::gauge;

use super::{
    rules::NODE_OF_OTHER_NETWORK,
    sync_gate::{Said, beacon_says, execution_says},
    watch_signals::WatchSignals,
};
use crate::{
    consensus::ReportedSpec,
    ethereum::{BeaconNode, ExecutionNode, NodeError, SyncStatus},
    events::{Conditions, Effect},
    types::UnixMillis,
};

/// What one look at the nodes found.
#[derive(Debug, Default)]
pub(super) struct NodesSeen {
    /// The beacon node's schedule of forks.
    pub(super) spec: Option<ReportedSpec>,
    /// How far the beacon node is.
    pub(super) sync: Option<SyncStatus>,
    /// Whether the beacon node shows that it is of the configured network.
    pub(super) is_ours: bool,
    /// Whether it is of another.
    pub(super) is_other: bool,
    /// What both nodes say of being there.
    pub(super) beacon_said: Said,
    pub(super) execution_said: Said,
}

/// The operator's nodes that are asked each slot, and where what is found of them is shown.
#[derive(Debug)]
pub(super) struct NodeWatch {
    pub(super) beacon: Option<BeaconNode>,
    pub(super) execution: Option<ExecutionNode>,
    pub(super) conditions: Conditions,
}

impl NodeWatch {
    /// Asks both.
    pub(super) async fn look(&mut self, now: UnixMillis, signals: &mut WatchSignals) -> NodesSeen {
        let mut seen = NodesSeen::default();
        if let Some(beacon) = &self.beacon {
            let mut identity = beacon.verify_network().await;
            if identity.is_ok() {
                match beacon.reported_spec().await {
                    Ok(spec) => seen.spec = Some(spec),
                    Err(error @ NodeError::OtherNetwork { .. }) => identity = Err(error),
                    // It does not serve this; that proves nothing.
                    Err(_) => {}
                }
                seen.is_ours = identity.is_ok() && beacon.is_shown_to_be_ours();
                seen.sync = beacon.sync_status().await.ok();
            }
            seen.is_other = matches!(identity, Err(NodeError::OtherNetwork { .. }));
            seen.beacon_said = if seen.is_other { Said::NotOurs } else { beacon_says(seen.sync.as_ref()) };
            let what = Kind { name: "beacon", condition: "beacon_node" };
            self.notify(what, identity, signals).await;
        }
        if let Some(execution) = &self.execution {
            let what = Kind { name: "execution", condition: "execution_node" };
            let identity = execution.chain_id().await.map(drop);
            seen.execution_said = match &identity {
                Ok(()) => execution_says(execution.progress().await.ok().as_ref(), now),
                Err(NodeError::OtherChain { .. }) => Said::NotOurs,
                Err(_) => Said::Nothing,
            };
            self.notify(what, identity, signals).await;
        }
        seen
    }

    async fn notify(&self, kind: Kind, identity: Result<(), NodeError>, signals: &mut WatchSignals) {
        let Kind { name, condition } = kind;
        let is_other = matches!(identity, Err(NodeError::OtherNetwork { .. } | NodeError::OtherChain { .. }));
        gauge!("relaymux_node_of_other_network", "node" => name).set(f64::from(u8::from(is_other)));
        match identity {
            Err(error) if is_other => {
                let message = format!(
                    "the {name} node is not of this network, and nothing it says is used: {error}. Correct `url` in [{name}], or `network`"
                );
                // Headers are served without it.
                self.conditions.set(condition, Effect::Degraded, message.clone());
                signals.raise(&NODE_OF_OTHER_NETWORK, name, &message).await;
            }
            Ok(()) => {
                self.conditions.set(condition, Effect::None, "answers, and is of the configured network");
                signals.resolve(&NODE_OF_OTHER_NETWORK, name, "it is of the configured network").await;
            }
            // What was known of it holds.
            Err(error) => {
                self.conditions.set(condition, Effect::Degraded, format!("does not answer: {error}"))
            }
        }
    }
}

/// What a node is called.
#[derive(Clone, Copy, Debug)]
struct Kind {
    /// The node's section in the configuration, which is its name in messages and metrics.
    name: &'static str,
    condition: &'static str,
}
