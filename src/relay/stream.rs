//! `header_stream`: a relay that pushes its bids over a websocket until the deadline.
//!
//! Wire as Helix serves it and Commit-Boost 0.11 asks for it: `GET /eth/v1/builder/header_stream/{slot}/{parent_hash}/{pubkey}` upgraded
//! to a websocket; each binary frame is a kind (1: bid), a fork (0 base … 6 fulu) and an SSZ `SignedBuilderBid`. The upgrade goes
//! over a pooled HTTP/1.1 connection, so that one kept warm by the status probe saves the TCP and TLS handshakes. Whatever the
//! upgrade does, a share of the budget is left to ask by HTTP instead.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http::{
    HeaderValue, StatusCode,
    header::{
        CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE, USER_AGENT,
    },
};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        handshake::{client::generate_key, derive_accept_key},
        protocol::{Role, WebSocketConfig},
    },
};
use tracing::debug;

use super::{
    BidAnswer, CallContext, CallFailure, HeaderCall, HeaderOutcome, Relay,
    client::{DATE_MILLISECONDS, MAX_BID_BYTES, TIMEOUT_MS, decode_bid},
    outcome::Answer,
};
use crate::{consensus::Encoding, http_client::failure_of, types::Fork};

/// Part of the budget that connecting may take: the rest is for asking by HTTP. Arbitrary.
const CONNECT_SHARE: u32 = 3;
/// Frames decoded in one race. Helix sends one per 5 ms of its last 300 at most.
const MAX_FRAMES: usize = 256;
/// Kind of a frame that holds a bid.
const BID: u8 = 1;

/// An open stream.
type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Why a header stream gives no more bids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEnd {
    /// It was served to its end or to the deadline, with bids or without.
    Served,
    /// There was none: ask by HTTP.
    NotServed,
}

impl Relay {
    /// Listens to the relay's stream of bids; each that decodes, and each that does not, goes to `frames` as it comes.
    pub async fn stream_headers(
        &self,
        call: &HeaderCall,
        context: &CallContext,
        frames: mpsc::Sender<HeaderOutcome>,
    ) -> StreamEnd {
        let started = Instant::now();
        let left = context.deadline.saturating_duration_since(started);
        let socket = match timeout(left / CONNECT_SHARE, self.open_stream(call, context, left)).await {
            Ok(Ok(socket)) => socket,
            Ok(Err(failure)) => {
                return self.not_served(failure.kind().label(), &failure.to_string(), started);
            }
            Err(_) => return self.not_served("timed_out", "no connection in time", started),
        };
        let heard = listen(socket, call.fork, context.deadline, &frames).await;
        match heard {
            Heard::Broken(0) => self.not_served("transport", "the connection broke before any bid", started),
            Heard::Broken(count) | Heard::Ended(count) => {
                let label = if count > 0 { "bid" } else { "no_bid" };
                self.meter.record(self.id(), "header_stream", label, started.elapsed());
                StreamEnd::Served
            }
        }
    }

    fn not_served(&self, label: &'static str, reason: &str, started: Instant) -> StreamEnd {
        debug!(relay = %self.id(), reason, "no header stream, asking by HTTP");
        self.meter.record(self.id(), "header_stream", label, started.elapsed());
        StreamEnd::NotServed
    }

