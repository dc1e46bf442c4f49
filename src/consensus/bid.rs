//! A relay's answer to `getHeader`: decoded, not yet trusted. Decoding checks form alone; whether a bid holds, the auction decides.

use std::fmt;

use alloy_primitives::{Address, B256};
use serde::{Serialize, de::DeserializeOwned};
use ssz::{Decode, Encode};
use tree_hash::TreeHash;

use super::{
    DecodeError, Encoding,
    containers::{BuilderBidBellatrix, BuilderBidCapella, BuilderBidDeneb, BuilderBidElectra, Signed},
    wire::{Versioned, check_label, versioned_json},
};
use crate::types::{BlsPublicKey, BlsSignature, Fork, Wei};

const OBJECT: &str = "signed builder bid";

/// What the auction needs to know of a bid, whatever its fork.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BidFacts {
    /// Block it builds on (execution layer).
    pub parent_hash: B256,
    /// Who the payload's fees go to: usually the builder, who pays the proposer by the last transaction.
    pub fee_recipient: Address,
    /// What the builder left in the block: 32 bytes at most.
    pub extra_data: Vec<u8>,
    /// Height on the execution layer.
    pub block_number: u64,
    /// The beacon chain's randomness that the payload was built with.
    pub prev_randao: B256,
    /// Root of the withdrawals; none before Capella.
    pub withdrawals_root: Option<B256>,
    /// Blobs that the block commits to; 0 before Deneb.
    pub blobs: usize,
    /// Gas limit of the payload.
    pub gas_limit: u64,
    /// Unix seconds.
    pub timestamp: u64,
    /// Hash of the payload's block: the identity of what is bid.
    pub block_hash: B256,
    /// Root of the transactions.
    pub transactions_root: B256,
    /// What the relay says the proposer gets.
    pub value: Wei,
    /// Who signed: must be the relay's key.
    pub pubkey: BlsPublicKey,
}

/// A decoded `SignedBuilderBid` of some fork. Untrusted. The preset changes nothing in it.
pub struct SignedBuilderBid {
    fork: Fork,
    facts: BidFacts,
    signature: BlsSignature,
    object: Box<dyn BidObject>,
}

trait BidObject: Send + Sync {
    fn root(&self) -> B256;
    fn ssz(&self) -> Vec<u8>;
    fn json(&self) -> Vec<u8>;
}

/// A fork's `BuilderBid`.
pub trait BidMessage:
    Encode + Decode + TreeHash + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// The fields every fork has.
    fn facts(&self) -> BidFacts;
}

impl<M: BidMessage> BidObject for Signed<M> {
    fn root(&self) -> B256 {
        self.message.tree_hash_root()
    }

    fn ssz(&self) -> Vec<u8> {
        self.as_ssz_bytes()
    }

    fn json(&self) -> Vec<u8> {
        // Serializing to memory cannot fail: every key is a string and no field refuses.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

macro_rules! bid_message {
    ($bid:ty, |$m:ident| $blobs:expr, $withdrawals_root:expr) => {
        impl BidMessage for $bid {
            fn facts(&self) -> BidFacts {
                let $m = self;
                BidFacts {
                    parent_hash: self.header.parent_hash,
                    fee_recipient: self.header.fee_recipient,
                    extra_data: self.header.extra_data.to_vec(),
                    block_number: self.header.block_number,
                    prev_randao: self.header.prev_randao,
                    withdrawals_root: $withdrawals_root,
                    blobs: $blobs,
                    gas_limit: self.header.gas_limit,
                    timestamp: self.header.timestamp,
                    block_hash: self.header.block_hash,
                    transactions_root: self.header.transactions_root,
                    value: Wei::new(self.value),
                    pubkey: BlsPublicKey(self.pubkey),
                }
            }
        }
    };
}
bid_message!(BuilderBidBellatrix, |_bid| 0, None);
bid_message!(BuilderBidCapella, |bid| 0, Some(bid.header.withdrawals_root));
bid_message!(BuilderBidDeneb, |bid| bid.blob_kzg_commitments.len(), Some(bid.header.withdrawals_root));
bid_message!(BuilderBidElectra, |bid| bid.blob_kzg_commitments.len(), Some(bid.header.withdrawals_root));

impl SignedBuilderBid {
    /// Decodes a bid of a fork: bare in SSZ, in its `{"version","data"}` envelope in JSON.
    ///
    /// # Errors
    /// When the bytes are not such an object, or the envelope names another fork.
    pub fn decode(fork: Fork, encoding: Encoding, bytes: &[u8]) -> Result<Self, DecodeError> {
        match fork {
            Fork::Bellatrix => decode_as::<BuilderBidBellatrix>(fork, encoding, bytes),
            Fork::Capella => decode_as::<BuilderBidCapella>(fork, encoding, bytes),
            Fork::Deneb => decode_as::<BuilderBidDeneb>(fork, encoding, bytes),
            Fork::Electra | Fork::Fulu => decode_as::<BuilderBidElectra>(fork, encoding, bytes),
            Fork::Gloas => Err(DecodeError::NotInFork { object: OBJECT, fork }),
        }
    }

    /// Wraps a signed message of `fork`.
    pub fn new<M: BidMessage>(fork: Fork, signed: Signed<M>) -> Self {
        Self { fork, facts: signed.message.facts(), signature: signed.signature, object: Box::new(signed) }
    }

    /// The fork it was decoded as.
    pub fn fork(&self) -> Fork {
        self.fork
    }

    /// The fields that every fork has.
    pub fn facts(&self) -> &BidFacts {
        &self.facts
    }

    /// The relay's signature over [`Self::message_root`] in the builder domain.
    pub fn signature(&self) -> &BlsSignature {
        &self.signature
    }

    /// Hash tree root of the `BuilderBid`: about 10 µs.
    pub fn message_root(&self) -> B256 {
        self.object.root()
    }

    /// Encodes it for a consensus client: bare SSZ, or JSON in its envelope.
    pub fn encode(&self, encoding: Encoding) -> Vec<u8> {
        match encoding {
            Encoding::Ssz => self.object.ssz(),
            Encoding::Json => versioned_json(self.fork, &self.object.json()),
        }
    }
}

fn decode_as<M: BidMessage>(
    fork: Fork,
    encoding: Encoding,
    bytes: &[u8],
) -> Result<SignedBuilderBid, DecodeError> {
    let signed = match encoding {
        Encoding::Ssz => {
            Signed::<M>::from_ssz_bytes(bytes).map_err(|e| DecodeError::ssz(OBJECT, fork, &e))?
        }
        Encoding::Json => {
            let envelope: Versioned<Signed<M>> =
                serde_json::from_slice(bytes).map_err(|e| DecodeError::json(OBJECT, fork, &e))?;
            check_label(envelope.version.as_deref(), fork)?;
            envelope.data
        }
    };
    Ok(SignedBuilderBid::new(fork, signed))
}

impl fmt::Debug for SignedBuilderBid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedBuilderBid")
            .field("fork", &self.fork)
            .field("facts", &self.facts)
            .finish_non_exhaustive()
    }
}
