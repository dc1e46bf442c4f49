//! The beacon node: who proposes when, what a local block would pay, what came of a slot. Source: beacon-APIs.

mod events;
mod identity;
mod sse;

use std::sync::Arc;

use alloy_primitives::B256;
use reqwest::Client;
use serde_json::Value;
use url::Url;

pub use events::ChainNews;
pub use identity::SyncStatus;
pub use sse::{EventTooLong, SseDecoder};

use super::{NodeError, http::send};
use crate::{
    consensus::ChainSpec,
    types::{BlsPublicKey, Epoch, Slot, Wei, parse_hash},
};

/// Header with the execution payload's value in wei, on `produceBlockV3`.
const PAYLOAD_VALUE: &str = "eth-execution-payload-value";
/// The point at infinity: what `skip_randao_verification` wants in place of a signature.
const NO_RANDAO: &str = "0xc00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\
     000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000";

/// The canonical beacon block of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeaconBlock {
    /// Hash tree root of its header.
    pub root: B256,
    /// Index of its proposer.
    pub proposer_index: u64,
}

/// A beacon node's API. Clones share what was found out about it.
#[derive(Clone, Debug)]
pub struct BeaconNode {
    http: Client,
    base: Url,
    /// The network it is to be of; any, where there is none.
    spec: Option<Arc<ChainSpec>>,
    known: Arc<identity::Known>,
}

impl BeaconNode {
    /// A node at `base`, such as `http://127.0.0.1:5052`.
    pub fn new(http: Client, base: Url) -> Self {
        Self { http, base, spec: None, known: Arc::default() }
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url
    }

    /// Proposers of an epoch by slot.
    ///
    /// # Errors
    /// When the node does not answer, or not with duties.
    pub async fn proposer_duties(&self, epoch: Epoch) -> Result<Vec<(Slot, BlsPublicKey)>, NodeError> {
        let url = self.url(&format!("/eth/v1/validator/duties/proposer/{}", epoch.as_u64()));
        let answer = self.ask(&url).await?;
        let list = answer.get("data").and_then(Value::as_array);
        let list = list.ok_or_else(|| NodeError::answer(&url, "there is no list of duties"))?;
        let duty = |entry: &Value| {
            let slot: u64 = entry.get("slot")?.as_str()?.parse().ok()?;
            let pubkey = entry.get("pubkey")?.as_str()?.parse().ok()?;
            Some((Slot::new(slot), pubkey))
        };
        let duties: Option<Vec<_>> = list.iter().map(duty).collect();
        duties.ok_or_else(|| NodeError::answer(&url, "a duty without slot or pubkey"))
    }

    /// The root of the chain's genesis validators: what its signatures are bound to.
    ///
    /// # Errors
    /// When the node does not answer as it should.
    pub async fn genesis_validators_root(&self) -> Result<B256, NodeError> {
        let url = self.url("/eth/v1/beacon/genesis");
        let answer = self.ask(&url).await?;
        let root = answer.pointer("/data/genesis_validators_root").and_then(Value::as_str);
        let root = root.and_then(|text| parse_hash(text).ok());
        root.ok_or_else(|| NodeError::answer(&url, "a genesis without genesis_validators_root"))
    }

    /// What a block built by the node itself would pay in this slot: it is asked to build one, and the block is thrown away.
    ///
    /// # Errors
    /// When the node does not answer, or does not say the value.
    pub async fn local_block_value(&self, slot: Slot) -> Result<Wei, NodeError> {
        self.believe().await?;
        let mut url = self.url(&format!("/eth/v3/validator/blocks/{slot}"));
        // A boost of 0 keeps the node from asking its builder, which is us.
        url.query_pairs_mut()
            .append_pair("randao_reveal", NO_RANDAO)
            .append_key_only("skip_randao_verification")
            .append_pair("builder_boost_factor", "0");
        let (head, _) = send(&url, self.http.get(url.clone())).await?;
        let value = head.headers.get(PAYLOAD_VALUE).and_then(|value| value.to_str().ok());
        let value = value.and_then(|text| Wei::parse_wei(text.trim()).ok());
        value.ok_or_else(|| NodeError::answer(&url, "the node does not say its block's value"))
    }

    /// The slot of the newest block.
    ///
    /// # Errors
    /// When the node does not answer as it should.
    pub async fn head(&self) -> Result<Slot, NodeError> {
        let url = self.url("/eth/v1/beacon/headers/head");
        let answer = self.ask(&url).await?;
        let slot = answer
            .pointer("/data/header/message/slot")
            .and_then(Value::as_str)
            .and_then(|text| text.parse().ok());
        slot.map(Slot::new).ok_or_else(|| NodeError::answer(&url, "a header without slot"))
    }

    /// The canonical block of a slot; `None` when there is none.
    ///
    /// # Errors
    /// When the node does not answer as it should.
    pub async fn block_in(&self, slot: Slot) -> Result<Option<BeaconBlock>, NodeError> {
        let url = self.url(&format!("/eth/v1/beacon/headers/{slot}"));
        let answer = match self.ask(&url).await {
            Err(NodeError::Status { status: 404, .. }) => return Ok(None),
            other => other?,
        };
        let root =
            answer.pointer("/data/root").and_then(Value::as_str).and_then(|text| parse_hash(text).ok());
        let index = answer.pointer("/data/header/message/proposer_index").and_then(Value::as_str);
        let index = index.and_then(|text| text.parse().ok());
        match (root, index) {
            (Some(root), Some(proposer_index)) => Ok(Some(BeaconBlock { root, proposer_index })),
            (None, _) | (_, None) => Err(NodeError::answer(&url, "a header without root or proposer_index")),
        }
    }

    /// What the consensus layer paid a block's proposer, in gwei: attestations, sync committee and slashings in the block, nothing of
    /// the execution layer.
    ///
    /// # Errors
    /// When the node does not answer as it should.
    pub async fn block_reward(&self, root: B256) -> Result<u64, NodeError> {
        let url = self.url(&format!("/eth/v1/beacon/rewards/blocks/{root}"));
        let answer = self.ask(&url).await?;
        let total = answer.pointer("/data/total");
        // A text by the specification, a number from some clients.
        let total = total.and_then(|total| total.as_u64().or_else(|| total.as_str()?.parse().ok()));
        total.ok_or_else(|| NodeError::answer(&url, "rewards without a total"))
    }
}
