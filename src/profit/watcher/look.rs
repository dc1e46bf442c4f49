//! One look at a slot: its block on the canonical chain, and what came of the slot by it.

use alloy_primitives::B256;

use super::{FINAL_DEPTH, Finding, Head, WatchError, Watcher};
use crate::{
    ethereum::{Block, BlockId, NodeError},
    events::{Confidence, Method},
    ledger::{Settled, SlotCase},
    profit::settle::{Sight, SlotOutcome, SlotStatus, absence, decide},
    types::{Slot, Wei, parse_hash},
};

/// Blocks within which a payment that was not seen well is looked at again every round. Arbitrary: a node has its receipts and traces by then.
const LOOKED_AT_AGAIN: u64 = 8;

impl Watcher {
    /// Looks at one slot; `None` if nothing changed.
    pub(super) async fn look(&self, slot: Slot, head: Head) -> Result<Option<Finding>, WatchError> {
        let case = self.parts.ledger.slot_case(slot).await?;
        let seen = block_seen(&case.row);
        let is_same = match seen {
            Some((number, hash)) => self.hash_at(number).await? == Some(hash),
            None => false,
        };
        if let Some((number, _)) = seen
            && is_same
            && number > head.final_number
            && !is_worth_another_look(&case.row, number, head)
        {
            return Ok(None);
        }
        let (block, sight) = self.sight(slot, &case, head).await?;
        let outcome = decide(&case, sight);
        // What was found of another outcome is no finding of this one.
        let is_same = is_same && case.row.known_outcome() == Some(outcome);
        let is_final = match &block {
            Some(block) => block.number.to::<u64>() <= head.final_number,
            None => self.is_past_final(slot, head),
        };
        let was = told_state(&case.row);
        let since = self.parts.slots.ms_into(slot, self.parts.clock.now());
        let slots_since = since.checked_div(self.parts.slots.slot_ms().cast_signed()).unwrap_or(i64::MAX);
        let absence = absence(&case.row, slots_since);
        let mut row = case.row.clone();
        row.status = if is_final { SlotStatus::Final } else { SlotStatus::Provisional }.into();
        (row.refusals, row.look_after) = (0, 0);
        row.outcome = Some(outcome.into());
        row.looked_at = self.parts.clock.now();
        row.block_hash = block.as_ref().map(|block| block.hash.to_string());
        row.fee_recipient = case.fee_recipient.map(|address| address.to_string());
        fill_in_promise(&mut row, &case);
        let confidence = |row: &Settled| row.evidence().confidence;
        if !(is_same && confidence(&row) == Confidence::High) {
            // The same block, not seen well the first time: a node may lack receipts or traces for a moment right after a block came, and
            // may have forgotten more by the end. The better sight of the two counts.
            let mut again = row.clone();
            self.pay(&mut again, &case, outcome, block.as_ref()).await?;
            if !is_same || confidence(&again) > confidence(&row) {
                row = again;
            }
        }
        if outcome == SlotOutcome::NotDelivered {
            (row.method, row.confidence) = (Some(Method::Chain.into()), Some(absence.into()));
        }
        if was == told_state(&row) {
            return Ok(None);
        }
        if is_final {
            self.ask_others(&mut row, &case, outcome).await;
        }
        // Whoever keeps the relays' reputations is told whatever changed, and makes of it what follows.
        Ok(Some(Finding { row, outcome }))
    }

    async fn hash_at(&self, number: u64) -> Result<Option<B256>, WatchError> {
        let block = self.parts.execution.block(BlockId::Number(number), false).await?;
        Ok(block.map(|block| block.hash))
    }

    /// Whether a slot without block can get none any more.
    fn is_past_final(&self, slot: Slot, head: Head) -> bool {
        let timestamp = self.parts.slots.payload_timestamp(slot);
        match head.final_timestamp {
            Some(last) => last > timestamp,
            None => {
                let slots = self.slot_of(head.timestamp).as_u64().saturating_sub(slot.as_u64());
                slots > FINAL_DEPTH && head.final_number > 0
            }
        }
    }

