//! Over real sockets, with servers that do what they are told.

use std::{
    io::Write,
    sync::atomic::{AtomicU32, AtomicUsize},
    time::Duration,
};

use http::HeaderMap;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use url::Url;

use super::*;
use crate::{
    gateway::{BadAnswer, Tier},
    http_client::TlsRoots,
};

/// Limit of an answer in these tests, in bytes.
const LIMIT: usize = 10_000;

pub(super) fn settings(url: &str) -> UpstreamSettings {
    UpstreamSettings {
        id: UpstreamId::parse("node").unwrap(),
        node: None,
        url: Url::parse(url).unwrap(),
        ws_url: None,
        tier: Tier::Primary,
        headers: HeaderMap::new(),
        probe_every: Duration::from_secs(3),
        max_requests_per_second: None,
        max_requests_per_day: None,
        max_logs_range: None,
        methods: Vec::new(),
        ignore_methods: Vec::new(),
    }
}

fn transport_of(settings: &UpstreamSettings) -> Transport {
    let clients = HttpClients::build(&TlsRoots::Bundled, None).unwrap();
    Transport::new(settings, &clients, Arc::new(|_| true), LIMIT)
}

/// What a server does once it has read a request.
#[derive(Clone)]
enum Script {
    /// Writes these bytes, with the request's id where `ID` stands, and closes.
    Says(Vec<u8>),
    /// Writes them and stays.
    SaysAndStays(Vec<u8>),
}

/// A server, and the requests that it read.
struct Server {
    transport: Transport,
    requests: mpsc::Receiver<String>,
}

async fn server(script: Script) -> Server {
    server_at("/v3/s3cret", script).await
}

async fn server_at(path: &str, script: Script) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (read, requests) = mpsc::channel(100);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(play(stream, script.clone(), read.clone()));
        }
    });
    Server { transport: transport_of(&settings(&format!("http://127.0.0.1:{port}{path}"))), requests }
}

async fn play(mut stream: TcpStream, script: Script, read: mpsc::Sender<String>) {
    loop {
        let mut text = Vec::new();
        let whole = loop {
            let mut chunk = [0; 4096];
            let Ok(got @ 1..) = stream.read(&mut chunk).await else { return };
            text.extend_from_slice(&chunk[..got]);
            let so_far = String::from_utf8_lossy(&text).into_owned();
            if let Some((head, body)) = so_far.split_once("\r\n\r\n") {
                let length = head
                    .to_lowercase()
                    .split("content-length: ")
                    .nth(1)
                    .and_then(|rest| rest.split("\r\n").next().map(str::to_owned));
                if length.is_some_and(|length| body.len() >= length.parse().unwrap()) {
                    break so_far;
                }
            }
        };
        let id: String = whole
            .split("\"id\":")
            .nth(1)
            .unwrap_or_default()
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        let _ = read.send(whole).await;
        let (bytes, stays) = match &script {
            Script::Says(bytes) => (bytes, false),
            Script::SaysAndStays(bytes) => (bytes, true),
        };
        let bytes = match std::str::from_utf8(bytes) {
            // An id of the same length as its place, so that lengths stay true.
            Ok(text) => text.replace("ID", &format!("{id:>2}")).into_bytes(),
            Err(_) => bytes.clone(),
        };
        if stream.write_all(&bytes).await.is_err() || !stays {
            return;
        }
    }
}

fn http(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut bytes =
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(300)
}

fn later() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn block_number() -> RpcCall {
    RpcCall::bare("eth_blockNumber")
}

async fn call(script: Script, deadline: Instant) -> Result<RpcAnswer, CallError> {
    server(script).await.transport.call(&block_number(), deadline).await
}

#[track_caller]
fn failure(answer: Result<RpcAnswer, CallError>) -> TransportFailure {
    match answer {
        Err(CallError::Transport(failure)) => {
            assert!(
                !failure.to_string().contains("s3cret") && !failure.to_string().contains("127.0.0.1"),
                "{failure}"
            );
            failure
        }
        other => panic!("{other:?}"),
    }
}

const GOOD: &str = r#"{"jsonrpc":"2.0","id":ID,"result":"0x1b"}"#;

#[track_caller]
fn is_good(answer: Result<RpcAnswer, CallError>) {
    assert!(
        matches!(&answer, Ok(RpcAnswer::Result(result)) if result.as_bytes() == "\"0x1b\""),
        "{answer:?}"
    );
}

