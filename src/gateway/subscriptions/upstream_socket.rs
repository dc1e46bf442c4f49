//! One upstream's websocket: connected, subscribed once, watched, and opened again when it breaks or falls silent.

use std::{sync::Arc, time::Duration};

use alloy_primitives::B256;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, HeaderValue, Uri, header::AUTHORIZATION};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{self, Message, client::IntoClientRequest, protocol::WebSocketConfig},
};
use tracing::{debug, info, warn};
use url::Url;

use super::{
    block::Block,
    dial::{ByteStream, Dial},
    topic::Bodies,
};
use crate::gateway::{RawJson, Tier, UpstreamId};

/// Longest time to connect and to be answered the handshake.
const CONNECT: Duration = Duration::from_secs(10);
/// Between two pings; a socket on which nothing came for twice as long is dead.
const PING_EVERY: Duration = Duration::from_secs(20);
/// Longest time that a message may take to be sent.
const SEND: Duration = Duration::from_secs(10);
/// Pauses before it is opened again, doubled with each failure in a row, and each shortened by up to a half at random.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Largest message: a whole pending transaction with its calldata, not a whole block.
const MAX_MESSAGE: usize = 4 << 20;

/// Ids of our calls.
const HEADS: u64 = 1;
const PENDING: u64 = 2;
const UNSUBSCRIBE: u64 = 3;
/// A question's call has its number after these.
const QUESTIONS: u64 = 100;

/// An upstream with a websocket. Its URL and headers may hold a key: not for logs.
#[derive(Clone)]
pub struct Feed {
    /// Its place on the board.
    pub place: usize,
    /// Its name.
    pub id: UpstreamId,
    /// Its tier: one that is paid for is listened to only while no other can be.
    pub tier: Tier,
    /// Where.
    pub url: Url,
    /// Headers of the handshake.
    pub headers: HeaderMap,
}

/// What is wanted of upstreams' sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wants {
    /// Paid ones, too.
    pub(super) backups: bool,
    /// Pending transactions.
    pub(super) pending: Option<Bodies>,
    /// The newest block, asked for once for each number of a question.
    pub(super) question: Option<u64>,
}

/// What a socket tells.
#[derive(Clone, Debug)]
pub(super) enum News {
    /// It is subscribed.
    Up(usize),
    /// It is not any more.
    Down(usize),
    /// A new head.
    Head(usize, Box<Block>),
    /// The newest block, asked for by a question; none where it refuses to say. Heads that were told before it came before.
    Answer(usize, u64, Option<Box<Block>>),
    /// A pending transaction: its hash, and the whole of it where that was asked for and is given.
    Pending(usize, B256, Option<RawJson>),
}

/// Why a socket ended.
#[derive(Debug)]
enum End {
    /// It is not wanted now.
    NotWanted,
    /// Nobody takes what it tells.
    Unheard,
    /// In words without a URL.
    Failed(String),
}

/// Keeps an upstream's socket open while it is wanted.
pub(super) struct UpstreamSocket {
    pub(super) feed: Feed,
    pub(super) dial: Arc<dyn Dial>,
    pub(super) news: mpsc::Sender<News>,
    pub(super) wants: watch::Receiver<Wants>,
    /// Longest time without a head.
    pub(super) silence: Duration,
}

type Socket = WebSocketStream<Box<dyn ByteStream>>;

impl UpstreamSocket {
    /// Runs until nobody hears it.
    pub(super) async fn run(mut self) {
        let mut failures = 0_u32;
        loop {
            if self.wait_until_wanted().await.is_err() {
                return;
            }
            let begun = Instant::now();
            let end = self.open_and_listen().await;
            if self.news.send(News::Down(self.feed.place)).await.is_err() {
                return;
            }
            match end {
                End::Unheard => return,
                End::NotWanted => {}
                End::Failed(reason) => {
                    // What lasted for a while had not failed.
                    failures = if begun.elapsed() > self.silence { 1 } else { failures.saturating_add(1) };
                    if failures == 1 {
                        warn!(upstream = %self.feed.id, reason, "the upstream's websocket ended, opening it again");
                    } else {
                        debug!(upstream = %self.feed.id, reason, failures, "the upstream's websocket failed");
                    }
                    sleep(pause_after(failures, rand::random())).await;
                }
            }
        }
    }

