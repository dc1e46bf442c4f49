//! What only others know of a final slot: the beacon node and the relay's public record. None of it is needed.

use super::Watcher;
use crate::{
    ethereum::delivered_in,
    events::DataApiVerdict,
    ledger::{Settled, SlotCase},
    profit::settle::SlotOutcome,
    types::Slot,
};

impl Watcher {
    /// What only others know, once the slot is final: the beacon node's rewards, the relay's public record. None of it is needed.
    pub(super) async fn ask_others(&self, row: &mut Settled, case: &SlotCase, outcome: SlotOutcome) {
        let slot = Slot::new(row.slot);
        if let Some(beacon) = &self.parts.beacon
            && let Ok(Some(block)) = beacon.block_in(slot).await
        {
            row.proposer_index = Some(block.proposer_index.cast_signed());
            row.consensus_reward_gwei = beacon.block_reward(block.root).await.ok().map(u64::cast_signed);
        }
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
