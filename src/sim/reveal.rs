//! A simulated relay's answers to `blinded_blocks`.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{Extensions, HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use tokio::time::sleep;

use super::{
    Behaviour, PayloadFault, Tamper,
    bodies::{broken_body, other_fork, relabel},
    shared::{CONSENSUS_VERSION, HandedIn, MAX_BODY, Shared, Stored, content_is_ssz, error},
};
use crate::consensus::{Encoding, SignedBlindedBlock};

/// What a relay that takes anything answers to v1.
pub const UNREADABLE_PAYLOAD: &[u8] = b"a payload of a block that nobody can read";

pub(super) async fn submit_v1(State(relay): State<Arc<Shared>>, request: Request) -> Response {
    submit(&relay, "blinded_blocks_v1", request).await
}

pub(super) async fn submit_v2(State(relay): State<Arc<Shared>>, request: Request) -> Response {
    submit(&relay, "blinded_blocks_v2", request).await
}

async fn submit(relay: &Shared, endpoint: &'static str, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    relay.note(endpoint, &parts.uri.to_string(), &parts.headers, &body);
    let behaviour = relay.now_behaving();
    let is_v2 = endpoint == "blinded_blocks_v2";
    if (is_v2 && behaviour.lacks_v2) || (!is_v2 && behaviour.lacks_v1) {
        return error(404, "no such endpoint");
    }
    sleep(behaviour.payload_delay).await;
    hand_in(relay, &parts.headers, &body, &behaviour);
    let encoding = if content_is_ssz(&parts.headers) { Encoding::Ssz } else { Encoding::Json };
    if let (Encoding::Ssz, Some(status)) = (encoding, behaviour.refuses_ssz_blocks) {
        return error(status, "only application/json");
    }
    match behaviour.payload {
        PayloadFault::Withholds => return error(400, "no execution payload for this request"),
        PayloadFault::Status(status) => return error(status, "not today"),
        PayloadFault::StatusFirst(status, times) if times > 0 => {
            relay.behaviour.write().payload = PayloadFault::StatusFirst(status, times - 1);
            return error(status, "not yet");
        }
        PayloadFault::Hangs => std::future::pending::<()>().await,
        PayloadFault::Resets => return Response::new(broken_body(Bytes::new())),
        PayloadFault::DeadConnection if is_dead(relay, &parts.extensions) => {
            std::future::pending::<()>().await;
        }
        PayloadFault::Redirect => {
            return (StatusCode::FOUND, [(header::LOCATION, "/elsewhere")]).into_response();
        }
        _ => {}
    }
    let Some(slot) = SignedBlindedBlock::peek_slot(encoding, &body) else { return error(400, "no slot") };
    let fork = relay.spec.fork_at(slot);
    let block = match SignedBlindedBlock::decode(fork, relay.spec.preset, encoding, &body) {
        Ok(block) => block,
        Err(_) if behaviour.takes_anything && is_v2 => return StatusCode::ACCEPTED.into_response(),
        Err(_) if behaviour.takes_anything => {
            let headers =
                [(header::CONTENT_TYPE.as_str(), encoding.mime()), (CONSENSUS_VERSION, fork.name())];
            return (headers, UNREADABLE_PAYLOAD).into_response();
        }
        Err(reason) => return error(400, &reason.to_string()),
    };
    let stored = relay.payloads.lock().get(&block.facts().block_hash).cloned();
    let Some(stored) = stored else {
        return error(400, "no execution payload for this request - block was never seen by this relay");
    };
    if is_v2 {
        return StatusCode::ACCEPTED.into_response();
    }
    reveal(&stored, &behaviour, Shared::wants_ssz(&behaviour, &parts.headers))
}

/// Whether a request came by the connection that is dead: the first that a block came by.
fn is_dead(relay: &Shared, extensions: &Extensions) -> bool {
    let Some(ConnectInfo(peer)) = extensions.get::<ConnectInfo<SocketAddr>>() else { return false };
    *relay.dead_connection.lock().get_or_insert(*peer) == *peer
}

/// Keeps what was handed in, for the public record. What cannot be read is refused further on.
fn hand_in(relay: &Shared, headers: &HeaderMap, body: &[u8], behaviour: &Behaviour) {
    let encoding = if content_is_ssz(headers) { Encoding::Ssz } else { Encoding::Json };
    let Some(slot) = SignedBlindedBlock::peek_slot(encoding, body) else { return };
    let fork = relay.spec.fork_at(slot);
    let Ok(block) = SignedBlindedBlock::decode(fork, relay.spec.preset, encoding, body) else { return };
    relay.handed_in.lock().push(HandedIn {
        slot: slot.as_u64(),
        block_hash: block.facts().block_hash,
        value: behaviour.value_in(slot.as_u64()),
        is_revealed: behaviour.payload == PayloadFault::None,
    });
}

fn reveal(stored: &Stored, behaviour: &Behaviour, ssz: bool) -> Response {
    let tamper = match behaviour.payload {
        PayloadFault::OtherBlock => Tamper::OtherBlock,
        PayloadFault::OtherContents => Tamper::OtherContents,
        PayloadFault::MissingBlob => Tamper::MissingBlob,
        PayloadFault::MissingProof => Tamper::MissingProof,
        PayloadFault::OtherCommitment => Tamper::OtherCommitment,
        PayloadFault::OtherBlob => Tamper::OtherBlob,
        _ => Tamper::Nothing,
    };
    let encoding = if ssz { Encoding::Ssz } else { Encoding::Json };
    let mut body = (stored.reveal)(tamper).encode(encoding);
    let mut fork = stored.fork;
    match behaviour.payload {
        PayloadFault::Garbage => body = vec![0x5b; 5000],
        PayloadFault::TooLarge => body.resize(40 << 20, b' '),
        PayloadFault::WrongVersion => {
            body = relabel(&body, fork);
            fork = other_fork(fork);
        }
        _ => {}
    }
    let headers = [(header::CONTENT_TYPE.as_str(), encoding.mime()), (CONSENSUS_VERSION, fork.name())];
    (headers, body).into_response()
}
