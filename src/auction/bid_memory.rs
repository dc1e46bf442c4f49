//! Who offered which block lately.
//!
//! Relays are kept as they were when they offered: one that a reload removes or disables between header and block, or that rotates
//! out, is still there for its block.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use alloy_primitives::B256;
use parking_lot::Mutex;

use crate::{
    consensus::BidFacts,
    relay::Relay,
    types::{BlsPublicKey, RelayId, Slot},
};

/// Slots remembered. A block is submitted in the slot it was offered for; the rest is for late retries.
const SLOTS_KEPT: usize = 32;
/// Blocks remembered per slot; relays flapping bids cannot grow the memory.
const BLOCKS_PER_SLOT: usize = 1024;

#[derive(Debug, Default)]
struct KnownBlock {
    relays: Vec<Arc<Relay>>,
    proposer: BlsPublicKey,
}

/// The memory. Locked for microseconds, never across an await.
#[derive(Debug, Default)]
pub(super) struct BidMemory {
    slots: Mutex<BTreeMap<Slot, HashMap<B256, KnownBlock>>>,
}

impl BidMemory {
    /// A relay offered a block.
    pub(super) fn remember(&self, slot: Slot, bid: &BidFacts, relay: &Arc<Relay>, proposer: BlsPublicKey) {
        self.keep(slot, bid.block_hash, relay, proposer);
    }

    fn keep(&self, slot: Slot, block_hash: B256, relay: &Arc<Relay>, proposer: BlsPublicKey) {
        let mut slots = self.slots.lock();
        let blocks = slots.entry(slot).or_default();
        if blocks.len() < BLOCKS_PER_SLOT || blocks.contains_key(&block_hash) {
            let entry = blocks.entry(block_hash).or_default();
            entry.proposer = proposer;
            if !entry.relays.iter().any(|known| known.id() == relay.id()) {
                entry.relays.push(Arc::clone(relay));
            }
        }
        while slots.len() > SLOTS_KEPT {
            slots.pop_first();
        }
    }

    /// What a relay was said to have offered was not signed by it.
    pub(super) fn forget(&self, slot: Slot, block_hash: B256, relay: &RelayId) {
        if let Some(entry) = self.slots.lock().get_mut(&slot).and_then(|blocks| blocks.get_mut(&block_hash)) {
            entry.relays.retain(|known| known.id() != relay);
        }
    }

    /// Who offered any block of a slot.
    pub(super) fn relays_in(&self, slot: Slot) -> Vec<Arc<Relay>> {
        let slots = self.slots.lock();
        let mut relays: Vec<Arc<Relay>> = Vec::new();
        for relay in slots.get(&slot).into_iter().flat_map(HashMap::values).flat_map(|entry| &entry.relays) {
            if !relays.iter().any(|known| known.id() == relay.id()) {
                relays.push(Arc::clone(relay));
            }
        }
        relays
    }

    /// Relays that offered a block in a slot, also those that were removed since.
    pub(super) fn relays(&self, slot: Slot, block_hash: B256) -> Vec<Arc<Relay>> {
        let slots = self.slots.lock();
        slots
            .get(&slot)
            .and_then(|blocks| blocks.get(&block_hash))
            .map(|entry| entry.relays.clone())
            .unwrap_or_default()
    }

    /// For whom a block was offered.
    pub(super) fn proposer(&self, slot: Slot, block_hash: B256) -> Option<BlsPublicKey> {
        let slots = self.slots.lock();
        slots.get(&slot).and_then(|blocks| blocks.get(&block_hash)).map(|entry| entry.proposer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        consensus::{PresetName, WallClock},
        relay::{RelayClients, RelaySettings, TlsRoots, parse_relay_url},
    };

    fn relay(name: &str) -> Arc<Relay> {
        let key = "0xac6e77dfe25ecd6110b8e780608cce0dab71fdd5ebea22a16c0205200f2f8e2e3ad3b71d3499c54ad14d6c21b41a37ae";
        let clients = RelayClients::build(&TlsRoots::Bundled, None).unwrap();
        let (url, pubkey) = parse_relay_url(&format!("http://{key}@{name}.invalid")).unwrap();
        let settings = RelaySettings::new(RelayId::parse(name).unwrap(), url, pubkey);
        Arc::new(Relay::new(settings, PresetName::Mainnet, clients, WallClock::manual(0).0))
    }

    fn names(relays: &[Arc<Relay>]) -> Vec<&str> {
        relays.iter().map(|relay| relay.id().as_str()).collect()
    }

    #[test]
    fn all_that_offered_any_block_of_a_slot_are_named_once() {
        let memory = BidMemory::default();
        let (a, b) = (relay("a"), relay("b"));
        for (hash, relay) in [(1, &a), (2, &a), (2, &b)] {
            memory.keep(Slot::new(1), B256::repeat_byte(hash), relay, BlsPublicKey::default());
        }
        let mut relays = memory.relays_in(Slot::new(1));
        relays.sort_by_key(|relay| relay.id().to_string());
        assert_eq!(names(&relays), ["a", "b"]);
        assert!(memory.relays_in(Slot::new(2)).is_empty());
        memory.forget(Slot::new(1), B256::repeat_byte(2), a.id());
        memory.forget(Slot::new(9), B256::repeat_byte(2), a.id());
        assert_eq!(names(&memory.relays(Slot::new(1), B256::repeat_byte(2))), ["b"]);
        assert_eq!(
            names(&memory.relays(Slot::new(1), B256::repeat_byte(1))),
            ["a"],
            "its other block is its own"
        );
    }

    #[test]
    fn old_slots_and_floods_are_forgotten() {
        let memory = BidMemory::default();
        let relay = relay("r");
        for slot in 0..100 {
            memory.keep(Slot::new(slot), B256::ZERO, &relay, BlsPublicKey::default());
            memory.keep(Slot::new(slot), B256::ZERO, &relay, BlsPublicKey::default());
        }
        assert_eq!(names(&memory.relays(Slot::new(99), B256::ZERO)), ["r"]);
        assert!(memory.relays(Slot::new(99), B256::repeat_byte(1)).is_empty());
        assert!(memory.relays(Slot::new(10), B256::ZERO).is_empty());
        for n in 0..5000u32 {
            memory.keep(
                Slot::new(99),
                B256::left_padding_from(&n.to_be_bytes()),
                &relay,
                BlsPublicKey::default(),
            );
        }
        assert!(memory.slots.lock()[&Slot::new(99)].len() <= BLOCKS_PER_SLOT);
    }
}
