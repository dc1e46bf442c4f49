//! A consensus client that proposes: registers its validators, asks for a header each slot, signs the blinded block, wants it revealed.

use std::time::Duration;

use alloy_primitives::{Address, B256, FixedBytes};
use reqwest::{Client, StatusCode, header};
use ssz::{Decode, Encode};
use ssz_types::{BitVector, VariableList};
use tree_hash::TreeHash;

use super::payload::sim_parent_root;
use crate::{
    consensus::{
        BidMessage, BlindedBody, ChainSpec, DecodeError, Encoding, Mainnet, Minimal, Preset, PresetName,
        RevealedPayload, SignedBlindedBlock, SignedBuilderBid,
        bls::{SigningKey, ValidatedKey},
        containers::{
            BlindedBlock, BlindedBodyBellatrix, BlindedBodyCapella, BlindedBodyDeneb, BlindedBodyElectra,
            BuilderBidBellatrix, BuilderBidCapella, BuilderBidDeneb, BuilderBidElectra, Eth1Data, Signed,
            SignedValidatorRegistration, SyncAggregate, ValidatorRegistration,
        },
        proposer_domain, signing_root,
    },
    types::{BlsPublicKey, Fork, Slot},
};

const CONSENSUS_VERSION: &str = "eth-consensus-version";
/// Seed of the first validator's key; the others count on from it.
const FIRST_SEED: u8 = 100;

/// A consensus client with validators.
#[derive(Clone, Debug)]
pub struct SimProposer {
    spec: ChainSpec,
    base: String,
    http: Client,
    keys: Vec<SigningKey>,
    encoding: Encoding,
}

/// What came of a slot.
#[derive(Debug)]
pub enum Proposal {
    /// 204: the client builds locally.
    Local,
    /// The payload or the promise came; the header's value in wei.
    Revealed {
        /// Block that was signed for.
        block_hash: B256,
        /// The signed header that the block was made of.
        bid: Box<SignedBuilderBid>,
    },
}

