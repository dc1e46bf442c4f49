//! How the payloads of one auction must be built: by the beacon node's attributes, which decide, or by the relays' own bids where there are
//! none. Out: which bids may not be returned, and against whom that may be held.
//!
//! The node alone blames nobody: it may be behind, or broken. With another relay's bid beside it, it does. If no bid at all agrees
//! with the node, none is returned, and the operator is told.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::B256;

use super::{
    check::BidFault,
    node_attributes::{AttributesReceiver, Comparison, NodeConflict},
    randao::{Contradiction, RandaoViews},
};
use crate::{
    consensus::{BidFacts, PayloadAttributes},
    types::Slot,
};

/// How a bid's payload was built, as far as its header shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PayloadFields {
    prev_randao: B256,
    withdrawals_root: Option<B256>,
}

impl PayloadFields {
    const fn of(facts: &BidFacts) -> Self {
        Self { prev_randao: facts.prev_randao, withdrawals_root: facts.withdrawals_root }
    }

    /// Whether it is as the node has it. Withdrawals are compared where both sides have them.
    fn fits(&self, attributes: &PayloadAttributes) -> bool {
        self.prev_randao == attributes.prev_randao && self.other_withdrawals(attributes).is_none()
    }

    /// Its withdrawals and the node's, if they differ.
    fn other_withdrawals(&self, attributes: &PayloadAttributes) -> Option<(B256, B256)> {
        let both = self.withdrawals_root.zip(attributes.withdrawals_root);
        both.filter(|(got, node_says)| got != node_says)
    }
}

/// A bid that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SeenBid {
    relay: usize,
    fields: PayloadFields,
    /// Whether its signature was checked and holds.
    is_proven: bool,
}

/// A bid that may not be returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PayloadMismatch {
    /// Index of its relay.
    pub(super) relay: usize,
    /// The bid's number within its auction, by which this comparison knows it.
    pub(super) number: usize,
    /// What differs from the beacon node's word or from the other relays'.
    pub(super) fault: BidFault,
    /// Whether the node and another relay are against it.
    pub(super) is_corroborated: bool,
}

/// The bids of one auction as far as they came, and what they are compared with.
#[derive(Debug)]
pub(super) struct PayloadComparison {
    /// Each bid that came, by its number, save those that were not signed by their relay.
    bids: BTreeMap<usize, SeenBid>,
    views: RandaoViews,
    attributes: Option<PayloadAttributes>,
    receiver: AttributesReceiver,
}

impl PayloadComparison {
    pub(super) fn new(receiver: AttributesReceiver) -> Self {
        Self { bids: BTreeMap::new(), views: RandaoViews::default(), attributes: None, receiver }
    }

    /// Takes in what the node says by now; whether that is news.
    pub(super) fn refresh(&mut self) -> bool {
        let attributes = self.receiver.latest();
        let is_news = attributes != self.attributes;
        self.attributes = attributes;
        is_news
    }

    /// Waits until the node says something. Cancel-safe.
    pub(super) async fn changed(&mut self) {
        self.receiver.changed().await;
    }

    /// A relay has a bid; whether the bids in hand are to be looked at again.
    pub(super) fn add(&mut self, number: usize, relay: usize, facts: &BidFacts) -> bool {
        let fields = PayloadFields::of(facts);
        self.bids.insert(number, SeenBid { relay, fields, is_proven: false });
        let is_new_view = self.views.add(relay, fields.prev_randao);
        (is_new_view && self.attributes.is_none()) || self.contradicts(facts)
    }

    /// A bid's signature holds.
    pub(super) fn holds(&mut self, number: usize) {
        if let Some(bid) = self.bids.get_mut(&number) {
            bid.is_proven = true;
        }
    }

    /// A bid was not signed by its relay: it says nothing.
    pub(super) fn remove(&mut self, number: usize) {
        if let Some(bid) = self.bids.remove(&number) {
            self.views.remove(bid.relay, bid.fields.prev_randao);
        }
    }

