//! Probes of scripted servers, over real sockets.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::Bytes as Body,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    testing::{NOW, settings},
    *,
};
use crate::{http_client::TlsRoots, serve::Listener};

/// The time of the tests, in Unix seconds.
const SECS: u64 = 1_700_000_000;

/// What a scripted node answers to a method, or to a path.
type Script = Arc<dyn Fn(&str, &Value) -> Answer + Send + Sync>;

enum Answer {
    /// The result of a call, or a document.
    Is(Value),
    /// An error of JSON-RPC.
    Error(i64, Value),
    /// A status, and a page.
    Status(u16),
    /// Exactly these bytes.
    Raw(&'static str),
    Hangs,
}
use Answer::{Error, Hangs, Is, Raw, Status};

struct Node {
    url: String,
    stop: CancellationToken,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn node(script: impl Fn(&str, &Value) -> Answer + Send + Sync + 'static) -> Node {
    let script: Script = Arc::new(script);
    let router = Router::new().fallback(serve).with_state(script);
    let listener = Listener::bind("node", SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let (url, stop) = (format!("http://{}", listener.address()), CancellationToken::new());
    tokio::spawn(listener.serve(router, stop.clone(), Duration::ZERO));
    Node { url, stop }
}

async fn serve(
    State(script): State<Script>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    assert_eq!(headers["user-agent"].to_str().unwrap().split('/').next(), Some("relaymux"));
    let call: Value = serde_json::from_slice(&body).unwrap_or_default();
    let is_call = method == Method::POST;
    let name = if is_call { call["method"].as_str().unwrap().to_owned() } else { uri.to_string() };
    match script(&name, &call["params"]) {
        Is(result) if is_call => axum::Json(json!({ "id": call["id"], "result": result })).into_response(),
        Is(document) => axum::Json(document).into_response(),
        Error(code, data) => {
            let error = json!({ "code": code, "message": "words that change", "data": data });
            axum::Json(json!({ "id": call["id"], "error": error })).into_response()
        }
        Status(status) => (StatusCode::from_u16(status).unwrap(), "<html>no</html>").into_response(),
        Raw(text) => text.into_response(),
        Hangs => std::future::pending().await,
    }
}

fn prober() -> Prober {
    Prober::new(&HttpClients::build(&TlsRoots::Bundled, None).unwrap())
}

/// One word for how a probe ended, and its sentence.
async fn probe(kind: NodeKind, settings: &ProbeSettings) -> (&'static str, String) {
    match prober().probe(kind, settings, NOW).await {
        Ok(Sight { ready: Ready::Yes, .. }) => ("yes", String::new()),
        Ok(Sight { ready: Ready::Syncing(words), .. }) => ("syncing", words),
        Ok(Sight { ready: Ready::Lagging(words), .. }) => ("lagging", words),
        Ok(Sight { ready: Ready::No(words), .. }) => ("no", words),
        Err(failure) => {
            let word = match &failure {
                ProbeFailure::TimedOut { .. } => "timed out",
                ProbeFailure::NoConnection(_) => "refused",
                ProbeFailure::Broken(_) => "broken",
                ProbeFailure::Status { .. } => "status",
                ProbeFailure::Garbage(_) => "garbage",
            };
            (word, failure.to_string())
        }
    }
}

fn block(number: u64, secs_old: u64) -> Value {
    json!({ "number": format!("{number:#x}"), "timestamp": format!("{:#x}", SECS - secs_old), "transactions": [] })
}

/// A geth that is well, but for what `other` says.
fn geth(other: impl Fn(&str, &Value) -> Option<Answer> + Send + Sync + 'static) -> Node {
    node(move |method, params| {
        other(method, params).unwrap_or_else(|| match method {
            "eth_chainId" => Is(json!("0x1")),
            "eth_getBlockByNumber" if params[0] == "finalized" => Is(block(36, 800)),
            "eth_getBlockByNumber" => Is(block(100, 4)),
            "eth_syncing" => Is(json!(false)),
            "net_peerCount" => Is(json!("0x19")),
            "web3_clientVersion" => Is(json!("Geth/v1.16.4\n")),
            _ => Error(-32601, Value::Null),
        })
    })
}

fn only(wanted: &'static str, answer: fn() -> Answer) -> impl Fn(&str, &Value) -> Option<Answer> {
    move |method, params| (method == wanted && params[0] != "finalized").then(answer)
}

#[tokio::test]
async fn execution_clients_in_every_state() {
    const HEAD: &str = "eth_getBlockByNumber";
    let long = ProbeSettings { chain_id: Some(1), ..settings("http://x/") };
    let nodes = [
        (geth(|_, _| None), "yes", ""),
        (
            geth(only("eth_syncing", || Is(json!({"currentBlock": "0x1", "highestBlock": "0xffff"})))),
            "syncing",
            "65534",
        ),
        (geth(only(HEAD, || Is(block(100, 90)))), "lagging", "block 100"),
        (geth(only("eth_chainId", || Is(json!("0x5")))), "no", "chain 5"),
        (geth(only("net_peerCount", || Is(json!("0x0")))), "yes", ""),
        (geth(only("net_peerCount", || Error(-32601, Value::Null))), "yes", ""),
        (geth(|method, _| (method != HEAD).then_some(Error(-32601, Value::Null))), "yes", ""),
        (geth(only(HEAD, || Is(Value::Null))), "no", "no latest block"),
        (geth(only(HEAD, || Error(-32000, Value::Null))), "no", "-32000"),
        (geth(only(HEAD, || Error(-32601, Value::Null))), "no", "no latest block"),
        (geth(|_, _| Some(Status(401))), "no", "8551"),
        (geth(|_, _| Some(Status(403))), "no", "vhosts"),
        (geth(|_, _| Some(Status(404))), "no", "url"),
        (geth(|_, _| Some(Status(301))), "no", "url"),
        (geth(|_, _| Some(Status(429))), "status", "429"),
        (geth(|_, _| Some(Status(503))), "status", "503"),
        (geth(|_, _| Some(Status(206))), "garbage", "no JSON-RPC answer"),
        (geth(|_, _| Some(Raw("<html>"))), "garbage", "no JSON-RPC answer"),
        (geth(|_, _| Some(Raw(r#"{"id":1,"result":{"number":"0x1""#))), "garbage", "no JSON-RPC answer"),
        (geth(|_, _| Some(Raw(r#"{"id":99,"result":"0x1"}"#))), "garbage", "another call"),
        (
            geth(only(HEAD, || Is(json!({"number": "0x1ffffffffffffffff", "timestamp": "0x1"})))),
            "garbage",
            HEAD,
        ),
        (geth(only(HEAD, || Is(json!({"number": 7, "timestamp": 8})))), "garbage", HEAD),
        (
            geth(only(HEAD, || {
                Is(json!({"number": "0xffffffffffffffff", "timestamp": "0xffffffffffffffff"}))
            })),
            "lagging",
            "future",
        ),
        (geth(only("eth_chainId", || Is(json!("0x1ffffffffffffffff")))), "garbage", "eth_chainId"),
        (geth(only("web3_clientVersion", || Is(json!(7)))), "yes", ""),
        (geth(only("eth_syncing", || Is(json!([1e300])))), "yes", ""),
    ];
    for (place, (node, want, word)) in nodes.iter().enumerate() {
        let settings = ProbeSettings { url: node.url.parse().unwrap(), ..long.clone() };
        let (got, words) = probe(NodeKind::Geth, &settings).await;
        assert_eq!(got, *want, "{place}: {words}");
        assert!(words.contains(word), "{place}: {words}");
    }
    let sight = prober().probe(NodeKind::Reth, &settings(&nodes[0].0.url), NOW).await.unwrap();
    assert_eq!((sight.head, sight.behind, sight.peers), (Some(100), Some(0), Some(25)));
    assert_eq!(sight.version.as_deref(), Some("Geth/v1.16.4"));
    assert!((800..860).contains(&sight.finalized_age.unwrap().as_secs()) && sight.took > Duration::ZERO);
    let sight = prober().probe(NodeKind::Nitro, &settings(&nodes[0].0.url), NOW).await.unwrap();
    assert_eq!((sight.ready, sight.peers), (Ready::Yes, None), "nobody is asked for peers of nitro");
}

#[tokio::test]
async fn silence_is_told_from_refusal_and_nothing_holds_a_probe_up() {
    let short = |url: &str| ProbeSettings { timeout: Duration::from_millis(300), ..settings(url) };
    let hangs = geth(|_, _| Some(Hangs));
    let (got, words) = probe(NodeKind::Geth, &short(&hangs.url)).await;
    assert_eq!((got, words.as_str()), ("timed out", "it does not answer within 300ms"));
    // What is only nice to know may take all the time: it is not known then.
    let half = geth(only("net_peerCount", || Hangs));
    assert_eq!(probe(NodeKind::Geth, &short(&half.url)).await.0, "yes");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for kind in NodeKind::ALL {
        assert_eq!(probe(kind, &short(&format!("http://{closed}/"))).await.0, "refused", "{kind}");
    }
    // It takes the connection, as a process does that was stopped, and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = format!("http://{}/", silent.local_addr().unwrap());
    for kind in NodeKind::ALL.into_iter().filter(|kind| *kind != NodeKind::Generic) {
        assert_eq!(probe(kind, &short(&at)).await.0, "timed out", "{kind}");
    }
}

#[tokio::test]
async fn what_is_no_http_is_a_failure_and_no_more() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    for answer in [
        // It closes without a word.
        String::new(),
        "220 mail.example.org ESMTP\r\n".to_owned(),
        format!("{HEAD}content-length: 100\r\n\r\n0123456789"),
        format!("{HEAD}transfer-encoding: chunked\r\n\r\nzz\r\n"),
        format!("{HEAD}content-encoding: gzip\r\ncontent-length: 2\r\n\r\n{{}}"),
        format!("HTTP/1.1 200 OK\r\n{}\r\n", "x-flood: 0123456789abcdef\r\n".repeat(10_000)),
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let said = answer.clone();
        let server = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 4096];
                if stream.read(&mut request).await.unwrap_or(0) > 0 {
                    let _ = stream.write_all(said.as_bytes()).await;
                }
            }
        });
        for kind in [NodeKind::Geth, NodeKind::Beacon, NodeKind::OpNode, NodeKind::Agave] {
            let (got, words) = probe(kind, &settings(&url)).await;
            assert!(["broken", "garbage"].contains(&got), "{answer:.40} {kind}: {got} {words}");
        }
        server.abort();
    }
}

#[tokio::test]
async fn keys_in_the_url_are_sent_and_never_said() {
    let seen = Arc::new(parking_lot::Mutex::new(String::new()));
    let server = geth(|_, _| Some(Status(401)));
    let url = server.url.replace("http://", "http://me:s3cret@");
    let (_, words) = probe(NodeKind::Geth, &settings(&format!("{url}/s3cret"))).await;
    assert!(!words.contains("s3cret"), "{words}");
    let closed = settings("http://me:s3cret@127.0.0.1:1/s3cret");
    let (_, words) = probe(NodeKind::Geth, &closed).await;
    assert!(!words.contains("s3cret"), "{words}");
    // It does arrive.
    let heard = Arc::clone(&seen);
    let router = Router::new().fallback(move |headers: HeaderMap| async move {
        *heard.lock() = headers["authorization"].to_str().unwrap().to_owned();
    });
    let listener = Listener::bind("node", SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let url = format!("http://me:pw@{}/", listener.address());
    let stop = CancellationToken::new();
    tokio::spawn(listener.serve(router, stop.clone(), Duration::ZERO));
    probe(NodeKind::Beacon, &settings(&url)).await;
    assert_eq!(*seen.lock(), "Basic bWU6cHc=");
    stop.cancel();
}

fn progress(secs_old: u64, more: &[(&str, Value)]) -> Answer {
    let mut data =
        json!({ "head_slot": (1000 - secs_old / 12).to_string(), "sync_distance": "0", "is_syncing": false });
    more.iter().for_each(|(key, value)| data[*key] = value.clone());
    Is(json!({ "data": data }))
}

/// A beacon node whose slot of the moment is 1000, with what `other` says.
fn beacon(other: impl Fn(&str) -> Option<Answer> + Send + Sync + 'static) -> Node {
    node(move |path, _| {
        other(path).unwrap_or_else(|| match path {
            "/eth/v1/node/syncing" => progress(0, &[]),
            "/eth/v1/config/spec" => Is(json!({ "data": {
                "SECONDS_PER_SLOT": "12", "SLOTS_PER_EPOCH": "32", "DEPOSIT_CHAIN_ID": "1", "BLOB_SCHEDULE": [],
            } })),
            "/eth/v1/beacon/genesis" => Is(json!({ "data": { "genesis_time": (SECS - 12_001).to_string() } })),
            "/eth/v1/node/peer_count" => Is(json!({ "data": { "connected": "70" } })),
            "/eth/v1/beacon/states/head/finality_checkpoints" => {
                Is(json!({ "data": { "finalized": { "epoch": "29" } } }))
            }
            "/eth/v1/node/version" => Is(json!({ "data": { "version": "Lighthouse/v8.0.0" } })),
            _ => Status(404),
        })
    })
}

fn says(answer: fn() -> Answer) -> impl Fn(&str) -> Option<Answer> {
    move |path| (path == "/eth/v1/node/syncing").then(answer)
}

#[tokio::test]
async fn beacon_nodes_in_every_state() {
    let nodes = [
        (beacon(|_| None), "yes", ""),
        (
            beacon(says(|| progress(0, &[("is_syncing", json!(true)), ("sync_distance", json!("77"))]))),
            "syncing",
            "77",
        ),
        (beacon(says(|| progress(0, &[("is_optimistic", json!(true))]))), "syncing", "optimistic"),
        (beacon(says(|| progress(0, &[("el_offline", json!(true))]))), "no", "execution client"),
        (beacon(says(|| progress(0, &[("sync_distance", json!(3))]))), "lagging", "3 slots"),
        (beacon(says(|| progress(120, &[]))), "lagging", "behind the clock"),
        (beacon(says(|| progress(0, &[("head_slot", json!("18446744073709551615"))]))), "lagging", "clock"),
        (beacon(says(|| progress(0, &[("head_slot", json!("99999999999999999999"))]))), "garbage", "syncing"),
        (
            beacon(|path| path.ends_with("spec").then(|| Is(json!({"data": {"DEPOSIT_CHAIN_ID": "5"}})))),
            "no",
            "chain 5",
        ),
        (beacon(|path| (!path.ends_with("syncing")).then_some(Status(404))), "yes", ""),
        (beacon(|path| (!path.ends_with("syncing")).then_some(Raw("["))), "yes", ""),
        (beacon(says(|| Status(503))), "no", "503"),
        (beacon(says(|| Status(500))), "status", "500"),
        (beacon(says(|| Status(401))), "no", "credentials"),
        (beacon(says(|| Status(206))), "garbage", "no JSON"),
        (beacon(says(|| Raw("<html>"))), "garbage", "no JSON"),
        (beacon(says(|| Is(json!({"data": []})))), "garbage", "syncing"),
        // It has only the older of the two.
        (beacon(|path| Some(Status(if path.ends_with("health") { 206 } else { 404 }))), "syncing", "206"),
        (beacon(|path| Some(Status(if path.ends_with("health") { 200 } else { 404 }))), "yes", ""),
        (beacon(|_| Some(Status(404))), "no", "404"),
    ];
    for (place, (node, want, word)) in nodes.iter().enumerate() {
        let settings = ProbeSettings { chain_id: Some(1), ..settings(&node.url) };
        let (got, words) = probe(NodeKind::Beacon, &settings).await;
        assert_eq!(got, *want, "{place}: {words}");
        assert!(words.contains(word), "{place}: {words}");
    }
    let sight = prober().probe(NodeKind::Beacon, &settings(&nodes[0].0.url), NOW).await.unwrap();
    assert_eq!((sight.head, sight.peers), (Some(1000), Some(70)));
    assert_eq!(sight.version.as_deref(), Some("Lighthouse/v8.0.0"));
    assert!((865..930).contains(&sight.finalized_age.unwrap().as_secs()), "{sight:?}");
}

/// An op-node that is well, but for what `other` says.
fn op_node(other: impl Fn(&str) -> Option<Answer> + Send + Sync + 'static) -> Node {
    node(move |method, _| {
        other(method).unwrap_or_else(|| match method {
            "optimism_syncStatus" => sync_status(2, 2),
            "optimism_rollupConfig" => Is(json!({ "l2_chain_id": 10 })),
            "opp2p_peerStats" => Is(json!({ "connected": 12, "table": 50 })),
            "optimism_version" => Is(json!("v1.16.0")),
            _ => Error(-32601, Value::Null),
        })
    })
}

fn sync_status(unread: u64, secs_old: u64) -> Answer {
    let block =
        |number: u64, secs_old: u64| json!({ "hash": "0x", "number": number, "timestamp": SECS - secs_old });
    Is(json!({
        "current_l1": block(1000 - unread, 20), "head_l1": block(1000, 8), "safe_l1": block(990, 100),
        "unsafe_l2": block(5000, secs_old), "safe_l2": block(4900, 200), "finalized_l2": block(4000, 1000),
    }))
}

#[tokio::test]
async fn op_nodes_in_every_state() {
    let status = |answer: fn() -> Answer| move |method: &str| (method == "optimism_syncStatus").then(answer);
    let nodes = [
        (op_node(|_| None), "yes", ""),
        (op_node(status(|| sync_status(500, 3000))), "syncing", "500 blocks"),
        (op_node(status(|| sync_status(0, 40))), "lagging", "block, 5000"),
        (
            op_node(|method| (method == "optimism_rollupConfig").then(|| Is(json!({"l2_chain_id": 8453})))),
            "no",
            "8453",
        ),
        (
            op_node(|method| (method == "optimism_rollupConfig").then(|| Is(json!({})))),
            "garbage",
            "rollupConfig",
        ),
        (
            op_node(|method| (method != "optimism_syncStatus").then_some(Error(-32601, Value::Null))),
            "yes",
            "",
        ),
        (op_node(|_| Some(Error(-32601, Value::Null))), "no", "9545"),
        (op_node(|_| Some(Error(-32000, Value::Null))), "no", "-32000"),
        (op_node(status(|| Is(json!({"current_l1": null})))), "garbage", "optimism_syncStatus"),
        (op_node(|_| Some(Status(401))), "no", "credentials"),
        (op_node(|_| Some(Status(503))), "status", "503"),
        (op_node(|_| Some(Raw("not json"))), "garbage", "JSON-RPC"),
    ];
    for (place, (node, want, word)) in nodes.iter().enumerate() {
        let settings = ProbeSettings { chain_id: Some(10), ..settings(&node.url) };
        let (got, words) = probe(NodeKind::OpNode, &settings).await;
        assert_eq!(got, *want, "{place}: {words}");
        assert!(words.contains(word), "{place}: {words}");
    }
    let sight = prober().probe(NodeKind::OpNode, &settings(&nodes[0].0.url), NOW).await.unwrap();
    assert_eq!((sight.head, sight.behind, sight.peers), (Some(5000), Some(2), Some(12)));
    assert_eq!(sight.version.as_deref(), Some("v1.16.0"));
}

/// The execution client of an op-node that is well, but for what `other` says of a method and a block.
fn op_reth(other: impl Fn(&str, &str) -> Option<Answer> + Send + Sync + 'static) -> Node {
    node(move |method, params| {
        let which = params[0].as_str().unwrap_or_default();
        other(method, which).unwrap_or_else(|| match (method, which) {
            ("eth_getBlockByNumber", "latest") => Is(block(5001, 1)),
            ("eth_getBlockByNumber", "safe") => Is(block(4900, 200)),
            ("eth_getBlockByNumber", "finalized") => Is(block(4000, 1000)),
            ("eth_getBlockByNumber", "0x1324") => Is(with_hash(block(4900, 200), SAFE_HASH)),
            ("eth_syncing", _) => Is(json!(false)),
            _ => Error(-32601, Value::Null),
        })
    })
}

const SAFE_HASH: &str = "0x4900490049004900490049004900490049004900490049004900490049004900";
const OTHER_HASH: &str = "0x4901490149014901490149014901490149014901490149014901490149014901";

fn with_hash(mut block: Value, hash: &str) -> Value {
    block["hash"] = json!(hash);
    block
}

#[tokio::test]
async fn op_nodes_beside_their_execution_clients() {
    const BLOCK: &str = "eth_getBlockByNumber";
    let at = |which: &'static str, answer: fn() -> Answer| {
        move |method: &str, asked: &str| (method == BLOCK && asked == which).then(answer)
    };
    let clients = [
        (op_reth(|_, _| None), "yes", ""),
        (op_reth(at("latest", || Is(block(4989, 24)))), "lagging", "at block 4989, 11 blocks before"),
        (
            op_reth(|method, which| match (method, which) {
                (BLOCK, "latest") => Some(Is(block(0, 1000))),
                ("eth_syncing", _) => Some(Is(json!({"currentBlock": "0x0", "highestBlock": "0x1388"}))),
                _ => Some(Is(Value::Null)),
            }),
            "syncing",
            "op-node waits for it",
        ),
        (op_reth(at("latest", || Is(block(5100, 0)))), "lagging", "behind its own execution client"),
        (op_reth(at("0x1324", || Is(with_hash(block(4900, 200), OTHER_HASH)))), "no", "different chains"),
        (op_reth(at("safe", || Is(block(4000, 2000)))), "lagging", "engine port"),
        (op_reth(at("safe", || Error(-39001, Value::Null))), "yes", ""),
        // What does not answer, or not with sense, is told by its own probe.
        (op_reth(|_, _| Some(Status(503))), "yes", ""),
        (op_reth(|_, _| Some(Raw("not json"))), "yes", ""),
        (op_reth(|_, _| Some(Hangs)), "yes", ""),
        (op_reth(|_, _| Some(Is(json!({"number": "x", "hash": 5})))), "yes", ""),
    ];
    let driver = op_node(|method| {
        (method == "optimism_syncStatus").then(|| match sync_status(2, 2) {
            Is(mut status) => {
                status["safe_l2"]["hash"] = json!(SAFE_HASH);
                status["safe_l2"]["l1origin"] = json!({ "hash": OTHER_HASH, "number": 980 });
                Is(status)
            }
            other => other,
        })
    });
    for (place, (client, want, word)) in clients.iter().enumerate() {
        let settings = ProbeSettings {
            execution: Some(format!("{}/k3y", client.url).parse().unwrap()),
            timeout: Duration::from_secs(2),
            ..settings(&driver.url)
        };
        let (got, words) = probe(NodeKind::OpNode, &settings).await;
        assert_eq!(got, *want, "{place}: {words}");
        assert!(words.contains(word) && !words.contains("k3y"), "{place}: {words}");
    }
}

/// An agave that is well, but for what `other` says.
fn agave(other: impl Fn(&str) -> Option<Answer> + Send + Sync + 'static) -> Node {
    node(move |method, params| {
        other(method).unwrap_or_else(|| match method {
            "getHealth" => Is(json!("ok")),
            "getSlot" => Is(json!(if params[0]["commitment"] == "finalized" { 968 } else { 1000 })),
            "getBlockTime" if params[0] == 968 => Is(json!(SECS - 13)),
            "getVersion" => Is(json!({ "solana-core": "2.3.6", "feature-set": 1 })),
            "getVoteAccounts" => Is(json!({ "current": [], "delinquent": [{ "votePubkey": "Vote111" }] })),
            _ => Error(-32601, Value::Null),
        })
    })
}

#[tokio::test]
async fn solana_nodes_in_every_state() {
    let health = |answer: fn() -> Answer| move |method: &str| (method == "getHealth").then(answer);
    let nodes = [
        (agave(|_| None), "yes", ""),
        (agave(health(|| Error(-32005, json!({"numSlotsBehind": 300})))), "syncing", "300 slots behind"),
        (agave(health(|| Error(-32005, json!({"numSlotsBehind": null})))), "syncing", "does not know"),
        (agave(health(|| Error(-32005, Value::Null))), "syncing", "does not know"),
        (agave(health(|| Error(-32601, Value::Null))), "yes", ""),
        (agave(health(|| Is(json!("behind")))), "garbage", "getHealth"),
        (agave(|_| Some(Error(-32601, Value::Null))), "no", "no Solana node"),
        (agave(|method| (method == "getBlockTime").then(|| Is(json!(SECS - 90)))), "lagging", "90 s old"),
        (agave(|method| (method == "getBlockTime").then_some(Is(Value::Null))), "yes", ""),
        (agave(|method| (method == "getBlockTime").then(|| Is(json!(-5)))), "yes", ""),
        (agave(|method| (method == "getSlot").then(|| Is(json!(1e30)))), "yes", ""),
        (agave(|_| Some(Status(403))), "no", "credentials"),
        (agave(|_| Some(Status(502))), "status", "502"),
        (agave(|_| Some(Raw("{}"))), "garbage", "JSON-RPC"),
    ];
    for (place, (node, want, word)) in nodes.iter().enumerate() {
        let (got, words) = probe(NodeKind::Agave, &settings(&node.url)).await;
        assert_eq!(got, *want, "{place}: {words}");
        assert!(words.contains(word), "{place}: {words}");
    }
    let votes = ProbeSettings { vote_account: Some("Vote111".to_owned()), ..settings(&nodes[0].0.url) };
    assert_eq!(probe(NodeKind::Agave, &votes).await.0, "lagging");
    let sight = prober().probe(NodeKind::SolanaTestValidator, &settings(&nodes[0].0.url), NOW).await.unwrap();
    assert_eq!((sight.head, sight.behind, sight.peers), (Some(1000), Some(0), None));
    assert_eq!(sight.version.as_deref(), Some("2.3.6"));
}

#[tokio::test]
async fn anything_else_by_a_path_or_by_its_port() {
    let server = node(|path, _| match path {
        "/base/health?deep=1" => Is(json!({})),
        "/base/ill" => Status(503),
        "/base/mine" => Status(401),
        "/base/moved" => Status(302),
        "/base/slow" => Hangs,
        _ => Status(404),
    });
    let base = format!("{}/base/", server.url);
    for (path, want) in [
        (Some("/health?deep=1"), "yes"),
        (Some("/ill"), "status"),
        (Some("/mine"), "no"),
        (Some("/moved"), "no"),
        (Some("/nowhere"), "no"),
        (Some("/slow"), "timed out"),
        (None, "yes"),
    ] {
        let settings = ProbeSettings {
            path: path.map(str::to_owned),
            timeout: Duration::from_millis(500),
            ..settings(&base)
        };
        let (got, words) = probe(NodeKind::Generic, &settings).await;
        assert_eq!(got, want, "{path:?}: {words}");
    }
}

#[tokio::test]
async fn an_endless_body_is_cut_off() {
    let big = geth(|method, _| {
        (method == "eth_getBlockByNumber").then(|| Is(json!({ "extra": "x".repeat(5 << 20) })))
    });
    let (got, words) = probe(NodeKind::Geth, &settings(&big.url)).await;
    assert_eq!(got, "garbage");
    assert!(words.contains("larger than"), "{words}");
}
