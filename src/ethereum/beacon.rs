//! The beacon node: who proposes when, and what a local block would pay. Source: beacon-APIs.

use reqwest::Client;
use serde_json::Value;
use url::Url;

use super::{
    NodeError,
    http::{get_json, send},
};
use crate::types::{BlsPublicKey, Epoch, Slot, Wei};

/// Header with the execution payload's value in wei, on `produceBlockV3`.
const PAYLOAD_VALUE: &str = "eth-execution-payload-value";
/// The point at infinity: what `skip_randao_verification` wants in place of a signature.
const NO_RANDAO: &str = "0xc00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\
     000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000";

/// A beacon node's API.
#[derive(Clone, Debug)]
pub struct BeaconNode {
    http: Client,
    base: Url,
}

impl BeaconNode {
    /// A node at `base`, such as `http://127.0.0.1:5052`.
    pub fn new(http: Client, base: Url) -> Self {
        Self { http, base }
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
        let answer = get_json(&self.http, &url).await?;
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

    /// What a block built by the node itself would pay in this slot: it is asked to build one, and the block is thrown away.
    ///
    /// # Errors
    /// When the node does not answer, or does not say the value.
    pub async fn local_block_value(&self, slot: Slot) -> Result<Wei, NodeError> {
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
}
