//! The endpoints: read the request, ask the auction, write the answer in the encoding and the error shape of the specification.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State, rejection::PathRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tokio::time::Instant;
use tracing::warn;

use super::{
    BuilderApiSettings, RequireSynced,
    counting::{Counting, note_arrivals},
    negotiate,
};
use crate::{
    auction::{Auction, HeaderRequest, RegisterError, RegisterRequest, Revealed, SubmitError, SubmitRequest},
    consensus::{Encoding, WallClock},
    events::AnswerMeter,
    ledger::Ledger,
    relay::{RawLabels, RawPayload, SharedRelays, SubmitVersion},
    serve::{ApiError, ByteBudget, unknown_route, wrong_method},
    types::{BlsPublicKey, Fork, Slot, parse_hash},
};

const CONSENSUS_VERSION: &str = "eth-consensus-version";

/// Longest wait for the body of a request. Clients send from the same machine or network.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// And for a signed block's: its publication has four seconds in all, and who sends for longer keeps others' room.
const BLOCK_TIMEOUT: Duration = Duration::from_secs(4);
/// Registration bodies of the largest size that are held at once: 256 MiB, unless configured. They stay until every relay has them.
const REGISTRATION_BODIES: usize = 4;
/// The same for blocks: 128 MiB. A budget of its own, so that no number of registrations costs a block its room.
const BLOCK_BODIES: usize = 16;

#[derive(Debug)]
struct Shared {
    auction: Arc<Auction>,
    relays: Arc<SharedRelays>,
    ledger: Ledger,
    settings: BuilderApiSettings,
    clock: WallClock,
    registrations: ByteBudget,
    blocks: ByteBudget,
}

type Api = State<Arc<Shared>>;

/// What this API answers from.
#[derive(Debug)]
pub struct BuilderApiParts {
    /// `[builder_api]`
    pub settings: BuilderApiSettings,
    /// Decides what is answered to headers, registrations and signed blocks.
    pub auction: Arc<Auction>,
    /// Which relays are usable, for `status`.
    pub relays: Arc<SharedRelays>,
    /// Where the totals of bundles are read.
    pub ledger: Ledger,
    /// The wall clock.
    pub clock: WallClock,
    /// Where answers to consensus clients are counted by how they went.
    pub answers: AnswerMeter,
}

/// The routes.
pub(super) fn router(parts: BuilderApiParts) -> Router {
    let BuilderApiParts { settings, auction, relays, ledger, clock, answers } = parts;
    let counting = Counting { auction: Arc::clone(&auction), clock: clock.clone(), answers };
    let shared = Shared {
        registrations: ByteBudget::new(settings.max_registrations_bytes.saturating_mul(REGISTRATION_BODIES)),
        blocks: ByteBudget::new(settings.max_block_bytes.saturating_mul(BLOCK_BODIES)),
        auction,
        relays,
        ledger,
        clock,
        settings,
    };
    let router = Router::new()
        .route("/", get(root))
        .route("/eth/v1/builder/status", get(status))
        .route("/eth/v1/builder/validators", post(register_validators))
        .route("/eth/v1/builder/header/{slot}/{parent_hash}/{pubkey}", get(get_header))
        .route("/eth/v1/builder/blinded_blocks", post(submit_v1))
        .route("/eth/v2/builder/blinded_blocks", post(submit_v2))
        .route("/eth/v1/builder/bundles", get(bundles))
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .with_state(Arc::new(shared));
    note_arrivals(router, counting)
}

async fn root() -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], "{}").into_response()
}

/// From cached state: never asks a relay, nor a node.
async fn status(State(api): Api) -> Result<Response, ApiError> {
    if api.settings.status_fails_without_relays && !api.relays.has_usable() {
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "all relays are unavailable"));
    }
    if api.settings.require_synced == RequireSynced::Status
        && let Some(held) = api.auction.held(api.clock.now())
    {
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, held.reason.clone()));
    }
    Ok(StatusCode::OK.into_response())
}

