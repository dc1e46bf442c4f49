//! The JSON-RPC gateway in front of scripted upstreams: what clients get, whatever they send and whatever happens behind it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    body::Bytes,
    http::{HeaderMap, StatusCode},
    response::IntoResponse,
};
use relaymux::{
    relay::{TlsRoots, build_http_client},
    sim::{SimUpstream, UpstreamFault},
};
use reqwest::{Method, header};
use serde_json::{Value, json};

use crate::{
    searcher::{OURS, SEARCHER, send_as},
    stage::{Stage, binary, eventually, honest, stage},
};

const HEIGHT: u64 = 1000;

/// Two upstreams of the stage's chain.
async fn upstreams() -> [SimUpstream; 2] {
    [SimUpstream::start(31337, HEIGHT).await.unwrap(), SimUpstream::start(31337, HEIGHT).await.unwrap()]
}

fn section(upstreams: &[SimUpstream], keys: &str) -> String {
    let mut text = format!("[rpc]\nlisten = \"127.0.0.1:0\"\nchain_id = 31337\nattempt_ms = 500\n{keys}\n");
    for (index, (upstream, tier)) in upstreams.iter().zip(["primary", "replica", "backup"]).enumerate() {
        let url = upstream.url();
        let lines = format!("id = \"node-{index}\"\nurl = \"{url}\"\ntier = \"{tier}\"\nprobe_ms = 100");
        text.push_str(&format!("[[rpc.upstreams]]\n{lines}\n"));
    }
    text
}

/// A gateway all of whose upstreams serve.
async fn gateway(upstreams: &[SimUpstream], keys: &str) -> Stage {
    let stage = stage().relay(honest()).section(&section(upstreams, keys)).start().await;
    eventually("all upstreams to serve", async || {
        let answer = stage.http.get(format!("{}/healthz", stage.rpc)).send().await.ok()?;
        let answer: Value = serde_json::from_slice(&answer.bytes().await.ok()?).ok()?;
        (answer["serving"].as_array()?.len() == upstreams.len()).then_some(())
    })
    .await;
    stage
}

async fn post(stage: &Stage, body: impl Into<reqwest::Body>) -> reqwest::Response {
    let request = stage.http.post(&stage.rpc).header("content-type", "application/json");
    request.body(body).send().await.unwrap()
}

async fn ask(stage: &Stage, body: &Value) -> (Value, String) {
    let answer = post(stage, body.to_string()).await;
    assert_eq!(answer.status(), 200);
    let by = answer.headers()["x-relaymux-upstream"].to_str().unwrap().to_owned();
    (serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap(), by)
}

fn call(id: impl Into<Value>, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id.into(), "method": method, "params": params })
}