    async fn open_stream(
        &self,
        call: &HeaderCall,
        context: &CallContext,
        left: Duration,
    ) -> Result<Socket, CallFailure> {
        let HeaderCall { slot, parent_hash, proposer, fork: _ } = call;
        let key = generate_key();
        let shown_key = HeaderValue::from_str(&key)
            .map_err(|error| CallFailure::Transport(format!("the websocket's key: {error}")))?;
        let call = self
            .endpoint
            .get(format_args!("/eth/v1/builder/header_stream/{slot}/{parent_hash:#x}/{proposer}"))
            .header(CONNECTION, HeaderValue::from_static("Upgrade"))
            .header(UPGRADE, HeaderValue::from_static("websocket"))
            .header(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))
            .header(SEC_WEBSOCKET_KEY, shown_key)
            .header(DATE_MILLISECONDS, self.now())
            .header(TIMEOUT_MS, u64::try_from(left.as_millis()).unwrap_or(u64::MAX))
            .header(USER_AGENT, context.user_agent.clone());
        let response = self.clients.http1.send(call.into_request()?).await?;
        let status = response.status();
        if status != StatusCode::SWITCHING_PROTOCOLS {
            return Err(CallFailure::Status { status: status.as_u16(), message: "no websocket".to_owned() });
        }
        let accepted = response.headers().get(SEC_WEBSOCKET_ACCEPT).map(HeaderValue::as_bytes);
        if accepted != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
            return Err(CallFailure::Transport("the websocket's accept key is wrong".to_owned()));
        }
        let socket = hyper::upgrade::on(response).await.map_err(|error| failure_of(&error))?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_BID_BYTES))
            .max_frame_size(Some(MAX_BID_BYTES));
        Ok(WebSocketStream::from_raw_socket(TokioIo::new(socket), Role::Client, Some(config)).await)
    }
}

/// How listening ended, and how many bids were heard.
enum Heard {
    Ended(usize),
    Broken(usize),
}

async fn listen(
    mut socket: Socket,
    fork: Fork,
    deadline: Instant,
    frames: &mpsc::Sender<HeaderOutcome>,
) -> Heard {
    let mut count = 0;
    for _ in 0..MAX_FRAMES {
        let message = match timeout_at(deadline, socket.next()).await {
            Ok(Some(Ok(message))) => message,
            Ok(Some(Err(error))) => {
                debug!(%error, "header stream broke");
                return Heard::Broken(count);
            }
            Ok(None) | Err(_) => return Heard::Ended(count),
        };
        // Pings are answered by the library; text and unknown kinds are for others or for later.
        let outcome = match message {
            Message::Binary(bytes) => read_frame(fork, &bytes).await,
            Message::Close(_) => return Heard::Ended(count),
            Message::Text(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => None,
        };
        let Some(outcome) = outcome else { continue };
        count += usize::from(matches!(outcome, HeaderOutcome::Bid(_)));
        if frames.send(outcome).await.is_err() {
            return Heard::Ended(count);
        }
    }
    Heard::Ended(count)
}

/// A frame's bid; `None` for a frame that is none.
async fn read_frame(fork: Fork, frame: &Bytes) -> Option<HeaderOutcome> {
    let body = match bid_in_frame(fork, frame)? {
        Ok(body) => body,
        Err(failure) => return Some(HeaderOutcome::Failed(failure)),
    };
    let answer = Answer { status: 200, encoding: Encoding::Ssz, body };
    Some(match decode_bid(fork, &answer).await {
        Ok(bid) => HeaderOutcome::Bid(Box::new(BidAnswer { bid, encoding: Encoding::Ssz })),
        Err(failure) => HeaderOutcome::Failed(failure),
    })
}

/// The SSZ of a frame's `SignedBuilderBid`, not decoded yet; `None` for a frame that is too short or of another kind.
///
/// # Errors
/// When the frame is of another fork than the slot's.
pub fn bid_in_frame(fork: Fork, frame: &Bytes) -> Option<Result<Bytes, CallFailure>> {
    let (kind, label) = (*frame.first()?, *frame.get(1)?);
    if kind != BID {
        return None;
    }
    if label != stream_code(fork) {
        let got = format!("fork {label} of the stream");
        return Some(Err(CallFailure::WrongFork { expected: fork.name(), got }));
    }
    Some(Ok(frame.slice(2..)))
}

/// A fork's number in stream frames: base is 0, altair 1, and so on.
pub fn stream_code(fork: Fork) -> u8 {
    match fork {
        Fork::Bellatrix => 2,
        Fork::Capella => 3,
        Fork::Deneb => 4,
        Fork::Electra => 5,
        Fork::Fulu => 6,
        Fork::Gloas => 7,
    }
}