    /// Whether a bid may not be returned.
    pub(super) fn contradicts(&self, facts: &BidFacts) -> bool {
        let fields = PayloadFields::of(facts);
        match &self.attributes {
            Some(attributes) => !fields.fits(attributes),
            None => self.views.against(fields.prev_randao).is_some(),
        }
    }

    /// The bids that may not be returned, with the reason.
    pub(super) fn mismatches(&self) -> Vec<PayloadMismatch> {
        let mismatch = |(number, bid): (&usize, &SeenBid)| {
            let fault = self.fault_of(bid)?;
            let is_corroborated = self.agreeing(bid.relay) > 0;
            Some(PayloadMismatch { relay: bid.relay, number: *number, fault, is_corroborated })
        };
        self.bids.iter().filter_map(mismatch).collect()
    }

    /// What came of comparing the bids with the node's attributes.
    pub(super) fn comparison(&self, slot: Slot) -> Comparison {
        let (Some(attributes), Some(first)) = (self.attributes, self.bids.values().next()) else {
            return Comparison::None;
        };
        if self.bids.values().any(|bid| bid.fields.fits(&attributes)) {
            return Comparison::Agreed;
        }
        let relays: BTreeSet<usize> = self.bids.values().map(|bid| bid.relay).collect();
        let difference = self.fault_of(first).map(|fault| fault.to_string()).unwrap_or_default();
        Comparison::Conflict(NodeConflict { slot, relays: relays.len(), difference })
    }

    /// How many other relays have a proven bid as the node has it. 0 where there are no attributes.
    fn agreeing(&self, beside: usize) -> usize {
        let Some(attributes) = &self.attributes else { return 0 };
        let agrees = |bid: &&SeenBid| bid.relay != beside && bid.is_proven && bid.fields.fits(attributes);
        self.bids.values().filter(agrees).map(|bid| bid.relay).collect::<BTreeSet<_>>().len()
    }

