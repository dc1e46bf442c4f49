//! What only others know of a final slot: the beacon node and the relay's public record. None of it is needed.

use super::Watcher;
use crate::{
    ethereum::delivered_in,
    events::DataApiVerdict,
    ledger::{LedgerError, Settled, SlotCase},
    profit::settle::{SlotOutcome, SlotStatus},
    types::{DAY_MS, Slot},
};

/// How long after its slot a reward is asked for, in milliseconds: a day. A beacon node that is away for longer has pruned what it would need.
const ASKED_FOR_MS: i64 = DAY_MS;
/// Slots asked about at one time.
const ASKED_AT_ONCE: usize = 32;

impl Watcher {
    /// Who proposed a slot's block, by index, and what the consensus layer paid for it in gwei, as far as the beacon node tells.
    async fn reward_of(&self, slot: Slot) -> Option<(i64, Option<i64>)> {
        let beacon = self.parts.beacon.as_ref()?;
        let block = beacon.block_in(slot).await.ok()??;
        let reward = beacon.block_reward(block.root).await.ok();
        Some((block.proposer_index.cast_signed(), reward.map(u64::cast_signed)))
    }

    /// Remembers a final slot with a block whose reward is not known: a beacon node that is away for an hour must not make reports poorer.
    pub(super) fn note_reward(&self, row: &Settled) {
        let has_block = row.block_hash.is_some() && row.status == SlotStatus::Final;
        if self.parts.beacon.is_some() && has_block && row.consensus_reward_gwei.is_none() {
            self.unrewarded.lock().insert(row.slot);
        }
    }

    /// Asks again for the rewards that are missing, for a day.
    pub(super) async fn ask_rewards_again(&self) -> Result<(), LedgerError> {
        let since = self.parts.slots.slot_at(self.parts.clock.now().saturating_sub(ASKED_FOR_MS)).as_u64();
        let missing: Vec<u64> = {
            let mut unrewarded = self.unrewarded.lock();
            unrewarded.retain(|slot| *slot >= since);
            unrewarded.iter().rev().take(ASKED_AT_ONCE).copied().collect()
        };
        for slot in missing {
            if let Some((proposer_index, Some(reward))) = self.reward_of(Slot::new(slot)).await {
                self.parts.ledger.save_reward(Slot::new(slot), proposer_index, reward).await?;
                self.unrewarded.lock().remove(&slot);
            }
        }
        Ok(())
    }

    /// What only others know, once the slot is final: the beacon node's rewards, the relay's public record. None of it is needed.
    pub(super) async fn ask_others(&self, row: &mut Settled, case: &SlotCase, outcome: SlotOutcome) {
        let slot = Slot::new(row.slot);
        if let Some((proposer_index, reward)) = self.reward_of(slot).await {
            row.proposer_index = Some(proposer_index);
            row.consensus_reward_gwei = reward;
        }
        self.note_reward(row);
        let relays = self.parts.relays.all();
        let relay = relays.iter().find(|relay| Some(relay.id().as_str()) == row.relay.as_deref());
        let is_asked = self.parts.settings.data_api && case.submitted;
        if let (Some(relay), true, Some(promised)) = (relay, is_asked, &row.promised_block) {
            let list = delivered_in(&self.parts.http, &relay.settings().url, slot).await;
            row.data_api = Some(
                match (list, outcome) {
                    (Err(_), _) => DataApiVerdict::Unknown,
                    (Ok(list), SlotOutcome::Ours) => {
                        match list.iter().find(|trace| trace.block_hash.to_string() == *promised) {
                            None => DataApiVerdict::Missing,
                            Some(trace) if Some(trace.value.to_string()) == row.promised_wei => {
                                DataApiVerdict::Agrees
                            }
                            Some(_) => DataApiVerdict::Differs,
                        }
                    }
                    (
                        Ok(list),
                        SlotOutcome::Local
                        | SlotOutcome::Missed
                        | SlotOutcome::NotDelivered
                        | SlotOutcome::Orphaned,
                    ) => {
                        // It says that it delivered what is not there.
                        if list.iter().any(|trace| trace.block_hash.to_string() == *promised) {
                            DataApiVerdict::Differs
                        } else {
                            DataApiVerdict::Agrees
                        }
                    }
                }
                .into(),
            );
        }
    }
}
