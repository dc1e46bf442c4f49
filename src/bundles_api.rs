//! The HTTP server for searchers: JSON-RPC over HTTP, every request signed.
//!
//! In: whatever a searcher sends. Out: JSON-RPC answers by the common habits of block builders' endpoints. It bounds bodies in bytes and time,
//! checks the signature, takes batches apart and puts their answers together; what becomes of a bundle, `bundles` decides. It runs
//! where that room runs, on a thread that the path to the consensus client never waits for.

use std::sync::Arc;

use alloy_primitives::Address;
use axum::{
    Json, Router,
    body::Body,
    extract::{Request as HttpRequest, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::json;
use tokio::{
    sync::Semaphore,
    time::{Duration, Instant, timeout},
};

use crate::{
    bundles::{BUILDERNET_HEADER, BundleIntake, HEADER, verify},
    jsonrpc::{self, Call, ErrorCode, FramingLimits, Incoming, Response as Answer, RpcError},
    serve::{ApiError, read_body, unknown_route, wrong_method},
};

/// Largest body: FlowProxy's 10 MiB; six blobs in hex are 1.6 MB.
const MAX_BODY: usize = 10 << 20;
/// KiB of bodies that are read or answered at once, whoever sends them: a request that finds no room waits for it.
const BODIES_KIB: usize = 64 << 10;
/// Longest wait for a body, and for room for it.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// Most calls in one batch; and how deep a body nests: five bundles in each other, of three levels each, and what is around and in them.
const FRAMING: FramingLimits = FramingLimits { batch: 100, depth: 32 };

type Shared = State<Searchers>;

/// What the listener's handlers share.
#[derive(Clone)]
struct Searchers {
    intake: Arc<BundleIntake>,
    /// KiB of bodies that may still be held.
    bodies: Arc<Semaphore>,
}

/// The routes.
pub fn router(intake: Arc<BundleIntake>) -> Router {
    Router::new()
        .route("/", post(rpc).get(hello))
        .route("/healthz", get(hello))
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .with_state(Searchers { intake, bodies: Arc::new(Semaphore::new(BODIES_KIB)) })
}

async fn hello(State(Searchers { intake, .. }): Shared) -> Response {
    let (head, builders) = (intake.head_number(), intake.builders());
    Json(json!({ "ok": head > 0, "head": head, "builders": builders })).into_response()
}

async fn rpc(State(Searchers { intake, bodies }): Shared, request: HttpRequest<Body>) -> Response {
    let received = Instant::now();
    let (parts, body) = request.into_parts();
    let announced =
        parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    // Room for what is announced, or for the most that may come; what turns out to be less is given back.
    let wanted = kib(announced.map_or(MAX_BODY, |bytes: u64| usize::try_from(bytes).unwrap_or(MAX_BODY)));
    let Ok(Ok(mut room)) = timeout(BODY_TIMEOUT, bodies.acquire_many_owned(wanted)).await else {
        let message = format!("bodies of other requests hold {} MiB: try again", BODIES_KIB >> 10);
        return ApiError::new(StatusCode::SERVICE_UNAVAILABLE, message).into_response();
    };
    let body = match read_body(body, announced, MAX_BODY, BODY_TIMEOUT).await {
        Ok(body) => body,
        Err(error) => return error.into_response(),
    };
    let spare = wanted.saturating_sub(kib(body.len()));
    drop(room.split(usize::try_from(spare).unwrap_or_default()));
    let failed = |status: StatusCode, error: RpcError| {
        (status, Json(Answer { id: None, outcome: Err(error) })).into_response()
    };
    let searcher = match verify(signature(&parts.headers), &body) {
        Ok(searcher) => searcher,
        Err(error) => {
            let error = RpcError::new(ErrorCode::InvalidRequest, error.to_string());
            return failed(StatusCode::BAD_REQUEST, error);
        }
    };
    if let Err(error) = intake.admit(searcher) {
        return failed(StatusCode::FORBIDDEN, error);
    }
    let incoming = match jsonrpc::read_body(&body, FRAMING) {
        Ok(incoming) => incoming,
        Err(error) => return failed(StatusCode::BAD_REQUEST, error),
    };
    match incoming {
        Incoming::One(call) => {
            let answer = answer(&intake, searcher, call, received).await;
            let status = match &answer.outcome {
                Err(error) if error.code == ErrorCode::LimitExceeded => StatusCode::TOO_MANY_REQUESTS,
                Ok(_) | Err(_) => StatusCode::OK,
            };
            (status, Json(answer)).into_response()
        }
        // All of a batch at once: none waits for another's builders.
        Incoming::Batch(calls) => {
            let answers = calls.into_iter().map(|call| answer(&intake, searcher, call, received));
            Json(futures_util::future::join_all(answers).await).into_response()
        }
    }
}

/// KiB that bytes fill, at least one and at most what one body may have.
fn kib(bytes: usize) -> u32 {
    u32::try_from(bytes.min(MAX_BODY).div_ceil(1 << 10).max(1)).unwrap_or(u32::MAX)
}

async fn answer<'a>(
    intake: &Arc<BundleIntake>,
    searcher: Address,
    call: Call<'a>,
    received: Instant,
) -> Answer<'a> {
    match call {
        Ok(request) => {
            let outcome = intake.serve(searcher, &request, received).await;
            Answer { id: request.id, outcome }
        }
        Err(error) => Answer { id: None, outcome: Err(error) },
    }
}

fn signature(headers: &HeaderMap) -> Option<&str> {
    let header = headers.get(BUILDERNET_HEADER).or_else(|| headers.get(HEADER))?;
    header.to_str().ok()
}
