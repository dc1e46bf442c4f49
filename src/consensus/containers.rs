//! The specifications' containers, one struct each, with SSZ, JSON and tree hashing derived.
//!
//! Field names and order are those of consensus-specs and builder-specs; do not reorder, the wire depends on it. Fulu reuses
//! Electra's bid and block; its payload bundle carries cell proofs.

#![expect(missing_docs, reason = "fields are named as in the specifications, which define them")]

use alloy_primitives::{Address, B256, FixedBytes, U256};
use serde::{Deserialize, Serialize};
use ssz_derive::{Decode, Encode};
use ssz_types::{
    VariableList,
    typenum::{U2, U16, U32, U4096, U8192, U1048576, U33554432, U1073741824},
};
use tree_hash_derive::TreeHash;

use super::{Preset, quoted};

mod beacon;
mod blob;

pub use beacon::{
    Attestation, AttestationData, AttestationElectra, AttesterSlashing, AttesterSlashingElectra,
    BeaconBlockHeader, BlindedBlock, BlindedBodyBellatrix, BlindedBodyCapella, BlindedBodyDeneb,
    BlindedBodyElectra, BlsToExecutionChange, Checkpoint, Deposit, DepositData, Eth1Data, IndexedAttestation,
    IndexedAttestationElectra, ProposerSlashing, SignedBeaconBlockHeader, SignedBlsToExecutionChange,
    SignedVoluntaryExit, SyncAggregate, VoluntaryExit,
};
pub use blob::{BLOB_BYTES, Blob};

/// A KZG commitment or proof: 48 bytes.
pub type KzgBytes = FixedBytes<48>;
/// `blob_kzg_commitments`, at most 4096.
pub type Commitments = VariableList<KzgBytes, U4096>;
/// Up to 32 bytes chosen by the block's builder.
pub type ExtraData = VariableList<u8, U32>;
/// Opaque transaction bytes.
pub type Transactions = VariableList<VariableList<u8, U1073741824>, U1048576>;
/// Beacon signature, 96 bytes.
pub type Signature = FixedBytes<96>;
/// Public key, 48 bytes.
pub type PublicKey = FixedBytes<48>;

// ---- registrations -------------------------------------------------------------------------------------------------------------

/// `ValidatorRegistrationV1`: 84 bytes. builder-specs, bellatrix.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct ValidatorRegistration {
    pub fee_recipient: Address,
    #[serde(with = "quoted")]
    pub gas_limit: u64,
    #[serde(with = "quoted")]
    pub timestamp: u64,
    pub pubkey: PublicKey,
}

/// `SignedValidatorRegistrationV1`: 180 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct SignedValidatorRegistration {
    pub message: ValidatorRegistration,
    pub signature: Signature,
}

// ---- execution payloads and headers --------------------------------------------------------------------------------------------

/// `Withdrawal`: 44 bytes; `amount` in gwei. consensus-specs, capella.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct Withdrawal {
    #[serde(with = "quoted")]
    pub index: u64,
    #[serde(with = "quoted")]
    pub validator_index: u64,
    pub address: Address,
    #[serde(with = "quoted")]
    pub amount: u64,
}

/// `ExecutionPayloadHeader`, bellatrix.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct ExecutionPayloadHeaderBellatrix {
    pub parent_hash: B256,
    pub fee_recipient: Address,
    pub state_root: B256,
    pub receipts_root: B256,
    pub logs_bloom: FixedBytes<256>,
    pub prev_randao: B256,
    #[serde(with = "quoted")]
    pub block_number: u64,
    #[serde(with = "quoted")]
    pub gas_limit: u64,
    #[serde(with = "quoted")]
    pub gas_used: u64,
    #[serde(with = "quoted")]
    pub timestamp: u64,
    #[serde(with = "ssz_types::serde_utils::hex_var_list")]
    pub extra_data: ExtraData,
    #[serde(with = "quoted")]
    pub base_fee_per_gas: U256,
    pub block_hash: B256,
    pub transactions_root: B256,
}

