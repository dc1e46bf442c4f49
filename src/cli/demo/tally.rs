//! What happened over the whole demo, from the events that the service published.

use std::collections::BTreeMap;

use alloy_primitives::U256;

use crate::{
    events::{AuctionRecord, BidOutcome, CallFault, Event, RelayModeChanged, SlotSettled, Subscription},
    types::{RelayId, Slot, Wei},
};

/// What happened so far.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) slots: u64,
    pub(super) paid_slots: u64,
    pub(super) local: u64,
    pub(super) lost: u64,
    /// By the bids of the slots that were paid by relays.
    pub(super) promised: Wei,
    pub(super) by_relay: BTreeMap<RelayId, RelayTally>,
    /// Changes of place since the last slot's line.
    pub(super) moves: Vec<RelayModeChanged>,
    /// What came of each slot on chain, as far as it is known, and whose block it was.
    on_chain: BTreeMap<Slot, SlotSettled>,
    winners: BTreeMap<Slot, RelayId>,
}

/// What one relay did.
#[derive(Default)]
pub(super) struct RelayTally {
    pub(super) asked: u64,
    pub(super) bids: u64,
    pub(super) wins: u64,
    pub(super) deliveries: u64,
    pub(super) faults: BTreeMap<String, u64>,
    /// Answers that came, and what they took together.
    answers: u64,
    latency_us: u64,
}

impl RelayTally {
    /// What an answer took on average; none where none came.
    pub(super) fn mean_us(&self) -> Option<u64> {
        self.latency_us.checked_div(self.answers)
    }
}

/// Whether an answer came, whatever it was: what was not asked, or never came, took no time that could be averaged.
fn is_answer(outcome: BidOutcome) -> bool {
    !matches!(
        outcome,
        BidOutcome::NotAsked
            | BidOutcome::Late
            | BidOutcome::Failed(CallFault::TimedOut)
            | BidOutcome::Failed(CallFault::RateLimited)
            | BidOutcome::Failed(CallFault::Connect)
            | BidOutcome::Failed(CallFault::Transport)
    )
}

impl Tally {
    /// Counts what was published; returns the auction of the slot.
    pub(super) fn drain(&mut self, events: &mut Subscription, slot: Slot) -> Option<AuctionRecord> {
        let mut found = None;
        while let Some(event) = events.try_next() {
            match &*event {
                Event::Auction(record) => {
                    self.count_auction(record);
                    if record.slot == slot {
                        found = Some(record.clone());
                    }
                }
                Event::SubmissionAnswer(answer) => {
                    let relay = self.by_relay.entry(answer.relay.clone()).or_default();
                    let offered = found.as_ref().and_then(|record| record.winner.as_ref());
                    let had_offered = offered.is_some_and(|winner| winner.relays.contains(&answer.relay));
                    match answer.outcome {
                        outcome if outcome.reveals() => relay.deliveries += 1,
                        // Those who did not offer the block rightly know nothing of it.
                        _ if !had_offered => {}
                        fault => *relay.faults.entry(format!("reveal {fault}")).or_default() += 1,
                    }
                }
                Event::SlotSettled(settled) => {
                    self.on_chain.insert(settled.slot, settled.clone());
                }
                Event::RelayModeChanged(placed) => self.moves.push(placed.clone()),
                _ => {}
            }
        }
        found
    }

    fn count_auction(&mut self, record: &AuctionRecord) {
        for answer in record.answers.iter().filter(|answer| answer.outcome != BidOutcome::NotAsked) {
            let relay = self.by_relay.entry(answer.relay.clone()).or_default();
            relay.asked += 1;
            if is_answer(answer.outcome) {
                relay.answers += 1;
                relay.latency_us += answer.latency_us;
            }
            match answer.outcome {
                BidOutcome::Bid => relay.bids += 1,
                BidOutcome::NoBid => {}
                fault => *relay.faults.entry(fault.to_string()).or_default() += 1,
            }
        }
        let Some(winner) = &record.winner else { return };
        for relay in &winner.relays {
            self.by_relay.entry(relay.clone()).or_default().wins += 1;
        }
        if let Some(first) = winner.relays.first() {
            self.winners.insert(record.slot, first.clone());
        }
    }

    /// Of the slots of relays' blocks that are settled: what was promised, what was received, how many they are.
    pub(super) fn settled(&self) -> (Wei, Wei, usize) {
        let (mut promised, mut received, mut count) = (U256::ZERO, U256::ZERO, 0);
        for (due, paid) in self.on_chain.values().filter_map(amounts) {
            promised = promised.saturating_add(due.as_u256());
            received = received.saturating_add(paid.as_u256());
            count += 1;
        }
        (Wei::new(promised), Wei::new(received), count)
    }

    /// Who paid how much too little in which slot.
    pub(super) fn shortfalls(&self) -> Vec<(Slot, String, Wei)> {
        let short = |(slot, settled): (&Slot, &SlotSettled)| {
            let (due, paid) = amounts(settled)?;
            let missing = due.as_u256().checked_sub(paid.as_u256()).filter(|missing| !missing.is_zero())?;
            let relay = self.winners.get(slot).map_or_else(|| "a relay".to_owned(), ToString::to_string);
            Some((*slot, relay, Wei::new(missing)))
        };
        self.on_chain.iter().filter_map(short).collect()
    }
}

/// What a slot of a relay's block promised and what arrived, where both are known.
fn amounts(settled: &SlotSettled) -> Option<(Wei, Wei)> {
    settled.promised.zip(settled.received).filter(|_| settled.payment.is_some())
}
