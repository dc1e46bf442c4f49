//! A node behind the gateway, scripted: it shows a head, answers what probes ask, gives every other call its own parameters back, and has the
//! faults of nodes and of what is before them.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use alloy_primitives::{B256, keccak256};
use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    consensus::WallClock,
    serve::{ListenError, Listener},
};

/// What is wrong with an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpstreamFault {
    /// Nothing.
    #[default]
    None,
    /// It takes calls and never answers.
    Hangs,
    /// What is before it answers an HTTP status and a page.
    Status(u16),
    /// It answers each call under another id.
    WrongId,
    /// Its answers end in the middle.
    CutOff,
    /// It does not have the block that is asked for.
    HeaderNotFound,
}

/// A running upstream. Refuses connections once dropped.
#[derive(Debug)]
pub struct SimUpstream {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Script {
    chain_id: u64,
    height: u64,
    timestamp: u64,
    fault: UpstreamFault,
    calls: HashMap<String, u64>,
}

impl Drop for SimUpstream {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl SimUpstream {
    /// Starts an upstream of a chain, at a height, whose head is a moment old.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(chain_id: u64, height: u64) -> Result<Self, ListenError> {
        let script =
            Script { chain_id, height, timestamp: now(), fault: UpstreamFault::None, calls: HashMap::new() };
        let script = Arc::new(Mutex::new(script));
        let router = Router::new().route("/", post(serve)).with_state(Arc::clone(&script));
        let listener = Listener::bind("simulated upstream", SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let (address, stop) = (listener.address(), CancellationToken::new());
        tokio::spawn(listener.serve(router, stop.clone(), Duration::ZERO));
        Ok(Self { address, script, stop })
    }

    /// Its address, as `[[rpc.upstreams]] url` has it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// One more block, a moment old.
    pub fn mine(&self) {
        let mut script = self.script.lock();
        script.height += 1;
        script.timestamp = now();
    }

    /// What is wrong with it from now on.
    pub fn set(&self, fault: UpstreamFault) {
        self.script.lock().fault = fault;
    }

    /// How often a method was asked for.
    pub fn calls(&self, method: &str) -> u64 {
        self.script.lock().calls.get(method).copied().unwrap_or(0)
    }
}

fn now() -> u64 {
    u64::try_from(WallClock::system().now() / 1000).unwrap_or_default()
}

async fn serve(State(script): State<Arc<Mutex<Script>>>, body: Bytes) -> Response {
    let Ok(request) = serde_json::from_slice::<Value>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let (answer, fault) = {
        let mut script = script.lock();
        let answer = match request.as_array() {
            Some(calls) => Value::Array(calls.iter().map(|call| script.answer(call)).collect()),
            None => script.answer(&request),
        };
        (answer, script.fault)
    };
    let json = [("content-type", "application/json")];
    let text = answer.to_string();
    match fault {
        UpstreamFault::Hangs => std::future::pending().await,
        UpstreamFault::Status(status) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            (status, "<html>a page</html>").into_response()
        }
        UpstreamFault::CutOff => {
            let kept = text.len() / 2;
            (json, text.chars().take(kept).collect::<String>()).into_response()
        }
        UpstreamFault::None | UpstreamFault::WrongId | UpstreamFault::HeaderNotFound => {
            (json, text).into_response()
        }
    }
}

impl Script {
    fn answer(&mut self, call: &Value) -> Value {
        let method = call.get("method").and_then(Value::as_str).unwrap_or_default();
        *self.calls.entry(method.to_owned()).or_default() += 1;
        let params = call.get("params").cloned().unwrap_or_default();
        let id = match self.fault {
            UpstreamFault::WrongId => json!("another"),
            _ => call.get("id").cloned().unwrap_or_default(),
        };
        if self.fault == UpstreamFault::HeaderNotFound && method != "eth_chainId" {
            return json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -32000, "message": "header not found" } });
        }
        let result = match method {
            "eth_chainId" => json!(format!("{:#x}", self.chain_id)),
            "eth_blockNumber" => json!(format!("{:#x}", self.height)),
            "eth_syncing" => json!(false),
            "net_peerCount" => json!("0x19"),
            "web3_clientVersion" => json!("Sim/v1"),
            "eth_getBlockByNumber" => self.block(params.get(0).and_then(Value::as_str).unwrap_or("latest")),
            "eth_sendRawTransaction" => json!(keccak256(params.to_string())),
            _ => params,
        };
        json!({ "jsonrpc": "2.0", "id": id, "result": result })
    }

    fn block(&self, which: &str) -> Value {
        let height = match which {
            "latest" | "pending" => self.height,
            "finalized" | "safe" => self.height.saturating_sub(64),
            "earliest" => 0,
            number => u64::from_str_radix(number.trim_start_matches("0x"), 16).unwrap_or(u64::MAX),
        };
        if height > self.height {
            return Value::Null;
        }
        let hash = |height: u64| if height == 0 { B256::ZERO } else { keccak256(height.to_be_bytes()) };
        let age = (self.height - height).saturating_mul(12);
        json!({
            "number": format!("{height:#x}"),
            "hash": hash(height),
            "parentHash": hash(height.saturating_sub(1)),
            "timestamp": format!("{:#x}", self.timestamp.saturating_sub(age)),
            "miner": "0x4675c7e5baafbffbca748158becba61ef3b0a263",
            "gasLimit": "0x2255100",
            "gasUsed": "0x0",
            "baseFeePerGas": "0x7",
            "logsBloom": format!("0x{}", "00".repeat(256)),
            "transactions": [],
        })
    }
}
