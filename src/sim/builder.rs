//! A block builder that takes bundles, one dialect each: strict about what its dialect wants, so that a wrong translation fails.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use alloy_primitives::Address;
use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    bundles::{Auth, Dialect, Signed, verify, verify_body},
    serve::{ListenError, Listener},
};

/// What `Authorization` must be where a dialect wants one.
const BEARER: &str = "sim-secret";

/// What a builder does with what it gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BuilderHabit {
    /// Takes it.
    #[default]
    Takes,
    /// Takes it, and answers as some builders do: a bare hash.
    BareHash,
    /// Takes it, and answers `null`.
    Null,
    /// Refuses it in JSON-RPC.
    Refuses,
    /// An HTTP status.
    Status(u16),
    /// An HTTP status for the first requests.
    StatusFirst(u16, u32),
    /// Never answers.
    Hangs,
    /// Answers late.
    Slow(Duration),
}

/// A request as a builder got it.
#[derive(Clone, Debug)]
pub struct ReceivedBundle {
    /// The JSON-RPC method that was called.
    pub method: String,
    /// Its parameter: the object itself.
    pub fields: Value,
    /// Address that signed the request; none where the signature does not hold.
    pub signer: Option<Address>,
    /// When it happened, in Unix milliseconds.
    pub at: Instant,
}

struct Shared {
    dialect: &'static Dialect,
    habit: Mutex<BuilderHabit>,
    received: Mutex<Vec<ReceivedBundle>>,
    refused: Mutex<Vec<String>>,
    count: std::sync::atomic::AtomicU64,
    keeps: bool,
}

/// A running builder. Stops when dropped.
pub struct SimBuilder {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: CancellationToken,
}

impl std::fmt::Debug for SimBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SimBuilder({} at {})", self.shared.dialect.name, self.address)
    }
}

impl Drop for SimBuilder {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl SimBuilder {
    /// Starts one on a free port of loopback. `keeps`: whether it reads and remembers requests, or only counts them.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(dialect: &'static Dialect, keeps: bool) -> Result<Self, ListenError> {
        let shared = Arc::new(Shared {
            dialect,
            habit: Mutex::default(),
            received: Mutex::default(),
            refused: Mutex::default(),
            count: Default::default(),
            keeps,
        });
        let router = Router::new().route("/", post(take)).with_state(Arc::clone(&shared));
        let listener = Listener::bind("simulated builder", SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let (address, stop) = (listener.address(), CancellationToken::new());
        tokio::spawn(listener.serve(router, stop.clone(), Duration::ZERO));
        Ok(Self { address, shared, stop })
    }

    /// Where bundles go.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it does from now on.
    pub fn habit(&self, habit: BuilderHabit) {
        *self.shared.habit.lock() = habit;
    }

    /// Everything it took, and what it was asked to take back.
    pub fn received(&self) -> Vec<ReceivedBundle> {
        self.shared.received.lock().clone()
    }

    /// How many bundles it took since it started.
    pub fn count(&self) -> u64 {
        self.shared.count.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// What it refused because its dialect does not have it, in words.
    pub fn refused(&self) -> Vec<String> {
        self.shared.refused.lock().clone()
    }
}

fn error(code: i64, message: &str) -> Response {
    Json(json!({"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": message}})).into_response()
}

async fn take(State(builder): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let at = Instant::now();
    let habit = *builder.habit.lock();
    match habit {
        BuilderHabit::Hangs => std::future::pending::<()>().await,
        BuilderHabit::Slow(delay) => sleep(delay).await,
        BuilderHabit::Refuses => return error(-32602, "not today"),
        BuilderHabit::Status(status) => {
            return (StatusCode::from_u16(status).unwrap_or(StatusCode::OK), "not today").into_response();
        }
        BuilderHabit::StatusFirst(status, times) if times > 0 => {
            *builder.habit.lock() = BuilderHabit::StatusFirst(status, times - 1);
            return (StatusCode::from_u16(status).unwrap_or(StatusCode::OK), "not yet").into_response();
        }
        BuilderHabit::Takes | BuilderHabit::BareHash | BuilderHabit::Null | BuilderHabit::StatusFirst(..) => {
        }
    }
    if !builder.keeps {
        // For benches: a builder on another machine costs this one nothing but its socket.
        builder.count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let hash = format!("0x{}", "ab".repeat(32));
        return Json(json!({"jsonrpc": "2.0", "id": 1, "result": { "bundleHash": hash }})).into_response();
    }
    match read(&builder, &headers, &body, at) {
        Ok(received) => {
            builder.count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            builder.received.lock().push(received);
        }
        Err(message) => {
            builder.refused.lock().push(message.clone());
            return error(-32602, &message);
        }
    }
    let hash = format!("0x{}", "ab".repeat(32));
    let result = match habit {
        BuilderHabit::BareHash => json!(hash),
        BuilderHabit::Null => Value::Null,
        _ => json!({ "bundleHash": hash }),
    };
    Json(json!({"jsonrpc": "2.0", "id": 1, "result": result})).into_response()
}

/// Reads a request as strictly as the dialect is written down.
fn read(builder: &Shared, headers: &HeaderMap, body: &[u8], at: Instant) -> Result<ReceivedBundle, String> {
    let dialect = builder.dialect;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let signature = header("x-flashbots-signature");
    let signer = match dialect.auth {
        Auth::None if signature.is_some() => return Err("a signature that nobody wants".to_owned()),
        Auth::None => None,
        Auth::Signature(Signed::HashText) => Some(verify(signature, body).map_err(|e| e.to_string())?),
        Auth::Signature(Signed::Body) => Some(verify_body(signature, body).map_err(|e| e.to_string())?),
        Auth::Bearer if header("authorization") == Some(BEARER) => None,
        Auth::Bearer => return Err("no Authorization".to_owned()),
    };
    let request: Value = serde_json::from_slice(body).map_err(|e| e.to_string())?;
    let method = request.get("method").and_then(Value::as_str).unwrap_or_default().to_owned();
    let params = request.get("params").cloned().unwrap_or_default();
    let fields = match (&params, dialect.snake_case) {
        (Value::Array(list), false) if list.len() == 1 => list.first().cloned().unwrap_or_default(),
        (Value::Object(_), true) => params,
        _ => return Err(format!("params of another shape: {params}")),
    };
    let mut known = vec!["txs", "blockNumber", "revertingTxHashes"];
    if dialect.timestamps {
        known.extend(["minTimestamp", "maxTimestamp"]);
    }
    if dialect.dropping {
        known.push("droppingTxHashes");
    }
    if dialect.refunds != crate::bundles::Refunds::None {
        known.extend(["refundPercent", "refundRecipient", "refundTxHashes"]);
    }
    known.extend(dialect.uuid);
    known.extend(dialect.sequence);
    if dialect.snake_case {
        known.extend([
            "transaction",
            "block_number",
            "min_timestamp",
            "max_timestamp",
            "reverting_hashes",
            "mev_builders",
        ]);
    }
    let is_known =
        |name: &String| dialect.mev_share && method == "mev_sendBundle" || known.contains(&name.as_str());
    if let Some(unknown) = fields.as_object().and_then(|fields| fields.keys().find(|name| !is_known(name))) {
        return Err(format!("{} does not know {unknown}", dialect.name));
    }
    let takes = method == dialect.method
        || method == "eth_cancelBundle" && dialect.cancel == crate::bundles::Cancel::Method
        || method == "mev_sendBundle" && dialect.mev_share;
    if takes { Ok(ReceivedBundle { method, fields, signer, at }) } else { Err(format!("no method {method}")) }
}
