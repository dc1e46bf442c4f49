//! A real client over real sockets: a listener that upgrades, the hub, and an upstream that is a websocket server of its own.

use std::{
    net::SocketAddr,
    sync::{Mutex, atomic::AtomicBool},
};

use axum::{Router, extract::State, routing::any};
use bytes::Bytes;
use futures_util::{
    SinkExt, StreamExt,
    future::{BoxFuture, join_all},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_tungstenite::{
    accept_async, client_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use super::*;
use crate::{
    consensus::WallClock,
    gateway::{
        Board, ClientId, Tier, UpstreamId,
        subscriptions::{
            Dialers, Feed, SubscriptionParts, start_subscriptions,
            testing::{NOW_S, World, header},
        },
    },
    http_client::{Dialer, TlsRoots},
    jsonrpc::RpcError,
    rpc_api::AnswerRoom,
    tasks::{TaskGroup, Tasks},
};

/// Answers each message by itself, as the result; what was answered elsewhere, and whether that is refused.
struct Echo(Mutex<Vec<u64>>, Mutex<Vec<String>>, AtomicBool);

impl RpcFront for Echo {
    fn answer<'a>(
        &'a self,
        body: Bytes,
        session: &'a Session,
        _: &'a AnswerRoom,
    ) -> BoxFuture<'a, Option<Bytes>> {
        Box::pin(async move {
            self.0.lock().unwrap().push(session.latest());
            let call: Value = serde_json::from_slice(&body).ok()?;
            let answer = |call: &Value| json!({"jsonrpc": "2.0", "id": call["id"], "result": call["method"]});
            let text = match &call {
                Value::Array(calls) => Value::from(calls.iter().map(answer).collect::<Vec<_>>()),
                call if call["method"] == "large" => {
                    json!({"jsonrpc": "2.0", "id": call["id"], "result": "x".repeat(1 << 20)})
                }
                call if call.get("id").is_none() => return None,
                call => answer(call),
            };
            Some(text.to_string().into())
        })
    }

    fn admit(&self, method: &str, _: &Session) -> Result<(), RpcError> {
        self.1.lock().unwrap().push(method.to_owned());
        if self.2.load(Ordering::Relaxed) { Err(RpcError::refused("you may not")) } else { Ok(()) }
    }
}

struct Stage {
    address: SocketAddr,
    front: Arc<Echo>,
    heads: mpsc::Sender<Value>,
    websockets: Websockets,
    stop: CancellationToken,
    group: TaskGroup,
}

/// Bytes of messages that are held at once.
const BUDGET: usize = 256 << 10;

type Client = WebSocketStream<tokio::net::TcpStream>;