    /// The canonical block of a slot, and whether the promised one is known.
    async fn sight(
        &self,
        slot: Slot,
        case: &SlotCase,
        head: Head,
    ) -> Result<(Option<Block>, Sight), WatchError> {
        let node = &self.parts.execution;
        let timestamp = self.parts.slots.payload_timestamp(slot);
        let signed = case.row.promised_block.as_deref().and_then(|text| parse_hash(text).ok());
        let wanted: Option<B256> = case.promised.map(|(hash, _)| hash).or(signed);
        let mut sight = Sight::default();
        if let Some(wanted) = wanted
            && let Some(block) = node.block(BlockId::Hash(wanted), false).await?
        {
            sight.knows_promised = true;
            let canonical = node.block(BlockId::Number(block.number.to()), false).await?;
            if canonical.as_ref().is_some_and(|canonical| canonical.hash == wanted) {
                sight.canonical = Some(wanted);
                return Ok((Some(block), sight));
            }
        }
        let block = self.block_at(timestamp, case.parent_hash, head).await?;
        sight.canonical = block.as_ref().map(|block| block.hash);
        Ok((block, sight))
    }

    /// The canonical block with a timestamp: behind the parent, where that is canonical; else by halving.
    async fn block_at(
        &self,
        timestamp: u64,
        parent: Option<B256>,
        head: Head,
    ) -> Result<Option<Block>, WatchError> {
        let node = &self.parts.execution;
        if let Some(parent) = parent
            && let Some(parent) = node.block(BlockId::Hash(parent), false).await?
            && let Some(next) =
                node.block(BlockId::Number(parent.number.to::<u64>().saturating_add(1)), false).await?
            && next.parent_hash == parent.hash
        {
            // A later block on the same parent: the slot has none.
            return Ok(Some(next).filter(|next| next.timestamp.to::<u64>() == timestamp));
        }
        let slot_secs = (self.parts.slots.slot_ms() / 1000).max(1);
        let behind = head.timestamp.saturating_sub(timestamp) / slot_secs;
        let (mut low, mut high) = (head.number.saturating_sub(behind.saturating_add(1)), head.number);
        while low <= high {
            let middle = low + (high - low) / 2;
            // Below the head there is a block at every height. A node that has none has pruned it: that says nothing of the slot.
            let Some(block) = node.block(BlockId::Number(middle), false).await? else {
                return Err(NodeError::Rpc {
                    host: "execution node".to_owned(),
                    code: 4444,
                    message: format!("no block {middle}: pruned history"),
                }
                .into());
            };
            match block.timestamp.to::<u64>().cmp(&timestamp) {
                std::cmp::Ordering::Equal => return Ok(Some(block)),
                std::cmp::Ordering::Less => low = middle.saturating_add(1),
                std::cmp::Ordering::Greater if middle == 0 => return Ok(None),
                std::cmp::Ordering::Greater => high = middle - 1,
            }
        }
        Ok(None)
    }
}

/// Fills in what was promised, as it is known by now.
fn fill_in_promise(row: &mut Settled, case: &SlotCase) {
    let Some((hash, value)) = case.promised else { return };
    row.promised_block = Some(hash.to_string());
    row.promised_wei = Some(value.to_string());
    row.timing_wei =
        case.first_value.map(|first| Wei::new(value.as_u256().saturating_sub(first.as_u256())).to_string());
}

/// The block that a slot was last seen with: its height and hash.
fn block_seen(row: &Settled) -> Option<(u64, B256)> {
    let number = u64::try_from(row.block_number?).ok()?;
    Some((number, parse_hash(row.block_hash.as_deref()?).ok()?))
}

/// The payment in a block is what it is; only whether the block counts may change. What was seen badly right after the block came may be seen
/// better a moment later.
fn is_worth_another_look(row: &Settled, number: u64, head: Head) -> bool {
    let is_unclear = row.payment.is_some() && !row.evidence().confidence.convicts();
    let is_young = head.number.saturating_sub(number) < LOOKED_AT_AGAIN;
    is_unclear && is_young
}

/// What somebody is told of, when it is another than before.
fn told_state(row: &Settled) -> impl PartialEq + use<> {
    (
        row.status.clone(),
        row.outcome.clone(),
        row.block_hash.clone(),
        row.received_wei.clone(),
        row.evidence(),
    )
}