/// `ExecutionPayloadHeader`, capella.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct ExecutionPayloadHeaderCapella {
    pub parent_hash: B256,
    pub fee_recipient: Address,
    pub state_root: B256,
    pub receipts_root: B256,
    pub logs_bloom: FixedBytes<256>,
    pub prev_randao: B256,
    #[serde(with = "quoted")]
    pub block_number: u64,
    #[serde(with = "quoted")]
    pub gas_limit: u64,
    #[serde(with = "quoted")]
    pub gas_used: u64,
    #[serde(with = "quoted")]
    pub timestamp: u64,
    #[serde(with = "ssz_types::serde_utils::hex_var_list")]
    pub extra_data: ExtraData,
    #[serde(with = "quoted")]
    pub base_fee_per_gas: U256,
    pub block_hash: B256,
    pub transactions_root: B256,
    pub withdrawals_root: B256,
}

/// `ExecutionPayloadHeader`, deneb to fulu.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct ExecutionPayloadHeaderDeneb {
    pub parent_hash: B256,
    pub fee_recipient: Address,
    pub state_root: B256,
    pub receipts_root: B256,
    pub logs_bloom: FixedBytes<256>,
    pub prev_randao: B256,
    #[serde(with = "quoted")]
    pub block_number: u64,
    #[serde(with = "quoted")]
    pub gas_limit: u64,
    #[serde(with = "quoted")]
    pub gas_used: u64,
    #[serde(with = "quoted")]
    pub timestamp: u64,
    #[serde(with = "ssz_types::serde_utils::hex_var_list")]
    pub extra_data: ExtraData,
    #[serde(with = "quoted")]
    pub base_fee_per_gas: U256,
    pub block_hash: B256,
    pub transactions_root: B256,
    pub withdrawals_root: B256,
    #[serde(with = "quoted")]
    pub blob_gas_used: u64,
    #[serde(with = "quoted")]
    pub excess_blob_gas: u64,
}

/// `ExecutionPayload`, bellatrix.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct ExecutionPayloadBellatrix {
    pub parent_hash: B256,
    pub fee_recipient: Address,
    pub state_root: B256,
    pub receipts_root: B256,
    pub logs_bloom: FixedBytes<256>,
    pub prev_randao: B256,
    #[serde(with = "quoted")]
    pub block_number: u64,
    #[serde(with = "quoted")]
    pub gas_limit: u64,
    #[serde(with = "quoted")]
    pub gas_used: u64,
    #[serde(with = "quoted")]
    pub timestamp: u64,
    #[serde(with = "ssz_types::serde_utils::hex_var_list")]
    pub extra_data: ExtraData,
    #[serde(with = "quoted")]
    pub base_fee_per_gas: U256,
    pub block_hash: B256,
    #[serde(with = "ssz_types::serde_utils::list_of_hex_var_list")]
    pub transactions: Transactions,
}

/// `ExecutionPayload`, capella.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct ExecutionPayloadCapella<P: Preset> {
    pub parent_hash: B256,
    pub fee_recipient: Address,
    pub state_root: B256,
    pub receipts_root: B256,
    pub logs_bloom: FixedBytes<256>,
    pub prev_randao: B256,
    #[serde(with = "quoted")]
    pub block_number: u64,
    #[serde(with = "quoted")]
    pub gas_limit: u64,
    #[serde(with = "quoted")]
    pub gas_used: u64,
    #[serde(with = "quoted")]
    pub timestamp: u64,
    #[serde(with = "ssz_types::serde_utils::hex_var_list")]
    pub extra_data: ExtraData,
    #[serde(with = "quoted")]
    pub base_fee_per_gas: U256,
    pub block_hash: B256,
    #[serde(with = "ssz_types::serde_utils::list_of_hex_var_list")]
    pub transactions: Transactions,
    pub withdrawals: VariableList<Withdrawal, P::MaxWithdrawals>,
}