async fn stage(limits: ClientLimits) -> Stage {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream_address = upstream.local_addr().unwrap();
    let (heads, mut to_show) = mpsc::channel::<Value>(10_000);
    tokio::spawn(async move {
        let mut socket = accept_async(upstream.accept().await.unwrap().0).await.unwrap();
        let call: Value =
            serde_json::from_str(socket.next().await.unwrap().unwrap().to_text().unwrap()).unwrap();
        let answer = json!({"jsonrpc": "2.0", "id": call["id"], "result": "0x1"});
        socket.send(Message::text(answer.to_string())).await.unwrap();
        while let Some(head) = to_show.recv().await {
            let told =
                json!({"method": "eth_subscription", "params": {"subscription": "0x1", "result": head}});
            socket.send(Message::text(told.to_string())).await.unwrap();
        }
    });
    let (tasks, _) = Tasks::new(|news| panic!("{news:?}"));
    let group = tasks.group();
    let dialer = Dialer::build(&TlsRoots::Bundled, None).unwrap();
    let world = World::default();
    world.grow_to(150, 'a');
    let parts = SubscriptionParts {
        feeds: vec![Feed {
            place: 0,
            id: UpstreamId::parse("u0").unwrap(),
            tier: Tier::Primary,
            url: format!("ws://{upstream_address}/").parse().unwrap(),
            headers: http::HeaderMap::new(),
        }],
        block_time: Duration::from_secs(12),
        max_future: Duration::from_secs(15),
        limits: limits.clone(),
        board: Board::new(Vec::new()).0,
        backfill: Arc::new(world),
        dial: Arc::new(Dialers { straight: dialer.clone(), away: dialer }),
        clock: WallClock::manual(i64::try_from(NOW_S).unwrap() * 1000).0,
    };
    let subscriptions = start_subscriptions(parts, &group);
    let front = Arc::new(Echo(Mutex::default(), Mutex::default(), AtomicBool::new(false)));
    let stop = CancellationToken::new();
    let websockets = Websockets::new(
        Arc::clone(&front) as Arc<dyn RpcFront>,
        subscriptions,
        limits,
        ByteBudget::new(BUDGET),
        Vec::new(),
        stop.clone(),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let take = |State(websockets): State<Websockets>, request: Request<Body>| async move {
        websockets.upgrade(request, Session::new(ClientId::Address([127, 0, 0, 1].into())))
    };
    let router = Router::new().route("/", any(take)).with_state(websockets.clone());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let router = router.clone();
            tokio::spawn(async move {
                let service = hyper_util::service::TowerToHyperService::new(router);
                let connection = hyper::server::conn::http1::Builder::new();
                let _ = connection.serve_connection(TokioIo::new(stream), service).with_upgrades().await;
            });
        }
    });
    Stage { address, front, heads, websockets, stop, group }
}

impl Stage {
    async fn connect(&self) -> Result<Client, tokio_tungstenite::tungstenite::Error> {
        let request = format!("ws://{}/", self.address).into_client_request().unwrap();
        let stream = tokio::net::TcpStream::connect(self.address).await.unwrap();
        client_async(request, stream).await.map(|(socket, _)| socket)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.group.stop();
        self.stop.cancel();
    }
}

/// Says a call or a batch, with the version of the protocol.
async fn say(client: &mut Client, text: &Value) {
    let mut text = text.clone();
    let calls = match &mut text {
        Value::Array(calls) => calls.as_mut_slice(),
        call => std::slice::from_mut(call),
    };
    calls.iter_mut().for_each(|call| call["jsonrpc"] = json!("2.0"));
    client.send(Message::text(text.to_string())).await.unwrap();
}

async fn hear(client: &mut Client) -> Value {
    loop {
        let message = timeout(Duration::from_secs(30), client.next()).await.unwrap().unwrap().unwrap();
        if let Message::Text(text) = message {
            return serde_json::from_str(&text).unwrap();
        }
    }
}