/// [G1]
#[tokio::test(flavor = "multi_thread")]
async fn bodies_get_what_the_specification_says() {
    let upstreams = upstreams().await;
    let stage = gateway(&upstreams, "max_batch = 3\nmax_body_bytes = 100000").await;
    for (body, id, code) in [
        ("", Value::Null, -32700),
        ("{", Value::Null, -32700),
        ("[]", Value::Null, -32600),
        ("7", Value::Null, -32600),
        ("[1,2,3,4]", Value::Null, -32600),
        (r#"{"jsonrpc":"1.0","id":1,"method":"eth_chainId"}"#, json!(1), -32600),
        (r#"{"jsonrpc":"2.0","id":"a","params":[]}"#, json!("a"), -32600),
        (r#"{"jsonrpc":"2.0","id":[],"method":"eth_chainId"}"#, Value::Null, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":"x"}"#, json!(1), -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"admin_peers","params":[]}"#, json!(1), -32601),
    ] {
        let answer = post(&stage, body).await;
        assert_eq!(answer.status(), 200, "{body}");
        let answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&id, &json!(code)), "{body}: {answer}");
    }
    let deep = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"eth_call","params":{}"#, "[".repeat(50_000));
    let answer: Value = serde_json::from_slice(&post(&stage, deep).await.bytes().await.unwrap()).unwrap();
    assert_eq!(answer["error"]["code"], -32600);
    assert_eq!(post(&stage, vec![b'['; 10 << 20]).await.status(), 413);
    let note = post(&stage, r#"{"jsonrpc":"2.0","method":"eth_chainId"}"#).await;
    assert_eq!((note.status().as_u16(), note.bytes().await.unwrap().len()), (204, 0));
    let batch = json!([call(1, "eth_chainId", json!([])), 7, call(Value::Null, "eth_chainId", json!([]))]);
    let (answers, _) = ask(&stage, &batch).await;
    assert_eq!((&answers[0]["id"], &answers[0]["result"]), (&json!(1), &json!("0x7a69")));
    assert_eq!(answers[1]["error"]["code"], -32600);
    assert_eq!((&answers[2]["id"], &answers[2]["result"]), (&Value::Null, &json!("0x7a69")));
}

/// [G2]
#[tokio::test(flavor = "multi_thread")]
async fn no_client_sees_an_upstream_s_fault() {
    let upstreams = upstreams().await;
    let stage = gateway(&upstreams, "").await;
    let read = call(7, "eth_getBalance", json!(["0x00000000000000000000000000000000000000aa", "latest"]));
    assert_eq!(ask(&stage, &read).await.1, "node-0");
    for fault in [
        UpstreamFault::Status(502),
        UpstreamFault::WrongId,
        UpstreamFault::CutOff,
        UpstreamFault::HeaderNotFound,
        UpstreamFault::Hangs,
    ] {
        upstreams[0].set(fault);
        let (answer, by) = ask(&stage, &read).await;
        assert_eq!((&answer["id"], by.as_str()), (&json!(7), "node-1"), "{fault:?}: {answer}");
        assert_eq!(answer["result"], read["params"], "{fault:?}");
    }
}

/// [G3]
#[tokio::test(flavor = "multi_thread")]
async fn nobody_who_could_answer_is_an_error_and_not_well() {
    let [first, second] = upstreams().await;
    let upstreams = [first, second];
    let stage = gateway(&upstreams, "deadline_ms = 1500").await;
    drop(upstreams);
    eventually("nobody to serve", async || {
        let health = stage.http.get(format!("{}/healthz", stage.rpc)).send().await.unwrap();
        (health.status() == 503).then_some(())
    })
    .await;
    let (answer, by) = ask(&stage, &call(1, "eth_blockNumber", json!([]))).await;
    assert!(answer["error"]["code"].is_i64(), "{answer}");
    assert_eq!(by, "gateway");
    let view = stage.ops_json("/api/v1/rpc").await;
    assert_eq!(view["upstreams"][0]["id"], "node-0");
    assert_eq!(view["upstreams"][0]["state"], "down");
}

/// [G4]
#[tokio::test(flavor = "multi_thread")]
async fn names_origins_and_tokens_are_looked_at() {
    let upstreams = upstreams().await;
    let keys = "tokens_file = \"tokens\"\nallowed_origins = [\"https://app.example\"]";
    let stage = stage()
        .relay(honest())
        .section(&section(&upstreams, keys))
        .file("tokens", "# clients\nwallet 0123456789abcdef0123456789abcdef\n")
        .start()
        .await;
    let body = call(1, "eth_chainId", json!([])).to_string();
    let request = |method: Method| stage.http.request(method, &stage.rpc).body(body.clone());
    let token = "Bearer 0123456789abcdef0123456789abcdef";
    let table: [(&[(&str, &str)], u16); 6] = [
        (&[], 401),
        (&[("authorization", "Bearer 0123456789abcdef0123456789abcdee")], 401),
        (&[("authorization", token)], 200),
        (&[("authorization", token), ("host", "evil.example")], 403),
        (&[("authorization", token), ("origin", "https://evil.example")], 403),
        (&[("authorization", token), ("origin", "https://app.example"), ("content-type", "text/plain")], 415),
    ];
    for (headers, want) in table {
        let mut request = request(Method::POST);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        assert_eq!(request.send().await.unwrap().status().as_u16(), want, "{headers:?}");
    }
    let preflight = request(Method::OPTIONS)
        .header(header::ORIGIN, "https://app.example")
        .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST")
        .send()
        .await
        .unwrap();
    assert_eq!(preflight.status(), 204);
    assert_eq!(preflight.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "https://app.example");
    assert!(!stage.log().contains("0123456789abcdef"), "a token is in the log");
}

/// [G5]
#[tokio::test(flavor = "multi_thread")]
async fn a_client_has_its_rate() {
    let upstreams = upstreams().await;
    let stage = gateway(&upstreams, "max_requests_per_second = 1").await;
    let body = call(1, "eth_chainId", json!([])).to_string();
    let mut answers = Vec::new();
    for _ in 0..20 {
        answers.push(post(&stage, body.clone()).await);
    }
    let limited = answers.iter().find(|answer| answer.status() == 429).expect("nobody was limited");
    assert_eq!(limited.headers()["retry-after"], "1");
    assert!(stage.metric("relaymux_rpc_rate_limited_total").await.unwrap() >= 1.0);
}

const BUNDLES: &str = "signing_key_file = \"our.key\"\npoll_ms = 20\n[[bundles.builders]]\nid = \"titan\"\nurl = \"http://127.0.0.1:1\"\n";

/// [G6] The service's own watchers go through it, and need no token: bundles know the head that its upstreams have.
#[tokio::test(flavor = "multi_thread")]
async fn an_execution_section_without_a_url_is_the_gateway() {
    let upstreams = upstreams().await;
    let text = section(&upstreams, "tokens_file = \"tokens\"");
    let stage = stage()
        .relay(honest())
        .section(&format!("{text}[execution]\n[bundles]\nlisten = \"127.0.0.1:0\"\n{BUNDLES}"))
        .file("tokens", "wallet 0123456789abcdef0123456789abcdef\n")
        .file("our.key", OURS)
        .start()
        .await;
    eventually("bundles to know the head", async || {
        let answer = stage.http.get(format!("{}/healthz", stage.bundles)).send().await.ok()?;
        let answer: Value = serde_json::from_slice(&answer.bytes().await.ok()?).ok()?;
        (answer["head"] == HEIGHT).then_some(())
    })
    .await;
}

/// [G7]
#[tokio::test(flavor = "multi_thread")]
async fn bundles_without_a_listener_are_taken_here() {
    let upstreams = upstreams().await;
    let text = section(&upstreams, "");
    let stage = stage()
        .relay(honest())
        .section(&format!("{text}[execution]\n[bundles]\n{BUNDLES}"))
        .file("our.key", OURS)
        .start()
        .await;
    assert_eq!(stage.bundles, stage.rpc);
    let bundle = call(1, "eth_sendBundle", json!([{}]));
    // What only whoever takes bundles says.
    let unsigned = post(&stage, bundle.to_string()).await;
    assert_eq!(unsigned.status(), 400);
    let answer: Value = serde_json::from_slice(&unsigned.bytes().await.unwrap()).unwrap();
    assert!(answer["error"]["message"].as_str().unwrap().contains("X-Flashbots-Signature"), "{answer}");
    let signed = send_as(SEARCHER, &stage, "eth_sendBundle", json!([{}])).await;
    assert_ne!(signed.status(), 400);
    let (mixed, _) = ask(&stage, &json!([bundle, call(2, "eth_chainId", json!([]))])).await;
    assert_eq!(mixed["error"]["code"], -32600);
}

/// [G8]
#[tokio::test(flavor = "multi_thread")]
async fn check_asks_each_upstream() {
    let upstreams =
        [SimUpstream::start(31337, HEIGHT).await.unwrap(), SimUpstream::start(1, HEIGHT).await.unwrap()];
    let stage = stage().relay(honest()).section(&section(&upstreams, "")).start().await;
    let output = binary()
        .current_dir(stage.folder.path())
        .args(["check", "--config", "relays.toml"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("rpc node-0") && said.contains("block 1000"), "{said}");
    assert!(said.contains("a node of chain 1"), "{said}");
    assert_eq!(output.status.code(), Some(1), "{said}");
}

/// [G9] Mistakes in `[rpc]`, each with what it is about.
#[test]
fn mistakes_are_said_with_their_key() {
    let folder = tempfile::tempdir().unwrap();
    let relay = "[[relays]]\nid = \"a\"\nurl = \"https://0xac6e77dfe25ecd6110b8e780608cce0dab71fdd5ebea22a16c0205200f2f8e2e3ad3b71d3499c54ad14d6c21b41a37ae@relay.example\"\n";
    let node = "[[rpc.upstreams]]\nid = \"a\"\nurl = \"http://127.0.0.1:8545\"\n";
    for (text, want) in [
        ("[rpc]\n".to_owned(), "there are no upstreams"),
        (format!("{node}tier = \"first\"\n"), "is not one of primary, replica, backup"),
        (format!("{node}{node}"), "`a` is there twice"),
        (format!("{node}teir = \"backup\"\n"), "did you mean `tier`?"),
        (
            "[[rpc.upstreams]]\nid = \"a\"\nurl = \"http://localhost:18545\"\n".to_owned(),
            "this gateway's own address",
        ),
        (
            "[[rpc.upstreams]]\nid = \"a\"\nurl = \"ftp://key@host\"\n".to_owned(),
            "is no http or https address",
        ),
        ("[[rpc.upstreams]]\nid = \"cache\"\nurl = \"http://host\"\n".to_owned(), "that no upstream gave"),
        (format!("[rpc]\nattempt_ms = 20000\n{node}"), "is more than deadline_ms"),
        (format!("[rpc]\nmax_batch = 5000\n{node}"), "which is what nodes take"),
        (format!("[rpc]\nallowed_origins = [\"app.example\"]\n{node}"), "is no origin"),
        (format!("[rpc]\nallow_methods = [\"eth call\"]\n{node}"), "is no method"),
        (format!("[rpc]\nlisten = \"127.0.0.1:18551\"\n{node}"), "is taken by ops.listen"),
        (format!("{node}[bundles]\nallowed_hosts = [\"x\"]\n"), "bundles.allowed_hosts"),
    ] {
        std::fs::write(folder.path().join("relays.toml"), format!("{relay}{text}")).unwrap();
        let output = binary().current_dir(folder.path()).args(["check", "--offline"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // Lines are wrapped where the terminal ends.
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(output.status.code(), Some(2), "{text}\n{said}");
        assert!(said.contains(want), "{text}\n{said}");
        assert!(!said.contains("key@"), "{said}");
    }
}

/// An address that leads to another, once that is known.
async fn signpost() -> (String, Arc<Mutex<String>>) {
    let target = Arc::new(Mutex::new(String::new()));
    let (there, http) = (Arc::clone(&target), build_http_client(&TlsRoots::Bundled, None).unwrap());
    let pass = move |headers: HeaderMap, body: Bytes| async move {
        let url = there.lock().unwrap().clone();
        let mut request = http.post(url).body(body);
        for name in ["content-type", "x-relaymux-hop"] {
            if let Some(value) = headers.get(name) {
                request = request.header(name, value);
            }
        }
        let Ok(answer) = request.send().await else { return StatusCode::BAD_GATEWAY.into_response() };
        (answer.status(), answer.bytes().await.unwrap()).into_response()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(pass)).await });
    (url, target)
}

/// [G23] Two gateways that have each other as upstreams: a call that comes back is known, nobody goes in circles, and whoever has a node answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_loop_over_a_second_gateway_is_found() {
    let node = SimUpstream::start(31337, HEIGHT).await.unwrap();
    let (to_second, second_is) = signpost().await;
    let listen = "[rpc]\nlisten = \"127.0.0.1:0\"\nchain_id = 31337\n";
    let upstream = |id: &str, url: &str, tier: &str| {
        format!("[[rpc.upstreams]]\nid = \"{id}\"\nurl = \"{url}\"\ntier = \"{tier}\"\nprobe_ms = 100\n")
    };
    // The first has the second alone; the second asks the first before its own node.
    let first = format!("{listen}{}", upstream("second", &to_second, "primary"));
    let first = stage().relay(honest()).section(&first).start().await;
    let (one, own) = (upstream("first", &first.rpc, "primary"), upstream("node", &node.url(), "replica"));
    let second = stage().relay(honest()).section(&format!("{listen}{one}{own}")).start().await;
    second_is.lock().unwrap().clone_from(&second.rpc);
    let state = async |stage: &Stage, place: usize| {
        let view = stage.ops_json("/api/v1/rpc").await;
        (view["upstreams"][place]["state"].clone(), view["upstreams"][place]["why"].clone())
    };
    eventually("the first gateway to be served by the second's node", async || {
        (state(&first, 0).await.0 == "healthy").then_some(())
    })
    .await;
    // What the second asks the first comes back to it: that is no node, and why is said.
    eventually("the second gateway to know where the first leads", async || {
        let (state, reason) = state(&second, 0).await;
        (state != "healthy" && reason.as_str()?.contains("leads back to it")).then_some(())
    })
    .await;
    let read = call(7, "eth_getBalance", json!(["0x00000000000000000000000000000000000000aa", "latest"]));
    for (stage, by) in [(&first, "second"), (&second, "node")] {
        let (answer, who) = ask(stage, &read).await;
        assert_eq!((&answer["result"], who.as_str()), (&read["params"], by), "{answer}");
    }
    // Without a node at all, it is said to whoever asks, in the time that an answer takes.
    drop(node);
    let (answer, _) = ask(&first, &read).await;
    assert!(answer["error"]["code"].is_i64(), "{answer}");
}

/// [G10] Without `[rpc]` there is no gateway.
#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_is_not_asked_for_is_not_there() {
    let stage = stage().relay(honest()).start().await;
    assert!(stage.rpc.is_empty());
    let answer = stage.http.get(format!("{}/api/v1/rpc", stage.ops)).timeout(Duration::from_secs(20)).send();
    assert_eq!(answer.await.unwrap().status(), 404);
}