/// `ExecutionPayload`, deneb to fulu.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct ExecutionPayloadDeneb<P: Preset> {
    pub parent_hash: B256,
    pub fee_recipient: Address,
    pub state_root: B256,
    pub receipts_root: B256,
    pub logs_bloom: FixedBytes<256>,
    pub prev_randao: B256,
    #[serde(with = "quoted")]
    pub block_number: u64,
    #[serde(with = "quoted")]
    pub gas_limit: u64,
    #[serde(with = "quoted")]
    pub gas_used: u64,
    #[serde(with = "quoted")]
    pub timestamp: u64,
    #[serde(with = "ssz_types::serde_utils::hex_var_list")]
    pub extra_data: ExtraData,
    #[serde(with = "quoted")]
    pub base_fee_per_gas: U256,
    pub block_hash: B256,
    #[serde(with = "ssz_types::serde_utils::list_of_hex_var_list")]
    pub transactions: Transactions,
    pub withdrawals: VariableList<Withdrawal, P::MaxWithdrawals>,
    #[serde(with = "quoted")]
    pub blob_gas_used: u64,
    #[serde(with = "quoted")]
    pub excess_blob_gas: u64,
}

/// `DepositRequest`: 192 bytes. consensus-specs, electra.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct DepositRequest {
    pub pubkey: PublicKey,
    pub withdrawal_credentials: B256,
    #[serde(with = "quoted")]
    pub amount: u64,
    pub signature: Signature,
    #[serde(with = "quoted")]
    pub index: u64,
}

/// `WithdrawalRequest`: 76 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct WithdrawalRequest {
    pub source_address: Address,
    pub validator_pubkey: PublicKey,
    #[serde(with = "quoted")]
    pub amount: u64,
}

/// `ConsolidationRequest`: 116 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct ConsolidationRequest {
    pub source_address: Address,
    pub source_pubkey: PublicKey,
    pub target_pubkey: PublicKey,
}

/// `ExecutionRequests`, electra.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct ExecutionRequests {
    pub deposits: VariableList<DepositRequest, U8192>,
    pub withdrawals: VariableList<WithdrawalRequest, U16>,
    pub consolidations: VariableList<ConsolidationRequest, U2>,
}

/// `BlobsBundle`, deneb and electra: one proof a blob.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct BlobsBundle {
    pub commitments: Commitments,
    pub proofs: VariableList<KzgBytes, U4096>,
    pub blobs: VariableList<Blob, U4096>,
}

/// `BlobsBundle`, fulu: 128 cell proofs a blob.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct BlobsBundleFulu {
    pub commitments: Commitments,
    pub proofs: VariableList<KzgBytes, U33554432>,
    pub blobs: VariableList<Blob, U4096>,
}

/// `ExecutionPayloadAndBlobsBundle`, deneb and electra.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct PayloadAndBlobs<P: Preset> {
    pub execution_payload: ExecutionPayloadDeneb<P>,
    pub blobs_bundle: BlobsBundle,
}

/// `ExecutionPayloadAndBlobsBundle`, fulu.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct PayloadAndBlobsFulu<P: Preset> {
    pub execution_payload: ExecutionPayloadDeneb<P>,
    pub blobs_bundle: BlobsBundleFulu,
}

// ---- bids ----------------------------------------------------------------------------------------------------------------------

/// `BuilderBid`, bellatrix; `value` in wei.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct BuilderBidBellatrix {
    pub header: ExecutionPayloadHeaderBellatrix,
    #[serde(with = "quoted")]
    pub value: U256,
    pub pubkey: PublicKey,
}

/// `BuilderBid`, capella; `value` in wei.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct BuilderBidCapella {
    pub header: ExecutionPayloadHeaderCapella,
    #[serde(with = "quoted")]
    pub value: U256,
    pub pubkey: PublicKey,
}

/// `BuilderBid`, deneb; `value` in wei.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct BuilderBidDeneb {
    pub header: ExecutionPayloadHeaderDeneb,
    pub blob_kzg_commitments: Commitments,
    #[serde(with = "quoted")]
    pub value: U256,
    pub pubkey: PublicKey,
}

/// `BuilderBid`, electra and fulu; `value` in wei.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct BuilderBidElectra {
    pub header: ExecutionPayloadHeaderDeneb,
    pub blob_kzg_commitments: Commitments,
    pub execution_requests: ExecutionRequests,
    #[serde(with = "quoted")]
    pub value: U256,
    pub pubkey: PublicKey,
}

/// `Signed…`: a message and the signature over its root.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Signed<M: ssz::Encode + ssz::Decode> {
    pub message: M,
    pub signature: Signature,
}