#[tokio::test]
async fn an_answer_comes_and_the_connection_is_kept() {
    let mut server = server(Script::SaysAndStays(http("200 OK", "", GOOD))).await;
    is_good(server.transport.call(&block_number(), later()).await);
    is_good(server.transport.call(&block_number(), later()).await);
    let (first, second) = (server.requests.recv().await.unwrap(), server.requests.recv().await.unwrap());
    assert!(first.starts_with("POST /v3/s3cret HTTP/1.1\r\n"), "{first}");
    assert!(first.ends_with(r#"{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}"#), "{first}");
    assert!(second.contains("\"id\":2,"), "{second}");
    assert!(!format!("{:?}", server.transport).contains("s3cret"));
}

#[tokio::test]
async fn an_answer_that_came_packed_is_unpacked() {
    let body = gzip(br#"{"jsonrpc":"2.0","id":1,"result":"0x1b"}"#);
    is_good(call(Script::Says(http("200 OK", "content-encoding: gzip\r\n", body)), later()).await);
}

#[tokio::test]
async fn what_is_more_than_it_may_be_is_cut_off() {
    let bomb = gzip(&vec![b' '; 10 << 20]);
    for script in [
        http("200 OK", "content-encoding: gzip\r\n", bomb),
        http("200 OK", "", vec![b' '; LIMIT + 1]),
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n".to_vec(),
    ] {
        let answer = call(Script::Says(script), later()).await;
        assert_eq!(failure(answer), TransportFailure::TooLarge { limit: LIMIT });
    }
}

#[tokio::test]
async fn a_refused_connection_is_told_as_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let transport = transport_of(&settings(&format!("http://127.0.0.1:{port}/s3cret")));
    let failure = failure(transport.call(&block_number(), later()).await);
    assert!(matches!(failure, TransportFailure::Connect(_)), "{failure:?}");
    let other = transport_of(&settings("ws://127.0.0.1:1/s3cret"));
    assert!(matches!(other.post(Bytes::new(), 1, later()).await, Err(TransportFailure::Connect(_))));
}

#[tokio::test]
async fn silence_ends_by_the_deadline() {
    for said in [
        "",
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"jsonrpc\"",
        "HTTP/1.1 429 Too Many\r\ncontent-length: 9\r\n\r\n",
    ] {
        let answer = call(Script::SaysAndStays(said.into()), soon()).await;
        assert_eq!(failure(answer), TransportFailure::TimedOut, "{said}");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_is_told_as_one() {
    for said in [
        "",
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"jsonrpc\"",
        "these are no words of HTTP\r\n\r\n",
    ] {
        let failure = failure(call(Script::Says(said.into()), later()).await);
        assert!(matches!(failure, TransportFailure::Broken(_)), "{said}: {failure:?}");
    }
}

#[tokio::test]
async fn what_answers_no_call_of_ours_is_no_answer() {
    for (body, want) in [
        (r#"{"jsonrpc":"2.0","id":99,"result":"0x1b"}"#, Some(BadAnswer::WrongId)),
        (r#"{"jsonrpc":"2.0","id":ID,"result":"0x1"#, None),
        ("<html>", None),
        ("", None),
    ] {
        match call(Script::Says(http("200 OK", "", body)), later()).await {
            Err(CallError::Bad(bad)) => assert!(want.is_none_or(|want| want == bad), "{body}: {bad:?}"),
            other => panic!("{body}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn http_errors_are_told_with_what_they_ask_for_unless_an_answer_is_in_them() {
    let error = r#"{"jsonrpc":"2.0","id":ID,"error":{"code":-32000,"message":"header not found"}}"#;
    let null = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"batch too large"}}"#;
    let wait = |seconds| Some(Duration::from_secs(seconds));
    let status = |status, retry_after| Some(TransportFailure::Status { status, retry_after });
    for (line, headers, body, want) in [
        ("500 Internal Server Error", "", error, None),
        ("400 Bad Request", "", null, None),
        ("404 Not Found", "", GOOD, None),
        ("500 Internal Server Error", "", "it broke", status(500, None)),
        ("502 Bad Gateway", "", "", status(502, None)),
        ("503 Service Unavailable", "retry-after: 7\r\n", "<html>", status(503, wait(7))),
        ("429 Too Many Requests", "retry-after: 30\r\n", error, status(429, wait(30))),
        ("401 Unauthorized", "", error, status(401, None)),
        ("302 Found", "location: http://127.0.0.1:1/\r\n", GOOD, status(302, None)),
    ] {
        let answer = call(Script::Says(http(line, headers, body)), later()).await;
        match want {
            Some(want) => assert_eq!(failure(answer), want, "{line} {body}"),
            None => assert!(answer.is_ok(), "{line} {body}: {answer:?}"),
        }
    }
}

#[tokio::test]
async fn a_batch_is_one_request_and_comes_in_order() {
    let body = r#"[{"id":1,"result":"b"},{"id":0,"result":"a"}]"#;
    let mut server = server(Script::Says(http("200 OK", "", body))).await;
    let calls = [block_number(), RpcCall::bare("eth_chainId")];
    let answers = server.transport.batch(&calls, later()).await.unwrap();
    let results: Vec<_> = answers
        .iter()
        .map(|answer| match answer {
            RpcAnswer::Result(result) => result.as_bytes().clone(),
            RpcAnswer::Error(_) => panic!(),
        })
        .collect();
    assert_eq!(results, ["\"a\"", "\"b\""]);
    assert!(server.requests.recv().await.unwrap().contains("[{\"jsonrpc\":\"2.0\",\"id\":0,"));
    assert_eq!(server.transport.batch(&[], later()).await, Ok(Vec::new()));
    let one_is_missing =
        server.transport.batch(&[block_number(), block_number(), block_number()], later()).await;
    assert_eq!(one_is_missing, Err(CallError::Bad(BadAnswer::Incomplete { got: 2, wanted: 3 })));
}

#[tokio::test]
async fn without_budget_nothing_is_sent() {
    let mut server = server(Script::SaysAndStays(http("200 OK", "", GOOD))).await;
    let left = Arc::new(AtomicU32::new(2));
    let asked = Arc::new(AtomicUsize::new(0));
    server.transport.budget = Arc::new({
        let asked = Arc::clone(&asked);
        move |requests| {
            asked.fetch_add(1, Relaxed);
            left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(requests)).is_ok()
        }
    });
    let three = [block_number(), block_number(), block_number()];
    assert_eq!(server.transport.batch(&three, later()).await, Err(TransportFailure::OverBudget.into()));
    is_good(server.transport.call(&block_number(), later()).await);
    is_good(server.transport.call(&block_number(), later()).await);
    assert_eq!(failure(server.transport.call(&block_number(), later()).await), TransportFailure::OverBudget);
    drop(server.transport);
    assert_eq!(asked.load(Relaxed), 4);
    assert!(server.requests.recv().await.is_some() && server.requests.recv().await.is_some());
    assert!(server.requests.try_recv().is_err());
}