    async fn wait_until_wanted(&mut self) -> Result<(), watch::error::RecvError> {
        let is_backup = self.feed.tier == Tier::Backup;
        self.wants.wait_for(|wants| !is_backup || wants.backups).await.map(drop)
    }

    async fn open_and_listen(&mut self) -> End {
        let mut socket = match timeout(CONNECT, self.open()).await {
            Ok(Ok(socket)) => socket,
            Ok(Err(reason)) => return End::Failed(reason),
            Err(_) => return End::Failed(format!("no websocket within {} s", CONNECT.as_secs())),
        };
        let end = self.listen(&mut socket).await;
        // With the connection its subscriptions end.
        let _ = timeout(Duration::from_secs(1), socket.close(None)).await;
        end
    }

    async fn open(&self) -> Result<Socket, String> {
        let mut url = self.feed.url.clone();
        let login = authorization(&url);
        let _ = (url.set_username(""), url.set_password(None));
        url.set_fragment(None);
        let uri: Uri = url.as_str().parse().map_err(|_| "its URL is unusable".to_owned())?;
        let mut request =
            uri.clone().into_client_request().map_err(|_| "its URL is no websocket's".to_owned())?;
        request.headers_mut().extend(login.map(|login| (AUTHORIZATION, login)));
        for (name, value) in &self.feed.headers {
            request.headers_mut().insert(name, value.clone());
        }
        let stream = self.feed_stream(uri).await?;
        let config = WebSocketConfig::default()
            .read_buffer_size(16 << 10)
            .write_buffer_size(0)
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        match client_async_with_config(request, stream, Some(config)).await {
            Ok((socket, _)) => Ok(socket),
            // The library's words may hold the request's URL or the answer's body.
            Err(tungstenite::Error::Http(answer)) => {
                Err(format!("HTTP {} in place of a websocket", answer.status()))
            }
            Err(tungstenite::Error::Io(error)) => Err(format!("the connection broke: {}", error.kind())),
            Err(_) => Err("the answer is no websocket's".to_owned()),
        }
    }

    async fn feed_stream(&self, uri: Uri) -> Result<Box<dyn ByteStream>, String> {
        self.dial.dial(uri).await.map_err(|error| error.to_string())
    }

    async fn listen(&mut self, socket: &mut Socket) -> End {
        let mut heard = Heard::default();
        if let Err(reason) = send(socket, call(HEADS, "eth_subscribe", "[\"newHeads\"]")).await {
            return End::Failed(reason);
        }
        let (mut last_message, mut last_head) = (Instant::now(), Instant::now());
        let mut ping = tokio::time::interval_at(Instant::now() + PING_EVERY, PING_EVERY);
        loop {
            let wants = *self.wants.borrow_and_update();
            if self.feed.tier == Tier::Backup && !wants.backups {
                return End::NotWanted;
            }
            if heard.heads.is_some()
                && let Err(reason) = heard.ask_pending(socket, wants.pending).await
            {
                return End::Failed(reason);
            }
            if heard.heads.is_some()
                && let Err(reason) = heard.ask_newest(socket, wants.question).await
            {
                return End::Failed(reason);
            }
            let message = tokio::select! {
                message = socket.next() => message,
                changed = self.wants.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return End::Unheard,
                },
                _ = ping.tick() => {
                    if last_message.elapsed() > PING_EVERY * 2 {
                        return End::Failed("it does not answer pings".to_owned());
                    }
                    if let Err(reason) = send(socket, Message::Ping(Bytes::new())).await {
                        return End::Failed(reason);
                    }
                    continue;
                }
                () = tokio::time::sleep_until(last_head + self.silence) => {
                    return End::Failed(format!("no head for {} s", self.silence.as_secs()));
                }
            };
            let text = match message {
                Some(Ok(Message::Text(text))) => Bytes::from(text),
                Some(Ok(Message::Binary(bytes))) => bytes,
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {
                    last_message = Instant::now();
                    continue;
                }
                Some(Ok(Message::Close(_))) | None => {
                    return End::Failed("it closed the websocket".to_owned());
                }
                Some(Err(tungstenite::Error::Capacity(_))) => {
                    return End::Failed(format!("it sent a message of more than {MAX_MESSAGE} bytes"));
                }
                Some(Err(_)) => return End::Failed("the connection broke".to_owned()),
            };
            last_message = Instant::now();
            let news = match heard.read(&text, self.feed.place) {
                Ok(news) => news,
                Err(reason) => return End::Failed(reason),
            };
            match &news {
                Some(News::Head(..)) => last_head = Instant::now(),
                Some(News::Up(_)) => info!(upstream = %self.feed.id, "listening to the upstream's heads"),
                Some(News::Down(_) | News::Answer(..) | News::Pending(..)) | None => {}
            }
            if let Some(news) = news
                && self.news.send(news).await.is_err()
            {
                return End::Unheard;
            }
        }
    }
}

