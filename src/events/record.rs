//! What can happen, as plain data. Times are Unix milliseconds; durations say their unit in the name.

use alloy_primitives::{Address, B256, Bytes};
use serde::Serialize;

use super::{
    AlertSignal, BackupFinished, BidOutcome, BlockRecordSaved, BlockSignatureChecked, DiskActed, DiskCleaned,
    MissedRequest, NodeActed, NodeChanged, RegistrationOutcome, RelayJudged, RevealOutcome, Settlement,
    SlotSettled, TaskRun, UpstreamChanged,
};
use crate::types::{BlsPublicKey, Fork, RelayId, Slot, Wei, labelled};

/// One fact.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// A relay became usable or unusable.
    Relay(ProbeResult),
    /// A header request was answered.
    Auction(AuctionRecord),
    /// A consensus client registered validators; what the validators asked for.
    Registrations(RegistrationRound),
    /// One relay's answer to a registration round.
    RegistrationAnswer(RegistrationAnswer),
    /// A signed blinded block came in and is in the journal.
    BlockReceived(BlockReceived),
    /// A proposer signed a second, different block for one slot.
    ConflictingBlock(ConflictingBlock),
    /// One relay's answer to a submission.
    SubmissionAnswer(SubmissionAnswer),
    /// A submission was decided.
    SubmissionClosed(SubmissionClosed),
    /// What the chain said of a block that a relay took: published by whoever watches the chain.
    Settlement(Settlement),
    /// What came of a slot on chain.
    SlotSettled(SlotSettled),
    /// Something the operator should know of, or that is over.
    #[serde(rename = "notice")]
    AlertSignal(AlertSignal),
    /// No header was asked for in a slot of ours.
    MissedRequest(MissedRequest),
    /// A relay's mode or its reason changed: who is asked, who is not, and why.
    #[serde(rename = "relay_placed")]
    RelayModeChanged(RelayModeChanged),
    /// What is known of a relay, to be kept over restarts.
    #[serde(rename = "standing_saved")]
    ReputationSaved(ReputationSaved),
    /// The signature of a signed block was looked at.
    BlockSignatureChecked(BlockSignatureChecked),
    /// A verdict on a relay was given, changed or taken back.
    RelayJudged(RelayJudged),
    /// What is known of a block and its relays, to be kept over restarts.
    BlockRecordSaved(BlockRecordSaved),
    /// An upstream of the JSON-RPC gateway is in another state.
    UpstreamChanged(UpstreamChanged),
    /// A node under supervision is in another state.
    NodeChanged(NodeChanged),
    /// Something was done to a node under supervision.
    NodeActed(NodeActed),
    /// A task of the schedule has begun, has ended, or was left out.
    TaskRun(TaskRun),
    /// Something was done about a filesystem that is nearly full.
    DiskActed(DiskActed),
    /// A cleaning of disks has ended.
    DiskCleaned(DiskCleaned),
    /// A backup was made or verified, or could not be.
    BackupFinished(BackupFinished),
}

labelled! {
    /// Whether a relay is asked.
    pub enum RelayMode {
        /// It is asked.
        Active = "active",
        /// Fit, and not asked at the moment: rotated out under pressure.
        Standby = "standby",
        /// Not asked for what it did, or because it does not answer.
        Quarantined = "quarantined",
        /// Not asked because the operator says so.
        Disabled = "disabled",
    }
}

impl RelayMode {
    /// What people are shown. Only a relay that was found dishonest is `quarantined` in their eyes: one that is merely away is
    /// `unreachable`, and one that awaits the chain's answer is `suspected`.
    pub const fn shown(self, reason: ModeReason) -> &'static str {
        match (self, reason) {
            (Self::Quarantined, ModeReason::Unreachable | ModeReason::Suspected) => reason.label(),
            (Self::Active | Self::Standby | Self::Quarantined | Self::Disabled, _) => self.label(),
        }
    }
}

labelled! {
    /// Why a relay has the mode that it has.
    pub enum ModeReason {
        /// Nothing is against it.
        Fit = "fit",
        /// The operator wants it asked.
        Pinned = "pinned",
        /// It does not answer as it should: nothing is said of its honesty.
        Unreachable = "unreachable",
        /// It rests until the chain clears it or proves what it is suspected of.
        Suspected = "suspected",
        /// It is quarantined for what it did.
        Dishonest = "dishonest",
        /// It rests as the machine is under pressure, or was rotated out by hand.
        RotatedOut = "rotated_out",
        /// The operator does not want it asked.
        Disabled = "disabled",
    }
}

