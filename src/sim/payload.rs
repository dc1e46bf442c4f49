//! Payloads with true block hashes, the bids for them and their reveals.

use alloy_primitives::{Address, B256, Bytes, FixedBytes, U256};
use ssz_types::{VariableList, typenum::Unsigned};

use crate::{
    consensus::{
        BidMessage, BlockHashInputs, Domain, Preset, RevealedPayload, SignedBuilderBid,
        bls::SigningKey,
        containers::{
            Blob, BlobsBundle, BlobsBundleFulu, BuilderBidBellatrix, BuilderBidCapella, BuilderBidDeneb,
            BuilderBidElectra, Commitments, ExecutionPayloadBellatrix, ExecutionPayloadCapella,
            ExecutionPayloadDeneb, ExecutionRequests, KzgBytes, PayloadAndBlobs, PayloadAndBlobsFulu, Signed,
            Withdrawal,
        },
        recompute_block_hash, signing_root,
    },
    types::{BlsPublicKey, Fork, Wei},
};

/// Cell proofs per blob in Fulu.
const CELL_PROOFS: usize = 128;

/// The randomness of every slot in the simulation, and what a faulty relay takes for it.
pub(super) const SIM_RANDAO: B256 = B256::repeat_byte(0x53);
pub(super) const OTHER_RANDAO: B256 = B256::repeat_byte(0x54);

/// So many withdrawals. An honest relay's payloads have none, one with wrong withdrawals has one.
pub fn sim_withdrawals(count: u64) -> Vec<Withdrawal> {
    let address = Address::repeat_byte(0xaa);
    let withdrawal = |n| Withdrawal { index: n, validator_index: 100 + n, address, amount: 16_000_000 + n };
    (0..count).map(withdrawal).collect()
}

/// The parent beacon block's root in the simulation: a function of the execution parent, so that relay and proposer agree.
pub fn sim_parent_root(parent_hash: B256) -> B256 {
    B256::from(U256::from_be_bytes(parent_hash.0).wrapping_add(U256::from(1)))
}

/// What a payload is to contain.
#[derive(Clone, Debug)]
pub struct PayloadParams {
    /// Hash of the execution block that this one is built on.
    pub parent_hash: B256,
    /// Root of the parent beacon block.
    pub parent_root: B256,
    /// The address that gets the block's priority fees.
    pub fee_recipient: Address,
    /// Unix seconds.
    pub timestamp: u64,
    /// The beacon chain's randomness.
    pub prev_randao: B256,
    /// Height.
    pub block_number: u64,
    /// Gas limit.
    pub gas_limit: u64,
    /// Opaque transactions.
    pub transactions: Vec<Vec<u8>>,
    /// Withdrawals; left out where the preset has no room for so many.
    pub withdrawals: Vec<Withdrawal>,
}

/// A payload of some fork.
#[derive(Clone, Debug)]
pub enum AnyPayload<P: Preset> {
    /// Without withdrawals.
    Bellatrix(ExecutionPayloadBellatrix),
    /// With withdrawals.
    Capella(ExecutionPayloadCapella<P>),
    /// With blob gas; Deneb to Fulu.
    Deneb(ExecutionPayloadDeneb<P>),
}

/// What to spoil in a reveal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tamper {
    /// Nothing.
    Nothing,
    /// A blob fewer.
    MissingBlob,
    /// A proof fewer.
    MissingProof,
    /// Another commitment.
    OtherCommitment,
    /// A blob that is not its commitment's.
    OtherBlob,
    /// Other transactions, same block hash.
    OtherContents,
    /// Another block hash.
    OtherBlock,
}

macro_rules! common_fields {
    ($kind:ident, $p:expr, {$($field:ident: $value:expr),*}) => {
        $kind {
            parent_hash: $p.parent_hash,
            fee_recipient: $p.fee_recipient,
            state_root: B256::repeat_byte(0x51),
            receipts_root: B256::repeat_byte(0x52),
            logs_bloom: FixedBytes::ZERO,
            prev_randao: $p.prev_randao,
            block_number: $p.block_number,
            gas_limit: $p.gas_limit,
            gas_used: 21_000,
            timestamp: $p.timestamp,
            extra_data: VariableList::default(),
            base_fee_per_gas: U256::from(7),
            block_hash: B256::ZERO,
            transactions: transactions(&$p.transactions),
            $($field: $value),*
        }
    };
}

