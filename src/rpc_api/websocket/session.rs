//! One client's connection, from the upgrade to its end: one task, which reads, answers, and tells.

use std::{future::pending, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep_until, timeout, timeout_at},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Message,
        protocol::{
            CloseFrame,
            frame::{
                Frame, Utf8Bytes,
                coding::{CloseCode, Data, OpCode},
            },
        },
    },
};

use super::{
    calls::{self, OwnCall, Parts, Wish},
    meter::{Metered, Trouble},
    shared::Shared,
};
use crate::{
    gateway::{
        Session,
        subscriptions::{Cut, Line, Notice},
    },
    jsonrpc::RpcError,
    rpc_api::AnswerRoom,
};

/// Between two pings of a connection on which nothing comes; one on which nothing came for twice as long, and a bit, is gone.
const PING_EVERY: Duration = Duration::from_secs(30);
/// Messages of one connection that are answered at once; more are not read yet.
const AT_ONCE: usize = 32;
/// Longest time that a part of a message may wait for the client to take it.
const WRITE: Duration = Duration::from_secs(30);
/// Longest time for a whole message, in however many parts: a client that takes a little now and then holds what waits behind it, too.
const WHOLE: Duration = Duration::from_secs(60);
/// Longest time for a close frame to reach a client that has to read what was sent before.
const CLOSE: Duration = Duration::from_secs(10);
/// How long after the subscriptions' task the stop may come that ended it.
const STOPS_WITHIN: Duration = Duration::from_millis(250);
/// Larger messages go out in frames of this size, as the library keeps a buffer as large as the largest frame for as long as the connection lives.
const FRAME: usize = 256 << 10;

/// Why a connection ends, for its close frame.
struct End(CloseCode, &'static str);

/// Something that has been answered by the front.
struct Answered {
    text: Option<Bytes>,
    /// Calls of the same batch that are the connection's own.
    own: Vec<OwnCall>,
}

/// What happened.
enum Event {
    Message(Option<Result<Message, tungstenite::Error>>),
    Answered(Answered),
    Notice(Option<Notice>),
    Ends(End),
    Trouble(Trouble),
    Ping,
}

/// Serves a connection to its end.
pub(super) async fn run<S: AsyncRead + AsyncWrite + Unpin>(
    mut socket: WebSocketStream<Metered<S>>,
    shared: &Shared,
    session: Session,
) {
    let room = shared.answers.room();
    let mut client = Connection { shared, session: &session, room: &room, line: None };
    let Some(End(code, reason)) = client.serve(&mut socket).await else { return };
    let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
    let _ = timeout(CLOSE, async {
        socket.close(Some(frame)).await?;
        // The connection is not cut before the client has seen why.
        socket.get_mut().forget_the_rest().await;
        Ok::<_, tungstenite::Error>(())
    })
    .await;
}

struct Connection<'a> {
    shared: &'a Shared,
    session: &'a Session,
    /// What its answers that wait are charged to.
    room: &'a AnswerRoom,
    /// Made when it subscribes for the first time: most connections do not.
    line: Option<Line>,
}