/// What a socket is subscribed to.
#[derive(Default)]
struct Heard {
    heads: Option<String>,
    pending: Option<String>,
    /// What of pending transactions was asked for.
    asked: Option<Bodies>,
    /// It was asked, and has not answered: nothing else is asked meanwhile, as what it then gave could not be told apart.
    is_asking: bool,
    /// It refused to give whole transactions: their hashes are asked for in their place.
    refuses_bodies: bool,
    /// The last question that it was asked.
    question: Option<u64>,
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(default)]
    id: Option<u64>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    params: Option<Params<'a>>,
}

#[derive(Deserialize)]
struct Params<'a> {
    subscription: String,
    #[serde(borrow)]
    result: &'a RawValue,
}

#[derive(Deserialize)]
struct WithHash {
    hash: B256,
}

impl Heard {
    async fn ask_pending(&mut self, socket: &mut Socket, wanted: Option<Bodies>) -> Result<(), String> {
        let wanted = match wanted {
            Some(Bodies::Full) if self.refuses_bodies => Some(Bodies::Hashes),
            wanted => wanted,
        };
        if self.is_asking || self.asked == wanted {
            return Ok(());
        }
        if let Some(old) = self.pending.take() {
            send(socket, call(UNSUBSCRIBE, "eth_unsubscribe", &format!("[\"{old}\"]"))).await?;
        }
        self.asked = wanted;
        self.is_asking = wanted.is_some();
        match wanted {
            None => Ok(()),
            Some(Bodies::Hashes) => {
                send(socket, call(PENDING, "eth_subscribe", "[\"newPendingTransactions\"]")).await
            }
            Some(Bodies::Full) => {
                send(socket, call(PENDING, "eth_subscribe", "[\"newPendingTransactions\",true]")).await
            }
        }
    }

    /// Asks for the newest block on the way on which heads come, so that whatever it told before the answer is known to be older.
    async fn ask_newest(&mut self, socket: &mut Socket, question: Option<u64>) -> Result<(), String> {
        let Some(number) = question.filter(|_| self.question != question) else { return Ok(()) };
        self.question = question;
        let id = QUESTIONS.saturating_add(number);
        send(socket, call(id, "eth_getBlockByNumber", "[\"latest\",false]")).await
    }

    /// What a message tells, if anything.
    fn read(&mut self, text: &Bytes, place: usize) -> Result<Option<News>, String> {
        let wire: Wire<'_> = serde_json::from_slice(text).map_err(|_| "it sent no JSON-RPC".to_owned())?;
        if let Some(Params { subscription, result }) = wire.params {
            let raw = || RawJson::parse(text.slice_ref(result.get().as_bytes()));
            if self.heads.as_ref() == Some(&subscription) {
                let block = raw().and_then(|raw| Block::read(&raw));
                return block
                    .map(|block| Some(News::Head(place, Box::new(block))))
                    .ok_or("it sent a head that is none".to_owned());
            }
            if self.pending.as_ref() == Some(&subscription) {
                let news = match serde_json::from_str::<B256>(result.get()) {
                    Ok(hash) => Some(News::Pending(place, hash, None)),
                    Err(_) => serde_json::from_str::<WithHash>(result.get())
                        .ok()
                        .map(|WithHash { hash }| News::Pending(place, hash, raw())),
                };
                return Ok(news);
            }
            return Ok(None);
        }
        if let Some(question) = wire.id.and_then(|id| id.checked_sub(QUESTIONS)) {
            let raw = wire.result.and_then(|raw| RawJson::parse(text.slice_ref(raw.get().as_bytes())));
            let block = raw.and_then(|raw| Block::read(&raw)).map(Box::new);
            return Ok(Some(News::Answer(place, question, block)));
        }
        let id = wire.result.and_then(|id| serde_json::from_str::<String>(id.get()).ok());
        match (wire.id, id) {
            (Some(HEADS), Some(id)) => {
                self.heads = Some(id);
                Ok(Some(News::Up(place)))
            }
            (Some(HEADS), None) => Err("it refused eth_subscribe".to_owned()),
            (Some(PENDING), Some(id)) => {
                self.is_asking = false;
                self.pending = Some(id);
                Ok(None)
            }
            (Some(PENDING), None) => {
                self.is_asking = false;
                let wanted = self.asked;
                debug!(?wanted, is_error = wire.error.is_some(), "an upstream gives no pending transactions");
                self.refuses_bodies |= wanted == Some(Bodies::Full);
                Ok(None)
            }
            _ => Ok(None),
        }
    }
}

