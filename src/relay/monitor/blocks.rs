//! The records of the latest blocks, filled in from events.

use std::collections::{BTreeSet, HashMap, VecDeque};

use alloy_primitives::B256;

use crate::{
    events::{
        AuctionRecord, BidOutcome, BlockReceived, BlockSignature, BlockSignatureChecked, Confidence,
        SlotOutcome, SlotSettled, SlotStatus, SubmissionAnswer,
    },
    relay::health::{AnswerKind, BlockRecord, ChainSight, PaymentSight, Received, RevealAnswer},
    types::{Slot, UnixMillis},
};

/// Blocks remembered, from their header to finality. Arbitrary: more own slots than any operator has in an hour.
const BLOCKS_KEPT: usize = 256;

pub(super) type Key = (Slot, B256);

/// The records by block. Bounded: the oldest go first.
#[derive(Debug, Default)]
pub(super) struct BlockRecords {
    records: HashMap<Key, BlockRecord>,
    order: VecDeque<Key>,
    /// Changed since they were last judged.
    changed: BTreeSet<Key>,
}

impl BlockRecords {
    /// Takes up what an earlier process saved, oldest first. What cannot be read is left out.
    pub(super) fn restored(saved: &[String]) -> Self {
        let mut book = Self::default();
        for record in saved.iter().filter_map(|json| serde_json::from_str::<BlockRecord>(json).ok()) {
            let key = (record.slot, record.block_hash);
            let since = record.since;
            *book.entry(key, since) = record;
        }
        book.changed.clear();
        book
    }

    fn entry(&mut self, key: Key, since: UnixMillis) -> &mut BlockRecord {
        if !self.records.contains_key(&key) {
            self.order.push_back(key);
            while self.order.len() > BLOCKS_KEPT {
                if let Some(old) = self.order.pop_front() {
                    self.records.remove(&old);
                    self.changed.remove(&old);
                }
            }
        }
        self.changed.insert(key);
        self.records.entry(key).or_insert_with(|| BlockRecord::new(key.0, key.1, since))
    }

    /// A header was given out: who offered its block, and what each signed.
    pub(super) fn auction(&mut self, auction: &AuctionRecord) {
        let Some(winner) = &auction.winner else { return };
        let record = self.entry((auction.slot, winner.block_hash), auction.requested_at);
        record.value = winner.value;
        for (index, relay) in winner.relays.iter().enumerate() {
            // The first is the one whose bid was returned: no other than a verified one ever is.
            record.promised(relay, (index == 0).then_some(winner.value), index == 0);
        }
        let of_it = |answer: &&crate::events::RelayAnswer| {
            answer.outcome == BidOutcome::Bid && answer.block_hash == Some(winner.block_hash)
        };
        for answer in auction.answers.iter().filter(of_it) {
            record.promised(&answer.relay, answer.value, answer.verified);
        }
    }

    /// The signed block came.
    pub(super) fn received(&mut self, block: &BlockReceived) {
        let record = self.entry((block.slot, block.block_hash), block.at);
        // Handed in twice, the first time counts.
        record.received.get_or_insert(Received { at: block.at, ms_into_slot: block.ms_into_slot });
        record.is_undecoded |= block.undecoded.is_some();
        for relay in &block.offered_by {
            record.promised(relay, None, false);
        }
    }

    /// The signed block's signature was looked at.
    pub(super) fn signature(&mut self, checked: &BlockSignatureChecked) {
        self.entry((checked.slot, checked.block_hash), checked.at).signature = checked.signature;
    }

    /// A relay answered to the signed block.
    pub(super) fn answered(&mut self, answer: &SubmissionAnswer) {
        let record = self.entry((answer.slot, answer.block_hash), answer.at);
        let waited_ms = i64::try_from(answer.latency_us / 1000).unwrap_or(i64::MAX);
        // The client's lateness, and what passed from then until the block left for this relay.
        let sent_at = answer.at.saturating_sub(waited_ms);
        // Where it is not known when the block came, it may have been too late: nobody is blamed for that.
        let sent_ms_into_slot = record.received.map_or(i64::MAX, |received| {
            received.ms_into_slot.saturating_add(sent_at.saturating_sub(received.at).max(0))
        });
        let kind = AnswerKind::of(answer.outcome, answer.http_status, &answer.message);
        record.answered(
            &answer.relay,
            RevealAnswer {
                kind,
                http_status: answer.http_status,
                message: answer.message.clone(),
                sent_ms_into_slot,
                waited_ms,
                at: answer.at,
            },
        );
    }

    /// The chain was looked at. Of blocks that this process never heard of nothing is remembered.
    pub(super) fn settled(&mut self, settled: &SlotSettled) {
        let (outcome, is_final) = (settled.outcome, settled.status == SlotStatus::Final);
        let of_slot: Vec<Key> =
            self.records.keys().filter(|(slot, _)| *slot == settled.slot).copied().collect();
        for key in of_slot {
            let Some(record) = self.records.get_mut(&key) else { continue };
            let sight = if settled.block_hash == Some(key.1) {
                let absence = absence_in(settled);
                ChainSight { outcome, has_other_block: settled.has_other_block, is_final, absence }
            } else if outcome == SlotOutcome::Ours {
                // Another block of ours took the slot: nobody could put this one there.
                let (outcome, absence) = (SlotOutcome::Local, Confidence::High);
                ChainSight { outcome, has_other_block: true, is_final, absence }
            } else {
                continue;
            };
            let payment = settled
                .received
                .filter(|_| sight.outcome == SlotOutcome::Ours)
                .map(|received| PaymentSight { received, evidence: settled.evidence });
            if (record.chain, record.payment) != (Some(sight), payment) {
                (record.chain, record.payment) = (Some(sight), payment);
                self.changed.insert(key);
            }
        }
    }

    pub(super) fn get(&self, key: &Key) -> Option<&BlockRecord> {
        self.records.get(key)
    }

    /// Those that changed since this was last asked.
    pub(super) fn take_changed(&mut self) -> Vec<BlockRecord> {
        let changed = std::mem::take(&mut self.changed);
        changed.iter().filter_map(|key| self.records.get(key).cloned()).collect()
    }

    /// Those that wait for their signature to be checked: time alone changes what is said of them.
    pub(super) fn awaiting_signature(&self) -> Vec<BlockRecord> {
        let awaits =
            |record: &&BlockRecord| record.signature == BlockSignature::Pending && record.received.is_some();
        self.records.values().filter(awaits).cloned().collect()
    }
}

/// How sure it is that a block which the chain lacks never was there. What a version found that did not ask is as sure as it was to that one.
fn absence_in(settled: &SlotSettled) -> Confidence {
    match settled.evidence.confidence {
        Confidence::None => Confidence::High,
        asked @ (Confidence::Low | Confidence::Medium | Confidence::High) => asked,
    }
}
