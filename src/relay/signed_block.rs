//! A signed block in the bytes it came in: what is sent to relays, whether or not we can read it.

use std::sync::OnceLock;

use bytes::Bytes;
use http::HeaderValue;

use crate::{
    consensus::{Encoding, SignedBlindedBlock},
    types::Fork,
};

/// Version of the submission endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubmitVersion {
    /// The relay answers with the payload.
    V1,
    /// The relay publishes; the answer is empty.
    V2,
}

impl SubmitVersion {
    /// 1 or 2, as in the endpoint's path.
    pub const fn number(self) -> u8 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }
}

/// How the client labelled bytes that we cannot decode. Relays get the same labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawLabels {
    /// `Content-Type`, as it came.
    pub content_type: HeaderValue,
    /// `Eth-Consensus-Version`, as it came.
    pub consensus_version: Option<HeaderValue>,
}

#[derive(Debug)]
enum Content {
    Decoded(SignedBlindedBlock),
    Undecoded(RawLabels),
}

/// A signed block in the bytes it came in, encoded the other way at most once, when a relay needs it.
#[derive(Debug)]
pub struct EncodedBlock {
    content: Content,
    came_as: Encoding,
    original: Bytes,
    other: OnceLock<Bytes>,
}

impl EncodedBlock {
    /// Wraps a decoded block and the bytes it was decoded from.
    pub fn new(block: SignedBlindedBlock, came_as: Encoding, original: Bytes) -> Self {
        Self { content: Content::Decoded(block), came_as, original, other: OnceLock::new() }
    }

    /// Wraps bytes that do not decode and are passed on as they are.
    pub fn undecoded(labels: RawLabels, came_as: Encoding, original: Bytes) -> Self {
        Self { content: Content::Undecoded(labels), came_as, original, other: OnceLock::new() }
    }

    /// The block, where it decodes.
    pub fn decoded(&self) -> Option<&SignedBlindedBlock> {
        match &self.content {
            Content::Decoded(block) => Some(block),
            Content::Undecoded(_) => None,
        }
    }

    /// The client's labels, where the block does not decode.
    pub fn raw_labels(&self) -> Option<&RawLabels> {
        match &self.content {
            Content::Decoded(_) => None,
            Content::Undecoded(labels) => Some(labels),
        }
    }

    /// The encoding it came in.
    pub fn came_as(&self) -> Encoding {
        self.came_as
    }

    /// The bytes it came in.
    pub fn original(&self) -> &Bytes {
        &self.original
    }

    /// In SSZ, where it decodes; else the bytes it came in.
    pub fn ssz_or_original(&self) -> Bytes {
        self.bytes(Encoding::Ssz)
    }

    /// Its bytes in an encoding. A block that does not decode has only those it came in.
    pub(super) fn bytes(&self, encoding: Encoding) -> Bytes {
        match &self.content {
            Content::Decoded(block) if encoding != self.came_as => {
                self.other.get_or_init(|| block.encode(encoding).into()).clone()
            }
            Content::Decoded(_) | Content::Undecoded(_) => self.original.clone(),
        }
    }

    /// `Content-Type` and `Eth-Consensus-Version` of a request that carries it in an encoding.
    pub(super) fn labels(&self, encoding: Encoding) -> (HeaderValue, Option<HeaderValue>) {
        match &self.content {
            Content::Decoded(block) => (
                HeaderValue::from_static(encoding.mime()),
                Some(HeaderValue::from_static(Fork::name(block.fork()))),
            ),
            Content::Undecoded(labels) => (labels.content_type.clone(), labels.consensus_version.clone()),
        }
    }
}
