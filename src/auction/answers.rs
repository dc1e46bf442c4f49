//! What one relay did in a race, and the one record that becomes of it.

use std::time::Duration;

use alloy_primitives::B256;

use super::check::BidFault;
use crate::{
    events::{BidFlaw, BidOutcome, CallFault, PollRecord, RelayAnswer},
    relay::Relay,
    types::{Wei, micros},
};

/// Bad signatures after which nothing more of a relay is looked at in this auction. Arbitrary: what it had sent before its first is
/// tried when nobody else has a bid, and that must not become a thousand checks.
const MAX_BAD_SIGNATURES: u32 = 4;

/// An answer as judged, and the number of its bid if it has a usable one.
struct Answered {
    record: RelayAnswer,
    bid: Option<usize>,
}

/// What one relay did so far.
#[derive(Default)]
pub(super) struct RelayRun {
    answers: Vec<Answered>,
    polls: Vec<PollRecord>,
    /// Request of the latest bid, where only that counts.
    latest: Option<u32>,
    bad_signatures: u32,
    /// Whether nothing more comes.
    pub(super) is_done: bool,
}

/// How the race ended, as far as a relay's record is concerned.
#[derive(Clone, Copy, Debug)]
pub(super) struct RaceEnd {
    /// The block that was returned.
    pub(super) winner: Option<B256>,
    /// Whether it ended before everybody had answered.
    pub(super) decided_early: bool,
    /// How long relays had been waited for when it ended.
    pub(super) waited: Duration,
}

impl RelayRun {
    /// Whether it has answered at all.
    pub(super) fn has_answered(&self) -> bool {
        !self.answers.is_empty()
    }

    /// Whether it sent a bid that it did not sign.
    pub(super) fn has_forged(&self) -> bool {
        self.bad_signatures > 0
    }

    /// Whether so many were not signed that the rest is not worth a look.
    pub(super) fn is_hopeless(&self) -> bool {
        self.bad_signatures >= MAX_BAD_SIGNATURES
    }

    /// Takes down an answer.
    pub(super) fn add(
        &mut self,
        number: u32,
        sent_ms_into_slot: i64,
        record: RelayAnswer,
        bid: Option<usize>,
    ) {
        self.polls.push(PollRecord {
            number,
            sent_ms_into_slot,
            latency_us: record.latency_us,
            outcome: record.outcome,
            value: record.value,
        });
        self.answers.push(Answered { record, bid });
    }

    /// Whether a bid was asked for later than all before it: an answer that was overtaken cancels nothing.
    pub(super) fn is_latest(&mut self, number: u32) -> bool {
        let is_latest = self.latest.is_none_or(|latest| number > latest);
        if is_latest {
            self.latest = Some(number);
        }
        is_latest
    }

    /// How many answers were this bid.
    pub(super) fn times_bid(&self, bid: usize) -> usize {
        self.answers.iter().filter(|answer| answer.bid == Some(bid)).count()
    }

    /// The block of a bid, if the bid is of this relay.
    pub(super) fn block_of(&self, bid: usize) -> Option<B256> {
        self.answers.iter().find(|answer| answer.bid == Some(bid))?.record.block_hash
    }

    /// A bid's signature was checked; says whether the bid is of this relay.
    pub(super) fn checked(&mut self, bid: usize, fault: Option<&BidFault>) -> bool {
        let mut is_own = false;
        for answer in self.answers.iter_mut().filter(|answer| answer.bid == Some(bid)) {
            is_own = true;
            match fault {
                None => answer.record.verified = true,
                Some(fault) => refuse(&mut answer.record, fault),
            }
        }
        self.bad_signatures += u32::from(is_own && fault.is_some());
        is_own
    }

