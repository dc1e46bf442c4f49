//! Says when all relays' bids differed from the beacon node's payload attributes: they were not returned, and somebody is wrong.

use std::sync::Arc;

use super::{rules::NODE_CONTRADICTS_RELAYS, watch_signals::WatchSignals};
use crate::{
    auction::{Auction, NodeConflict},
    consensus::SlotClock,
    events::{Conditions, Effect},
    types::UnixMillis,
};

/// Name of the condition.
const ATTRIBUTES: &str = "payload_attributes";
/// How long it is shown if no later auction says otherwise. Arbitrary: a day, as many validators propose twice a year.
const SHOWN_MS: i64 = 86_400_000;

/// Watches whether bids and the beacon node agree on what payloads must have.
#[derive(Debug)]
pub(super) struct ConflictWatch {
    pub(super) slots: SlotClock,
    pub(super) auction: Arc<Auction>,
    pub(super) conditions: Conditions,
    pub(super) said: Option<NodeConflict>,
}

impl ConflictWatch {
    /// Looks at what came of the last auctions.
    pub(super) async fn look(&mut self, now: UnixMillis, signals: &mut WatchSignals) {
        let is_fresh =
            |conflict: &NodeConflict| now < self.slots.start_of(conflict.slot).saturating_add(SHOWN_MS);
        let Some(conflict) = self.auction.node_conflict().filter(is_fresh) else {
            let well = "no auction since the start, or of the last day, had only bids that the beacon node contradicts";
            self.conditions.set(ATTRIBUTES, Effect::None, well);
            signals
                .resolve(&NODE_CONTRADICTS_RELAYS, "beacon", "relays' bids are as the beacon node says again")
                .await;
            self.said = None;
            return;
        };
        if self.said.as_ref() == Some(&conflict) {
            return;
        }
        let NodeConflict { slot, relays, difference } = &conflict;
        let message = format!(
            "in slot {slot} no bid was as the beacon node says that the payload must be ({relays} relays bid; the first: {difference}). None was \
             returned, and nobody is blamed. If the block of that slot was built locally all is well, and the relays are wrong; if this comes \
             again, look whether the node of [beacon] is in sync and up to date; `payload_attributes = false` there ends the comparison"
        );
        self.conditions.set(ATTRIBUTES, Effect::Degraded, message.clone());
        signals.raise(&NODE_CONTRADICTS_RELAYS, "beacon", &message).await;
        self.said = Some(conflict);
    }
}
