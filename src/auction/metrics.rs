//! What this room counts.

use std::time::Duration;

use metrics::{Gauge, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use super::{admission::Refusal, submit::quota::Unrecorded};
use crate::{
    events::{AuctionRecord, BidOutcome, Fate, RaceShare, SubmissionClosed},
    types::RelayId,
};

const AUCTIONS: &str = "relaymux_auctions_total";
const SHARED: &str = "relaymux_shared_header_requests_total";
const AUCTION_DURATION: &str = "relaymux_auction_duration_seconds";
const OFFERS: &str = "relaymux_offers_total";
const WINS: &str = "relaymux_relay_wins_total";
const WINNER_VALUE: &str = "relaymux_winning_bid_value_eth";
const MS_INTO_SLOT: &str = "relaymux_header_request_seconds_into_slot";
const SUBMISSIONS: &str = "relaymux_submissions_total";
const SUBMISSION_DURATION: &str = "relaymux_submission_duration_seconds";
const JOURNAL_FAILURES: &str = "relaymux_journal_failures_total";
const REPEATED_BLOCKS: &str = "relaymux_repeated_blocks_total";
const CONFLICTING_BLOCKS: &str = "relaymux_conflicting_blocks_total";
const UNRECORDED_BLOCKS: &str = "relaymux_unrecorded_blocks_total";
const UNDECODED_BLOCKS: &str = "relaymux_undecoded_blocks_total";
const VERIFICATIONS: &str = "relaymux_signature_checks_total";
const REFUSED: &str = "relaymux_refused_header_requests_total";
const HANG_UPS: &str = "relaymux_header_hang_ups_total";
const UNCHECKED_REGISTRATIONS: &str = "relaymux_unchecked_registrations_total";
const HELD: &str = "relaymux_held_back_headers_total";
const LATE: &str = "relaymux_late_headers_total";
const LAG: &str = "relaymux_runtime_lag_seconds";
const RACE_LIMIT: &str = "relaymux_header_auctions_limit";

/// Describes this room's metrics to the recorder, and begins their counters at 0.
pub fn describe_metrics() {
    describe_counter!(AUCTIONS, "Header requests by outcome: bid, no_bid, too_late");
    describe_counter!(
        SHARED,
        "Header requests answered by another one's auction for the same block, by how: joined, repeated"
    );
    describe_histogram!(AUCTION_DURATION, Unit::Seconds, "Time from header request to answer");
    describe_counter!(OFFERS, "What relays answered to header requests, by outcome");
    describe_counter!(WINS, "Auctions won, by relay that offered the returned block");
    describe_gauge!(WINNER_VALUE, "Value of the last returned bid in ETH");
    describe_histogram!(
        MS_INTO_SLOT,
        Unit::Seconds,
        "When header requests come, relative to the slot's start"
    );
    describe_capacity();
    describe_submissions();
    describe_counter!(VERIFICATIONS, "Bid signatures checked, by result");
    for outcome in ["bid", "no_bid", "too_late"] {
        counter!(AUCTIONS, "outcome" => outcome).increment(0);
    }
    for share in [RaceShare::Joined, RaceShare::Repeated] {
        counter!(SHARED, "how" => share.label()).increment(0);
    }
    for result in ["good", "bad"] {
        counter!(VERIFICATIONS, "result" => result).increment(0);
    }
}

fn describe_submissions() {
    describe_counter!(SUBMISSIONS, "Signed blocks by fate: delivered, accepted, failed, unknown");
    describe_histogram!(SUBMISSION_DURATION, Unit::Seconds, "Time from signed block to answer");
    describe_counter!(
        JOURNAL_FAILURES,
        "Signed blocks that left without being in the journal, as the disk refused"
    );
    describe_counter!(REPEATED_BLOCKS, "Signed blocks that were handed in again and got the first's answer");
    describe_counter!(
        CONFLICTING_BLOCKS,
        "Second, different blocks of one proposer for one slot: two clients may sign with one key"
    );
    describe_counter!(
        UNDECODED_BLOCKS,
        "Signed blocks that could not be decoded and were passed on as they came"
    );
    for name in [JOURNAL_FAILURES, REPEATED_BLOCKS, CONFLICTING_BLOCKS, UNDECODED_BLOCKS] {
        counter!(name).absolute(0);
    }
    describe_counter!(
        UNRECORDED_BLOCKS,
        "Signed blocks that were not offered here and are not written down: other_time, too_many"
    );
    for reason in [Unrecorded::OtherTime, Unrecorded::TooMany] {
        counter!(UNRECORDED_BLOCKS, "reason" => reason.label()).absolute(0);
    }
    for fate in Fate::ALL {
        counter!(SUBMISSIONS, "fate" => fate.label()).increment(0);
    }
}

fn describe_capacity() {
    describe_counter!(
        REFUSED,
        "Header requests answered without an auction, as they could not be served in time: too_many, checks_wait, no_time, block_first"
    );
    for refusal in Refusal::ALL {
        counter!(REFUSED, "reason" => refusal.label()).increment(0);
    }
    describe_counter!(
        HELD,
        "Header requests answered without a bid, as a node of the operator's says that it is not synced"
    );
    counter!(HELD).increment(0);
    describe_counter!(LATE, "Headers answered later than their budget: none should be");
    counter!(LATE).increment(0);
    describe_counter!(HANG_UPS, "Header requests whose client hung up before the answer");
    counter!(HANG_UPS).increment(0);
    describe_counter!(
        UNCHECKED_REGISTRATIONS,
        "Registrations that say something new and were passed on to relays, but not taken in, as too many waited to be checked"
    );
    counter!(UNCHECKED_REGISTRATIONS).increment(0);
    describe_gauge!(LAG, Unit::Seconds, "How late this process was last woken during a header auction");
    gauge!(LAG).set(0.0);
    describe_gauge!(
        RACE_LIMIT,
        "Header auctions that are held at once at most, as this machine was found to bear"
    );
}

/// Begins what is counted of relays at 0: the first wrong answer is an increase. Does nothing to a relay that is counted.
pub(super) fn begin_relays<'a>(relays: impl Iterator<Item = &'a RelayId>) {
    for relay in relays {
        counter!(WINS, "relay" => relay.to_string()).increment(0);
        // Not being asked is not counted.
        for outcome in BidOutcome::all().filter(|outcome| *outcome != BidOutcome::NotAsked) {
            counter!(OFFERS, "relay" => relay.to_string(), "outcome" => outcome.label()).increment(0);
        }
    }
}