pub(super) fn transactions(list: &[Vec<u8>]) -> crate::consensus::containers::Transactions {
    let items: Vec<_> = list.iter().filter_map(|tx| VariableList::new(tx.clone()).ok()).collect();
    VariableList::new(items).unwrap_or_default()
}

fn withdrawals<N: Unsigned + Clone>(params: &PayloadParams) -> VariableList<Withdrawal, N> {
    VariableList::new(params.withdrawals.clone()).unwrap_or_default()
}

/// No deposits, withdrawals or consolidations.
fn no_requests() -> ExecutionRequests {
    ExecutionRequests {
        deposits: VariableList::default(),
        withdrawals: VariableList::default(),
        consolidations: VariableList::default(),
    }
}

/// The point at infinity: a blob of zeros has it as its commitment and as each of its proofs.
fn infinity() -> KzgBytes {
    let mut point = [0; 48];
    point[0] = 0xc0;
    KzgBytes::new(point)
}

/// Commitments to blobs of zeros.
pub(super) fn commitments(count: usize) -> Commitments {
    VariableList::new(vec![infinity(); count]).unwrap_or_default()
}

impl<P: Preset> AnyPayload<P> {
    /// A payload of a fork, with the block hash that its contents have.
    pub fn build(fork: Fork, params: &PayloadParams) -> Self {
        let mut payload = match fork {
            Fork::Bellatrix => Self::Bellatrix(common_fields!(ExecutionPayloadBellatrix, params, {})),
            Fork::Capella => Self::Capella(
                common_fields!(ExecutionPayloadCapella, params, {withdrawals: withdrawals(params)}),
            ),
            Fork::Deneb | Fork::Electra | Fork::Fulu | Fork::Gloas => {
                Self::Deneb(common_fields!(ExecutionPayloadDeneb, params, {
                    withdrawals: withdrawals(params), blob_gas_used: 0, excess_blob_gas: 0
                }))
            }
        };
        let hash = payload.true_hash(fork, params.parent_root);
        payload.set_block_hash(hash);
        payload
    }

    /// The hash of its contents.
    pub fn true_hash(&self, fork: Fork, parent_root: B256) -> B256 {
        let empty = [Bytes::from_static(&[0]), Bytes::from_static(&[1]), Bytes::from_static(&[2])];
        let inputs = BlockHashInputs {
            parent_beacon_block_root: (fork >= Fork::Deneb).then_some(parent_root),
            execution_requests: (fork >= Fork::Electra).then_some(&empty),
        };
        match self {
            Self::Bellatrix(payload) => recompute_block_hash(payload, inputs),
            Self::Capella(payload) => recompute_block_hash(payload, inputs),
            Self::Deneb(payload) => recompute_block_hash(payload, inputs),
        }
    }

    /// The block it builds on.
    pub fn parent_hash(&self) -> B256 {
        match self {
            Self::Bellatrix(payload) => payload.parent_hash,
            Self::Capella(payload) => payload.parent_hash,
            Self::Deneb(payload) => payload.parent_hash,
        }
    }

    /// The block hash that it names, which need not be that of its contents.
    pub fn block_hash(&self) -> B256 {
        match self {
            Self::Bellatrix(payload) => payload.block_hash,
            Self::Capella(payload) => payload.block_hash,
            Self::Deneb(payload) => payload.block_hash,
        }
    }

    /// Names another hash.
    pub fn set_block_hash(&mut self, hash: B256) {
        match self {
            Self::Bellatrix(payload) => payload.block_hash = hash,
            Self::Capella(payload) => payload.block_hash = hash,
            Self::Deneb(payload) => payload.block_hash = hash,
        }
    }

