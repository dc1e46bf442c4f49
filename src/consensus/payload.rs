//! What a relay answers under `blinded_blocks` v1, the execution payload with its blobs, and whether it is what was signed for.

use std::fmt;

use alloy_primitives::B256;
use serde::{Serialize, de::DeserializeOwned};
use ssz::{Decode, Encode};
use tokio::time::Instant;
use tree_hash::TreeHash;

use super::{
    BlockFacts, BlockHashInputs, DecodeError, Encoding, Mainnet, Minimal, PayloadError, Preset, PresetName,
    block_hash::{ToExecutionHeader, recompute_block_hash},
    containers::{
        Blob, Commitments, ExecutionPayloadBellatrix, ExecutionPayloadCapella, ExecutionPayloadDeneb,
        ExecutionPayloadHeaderBellatrix, ExecutionPayloadHeaderCapella, ExecutionPayloadHeaderDeneb,
        KzgBytes, PayloadAndBlobs, PayloadAndBlobsFulu,
    },
    kzg::Bundle,
    wire::{Versioned, check_label, versioned_json},
};
use crate::types::Fork;

const OBJECT: &str = "execution payload";

/// Cell proofs per blob in Fulu. Source: consensus-specs, fulu `CELLS_PER_EXT_BLOB`.
const CELLS_PER_EXT_BLOB: usize = 128;

/// A decoded payload (with its blobs from Deneb on).
pub struct RevealedPayload {
    fork: Fork,
    object: Box<dyn PayloadObject>,
}

trait PayloadObject: Send + Sync {
    fn check(&self, block: &BlockFacts) -> Result<(), PayloadError>;
    fn check_blobs(&self, until: Instant) -> Result<(), PayloadError>;
    fn ssz(&self) -> Vec<u8>;
    fn json(&self) -> Vec<u8>;
}

/// A payload that knows its block hash and the header it belongs to.
pub trait Payload: ToExecutionHeader {
    /// The block hash that it names, which need not be that of its contents.
    fn block_hash(&self) -> B256;
    /// Hash tree root of its `ExecutionPayloadHeader`.
    fn header_root(&self) -> B256;
    /// Whether the execution header commits to the parent beacon block root.
    const COMMITS_TO_PARENT_ROOT: bool;
}

/// What `blinded_blocks` v1 answers with in some fork.
pub trait Revealed: Encode + Decode + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The payload type.
    type Payload: Payload;
    /// The execution payload, without the blobs beside it.
    fn payload(&self) -> &Self::Payload;
    /// Commitments, proofs, blobs, proofs per blob; `None` before Deneb.
    fn bundle(&self) -> Option<(&Commitments, &[KzgBytes], &[Blob], usize)>;
}

macro_rules! payload {
    ([$($generic:ident)?] $payload:ty, $header:ident, $parent_root:literal, |$p:ident| {$($field:ident: $value:expr),*}) => {
        impl $(<$generic: Preset>)? From<&$payload> for $header {
            fn from($p: &$payload) -> Self {
                Self {
                    parent_hash: $p.parent_hash,
                    fee_recipient: $p.fee_recipient,
                    state_root: $p.state_root,
                    receipts_root: $p.receipts_root,
                    logs_bloom: $p.logs_bloom,
                    prev_randao: $p.prev_randao,
                    block_number: $p.block_number,
                    gas_limit: $p.gas_limit,
                    gas_used: $p.gas_used,
                    timestamp: $p.timestamp,
                    extra_data: $p.extra_data.clone(),
                    base_fee_per_gas: $p.base_fee_per_gas,
                    block_hash: $p.block_hash,
                    transactions_root: $p.transactions.tree_hash_root(),
                    $($field: $value),*
                }
            }
        }

        impl $(<$generic: Preset>)? Payload for $payload {
            const COMMITS_TO_PARENT_ROOT: bool = $parent_root;

            fn block_hash(&self) -> B256 {
                self.block_hash
            }

            fn header_root(&self) -> B256 {
                $header::from(self).tree_hash_root()
            }
        }
    };
}
payload!([] ExecutionPayloadBellatrix, ExecutionPayloadHeaderBellatrix, false, |p| {});
payload!([P] ExecutionPayloadCapella<P>, ExecutionPayloadHeaderCapella, false, |p| {
    withdrawals_root: p.withdrawals.tree_hash_root()
});
payload!([P] ExecutionPayloadDeneb<P>, ExecutionPayloadHeaderDeneb, true, |p| {
    withdrawals_root: p.withdrawals.tree_hash_root(),
    blob_gas_used: p.blob_gas_used,
    excess_blob_gas: p.excess_blob_gas
});