async fn subscribe(client: &mut Client) -> String {
    say(client, &json!({"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]})).await;
    let answer = hear(client).await;
    answer["result"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[tokio::test]
async fn a_client_calls_and_is_told_of_heads_over_one_socket() {
    let stage = stage(ClientLimits::default()).await;
    let mut client = stage.connect().await.unwrap();
    say(&mut client, &json!({"id": 7, "method": "eth_chainId"})).await;
    assert_eq!(hear(&mut client).await, json!({"jsonrpc": "2.0", "id": 7, "result": "eth_chainId"}));
    let id = subscribe(&mut client).await;
    assert!(id.len() == 34 && id.starts_with("0x"), "{id}");
    for number in [120_u64, 121, 123] {
        stage.heads.send(header(number, 'a')).await.unwrap();
    }
    for number in 120..=123_u64 {
        let told = hear(&mut client).await;
        assert_eq!(told["method"], "eth_subscription");
        assert_eq!(told["params"]["subscription"], json!(id));
        assert_eq!(told["params"]["result"]["number"], json!(format!("{number:#x}")));
    }
    say(&mut client, &json!({"id": 8, "method": "eth_call"})).await;
    hear(&mut client).await;
    assert_eq!(*stage.front.0.lock().unwrap(), [0, 123], "whoever answers knows what the client was told");
    say(&mut client, &json!({"id": 9, "method": "eth_unsubscribe", "params": [id]})).await;
    assert_eq!(hear(&mut client).await["result"], json!(true));
    say(&mut client, &json!({"id": 9, "method": "eth_unsubscribe", "params": [id]})).await;
    assert_eq!(hear(&mut client).await["error"]["message"], "subscription not found");
    say(&mut client, &json!({"id": 10, "method": "large"})).await;
    assert_eq!(hear(&mut client).await["result"].as_str().map(str::len), Some(1 << 20), "in several frames");
}

#[tokio::test]
async fn a_batch_may_have_subscriptions_among_other_calls() {
    let stage = stage(ClientLimits::default()).await;
    let mut client = stage.connect().await.unwrap();
    let batch = json!([
        {"id": 1, "method": "eth_subscribe", "params": ["newHeads"]},
        {"id": 2, "method": "eth_chainId"},
        {"id": 3, "method": "eth_subscribe", "params": ["weather"]},
        {"method": "eth_unsubscribe", "params": ["0x1"]},
    ]);
    say(&mut client, &batch).await;
    let answers = hear(&mut client).await;
    let ids: Vec<&Value> = answers.as_array().unwrap().iter().map(|answer| &answer["id"]).collect();
    assert_eq!(ids, [&json!(2), &json!(1), &json!(3)], "{answers}");
    assert_eq!(answers[2]["error"]["code"], json!(-32602));
    // Each of them is a call that the front counts, and may refuse.
    let admitted = std::mem::take(&mut *stage.front.1.lock().unwrap());
    assert_eq!(admitted, ["eth_subscribe", "eth_subscribe", "eth_unsubscribe"]);
    let id = answers[1]["result"].clone();
    // Without an id it is done without an answer.
    say(&mut client, &json!({"method": "eth_unsubscribe", "params": [id]})).await;
    say(&mut client, &json!({"id": null, "method": "eth_unsubscribe", "params": [id]})).await;
    assert_eq!(hear(&mut client).await["error"]["message"], "subscription not found");
    stage.front.2.store(true, Ordering::Relaxed);
    say(&mut client, &json!({"id": 4, "method": "eth_subscribe", "params": ["newHeads"]})).await;
    assert_eq!(hear(&mut client).await["error"]["message"], "you may not");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_told_why_it_is_cut() {
    let stage = stage(ClientLimits { max_waiting: 8, ..ClientLimits::default() }).await;
    let (mut client, mut reader) = (stage.connect().await.unwrap(), stage.connect().await.unwrap());
    subscribe(&mut client).await;
    subscribe(&mut reader).await;
    // More than the kernel's buffers take, so that the queue fills.
    let bloat = json!("0x".to_owned() + &"00".repeat(1 << 19));
    for number in 100..140_u64 {
        let mut head = header(number, 'a');
        head["extraData"] = bloat.clone();
        stage.heads.send(head).await.unwrap();
        assert_eq!(hear(&mut reader).await["params"]["result"]["number"], json!(format!("{number:#x}")));
    }
    let mut told = 0;
    let close = loop {
        match timeout(Duration::from_secs(30), client.next()).await.unwrap() {
            Some(Ok(Message::Close(close))) => break close,
            Some(Ok(_)) => told += 1,
            other => panic!("{other:?}"),
        }
    };
    let close = close.unwrap();
    assert_eq!(u16::from(close.code), 1013);
    assert!(close.reason.contains("does not read"), "{}", close.reason);
    assert!(told < 40);
}

#[tokio::test]
async fn one_client_has_so_many_and_others_have_theirs() {
    let stage = stage(ClientLimits { max_websockets_per_client: 1, ..ClientLimits::default() }).await;
    let place = |last: u8| stage.websockets.place(&ClientId::Address([10, 0, 0, last].into()));
    let (first, other) = (place(1), place(2));
    assert!(first.is_ok() && other.is_ok() && matches!(place(1), Err(Full::Client)));
    drop(first);
    assert!(place(1).is_ok());
    drop(other);
    assert!(stage.websockets.0.by_client.lock().is_empty());
    let _client = stage.connect().await.unwrap();
    let refused = stage.connect().await;
    assert!(
        matches!(&refused, Err(tokio_tungstenite::tungstenite::Error::Http(answer)) if answer.status() == 429),
        "{refused:?}"
    );
}

#[tokio::test]
async fn limits_hold_and_a_stop_says_goodbye() {
    let limits = ClientLimits { max_websockets: 1, max_body_bytes: 1000, ..ClientLimits::default() };
    let stage = stage(limits).await;
    let mut client = stage.connect().await.unwrap();
    let refused = stage.connect().await;
    assert!(
        matches!(&refused, Err(tokio_tungstenite::tungstenite::Error::Http(answer)) if answer.status() == 503),
        "{refused:?}"
    );
    client.send(Message::text("x".repeat(1001))).await.unwrap();
    let close = client.next().await.unwrap().unwrap();
    assert!(matches!(&close, Message::Close(Some(close)) if u16::from(close.code) == 1009), "{close:?}");
    drop(client);
    let mut client = loop {
        if let Ok(client) = stage.connect().await {
            break client;
        }
    };
    stage.stop.cancel();
    let close = client.next().await.unwrap().unwrap();
    assert!(matches!(&close, Message::Close(Some(close)) if u16::from(close.code) == 1001), "{close:?}");
    drop(client);
    stage.websockets.ended().await;
}

/// At a stop the subscriptions' task ends in no order with the connections; by itself it ends only to begin anew.
#[tokio::test]
async fn a_subscriber_is_told_of_a_stop_whoever_ends_first() {
    for (stops, want) in [(true, 1001), (false, 1012)] {
        let stage = stage(ClientLimits::default()).await;
        let mut client = stage.connect().await.unwrap();
        subscribe(&mut client).await;
        stage.group.stop();
        if stops {
            // Until the hub has ended, and the connection was told of nothing else.
            tokio::time::sleep(Duration::from_millis(50)).await;
            stage.stop.cancel();
        }
        assert_eq!(closed(&mut client).await.0, want);
    }
}

/// A server's end of a connection whose client reads when the test does, and the client's end.
fn pipe(stage: &Stage) -> (tokio::task::JoinHandle<()>, tokio::io::DuplexStream) {
    let (here, there) = tokio::io::duplex(16 << 10);
    let shared = Arc::clone(&stage.websockets.0);
    let running = tokio::spawn(async move {
        let config = config(shared.limits.max_body_bytes);
        let here = Metered::new(here, Meter::new(shared.bodies.clone(), BODY_TIMEOUT));
        let socket = WebSocketStream::from_raw_socket(here, Role::Server, Some(config)).await;
        session::run(socket, &shared, Session::new(ClientId::Own)).await;
    });
    (running, there)
}

/// It takes some of each part in time, so that only the time of the whole ends it.
#[tokio::test]
async fn a_client_that_reads_too_slowly_is_cut() {
    let stage = stage(ClientLimits::default()).await;
    let (running, there) = pipe(&stage);
    let mut client = WebSocketStream::from_raw_socket(there, Role::Client, None).await;
    client.send(Message::text(json!({"id": 1, "method": "large"}).to_string())).await.unwrap();
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    let mut buffer = vec![0; 64 << 10];
    let slow = async {
        loop {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            let read = tokio::io::AsyncReadExt::read(client.get_mut(), &mut buffer).await;
            if read.is_err() || read.is_ok_and(|bytes| bytes == 0) {
                return;
            }
        }
    };
    tokio::join!(slow, running).1.unwrap();
    let elapsed = began.elapsed();
    assert!((Duration::from_secs(60)..Duration::from_secs(90)).contains(&elapsed), "{elapsed:?}");
}

/// The close frame, after whatever else comes.
async fn closed(client: &mut Client) -> (u16, String) {
    loop {
        match timeout(Duration::from_secs(30), client.next()).await.expect("it is not cut") {
            Some(Ok(Message::Close(Some(close)))) => return (close.code.into(), close.reason.to_string()),
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// The head of a masked frame whose payload is not there yet.
fn head(first: u8, payload: u16) -> Vec<u8> {
    let [a, b] = payload.to_be_bytes();
    vec![first, 0x80 | 126, a, b, 0, 0, 0, 0]
}

#[tokio::test]
async fn a_message_that_is_never_complete_is_cut_whatever_comes_between() {
    let stage = stage(ClientLimits::default()).await;
    let mut client = stage.connect().await.unwrap();
    say(&mut client, &json!({"id": 7, "method": "eth_chainId"})).await;
    hear(&mut client).await;
    let began = tokio::time::Instant::now();
    let part = [head(0x01, 500), vec![b' '; 500]].concat();
    let ping = [0x89, 0x80, 0, 0, 0, 0];
    tokio::io::AsyncWriteExt::write_all(client.get_mut(), &part).await.unwrap();
    let (mut read, mut write) = client.into_inner().into_split();
    let pings = tokio::spawn(async move {
        while tokio::io::AsyncWriteExt::write_all(&mut write, &ping).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("not complete") {
        let read = tokio::io::AsyncReadExt::read_buf(&mut read, &mut seen);
        assert!(timeout(Duration::from_secs(60), read).await.expect("it is not cut").unwrap() > 0);
    }
    pings.abort();
    assert!(began.elapsed() >= BODY_TIMEOUT - Duration::from_millis(100));
    assert!(seen.windows(4).any(|part| part[0] == 0x88 && part[2..] == 1008_u16.to_be_bytes()));
}

#[tokio::test]
async fn what_is_held_of_messages_is_bounded_for_all_together() {
    let stage = stage(ClientLimits::default()).await;
    let mut holders = Vec::new();
    let mut told = Vec::new();
    for _ in 0..6 {
        let mut client = stage.connect().await.unwrap();
        let part = [head(0x81, 0xf000), vec![b' '; 0xe000]].concat();
        tokio::io::AsyncWriteExt::write_all(client.get_mut(), &part).await.unwrap();
        holders.push(client);
    }
    let closes = holders.iter_mut().map(|client| timeout(Duration::from_secs(3), client.next()));
    for close in join_all(closes).await {
        if let Ok(Some(Ok(Message::Close(Some(close))))) = close {
            told.push((u16::from(close.code), close.reason.to_string()));
        }
    }
    assert_eq!(told.len(), 2, "four of them fit: {told:?}");
    assert!(told.iter().all(|(code, reason)| *code == 1013 && reason.contains("too many bytes")), "{told:?}");
    // Small calls need no room of it, and what is dropped gives it back.
    let mut small = stage.connect().await.unwrap();
    say(&mut small, &json!({"id": 7, "method": "eth_chainId"})).await;
    assert_eq!(hear(&mut small).await["id"], 7);
    drop(holders);
    loop {
        let mut client = stage.connect().await.unwrap();
        say(&mut client, &json!({"id": 7, "method": "m", "params": ["x".repeat(200 << 10)]})).await;
        match timeout(Duration::from_secs(30), client.next()).await.unwrap() {
            Some(Ok(Message::Text(_))) => break,
            Some(Ok(Message::Close(Some(close)))) => assert_eq!(u16::from(close.code), 1013),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_client_that_is_cut_while_it_sends_sees_why() {
    let stage = stage(ClientLimits::default()).await;
    let mut client = stage.connect().await.unwrap();
    // More than there is room for, sent whole whatever is said meanwhile.
    let sent = client.send(Message::text("x".repeat(4 << 20)));
    let _ = timeout(Duration::from_secs(20), sent).await.unwrap();
    let (code, reason) = closed(&mut client).await;
    assert_eq!((code, reason.contains("too many bytes")), (1013, true), "{reason}");
}
