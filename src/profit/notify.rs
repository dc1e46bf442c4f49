//! Who has to know: events of what was found, the relays' trust, signals to the operator. Each is told once.

use metrics::{counter, gauge};
use tracing::{info, warn};

use super::{
    rules::{DATA_API_DIFFERS, LOCAL_BLOCK_PAYS_ANOTHER, NOT_DELIVERED, PAYMENT_MISSING, PAYMENT_UNCLEAR},
    settle::{SlotOutcome, pays_another},
    watcher::{Finding, Watcher, WatcherParts},
};
use crate::{
    events::{AlertRule, DataApiVerdict, Event, PaymentVerdict, SlotSettled, SlotStatus},
    ledger::{LedgerError, Settled, SignalBook},
    types::{Label, Slot, Wei, parse_hash},
};

impl Watcher {
    /// Raises and resolves the signals of what was found. Before it is written down, as a notice is raised once however often it is found:
    /// a stop or crash in between costs none.
    pub(super) async fn notify(&self, finding: &Finding) -> Result<(), LedgerError> {
        let WatcherParts { ledger, spine, clock, .. } = &self.parts;
        let signals = &SignalBook::new(ledger.clone(), spine.clone(), clock.clone());
        let Finding { row, outcome, .. } = finding;
        let (promised, received) = amounts(row);
        let subject = format!("slot {}", row.slot);
        let from = row.relay.as_deref().unwrap_or("an unknown relay");
        let is_short = row.known_payment().is_some_and(PaymentVerdict::is_short);
        match outcome {
            SlotOutcome::Ours if is_short => {
                let evidence = row.evidence();
                let message = format!(
                    "{subject}: {from} promised {} ETH and {} ETH arrived, by {}",
                    promised.unwrap_or_default().to_eth(),
                    received.unwrap_or_default().to_eth(),
                    row.method.as_ref().map_or("no method", Label::as_str),
                );
                // What convicts nobody is no reason to wake somebody up.
                if evidence.confidence.convicts() {
                    resolve(signals, &PAYMENT_UNCLEAR, &subject).await?;
                    raise(signals, &PAYMENT_MISSING, &subject, message).await?;
                } else {
                    let message = format!(
                        "{message}, at confidence {}: nobody is blamed; a node that traces would tell",
                        evidence.confidence
                    );
                    raise(signals, &PAYMENT_UNCLEAR, &subject, message).await?;
                }
            }
            // Told when it happened, and no news now: nobody is woken twice for one block.
            SlotOutcome::NotDelivered
                if row.status == SlotStatus::Final && ledger.was_refused_by_all(row.slot).await? => {}
            SlotOutcome::NotDelivered if row.status == SlotStatus::Final => {
                let message = format!("{subject}: {}", row.message);
                raise(signals, &NOT_DELIVERED, &subject, message).await?;
            }
            // What was raised before a reorganisation may be over.
            SlotOutcome::Ours
            | SlotOutcome::Local
            | SlotOutcome::Missed
            | SlotOutcome::NotDelivered
            | SlotOutcome::Orphaned => {
                resolve(signals, &PAYMENT_MISSING, &subject).await?;
                resolve(signals, &PAYMENT_UNCLEAR, &subject).await?;
            }
        }
        if let Some((named, registered)) = pays_another(row) {
            let message = format!(
                "{subject}: the block was built locally and names the fee recipient {named}, the validator's registration names {registered}, \
                 which got nothing: look at suggested-fee-recipient of the consensus client and validator client"
            );
            raise(signals, &LOCAL_BLOCK_PAYS_ANOTHER, &subject, message).await?;
        } else {
            resolve(signals, &LOCAL_BLOCK_PAYS_ANOTHER, &subject).await?;
        }
        if row.data_api.as_ref().is_some_and(|said| *said == DataApiVerdict::Differs) {
            let message = format!("{subject}: {from}'s public record of deliveries is not what happened");
            raise(signals, &DATA_API_DIFFERS, &subject, message).await?;
        }
        Ok(())
    }

    /// Publishes what was found and written down. Waits for nothing: whoever wrote it down gets here, unless the process dies, and then the
    /// next one publishes it.
    pub(super) fn publish(&self, finding: &Finding) {
        let Finding { row, outcome } = finding;
        counter!("relaymux_slots_settled_total", "outcome" => outcome.label(), "status" => row.status.to_string()).increment(1);
        gauge!("relaymux_last_settled_slot").set(f64::from(u32::try_from(row.slot).unwrap_or(u32::MAX)));
        self.publish_outcome(row, *outcome);
    }

    /// Publishes what came of a slot.
    pub(super) fn publish_outcome(&self, row: &Settled, outcome: SlotOutcome) {
        // What a newer version makes of a slot may still change for this one.
        let status = row.status.known().unwrap_or(SlotStatus::Provisional);
        let (promised, received) = amounts(row);
        self.parts.spine.publish(Event::SlotSettled(SlotSettled {
            slot: Slot::new(row.slot),
            status,
            outcome,
            payment: row.known_payment(),
            promised,
            received,
            evidence: row.evidence(),
            block_hash: row.promised_block.as_deref().and_then(|text| parse_hash(text).ok()),
            has_other_block: row.block_hash.is_some() && row.block_hash != row.promised_block,
            at: self.parts.clock.now(),
        }));
    }
}

/// What was promised, and what arrived.
fn amounts(row: &Settled) -> (Option<Wei>, Option<Wei>) {
    let amount = |text: &Option<String>| text.as_deref().and_then(|text| Wei::parse_wei(text).ok());
    (amount(&row.promised_wei), amount(&row.received_wei))
}

/// Tells the operator of something, once.
pub(super) async fn raise(
    signals: &SignalBook,
    rule: &'static AlertRule,
    subject: &str,
    message: String,
) -> Result<(), LedgerError> {
    if signals.raise(rule, subject, &message).await? {
        warn!(rule = &*rule.name, subject, severity = rule.severity.label(), "{message}");
    }
    Ok(())
}

/// Tells the operator that something is over.
pub(super) async fn resolve(
    signals: &SignalBook,
    rule: &'static AlertRule,
    subject: &str,
) -> Result<(), LedgerError> {
    if signals.resolve(rule, subject, "").await? {
        info!(rule = &*rule.name, subject, "resolved");
    }
    Ok(())
}