async fn get_header(
    State(api): Api,
    path: Result<Path<(String, String, String)>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let received = Instant::now();
    let Path((slot, parent_hash, pubkey)) = path.map_err(|e| ApiError::bad_request(e.body_text()))?;
    let is_number = !slot.is_empty() && slot.bytes().all(|b| b.is_ascii_digit());
    let slot: Option<u64> = is_number.then(|| slot.parse().ok()).flatten();
    let slot = slot.ok_or_else(|| ApiError::bad_request("slot: expected a decimal number below 2^64"))?;
    let parent_hash =
        parse_hash(&parent_hash).map_err(|e| ApiError::bad_request(format!("parent_hash: {e}")))?;
    let proposer: BlsPublicKey = pubkey.parse().map_err(|e| ApiError::bad_request(format!("pubkey: {e}")))?;
    let encoding = accepted(&headers)?;
    let request = HeaderRequest {
        slot: Slot::new(slot),
        parent_hash,
        proposer,
        client_timeout: number_header(&headers, "x-timeout-ms")
            .filter(|ms| *ms > 0)
            .map(Duration::from_millis),
        sent_at: number_header(&headers, "date-milliseconds").and_then(|ms| i64::try_from(ms).ok()),
        user_agent: user_agent(&headers),
        received,
    };
    // A 204 has no body: clients read any as an error.
    let Some(bid) = api.auction.get_header(request).await else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    Ok(versioned(bid.bid().fork(), encoding, bid.bid().encode(encoding)))
}

async fn register_validators(State(api): Api, request: Request) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let encoding = content_encoding(&parts.headers)?;
    let version = consensus_version(&parts.headers)?;
    let announced = number_header(&parts.headers, header::CONTENT_LENGTH.as_str());
    let limit = api.settings.max_registrations_bytes;
    let body = api.registrations.read_body(body, announced, limit, BODY_TIMEOUT).await?;
    let request = RegisterRequest { body, encoding, version, user_agent: user_agent(&parts.headers) };
    match api.auction.register_validators(request).await {
        Ok(()) => Ok(StatusCode::OK.into_response()),
        Err(RegisterError::Malformed(error)) => Err(ApiError::bad_request(error.to_string())),
        Err(error @ RegisterError::NoRelay(_)) => {
            Err(ApiError::new(StatusCode::BAD_GATEWAY, error.to_string()))
        }
    }
}

async fn submit_v1(State(api): Api, request: Request) -> Result<Response, ApiError> {
    let answer_as = accepted(request.headers())?;
    let payload = match submit(&api, request, SubmitVersion::V1).await? {
        Revealed::Payload(payload) => payload,
        Revealed::Unchecked(raw) => return Ok(as_it_came(&raw)),
        Revealed::Accepted => {
            let message = "a relay took the block but revealed no payload";
            return Err(ApiError::new(StatusCode::BAD_GATEWAY, message));
        }
    };
    let fork = payload.fork();
    // Megabytes of hex: milliseconds that no runtime worker should spend.
    let body = tokio::task::spawn_blocking(move || payload.encode(answer_as)).await;
    let body = body.map_err(|e| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))?;
    Ok(versioned(fork, answer_as, body))
}