    fn drop_transactions(&mut self) {
        let list = match self {
            Self::Bellatrix(payload) => &mut payload.transactions,
            Self::Capella(payload) => &mut payload.transactions,
            Self::Deneb(payload) => &mut payload.transactions,
        };
        *list = VariableList::default();
    }

    /// A bid for it, naming `named` and signed by `key`.
    pub fn bid(
        &self,
        fork: Fork,
        value: Wei,
        blobs: usize,
        named: BlsPublicKey,
        key: &SigningKey,
        domain: Domain,
    ) -> SignedBuilderBid {
        let (value, pubkey, blob_kzg_commitments) = (value.as_u256(), named.0, commitments(blobs));
        match self {
            Self::Bellatrix(payload) => {
                sign(fork, BuilderBidBellatrix { header: payload.into(), value, pubkey }, key, domain)
            }
            Self::Capella(payload) => {
                sign(fork, BuilderBidCapella { header: payload.into(), value, pubkey }, key, domain)
            }
            Self::Deneb(payload) if fork == Fork::Deneb => {
                let header = payload.into();
                sign(fork, BuilderBidDeneb { header, blob_kzg_commitments, value, pubkey }, key, domain)
            }
            Self::Deneb(payload) => {
                let (header, execution_requests) = (payload.into(), no_requests());
                let bid =
                    BuilderBidElectra { header, blob_kzg_commitments, execution_requests, value, pubkey };
                sign(fork, bid, key, domain)
            }
        }
    }

    /// The answer of `blinded_blocks` v1.
    pub fn reveal(&self, fork: Fork, blobs: usize, tamper: Tamper) -> RevealedPayload {
        let mut payload = self.clone();
        match tamper {
            Tamper::OtherContents => payload.drop_transactions(),
            Tamper::OtherBlock => payload.set_block_hash(B256::repeat_byte(0xbb)),
            Tamper::Nothing
            | Tamper::MissingBlob
            | Tamper::MissingProof
            | Tamper::OtherCommitment
            | Tamper::OtherBlob => {}
        }
        let mut list = commitments(blobs).to_vec();
        if let (Tamper::OtherCommitment, Some(last)) = (tamper, list.last_mut()) {
            *last = KzgBytes::repeat_byte(0x01);
        }
        let per_blob = if fork == Fork::Fulu { CELL_PROOFS } else { 1 };
        let proofs = blobs * per_blob - usize::from(tamper == Tamper::MissingProof && blobs > 0);
        let proofs = vec![infinity(); proofs];
        let kept = blobs - usize::from(tamper == Tamper::MissingBlob && blobs > 0);
        let mut blobs = vec![Blob::zero(); kept];
        if let (Tamper::OtherBlob, Some(last)) = (tamper, blobs.last_mut()) {
            *last = Blob::filled(1);
        }
        let blobs = VariableList::new(blobs).unwrap_or_default();
        let commitments = VariableList::new(list).unwrap_or_default();
        match payload {
            Self::Bellatrix(payload) => RevealedPayload::new(fork, payload),
            Self::Capella(payload) => RevealedPayload::new(fork, payload),
            Self::Deneb(execution_payload) if fork == Fork::Fulu => {
                let proofs = VariableList::new(proofs).unwrap_or_default();
                let blobs_bundle = BlobsBundleFulu { commitments, proofs, blobs };
                RevealedPayload::new(fork, PayloadAndBlobsFulu { execution_payload, blobs_bundle })
            }
            Self::Deneb(execution_payload) => {
                let proofs = VariableList::new(proofs).unwrap_or_default();
                let blobs_bundle = BlobsBundle { commitments, proofs, blobs };
                RevealedPayload::new(fork, PayloadAndBlobs { execution_payload, blobs_bundle })
            }
        }
    }
}

fn sign<M: BidMessage>(fork: Fork, message: M, key: &SigningKey, domain: Domain) -> SignedBuilderBid {
    let signature = key.sign(signing_root(message.tree_hash_root(), domain));
    SignedBuilderBid::new(fork, Signed { message, signature })
}