impl<'a> Connection<'a> {
    /// Serves until the end; why, where the client is to be told.
    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        socket: &mut WebSocketStream<Metered<S>>,
    ) -> Option<End> {
        let mut answers: FuturesUnordered<BoxFuture<'a, Answered>> = FuturesUnordered::new();
        let mut last_heard = Instant::now();
        let mut ping_at = last_heard + PING_EVERY;
        let meter = Arc::clone(&socket.get_ref().meter);
        // When reading stopped last.
        let mut stopped = last_heard;
        loop {
            let reads = answers.len() < AT_ONCE;
            if reads {
                meter.paused(stopped.elapsed());
            }
            let cut = self.line.as_ref().map(|line| line.cut.clone());
            let event = tokio::select! {
                end = ends(self.shared, cut.as_ref()) => Event::Ends(end),
                Some(answered) = answers.next() => Event::Answered(answered),
                notice = next_notice(self.line.as_mut()) => Event::Notice(notice),
                message = socket.next(), if reads => Event::Message(message),
                trouble = meter.trouble(), if reads => Event::Trouble(trouble),
                () = sleep_until(ping_at) => Event::Ping,
            };
            if reads {
                stopped = Instant::now();
            }
            let text: Bytes = match event {
                Event::Ends(end) => return Some(end),
                Event::Trouble(Trouble::Slow) => {
                    return Some(End(CloseCode::Policy, "a message was not complete within ten seconds"));
                }
                Event::Trouble(Trouble::NoRoom) => {
                    let reason = "too many bytes of messages are held at once: connect again in a while";
                    return Some(End(CloseCode::Again, reason));
                }
                Event::Message(Some(Ok(message))) => {
                    last_heard = Instant::now();
                    let body = match message {
                        Message::Text(text) => Bytes::from(text),
                        Message::Binary(bytes) => bytes,
                        // Pings are answered by the library, and so is a close.
                        Message::Ping(_) | Message::Pong(_) | Message::Frame(_) | Message::Close(_) => {
                            continue;
                        }
                    };
                    match self.read(meter.take(body)).await {
                        Read::Later(answer) => {
                            answers.push(answer);
                            continue;
                        }
                        Read::Now(None) => continue,
                        Read::Now(Some(answer)) => answer,
                    }
                }
                Event::Message(Some(Err(tungstenite::Error::Capacity(_)))) => {
                    return Some(End(CloseCode::Size, "the message is larger than [rpc] max_body_bytes"));
                }
                Event::Message(Some(Err(tungstenite::Error::Utf8(_)))) => {
                    return Some(End(CloseCode::Invalid, "a text message is not UTF-8"));
                }
                Event::Message(Some(Err(tungstenite::Error::Protocol(_)))) => {
                    return Some(End(CloseCode::Protocol, "this is not the websocket protocol"));
                }
                Event::Message(Some(Err(_)) | None) => return None,
                Event::Answered(Answered { text, own }) if own.is_empty() => match text {
                    Some(text) => text,
                    None => continue,
                },
                Event::Answered(Answered { text, own }) => {
                    let own = self.fulfil_all(&own).await;
                    match calls::join(text.as_deref(), &own) {
                        Some(text) => text.into(),
                        None => continue,
                    }
                }
                Event::Notice(Some(notice)) => {
                    if let Some(latest) = notice.latest {
                        self.session.note_latest(latest);
                    }
                    written(&notice)
                }
                Event::Notice(None) => {
                    return Some(match cut.as_ref().and_then(Cut::given) {
                        Some(reason) => End(CloseCode::Again, reason),
                        None => self.without_subscriptions().await,
                    });
                }
                Event::Ping => {
                    if last_heard.elapsed() >= PING_EVERY * 2 {
                        return None;
                    }
                    ping_at = Instant::now() + PING_EVERY;
                    let until = Instant::now() + WRITE;
                    if let Err(end) = self.send(socket, Message::Ping(Bytes::new()), until).await {
                        return end;
                    }
                    continue;
                }
            };
            if let Err(end) = self.send_text(socket, text).await {
                return end;
            }
        }
    }

    /// Reads a message. Subscriptions are answered at once, so that no notice goes before the answer that has its id.
    async fn read(&mut self, body: Bytes) -> Read<'a> {
        let (shared, session, room) = (self.shared, self.session, self.room);
        match calls::take_apart(&body, shared.limits.max_batch) {
            Parts::Others => Read::Later(Box::pin(async move {
                Answered { text: shared.front.answer(body, session, room).await, own: Vec::new() }
            })),
            Parts::One(call) => {
                let own = self.fulfil_all(&[call]).await;
                Read::Now(own.into_iter().next().map(Bytes::from))
            }
            Parts::Batch(own, None) => {
                let own = self.fulfil_all(&own).await;
                Read::Now(calls::join(None, &own).map(Bytes::from))
            }
            Parts::Batch(own, Some(others)) => Read::Later(Box::pin(async move {
                let text = shared.front.answer(others.into(), session, room).await;
                // The others are a copy; what was charged is the message.
                drop(body);
                Answered { text, own }
            })),
        }
    }

    async fn fulfil_all(&mut self, calls: &[OwnCall]) -> Vec<Vec<u8>> {
        let mut answers = Vec::with_capacity(calls.len());
        for call in calls {
            let outcome = match self.shared.front.admit(call.method, self.session) {
                Ok(()) => self.fulfil(call).await,
                Err(error) => Err(error),
            };
            if !call.is_notification() {
                answers.push(call.answer(outcome));
            }
        }
        answers
    }

    async fn fulfil(&mut self, call: &OwnCall) -> Result<Value, RpcError> {
        match &call.wish {
            Err(error) => Err(error.clone()),
            Ok(Wish::Subscribe(topic)) => {
                if self.line.is_none() {
                    self.line = Some(self.shared.subscriptions.join().await?);
                }
                let line = self.line.as_ref().ok_or_else(calls::not_found)?;
                Ok(line.subscribe(topic.clone()).await?.to_string().into())
            }
            Ok(Wish::Unsubscribe(id)) => match &self.line {
                Some(line) if line.unsubscribe(*id).await? => Ok(true.into()),
                Some(_) | None => Err(calls::not_found()),
            },
        }
    }

    /// Why there are no subscriptions any more. At a stop their task may end a moment before this one hears of it.
    async fn without_subscriptions(&self) -> End {
        match timeout(STOPS_WITHIN, ends(self.shared, None)).await {
            Ok(stop) => stop,
            Err(_) => End(CloseCode::Restart, "subscriptions begin anew: connect and subscribe again"),
        }
    }

    async fn send_text<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        socket: &mut WebSocketStream<Metered<S>>,
        text: Bytes,
    ) -> Result<(), Option<End>> {
        let until = Instant::now() + WHOLE;
        if text.len() <= FRAME {
            // What is told is JSON, which is UTF-8; the check costs less than a copy.
            let text = Utf8Bytes::try_from(text)
                .map_err(|_| Some(End(CloseCode::Error, "an answer is not UTF-8")))?;
            return self.send(socket, Message::Text(text), until).await;
        }
        let mut left = text;
        let mut kind = Data::Text;
        while !left.is_empty() {
            let part = left.split_to(left.len().min(FRAME));
            let frame = Frame::message(part, OpCode::Data(kind), left.is_empty());
            self.send(socket, Message::Frame(frame), until).await?;
            kind = Data::Continue;
        }
        Ok(())
    }

    /// Sends, unless the client does not take it by then, or is to be cut meanwhile.
    async fn send<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        socket: &mut WebSocketStream<Metered<S>>,
        message: Message,
        until: Instant,
    ) -> Result<(), Option<End>> {
        let until = until.min(Instant::now() + WRITE);
        tokio::select! {
            biased;
            sent = timeout_at(until, socket.send(message)) => match sent {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) => Err(None),
                Err(_) => Err(Some(End(CloseCode::Again, "this client does not read"))),
            },
            end = ends(self.shared, self.line.as_ref().map(|line| &line.cut)) => Err(Some(end)),
        }
    }
}