macro_rules! bare {
    ($payload:ty $(, $generic:ident)?) => {
        impl $(<$generic: Preset>)? Revealed for $payload {
            type Payload = Self;

            fn payload(&self) -> &Self {
                self
            }

            fn bundle(&self) -> Option<(&Commitments, &[KzgBytes], &[Blob], usize)> {
                None
            }
        }
    };
}
bare!(ExecutionPayloadBellatrix);
bare!(ExecutionPayloadCapella<P>, P);

macro_rules! with_blobs {
    ($revealed:ident, $proofs_per_blob:expr) => {
        impl<P: Preset> Revealed for $revealed<P> {
            type Payload = ExecutionPayloadDeneb<P>;

            fn payload(&self) -> &Self::Payload {
                &self.execution_payload
            }

            fn bundle(&self) -> Option<(&Commitments, &[KzgBytes], &[Blob], usize)> {
                let bundle = &self.blobs_bundle;
                Some((&bundle.commitments, &bundle.proofs, &bundle.blobs, $proofs_per_blob))
            }
        }
    };
}
with_blobs!(PayloadAndBlobs, 1);
with_blobs!(PayloadAndBlobsFulu, CELLS_PER_EXT_BLOB);

impl<R: Revealed> PayloadObject for R {
    fn check(&self, block: &BlockFacts) -> Result<(), PayloadError> {
        let payload = self.payload();
        let (expected, got) = (block.block_hash, payload.block_hash());
        if expected != got {
            return Err(PayloadError::BlockHash { expected, got });
        }
        if let Some((commitments, proofs, blobs, proofs_per_blob)) = self.bundle() {
            check_bundle(&block.commitments, commitments, proofs.len(), blobs.len(), proofs_per_blob)?;
        }
        let inputs = BlockHashInputs {
            parent_beacon_block_root: R::Payload::COMMITS_TO_PARENT_ROOT.then_some(block.parent_root),
            execution_requests: block.execution_requests.as_ref(),
        };
        let computed = recompute_block_hash(payload, inputs);
        if computed != got {
            return Err(PayloadError::Contents { named: got, computed });
        }
        let root = payload.header_root();
        if root != block.header_root {
            return Err(PayloadError::HeaderRoot { expected: block.header_root, got: root });
        }
        Ok(())
    }

    fn check_blobs(&self, until: Instant) -> Result<(), PayloadError> {
        let Some((commitments, proofs, blobs, proofs_per_blob)) = self.bundle() else { return Ok(()) };
        Bundle { commitments, proofs, blobs, proofs_per_blob }.check_kzg(until)
    }

    fn ssz(&self) -> Vec<u8> {
        self.as_ssz_bytes()
    }