/// A header request got no bid, as a node is not there.
pub(super) fn record_held() {
    counter!(HELD).increment(1);
}

pub(super) fn record_auction(record: &AuctionRecord, too_late: bool) {
    let outcome = match (&record.winner, too_late) {
        (Some(_), _) => "bid",
        (None, true) => "too_late",
        (None, false) => "no_bid",
    };
    match record.race {
        RaceShare::Own => counter!(AUCTIONS, "outcome" => outcome).increment(1),
        // One auction, whoever asks for it: its wins and bids were counted then.
        RaceShare::Joined | RaceShare::Repeated => return record_shared(record.race),
    }
    histogram!(AUCTION_DURATION).record(Duration::from_micros(record.answered_in_us).as_secs_f64());
    let seconds = f64::from(i32::try_from(record.ms_into_slot).unwrap_or(i32::MAX)) / 1000.0;
    histogram!(MS_INTO_SLOT).record(seconds);
    for answer in record.answers.iter().filter(|answer| answer.outcome != BidOutcome::NotAsked) {
        counter!(OFFERS, "relay" => answer.relay.to_string(), "outcome" => answer.outcome.label())
            .increment(1);
    }
    if let Some(winner) = &record.winner {
        for relay in &winner.relays {
            counter!(WINS, "relay" => relay.to_string()).increment(1);
        }
        // A gauge for a chart, not an account: the ledger has the exact amount.
        gauge!(WINNER_VALUE).set(winner.value.to_eth().parse::<f64>().unwrap_or_default());
    }
}

/// A request got the answer of another one's race.
pub(super) fn record_shared(share: RaceShare) {
    counter!(SHARED, "how" => share.label()).increment(1);
}

pub(super) fn record_unrecorded_block(reason: Unrecorded) {
    counter!(UNRECORDED_BLOCKS, "reason" => reason.label()).increment(1);
}

pub(super) fn record_submission(closed: &SubmissionClosed) {
    counter!(SUBMISSIONS, "fate" => closed.fate.label()).increment(1);
    histogram!(SUBMISSION_DURATION).record(Duration::from_micros(closed.latency_us).as_secs_f64());
}

pub(super) fn record_journal_failure() {
    counter!(JOURNAL_FAILURES).increment(1);
}

pub(super) fn record_repeated_block() {
    counter!(REPEATED_BLOCKS).increment(1);
}

pub(super) fn record_conflicting_block() {
    counter!(CONFLICTING_BLOCKS).increment(1);
}

pub(super) fn record_undecoded_block() {
    counter!(UNDECODED_BLOCKS).increment(1);
}

pub(super) fn record_verification(good: bool) {
    counter!(VERIFICATIONS, "result" => if good { "good" } else { "bad" }).increment(1);
}

/// A header is not raced for.
pub(super) fn record_refusal(refusal: Refusal) {
    counter!(REFUSED, "reason" => refusal.label()).increment(1);
}

/// An answer took longer than it had.
pub(super) fn record_late_answer() {
    counter!(LATE).increment(1);
}

/// A client did not wait for its header.
pub(super) fn record_hang_up() {
    counter!(HANG_UPS).increment(1);
}

/// Registrations that say something new are not looked at.
pub(super) fn record_unchecked_registrations(count: usize) {
    counter!(UNCHECKED_REGISTRATIONS).increment(u64::try_from(count).unwrap_or(u64::MAX));
}

/// What is measured many times a second while auctions last: looked up in the registry once.
#[derive(Debug)]
pub(super) struct CapacityGauges {
    lag: Gauge,
    limit: Gauge,
}

impl Default for CapacityGauges {
    fn default() -> Self {
        Self { lag: gauge!(LAG), limit: gauge!(RACE_LIMIT) }
    }
}

impl CapacityGauges {
    /// How late the runtime was just now, and how many auctions are held at once at most.
    pub(super) fn record(&self, lag: Duration, limit: usize) {
        self.lag.set(lag.as_secs_f64());
        self.limit.set(f64::from(u32::try_from(limit).unwrap_or(u32::MAX)));
    }
}
