//! HTTP and JSON-RPC to the operator's nodes: bounded in size and time, without redirects, and with errors that name the host and nothing of
//! the URL that may be secret.

use std::time::Duration;

use alloy_primitives::{Address, Bytes, hex};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tokio::time::timeout;
use url::Url;

use crate::consensus::{Network, NetworkMismatch};

/// Most bytes of any answer: a hundred thousand keys in JSON are 10 MB.
const MAX_BYTES: usize = 32 << 20;
/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why a node did not answer as it should.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// No answer in time.
    #[error("{host}: no answer within {TIMEOUT:?}")]
    TimedOut {
        /// The node's host, without its path, which may hold a key.
        host: String,
    },
    /// No connection, or it broke.
    #[error("{host}: {message}")]
    Transport {
        /// The node's host, without its path, which may hold a key.
        host: String,
        /// The library's words, without the address.
        message: String,
    },
    /// Not 200.
    #[error("{host}: HTTP {status}")]
    Status {
        /// The node's host, without its path, which may hold a key.
        host: String,
        /// The HTTP status, other than 200.
        status: u16,
    },
    /// A JSON-RPC error.
    #[error("{host}: {message} ({code})")]
    Rpc {
        /// The node's host, without its path, which may hold a key.
        host: String,
        /// The error's number in JSON-RPC.
        code: i64,
        /// The method, and the node's words.
        message: String,
    },
    /// It is a node of another chain.
    #[error("{host}: a node of chain {}, the configured network is chain {}", named(*got), named(*expected))]
    OtherChain {
        /// The node's host, without its path, which may hold a key.
        host: String,
        /// The network's chain.
        expected: u64,
        /// The node's.
        got: u64,
    },
    /// It is a node of another network.
    #[error("{host}: {message}")]
    OtherNetwork {
        /// The node's host, without its path, which may hold a key.
        host: String,
        /// Which network, and what differs.
        message: String,
    },
    /// 401 on JSON-RPC.
    #[error(
        "{host}: HTTP 401, the node wants credentials. If this is the engine API's port (8551 by default, for the consensus client \
         alone), use the JSON-RPC port (8545 by default)"
    )]
    Unauthorized {
        /// The node's host, without its path, which may hold a key.
        host: String,
    },
    /// The answer is not what it should be.
    #[error("{host}: {message}")]
    Answer {
        /// The node's host, without its path, which may hold a key.
        host: String,
        /// What is wrong with it.
        message: String,
    },
}

impl NodeError {
    /// Whether the node does not have the method at all, or not for us. Source: JSON-RPC 2.0 -32601; EIP-1474 -32004; geth and others
    /// say it in words under -32601 or -32000.
    pub fn is_unknown_method(&self) -> bool {
        match self {
            Self::Rpc { code: -32601 | -32004, .. } => true,
            Self::Rpc { message, .. } => {
                message.contains("does not exist") || message.contains("not supported")
            }
            Self::Status { status, .. } => matches!(status, 403..=405),
            Self::TimedOut { .. }
            | Self::Transport { .. }
            | Self::OtherChain { .. }
            | Self::OtherNetwork { .. }
            | Self::Unauthorized { .. }
            | Self::Answer { .. } => false,
        }
    }

    /// Whether the node answered, and it is the question that was wrong or beyond it: asking again changes nothing.
    pub fn is_answer(&self) -> bool {
        match self {
            Self::Rpc { .. } | Self::Unauthorized { .. } | Self::Answer { .. } => true,
            Self::Status { status, .. } => *status < 500 && *status != 429,
            Self::TimedOut { .. }
            | Self::Transport { .. }
            | Self::OtherChain { .. }
            | Self::OtherNetwork { .. } => false,
        }
    }