/// What becomes of a message.
enum Read<'a> {
    /// The front is asked.
    Later(BoxFuture<'a, Answered>),
    /// The answer, or nothing.
    Now(Option<Bytes>),
}

/// Waits until the connection is to be closed. Cancel-safe.
async fn ends(shared: &Shared, cut: Option<&Cut>) -> End {
    tokio::select! {
        () = shared.stop.cancelled() => End(CloseCode::Away, "relaymux is stopping"),
        reason = async {
            match cut {
                Some(cut) => cut.reason().await,
                None => pending().await,
            }
        } => End(CloseCode::Again, reason),
    }
}

/// The next notice; none when the hub is gone. Cancel-safe.
async fn next_notice(line: Option<&mut Line>) -> Option<Notice> {
    match line {
        Some(line) => line.notices.recv().await,
        None => pending().await,
    }
}

/// A notice as it goes over the wire.
fn written(notice: &Notice) -> Bytes {
    let result = notice.result.as_bytes();
    let mut text = Vec::with_capacity(result.len() + 144);
    text.extend_from_slice(
        b"{\"jsonrpc\":\"2.0\",\"method\":\"eth_subscription\",\"params\":{\"subscription\":\"",
    );
    text.extend_from_slice(notice.subscription.to_string().as_bytes());
    text.extend_from_slice(b"\",\"result\":");
    text.extend_from_slice(result);
    text.extend_from_slice(b"}}");
    text.into()
}
