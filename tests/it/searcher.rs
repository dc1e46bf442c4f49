//! A searcher: accounts that sign transactions, requests signed as its library does, and what became of its bundles.

use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, hex};
use relaymux::bundles::{BundleKey, Signed};
use secp256k1::{Message, SECP256K1, SecretKey};
use serde_json::{Value, json};

use crate::stage::{Stage, eventually};

/// Keys of anvil's development accounts, and of searchers. Public test keys.
const KEYS: [&str; 3] = [
    "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
];
pub(crate) const SEARCHER: &str = "1111111111111111111111111111111111111111111111111111111111111111";
pub(crate) const OURS: &str = "2222222222222222222222222222222222222222222222222222222222222222";
pub(crate) const GWEI: u128 = 1_000_000_000;

/// A searcher's account.
pub(crate) struct Account {
    pub(crate) key: SecretKey,
    pub(crate) nonce: u64,
}

pub(crate) fn account(index: usize) -> Account {
    Account { key: KEYS[index].parse().unwrap(), nonce: 0 }
}

pub(crate) fn sign(key: &SecretKey, hash: B256) -> Signature {
    SECP256K1.sign_ecdsa_recoverable(Message::from_digest(hash.0), key).into()
}

impl Account {
    pub(crate) fn address(&self) -> Address {
        Address::from_raw_public_key(&self.key.public_key(SECP256K1).serialize_uncompressed()[1..])
    }

    /// A signed transfer with the next nonce and a tip; raw, and its hash.
    pub(crate) fn pay(&mut self, to: &str, wei: u128, tip: u128) -> (String, String) {
        let tx = TxEip1559 {
            chain_id: 31337,
            nonce: self.nonce,
            gas_limit: 21_000,
            max_fee_per_gas: 100 * GWEI,
            max_priority_fee_per_gas: tip,
            to: TxKind::Call(to.parse().unwrap()),
            value: U256::from(wei),
            access_list: Default::default(),
            input: Bytes::new(),
        };
        self.nonce += 1;
        let signature = sign(&self.key, tx.signature_hash());
        let envelope = TxEnvelope::from(tx.into_signed(signature));
        (hex::encode_prefixed(envelope.encoded_2718()), envelope.tx_hash().to_string())
    }
}

/// Sends a request as a searcher's library does: the body is signed as it is.
pub(crate) async fn send_as(key: &str, stage: &Stage, method: &str, params: Value) -> reqwest::Response {
    let body = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}).to_string();
    let header = BundleKey::parse(key).unwrap().header(Signed::HashText, body.as_bytes());
    let request = stage.http.post(&stage.bundles).header("content-type", "application/json");
    request.header("X-Flashbots-Signature", header).body(body).send().await.unwrap()
}

pub(crate) async fn send(stage: &Stage, method: &str, params: Value) -> Value {
    let answer: Value =
        serde_json::from_slice(&send_as(SEARCHER, stage, method, params).await.bytes().await.unwrap())
            .unwrap();
    assert_eq!(answer["id"], 7);
    answer
}

/// The newest bundle of a hash once a condition holds of it.
pub(crate) async fn fate(stage: &Stage, hash: &str, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
    eventually(&format!("a bundle to be {what}"), async || {
        let response = stage.http.get(format!("{}/api/v1/bundles/{hash}", stage.ops)).send().await.unwrap();
        let list: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        list.get(0).filter(|bundle| condition(bundle)).cloned()
    })
    .await
}

pub(crate) async fn state(stage: &Stage, hash: &str, state: &str) -> Value {
    fate(stage, hash, state, |bundle| bundle["state"] == state).await
}

/// Sends a body as it is, signed; the answer to it.
pub(crate) async fn send_body(stage: &Stage, body: String) -> Value {
    let header = BundleKey::parse(SEARCHER).unwrap().header(Signed::HashText, body.as_bytes());
    let request = stage.http.post(&stage.bundles).header("content-type", "application/json");
    let answer = request.header("X-Flashbots-Signature", header).body(body).send().await.unwrap();
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}
