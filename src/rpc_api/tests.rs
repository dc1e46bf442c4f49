//! The whole server against a gateway that is a double: what JSON-RPC 2.0 says of every kind of body, and who is let in.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use axum::{
    body::Body,
    extract::{ConnectInfo, Request},
    http::{HeaderMap, Method, StatusCode, header},
};
use bytes::Bytes;
use http_body_util::BodyExt;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{sync::Semaphore, time::Instant};
use tower::ServiceExt;

use super::*;
use crate::{
    gateway::{
        Board, CacheSettings, ClientId, ClientLimits, Head, HealthPolicy, MethodPolicy, RawJson, RpcAnswer,
        RpcCall, Served, ServedBy, Standing, Tier, UpstreamId, UpstreamState,
    },
    jsonrpc::ErrorCode,
    serve::{ConnectionSlot, handover},
    types::Secret,
};

/// Answers each call with its parameters; `slow` waits until it is let go.
struct Echo {
    asked: Mutex<Vec<String>>,
    gate: Semaphore,
    batches: AtomicUsize,
}

impl Echo {
    async fn reply(&self, call: RpcCall, session: &Session) -> Served {
        self.asked.lock().push(call.method.to_string());
        if &*call.method == "slow" {
            let _permit = self.gate.acquire().await;
        }
        session.note_latest(session.latest() + 1);
        let result = match &*call.method {
            "count" => RawJson::from_value(&json!(session.latest())),
            "never" => std::future::pending().await,
            _ => RawJson::parse(call.params).unwrap(),
        };
        let by = ServedBy::Upstream(UpstreamId::parse("geth-primary").unwrap());
        Served { answer: RpcAnswer::Result(result), by }
    }
}

impl Rpc for Echo {
    fn call<'a>(&'a self, call: RpcCall, session: &'a Session, _: Instant) -> Answering<'a, Served> {
        Box::pin(self.reply(call, session))
    }

    fn call_batch<'a>(
        &'a self,
        calls: Vec<RpcCall>,
        session: &'a Session,
        _: Instant,
    ) -> Answering<'a, Vec<Served>> {
        self.batches.fetch_add(1, Relaxed);
        Box::pin(async move {
            let mut replies = Vec::new();
            for call in calls {
                replies.push(self.reply(call, session).await);
            }
            replies
        })
    }
}

fn settings() -> RpcSettings {
    RpcSettings {
        listen: ([127, 0, 0, 1], 0).into(),
        chain_id: 1,
        block_time: Duration::from_secs(12),
        upstreams: Vec::new(),
        health: HealthPolicy::default(),
        methods: MethodPolicy::default(),
        deadline: Duration::from_secs(10),
        attempt: Duration::from_secs(2),
        hedge: false,
        send_to_backups: false,
        cache: CacheSettings { max_bytes: 0 },
        limits: ClientLimits { max_batch: 4, max_body_bytes: 64 << 10, ..ClientLimits::default() },
        tokens: Vec::new(),
        allowed_hosts: Vec::new(),
        allowed_origins: Vec::new(),
    }
}

struct Stage {
    router: Router,
    echo: Arc<Echo>,
    board: Board,
    pressure: watch::Sender<Pressure>,
    answers: AnswerMeter,
    bundles: Option<crate::serve::HandedRequests>,
    slot: ConnectionSlot,
    /// The same calls with limits of their own, for what is not HTTP.
    calls: Calls,
}

