//! A relay's Data API: what it says that it delivered, and what it knows of a validator. Source: flashbots relay-specs,
//! `proposer_payload_delivered` and `validator_registration`.

use alloy_primitives::{Address, B256};
use reqwest::Client;
use serde_json::Value;
use url::Url;

use super::{NodeError, http::get_json};
use crate::types::{BlsPublicKey, Slot, Wei, parse_hash};

/// One block that a relay says it delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The slot that the block is for.
    pub slot: Slot,
    /// The execution block's height.
    pub block_number: u64,
    /// The execution block's hash.
    pub block_hash: B256,
}

/// What a relay says that it delivered in one slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BidTrace {
    /// Hash of its execution block.
    pub block_hash: B256,
    /// What it paid, as the relay says.
    pub value: Wei,
    /// The builder's key, where the relay names it.
    pub builder: Option<BlsPublicKey>,
}

/// What a relay has registered for a validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownRegistration {
    /// The address that the validator registered at the relay.
    pub fee_recipient: Address,
    /// The gas limit it votes for.
    pub gas_limit: u64,
    /// When it was signed, Unix seconds.
    pub timestamp: u64,
}

fn address(base: &Url, path: &str, query: (&str, &str)) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    url.query_pairs_mut().append_pair(query.0, query.1);
    url
}

const DELIVERED: &str = "/relay/v1/data/bidtraces/proposer_payload_delivered";

fn number(entry: &Value, key: &str) -> Option<u64> {
    entry.get(key)?.as_str()?.parse::<u64>().ok()
}

/// The newest blocks that the relay at `base` says it delivered.
///
/// # Errors
/// When it does not answer, or not with such a list.
pub async fn delivered(http: &Client, base: &Url, limit: u32) -> Result<Vec<Delivered>, NodeError> {
    let url = address(base, DELIVERED, ("limit", &limit.to_string()));
    let one = |entry: &Value| {
        Some(Delivered {
            slot: Slot::new(number(entry, "slot")?),
            block_number: number(entry, "block_number")?,
            block_hash: parse_hash(entry.get("block_hash")?.as_str()?).ok()?,
        })
    };
    list(http, &url, one, "slot, block_number or block_hash").await
}

/// What the relay at `base` says it delivered in a slot.
///
/// # Errors
/// When it does not answer, or not with such a list.
pub async fn delivered_in(http: &Client, base: &Url, slot: Slot) -> Result<Vec<BidTrace>, NodeError> {
    let url = address(base, DELIVERED, ("slot", &slot.to_string()));
    let one = |entry: &Value| {
        Some(BidTrace {
            block_hash: parse_hash(entry.get("block_hash")?.as_str()?).ok()?,
            value: Wei::parse_wei(entry.get("value")?.as_str()?).ok()?,
            builder: entry.get("builder_pubkey").and_then(Value::as_str).and_then(|key| key.parse().ok()),
        })
    };
    list(http, &url, one, "block_hash or value").await
}

async fn list<T>(
    http: &Client,
    url: &Url,
    one: impl Fn(&Value) -> Option<T>,
    needed: &str,
) -> Result<Vec<T>, NodeError> {
    let answer = get_json(http, url).await?;
    let list =
        answer.as_array().ok_or_else(|| NodeError::answer(url, "expected a list of delivered payloads"))?;
    let read: Option<Vec<T>> = list.iter().map(one).collect();
    read.ok_or_else(|| NodeError::answer(url, format!("an entry without {needed}")))
}

/// What the relay at `base` has registered for a validator; `None` when it says that it has nothing.
///
/// # Errors
/// When it does not answer, or not with a registration.
pub async fn registration_of(
    http: &Client,
    base: &Url,
    pubkey: &BlsPublicKey,
) -> Result<Option<KnownRegistration>, NodeError> {
    let url = address(base, "/relay/v1/data/validator_registration", ("pubkey", &pubkey.to_string()));
    let answer = match get_json(http, &url).await {
        // Relays say 400 for "no registration found", 404 where they follow HTTP.
        Err(NodeError::Status { status: 400 | 404, .. }) => return Ok(None),
        other => other?,
    };
    let message =
        answer.get("message").ok_or_else(|| NodeError::answer(&url, "a registration without message"))?;
    let known = || {
        Some(KnownRegistration {
            fee_recipient: message.get("fee_recipient")?.as_str()?.parse().ok()?,
            gas_limit: number(message, "gas_limit")?,
            timestamp: number(message, "timestamp")?,
        })
    };
    known().map(Some).ok_or_else(|| NodeError::answer(&url, "a registration without its fields"))
}