/// A relay's new mode, or a new reason for the same one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RelayModeChanged {
    /// The relay that this is about.
    pub relay: RelayId,
    /// Its mode from now on.
    pub state: RelayMode,
    /// The one before; none at first.
    pub before: Option<RelayMode>,
    /// Why, as a kind. Programs go by this, people read the message.
    pub reason: ModeReason,
    /// What happened, as a sentence for people. Nothing is decided by it.
    #[serde(rename = "why")]
    pub message: String,
    /// Its score at that moment, 0 to 1.
    pub score: f64,
    /// When it happened, in Unix milliseconds.
    pub at: i64,
}

/// A relay's reputation as JSON, for the ledger. Opaque outside the relay room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReputationSaved {
    /// The relay that this is about.
    pub relay: RelayId,
    /// The reputation as JSON of the relay room's own, opaque here.
    #[serde(skip)]
    pub reputation: String,
    /// When it happened, in Unix milliseconds.
    pub at: i64,
}

/// A relay's usability, as the status probe sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProbeResult {
    /// The relay that this is about.
    pub relay: RelayId,
    /// Whether it answered as it should.
    pub usable: bool,
    /// What happened, as a sentence for people. Nothing is decided by it.
    #[serde(rename = "why")]
    pub message: String,
    /// When it happened, in Unix milliseconds.
    pub at: i64,
}

/// One header request: what each counterparty answered, and what the client got. Fork-neutral: a counterparty is a relay before
/// Gloas, a relay or builder after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuctionRecord {
    /// Slot to be proposed.
    pub slot: Slot,
    /// Hash of the execution block that this one is built on.
    pub parent_hash: B256,
    /// The proposer's BLS public key.
    pub proposer: BlsPublicKey,
    /// The fork that the slot has by the chain's schedule.
    pub fork: Fork,
    /// When the request came, Unix milliseconds.
    pub requested_at: i64,
    /// How far into the slot that was; negative before it.
    pub ms_into_slot: i64,
    /// Time there was for the answer, in milliseconds.
    pub budget_ms: u64,
    /// Time from request to answer, in microseconds.
    pub answered_in_us: u64,
    /// The consensus client's `User-Agent`.
    pub user_agent: String,
    /// The `[[proposers]]` set that applied; none for everybody else.
    pub policy: Option<String>,
    /// Who is to be paid, by the validator's registration.
    pub fee_recipient: Option<Address>,
    /// Whether relays were asked for this request, or another one's answer was given.
    pub race: RaceShare,
    /// The answer, or none (204).
    pub winner: Option<Box<Winner>>,
    /// Why no bid was returned, as a sentence for people; empty when one was.
    #[serde(rename = "why_no_bid")]
    pub no_bid_reason: String,
    /// What each counterparty answered, or why it was not asked.
    #[serde(rename = "offers")]
    pub answers: Vec<RelayAnswer>,
}

labelled! {
    /// Whose auction answered a header request: requests for the same slot, parent and proposer share one.
    pub enum RaceShare {
        /// Its own: relays were asked.
        Own = "own",
        /// One that was under way for an earlier request.
        Joined = "joined",
        /// One that an earlier request had won already: the same bid again.
        Repeated = "repeated",
    }
}

/// The bid that was returned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Winner {
    /// Execution block hash.
    pub block_hash: B256,
    /// Promised to the proposer.
    pub value: Wei,
    /// Who offered it; the first is the one whose signed bid was returned.
    pub relays: Vec<RelayId>,
    /// Who built it: the operator's name for it, else what it wrote into the block, else its fee recipient.
    pub builder: String,
    /// The signed bid in SSZ: what the relay cannot take back.
    #[serde(skip)]
    pub signed_bid: Bytes,
}

/// What one counterparty did when it was asked for a bid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RelayAnswer {
    /// The relay that was asked for a bid.
    pub relay: RelayId,
    /// How it ended. Decisions go by this, never by the message.
    pub outcome: BidOutcome,
    /// The outcome in words.
    #[serde(rename = "detail")]
    pub message: String,
    /// HTTP status, where there was one.
    pub http_status: Option<u16>,
    /// From request to whole answer, in microseconds; up to the deadline when there was none.
    pub latency_us: u64,
    /// Offered value, where a bid was decoded, usable or not.
    pub value: Option<Wei>,
    /// Offered block, where a bid was decoded.
    pub block_hash: Option<B256>,
    /// Whether the bid's signature was checked and good. Only candidates for the win are checked.
    pub verified: bool,
    /// Whether the beacon node and another relay's bid both speak against this one. Some faults are held against a relay only then.
    pub is_corroborated: bool,
    /// What the bid counted, where the operator weighs it.
    pub score: Option<Wei>,
    /// Every answer, where timing games or a stream gave more than one.
    pub polls: Vec<PollRecord>,
}

