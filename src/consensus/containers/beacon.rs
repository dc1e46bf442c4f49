//! The blinded beacon block of each fork and all that lies in its body.

#![expect(missing_docs, reason = "fields are named as in the specifications, which define them")]

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};
use ssz_derive::{Decode, Encode};
use ssz_types::{
    BitList, BitVector, FixedVector, VariableList,
    typenum::{U1, U2, U8, U16, U33, U128, U2048},
};
use tree_hash_derive::TreeHash;

use super::{
    Commitments, ExecutionPayloadHeaderBellatrix, ExecutionPayloadHeaderCapella, ExecutionPayloadHeaderDeneb,
    ExecutionRequests, PublicKey, Signature,
};
use crate::consensus::{Preset, quoted};

/// `Eth1Data`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct Eth1Data {
    pub deposit_root: B256,
    #[serde(with = "quoted")]
    pub deposit_count: u64,
    pub block_hash: B256,
}

/// `BeaconBlockHeader`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct BeaconBlockHeader {
    #[serde(with = "quoted")]
    pub slot: u64,
    #[serde(with = "quoted")]
    pub proposer_index: u64,
    pub parent_root: B256,
    pub state_root: B256,
    pub body_root: B256,
}

/// `SignedBeaconBlockHeader`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct SignedBeaconBlockHeader {
    pub message: BeaconBlockHeader,
    pub signature: Signature,
}

/// `ProposerSlashing`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct ProposerSlashing {
    pub signed_header_1: SignedBeaconBlockHeader,
    pub signed_header_2: SignedBeaconBlockHeader,
}

/// `Checkpoint`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct Checkpoint {
    #[serde(with = "quoted")]
    pub epoch: u64,
    pub root: B256,
}

/// `AttestationData`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct AttestationData {
    #[serde(with = "quoted")]
    pub slot: u64,
    #[serde(with = "quoted")]
    pub index: u64,
    pub beacon_block_root: B256,
    pub source: Checkpoint,
    pub target: Checkpoint,
}

/// `IndexedAttestation`, before electra.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct IndexedAttestation {
    #[serde(with = "ssz_types::serde_utils::quoted_u64_var_list")]
    pub attesting_indices: VariableList<u64, U2048>,
    pub data: AttestationData,
    pub signature: Signature,
}

/// `IndexedAttestation`, from electra.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct IndexedAttestationElectra<P: Preset> {
    #[serde(with = "ssz_types::serde_utils::quoted_u64_var_list")]
    pub attesting_indices: VariableList<u64, P::MaxValidatorsPerSlot>,
    pub data: AttestationData,
    pub signature: Signature,
}

/// `AttesterSlashing`, before electra.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct AttesterSlashing {
    pub attestation_1: IndexedAttestation,
    pub attestation_2: IndexedAttestation,
}

/// `AttesterSlashing`, from electra.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct AttesterSlashingElectra<P: Preset> {
    pub attestation_1: IndexedAttestationElectra<P>,
    pub attestation_2: IndexedAttestationElectra<P>,
}

/// `Attestation`, before electra.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct Attestation {
    pub aggregation_bits: BitList<U2048>,
    pub data: AttestationData,
    pub signature: Signature,
}

/// `Attestation`, from electra.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct AttestationElectra<P: Preset> {
    pub aggregation_bits: BitList<P::MaxValidatorsPerSlot>,
    pub data: AttestationData,
    pub signature: Signature,
    pub committee_bits: BitVector<P::MaxCommitteesPerSlot>,
}

/// `DepositData`; `amount` in gwei.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct DepositData {
    pub pubkey: PublicKey,
    pub withdrawal_credentials: B256,
    #[serde(with = "quoted")]
    pub amount: u64,
    pub signature: Signature,
}

/// `Deposit`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct Deposit {
    pub proof: FixedVector<B256, U33>,
    pub data: DepositData,
}

/// `VoluntaryExit`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct VoluntaryExit {
    #[serde(with = "quoted")]
    pub epoch: u64,
    #[serde(with = "quoted")]
    pub validator_index: u64,
}

/// `SignedVoluntaryExit`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct SignedVoluntaryExit {
    pub message: VoluntaryExit,
    pub signature: Signature,
}

