//! A relay's Data API: what it says that it delivered. Source: flashbots relay-specs, `proposer_payload_delivered`.

use alloy_primitives::B256;
use reqwest::Client;
use serde_json::{Value, json};
use url::Url;

use super::{
    NodeError,
    http::{get_json, send},
};
use crate::types::{Slot, parse_hash};

/// One block that a relay says it delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Its slot.
    pub slot: Slot,
    /// Its height.
    pub block_number: u64,
    /// Its hash.
    pub block_hash: B256,
}

/// The newest blocks that the relay at `base` says it delivered.
///
/// # Errors
/// When it does not answer, or not with such a list.
pub async fn delivered(http: &Client, base: &Url, limit: u32) -> Result<Vec<Delivered>, NodeError> {
    let mut url = base.clone();
    let prefix = base.path().trim_end_matches('/');
    url.set_path(&format!("{prefix}/relay/v1/data/bidtraces/proposer_payload_delivered"));
    url.query_pairs_mut().append_pair("limit", &limit.to_string());
    let answer = get_json(http, &url).await?;
    let list =
        answer.as_array().ok_or_else(|| NodeError::answer(&url, "expected a list of delivered payloads"))?;
    let number = |entry: &Value, key: &str| entry.get(key)?.as_str()?.parse::<u64>().ok();
    let one = |entry: &Value| {
        Some(Delivered {
            slot: Slot::new(number(entry, "slot")?),
            block_number: number(entry, "block_number")?,
            block_hash: parse_hash(entry.get("block_hash")?.as_str()?).ok()?,
        })
    };
    let delivered: Option<Vec<_>> = list.iter().map(one).collect();
    delivered.ok_or_else(|| NodeError::answer(&url, "an entry without slot, block_number or block_hash"))
}

/// The hash of the canonical block at a height; `None` when the execution node has none.
///
/// # Errors
/// When the node does not answer as it should.
pub async fn canonical_hash(http: &Client, rpc: &Url, number: u64) -> Result<Option<B256>, NodeError> {
    let params = json!([format!("{number:#x}"), false]);
    let block = call(http, rpc, "eth_getBlockByNumber", params).await?;
    let Some(hash) = block.get("hash").and_then(Value::as_str) else { return Ok(None) };
    parse_hash(hash).map(Some).map_err(|_| NodeError::answer(rpc, "a block without a hash"))
}

/// The height of the newest block.
///
/// # Errors
/// When the node does not answer as it should.
pub async fn block_number(http: &Client, rpc: &Url) -> Result<u64, NodeError> {
    let number = call(http, rpc, "eth_blockNumber", json!([])).await?;
    let digits = number.as_str().and_then(|text| text.strip_prefix("0x")).unwrap_or_default();
    u64::from_str_radix(digits, 16).map_err(|_| NodeError::answer(rpc, "eth_blockNumber is no number"))
}

async fn call(http: &Client, rpc: &Url, method: &str, params: Value) -> Result<Value, NodeError> {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let (_, body) = send(rpc, http.post(rpc.clone()).json(&request)).await?;
    let mut answer: Value = serde_json::from_slice(&body)
        .map_err(|error| NodeError::answer(rpc, format!("not JSON: {error}")))?;
    if let Some(message) = answer.pointer("/error/message").and_then(Value::as_str) {
        return Err(NodeError::answer(rpc, message.chars().take(200).collect::<String>()));
    }
    Ok(answer.get_mut("result").map(Value::take).unwrap_or_default())
}
