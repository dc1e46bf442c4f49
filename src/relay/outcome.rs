//! What a relay did, one enum per verb, no catch-all: whoever matches on these sees every case.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;

use super::SubmitVersion;
use crate::{
    consensus::{DecodeError, Encoding, PayloadError, RevealedPayload, SignedBuilderBid},
    events::{BidOutcome, CallFault, RegistrationOutcome, RevealOutcome},
    http_client::HttpFailure,
};

/// A call that gave nothing usable.
#[derive(Debug, thiserror::Error)]
pub enum CallFailure {
    /// Our own limit on calls to this relay; nothing was sent.
    #[error("not sent: our limit of calls per second to this relay is reached")]
    RateLimited,
    /// No whole answer within the time there was.
    #[error("no answer in time")]
    TimedOut,
    /// No connection: refused, no route, no name, TLS failure.
    #[error("no connection: {0}")]
    Connect(String),
    /// The connection broke, or what came was not HTTP.
    #[error("transport: {0}")]
    Transport(String),
    /// An HTTP status that is no success.
    #[error("HTTP {status}{}{message}", if message.is_empty() { "" } else { ": " })]
    Status {
        /// The HTTP status of the answer.
        status: u16,
        /// The relay's words, shortened.
        message: String,
    },
    /// A redirect, which is never followed.
    #[error("HTTP {status}: redirects are not followed")]
    Redirect {
        /// The HTTP status of the answer.
        status: u16,
    },
    /// The body exceeds what it may be.
    #[error("body larger than {limit} bytes")]
    TooLarge {
        /// Most bytes, after decompression.
        limit: usize,
    },
    /// Neither JSON nor SSZ.
    #[error("content type `{0}` is neither JSON nor SSZ")]
    ContentType(String),
    /// `Eth-Consensus-Version` is not the slot's fork.
    #[error("labelled `{got}`, but the slot's fork is {expected}")]
    WrongFork {
        /// The fork that the chain spec has for the slot.
        expected: &'static str,
        /// The relay's `Eth-Consensus-Version`.
        got: String,
    },
    /// The body does not decode.
    #[error("{0}")]
    Decode(DecodeError),
    /// It came, and we had no turn to decode it: nobody's fault but ours.
    #[error("not decoded: {0}")]
    NotDecoded(&'static str),
}

/// A decoded bid, its encoding and its answer's status.
#[derive(Debug)]
pub struct BidAnswer {
    /// The bid, untrusted.
    pub bid: SignedBuilderBid,
    /// The encoding that the relay chose for it.
    pub encoding: Encoding,
}

/// Outcome of `getHeader`.
#[derive(Debug)]
pub enum HeaderOutcome {
    /// A bid came and decoded.
    Bid(Box<BidAnswer>),
    /// 204: an honest "nothing".
    NoBid,
    /// Nothing usable.
    Failed(CallFailure),
}

/// Outcome of `registerValidator`, all bodies of a round taken together.
#[derive(Debug)]
pub enum RegisterOutcome {
    /// All were taken.
    Accepted,
    /// Some were not.
    Failed(CallFailure),
}

/// Outcome of a submission.
#[derive(Debug)]
pub enum SubmitOutcome {
    /// v2: the relay says that it took the block and publishes it.
    Accepted {
        /// 202, or 200 from relays that answer v2 so.
        status: u16,
        /// Whether more than its word shows that it has the block: it lacks v2, and by v1 the payload signed for came.
        has_shown_payload: bool,
    },
    /// v1: the payload came and is the one signed for.
    Delivered(Arc<RevealedPayload>),
    /// v1: something came for a block that our decoder refuses, so that nothing can be compared here.
    Unchecked(Box<RawPayload>),
    /// v1: a payload came that is not the one signed for.
    Mismatched(PayloadError),
    /// Nothing usable.
    Failed(CallFailure),
}

/// A relay's answer to a block that our decoder refuses, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawPayload {
    /// `Content-Type`, where it had one.
    pub content_type: Option<HeaderValue>,
    /// `Eth-Consensus-Version`, where it had one.
    pub consensus_version: Option<HeaderValue>,
    /// The body as the relay sent it, undecoded.
    pub body: Bytes,
}

impl From<HttpFailure> for CallFailure {
    fn from(failure: HttpFailure) -> Self {
        match failure {
            HttpFailure::TimedOut => Self::TimedOut,
            HttpFailure::Connect(words) => Self::Connect(words),
            HttpFailure::Broken(words) => Self::Transport(words),
            HttpFailure::TooLarge { limit } => Self::TooLarge { limit },
        }
    }
}

