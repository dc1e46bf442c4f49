//! A node that costs next to nothing, in a process of its own, so that it can be killed and frozen: this benchmark's own binary, started
//! with `--upstream`. All of them are of one chain, which the wall clock makes: a block a second, whose hash is that of its number.

use std::{
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

use alloy_primitives::{B256, keccak256};
use axum::{Json, Router, body::Bytes, routing::post};
use relaymux::{consensus::WallClock, serve::Listener};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// The argument that makes this binary a node.
pub(crate) const FLAG: &str = "--upstream";
/// The chain of all of them.
pub(crate) const CHAIN_ID: u64 = 31_337;

/// A node's process.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    child: Child,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Upstream {
    /// Starts one at a free address.
    pub(crate) async fn start() -> Self {
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let upstream = Self { address, child: spawn(address) };
        upstream.until_up().await;
        upstream
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again where it was.
    pub(crate) async fn restart(&mut self) {
        self.child = spawn(self.address);
        self.until_up().await;
    }

    /// Stops it where it stands; its connections stay open.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
    }

    async fn until_up(&self) {
        while tokio::net::TcpStream::connect(self.address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn spawn(address: SocketAddr) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([FLAG, &address.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().unwrap()
}

/// Serves until it is killed.
pub(crate) async fn serve(address: SocketAddr) {
    let listener = Listener::bind("upstream", address).unwrap();
    let router = Router::new().route("/", post(answer));
    listener.serve(router, CancellationToken::new(), Duration::ZERO).await;
}

async fn answer(body: Bytes) -> Json<Value> {
    Json(match serde_json::from_slice(&body).unwrap_or_default() {
        Value::Array(calls) => Value::Array(calls.iter().map(one).collect()),
        call => one(&call),
    })
}

fn one(call: &Value) -> Value {
    let now = u64::try_from(WallClock::system().now() / 1000).unwrap_or_default();
    let result = match call["method"].as_str().unwrap_or_default() {
        "eth_chainId" => json!(format!("{CHAIN_ID:#x}")),
        "eth_blockNumber" => json!(format!("{now:#x}")),
        "eth_getBlockByNumber" => {
            let number = match call["params"][0].as_str() {
                Some("finalized" | "safe") => now.saturating_sub(100),
                Some(text) if text.starts_with("0x") => {
                    u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap_or(now)
                }
                _ => now,
            };
            block(number)
        }
        "eth_getBalance" => json!("0xde0b6b3a7640000"),
        "eth_syncing" => json!(false),
        "net_peerCount" => json!("0x19"),
        "web3_clientVersion" => json!("bench/1"),
        other => {
            let message = format!("the method {other} does not exist/is not available");
            return json!({"jsonrpc": "2.0", "id": call["id"], "error": {"code": -32601, "message": message}});
        }
    };
    json!({"jsonrpc": "2.0", "id": call["id"], "result": result})
}

fn hash(number: u64) -> B256 {
    keccak256(number.to_be_bytes())
}

fn block(number: u64) -> Value {
    json!({
        "number": format!("{number:#x}"), "hash": hash(number), "parentHash": hash(number.saturating_sub(1)),
        "timestamp": format!("{number:#x}"), "logsBloom": format!("0x{}", "00".repeat(256)), "transactions": [],
        "gasLimit": "0x2255100", "gasUsed": "0x0", "baseFeePerGas": "0x7",
    })
}
