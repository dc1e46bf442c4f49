//! Who has to know: events of what was found, the relays' trust, notices to the operator. Each is told once.

use std::collections::BTreeSet;

use metrics::{counter, gauge};
use tracing::{info, warn};

use super::{
    settle::{SlotOutcome, verdict},
    watcher::{DAY_MS, Finding, WatchError, Watcher},
};
use crate::{
    consensus::WallClock,
    events::{Event, Notice, Settlement, SlotSettled, Spine},
    ledger::{Ledger, LedgerError, NoticeRow, Settled},
    types::{RelayId, Slot, Wei, parse_hash},
};

impl Watcher {
    /// Publishes what was found, and tells the relays' trust once.
    pub(super) async fn tell(&self, finding: &Finding) -> Result<(), WatchError> {
        let Finding { case, row, outcome, is_news } = finding;
        let now = WallClock.now();
        let amount = |text: &Option<String>| text.as_deref().and_then(|text| Wei::parse_wei(text).ok());
        let slot = Slot::new(row.slot);
        let (promised, received) = (amount(&row.promised_wei), amount(&row.received_wei));
        if *is_news {
            counter!("relaymux_slots_settled_total", "outcome" => outcome.label(), "status" => row.status.clone()).increment(1);
            gauge!("relaymux_last_settled_slot").set(f64::from(u32::try_from(row.slot).unwrap_or(u32::MAX)));
            self.parts.spine.publish(Event::SlotSettled(SlotSettled {
                slot,
                status: row.status.clone(),
                outcome: outcome.label().to_owned(),
                payment: row.payment.clone(),
                promised,
                received,
                at: now,
            }));
        }
        let subject = format!("slot {slot}");
        let told = verdict(case, *outcome, row.payment.as_deref(), row.status == "final");
        if let (Some((what, who)), false) = (told, row.told) {
            // Written down first: after a crash in between, trust is not told twice.
            let marked = Settled { told: true, ..row.clone() };
            let day = self.parts.slots.start_of(slot).div_euclid(DAY_MS);
            self.parts.ledger.save_settlements(&[(marked, day)]).await?;
            let block_hash = case.promised.map(|(hash, _)| hash);
            let block_hash =
                block_hash.or_else(|| row.promised_block.as_deref().and_then(|text| parse_hash(text).ok()));
            let relays: BTreeSet<RelayId> = who.iter().filter_map(|id| RelayId::parse(id).ok()).collect();
            for relay in relays {
                self.parts.spine.publish(Event::Settlement(Settlement {
                    slot,
                    block_hash: block_hash.unwrap_or_default(),
                    relay,
                    outcome: what,
                    promised: promised.unwrap_or_default(),
                    paid: received.unwrap_or_default(),
                    at: now,
                }));
            }
        }
        let from = row.relay.as_deref().unwrap_or("an unknown relay");
        match (outcome, row.payment.as_deref()) {
            (SlotOutcome::Ours, Some("under" | "unpaid")) => {
                let words = format!(
                    "slot {slot}: {from} promised {} ETH and {} ETH arrived, by {}",
                    promised.unwrap_or_default().to_eth(),
                    received.unwrap_or_default().to_eth(),
                    row.method.as_deref().unwrap_or("no method"),
                );
                raise(&self.parts.ledger, &self.parts.spine, "payment_missing", &subject, "P2", words)
                    .await?;
            }
            (SlotOutcome::NotDelivered, _) if row.status == "final" => {
                let words = format!("slot {slot}: {}", row.words);
                raise(&self.parts.ledger, &self.parts.spine, "not_delivered", &subject, "P2", words).await?;
            }
            _ => {
                // What was raised before a reorganisation may be over.
                resolve(&self.parts.ledger, &self.parts.spine, "payment_missing", &subject).await?;
            }
        }
        if row.data_api.as_deref() == Some("differs") {
            let words = format!("slot {slot}: {from}'s public record of deliveries is not what happened");
            raise(&self.parts.ledger, &self.parts.spine, "data_api_differs", &subject, "P3", words).await?;
        }
        Ok(())
    }
}

/// Tells the operator of something, once.
pub(super) async fn raise(
    ledger: &Ledger,
    spine: &Spine,
    rule: &str,
    subject: &str,
    severity: &str,
    words: String,
) -> Result<(), LedgerError> {
    let at = WallClock.now();
    let (rule, subject, severity) = (rule.to_owned(), subject.to_owned(), severity.to_owned());
    let row = NoticeRow { rule, subject, severity, words, raised_at: at, resolved_at: None };
    if ledger.raise_notice(&row).await? {
        warn!(rule = row.rule, subject = row.subject, severity = row.severity, "{}", row.words);
        counter!("relaymux_notices_total", "rule" => row.rule.clone()).increment(1);
        let NoticeRow { rule, subject, severity, words, .. } = row;
        spine.publish(Event::Notice(Notice { rule, subject, severity, words, resolved: false, at }));
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
        let (severity, words) = (String::new(), String::new());
        spine.publish(Event::Notice(Notice { rule, subject, severity, words, resolved: true, at }));
    }
    Ok(())
}
