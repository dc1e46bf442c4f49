//! A simulated relay's answers to header requests.

use std::sync::Arc;

use alloy_primitives::B256;
use axum::{
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use tokio::time::{Instant, sleep_until};

use super::{
    HeaderFault,
    bodies::{
        broken_body, drip, duplicate_keys, endless_body, gzip, half_body, loose_offsets, other_fork, relabel,
    },
    shared::{CONSENSUS_VERSION, EncodedBid, Shared, Wanted, error},
};
use crate::{
    consensus::Encoding,
    types::{Fork, Slot, parse_hash},
};

type HeaderPath = Path<(u64, String, String)>;

pub(super) async fn get_header_honestly(
    State(relay): State<Arc<Shared>>,
    Path(path): HeaderPath,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    answer_header(&relay, HeaderFault::None, path, &uri, &headers).await
}

pub(super) async fn get_header(
    State(relay): State<Arc<Shared>>,
    Path(path): HeaderPath,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    relay.note("header", &uri.to_string(), &headers, &Bytes::new());
    let fault = relay.behaviour.read().header_in(path.0);
    answer_header(&relay, fault, path, &uri, &headers).await
}

async fn answer_header(
    relay: &Shared,
    fault: HeaderFault,
    (slot, parent_hash, pubkey): (u64, String, String),
    uri: &Uri,
    headers: &HeaderMap,
) -> Response {
    let behaviour = relay.now_behaving();
    let started = Instant::now();
    let (Ok(parent), Ok(pubkey)) = (parse_hash(&parent_hash), pubkey.parse()) else {
        return error(400, "bad path");
    };
    let key = (slot, parent, pubkey);
    let (turn, passed_ms) = relay.turn_of(key);
    if turn > 0 && behaviour.refuses_repeats {
        return error(429, "a top header was already given");
    }
    let fault =
        if turn > 0 && behaviour.repeat_vice != HeaderFault::None { behaviour.repeat_vice } else { fault };
    let (value, variant) = behaviour.value_at(slot, turn, passed_ms);
    // A bid is built and signed before the relay sits on it, so that the delay is what it says.
    let delay = behaviour.delay_in(slot ^ low_bits(parent), u64::from(relay.seed));
    let bid = relay.bid_for(&behaviour, &Wanted { key, fault, value, variant });
    sleep_until(started + delay).await;
    if let Some(refusal) = refusal(fault, uri).await {
        return refusal;
    }
    let Some(bid) = bid else { return StatusCode::NO_CONTENT.into_response() };
    let encoding = match fault {
        HeaderFault::DuplicateKeys => Encoding::Json,
        HeaderFault::LooseOffsets => Encoding::Ssz,
        _ if Shared::wants_ssz(&behaviour, headers) => Encoding::Ssz,
        _ => Encoding::Json,
    };
    let fork = relay.spec.fork_at(Slot::new(slot));
    let mut response = Response::new(body(fault, &bid, encoding, fork));
    label(fault, encoding, fork, response.headers_mut());
    relay.answered.lock().insert(parent, Instant::now());
    response
}

/// An answer without a bid, where the relay is to give one; never, where it is to hang.
async fn refusal(fault: HeaderFault, uri: &Uri) -> Option<Response> {
    match fault {
        HeaderFault::NoBid => Some(StatusCode::NO_CONTENT.into_response()),
        HeaderFault::Status(status) => Some(error(status, "not today")),
        HeaderFault::PlainTextStatus(status) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
            Some((status, "proposer not registered").into_response())
        }
        HeaderFault::Hangs => std::future::pending().await,
        HeaderFault::Redirect => {
            let to = uri.path().replacen("/eth/v1/builder/header", "/redirected", 1);
            Some((StatusCode::FOUND, [(header::LOCATION, to)]).into_response())
        }
        _ => None,
    }
}

fn body(fault: HeaderFault, bid: &EncodedBid, encoding: Encoding, fork: Fork) -> Body {
    let body = match encoding {
        Encoding::Ssz => bid.ssz.clone(),
        Encoding::Json => bid.json.clone(),
    };
    match fault {
        HeaderFault::Drops => broken_body(Bytes::new()),
        HeaderFault::Garbage => Body::from(vec![0x7b; 900]),
        HeaderFault::EmptyBody => Body::empty(),
        HeaderFault::HangsInBody => half_body(&body),
        HeaderFault::Endless => endless_body(),
        HeaderFault::Trailing => Body::from([&body[..], b"}junk"].concat()),
        HeaderFault::GzipBomb => Body::from(gzip(&vec![b' '; 64 << 20])),
        HeaderFault::Gzip => Body::from(gzip(&body)),
        HeaderFault::Drips => drip(body),
        HeaderFault::DuplicateKeys => Body::from(duplicate_keys(&body)),
        HeaderFault::LooseOffsets => Body::from(loose_offsets(&body)),
        HeaderFault::WrongVersion => Body::from(relabel(&body, fork)),
        _ => Body::from(body),
    }
}

/// What the answer says of its body.
fn label(fault: HeaderFault, encoding: Encoding, fork: Fork, headers: &mut HeaderMap) {
    let content_type = match (fault, encoding) {
        (HeaderFault::WrongContentType, _) => "text/html",
        (HeaderFault::MimeParameter, Encoding::Json) => "application/json; charset=utf-8",
        (HeaderFault::MimeParameter, Encoding::Ssz) => "application/octet-stream; charset=binary",
        _ => encoding.mime(),
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    let label = if fault == HeaderFault::WrongVersion { other_fork(fork) } else { fork };
    if fault != HeaderFault::NoVersionHeader {
        headers.insert(CONSENSUS_VERSION, HeaderValue::from_static(label.name()));
    }
    if matches!(fault, HeaderFault::Gzip | HeaderFault::GzipBomb) {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
}

fn low_bits(hash: B256) -> u64 {
    hash.last_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}