async fn submit_v2(State(api): Api, request: Request) -> Result<Response, ApiError> {
    submit(&api, request, SubmitVersion::V2).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

/// A payload that we cannot read, in the encoding and with the labels that its relay chose.
fn as_it_came(raw: &RawPayload) -> Response {
    let mut response = Body::from(raw.body.clone()).into_response();
    let labels = [
        (header::CONTENT_TYPE, &raw.content_type),
        (header::HeaderName::from_static(CONSENSUS_VERSION), &raw.consensus_version),
    ];
    for (name, value) in labels {
        if let Some(value) = value {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

async fn submit(api: &Shared, request: Request, version: SubmitVersion) -> Result<Revealed, ApiError> {
    let received = Instant::now();
    let (parts, body) = request.into_parts();
    let encoding = content_encoding(&parts.headers)?;
    let fork = consensus_version(&parts.headers)?;
    if encoding == Encoding::Ssz && fork.is_none() {
        return Err(ApiError::bad_request("an SSZ block needs the header Eth-Consensus-Version"));
    }
    let announced = number_header(&parts.headers, header::CONTENT_LENGTH.as_str());
    let body = api.blocks.read_body(body, announced, api.settings.max_block_bytes, BLOCK_TIMEOUT).await?;
    let labels = RawLabels {
        content_type: parts
            .headers
            .get(header::CONTENT_TYPE)
            .cloned()
            .unwrap_or(HeaderValue::from_static(encoding.mime())),
        consensus_version: parts.headers.get(CONSENSUS_VERSION).cloned(),
    };
    let user_agent = user_agent(&parts.headers);
    let request = SubmitRequest { body, encoding, fork, labels, version, user_agent, received };
    match api.auction.submit_blinded_block(request).await {
        Ok(revealed) => Ok(revealed),
        Err(error @ (SubmitError::Malformed(_) | SubmitError::NoSlot)) => {
            Err(ApiError::bad_request(error.to_string()))
        }
        Err(error @ SubmitError::NoRelay(_)) => {
            Err(ApiError::new(StatusCode::BAD_GATEWAY, error.to_string()))
        }
    }
}

/// What searchers' bundles came to; zeros where none are taken.
async fn bundles(State(api): Api) -> Result<Response, ApiError> {
    let totals = api.ledger.bundle_totals(0, i64::MAX).await;
    let totals = totals.map_err(|e| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))?;
    Ok(axum::Json(totals).into_response())
}

fn versioned(fork: Fork, encoding: Encoding, body: Vec<u8>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(encoding.mime())),
        (header::HeaderName::from_static(CONSENSUS_VERSION), HeaderValue::from_static(fork.name())),
    ];
    (headers, Body::from(body)).into_response()
}

fn accepted(headers: &HeaderMap) -> Result<Encoding, ApiError> {
    let values =
        headers.get_all(header::ACCEPT).iter().map(|value| value.to_str().unwrap_or("unreadable/value"));
    negotiate(values).map_err(|e| ApiError::new(StatusCode::NOT_ACCEPTABLE, e.to_string()))
}

fn content_encoding(headers: &HeaderMap) -> Result<Encoding, ApiError> {
    let unsupported = |message: String| ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message);
    if let Some(coding) = headers.get(header::CONTENT_ENCODING)
        && !coding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        return Err(unsupported("compressed bodies are not taken: send without Content-Encoding".to_owned()));
    }
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(Encoding::Json) };
    let text = value.to_str().unwrap_or("unreadable/value");
    Encoding::from_mime(text).ok_or_else(|| {
        let shown: String = text.chars().take(80).collect();
        unsupported(format!("content type `{shown}`: send application/json or application/octet-stream"))
    })
}

fn consensus_version(headers: &HeaderMap) -> Result<Option<Fork>, ApiError> {
    let Some(value) = headers.get(CONSENSUS_VERSION) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    text.parse().map(Some).map_err(|e| ApiError::bad_request(format!("Eth-Consensus-Version: {e}")))
}

/// A header that holds a whole number; anything else is ignored with a warning, as it is only advice.
fn number_header(headers: &HeaderMap, name: &str) -> Option<u64> {
    let text = headers.get(name)?.to_str().unwrap_or_default().trim();
    match text.parse() {
        Ok(number) => Some(number),
        Err(_) => {
            warn!(header = name, value = %text.chars().take(40).collect::<String>(), "ignored a header that is no number");
            None
        }
    }
}

fn user_agent(headers: &HeaderMap) -> String {
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    agent.chars().take(200).collect()
}
