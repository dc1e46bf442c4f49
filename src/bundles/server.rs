//! The searchers' listener: JSON-RPC over HTTP, every request signed.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Body,
    extract::{Request as HttpRequest, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use super::{
    identity::{BUILDERNET_HEADER, HEADER, verify},
    intake::BundleIntake,
    wire::{Request, RpcError},
};
use crate::serve::{read_body, unknown_route, wrong_method};

/// Largest body: FlowProxy's 10 MiB; six blobs in hex are 1.6 MB.
const MAX_BODY: usize = 10 << 20;
/// Longest wait for a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// Most requests in one batch.
const MAX_BATCH: usize = 100;

type Shared = State<Arc<BundleIntake>>;

/// The routes.
pub(super) fn router(intake: Arc<BundleIntake>) -> Router {
    Router::new()
        .route("/", post(rpc).get(hello))
        .route("/healthz", get(hello))
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .with_state(intake)
}

async fn hello(State(intake): Shared) -> Response {
    let head = *intake.head.borrow();
    let builders: Vec<&str> = intake.settings.builders.iter().map(|endpoint| endpoint.id.as_str()).collect();
    Json(json!({ "ok": head.number > 0, "head": head.number, "builders": builders })).into_response()
}

fn envelope(id: &Value, result: Result<Value, RpcError>) -> Value {
    match result {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(RpcError { code, message }) => {
            json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
        }
    }
}

async fn rpc(State(intake): Shared, request: HttpRequest<Body>) -> Response {
    let received = Instant::now();
    let (parts, body) = request.into_parts();
    let announced =
        parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let body = match read_body(body, announced, MAX_BODY, BODY_TIMEOUT).await {
        Ok(body) => body,
        Err(error) => return error.into_response(),
    };
    let failed = |status: StatusCode, code: i64, message: String| {
        (status, Json(envelope(&Value::Null, Err(RpcError { code, message })))).into_response()
    };
    let searcher = match verify(signature(&parts.headers), &body) {
        Ok(searcher) => searcher,
        Err(error) => return failed(StatusCode::BAD_REQUEST, -32600, error.to_string()),
    };
    if let Err(error) = intake.admit(searcher) {
        let status = if error.code == -32005 { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::FORBIDDEN };
        return failed(status, error.code, error.message);
    }
    let requests = match requests_in(&body) {
        Ok(requests) => requests,
        Err(message) => return failed(StatusCode::BAD_REQUEST, -32700, message),
    };
    let is_batch = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    // All of a batch at once: none waits for another's builders.
    let answer = async |request: Result<Request, String>| match request {
        Ok(request) => envelope(&request.id, intake.serve(searcher, &request, received).await),
        Err(message) => envelope(&Value::Null, Err(RpcError { code: -32600, message })),
    };
    let mut answers = futures_util::future::join_all(requests.into_iter().map(answer)).await;
    if is_batch { Json(Value::from(answers)).into_response() } else { Json(answers.pop()).into_response() }
}

fn signature(headers: &HeaderMap) -> Option<&str> {
    let header = headers.get(BUILDERNET_HEADER).or_else(|| headers.get(HEADER))?;
    header.to_str().ok()
}

/// The requests in a body: one, or a batch.
fn requests_in(body: &Bytes) -> Result<Vec<Result<Request, String>>, String> {
    let value: Value = serde_json::from_slice(body).map_err(|error| format!("not JSON: {error}"))?;
    let read =
        |value: Value| serde_json::from_value(value).map_err(|error| format!("no JSON-RPC request: {error}"));
    match value {
        Value::Array(list) if list.is_empty() => Err("an empty batch".to_owned()),
        Value::Array(list) if list.len() > MAX_BATCH => {
            Err(format!("{} requests in a batch, at most {MAX_BATCH}", list.len()))
        }
        Value::Array(list) => Ok(list.into_iter().map(read).collect()),
        other => Ok(vec![read(other)]),
    }
}