fn call(id: u64, method: &str, params: &str) -> Message {
    Message::text(format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"{method}\",\"params\":{params}}}"))
}

async fn send(socket: &mut Socket, message: Message) -> Result<(), String> {
    match timeout(SEND, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err("the connection broke".to_owned()),
        Err(_) => Err("it takes no messages".to_owned()),
    }
}

/// The user name and password of a URL, as a header.
fn authorization(url: &Url) -> Option<HeaderValue> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let login = format!("{}:{}", url.username(), url.password().unwrap_or_default());
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(login))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// How long to rest after so many failures in a row. Upstreams that failed at one time are not all called at one time.
fn pause_after(failures: u32, chance: u32) -> Duration {
    let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    let whole = FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE);
    let shortened =
        u64::try_from(whole.as_millis()).unwrap_or(u64::MAX).saturating_mul(u64::from(chance)) >> 33;
    whole.saturating_sub(Duration::from_millis(shortened))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_differ() {
        for (failures, chance, want) in [
            (1, 0, 500),
            (2, 0, 1000),
            (3, 0, 2000),
            (40, 0, 30_000),
            (7, u32::MAX, 15_000),
            (1, u32::MAX, 250),
        ] {
            let pause = pause_after(failures, chance).as_millis();
            assert!(pause.abs_diff(want) <= 1, "{failures} {chance}: {pause}");
        }
    }

    #[test]
    fn what_is_sent_on_subscriptions_of_others_is_not_heard() {
        let mut heard = Heard::default();
        let mut read = |text: &str| heard.read(&Bytes::copy_from_slice(text.as_bytes()), 0);
        let hash = B256::repeat_byte(3);
        assert!(matches!(read(r#"{"id":1,"result":"0xa"}"#), Ok(Some(News::Up(0)))));
        assert!(matches!(read(r#"{"id":2,"result":"0xb"}"#), Ok(None)));
        let of = |id: &str, result: &str| {
            format!(r#"{{"method":"eth_subscription","params":{{"subscription":"{id}","result":{result}}}}}"#)
        };
        assert!(matches!(read(&of("0xc", "{}")), Ok(None)));
        assert!(
            matches!(read(&of("0xb", &format!("\"{hash}\""))), Ok(Some(News::Pending(0, one, None))) if one == hash)
        );
        let body = format!("{{\"hash\":\"{hash}\"}}");
        assert!(matches!(read(&of("0xb", &body)), Ok(Some(News::Pending(0, one, Some(_)))) if one == hash));
        let answer = format!(
            r#"{{"id":107,"result":{{"number":"0x1","hash":"{hash}","parentHash":"{hash}","timestamp":"0x1","transactions":[]}}}}"#
        );
        assert!(matches!(read(&answer), Ok(Some(News::Answer(0, 7, Some(block)))) if block.hash() == hash));
        for refusal in [r#"{"id":107,"error":{"code":-32601}}"#, r#"{"id":107,"result":null}"#] {
            assert!(matches!(read(refusal), Ok(Some(News::Answer(0, 7, None)))));
        }
        assert!(read(&of("0xa", "{}")).is_err());
        assert!(read(r#"{"id":1,"error":{"code":-32601}}"#).is_err());
        assert!(read("<html>").is_err());
    }
}
