//! What comes in as a reveal, and what goes out.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use crate::{
    consensus::{DecodeError, Encoding, RevealedPayload},
    relay::{RawLabels, RawPayload, SubmitVersion},
    types::Fork,
};

/// A call of `blinded_blocks`.
#[derive(Clone, Debug)]
pub struct SubmitRequest {
    /// The body, as it came.
    pub body: Bytes,
    /// The encoding of the body, by its content type.
    pub encoding: Encoding,
    /// The client's `Eth-Consensus-Version`, where it sent one.
    pub fork: Option<Fork>,
    /// The client's labels as they came, for a block that does not decode.
    pub labels: RawLabels,
    /// v1 or v2.
    pub version: SubmitVersion,
    /// The client's `User-Agent`.
    pub user_agent: String,
    /// When the request was read.
    pub received: Instant,
}

/// Why a block was not revealed.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The body is not a signed blinded block; no relay was called.
    #[error("{0}")]
    Malformed(#[from] DecodeError),
    /// The slot cannot be read out of the body; no relay was called.
    #[error("the body is not a signed blinded beacon block: its slot cannot be read")]
    NoSlot,
    /// No relay took it.
    #[error("no relay revealed the payload: {0}")]
    NoRelay(Arc<str>),
}

/// What the client gets.
#[derive(Clone, Debug)]
pub enum Revealed {
    /// v2: a relay publishes the block.
    Accepted,
    /// v1: the payload, which is the one signed for.
    Payload(Arc<RevealedPayload>),
    /// v1, for a block that our decoder refuses: what a relay answered, unread.
    Unchecked(Arc<RawPayload>),
}