impl CallFailure {
    /// What it is in metrics and records.
    pub const fn kind(&self) -> CallFault {
        match self {
            Self::RateLimited | Self::NotDecoded(_) => CallFault::RateLimited,
            Self::TimedOut => CallFault::TimedOut,
            Self::Connect(_) => CallFault::Connect,
            Self::Transport(_) => CallFault::Transport,
            Self::Status { .. } => CallFault::HttpStatus,
            Self::Redirect { .. } => CallFault::Redirect,
            Self::TooLarge { .. } => CallFault::TooLarge,
            Self::ContentType(_) => CallFault::ContentType,
            Self::WrongFork { .. } | Self::Decode(DecodeError::WrongFork { .. }) => CallFault::WrongFork,
            Self::Decode(_) => CallFault::Undecodable,
        }
    }

    /// The HTTP status, where one was the failure.
    pub fn http_status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } | Self::Redirect { status } => Some(*status),
            Self::RateLimited
            | Self::TimedOut
            | Self::Connect(_)
            | Self::Transport(_)
            | Self::TooLarge { .. }
            | Self::ContentType(_)
            | Self::WrongFork { .. }
            | Self::Decode(_)
            | Self::NotDecoded(_) => None,
        }
    }

    /// Whether the same call may succeed if made again: broken connections, 5xx, and a 2xx that the endpoint does not have. A 4xx
    /// is an answer.
    pub fn should_retry(&self) -> bool {
        match self {
            Self::Connect(_) | Self::Transport(_) => true,
            Self::Status { status, .. } => *status >= 500 || *status < 300,
            Self::RateLimited
            | Self::TimedOut
            | Self::Redirect { .. }
            | Self::TooLarge { .. }
            | Self::ContentType(_)
            | Self::WrongFork { .. }
            | Self::Decode(_)
            | Self::NotDecoded(_) => false,
        }
    }

    /// Whether the relay refused the encoding.
    pub(super) fn refuses_encoding(&self) -> bool {
        matches!(self, Self::Status { status: 406 | 415, .. })
    }
}

impl HeaderOutcome {
    /// What it is in metrics and records, before the auction judges a bid.
    pub const fn kind(&self) -> BidOutcome {
        match self {
            Self::Bid(_) => BidOutcome::Bid,
            Self::NoBid => BidOutcome::NoBid,
            Self::Failed(failure) => BidOutcome::Failed(failure.kind()),
        }
    }
}

impl RegisterOutcome {
    /// What it is in metrics and records.
    pub const fn kind(&self) -> RegistrationOutcome {
        match self {
            Self::Accepted => RegistrationOutcome::Accepted,
            Self::Failed(failure) => RegistrationOutcome::Failed(failure.kind()),
        }
    }
}

impl SubmitOutcome {
    /// What it is to a client that called `version`: under v2 a payload that came by v1 is dropped, as v2 has none.
    pub(super) fn towards(self, version: SubmitVersion) -> Self {
        match (version, self) {
            (SubmitVersion::V2, Self::Delivered(_)) => {
                Self::Accepted { status: 200, has_shown_payload: true }
            }
            (SubmitVersion::V2, Self::Unchecked(_)) => {
                Self::Accepted { status: 200, has_shown_payload: false }
            }
            (SubmitVersion::V1 | SubmitVersion::V2, outcome) => outcome,
        }
    }

    /// Whether the relay says or shows that it has the block.
    pub fn is_success(&self) -> bool {
        match self {
            Self::Accepted { .. } | Self::Delivered(_) | Self::Unchecked(_) => true,
            Self::Mismatched(_) | Self::Failed(_) => false,
        }
    }

    /// What it is in metrics and records.
    pub const fn kind(&self) -> RevealOutcome {
        match self {
            Self::Accepted { .. } => RevealOutcome::Accepted,
            Self::Delivered(_) => RevealOutcome::PayloadDelivered,
            Self::Unchecked(_) => RevealOutcome::PayloadUnchecked,
            Self::Mismatched(_) => RevealOutcome::PayloadMismatched,
            Self::Failed(failure) => RevealOutcome::Failed(failure.kind()),
        }
    }

    /// In words.
    pub fn message(&self) -> String {
        match self {
            Self::Accepted { has_shown_payload: false, .. } => "took the block".to_owned(),
            Self::Accepted { has_shown_payload: true, .. } => {
                "took the block by v1 and showed its payload".to_owned()
            }
            Self::Delivered(_) => "delivered the payload".to_owned(),
            Self::Unchecked(_) => {
                "answered for a block that could not be decoded; its payload could not be checked".to_owned()
            }
            Self::Mismatched(error) => format!("payload mismatched: {error}"),
            Self::Failed(failure) => failure.to_string(),
        }
    }

    /// The HTTP status, where there was one.
    pub fn http_status(&self) -> Option<u16> {
        match self {
            Self::Accepted { status, .. } => Some(*status),
            Self::Delivered(_) | Self::Unchecked(_) | Self::Mismatched(_) => Some(200),
            Self::Failed(failure) => failure.http_status(),
        }
    }
}

/// The bytes of a successful answer and how they are encoded.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) encoding: Encoding,
    pub(super) body: Bytes,
}