    /// Whether the node may be well, and only this question took it too long.
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::TimedOut { .. } => true,
            Self::Transport { .. }
            | Self::Status { .. }
            | Self::Rpc { .. }
            | Self::OtherChain { .. }
            | Self::OtherNetwork { .. }
            | Self::Unauthorized { .. }
            | Self::Answer { .. } => false,
        }
    }

    pub(super) fn other_chain(url: &Url, expected: u64, got: u64) -> Self {
        Self::OtherChain { host: host(url), expected, got }
    }

    pub(super) fn other_network(url: &Url, mismatch: &NetworkMismatch) -> Self {
        Self::OtherNetwork { host: host(url), message: mismatch.to_string() }
    }

    pub(super) fn answer(url: &Url, message: impl Into<String>) -> Self {
        Self::Answer { host: host(url), message: message.into() }
    }
}

/// A chain's number, and its network's name where it has one.
fn named(chain: u64) -> String {
    let network = Network::ALL.into_iter().find(|network| network.spec().chain_id == Some(chain));
    network.map_or_else(|| chain.to_string(), |network| format!("{chain} ({})", network.name()))
}

/// Host and port: the rest of an address may hold a key.
pub(super) fn host(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}{port}", url.host_str().unwrap_or_default())
}

/// Sends a request to `url`; returns the answer's headers and whole body, if it is a 200.
pub(super) async fn send(url: &Url, request: RequestBuilder) -> Result<(Head, Vec<u8>), NodeError> {
    let transport = |error: reqwest::Error| NodeError::Transport {
        host: host(url),
        message: error.without_url().to_string(),
    };
    let whole = async {
        let mut response = request.send().await.map_err(transport)?;
        let status = response.status().as_u16();
        if status != 200 {
            return Err(NodeError::Status { host: host(url), status });
        }
        let head = Head { headers: response.headers().clone() };
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(transport)? {
            if body.len() + chunk.len() > MAX_BYTES {
                return Err(NodeError::answer(url, format!("body larger than {MAX_BYTES} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((head, body))
    };
    timeout(TIMEOUT, whole).await.unwrap_or(Err(NodeError::TimedOut { host: host(url) }))
}

/// What is left of a response once its body is read.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) headers: reqwest::header::HeaderMap,
}

/// GET of a JSON document.
pub(super) async fn get_json(http: &Client, url: &Url) -> Result<Value, NodeError> {
    let (_, body) = send(url, http.get(url.clone())).await?;
    serde_json::from_slice(&body).map_err(|error| NodeError::answer(url, format!("not JSON: {error}")))
}

/// A JSON-RPC call; what it answers with. Source: JSON-RPC 2.0.
pub(super) async fn rpc(http: &Client, url: &Url, method: &str, params: Value) -> Result<Value, NodeError> {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let (_, body) = send(url, http.post(url.clone()).json(&request)).await.map_err(|error| match error {
        NodeError::Status { host, status: 401 } => NodeError::Unauthorized { host },
        other => other,
    })?;
    let mut answer: Value = serde_json::from_slice(&body)
        .map_err(|error| NodeError::answer(url, format!("not JSON: {error}")))?;
    if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
        let code = error.get("code").and_then(Value::as_i64).unwrap_or_default();
        let message = error.get("message").and_then(Value::as_str).unwrap_or("an error without a message");
        let message = format!("{method}: {}", message.chars().take(200).collect::<String>());
        return Err(NodeError::Rpc { host: host(url), code, message });
    }
    Ok(answer.get_mut("result").map(Value::take).unwrap_or_default())
}

/// `eth_call` at the latest block. Source: execution-apis.
pub(super) async fn eth_call(http: &Client, url: &Url, to: Address, data: &[u8]) -> Result<Bytes, NodeError> {
    let call = json!({ "to": to, "data": hex::encode_prefixed(data) });
    let result = rpc(http, url, "eth_call", json!([call, "latest"])).await?;
    let bytes = hex::decode(result.as_str().unwrap_or_default());
    bytes.map(Bytes::from).map_err(|_| NodeError::answer(url, "the result is not hex"))
}