    fn json(&self) -> Vec<u8> {
        // Serializing to memory cannot fail: every key is a string and no field refuses.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

fn check_bundle(
    signed: &[super::containers::KzgBytes],
    commitments: &Commitments,
    proofs: usize,
    blobs: usize,
    proofs_per_blob: usize,
) -> Result<(), PayloadError> {
    let expected = signed.len();
    let expected_proofs = expected.saturating_mul(proofs_per_blob);
    if commitments.len() != expected || proofs != expected_proofs || blobs != expected {
        return Err(PayloadError::BundleLengths {
            commitments: commitments.len(),
            proofs,
            blobs,
            expected,
            expected_proofs,
        });
    }
    match signed.iter().zip(commitments.iter()).position(|(signed, revealed)| signed != revealed) {
        Some(index) => Err(PayloadError::Commitment { index }),
        None => Ok(()),
    }
}

impl RevealedPayload {
    /// Decodes what a relay revealed: bare in SSZ, in its envelope in JSON.
    ///
    /// # Errors
    /// When the bytes are not such an object, or the envelope names another fork.
    pub fn decode(
        fork: Fork,
        preset: PresetName,
        encoding: Encoding,
        bytes: &[u8],
    ) -> Result<Self, DecodeError> {
        match preset {
            PresetName::Mainnet => decode_in::<Mainnet>(fork, encoding, bytes),
            PresetName::Minimal => decode_in::<Minimal>(fork, encoding, bytes),
        }
    }

    /// Wraps a payload of `fork`.
    pub fn new<R: Revealed>(fork: Fork, revealed: R) -> Self {
        Self { fork, object: Box::new(revealed) }
    }

    /// The fork it was decoded as.
    pub fn fork(&self) -> Fork {
        self.fork
    }

    /// Checks that it is what `block` was signed for: names its hash, has contents of that hash, is of the signed header, and
    /// brings its blobs.
    ///
    /// # Errors
    /// The first thing in which it is not the payload that the block was signed for.
    pub fn check(&self, block: &BlockFacts) -> Result<(), PayloadError> {
        self.object.check(block)
    }

    /// Checks by KZG that the blobs of a payload which passed [`Self::check`] are those of its commitments, until `until`; what
    /// could not be checked by then passes. Milliseconds of CPU a blob, so not for a runtime's worker.
    ///
    /// # Errors
    /// The first blob that surely does not fit.
    pub fn check_blobs(&self, until: Instant) -> Result<(), PayloadError> {
        self.object.check_blobs(until)
    }

    /// Encodes it for a consensus client: bare SSZ, or JSON in its envelope.
    pub fn encode(&self, encoding: Encoding) -> Vec<u8> {
        match encoding {
            Encoding::Ssz => self.object.ssz(),
            Encoding::Json => versioned_json(self.fork, &self.object.json()),
        }
    }
}

fn decode_in<P: Preset>(
    fork: Fork,
    encoding: Encoding,
    bytes: &[u8],
) -> Result<RevealedPayload, DecodeError> {
    match fork {
        Fork::Bellatrix => decode_as::<ExecutionPayloadBellatrix>(fork, encoding, bytes),
        Fork::Capella => decode_as::<ExecutionPayloadCapella<P>>(fork, encoding, bytes),
        Fork::Deneb | Fork::Electra => decode_as::<PayloadAndBlobs<P>>(fork, encoding, bytes),
        Fork::Fulu => decode_as::<PayloadAndBlobsFulu<P>>(fork, encoding, bytes),
        Fork::Gloas => Err(DecodeError::NotInFork { object: OBJECT, fork }),
    }
}

fn decode_as<R: Revealed>(
    fork: Fork,
    encoding: Encoding,
    bytes: &[u8],
) -> Result<RevealedPayload, DecodeError> {
    let revealed = match encoding {
        Encoding::Ssz => R::from_ssz_bytes(bytes).map_err(|e| DecodeError::ssz(OBJECT, fork, &e))?,
        Encoding::Json => {
            let envelope: Versioned<R> =
                serde_json::from_slice(bytes).map_err(|e| DecodeError::json(OBJECT, fork, &e))?;
            check_label(envelope.version.as_deref(), fork)?;
            envelope.data
        }
    };
    Ok(RevealedPayload::new(fork, revealed))
}

impl fmt::Debug for RevealedPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RevealedPayload({})", self.fork)
    }
}
