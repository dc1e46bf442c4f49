//! What the operator's beacon node says of the payloads of the coming slots, for whoever holds an auction.
//!
//! The node's client refuses a block that differs, and by then it is too late for a block of its own. So the node decides which bids may be
//! returned. Its attributes are of a slot and a parent: of another parent, after a reorganisation, they say nothing; where there are none, nothing is
//! compared. Reading them waits for nobody.

use std::collections::VecDeque;

use alloy_primitives::B256;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{consensus::PayloadAttributes, types::Slot};

/// Attributes kept. Arbitrary: those of this slot and the next, with a few parents each.
const KEPT: usize = 8;

/// All bids of an auction differ from the beacon node's attributes. Who is right is not known here; the client follows its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeConflict {
    /// The auction's slot.
    pub slot: Slot,
    /// Relays with such bids.
    pub relays: usize,
    /// What differs, with both sides.
    pub difference: String,
}

/// What came of comparing an auction's bids with the node's attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Comparison {
    /// There were no attributes, or no bid.
    #[default]
    None,
    /// Somebody agreed with the node.
    Agreed,
    /// Nobody did.
    Conflict(NodeConflict),
}

/// The node's newest attributes, and what came of comparing bids with them.
#[derive(Debug, Default)]
pub(super) struct NodeAttributes {
    recent: watch::Sender<VecDeque<PayloadAttributes>>,
    conflict: Mutex<Option<NodeConflict>>,
}

impl NodeAttributes {
    /// Takes in attributes: of several for one slot and parent the newest count.
    pub(super) fn publish(&self, attributes: PayloadAttributes) {
        self.recent.send_modify(|recent| {
            recent.retain(|old| (old.slot, old.parent_hash) != (attributes.slot, attributes.parent_hash));
            recent.truncate(KEPT - 1);
            recent.push_front(attributes);
        });
    }

    /// Drops all attributes: they are not to be believed.
    pub(super) fn clear(&self) {
        self.recent.send_modify(VecDeque::clear);
    }

    /// Follows the attributes of a slot and parent.
    pub(super) fn subscribe(&self, slot: Slot, parent_hash: B256) -> AttributesReceiver {
        AttributesReceiver { recent: self.recent.subscribe(), slot, parent_hash }
    }

    /// Keeps what came of an auction.
    pub(super) fn record(&self, comparison: Comparison) {
        match comparison {
            Comparison::None => {}
            Comparison::Agreed => *self.conflict.lock() = None,
            Comparison::Conflict(conflict) => *self.conflict.lock() = Some(conflict),
        }
    }

    /// The last auction that could be compared, if nobody agreed with the node.
    pub(super) fn conflict(&self) -> Option<NodeConflict> {
        self.conflict.lock().clone()
    }
}

/// The attributes of one slot and parent.
#[derive(Debug)]
pub(super) struct AttributesReceiver {
    recent: watch::Receiver<VecDeque<PayloadAttributes>>,
    slot: Slot,
    parent_hash: B256,
}

impl AttributesReceiver {
    /// Those known by now.
    pub(super) fn latest(&mut self) -> Option<PayloadAttributes> {
        let recent = self.recent.borrow_and_update();
        let mut recent = recent.iter();
        recent
            .find(|attributes| attributes.slot == self.slot && attributes.parent_hash == self.parent_hash)
            .copied()
    }

    /// Waits until attributes of any slot have come since the last look. Cancel-safe.
    pub(super) async fn changed(&mut self) {
        if self.recent.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(slot: u64, parent: u8, randao: u8) -> PayloadAttributes {
        let [parent_hash, prev_randao] = [parent, randao].map(B256::repeat_byte);
        PayloadAttributes { slot: Slot::new(slot), parent_hash, prev_randao, withdrawals_root: None }
    }

    #[tokio::test]
    async fn the_newest_of_a_slot_and_parent_count_and_few_are_kept() {
        let node = NodeAttributes::default();
        let mut receiver = node.subscribe(Slot::new(5), B256::repeat_byte(1));
        assert_eq!(receiver.latest(), None);
        // Of another parent, or of another slot.
        node.publish(attributes(5, 2, 7));
        node.publish(attributes(6, 1, 7));
        receiver.changed().await;
        assert_eq!(receiver.latest(), None);
        node.publish(attributes(5, 1, 7));
        node.publish(attributes(5, 1, 8));
        assert_eq!(receiver.latest(), Some(attributes(5, 1, 8)));
        assert_eq!(node.recent.borrow().len(), 3);
        for slot in 0..100 {
            node.publish(attributes(100 + slot, 1, 9));
        }
        assert_eq!((node.recent.borrow().len(), receiver.latest()), (KEPT, None));
        node.clear();
        assert_eq!(node.subscribe(Slot::new(199), B256::repeat_byte(1)).latest(), None);
    }
}
