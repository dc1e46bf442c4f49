//! The routes of this server.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Body,
    extract::{ConnectInfo, Request as HttpRequest, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::json;
use tokio::time::Instant;

use super::{
    access::{Access, Caller},
    bundles::{BundleDoor, Meant},
    calls::{Calls, Said, Way},
    cors::Cors,
    limits::BODY_TIMEOUT,
    metrics::{Refused, note_refused},
    sessions::Sessions,
    websocket::{Websockets, is_upgrade},
};
use crate::{
    gateway::{Board, Hops, Session},
    jsonrpc::{ErrorCode, FramingLimits, RpcError, read_strictly},
    serve::{ApiError, ByteBudget, ConnectionSlot, unknown_route, wrong_method},
};

/// What handlers share.
pub(super) struct Shared {
    pub(super) calls: Calls,
    pub(super) access: Arc<Access>,
    pub(super) cors: Cors,
    pub(super) framing: FramingLimits,
    pub(super) max_body: usize,
    pub(super) bodies: ByteBudget,
    pub(super) board: Board,
    pub(super) bundles: Option<BundleDoor>,
    pub(super) hop: Option<HeaderValue>,
    pub(super) websockets: Option<Websockets>,
}

/// The routes.
pub(super) fn router(shared: Shared) -> Router {
    let cors = shared.cors.clone();
    let router = Router::new()
        .route("/", post(rpc).get(hello).options(preflight))
        .route("/healthz", get(healthz))
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method);
    // Where no page may call, nothing is marked, and no call pays for it.
    let router =
        if cors.marks() { router.layer(middleware::from_fn_with_state(cors, mark_cors)) } else { router };
    router.with_state(Arc::new(shared))
}

async fn mark_cors(State(cors): State<Cors>, request: HttpRequest, next: Next) -> Response {
    let asked = request.headers().clone();
    let mut answer = next.run(request).await;
    cors.mark(&asked, &mut answer);
    answer
}

async fn preflight(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    shared.cors.preflight(&headers)
}

/// A line for people; a websocket for programs.
async fn hello(State(shared): State<Arc<Shared>>, request: HttpRequest<Body>) -> Response {
    if !is_upgrade(request.headers()) {
        return "relaymux: a JSON-RPC gateway; POST JSON-RPC 2.0 calls here\n".into_response();
    }
    let Some(hops) = came_through(&shared, request.headers()) else { return loop_detected() };
    let Some(caller) = identify(&shared, &request) else { return unauthorized() };
    match &shared.websockets {
        // A websocket is a connection of its own: what it was told is its session's alone.
        Some(websockets) => websockets.upgrade(request, Session::new(caller.client).through(hops)),
        None => ApiError::new(StatusCode::NOT_IMPLEMENTED, "websockets are not served here").into_response(),
    }
}

/// Whether any upstream serves, and, for those who may call, why the others do not.
async fn healthz(State(shared): State<Arc<Shared>>, request: HttpRequest<Body>) -> Response {
    let snapshot = shared.board.snapshot();
    let serving: Vec<&str> =
        snapshot.order.iter().filter_map(|place| Some(snapshot.upstreams.get(*place)?.id.as_str())).collect();
    let others: Vec<_> = snapshot
        .upstreams
        .iter()
        .filter(|standing| !serving.contains(&standing.id.as_str()))
        .map(|standing| json!({ "id": standing.id, "state": standing.state, "reason": standing.reason }))
        .collect();
    let status = if serving.is_empty() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let head = snapshot.tip.map(|tip| tip.number);
    // Names of nodes and providers, and what ails them, are for those who may call.
    let answer = if identify(&shared, &request).is_some() {
        json!({ "ok": !serving.is_empty(), "head": head, "serving": serving, "not_serving": others })
    } else {
        json!({ "ok": !serving.is_empty(), "head": head })
    };
    (status, Json(answer)).into_response()
}

