//! What the ledger answers with: plain data, ready to be shown as JSON. Times are Unix milliseconds.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Settled, TrimPart};
use crate::{
    events::{BidOutcome, Fate, ModeReason, NoRequestReason, RaceShare, RelayMode, RevealOutcome},
    types::{Label, labelled},
};

labelled! {
    /// What became of a signed block, or that it is still open.
    pub enum SubmissionFate {
        /// No answer counts yet.
        Pending = "pending",
    }
    or {
        /// It is decided.
        Closed(Fate),
    }
}

/// A slot of ours without request, as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MissedRequestView {
    /// The validator's public key.
    pub proposer: String,
    /// Why, as far as can be told.
    pub reason: Label<NoRequestReason>,
    /// The reason as a sentence, with what to do.
    pub message: String,
    /// When the client last asked for anything, Unix milliseconds.
    pub last_request_at: Option<i64>,
    /// When it was found, Unix milliseconds.
    pub found_at: i64,
}

/// One header request as stored.
#[derive(Clone, Debug, Serialize)]
pub struct AuctionView {
    /// Number of the auction in the ledger.
    pub id: i64,
    /// Slot to be proposed.
    pub slot: u64,
    /// Hash of the execution block that this one is built on.
    pub parent_hash: String,
    /// The proposer's BLS public key.
    pub proposer: String,
    /// Name of the fork that the slot has by the chain's schedule, in lower case.
    pub fork: String,
    /// When the request came, in Unix milliseconds.
    pub requested_at: i64,
    /// Negative before the slot.
    pub ms_into_slot: i64,
    /// Time the auction had.
    pub budget_ms: i64,
    /// Time from request to answer.
    pub answered_in_us: i64,
    /// The client's `User-Agent`.
    pub user_agent: String,
    /// The `[[proposers]]` set that applied; empty for everybody else.
    pub policy: String,
    /// Whose auction answered this request.
    pub race: Label<RaceShare>,
    /// The returned bid's block.
    pub winner_block_hash: Option<String>,
    /// The returned bid's value in wei; none without one.
    pub winner_value_wei: Option<String>,
    /// The same in ETH.
    pub winner_value_eth: Option<String>,
    /// Ids of the relays that offered the returned block.
    pub winner_relays: Vec<String>,
    /// Why there was none; empty when there was one.
    #[serde(rename = "why_no_bid")]
    pub no_bid_reason: String,
    /// What each relay did, in the order of their names.
    pub bids: Vec<BidView>,
}

/// What one relay did when it was asked for a bid.
#[derive(Clone, Debug, Serialize)]
pub struct BidView {
    /// Id of the relay that was asked for a bid.
    pub relay: String,
    /// How it ended.
    pub outcome: Label<BidOutcome>,
    /// What happened, as a sentence for people. Nothing is decided by it.
    #[serde(rename = "detail")]
    pub message: String,
    /// HTTP status of the answer; none where no answer came.
    pub http_status: Option<i64>,
    /// From request to whole answer.
    pub latency_us: i64,
    /// Offered value in wei.
    pub value_wei: Option<String>,
    /// Value of the bid in ETH; none where no bid was decoded.
    pub value_eth: Option<String>,
    /// Offered block.
    pub block_hash: Option<String>,
    /// Whether the signature was checked and good.
    pub verified: bool,
    /// What the bid counted, where the operator weighs it.
    pub score_eth: Option<String>,
    /// Every answer, where there was more than one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub polls: Vec<PollView>,
}

/// One answer of a relay that was asked more than once, or streams.
#[derive(Clone, Debug, Serialize)]
pub struct PollView {
    /// Which request or frame, from 0.
    pub number: i64,
    /// When the request left, in milliseconds into the slot.
    pub sent_ms_into_slot: i64,
    /// From request to whole answer.
    pub latency_us: i64,
    /// How it ended.
    pub outcome: Label<BidOutcome>,
    /// Value of the bid in ETH; none where no bid was decoded.
    pub value_eth: Option<String>,
}

