//! Judges blocks, and enters what is found into reputations.

use tracing::{info, warn};

use super::HealthMonitor;
use crate::{
    events::{BlockRecordSaved, Conduct, Event, Method, PaymentOutcome, RelayJudged, Ruling, Settlement},
    relay::{
        health::{BlockRecord, Change, Verdict, judge},
        metrics::record_verdict,
    },
    types::{RelayId, UnixMillis},
};

impl HealthMonitor {
    /// Judges every block of which something new is known, and keeps its record.
    pub(super) fn judge_changed(&mut self) {
        let changed = self.blocks.take_changed();
        for record in &changed {
            let Ok(json) = serde_json::to_string(record) else { continue };
            let (slot, block_hash) = (record.slot, record.block_hash);
            let at = self.clock.now();
            let saved = BlockRecordSaved { slot, block_hash, record: json, at };
            self.spine.publish(Event::BlockRecordSaved(saved));
        }
        self.judge_all(changed);
    }

    pub(super) fn judge_all(&mut self, records: Vec<BlockRecord>) {
        let now = self.clock.now();
        for record in records {
            let mut verdicts = judge(&record, now);
            if self.settings.watches_chain {
                verdicts.retain(|verdict| {
                    verdict.conduct != Conduct::Revealed || verdict.evidence.method == Method::Chain
                });
            }
            let relays: Vec<RelayId> = record.promises.keys().cloned().collect();
            for relay in relays {
                let own: Vec<Verdict> =
                    verdicts.iter().filter(|verdict| verdict.relay == relay).cloned().collect();
                self.apply(&relay, &record, &own, now);
            }
        }
    }

    /// Enters into a relay's reputation what is found of it and a block, and tells of what changed.
    fn apply(&mut self, relay: &RelayId, record: &BlockRecord, verdicts: &[Verdict], now: UnixMillis) {
        let reputation = self.reputations.entry(relay.clone()).or_default();
        let before = reputation.trust;
        let change = reputation.apply(record, verdicts, now, &self.settings.trust);
        if reputation.trust != before {
            self.unsaved.insert(relay.clone());
            self.is_stale = true;
        }
        let is_credited = reputation.trust != before;
        let offences = reputation.level(now, &self.settings.trust);
        if is_credited && verdicts.iter().any(|verdict| verdict.conduct == Conduct::PaidAsPromised) {
            self.publish_settlement(relay, record, PaymentOutcome::PaidAsPromised, now);
        }
        let Some(Change { accusation, ruling, is_new_ruling }) = change else { return };
        self.is_stale = true;
        let conduct = accusation.conduct;
        match ruling {
            Ruling::Guilty => {
                warn!(%relay, ?conduct, offences,
                    stage = ?accusation.stage, confidence = %accusation.evidence.confidence,
                    reason = %accusation.reason, "relay offended");
            }
            Ruling::Suspected => {
                warn!(%relay, ?conduct, reason = %accusation.reason,
                    "relay rests, suspected of an offence: the chain will say");
            }
            Ruling::TakenBack => {
                info!(%relay, ?conduct, reason = %accusation.reason, "accusation taken back, it did not hold");
            }
        }
        if is_new_ruling {
            record_verdict(relay, conduct, ruling);
        }
        if let (Ruling::Guilty, Some(outcome)) = (ruling, conduct.payment()) {
            self.publish_settlement(relay, record, outcome, now);
        }
        self.spine.publish(Event::RelayJudged(RelayJudged {
            slot: accusation.slot,
            block_hash: accusation.block_hash,
            relay: relay.clone(),
            conduct,
            ruling,
            stage: accusation.stage,
            evidence: accusation.evidence,
            value: accusation.value,
            reason: accusation.reason,
            at: now,
        }));
        // Rare, and who is asked instead depends on what is known of the others.
        self.unsaved.insert(relay.clone());
        self.save();
    }

    fn publish_settlement(
        &self,
        relay: &RelayId,
        record: &BlockRecord,
        outcome: PaymentOutcome,
        at: UnixMillis,
    ) {
        self.spine.publish(Event::Settlement(Settlement {
            slot: record.slot,
            block_hash: record.block_hash,
            relay: relay.clone(),
            outcome,
            promised: record.value_of(relay),
            paid: record.payment.map(|payment| payment.received).unwrap_or_default(),
            at,
        }));
    }
}