/// `BLSToExecutionChange`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct BlsToExecutionChange {
    #[serde(with = "quoted")]
    pub validator_index: u64,
    pub from_bls_pubkey: PublicKey,
    pub to_execution_address: Address,
}

/// `SignedBLSToExecutionChange`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct SignedBlsToExecutionChange {
    pub message: BlsToExecutionChange,
    pub signature: Signature,
}

/// `SyncAggregate`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct SyncAggregate<P: Preset> {
    pub sync_committee_bits: BitVector<P::SyncCommitteeSize>,
    pub sync_committee_signature: Signature,
}

/// `BlindedBeaconBlockBody`, bellatrix.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct BlindedBodyBellatrix<P: Preset> {
    pub randao_reveal: Signature,
    pub eth1_data: Eth1Data,
    pub graffiti: B256,
    pub proposer_slashings: VariableList<ProposerSlashing, U16>,
    pub attester_slashings: VariableList<AttesterSlashing, U2>,
    pub attestations: VariableList<Attestation, U128>,
    pub deposits: VariableList<Deposit, U16>,
    pub voluntary_exits: VariableList<SignedVoluntaryExit, U16>,
    pub sync_aggregate: SyncAggregate<P>,
    pub execution_payload_header: ExecutionPayloadHeaderBellatrix,
}

/// `BlindedBeaconBlockBody`, capella.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct BlindedBodyCapella<P: Preset> {
    pub randao_reveal: Signature,
    pub eth1_data: Eth1Data,
    pub graffiti: B256,
    pub proposer_slashings: VariableList<ProposerSlashing, U16>,
    pub attester_slashings: VariableList<AttesterSlashing, U2>,
    pub attestations: VariableList<Attestation, U128>,
    pub deposits: VariableList<Deposit, U16>,
    pub voluntary_exits: VariableList<SignedVoluntaryExit, U16>,
    pub sync_aggregate: SyncAggregate<P>,
    pub execution_payload_header: ExecutionPayloadHeaderCapella,
    pub bls_to_execution_changes: VariableList<SignedBlsToExecutionChange, U16>,
}

/// `BlindedBeaconBlockBody`, deneb.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct BlindedBodyDeneb<P: Preset> {
    pub randao_reveal: Signature,
    pub eth1_data: Eth1Data,
    pub graffiti: B256,
    pub proposer_slashings: VariableList<ProposerSlashing, U16>,
    pub attester_slashings: VariableList<AttesterSlashing, U2>,
    pub attestations: VariableList<Attestation, U128>,
    pub deposits: VariableList<Deposit, U16>,
    pub voluntary_exits: VariableList<SignedVoluntaryExit, U16>,
    pub sync_aggregate: SyncAggregate<P>,
    pub execution_payload_header: ExecutionPayloadHeaderDeneb,
    pub bls_to_execution_changes: VariableList<SignedBlsToExecutionChange, U16>,
    pub blob_kzg_commitments: Commitments,
}

/// `BlindedBeaconBlockBody`, electra and fulu.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct BlindedBodyElectra<P: Preset> {
    pub randao_reveal: Signature,
    pub eth1_data: Eth1Data,
    pub graffiti: B256,
    pub proposer_slashings: VariableList<ProposerSlashing, U16>,
    pub attester_slashings: VariableList<AttesterSlashingElectra<P>, U1>,
    pub attestations: VariableList<AttestationElectra<P>, U8>,
    pub deposits: VariableList<Deposit, U16>,
    pub voluntary_exits: VariableList<SignedVoluntaryExit, U16>,
    pub sync_aggregate: SyncAggregate<P>,
    pub execution_payload_header: ExecutionPayloadHeaderDeneb,
    pub bls_to_execution_changes: VariableList<SignedBlsToExecutionChange, U16>,
    pub blob_kzg_commitments: Commitments,
    pub execution_requests: ExecutionRequests,
}

/// `BlindedBeaconBlock` around the body of its fork.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct BlindedBlock<B: ssz::Encode + ssz::Decode + tree_hash::TreeHash> {
    #[serde(with = "quoted")]
    pub slot: u64,
    #[serde(with = "quoted")]
    pub proposer_index: u64,
    pub parent_root: B256,
    pub state_root: B256,
    pub body: B,
}