    fn fault_of(&self, bid: &SeenBid) -> Option<BidFault> {
        let got = bid.fields.prev_randao;
        let Some(attributes) = &self.attributes else {
            let Contradiction { others_say, relays } = self.views.against(got)?;
            return Some(BidFault::WrongPrevRandao { got, others_say, relays });
        };
        if got != attributes.prev_randao {
            let agreeing = self.agreeing(bid.relay);
            return Some(BidFault::PrevRandaoNotTheNodes {
                got,
                node_says: attributes.prev_randao,
                agreeing,
            });
        }
        let (got, node_says) = bid.fields.other_withdrawals(attributes)?;
        Some(BidFault::WrongWithdrawals { got, node_says, agreeing: self.agreeing(bid.relay) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        auction::node_attributes::NodeAttributes,
        types::{BlsPublicKey, Wei},
    };

    fn facts(randao: u8, withdrawals: Option<u8>) -> BidFacts {
        BidFacts {
            parent_hash: B256::repeat_byte(1),
            fee_recipient: alloy_primitives::Address::ZERO,
            extra_data: Vec::new(),
            block_number: 1,
            prev_randao: B256::repeat_byte(randao),
            withdrawals_root: withdrawals.map(B256::repeat_byte),
            blobs: 0,
            gas_limit: 1,
            timestamp: 1,
            block_hash: B256::ZERO,
            transactions_root: B256::ZERO,
            value: Wei::ZERO,
            pubkey: BlsPublicKey::default(),
        }
    }

    fn attributes(randao: u8, withdrawals: Option<u8>) -> PayloadAttributes {
        PayloadAttributes {
            slot: Slot::new(5),
            parent_hash: B256::repeat_byte(1),
            prev_randao: B256::repeat_byte(randao),
            withdrawals_root: withdrawals.map(B256::repeat_byte),
        }
    }

    /// Bids of relays 0, 1, …, all proven, and the node's attributes.
    fn payloads(node: &NodeAttributes, bids: &[(u8, Option<u8>)]) -> PayloadComparison {
        let mut payloads = PayloadComparison::new(node.subscribe(Slot::new(5), B256::repeat_byte(1)));
        for (number, (randao, withdrawals)) in bids.iter().enumerate() {
            payloads.add(number, number, &facts(*randao, *withdrawals));
            payloads.holds(number);
        }
        payloads.refresh();
        payloads
    }

    #[test]
    fn the_node_decides_and_blames_only_with_another_relay_beside_it() {
        // The bids, the node's attributes; which bids may not be returned, whether that is held against their relays, whether nobody agrees.
        type Row<'a> = (&'a [(u8, Option<u8>)], Option<(u8, Option<u8>)>, &'a [usize], bool, bool);
        let right = (1, Some(1));
        let rows: [Row<'_>; 13] = [
            (&[right, right], Some(right), &[], false, false),
            (&[(2, Some(1)), right], Some(right), &[0], true, false),
            (&[(1, Some(2)), right], Some(right), &[0], true, false),
            // The node overrules a majority.
            (&[(2, Some(1)), (2, Some(1)), right], Some(right), &[0, 1], true, false),
            // Nobody agrees: nobody is blamed.
            (&[(2, Some(1))], Some(right), &[0], false, true),
            (&[(1, Some(2))], Some(right), &[0], false, true),
            (&[(2, Some(1)), (2, Some(1)), (1, Some(2))], Some(right), &[0, 1, 2], false, true),
            // A side that does not say its withdrawals is not compared in them.
            (&[(1, None), (2, None)], Some(right), &[1], true, false),
            (&[(1, Some(2))], Some((1, None)), &[], false, false),
            (&[], Some(right), &[], false, false),
            // Without attributes, the relays' majority.
            (&[(2, Some(1)), right, right], None, &[0], false, false),
            (&[(2, Some(1)), right], None, &[], false, false),
            (&[(1, Some(2)), right, right], None, &[], false, false),
        ];
        for (bids, known, out, is_corroborated, is_conflict) in rows {
            let node = NodeAttributes::default();
            if let Some((randao, withdrawals)) = known {
                node.publish(attributes(randao, withdrawals));
            }
            let payloads = payloads(&node, bids);
            let mismatches = payloads.mismatches();
            let found: Vec<usize> = mismatches.iter().map(|mismatch| mismatch.number).collect();
            assert_eq!(found, out, "{bids:?} {known:?}");
            assert!(mismatches.iter().all(|o| o.is_corroborated == is_corroborated), "{mismatches:?}");
            for (number, (randao, withdrawals)) in bids.iter().enumerate() {
                assert_eq!(payloads.contradicts(&facts(*randao, *withdrawals)), out.contains(&number));
            }
            let is_found = matches!(payloads.comparison(Slot::new(5)), Comparison::Conflict(_));
            assert_eq!(is_found, is_conflict, "{bids:?} {known:?}");
        }
    }

    #[test]
    fn who_agrees_without_proof_is_no_witness() {
        let node = NodeAttributes::default();
        node.publish(attributes(1, Some(1)));
        let mut payloads = payloads(&node, &[(2, Some(1))]);
        payloads.add(1, 1, &facts(1, Some(1)));
        assert!(!payloads.mismatches()[0].is_corroborated);
        payloads.holds(1);
        assert!(payloads.mismatches()[0].is_corroborated);
        // Its own other bid is no other relay's.
        payloads.remove(1);
        payloads.add(2, 0, &facts(1, Some(1)));
        payloads.holds(2);
        assert!(!payloads.mismatches()[0].is_corroborated);
    }

    #[test]
    fn attributes_that_come_late_count_for_what_came_before() {
        let node = NodeAttributes::default();
        let mut payloads = payloads(&node, &[(2, Some(1)), (1, Some(1)), (1, Some(1))]);
        assert!(!payloads.refresh() && payloads.contradicts(&facts(2, Some(1))));
        node.publish(attributes(2, Some(1)));
        assert!(payloads.refresh() && !payloads.refresh());
        assert!(!payloads.contradicts(&facts(2, Some(1))) && payloads.contradicts(&facts(1, Some(1))));
        // A bid against them asks for another look, one as it should be does not.
        assert!(payloads.add(3, 3, &facts(1, Some(1))) && !payloads.add(4, 4, &facts(2, Some(1))));
    }
}