async fn rpc(State(shared): State<Arc<Shared>>, request: HttpRequest<Body>) -> Response {
    let began = Instant::now();
    let Some(hops) = came_through(&shared, request.headers()) else { return loop_detected() };
    let Some(caller) = identify(&shared, &request) else { return unauthorized() };
    let (parts, body) = request.into_parts();
    // What cannot be read costs one call, as it costs us as much.
    let unread = |response: Response| match shared.calls.charge(&caller, 1) {
        Ok(()) => response,
        Err(wait) => Said::limited(wait).into_response(began.elapsed()),
    };
    if !is_json(&parts.headers) {
        let message = "the body's Content-Type is not application/json";
        let (reason, status) = (Refused::Body, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        return unread(refused(reason, status, ErrorCode::InvalidRequest, message));
    }
    let announced =
        parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let body = match shared.bodies.read_body(body, announced, shared.max_body, BODY_TIMEOUT).await {
        Ok(body) => body,
        Err(error) => return unread(body_error(&error, shared.max_body)),
    };
    let incoming = match read_strictly(&body, shared.framing) {
        Ok(incoming) => incoming,
        Err(error) => {
            note_refused(Refused::Framing);
            return unread(Said::error(&error).into_response(began.elapsed()));
        }
    };
    if let Some(door) = &shared.bundles {
        match door.meant(&incoming) {
            Meant::Calls => {}
            Meant::Bundles(calls) => {
                return match shared.calls.charge(&caller, calls) {
                    Ok(()) => door.hand_over(parts, body.clone()).await,
                    Err(wait) => Said::limited(wait).into_response(began.elapsed()),
                };
            }
            Meant::Both(error) => return unread(Said::error(&error).into_response(began.elapsed())),
        }
    }
    let session = match parts.extensions.get::<ConnectionSlot>() {
        Some(slot) => slot.get_or_init(Sessions::default).of(&caller.client),
        None => Session::new(caller.client.clone()),
    };
    let session = session.through(hops);
    shared.calls.serve(incoming, &body, &caller, &session, Way::Http).await.into_response(began.elapsed())
}

/// The gateways that a call has come through; `None` where this is one of them, or they are too many.
fn came_through(shared: &Shared, headers: &HeaderMap) -> Option<Hops> {
    Hops::read(headers).filter(|hops| !shared.hop.as_ref().is_some_and(|own| hops.has(own)))
}

fn loop_detected() -> Response {
    let message = "this call has come back to a gateway that passed it on: one of [[rpc.upstreams]] leads back to it, by another name, a proxy or another gateway; give the address of a node";
    refused(Refused::Loop, StatusCode::LOOP_DETECTED, ErrorCode::Server, message)
}

fn identify(shared: &Shared, request: &HttpRequest<Body>) -> Option<Caller> {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
    shared.access.identify(request.headers(), peer)
}

/// Types that geth takes, too; and none, which programs without a library send.
fn is_json(headers: &HeaderMap) -> bool {
    const TYPES: [&[u8]; 3] = [b"application/json", b"application/json-rpc", b"application/jsonrequest"];
    headers.get(header::CONTENT_TYPE).is_none_or(|value| {
        let name = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        TYPES.iter().any(|json| json.eq_ignore_ascii_case(name))
    })
}

fn unauthorized() -> Response {
    let message = "needs a token: send `Authorization: Bearer <token>`; the tokens are in [rpc] tokens_file";
    let mut response = refused(Refused::Token, StatusCode::UNAUTHORIZED, ErrorCode::InvalidRequest, message);
    let way = HeaderValue::from_static("Bearer realm=\"relaymux\"");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, way);
    response
}

fn body_error(error: &ApiError, limit: usize) -> Response {
    let message = match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            format!("the body is larger than {limit} bytes: see [rpc] max_body_bytes")
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            "too many bytes of bodies are being read at once: try again".to_owned()
        }
        _ => "the body did not come, or ended early".to_owned(),
    };
    let code = match error.status() {
        StatusCode::SERVICE_UNAVAILABLE => ErrorCode::LimitExceeded,
        _ => ErrorCode::InvalidRequest,
    };
    let mut response = refused(Refused::Body, error.status(), code, message);
    if error.status() == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

fn refused(reason: Refused, status: StatusCode, code: ErrorCode, message: impl Into<String>) -> Response {
    note_refused(reason);
    let mut response = Said::error(&RpcError::new(code, message)).into_response(Duration::ZERO);
    *response.status_mut() = status;
    response
}
