//! A builder that gets its payloads from a real execution client.
//!
//! It stands between a consensus client and its execution client as a proxy of the Engine API: every call is passed on unchanged,
//! with the client's own credentials. When the consensus client tells the execution client to prepare a payload, the builder asks for a
//! second one that pays itself, fetches it, and supplies the relays with it. Source: execution-apis `engine/{paris,shanghai,cancun}.md`.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use alloy_primitives::{Address, B256, U256, hex};
use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use parking_lot::Mutex;
use reqwest::Client;
use serde::Deserialize;
use serde_json::{Value, json};
use ssz_types::VariableList;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{AnyPayload, payload::transactions};
use crate::{
    consensus::{
        Minimal,
        containers::{ExecutionPayloadCapella, Withdrawal},
    },
    serve::{ListenError, Listener},
};

/// How long the execution client gets to fill the builder's payload.
const BUILD_TIME: Duration = Duration::from_millis(150);
/// Largest Engine API message.
const MAX_BODY: usize = 64 << 20;

/// Where finished payloads go.
pub type PayloadSink = Box<dyn Fn(AnyPayload<Minimal>) + Send + Sync>;

struct Shared {
    upstream: String,
    http: Client,
    fee_recipient: Address,
    sink: PayloadSink,
    problems: Mutex<Vec<String>>,
}

/// A running proxy. Stops when dropped.
pub struct EngineBuilder {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: CancellationToken,
}

impl std::fmt::Debug for EngineBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EngineBuilder({})", self.address)
    }
}

