//! How a simulated relay behaves. Honest by default; one setter per fault.

use std::time::Duration;

use alloy_primitives::U256;

use crate::types::Wei;

/// What is wrong with a relay's answer to `getHeader`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeaderFault {
    /// Nothing.
    #[default]
    None,
    /// 204.
    NoBid,
    /// This status with a JSON error.
    Status(u16),
    /// This status with words in plain text, as Helix.
    PlainTextStatus(u16),
    /// Accepts the request and never answers.
    Hangs,
    /// Sends headers and half of the body, then nothing.
    HangsInBody,
    /// Closes the connection without an answer.
    Drops,
    /// 200 with bytes that are nothing.
    Garbage,
    /// 200 without a body.
    EmptyBody,
    /// A body without end.
    Endless,
    /// A small gzip body that unpacks to 64 MiB.
    GzipBomb,
    /// The honest answer, gzipped.
    Gzip,
    /// 302 to another path of the same relay that has a good bid.
    Redirect,
    /// The bid builds on another block.
    WrongParentHash,
    /// Signed by another key under the relay's name.
    WrongSignature,
    /// Signed and named by another key.
    WrongPubkey,
    /// The bid's block is its own parent.
    OwnParent,
    /// Built with other randomness than everybody else's.
    WrongPrevRandao,
    /// Built with a withdrawal where there is none.
    WrongWithdrawals,
    /// Commits to more blobs than any fork's schedule allows.
    TooManyBlobs,
    /// For another time.
    WrongTimestamp,
    /// Value 0.
    ZeroValue,
    /// A block hash of zeros.
    ZeroBlockHash,
    /// A block hash that the block's contents do not have.
    FalseBlockHash,
    /// A block without transactions.
    EmptyTransactions,
    /// `Eth-Consensus-Version` and envelope name another fork.
    WrongVersion,
    /// No `Eth-Consensus-Version` header.
    NoVersionHeader,
    /// A content type that is neither JSON nor SSZ.
    WrongContentType,
    /// The right content type with a MIME parameter.
    MimeParameter,
    /// A good bid with bytes behind it.
    Trailing,
    /// A good bid, a few bytes at a time.
    Drips,
    /// JSON that names the bid twice, the second time with a higher value.
    DuplicateKeys,
    /// SSZ whose first offset leaves a gap.
    LooseOffsets,
}

/// What is wrong with a relay's answer to `blinded_blocks`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PayloadFault {
    /// Nothing.
    #[default]
    None,
    /// Refuses to reveal: 400, as relays say it.
    Withholds,
    /// This status.
    Status(u16),
    /// This status for the first so many calls, then honest.
    StatusFirst(u16, usize),
    /// Never answers.
    Hangs,
    /// The connection breaks in the answer.
    Resets,
    /// Never answers on the connection that the first block comes by, a black hole; answers on any other.
    DeadConnection,
    /// 200 with bytes that are nothing.
    Garbage,
    /// Reveals another block.
    OtherBlock,
    /// Reveals other contents under the right block hash.
    OtherContents,
    /// Reveals one blob too few.
    MissingBlob,
    /// Reveals one proof too few.
    MissingProof,
    /// Reveals a commitment that was not signed for.
    OtherCommitment,
    /// Reveals a blob that does not fit its commitment, all lengths being right.
    OtherBlob,
    /// The envelope and header name another fork.
    WrongVersion,
    /// 302.
    Redirect,
    /// A body of more than the cap.
    TooLarge,
}

/// What a relay sends over its header stream, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A bid of this value.
    Bid(Wei),
    /// A bid of this value with something wrong.
    Bad(HeaderFault, Wei),
    /// A text frame.
    Text,
    /// A frame of a kind nobody knows.
    UnknownKind,
    /// A bid frame whose bid is nothing.
    Garbage,
    /// Nothing for so long.
    Pause(Duration),
    /// The connection breaks.
    Break,
    /// Nothing more, and the connection stays open.
    Stay,
}

