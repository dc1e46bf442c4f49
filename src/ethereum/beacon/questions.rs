//! The questions that a beacon node is asked: who proposes when, what a local block would pay, what came of a slot, how far it is.

use alloy_primitives::B256;
use serde_json::Value;

use super::{
    node::{BeaconNode, Identity},
    reported::{number, spec_from},
};
use crate::{
    consensus::ReportedSpec,
    ethereum::{NodeError, http::send},
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

/// How far a beacon node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncStatus {
    /// Slot of its head.
    pub head: Slot,
    /// Slots that it has yet to go by its own account; none: it does not say.
    pub distance: Option<u64>,
    /// Whether it says that it is still catching up.
    pub is_syncing: bool,
    /// Whether it says that it follows blocks which its execution client has not checked.
    pub is_optimistic: bool,
    /// Whether it says that its execution client is away.
    pub is_execution_offline: bool,
}

impl BeaconNode {
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

    /// What it says of itself, at most 256 characters.
    ///
    /// # Errors
    /// When the node does not answer as it should.
    pub async fn client_version(&self) -> Result<String, NodeError> {
        let url = self.url("/eth/v1/node/version");
        let answer = self.ask(&url).await?;
        let version = answer.pointer("/data/version").and_then(Value::as_str);
        let version = version.ok_or_else(|| NodeError::answer(&url, "there is no version"))?;
        Ok(version.chars().take(256).collect())
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

    /// The node's specification: which forks it knows and when they start.
    ///
    /// # Errors
    /// When the node does not answer as it should, or is of another network, by this specification too.
    pub async fn reported_spec(&self) -> Result<ReportedSpec, NodeError> {
        let url = self.url("/eth/v1/config/spec");
        let reported = spec_from(&self.ask(&url).await?);
        if let Some(mismatch) = self.spec.as_ref().and_then(|spec| spec.spec_mismatch(&reported)) {
            self.judge(&url, Identity::Other(mismatch))?;
        }
        Ok(reported)
    }

    /// How far the node is.
    ///
    /// # Errors
    /// When the node does not answer as it should.
    pub async fn sync_status(&self) -> Result<SyncStatus, NodeError> {
        let url = self.url("/eth/v1/node/syncing");
        let answer = self.ask(&url).await?;
        let data = answer.get("data").unwrap_or(&Value::Null);
        let head = data.get("head_slot").and_then(number).map(Slot::new);
        let says = |key: &str| data.get(key).and_then(Value::as_bool).unwrap_or(false);
        let status = head.map(|head| SyncStatus {
            head,
            distance: data.get("sync_distance").and_then(number),
            is_syncing: says("is_syncing"),
            is_optimistic: says("is_optimistic"),
            is_execution_offline: says("el_offline"),
        });
        status.ok_or_else(|| NodeError::answer(&url, "a sync status without head_slot"))
    }
}
