//! Who offered which block lately, and the gas limits of blocks that were bid.

use std::collections::{BTreeMap, HashMap};

use alloy_primitives::B256;
use parking_lot::Mutex;

use crate::{
    consensus::BidFacts,
    types::{BlsPublicKey, RelayId, Slot},
};

/// Slots remembered. A block is submitted in the slot it was offered for; the rest is for late retries.
const SLOTS_KEPT: usize = 32;
/// Blocks remembered per slot; relays flapping bids cannot grow the memory.
const BLOCKS_PER_SLOT: usize = 1024;

#[derive(Debug, Default)]
struct KnownBlock {
    relays: Vec<RelayId>,
    gas_limit: u64,
    proposer: BlsPublicKey,
}

/// The memory. Locked for microseconds, never across an await.
#[derive(Debug, Default)]
pub(super) struct BidMemory {
    slots: Mutex<BTreeMap<Slot, HashMap<B256, KnownBlock>>>,
}

impl BidMemory {
    /// A relay offered a block.
    pub(super) fn remember(&self, slot: Slot, bid: &BidFacts, relay: &RelayId, proposer: BlsPublicKey) {
        self.keep(slot, bid.block_hash, bid.gas_limit, relay, proposer);
    }

    fn keep(&self, slot: Slot, block_hash: B256, gas_limit: u64, relay: &RelayId, proposer: BlsPublicKey) {
        let mut slots = self.slots.lock();
        let blocks = slots.entry(slot).or_default();
        if blocks.len() < BLOCKS_PER_SLOT || blocks.contains_key(&block_hash) {
            let offer = blocks.entry(block_hash).or_default();
            offer.gas_limit = gas_limit;
            offer.proposer = proposer;
            if !offer.relays.contains(relay) {
                offer.relays.push(relay.clone());
            }
        }
        while slots.len() > SLOTS_KEPT {
            slots.pop_first();
        }
    }

    /// Who offered a block.
    pub(super) fn relays(&self, slot: Slot, block_hash: B256) -> Vec<RelayId> {
        let slots = self.slots.lock();
        slots
            .get(&slot)
            .and_then(|blocks| blocks.get(&block_hash))
            .map(|offer| offer.relays.clone())
            .unwrap_or_default()
    }

    /// For whom a block was offered.
    pub(super) fn proposer(&self, slot: Slot, block_hash: B256) -> Option<BlsPublicKey> {
        let slots = self.slots.lock();
        slots.get(&slot).and_then(|blocks| blocks.get(&block_hash)).map(|offer| offer.proposer)
    }

    /// The gas limit of a block, if it was bid lately.
    pub(super) fn gas_limit(&self, block_hash: B256) -> Option<u64> {
        let slots = self.slots.lock();
        slots.values().rev().find_map(|blocks| blocks.get(&block_hash)).map(|offer| offer.gas_limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_slots_and_floods_are_forgotten() {
        let offers = BidMemory::default();
        let relay = RelayId::parse("r").unwrap();
        for slot in 0..100 {
            offers.keep(Slot::new(slot), B256::ZERO, 30, &relay, BlsPublicKey::default());
            offers.keep(Slot::new(slot), B256::ZERO, 30, &relay, BlsPublicKey::default());
        }
        assert_eq!(offers.relays(Slot::new(99), B256::ZERO), std::slice::from_ref(&relay));
        assert!(offers.relays(Slot::new(99), B256::repeat_byte(1)).is_empty());
        assert!(offers.relays(Slot::new(10), B256::ZERO).is_empty());
        assert_eq!(offers.gas_limit(B256::ZERO), Some(30));
        for n in 0..5000u32 {
            offers.keep(
                Slot::new(99),
                B256::left_padding_from(&n.to_be_bytes()),
                1,
                &relay,
                BlsPublicKey::default(),
            );
        }
        assert!(offers.slots.lock()[&Slot::new(99)].len() <= BLOCKS_PER_SLOT);
    }
}