/// What becomes of a request for the header stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StreamHabit {
    /// There is none: 404.
    #[default]
    Absent,
    /// Refused with this status.
    Refused(u16),
    /// Never answered.
    Hangs,
    /// Served.
    Frames(Vec<Frame>),
}

/// What is wrong with a relay's public record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataApiFault {
    /// Nothing.
    None,
    /// 503.
    Down,
    /// It says that it delivered what it withheld.
    ClaimsAll,
    /// It says another value.
    OtherValue,
    /// It has registered another fee recipient.
    OtherRecipient,
}

/// How a relay behaves.
#[derive(Clone, Debug)]
pub struct Behaviour {
    pub(super) value: Wei,
    pub(super) value_spread: Wei,
    pub(super) delay: Duration,
    pub(super) jitter: Duration,
    pub(super) status: u16,
    pub(super) header: HeaderFault,
    pub(super) header_every: u64,
    pub(super) payload: PayloadFault,
    pub(super) payload_delay: Duration,
    pub(super) gas_limit: u64,
    pub(super) blobs: usize,
    pub(super) builder: u8,
    pub(super) json_only: bool,
    pub(super) helix_accept: bool,
    pub(super) refuses_ssz_registrations: bool,
    pub(super) refuses_ssz_blocks: Option<u16>,
    pub(super) lacks_v2: bool,
    pub(super) lacks_v1: bool,
    pub(super) takes_anything: bool,
    pub(super) register_status: u16,
    pub(super) register_failures: usize,
    pub(super) register_delay: Duration,
    pub(super) max_registrations: usize,
    pub(super) block_number: u64,
    pub(super) values_in_turn: Vec<Wei>,
    pub(super) value_curve: Vec<(u64, Wei)>,
    pub(super) refuses_repeats: bool,
    pub(super) repeat_vice: HeaderFault,
    pub(super) stream: StreamHabit,
    pub(super) data_api: DataApiFault,
    pub(super) clock_ahead_ms: i64,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            value: Wei::new(U256::from(50_000_000_000_000_000_u64)),
            value_spread: Wei::ZERO,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            status: 200,
            header: HeaderFault::None,
            header_every: 1,
            payload: PayloadFault::None,
            payload_delay: Duration::ZERO,
            gas_limit: 60_000_000,
            blobs: 0,
            builder: 0,
            json_only: false,
            helix_accept: false,
            refuses_ssz_registrations: false,
            refuses_ssz_blocks: None,
            lacks_v2: false,
            lacks_v1: false,
            takes_anything: false,
            register_status: 200,
            register_failures: 0,
            register_delay: Duration::ZERO,
            max_registrations: 0,
            block_number: 1,
            values_in_turn: Vec::new(),
            value_curve: Vec::new(),
            refuses_repeats: false,
            repeat_vice: HeaderFault::None,
            stream: StreamHabit::Absent,
            data_api: DataApiFault::None,
            clock_ahead_ms: 0,
        }
    }
}

macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $kind:ty),+ $(,)?) => {
        impl Behaviour {$(
            $(#[$doc])*
            #[must_use]
            pub fn $name(mut self, $name: $kind) -> Self {
                self.$name = $name;
                self
            }
        )+}
    };
}
setters! {
    /// How far its clock is ahead of the true time, or behind: what it says in the `Date` of its answers.
    clock_ahead_ms: i64,
    /// What is wrong with its public record.
    data_api: DataApiFault,
    /// What its bids promise to pay, before the spread.
    value: Wei,
    /// Adds up to this, by slot, to what it bids.
    value_spread: Wei,
    /// How long it thinks before it answers `getHeader`.
    delay: Duration,
    /// Adds up to this, by slot, to the delay.
    jitter: Duration,
    /// Its answer to `status`.
    status: u16,
    /// What is wrong with its bids.
    header: HeaderFault,
    /// In which slots the header fault shows: every n-th.
    header_every: u64,
    /// What is wrong with its reveals.
    payload: PayloadFault,
    /// How long it thinks before it reveals.
    payload_delay: Duration,
    /// Gas limit of its blocks.
    gas_limit: u64,
    /// Blobs in its blocks, from Deneb on.
    blobs: usize,
    /// Which builder's block it offers: relays with the same number offer the same block.
    builder: u8,
    /// Never answers in SSZ.
    json_only: bool,
    /// Answers in SSZ only to Helix's exact `Accept` string.
    helix_accept: bool,
    /// 415 to SSZ registrations.
    refuses_ssz_registrations: bool,
    /// This status to SSZ blocks.
    refuses_ssz_blocks: Option<u16>,
    /// 404 on v2.
    lacks_v2: bool,
    /// 404 on v1.
    lacks_v1: bool,
    /// Takes blocks that it cannot read, and answers v1 with a payload nobody can check.
    takes_anything: bool,
    /// Its answer to registrations.
    register_status: u16,
    /// 503 to the first so many registration calls.
    register_failures: usize,
    /// How long it thinks before it answers registrations.
    register_delay: Duration,
    /// 413 to more registrations than this in one body. 0: no limit.
    max_registrations: usize,
    /// Height of its blocks.
    block_number: u64,
    /// What it bids to the first request of a slot, to the second, and so on; the last for all after.
    values_in_turn: Vec<Wei>,
    /// What it bids by the milliseconds since the first request of a slot: the last entry that is reached.
    value_curve: Vec<(u64, Wei)>,
    /// 429 to every request but the first of a slot, as ultra sound.
    refuses_repeats: bool,
    /// What is wrong with its answers to every request but the first of a slot.
    repeat_vice: HeaderFault,
    /// Its header stream.
    stream: StreamHabit,
}

impl Behaviour {
    /// The value bid to a slot's n-th request, so many milliseconds after the first; and a number that tells its blocks apart.
    pub(super) fn value_at(&self, slot: u64, turn: usize, passed_ms: u64) -> (Wei, u8) {
        let index = |n: usize| u8::try_from(n + 1).unwrap_or(u8::MAX);
        if let Some(last) = self.values_in_turn.len().checked_sub(1) {
            let turn = turn.min(last);
            return (self.values_in_turn.get(turn).copied().unwrap_or_default(), index(turn));
        }
        let reached = self.value_curve.iter().enumerate().rev().find(|(_, (from, _))| *from <= passed_ms);
        match reached {
            Some((step, (_, value))) => (*value, index(step)),
            None => (self.value_in(slot), 0),
        }
    }

    /// The value bid in a slot.
    pub(super) fn value_in(&self, slot: u64) -> Wei {
        let spread = self.value_spread.as_u256();
        let extra = if spread.is_zero() {
            U256::ZERO
        } else {
            U256::from(mix(slot, u64::from(self.builder))) % spread
        };
        Wei::new(self.value.as_u256().saturating_add(extra))
    }

    /// The delay in a slot.
    pub(super) fn delay_in(&self, slot: u64, seed: u64) -> Duration {
        let jitter = u64::try_from(self.jitter.as_micros()).unwrap_or(0);
        let extra = mix(slot, seed).checked_rem(jitter).unwrap_or(0);
        self.delay + Duration::from_micros(extra)
    }

    /// The header fault in a slot.
    pub(super) fn header_in(&self, slot: u64) -> HeaderFault {
        if slot.is_multiple_of(self.header_every.max(1)) { self.header } else { HeaderFault::None }
    }
}

/// A number that looks random but is the same in every run (splitmix64).
fn mix(a: u64, b: u64) -> u64 {
    let mut z = a
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(b.wrapping_mul(0xbf58_476d_1ce4_e5b9))
        .wrapping_add(1);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
