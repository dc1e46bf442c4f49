//! Who has to know: events of what was found, the relays' trust, notices to the operator. Each is told once.

use metrics::{counter, gauge};
use tracing::{info, warn};

use super::{
    settle::{SlotOutcome, pays_another},
    watcher::{Finding, Watcher, evidence_of},
};
use crate::{
    consensus::WallClock,
    events::{Event, Notice, SlotSettled, Spine, count_notice},
    ledger::{Ledger, LedgerError, NoticeRow, Settled},
    types::{Slot, Wei, parse_hash},
};

impl Watcher {
    /// Raises and resolves the notices of what was found. Before it is written down, as a notice is raised once however often it is found:
    /// a stop or crash in between costs none.
    pub(super) async fn notify(&self, finding: &Finding) -> Result<(), LedgerError> {
        let (ledger, spine) = (&self.parts.ledger, &self.parts.spine);
        let Finding { row, outcome, .. } = finding;
        let (promised, received) = amounts(row);
        let subject = format!("slot {}", row.slot);
        let from = row.relay.as_deref().unwrap_or("an unknown relay");
        match (outcome, row.payment.as_deref()) {
            (SlotOutcome::Ours, Some("under" | "unpaid")) => {
                let evidence = evidence_of(row);
                let message = format!(
                    "{subject}: {from} promised {} ETH and {} ETH arrived, by {}",
                    promised.unwrap_or_default().to_eth(),
                    received.unwrap_or_default().to_eth(),
                    row.method.as_deref().unwrap_or("no method"),
                );
                // What convicts nobody is no reason to wake somebody up.
                if evidence.confidence.convicts() {
                    resolve(ledger, spine, "payment_unclear", &subject).await?;
                    raise(ledger, spine, "payment_missing", &subject, "P2", message).await?;
                } else {
                    let message = format!(
                        "{message}, at confidence {}: nobody is blamed; a node that traces would tell",
                        evidence.confidence
                    );
                    raise(ledger, spine, "payment_unclear", &subject, "P3", message).await?;
                }
            }
            (SlotOutcome::NotDelivered, _) if row.status == "final" => {
                let message = format!("{subject}: {}", row.message);
                raise(ledger, spine, "not_delivered", &subject, "P2", message).await?;
            }
            // What was raised before a reorganisation may be over.
            _ => {
                resolve(ledger, spine, "payment_missing", &subject).await?;
                resolve(ledger, spine, "payment_unclear", &subject).await?;
            }
        }
        if let Some((named, registered)) = pays_another(row) {
            let message = format!(
                "{subject}: the block was built locally and names the fee recipient {named}, the validator's registration names {registered}, \
                 which got nothing: look at suggested-fee-recipient of the consensus client and validator client"
            );
            raise(ledger, spine, "local_block_pays_another", &subject, "P2", message).await?;
        } else {
            resolve(ledger, spine, "local_block_pays_another", &subject).await?;
        }
        if row.data_api.as_deref() == Some("differs") {
            let message = format!("{subject}: {from}'s public record of deliveries is not what happened");
            raise(ledger, spine, "data_api_differs", &subject, "P3", message).await?;
        }
        Ok(())
    }

    /// Publishes what was found and written down. Waits for nothing: whoever wrote it down gets here, unless the process dies, and then the
    /// next one publishes it.
    pub(super) fn publish(&self, finding: &Finding) {
        let Finding { row, outcome } = finding;
        counter!("relaymux_slots_settled_total", "outcome" => outcome.label(), "status" => row.status.clone()).increment(1);
        gauge!("relaymux_last_settled_slot").set(f64::from(u32::try_from(row.slot).unwrap_or(u32::MAX)));
        self.publish_outcome(row, *outcome);
    }

    /// Publishes what came of a slot.
    pub(super) fn publish_outcome(&self, row: &Settled, outcome: SlotOutcome) {
        let (promised, received) = amounts(row);
        self.parts.spine.publish(Event::SlotSettled(SlotSettled {
            slot: Slot::new(row.slot),
            status: row.status.clone(),
            outcome: outcome.label().to_owned(),
            payment: row.payment.clone(),
            promised,
            received,
            evidence: evidence_of(row),
            block_hash: row.promised_block.as_deref().and_then(|text| parse_hash(text).ok()),
            has_other_block: row.block_hash.is_some() && row.block_hash != row.promised_block,
            at: WallClock.now(),
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
    ledger: &Ledger,
    spine: &Spine,
    rule: &str,
    subject: &str,
    severity: &str,
    message: String,
) -> Result<(), LedgerError> {
    let at = WallClock.now();
    let (rule, subject, severity) = (rule.to_owned(), subject.to_owned(), severity.to_owned());
    let row = NoticeRow { rule, subject, severity, message, raised_at: at, resolved_at: None };
    if ledger.raise_notice(&row).await? {
        warn!(rule = row.rule, subject = row.subject, severity = row.severity, "{}", row.message);
        count_notice(&row.rule);
        let NoticeRow { rule, subject, severity, message, .. } = row;
        spine.publish(Event::Notice(Notice { rule, subject, severity, message, resolved: false, at }));
    }
    Ok(())
}

/// Tells the operator that something is over.
pub(super) async fn resolve(
    ledger: &Ledger,
    spine: &Spine,
    rule: &str,
    subject: &str,
) -> Result<(), LedgerError> {
    let at = WallClock.now();
    if ledger.resolve_notice(rule, subject, at).await? {
        info!(rule, subject, "resolved");
        let (rule, subject) = (rule.to_owned(), subject.to_owned());
        let (severity, message) = (String::new(), String::new());
        spine.publish(Event::Notice(Notice { rule, subject, severity, message, resolved: true, at }));
    }
    Ok(())
}