/// A submission as stored.
#[derive(Clone, Debug, Serialize)]
pub struct SubmissionView {
    /// The slot that the block is for.
    pub slot: u64,
    /// Hash of its execution block.
    pub block_hash: String,
    /// Hash of the execution block that this one is built on.
    pub parent_hash: String,
    /// The proposer's validator index.
    pub proposer_index: u64,
    /// Name of the fork that the slot has by the chain's schedule, in lower case.
    pub fork: String,
    /// `blinded_blocks` version.
    pub version: i64,
    /// When it came, in Unix milliseconds.
    pub received_at: i64,
    /// When the signed block came, in milliseconds into the slot.
    pub ms_into_slot: i64,
    /// Ids of the relays that had offered the block when it came.
    pub offered_by: Vec<String>,
    /// Why it could not be decoded, where it was passed on as it came; its hashes are zero if they could not be read.
    pub undecoded: Option<String>,
    /// What became of it.
    pub fate: Label<SubmissionFate>,
    /// The relay whose answer the client got; none where none counted.
    pub decided_by: Option<String>,
    /// From receipt to decision.
    pub decided_in_us: Option<i64>,
    /// Each relay's answer.
    pub answers: Vec<AnswerView>,
}

/// One relay's answer to a submission.
#[derive(Clone, Debug, Serialize)]
pub struct AnswerView {
    /// Id of the relay that the block went to.
    pub relay: String,
    /// How it ended.
    pub outcome: Label<RevealOutcome>,
    /// What happened, as a sentence for people. Nothing is decided by it.
    #[serde(rename = "detail")]
    pub message: String,
    /// HTTP status of the answer; none where no answer came.
    pub http_status: Option<i64>,
    /// Retries included.
    pub latency_us: i64,
    /// How often it was called, the first call included.
    pub attempts: i64,
}

/// One change of a relay's mode.
#[derive(Clone, Debug, Serialize)]
pub struct ModeView {
    /// From when on, in Unix milliseconds.
    pub since: i64,
    /// Its mode from then on.
    pub state: Label<RelayMode>,
    /// Why, as a kind; none in rows of a version that did not keep it.
    pub reason: Option<ModeReason>,
    /// The mode before; none at first.
    pub before: Option<Label<RelayMode>>,
    /// Why, as a sentence for people.
    #[serde(rename = "why")]
    pub message: String,
    /// Its score at that moment, 0 to 1.
    pub score: f64,
}

impl ModeView {
    /// What people are shown: see [`RelayMode::shown`].
    pub fn shown(&self) -> &str {
        self.state.known().zip(self.reason).map_or(self.state.as_str(), |(mode, reason)| mode.shown(reason))
    }
}

/// Everything about one slot.
#[derive(Clone, Debug, Serialize)]
pub struct SlotView {
    /// The slot that this is about.
    pub slot: u64,
    /// Its auctions, oldest first.
    pub auctions: Vec<AuctionView>,
    /// What became of the signed blocks that came for the slot.
    pub submissions: Vec<SubmissionView>,
    /// That no header was asked for, although the slot was ours; none where one was.
    pub missed_request: Option<MissedRequestView>,
    /// What came of it on chain; none where nothing is known yet.
    pub payment: Option<Settled>,
    /// What is gone of it for its age: `[ledger]` says how long what is kept.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trimmed: Vec<Label<TrimPart>>,
}

/// One slot in a list.
#[derive(Clone, Debug, Serialize)]
pub struct SlotSummary {
    /// Everything about it.
    #[serde(flatten)]
    pub view: SlotView,
}

/// What the ledger knows of one relay.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RelayStats {
    /// Header requests for which it was asked.
    pub auctions: i64,
    /// Bids that decoded, usable or not.
    pub bids: i64,
    /// Returned bids that it had offered.
    pub wins: i64,
    /// Blocks it took or delivered.
    pub deliveries: i64,
    /// Outcomes that are neither a bid nor an honest "none", by name.
    pub faults: BTreeMap<String, i64>,
    /// Median latency of its newest answers, in milliseconds.
    pub latency_p50_ms: Option<f64>,
    /// 95th percentile.
    pub latency_p95_ms: Option<f64>,
    /// 99th percentile.
    pub latency_p99_ms: Option<f64>,
}
