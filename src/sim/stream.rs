//! A simulated relay's header stream.

use std::sync::Arc;

use axum::{
    extract::{Path, Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::SinkExt;
use hyper_util::rt::TokioIo;
use tokio::time::sleep;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, handshake::derive_accept_key, protocol::Role},
};

use super::{
    Frame, HeaderFault, StreamHabit,
    shared::{BidKey, Shared, Wanted, error},
};
use crate::{
    relay::stream_code,
    types::{Slot, Wei, parse_hash},
};

pub(super) async fn header_stream(
    State(relay): State<Arc<Shared>>,
    Path((slot, parent_hash, pubkey)): Path<(u64, String, String)>,
    mut request: Request,
) -> Response {
    relay.note("header_stream", &request.uri().to_string(), request.headers(), &Bytes::new());
    let frames = match relay.now_behaving().stream {
        StreamHabit::Absent => return error(404, "no such endpoint"),
        StreamHabit::Refused(status) => return error(status, "header stream not admitted"),
        StreamHabit::Hangs => std::future::pending().await,
        StreamHabit::Frames(frames) => frames,
    };
    let (Ok(parent), Ok(pubkey)) = (parse_hash(&parent_hash), pubkey.parse()) else {
        return error(400, "bad path");
    };
    // Helix refuses a handshake without the budget.
    if !request.headers().contains_key("x-timeout-ms") {
        return error(401, "x-timeout-ms is missing");
    }
    let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY).cloned() else {
        return error(400, "not a websocket handshake");
    };
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        play(&relay, (slot, parent, pubkey), frames, socket).await;
    });
    let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()));
    let headers = [
        (header::CONNECTION, HeaderValue::from_static("Upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_ACCEPT, accept.unwrap_or(HeaderValue::from_static(""))),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

async fn play(
    relay: &Shared,
    key: BidKey,
    frames: Vec<Frame>,
    mut socket: WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>,
) {
    // Tells the bids' blocks apart.
    let mut number = 0u8;
    for frame in frames {
        let message = match frame {
            Frame::Bid(value) => {
                number = number.wrapping_add(1);
                bid(relay, key, HeaderFault::None, value, number)
            }
            Frame::Bad(fault, value) => {
                number = number.wrapping_add(1);
                bid(relay, key, fault, value, number)
            }
            Frame::Text => Some(Message::text("hello")),
            Frame::UnknownKind => Some(Message::binary(vec![9, 9, 9])),
            Frame::Garbage => {
                let code = stream_code(relay.spec.fork_at(Slot::new(key.0)));
                Some(Message::binary(vec![1, code, 0x7b, 0x7b]))
            }
            Frame::Pause(pause) => {
                sleep(pause).await;
                None
            }
            Frame::Break => return,
            Frame::Stay => std::future::pending().await,
        };
        if let Some(message) = message
            && socket.send(message).await.is_err()
        {
            return;
        }
    }
    // The far side may have closed already.
    let _ = socket.close(None).await;
}

fn bid(relay: &Shared, key: BidKey, fault: HeaderFault, value: Wei, variant: u8) -> Option<Message> {
    let bid = relay.bid_for(&relay.now_behaving(), &Wanted { key, fault, value, variant })?;
    let code = stream_code(relay.spec.fork_at(Slot::new(key.0)));
    Some(Message::binary([&[1, code][..], &bid.ssz].concat()))
}