/// One answer of a relay that was asked more than once, or streams.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PollRecord {
    /// Which request, from 0; of a stream, which frame.
    pub number: u32,
    /// When it was asked for, in milliseconds into the slot.
    pub sent_ms_into_slot: i64,
    /// From request to whole answer, in microseconds.
    pub latency_us: u64,
    /// How it ended. Decisions go by this, never by the message.
    pub outcome: BidOutcome,
    /// Offered value, where there was a bid.
    pub value: Option<Wei>,
}

/// What one validator asked builders for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RegistrationFacts {
    /// The validator's BLS public key.
    pub pubkey: BlsPublicKey,
    /// The address that the validator wants its blocks to pay.
    pub fee_recipient: Address,
    /// The gas limit it votes for.
    pub gas_limit: u64,
    /// When it was signed, Unix seconds.
    pub timestamp: u64,
}

/// One call of `validators`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RegistrationRound {
    /// Number of registrations in the body.
    pub count: usize,
    /// When it happened, in Unix milliseconds.
    pub at: i64,
    /// Those that are new or changed since the last round.
    #[serde(skip)]
    pub changed: Vec<RegistrationFacts>,
    /// The time by the clock that goes while registrations are heard, in milliseconds.
    #[serde(skip)]
    pub heard_at: i64,
    /// Those that say the same as ever, now and then: that they are heard is to be written down.
    #[serde(skip)]
    pub repeated: Vec<BlsPublicKey>,
}

/// One relay's answer to `validators`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RegistrationAnswer {
    /// The relay that the registrations went to.
    pub relay: RelayId,
    /// Whether it took them all.
    pub accepted: bool,
    /// How it ended. Decisions go by this, never by the message.
    pub outcome: RegistrationOutcome,
    /// What happened, as a sentence for people. Nothing is decided by it.
    #[serde(rename = "detail")]
    pub message: String,
    /// HTTP status, where there was one.
    pub http_status: Option<u16>,
    /// In microseconds, retries included.
    pub latency_us: u64,
    /// When it happened, in Unix milliseconds.
    pub at: i64,
}

/// A signed blinded block that is to be revealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BlockReceived {
    /// The slot that the block is for.
    pub slot: Slot,
    /// Execution block hash it was signed for.
    pub block_hash: B256,
    /// Hash of the execution block that this one is built on.
    pub parent_hash: B256,
    /// The proposer's validator index.
    pub proposer_index: u64,
    /// The fork that the slot has by the chain's schedule.
    pub fork: Fork,
    /// `blinded_blocks` version the client called: 1 or 2.
    pub version: u8,
    /// When the signed block came, Unix milliseconds.
    pub at: i64,
    /// How far into the slot that was.
    pub ms_into_slot: i64,
    /// Who had offered the block in an auction of this process.
    pub offered_by: Vec<RelayId>,
    /// Why our decoder refuses it, where it does: it is passed on as it came, and its hashes are zero if they cannot be read.
    pub undecoded: Option<String>,
}

/// Two different signed blocks of one proposer for one slot. The second was submitted all the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConflictingBlock {
    /// Their slot.
    pub slot: Slot,
    /// The proposer's validator index.
    pub proposer_index: u64,
    /// Execution block hash of the one that came now.
    pub block_hash: B256,
    /// That of the one that came before. Equal if the two differ elsewhere.
    pub other: B256,
    /// When it happened, in Unix milliseconds.
    pub at: i64,
}

/// One relay's answer to a submission (the last, when there were retries).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SubmissionAnswer {
    /// Slot of the block.
    pub slot: Slot,
    /// Hash of its execution block.
    pub block_hash: B256,
    /// The relay that the block went to.
    pub relay: RelayId,
    /// How it ended. Decisions go by this, never by the message.
    pub outcome: RevealOutcome,
    /// What happened, as a sentence for people. Nothing is decided by it.
    #[serde(rename = "detail")]
    pub message: String,
    /// HTTP status, where there was one.
    pub http_status: Option<u16>,
    /// In microseconds, retries included.
    pub latency_us: u64,
    /// How often it was called, the first call included.
    pub attempts: u32,
    /// When it happened, in Unix milliseconds.
    pub at: i64,
}

labelled! {
    /// What became of a signed block that was handed in.
    pub enum Fate {
        /// v1: a relay delivered its payload.
        Delivered = "delivered",
        /// v2: a relay took it.
        Accepted = "accepted",
        /// Nobody revealed it.
        Failed = "failed",
        /// The process died before a relay had answered.
        Unknown = "unknown",
    }
}

/// The fate of a submission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SubmissionClosed {
    /// Slot of the block.
    pub slot: Slot,
    /// Hash of its execution block.
    pub block_hash: B256,
    /// Whether a relay took or delivered the block.
    pub fate: Fate,
    /// The relay that decided it.
    pub by: Option<RelayId>,
    /// From receipt to decision, in microseconds.
    pub latency_us: u64,
    /// When it happened, in Unix milliseconds.
    pub at: i64,
}