/// Why a slot was lost, or would have been with a real client.
#[derive(Debug, thiserror::Error)]
pub enum ProposerError {
    /// The connection failed or timed out.
    #[error("{0}")]
    Http(#[from] reqwest::Error),
    /// Another status than the API's.
    #[error("{endpoint}: HTTP {status}: {body}")]
    Status {
        /// The endpoint's name, for messages.
        endpoint: &'static str,
        /// The HTTP status of the answer.
        status: StatusCode,
        /// The body's text.
        body: String,
    },
    /// The answer does not decode.
    #[error("{0}")]
    Decode(#[from] DecodeError),
    /// The answer decodes and is wrong.
    #[error("{0}")]
    Wrong(String),
}

impl SimProposer {
    /// A client of the builder API at `base` (`http://127.0.0.1:18550`) that speaks one encoding.
    pub fn new(spec: ChainSpec, base: String, http: Client, validators: u8, encoding: Encoding) -> Self {
        let keys = (0..validators)
            .filter_map(|n| SigningKey::from_seed(&[n.wrapping_add(FIRST_SEED); 32]))
            .collect();
        Self { spec, base, http, keys, encoding }
    }

    fn key(&self, slot: Slot) -> Option<&SigningKey> {
        let index = usize::try_from(slot.as_u64()).unwrap_or(0) % self.keys.len().max(1);
        self.keys.get(index)
    }

    /// The key that proposes in a slot.
    pub fn proposer(&self, slot: Slot) -> BlsPublicKey {
        self.key(slot).map(SigningKey::public_key).unwrap_or_default()
    }

    /// Signed registrations of all its validators.
    pub fn registrations(&self, gas_limit: u64, timestamp: u64) -> Vec<SignedValidatorRegistration> {
        let domain = self.spec.builder_domain();
        let register = |key: &SigningKey| {
            let fee_recipient = Address::repeat_byte(0xee);
            let message =
                ValidatorRegistration { fee_recipient, gas_limit, timestamp, pubkey: key.public_key().0 };
            let signature = key.sign(signing_root(message.tree_hash_root(), domain));
            SignedValidatorRegistration { message, signature }
        };
        self.keys.iter().map(register).collect()
    }

    /// Registers all its validators.
    ///
    /// # Errors
    /// When the answer is not 200.
    pub async fn register(&self, gas_limit: u64, timestamp: u64) -> Result<(), ProposerError> {
        let list = self.registrations(gas_limit, timestamp);
        let body = match self.encoding {
            Encoding::Json => serde_json::to_vec(&list).unwrap_or_default(),
            Encoding::Ssz => list.iter().flat_map(Encode::as_ssz_bytes).collect(),
        };
        let request = self
            .http
            .post(format!("{}/eth/v1/builder/validators", self.base))
            .header(header::CONTENT_TYPE, self.encoding.mime())
            .body(body);
        let response = request.send().await?;
        expect(response, "validators", StatusCode::OK).await.map(drop)
    }

    /// Asks for a header as a client would: `None` for 204.
    ///
    /// # Errors
    /// When the answer is no valid bid that a relay signed, or comes later than `within`.
    pub async fn get_header(
        &self,
        slot: Slot,
        parent_hash: B256,
        within: Duration,
    ) -> Result<Option<SignedBuilderBid>, ProposerError> {
        let url = format!("{}/eth/v1/builder/header/{slot}/{parent_hash}/{}", self.base, self.proposer(slot));
        let request = self.http.get(url).header(header::ACCEPT, self.encoding.mime()).timeout(within);
        let response = request.send().await?;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        let response = expect(response, "header", StatusCode::OK).await?;
        let fork = self.spec.fork_at(slot);
        let label =
            response.headers().get(CONSENSUS_VERSION).and_then(|v| v.to_str().ok()).unwrap_or_default();
        if label != fork.name() {
            return Err(ProposerError::Wrong(format!("header labelled `{label}` in a {fork} slot")));
        }
        let bid = SignedBuilderBid::decode(fork, self.encoding, &response.bytes().await?)?;
        let facts = bid.facts();
        let key = ValidatedKey::new(facts.pubkey).map_err(|e| ProposerError::Wrong(e.to_string()))?;
        let root = signing_root(bid.message_root(), self.spec.builder_domain());
        if facts.parent_hash != parent_hash || !key.has_signed(root, bid.signature()) {
            return Err(ProposerError::Wrong("the returned bid is not what was asked for".to_owned()));
        }
        Ok(Some(bid))
    }

    /// Signs the blinded block for a bid and has it revealed by v1 before Fulu and v2 from Fulu on.
    ///
    /// # Errors
    /// When the payload is not revealed, or is not the one signed for.
    pub async fn submit(&self, slot: Slot, bid: &SignedBuilderBid) -> Result<(), ProposerError> {
        let fork = self.spec.fork_at(slot);
        let key =
            self.key(slot).ok_or_else(|| ProposerError::Wrong("a client without validators".to_owned()))?;
        let block = sign_block_with(&self.spec, slot, bid, key)?;
        let version = if fork >= Fork::Fulu { 2 } else { 1 };
        let request = self
            .http
            .post(format!("{}/eth/v{version}/builder/blinded_blocks", self.base))
            .header(header::CONTENT_TYPE, self.encoding.mime())
            .header(header::ACCEPT, self.encoding.mime())
            .header(CONSENSUS_VERSION, fork.name())
            .body(block.encode(self.encoding));
        let response = request.send().await?;
        if version == 2 {
            let body = expect(response, "blinded_blocks v2", StatusCode::ACCEPTED).await?.bytes().await?;
            return if body.is_empty() {
                Ok(())
            } else {
                Err(ProposerError::Wrong("202 with a body".to_owned()))
            };
        }
        let body = expect(response, "blinded_blocks v1", StatusCode::OK).await?.bytes().await?;
        let payload = RevealedPayload::decode(fork, self.spec.preset, self.encoding, &body)?;
        payload.check(block.facts()).map_err(|e| ProposerError::Wrong(e.to_string()))
    }

    /// Proposes in a slot, from header to reveal.
    ///
    /// # Errors
    /// When a real client would have lost the slot, or had been told something wrong.
    pub async fn propose(
        &self,
        slot: Slot,
        parent_hash: B256,
        within: Duration,
    ) -> Result<Proposal, ProposerError> {
        let Some(bid) = self.get_header(slot, parent_hash, within).await? else { return Ok(Proposal::Local) };
        self.submit(slot, &bid).await?;
        Ok(Proposal::Revealed { block_hash: bid.facts().block_hash, bid: Box::new(bid) })
    }
}

async fn expect(
    response: reqwest::Response,
    endpoint: &'static str,
    wanted: StatusCode,
) -> Result<reqwest::Response, ProposerError> {
    let status = response.status();
    if status == wanted {
        return Ok(response);
    }
    let body = response.text().await.unwrap_or_default().chars().take(300).collect();
    Err(ProposerError::Status { endpoint, status, body })
}

/// The signed blinded block of the simulated proposer's first validator for a bid: real containers, its own key, an otherwise empty body.
///
/// # Errors
/// When the bid is of a fork without blinded blocks.
pub fn sign_block(
    spec: &ChainSpec,
    slot: Slot,
    bid: &SignedBuilderBid,
) -> Result<SignedBlindedBlock, DecodeError> {
    let key = SigningKey::from_seed(&[FIRST_SEED; 32])
        .ok_or(DecodeError::NotInFork { object: "key", fork: spec.fork_at(slot) })?;
    sign_block_with(spec, slot, bid, &key)
}

/// The same, by any key.
fn sign_block_with(
    spec: &ChainSpec,
    slot: Slot,
    bid: &SignedBuilderBid,
    key: &SigningKey,
) -> Result<SignedBlindedBlock, DecodeError> {
    match spec.preset {
        PresetName::Mainnet => sign_block_in::<Mainnet>(spec, slot, bid, key),
        PresetName::Minimal => sign_block_in::<Minimal>(spec, slot, bid, key),
    }
}

macro_rules! empty_body {
    ($body:ident, $header:expr, {$($field:ident: $value:expr),*}) => {
        $body::<P> {
            randao_reveal: FixedBytes::ZERO,
            eth1_data: Eth1Data { deposit_root: B256::ZERO, deposit_count: 0, block_hash: B256::ZERO },
            graffiti: B256::ZERO,
            proposer_slashings: VariableList::default(),
            attester_slashings: VariableList::default(),
            attestations: VariableList::default(),
            deposits: VariableList::default(),
            voluntary_exits: VariableList::default(),
            sync_aggregate: SyncAggregate { sync_committee_bits: BitVector::new(), sync_committee_signature: FixedBytes::ZERO },
            execution_payload_header: $header,
            $($field: $value),*
        }
    };
}

fn sign_block_in<P: Preset>(
    spec: &ChainSpec,
    slot: Slot,
    bid: &SignedBuilderBid,
    key: &SigningKey,
) -> Result<SignedBlindedBlock, DecodeError> {
    let fork = spec.fork_at(slot);
    let bytes = bid.encode(Encoding::Ssz);
    let parent = sim_parent_root(bid.facts().parent_hash);
    match fork {
        Fork::Bellatrix => {
            let bid: BuilderBidBellatrix = typed(fork, &bytes)?;
            Ok(signed(spec, slot, key, parent, empty_body!(BlindedBodyBellatrix, bid.header, {})))
        }
        Fork::Capella => {
            let bid: BuilderBidCapella = typed(fork, &bytes)?;
            let body = empty_body!(BlindedBodyCapella, bid.header, {bls_to_execution_changes: VariableList::default()});
            Ok(signed(spec, slot, key, parent, body))
        }
        Fork::Deneb => {
            let bid: BuilderBidDeneb = typed(fork, &bytes)?;
            let body = empty_body!(BlindedBodyDeneb, bid.header, {
                bls_to_execution_changes: VariableList::default(), blob_kzg_commitments: bid.blob_kzg_commitments
            });
            Ok(signed(spec, slot, key, parent, body))
        }
        Fork::Electra | Fork::Fulu => {
            let bid: BuilderBidElectra = typed(fork, &bytes)?;
            let body = empty_body!(BlindedBodyElectra, bid.header, {
                bls_to_execution_changes: VariableList::default(), blob_kzg_commitments: bid.blob_kzg_commitments,
                execution_requests: bid.execution_requests
            });
            Ok(signed(spec, slot, key, parent, body))
        }
        Fork::Gloas => Err(DecodeError::NotInFork { object: "signed blinded beacon block", fork }),
    }
}

fn typed<M: BidMessage>(fork: Fork, bytes: &[u8]) -> Result<M, DecodeError> {
    let signed = Signed::<M>::from_ssz_bytes(bytes);
    signed.map(|signed| signed.message).map_err(|e| DecodeError::ssz("signed builder bid", fork, &e))
}

fn signed<B: BlindedBody>(
    spec: &ChainSpec,
    slot: Slot,
    key: &SigningKey,
    parent_root: B256,
    body: B,
) -> SignedBlindedBlock {
    let fork = spec.fork_at(slot);
    let message = BlindedBlock {
        slot: slot.as_u64(),
        proposer_index: 1,
        parent_root,
        state_root: B256::repeat_byte(0x77),
        body,
    };
    let domain = proposer_domain(spec.fork_version(fork), spec.genesis_validators_root.unwrap_or_default());
    let root = signing_root(message.tree_hash_root(), domain);
    SignedBlindedBlock::new(fork, Signed { message, signature: key.sign(root) })
}
