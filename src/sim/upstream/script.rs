//! What a simulated upstream answers, and what is wrong with it.

use std::collections::HashMap;

use alloy_primitives::keccak256;
use serde_json::{Value, json};

use super::blocks::SimBlocks;

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
    /// It tells hashes of pending transactions, and refuses to tell the whole of them.
    HashesOnly,
}

/// What an upstream says and does.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) chain_id: u64,
    pub(super) blocks: SimBlocks,
    pub(super) fault: UpstreamFault,
    /// It tells no heads, though its websocket is open.
    pub(super) is_silent: bool,
    /// Bytes of each answer to `eth_call`; 0: its parameters.
    pub(super) large: usize,
    pub(super) calls: HashMap<String, u64>,
}

impl Script {
    /// The answer to a call or a batch.
    pub(super) fn answer_all(&mut self, request: &Value) -> Value {
        match request.as_array() {
            Some(calls) => Value::Array(calls.iter().map(|call| self.answer(call)).collect()),
            None => self.answer(request),
        }
    }

    /// A method was asked for.
    pub(super) fn count(&mut self, method: &str) {
        *self.calls.entry(method.to_owned()).or_default() += 1;
    }

    /// The answer to a call.
    pub(super) fn answer(&mut self, call: &Value) -> Value {
        let method = call.get("method").and_then(Value::as_str).unwrap_or_default();
        self.count(method);
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
            "eth_blockNumber" => json!(format!("{:#x}", self.blocks.height())),
            "eth_syncing" => json!(false),
            "net_peerCount" => json!("0x19"),
            "web3_clientVersion" => json!("Sim/v1"),
            "eth_getBlockByNumber" => {
                self.blocks.by_number(params.get(0).and_then(Value::as_str).unwrap_or("latest"))
            }
            "eth_getBlockByHash" => {
                self.blocks.by_hash(params.get(0).and_then(Value::as_str).unwrap_or_default())
            }
            "eth_getTransactionByHash" => json!({ "hash": params.get(0), "nonce": "0x1" }),
            "eth_getLogs" if params.pointer("/0/blockHash").is_some() => {
                let hash = params.pointer("/0/blockHash").and_then(Value::as_str).unwrap_or_default();
                match self.blocks.logs(hash) {
                    Some(logs) => logs,
                    None => {
                        let error = json!({ "code": -32000, "message": "unknown block" });
                        return json!({ "jsonrpc": "2.0", "id": id, "error": error });
                    }
                }
            }
            "eth_call" if self.large > 0 => json!("x".repeat(self.large)),
            "eth_sendRawTransaction" => json!(keccak256(params.to_string())),
            _ => params,
        };
        json!({ "jsonrpc": "2.0", "id": id, "result": result })
    }
}