    /// A usable bid is not to be returned after all.
    pub(super) fn leave_out(&mut self, bid: usize, fault: &BidFault, is_corroborated: bool) {
        let usable =
            |answer: &&mut Answered| answer.bid == Some(bid) && answer.record.outcome == BidOutcome::Bid;
        for answer in self.answers.iter_mut().filter(usable) {
            refuse(&mut answer.record, fault);
            answer.record.is_corroborated = is_corroborated;
        }
    }

    /// Judges the usable bids again: those with a fault are not usable after all.
    pub(super) fn reconsider(&mut self, fault_of: impl Fn(Wei) -> Option<BidFault>) {
        for answer in self.answers.iter_mut().filter(|answer| answer.record.outcome == BidOutcome::Bid) {
            if let Some(fault) = answer.record.value.and_then(&fault_of) {
                refuse(&mut answer.record, &fault);
            }
        }
    }

    /// One record: the winning bid's, else the best usable bid's, else the last answer's. A relay that sent a bid which it did not
    /// sign is recorded with that, whatever else it sent.
    pub(super) fn into_record(mut self, relay: &Relay, end: &RaceEnd) -> RelayAnswer {
        if self.has_forged() {
            self.condemn();
        }
        // One answer is its own record.
        let polls = if self.polls.len() > 1 {
            let outcomes = self.answers.iter().map(|answer| answer.record.outcome);
            self.polls.iter_mut().zip(outcomes).for_each(|(poll, outcome)| poll.outcome = outcome);
            self.polls
        } else {
            Vec::new()
        };
        let has_forged = self.bad_signatures > 0;
        let best = self.answers.into_iter().enumerate().max_by_key(|(index, answer)| {
            let record = &answer.record;
            let is_winner = end.winner.is_some() && record.block_hash == end.winner && record.verified;
            let is_fault = has_forged && record.outcome == BidOutcome::Flawed(BidFlaw::WrongSignature);
            let is_usable = record.outcome == BidOutcome::Bid;
            (is_winner, is_fault, is_usable, record.score.or(record.value).filter(|_| is_usable), *index)
        });
        let mut record = best.map_or_else(|| unanswered(relay, end), |(_, answer)| answer.record);
        if has_forged && record.outcome == BidOutcome::Bid {
            record.outcome = BidOutcome::Flawed(BidFlaw::WrongSignature);
            "this bid is its own and won; another one of this auction was not signed by it"
                .clone_into(&mut record.message);
        }
        record.polls = polls;
        record
    }

    /// What a relay that forged has sent is not recorded as a bid, unless it was proven to be one.
    fn condemn(&mut self) {
        let unproven = |record: &&mut RelayAnswer| record.outcome == BidOutcome::Bid && !record.verified;
        for record in self.answers.iter_mut().map(|answer| &mut answer.record).filter(unproven) {
            record.outcome = BidOutcome::Flawed(BidFlaw::WrongSignature);
            "not looked at: another bid of this relay in this auction was not signed by it"
                .clone_into(&mut record.message);
        }
    }
}

fn refuse(record: &mut RelayAnswer, fault: &BidFault) {
    record.outcome = fault.kind();
    record.message = fault.to_string();
}

/// A record of nothing yet.
pub(super) fn blank(relay: &Relay, latency: Duration) -> RelayAnswer {
    RelayAnswer {
        relay: relay.id().clone(),
        outcome: BidOutcome::Failed(CallFault::TimedOut),
        message: String::new(),
        http_status: None,
        latency_us: micros(latency),
        value: None,
        block_hash: None,
        verified: false,
        is_corroborated: false,
        score: None,
        polls: Vec::new(),
    }
}

fn unanswered(relay: &Relay, end: &RaceEnd) -> RelayAnswer {
    let (outcome, message) = if end.decided_early {
        (BidOutcome::Late, "not waited for: the auction was decided without it")
    } else {
        (BidOutcome::Failed(CallFault::TimedOut), "no answer in time")
    };
    RelayAnswer { outcome, message: message.to_owned(), ..blank(relay, end.waited) }
}