struct Answered {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Answered {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{:?}", self.body))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

fn stage(change: impl FnOnce(&mut RpcSettings)) -> Stage {
    let mut settings = settings();
    change(&mut settings);
    let echo =
        Arc::new(Echo { asked: Mutex::default(), gate: Semaphore::new(0), batches: AtomicUsize::new(0) });
    let standing = Standing {
        id: UpstreamId::parse("geth-primary").unwrap(),
        tier: Tier::Primary,
        state: UpstreamState::Unknown,
        reason: "it never showed a head".to_owned(),
        since: 0,
        head: None,
        finalized: None,
        lag: None,
        earliest: None,
        version: None,
    };
    let (board, _) = Board::new(vec![standing]);
    let (pressure, seen) = watch::channel(Pressure::None);
    let (answers, (hand, handed)) = (AnswerMeter::default(), handover());
    let calls = calls(&settings, Arc::clone(&echo) as _, seen.clone(), answers.clone());
    let parts = RpcApiParts {
        settings,
        rpc: Arc::clone(&echo) as _,
        board: board.clone(),
        pressure: seen,
        answers: answers.clone(),
        own_token: Some(Secret("own-token".to_owned())),
        bundles: Some(hand),
        hop: Some(axum::http::HeaderValue::from_static("its-own")),
        subscriptions: None,
    };
    let (router, _) = router(parts, CancellationToken::new());
    let slot = ConnectionSlot::default();
    Stage { router, echo, board, pressure, answers, bundles: Some(handed), slot, calls }
}

impl Stage {
    async fn send(&self, request: axum::http::request::Builder, body: impl Into<Body>) -> Answered {
        let peer: SocketAddr = ([10, 0, 0, 1], 7).into();
        let request = request.extension(ConnectInfo(peer)).extension(self.slot.clone());
        let request: Request = request.body(body.into()).unwrap();
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answered { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    async fn post(&self, body: impl Into<Body>) -> Answered {
        self.send(Request::post("/").header(header::CONTENT_TYPE, "application/json"), body).await
    }
}

fn call(id: &str, method: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":["0x1", "latest"]}}"#)
}

/// The examples of the specification, and what people send in their place.
#[tokio::test]
async fn bodies_are_answered_by_the_letter() {
    let stage = stage(|_| {});
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let nested =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{}{}}}"#, "[".repeat(80), "]".repeat(80));
    let error = |id: Value, code: i64| json!({ "id": id, "code": code });
    let table: Vec<(String, Value)> = vec![
        (call("1", "m"), json!({"jsonrpc": "2.0", "id": 1, "result": ["0x1", "latest"]})),
        (call("\"x\"", "m"), json!({"jsonrpc": "2.0", "id": "x", "result": ["0x1", "latest"]})),
        (call("null", "m"), json!({"jsonrpc": "2.0", "id": null, "result": ["0x1", "latest"]})),
        (r#"{"jsonrpc":"2.0","id":1,"method":"m"}"#.into(), json!({"jsonrpc": "2.0", "id": 1, "result": []})),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":1}}"#.into(),
            json!({"jsonrpc": "2.0", "id": 1, "result": {"a": 1}}),
        ),
        (String::new(), error(Value::Null, -32700)),
        ("not json".into(), error(Value::Null, -32700)),
        (
            r#"{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]"#.into(),
            error(Value::Null, -32700),
        ),
        (
            r#"[{"jsonrpc":"2.0","method":"sum","params":[1],"id":"1"},{"jsonrpc":"2.0","method""#.into(),
            error(Value::Null, -32700),
        ),
        (format!("{} trailing", call("1", "m")), error(Value::Null, -32700)),
        (r#"{"jsonrpc": "2.0", "method": 1, "params": "bar"}"#.into(), error(Value::Null, -32600)),
        ("[]".into(), error(Value::Null, -32600)),
        ("[1]".into(), json!([error(Value::Null, -32600)])),
        (
            "[1,2,3]".into(),
            json!([error(Value::Null, -32600), error(Value::Null, -32600), error(Value::Null, -32600)]),
        ),
        ("7".into(), error(Value::Null, -32600)),
        ("null".into(), error(Value::Null, -32600)),
        (r#"{"id":5,"method":"m"}"#.into(), error(json!(5), -32600)),
        (r#"{"jsonrpc":"2.0","id":5,"method":"m","method":"n"}"#.into(), error(json!(5), -32600)),
        (deep, error(Value::Null, -32600)),
        (nested, error(Value::Null, -32600)),
        ("[1,2,3,4,5]".into(), error(Value::Null, -32600)),
        (format!("[{}]", vec!["1"; 2000].join(",")), error(Value::Null, -32600)),
        (
            format!("[{},7,{}]", call("1", "a"), call("\"b\"", "b")),
            json!([
                {"jsonrpc": "2.0", "id": 1, "result": ["0x1", "latest"]},
                error(Value::Null, -32600),
                {"jsonrpc": "2.0", "id": "b", "result": ["0x1", "latest"]},
            ]),
        ),
        (
            format!(r#"[{{"jsonrpc":"2.0","method":"note"}},{}]"#, call("2", "a")),
            json!([{"jsonrpc": "2.0", "id": 2, "result": ["0x1", "latest"]}]),
        ),
    ];
    for (body, want) in table {
        let shown: String = body.chars().take(80).collect();
        let answer = stage.post(body).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"), "{shown}");
        check(&answer.json(), &want, &shown);
    }
}

#[track_caller]
fn check(got: &Value, want: &Value, shown: &str) {
    match (got, want) {
        (Value::Array(got), Value::Array(want)) => {
            assert_eq!(got.len(), want.len(), "{shown}: {got:?}");
            got.iter().zip(want).for_each(|(got, want)| check(got, want, shown));
        }
        (got, want) if want.get("code").is_some() => {
            assert_eq!(got["id"], want["id"], "{shown}: {got}");
            assert_eq!(got["error"]["code"], want["code"], "{shown}: {got}");
            assert!(!got["error"]["message"].as_str().unwrap().is_empty(), "{shown}: {got}");
            assert_eq!((&got["jsonrpc"], got.get("result")), (&json!("2.0"), None), "{shown}: {got}");
        }
        (got, want) => assert_eq!(got, want, "{shown}"),
    }
}

#[tokio::test]
async fn notifications_are_served_and_not_answered() {
    let stage = stage(|_| {});
    let note = r#"{"jsonrpc":"2.0","method":"eth_sendRawTransaction","params":["0x1"]}"#;
    for body in [note.to_owned(), format!("[{note},{note}]")] {
        let answer = stage.post(body).await;
        assert_eq!((answer.status, answer.body.len()), (204, 0));
    }
    assert_eq!(stage.echo.asked.lock().len(), 3);
}

#[tokio::test]
async fn ids_and_results_are_the_very_bytes_that_came() {
    let stage = stage(|_| {});
    let answer = stage.post(call("1.50e3", "m")).await;
    assert_eq!(answer.body, r#"{"jsonrpc":"2.0","id":1.50e3,"result":["0x1", "latest"]}"#.as_bytes());
    assert_eq!(answer.header("x-relaymux-upstream"), "geth-primary");
    assert!(answer.header("server-timing").starts_with("total;dur="));
    let batch = stage.post(format!("[{},7]", call("1", "m"))).await;
    assert_eq!(batch.header("x-relaymux-upstream"), "geth-primary, gateway");
    assert_eq!(stage.echo.batches.load(Relaxed), 1);
    // A batch of one is a batch.
    assert!(stage.post(format!("[{}]", call("1", "m"))).await.json().is_array());
}

#[tokio::test]
async fn a_body_has_its_bounds_and_its_type() {
    let stage = stage(|_| {});
    let large = stage.post(vec![b' '; 10 << 20]).await;
    assert_eq!((large.status, large.json()["error"]["code"].as_i64()), (413, Some(-32600)));
    for (kind, want) in [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("APPLICATION/JSON-RPC", 200),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
    ] {
        let request = Request::post("/").header(header::CONTENT_TYPE, kind);
        assert_eq!(stage.send(request, call("1", "m")).await.status, want, "{kind}");
    }
    assert_eq!(stage.send(Request::post("/"), call("1", "m")).await.status, 200);
}

#[tokio::test]
async fn routes_are_a_node_s() {
    let stage = stage(|_| {});
    for (method, path, want) in [
        (Method::GET, "/", 200),
        (Method::PUT, "/", 405),
        (Method::POST, "/other", 404),
        (Method::POST, "/healthz", 405),
    ] {
        let request = Request::builder().method(method.clone()).uri(path);
        assert_eq!(stage.send(request, Body::empty()).await.status, want, "{method} {path}");
    }
    let answer = stage.send(Request::get("/healthz"), Body::empty()).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["not_serving"][0]["reason"], "it never showed a head");
    let mut snapshot = (*stage.board.snapshot()).clone();
    snapshot.order = vec![0];
    let hash = alloy_primitives::B256::ZERO;
    snapshot.tip = Some(Head { number: 7, hash, parent_hash: hash, timestamp: 1 });
    stage.board.publish(snapshot);
    let answer = stage.send(Request::get("/healthz"), Body::empty()).await;
    assert_eq!((answer.status, &answer.json()["head"]), (200, &json!(7)));
}

#[tokio::test]
async fn a_client_is_told_when_it_asks_too_much() {
    let stage = stage(|settings| {
        settings.limits.max_requests_per_second = 1;
        settings.limits.burst = 1;
    });
    let batch = format!("[{},{},{}]", call("1", "m"), call("2", "m"), call("3", "m"));
    let answer = stage.post(batch.clone()).await;
    let codes: Vec<Value> =
        answer.json().as_array().unwrap().iter().map(|one| one["error"]["code"].clone()).collect();
    assert_eq!((answer.status, codes), (200, vec![Value::Null, Value::Null, json!(-32005)]));
    assert_eq!(answer.header("retry-after"), "1");
    let one = stage.post(call("\"a\"", "m")).await;
    assert_eq!((one.status, one.header("retry-after")), (429, "1"));
    assert_eq!((&one.json()["id"], &one.json()["error"]["code"]), (&json!("a"), &json!(-32005)));
    assert_eq!(stage.post(batch.clone()).await.status, 429);
    // The service's own watchers are not its clients.
    let own = Request::post("/").header(header::AUTHORIZATION, "Bearer own-token");
    assert_eq!(stage.send(own, batch).await.json()[2]["id"], 3);
    // What a client asks too much is no failure of ours.
    assert_eq!(stage.answers.take().bad, 0);
}

#[tokio::test]
async fn the_lower_class_is_turned_away_first() {
    let stage = stage(|settings| settings.limits.max_in_flight = 2);
    stage.pressure.send_replace(Pressure::High);
    let logs = stage.post(call("1", "eth_getLogs")).await;
    assert_eq!((logs.status, logs.header("retry-after")), (503, "1"));
    assert_eq!(logs.json()["error"]["code"], -32005);
    assert_eq!(stage.post(call("1", "eth_call")).await.status, 200);
    stage.pressure.send_replace(Pressure::None);
    assert_eq!(stage.post(call("1", "eth_getLogs")).await.status, 200);
    // Both places are taken: the second by a send.
    let waiting = stage.post(call("1", "slow"));
    tokio::pin!(waiting);
    assert!(futures_util::poll!(&mut waiting).is_pending());
    assert_eq!(stage.post(call("1", "eth_getLogs")).await.status, 503);
    assert_eq!(stage.post(call("1", "eth_sendRawTransaction")).await.status, 200);
    stage.echo.gate.add_permits(1);
    assert_eq!(waiting.await.status, 200);
    let seen = stage.answers.take();
    assert_eq!((seen.bad, seen.good), (2, 4));
}

#[tokio::test(start_paused = true)]
async fn whoever_never_answers_is_answered_for() {
    let stage = stage(|_| {});
    let answer = stage.post(call("1", "never")).await;
    assert_eq!(answer.json()["error"]["code"], -32603);
    assert_eq!(answer.header("x-relaymux-upstream"), "gateway");
    assert_eq!(stage.answers.take().bad, 1);
}

/// As over a websocket whose client does not read: nobody looks whether there is an answer.
#[tokio::test(start_paused = true)]
async fn places_are_given_back_by_the_deadline_whoever_waits() {
    let stage = stage(|settings| settings.limits.max_in_flight = 1);
    let caller = Caller { client: ClientId::Address([10, 0, 0, 1].into()), is_own: false };
    let session = Session::new(caller.client.clone());
    let room = AnswerRooms::new(1 << 20).room();
    let serve = |method: &'static str| {
        let (calls, caller, session) = (stage.calls.clone(), caller.clone(), session.clone());
        let room = room.clone();
        async move {
            let body = Bytes::from(call("1", method));
            let incoming = read_strictly(&body, FramingLimits { batch: 10, depth: 10 }).unwrap();
            let said = calls.serve(incoming, &body, &caller, &session, Way::Websocket(&room)).await;
            String::from_utf8(said.into_bytes().unwrap().to_vec()).unwrap()
        }
    };
    let forgotten = serve("never");
    tokio::pin!(forgotten);
    assert!(futures_util::poll!(&mut forgotten).is_pending());
    assert!(serve("eth_sendRawTransaction").await.contains("-32005"));
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert!(serve("m").await.contains("result"));
    assert!(forgotten.await.contains("-32603"));
    // Who hangs up gives its place back at once.
    {
        let hung_up = stage.post(call("1", "never"));
        tokio::pin!(hung_up);
        assert!(futures_util::poll!(&mut hung_up).is_pending());
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(stage.post(call("1", "m")).await.status, 200);
}

/// Answers that are there while an earlier one is still on its way to a client that does not read.
#[tokio::test]
async fn answers_that_wait_for_a_websocket_are_bounded_in_bytes() {
    let stage = stage(|_| {});
    let front = Front { calls: stage.calls.clone(), framing: FramingLimits { batch: 4, depth: DEPTH } };
    let session = Session::new(ClientId::Address([10, 0, 0, 1].into()));
    let room = AnswerRooms::new(100 << 10).room();
    let ask = |method: &str, bytes: usize| {
        let text =
            json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": ["x".repeat(bytes)]}).to_string();
        front.answer(text.into(), &session, &room)
    };
    let mut waiting: Vec<_> = (0..4).map(|_| ask("m", 40 << 10)).collect();
    waiting.push(ask("m", 100));
    waiting.push(ask("eth_sendRawTransaction", 40 << 10));
    for answer in &mut waiting {
        assert!(futures_util::poll!(answer).is_pending());
    }
    while stage.echo.asked.lock().len() < 6 {
        tokio::task::yield_now().await;
    }
    let mut texts = Vec::new();
    for answer in waiting {
        texts.push(answer.await.unwrap());
    }
    let is_result = |text: &Bytes| serde_json::from_slice::<Value>(text).unwrap()["error"]["code"] != -32005;
    assert_eq!(texts.iter().map(is_result).collect::<Vec<_>>(), [true, true, false, false, true, true]);
    // Once it has read them there is room.
    drop(texts);
    assert!(is_result(&ask("m", 40 << 10).await.unwrap()));
}

/// A client that hangs up once its transaction was taken has sent it.
#[tokio::test]
async fn a_send_outlives_its_client() {
    let stage = stage(|_| {});
    let body = format!("[{},{}]", call("1", "slow"), call("2", "eth_sendRawTransaction"));
    {
        let hung_up = stage.post(body);
        tokio::pin!(hung_up);
        while stage.echo.asked.lock().is_empty() {
            assert!(futures_util::poll!(&mut hung_up).is_pending());
            tokio::task::yield_now().await;
        }
    }
    stage.echo.gate.add_permits(1);
    let sent = async {
        while stage.echo.asked.lock().len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), sent).await.expect("it was not sent");
}

#[tokio::test]
async fn subscriptions_are_charged_and_may_be_denied() {
    let mut settings = settings();
    settings.limits.max_requests_per_second = 1;
    settings.limits.burst = 2;
    settings.methods.deny = vec!["eth_subscribe".to_owned()];
    let stage = stage(|given| *given = settings);
    let front = Front { calls: stage.calls.clone(), framing: FramingLimits { batch: 4, depth: DEPTH } };
    let session = Session::new(crate::gateway::ClientId::Address([10, 0, 0, 1].into()));
    let room = AnswerRooms::new(1 << 20).room();
    assert_eq!(front.admit("eth_subscribe", &session).unwrap_err().code, ErrorCode::MethodNotFound);
    assert!(front.admit("eth_unsubscribe", &session).is_ok());
    // A message that cannot be read is charged, too.
    let text =
        String::from_utf8(front.answer(Bytes::from_static(b"{"), &session, &room).await.unwrap().to_vec())
            .unwrap();
    assert!(text.contains("-32700"), "{text}");
    assert_eq!(front.admit("eth_unsubscribe", &session).unwrap_err().code, ErrorCode::LimitExceeded);
    let text =
        String::from_utf8(front.answer(Bytes::from_static(b"{"), &session, &room).await.unwrap().to_vec())
            .unwrap();
    assert!(text.contains("-32005"), "{text}");
}

#[tokio::test]
async fn what_cannot_be_read_and_bundles_cost_of_the_rate() {
    for body in ["{", "[]", "7", "[1,2]", "bundles", "large"] {
        let mut stage = stage(|settings| {
            settings.limits.max_requests_per_second = 1;
            settings.limits.burst = 1;
            settings.limits.max_body_bytes = 1000;
        });
        let handed = stage.bundles.take().unwrap();
        let stop = CancellationToken::new();
        let searchers = Router::new().route("/", axum::routing::post(async || StatusCode::ACCEPTED));
        let room = tokio::spawn(handed.serve(searchers, stop.clone(), DRAIN));
        let bundle = call("1", "eth_sendBundle");
        let (sent, first, second) = match body {
            "bundles" => (format!("[{bundle},{bundle}]"), 202, 429),
            "large" => (" ".repeat(2000), 413, 413),
            "[1,2]" => (body.to_owned(), 200, 429),
            _ => (body.to_owned(), 200, 200),
        };
        for want in [first, second, 429] {
            assert_eq!(stage.post(sent.clone()).await.status, want, "{body}");
        }
        stop.cancel();
        room.await.unwrap();
    }
}

/// What is wrong with upstreams is for those who may call.
#[tokio::test]
async fn health_is_shown_in_full_to_those_who_may_call() {
    let stage = stage(|settings| {
        settings.tokens = vec![("wallet".to_owned(), Secret("wallet-token".to_owned()))];
    });
    let answer = stage.send(Request::get("/healthz"), Body::empty()).await;
    assert_eq!((answer.status, answer.json()), (503, json!({ "ok": false, "head": null })));
    let with = Request::get("/healthz").header(header::AUTHORIZATION, "Bearer wallet-token");
    assert_eq!(stage.send(with, Body::empty()).await.json()["not_serving"][0]["id"], "geth-primary");
}

/// A proxy sends calls of several clients over one connection.
#[tokio::test]
async fn a_connection_has_a_session_for_each_client() {
    let stage = stage(|settings| {
        settings.tokens = vec![("wallet".to_owned(), Secret("wallet-token".to_owned()))];
    });
    for (token, want) in [("own-token", 1), ("wallet-token", 1), ("own-token", 2), ("wallet-token", 2)] {
        let with = Request::post("/").header(header::AUTHORIZATION, format!("Bearer {token}"));
        assert_eq!(stage.send(with, call("1", "count")).await.json()["result"], want, "{token}");
    }
}

/// What is paid inside a block is proven by traces, also when CPU is short.
#[tokio::test]
async fn the_service_s_own_traces_are_reads() {
    let stage = stage(|_| {});
    stage.pressure.send_replace(Pressure::High);
    assert_eq!(stage.post(call("1", "trace_block")).await.status, 503);
    let own = Request::post("/").header(header::AUTHORIZATION, "Bearer own-token");
    assert_eq!(stage.send(own, call("1", "trace_block")).await.status, 200);
}

/// An upstream by a name of ours, or behind a proxy that leads here.
#[tokio::test]
async fn a_call_that_comes_back_is_refused() {
    let stage = stage(|_| {});
    for (hop, want) in [("its-own", 508), ("another-s, its-own, third", 508), ("another-s", 200)] {
        let request = Request::post("/").header("x-relaymux-hop", hop);
        let answer = stage.send(request, call("1", "m")).await;
        assert_eq!(answer.status, want, "{hop}");
        assert_eq!(stage.echo.asked.lock().len(), usize::from(want == 200));
    }
}

#[tokio::test]
async fn a_connection_is_one_session() {
    let mut stage = stage(|_| {});
    for want in [1, 2] {
        assert_eq!(stage.post(call("1", "count")).await.json()["result"], want);
    }
    stage.slot = ConnectionSlot::default();
    assert_eq!(stage.post(call("1", "count")).await.json()["result"], 1);
}

#[tokio::test]
async fn tokens_are_asked_for_where_there_are_any() {
    let stage = stage(|settings| {
        settings.tokens = vec![("wallet".to_owned(), Secret("wallet-token".to_owned()))];
        settings.allowed_origins = vec!["https://app.example".to_owned()];
    });
    let refused = stage.post(call("1", "m")).await;
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, "Bearer realm=\"relaymux\""));
    assert!(refused.json()["error"]["message"].as_str().unwrap().contains("tokens_file"));
    let with = Request::post("/").header(header::AUTHORIZATION, "Bearer wallet-token");
    assert_eq!(stage.send(with, call("1", "m")).await.status, 200);
    // A browser asks first, and sends no token when it does.
    let ask = Request::options("/").header(header::ORIGIN, "https://app.example");
    let answer = stage.send(ask.header("access-control-request-method", "POST"), Body::empty()).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (204, "https://app.example"));
    assert_eq!((answer.header("vary"), answer.header("access-control-max-age")), ("Origin", "600"));
    assert!(answer.header("access-control-allow-headers").contains("authorization"));
    // It reads refusals, too.
    let page = Request::post("/").header(header::ORIGIN, "https://app.example");
    let answer = stage.send(page, call("1", "m")).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (401, "https://app.example"));
}

#[tokio::test]
async fn bundles_are_handed_on_as_they_came() {
    let mut stage = stage(|_| {});
    let handed = stage.bundles.take().unwrap();
    let stop = CancellationToken::new();
    let searchers = Router::new().route(
        "/",
        axum::routing::post(|headers: HeaderMap, body: Bytes| async move {
            let signed = headers["x-flashbots-signature"].to_str().unwrap().to_owned();
            (StatusCode::ACCEPTED, [("x-signed", signed)], body)
        }),
    );
    let room = tokio::spawn(handed.serve(searchers, stop.clone(), DRAIN));
    let body = format!("[ {} ]", call("1", "eth_sendBundle"));
    let request = Request::post("/").header("x-flashbots-signature", "0xa:0xb");
    let answer = stage.send(request, body.clone()).await;
    assert_eq!((answer.status, answer.header("x-signed")), (202, "0xa:0xb"));
    assert_eq!(answer.body, body.as_bytes());
    let mixed = stage.post(format!("[{},{}]", call("1", "eth_sendBundle"), call("2", "eth_call"))).await;
    assert_eq!((mixed.status, &mixed.json()["error"]["code"]), (200, &json!(-32600)));
    assert!(stage.echo.asked.lock().is_empty());
    stop.cancel();
    room.await.unwrap();
    assert_eq!(stage.post(body).await.status, 503);
}

#[tokio::test]
async fn the_answers_of_a_batch_are_bounded_together() {
    let stage = stage(|settings| settings.limits.max_answer_bytes = 200);
    let large = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":["{}"]}}"#, "a".repeat(100));
    let answer = stage.post(format!("[{large},{large},{large}]")).await;
    let codes: Vec<Value> =
        answer.json().as_array().unwrap().iter().map(|one| one["error"]["code"].clone()).collect();
    assert_eq!(codes, [Value::Null, json!(-32005), json!(-32005)]);
}

/// The rest is not asked, but for transactions, and nothing that does not fit is held.
#[tokio::test]
async fn a_batch_ends_once_its_answers_are_too_large() {
    let stage = stage(|settings| {
        settings.limits.max_answer_bytes = 3000;
        settings.limits.max_batch = 200;
        settings.limits.max_body_bytes = 1 << 20;
    });
    let large = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":["{}"]}}"#, "a".repeat(1000));
    let mut calls = vec![large; 120];
    calls.push(call("2", "eth_sendRawTransaction"));
    let answer = stage.post(format!("[{}]", calls.join(","))).await.json();
    let answers = answer.as_array().unwrap();
    assert_eq!(answers.len(), 121);
    assert_eq!(answers.iter().filter(|answer| answer["error"]["code"] == -32005).count(), 118);
    assert_eq!(answers[120]["id"], 2, "what became of a transaction is told");
    assert!(answers[120].get("result").is_some(), "{}", answers[120]);
    let message = answers[100]["error"]["message"].as_str().unwrap();
    assert!(message.contains("[rpc] max_answer_bytes"), "{message}");
    let asked = stage.echo.asked.lock().clone();
    assert_eq!(asked.iter().filter(|method| *method == "m").count(), 50, "the first that are asked at once");
    assert_eq!(asked.last().unwrap(), "eth_sendRawTransaction");
    // As many heavy ones are not asked at once.
    stage.echo.batches.store(0, Relaxed);
    let calls = vec![call("1", "eth_getLogs"); 9];
    stage.post(format!("[{}]", calls.join(","))).await;
    assert_eq!(stage.echo.batches.load(Relaxed), 3);
}
