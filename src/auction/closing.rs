//! The end of a header request: what is written down of it, once its answer is under way.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tracing::{info, warn};

use super::{
    admission::Refusal,
    answers::blank,
    check::VerifiedBid,
    clock_note::clock_note,
    metrics::{record_auction, record_refusal},
    policy::Policy,
    state::Auction,
    verify::NotChecked,
};
use crate::{
    consensus::Encoding,
    events::{AuctionRecord, BidOutcome, Event, RelayAnswer},
    relay::Relay,
    types::micros,
};

impl Auction {
    /// Publishes the record, once the answer is under way.
    pub(super) fn close(
        &self,
        received: Instant,
        mut record: AuctionRecord,
        bid: Option<VerifiedBid>,
        too_late: bool,
    ) {
        record.answered_in_us = micros(received.elapsed());
        self.explain_by_clock(&mut record);
        // The client first: metrics, log and event come when its answer is under way.
        let (spine, drought, clock) = (self.spine.clone(), Arc::clone(&self.drought), self.clock.clone());
        tokio::spawn(async move {
            if let (Some(winner), Some(signed)) = (&mut record.winner, bid) {
                winner.signed_bid = signed.bid().encode(Encoding::Ssz).into();
            }
            record_auction(&record, too_late);
            log_auction(&record);
            if let Some(signal) = drought.note(&record, clock.now()) {
                spine.publish(Event::AlertSignal(signal));
            }
            spine.publish(Event::Auction(record));
        });
    }

    /// Counts a request that is not raced for, and writes it down unless it is one of a flood.
    pub(super) fn refuse(&self, received: Instant, mut record: AuctionRecord, refusal: Refusal) {
        record_refusal(refusal);
        record.no_bid_reason = refusal.to_string();
        if self.load.may_tell() {
            warn!(slot = %record.slot, reason = refusal.label(), "header request answered without an auction: {refusal}");
            self.close(received, record, None, false);
        } else {
            record.answered_in_us = micros(received.elapsed());
            record_auction(&record, false);
        }
    }

    /// A record of each relay of the policy that was not asked, with the reason.
    pub(super) fn not_asked(&self, policy: &Policy, asked: &[Arc<Relay>]) -> Vec<RelayAnswer> {
        let is_left_out = |relay: &&Arc<Relay>| {
            relay.settings().enabled && !asked.iter().any(|asked| asked.id() == relay.id())
        };
        let record = |relay: &Arc<Relay>| {
            let status = self.relays.status(relay.id());
            let reason = status.map_or_else(String::new, |status| {
                format!(", {}: {}", status.mode.shown(status.reason), status.message)
            });
            let message = format!("not asked{reason}");
            RelayAnswer { outcome: BidOutcome::NotAsked, message, ..blank(relay, Duration::ZERO) }
        };
        policy.relays.iter().filter(is_left_out).map(record).collect()
    }

    /// Says so where a request without bid came at a time that a wrong clock explains.
    fn explain_by_clock(&self, record: &mut AuctionRecord) {
        let late = self.policies.load().policy_of(&record.proposer).settings.late_in_slot_ms;
        let note = clock_note(record.ms_into_slot, late, **self.clock_verdict.load());
        if let (None, Some(note)) = (&record.winner, note) {
            warn!(slot = %record.slot, ms_into_slot = record.ms_into_slot, "{note}");
            record.no_bid_reason = format!("{}; {note}", record.no_bid_reason);
        }
    }
}

fn log_auction(record: &AuctionRecord) {
    let elapsed_ms = record.answered_in_us / 1000;
    match &record.winner {
        Some(winner) => info!(
            slot = %record.slot,
            relay = %winner.relays.first().map_or("", |id| id.as_str()),
            value_eth = %winner.value.to_eth(),
            block_hash = %winner.block_hash,
            ms_into_slot = record.ms_into_slot,
            elapsed_ms,
            "bid selected"
        ),
        None => info!(
            slot = %record.slot,
            ms_into_slot = record.ms_into_slot,
            elapsed_ms,
            reason = %record.no_bid_reason,
            "no bid"
        ),
    }
}

/// Why there is no bid: for want of a check, and a reason per relay, in one line.
pub(super) fn no_bid_reason(answers: &[RelayAnswer], not_checked: Option<NotChecked>) -> String {
    if answers.is_empty() {
        return "no relay is active".to_owned();
    }
    let unproven = not_checked.map(|reason| format!("the best bid is not returned: {reason}"));
    let of_relays = answers.iter().map(|answer| format!("{}: {}", answer.relay, answer.message));
    unproven.into_iter().chain(of_relays).collect::<Vec<_>>().join("; ")
}