impl Drop for EngineBuilder {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl EngineBuilder {
    /// Starts a proxy to the Engine API at `upstream`; its own payloads pay `fee_recipient`.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(
        upstream: String,
        http: Client,
        fee_recipient: Address,
        sink: PayloadSink,
    ) -> Result<Self, ListenError> {
        let shared = Arc::new(Shared { upstream, http, fee_recipient, sink, problems: Mutex::default() });
        let router = Router::new().fallback(pass_on).with_state(Arc::clone(&shared));
        let listener = Listener::bind("engine proxy", SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let (address, stop) = (listener.address(), CancellationToken::new());
        tokio::spawn(listener.serve(router, stop.clone(), Duration::ZERO));
        Ok(Self { address, shared, stop })
    }

    /// Where the consensus client should look for its execution client.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What went wrong while building, in words.
    pub fn problems(&self) -> Vec<String> {
        self.shared.problems.lock().clone()
    }
}

async fn pass_on(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let answer = match call(&shared, &parts.headers, body.clone()).await {
        Ok(answer) => answer,
        Err(error) => return (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    };
    tokio::spawn(async move {
        if let Err(problem) = build_too(&shared, &parts.headers, &body).await {
            shared.problems.lock().push(problem);
        }
    });
    ([(header::CONTENT_TYPE, "application/json")], answer).into_response()
}

async fn call(shared: &Shared, headers: &HeaderMap, body: Bytes) -> Result<Bytes, reqwest::Error> {
    let mut request =
        shared.http.post(&shared.upstream).header(header::CONTENT_TYPE, "application/json").body(body);
    if let Some(token) = headers.get(header::AUTHORIZATION) {
        request = request.header(header::AUTHORIZATION, token);
    }
    request.send().await?.bytes().await
}

/// If the call asked for a payload: builds our own beside it.
async fn build_too(shared: &Shared, headers: &HeaderMap, body: &[u8]) -> Result<(), String> {
    let Ok(asked) = serde_json::from_slice::<Value>(body) else { return Ok(()) };
    let method = asked.get("method").and_then(Value::as_str).unwrap_or_default();
    let Some(version) = method.strip_prefix("engine_forkchoiceUpdatedV") else { return Ok(()) };
    let parameter = |index: &str| asked.pointer(index).cloned().unwrap_or_default();
    let (state, mut attributes) = (parameter("/params/0"), parameter("/params/1"));
    let Some(fields) = attributes.as_object_mut() else { return Ok(()) };
    fields.insert("suggestedFeeRecipient".to_owned(), json!(shared.fee_recipient));
    let started = rpc(shared, headers, method, json!([state, attributes])).await?;
    let id = started.get("payloadId").and_then(Value::as_str);
    let id = id.ok_or_else(|| format!("{method}: no payload id: {started}"))?;
    sleep(BUILD_TIME).await;
    let got = rpc(shared, headers, &format!("engine_getPayloadV{version}"), json!([id])).await?;
    let payload = got.get("executionPayload").cloned().unwrap_or_default();
    let payload: EnginePayload = serde_json::from_value(payload).map_err(|e| format!("payload: {e}"))?;
    (shared.sink)(payload.into_capella()?);
    Ok(())
}

async fn rpc(shared: &Shared, headers: &HeaderMap, method: &str, params: Value) -> Result<Value, String> {
    let body = json!({"jsonrpc": "2.0", "id": 9, "method": method, "params": params}).to_string();
    let answer = call(shared, headers, body.into()).await.map_err(|e| e.to_string())?;
    let mut answer: Value = serde_json::from_slice(&answer).map_err(|e| e.to_string())?;
    match answer.get_mut("result").map(Value::take) {
        Some(result) if !result.is_null() => Ok(result),
        Some(_) | None => Err(format!("{method}: {answer}")),
    }
}

/// `ExecutionPayloadV2` of the Engine API: camel case, hex quantities.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EnginePayload {
    parent_hash: B256,
    fee_recipient: Address,
    state_root: B256,
    receipts_root: B256,
    logs_bloom: alloy_primitives::FixedBytes<256>,
    prev_randao: B256,
    block_number: U256,
    gas_limit: U256,
    gas_used: U256,
    timestamp: U256,
    extra_data: String,
    base_fee_per_gas: U256,
    block_hash: B256,
    transactions: Vec<String>,
    withdrawals: Vec<EngineWithdrawal>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EngineWithdrawal {
    index: U256,
    validator_index: U256,
    address: Address,
    amount: U256,
}

impl AnyPayload<Minimal> {
    /// The payload of an execution block that exists already, from `eth_getBlockByHash`'s answer and the transactions' raw bytes.
    ///
    /// # Errors
    /// In words, when it is no Capella block.
    pub fn of_block(block: &Value, transactions: &[String]) -> Result<Self, String> {
        let mut payload = block.clone();
        let fields = payload.as_object_mut().ok_or("the block is no object")?;
        for (engine, header) in [
            ("feeRecipient", "miner"),
            ("prevRandao", "mixHash"),
            ("blockNumber", "number"),
            ("blockHash", "hash"),
        ] {
            let value = fields.get(header).cloned().unwrap_or_default();
            fields.insert(engine.to_owned(), value);
        }
        fields.insert("transactions".to_owned(), json!(transactions));
        let payload: EnginePayload = serde_json::from_value(payload).map_err(|e| format!("block: {e}"))?;
        payload.into_capella()
    }
}

impl EnginePayload {
    fn into_capella(self) -> Result<AnyPayload<Minimal>, String> {
        let bytes = |text: &str| hex::decode(text).map_err(|e| e.to_string());
        let number = |value: U256| u64::try_from(value).map_err(|e| e.to_string());
        let list = self.transactions.iter().map(|tx| bytes(tx)).collect::<Result<Vec<_>, _>>()?;
        let mut withdrawals = Vec::with_capacity(self.withdrawals.len());
        for w in self.withdrawals {
            withdrawals.push(Withdrawal {
                index: number(w.index)?,
                validator_index: number(w.validator_index)?,
                address: w.address,
                amount: number(w.amount)?,
            });
        }
        Ok(AnyPayload::Capella(ExecutionPayloadCapella {
            parent_hash: self.parent_hash,
            fee_recipient: self.fee_recipient,
            state_root: self.state_root,
            receipts_root: self.receipts_root,
            logs_bloom: self.logs_bloom,
            prev_randao: self.prev_randao,
            block_number: number(self.block_number)?,
            gas_limit: number(self.gas_limit)?,
            gas_used: number(self.gas_used)?,
            timestamp: number(self.timestamp)?,
            extra_data: VariableList::new(bytes(&self.extra_data)?).map_err(|e| format!("{e:?}"))?,
            base_fee_per_gas: self.base_fee_per_gas,
            block_hash: self.block_hash,
            transactions: transactions(&list),
            withdrawals: VariableList::new(withdrawals).map_err(|e| format!("{e:?}"))?,
        }))
    }
}
