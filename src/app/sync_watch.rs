//! Holds bids back while a node of the operator's says that it is not there, and tells of it: the shell around `sync_gate`.

use std::sync::Arc;

use metrics::gauge;

use super::{
    rules::BIDS_HELD_BACK,
    sync_gate::{Said, SyncGate},
    watch_signals::WatchSignals,
};
use crate::{
    auction::{Auction, Held},
    builder_api::RequireSynced,
    events::{Conditions, Effect},
    types::UnixMillis,
};

/// What is known of both nodes.
#[derive(Debug)]
pub(super) struct SyncWatch {
    require: RequireSynced,
    auction: Arc<Auction>,
    conditions: Conditions,
    beacon: SyncGate,
    execution: SyncGate,
}

impl SyncWatch {
    /// Begins without knowing anything: bids are not held back.
    pub(super) fn new(require: RequireSynced, auction: Arc<Auction>, conditions: Conditions) -> Self {
        auction.hold_bids(None);
        Self { require, auction, conditions, beacon: SyncGate::default(), execution: SyncGate::default() }
    }

    /// Takes in what both said.
    pub(super) async fn look(
        &mut self,
        beacon: Said,
        execution: Said,
        now: UnixMillis,
        signals: &mut WatchSignals,
    ) {
        if self.require == RequireSynced::Off {
            for node in ["beacon", "execution"] {
                signals.resolve(&BIDS_HELD_BACK, node, "bids wait for no node any more").await;
            }
            return;
        }
        for (node, said) in [("beacon", &beacon), ("execution", &execution)] {
            let is_behind = matches!(said, Said::NotSynced(_));
            gauge!("relaymux_node_not_synced", "node" => node).set(f64::from(u8::from(is_behind)));
        }
        self.beacon = std::mem::take(&mut self.beacon).step(beacon, now);
        self.execution = std::mem::take(&mut self.execution).step(execution, now);
        let gates = [("beacon", &self.beacon), ("execution", &self.execution)];
        let held = gates.iter().find_map(|(_, gate)| gate.holds(now));
        self.auction.hold_bids(held.map(|(reason, until)| Held {
            reason: format!("bids wait until the chain is there: {reason}"),
            until,
        }));
        // Before the ledger is told: that may take a moment.
        match held {
            Some((reason, _)) => {
                let message = format!("no bids are returned: {reason}");
                self.conditions.set("nodes_synced", Effect::Degraded, message);
            }
            None => self.conditions.set("nodes_synced", Effect::None, "no node says that it is not synced"),
        }
        for (node, gate) in gates {
            match gate.holds(now) {
                Some((reason, _)) => {
                    let message = format!(
                        "no bids are returned, as {reason}; [builder_api] require_synced = \"off\" would return them"
                    );
                    signals.raise(&BIDS_HELD_BACK, node, &message).await;
                }
                None if gate.is_in_doubt() => {}
                None => {
                    let message = "it is synced, or says nothing any more";
                    signals.resolve(&BIDS_HELD_BACK, node, message).await;
                }
            }
        }
    }
}
