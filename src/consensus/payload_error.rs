//! What can be wrong with a revealed payload.

use alloy_primitives::B256;

/// Why a revealed payload is not the one that was signed for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// Another block.
    #[error("block hash mismatch: signed for {expected}, revealed {got}")]
    BlockHash {
        /// Signed for.
        expected: B256,
        /// Named in the payload.
        got: B256,
    },
    /// Other contents under the right name.
    #[error("contents do not hash to the block hash: named {named}, computed {computed}")]
    Contents {
        /// Named in the payload.
        named: B256,
        /// Computed from its contents.
        computed: B256,
    },
    /// Another SSZ header than the signed one.
    #[error("header root mismatch: signed for {expected}, revealed {got}")]
    HeaderRoot {
        /// Signed for.
        expected: B256,
        /// Computed from the payload.
        got: B256,
    },
    /// Blobs do not fit the commitments.
    #[error(
        "blobs bundle has {commitments} commitments, {proofs} proofs and {blobs} blobs, expected {expected}, {expected_proofs} and {expected}"
    )]
    BundleLengths {
        /// Commitments revealed.
        commitments: usize,
        /// Proofs revealed.
        proofs: usize,
        /// Blobs revealed.
        blobs: usize,
        /// Commitments signed for.
        expected: usize,
        /// Proofs they need.
        expected_proofs: usize,
    },
    /// Blobs for other commitments.
    #[error("commitment {index} differs from the signed block's")]
    Commitment {
        /// Place of the blob in the payload, from 0.
        index: usize,
    },
    /// A blob that is not the one of its commitment, by KZG.
    #[error("blob {index} does not fit its commitment and proofs")]
    Blob {
        /// Place of the blob in the payload, from 0.
        index: usize,
    },
}
