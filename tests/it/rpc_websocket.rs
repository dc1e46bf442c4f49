//! The gateway's websockets in front of scripted upstreams that are killed, fall silent and reorganise: what subscribers are told, and what whoever
//! sends nonsense, or does not read, gets.

mod client;

use std::{sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use relaymux::sim::{SimBlocks, SimUpstream, UpstreamFault};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::{
        CloseFrame,
        frame::{
            Frame,
            coding::{CloseCode, Data, OpCode},
        },
    },
};

use crate::{
    far_side::{FarSide, Reply, Speaks},
    stage::{eventually, honest, stage},
};
use client::{Client, LONG, TOKEN, TOKENS, all_serve, gateway, handshake, refused, section, upstreams};

const HEIGHT: u64 = 1000;
/// Bytes of a large answer: less than one may have, and more than half of it.
const LARGE: usize = 2 << 20;

fn number(head: &Value) -> u64 {
    u64::from_str_radix(head["number"].as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

/// [G12]
#[tokio::test(flavor = "multi_thread")]
async fn who_may_upgrade_is_looked_at_as_over_http() {
    let upstreams = upstreams(&SimBlocks::new(HEIGHT)).await;
    let keys = "tokens_file = \"tokens\"\nallowed_origins = [\"https://app.example\"]";
    let stage =
        stage().relay(honest()).section(&section(&upstreams, keys)).file("tokens", TOKENS).start().await;
    let bearer = format!("Bearer {TOKEN}");
    let good = ("authorization", bearer.as_str());
    let table: [(&[(&'static str, &str)], u16); 10] = [
        (&[good], 101),
        (&[], 401),
        (&[("authorization", "Bearer 0123456789abcdef0123456789abcdee")], 401),
        // `any:TOKEN`, as a URL with a token in it arrives.
        (&[("authorization", "Basic YW55OjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVm")], 101),
        (&[good, ("host", "evil.example")], 403),
        (&[good, ("origin", "https://app.example")], 101),
        (&[good, ("origin", "https://evil.example")], 403),
        (&[good, ("origin", "null")], 403),
        (&[good, ("sec-websocket-version", "8")], 426),
        (&[good, ("sec-websocket-key", "c2hvcnQ=")], 400),
    ];
    for (headers, want) in table {
        assert_eq!(refused(&stage, headers).await, want, "{headers:?}");
    }
    assert!(!stage.log().contains(TOKEN), "a token is in the log");
}

/// [G13] Heads, logs and pending transactions of two upstreams are told once each, whichever is killed, and a subscription's id stays.
#[tokio::test(flavor = "multi_thread")]
async fn killing_upstreams_loses_nothing_and_doubles_nothing() {
    let blocks = SimBlocks::new(HEIGHT);
    let mut upstreams = upstreams(&blocks).await;
    let stage = gateway(&upstreams, "").await;
    let mut client = Client::connect(&stage).await;
    let heads = client.subscribe(json!(["newHeads"])).await;
    let logs = client.subscribe(json!(["logs", {"address": format!("0x{}", "aa".repeat(20))}])).await;
    let nothing = client.subscribe(json!(["logs", {"address": format!("0x{}", "bb".repeat(20))}])).await;
    let mut mined = 0_usize;
    for round in 0..4 {
        blocks.mine_with(2);
        mined += 1;
        client.hear(&heads, mined).await;
        upstreams[round % 2].kill();
        for _ in 0..2 {
            blocks.mine_with(2);
            mined += 1;
        }
        client.hear(&heads, mined).await;
        client.hear(&logs, 2 * mined).await;
        upstreams[round % 2].revive().await.unwrap();
        all_serve(&stage, 2).await;
    }
    let told = client.hear(&heads, mined).await;
    let numbers: Vec<u64> = told.iter().map(number).collect();
    assert_eq!(numbers, (HEIGHT + 1..=HEIGHT + mined as u64).collect::<Vec<_>>());
    for head in told {
        assert_eq!(head["hash"], json!(blocks.hash(number(head)).unwrap()));
        assert!(head.get("transactions").is_none(), "a header has no body");
    }
    let told = client.hear(&logs, 2 * mined).await;
    for (pair, number) in told.chunks(2).zip(HEIGHT + 1..) {
        for (log, index) in pair.iter().zip(["0x0", "0x1"]) {
            assert_eq!(log["blockHash"], json!(blocks.hash(number).unwrap()));
            assert_eq!((log["logIndex"].as_str(), &log["removed"]), (Some(index), &json!(false)));
        }
    }
    // Whatever is told twice would have come by the end of another block.
    blocks.mine();
    client.hear(&heads, mined + 1).await;
    client.hear(&logs, 2 * mined + 1).await;
    assert_eq!((client.told[&heads].len(), client.told[&logs].len()), (mined + 1, 2 * mined + 1));
    assert!(!client.told.contains_key(&nothing));
}

/// [G14]
#[tokio::test(flavor = "multi_thread")]
async fn a_reorganisation_takes_logs_back_before_it_tells_new_ones() {
    let blocks = SimBlocks::new(HEIGHT);
    let mut upstreams = upstreams(&blocks).await;
    let stage = gateway(&upstreams, "").await;
    let mut client = Client::connect(&stage).await;
    let heads = client.subscribe(json!(["newHeads"])).await;
    let logs = client.subscribe(json!(["logs"])).await;
    (0..4).for_each(|_| blocks.mine());
    client.hear(&logs, 4).await;
    let old: Vec<Value> = (HEIGHT + 2..=HEIGHT + 4).map(|number| json!(blocks.hash(number))).collect();
    // Also while one upstream is away.
    upstreams[0].kill();
    blocks.reorganise(3);
    client.hear(&heads, 4 + 4).await;
    let told = client.hear(&logs, 4 + 3 + 4).await;
    let taken: Vec<(Value, Value)> =
        told[4..7].iter().map(|log| (log["blockHash"].clone(), log["removed"].clone())).collect();
    assert_eq!(taken, old.into_iter().rev().map(|hash| (hash, json!(true))).collect::<Vec<_>>());
    for (log, number) in told[7..].iter().zip(HEIGHT + 2..) {
        assert_eq!(log["blockHash"], json!(blocks.hash(number).unwrap()));
        assert_eq!(log["removed"], json!(false));
    }
    // A second one, once both are there.
    upstreams[0].revive().await.unwrap();
    all_serve(&stage, 2).await;
    blocks.reorganise(1);
    let told = client.hear(&logs, 11 + 1 + 2).await;
    assert_eq!(told[11]["removed"], json!(true));
    // Nor is anything told twice by an upstream that is late.
    let hashes: Vec<&Value> = client.told[&heads].iter().map(|head| &head["hash"]).collect();
    assert_eq!(hashes.len(), 10, "{hashes:?}");
}

/// [G15] Whole ones where an upstream gives them, and where it refuses to.
#[tokio::test(flavor = "multi_thread")]
async fn pending_transactions_come_once_and_whole_where_wanted() {
    for fault in [UpstreamFault::None, UpstreamFault::HashesOnly] {
        let blocks = SimBlocks::new(HEIGHT);
        let upstreams = upstreams(&blocks).await;
        upstreams.iter().for_each(|upstream| upstream.set(fault));
        let stage = gateway(&upstreams, "").await;
        let mut client = Client::connect(&stage).await;
        let bodies = client.subscribe(json!(["newPendingTransactions", true])).await;
        let hashes = client.subscribe(json!(["newPendingTransactions"])).await;
        eventually("both upstreams to be asked", async || {
            let asked = |upstream: &SimUpstream| upstream.calls("eth_subscribe") >= 2;
            upstreams.iter().all(asked).then_some(())
        })
        .await;
        let sent: Vec<_> = (1..=5_u8).map(alloy_primitives::B256::repeat_byte).collect();
        // The upstreams answer before what they tell, but not before all else that they are asked: until it is told, it is sent again.
        let mut warm = 100_u8;
        while !client.told.contains_key(&bodies) || !client.told.contains_key(&hashes) {
            warm += 1;
            blocks.pend(alloy_primitives::B256::repeat_byte(warm));
            if let Ok(Some(Ok(Message::Text(text)))) =
                timeout(Duration::from_millis(300), client.socket.next()).await
            {
                let notice = serde_json::from_str(&text).unwrap();
                client.note(&notice);
            }
        }
        sent.iter().for_each(|hash| blocks.pend(*hash));
        let is_told = |told: &[Value], of: fn(&Value) -> &Value| {
            sent.iter().all(|hash| told.iter().filter(|one| *of(one) == json!(hash)).count() == 1)
        };
        let mut count = 1;
        while !is_told(client.hear(&hashes, count).await, |told| told) {
            count += 1;
        }
        let mut count = 1;
        while !is_told(client.hear(&bodies, count).await, |told| &told["hash"]) {
            count += 1;
        }
        let fetched: u64 = upstreams.iter().map(|one| one.calls("eth_getTransactionByHash")).sum();
        assert_eq!(fetched >= 5, fault == UpstreamFault::HashesOnly, "{fault:?}: {fetched}");
    }
}

/// [G16] Every kind of bad input, and the connection stays where the protocol lets it.
#[tokio::test(flavor = "multi_thread")]
async fn bad_input_gets_what_the_specifications_say() {
    let upstreams = upstreams(&SimBlocks::new(HEIGHT)).await;
    let stage = gateway(&upstreams, "max_batch = 3\nmax_body_bytes = 100000\nmax_subscriptions = 2").await;
    let (mut client, mut other) = (Client::connect(&stage).await, Client::connect(&stage).await);
    let of_other = other.subscribe(json!(["newHeads"])).await;
    let deep =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":{}"#, "[".repeat(50_000));
    let deep_filter = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["logs",{}{}]}}"#,
        r#"{"address":"#.repeat(3000),
        "}".repeat(3000)
    );
    let foreign = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"eth_unsubscribe","params":["{of_other}"]}}"#);
    for (text, id, code) in [
        ("", Value::Null, -32700),
        ("{", Value::Null, -32700),
        ("[]", Value::Null, -32600),
        ("7", Value::Null, -32600),
        ("[1,2,3,4]", Value::Null, -32600),
        (&deep, Value::Null, -32600),
        (&deep_filter, Value::Null, -32600),
        (r#"{"jsonrpc":"1.0","id":1,"method":"eth_subscribe","params":["newHeads"]}"#, json!(1), -32600),
        (r#"{"jsonrpc":"2.0","id":{},"method":"eth_subscribe","params":["newHeads"]}"#, Value::Null, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_subscribe"}"#, json!(1), -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["weather"]}"#, json!(1), -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":{"a":1}}"#, json!(1), -32602),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["logs",{"address":7}]}"#,
            json!(1),
            -32602,
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_unsubscribe","params":["0x1"]}"#, json!(1), -32000),
        (&foreign, json!(1), -32000),
        (r#"{"jsonrpc":"2.0","id":1,"method":"admin_peers","params":[]}"#, json!(1), -32601),
    ] {
        let shown: String = text.chars().take(100).collect();
        client.send(text).await;
        let answer = client.answer().await;
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&id, &json!(code)), "{shown}: {answer}");
    }
    // A binary message is read like a text; a notification is silent; `null` is an id.
    client.socket.send(Message::binary(r#"{"jsonrpc":"2.0","method":"eth_chainId"}"#)).await.unwrap();
    let call = r#"{"jsonrpc":"2.0","id":null,"method":"eth_chainId"}"#;
    client.socket.send(Message::binary(call)).await.unwrap();
    assert_eq!(client.answer().await, json!({"jsonrpc": "2.0", "id": null, "result": "0x7a69"}));
    let ids = [client.subscribe(json!(["newHeads"])).await, client.subscribe(json!(["newHeads"])).await];
    let third = client.call("eth_subscribe", json!(["newHeads"])).await;
    assert_eq!(third["error"]["code"], json!(-32005), "{third}");
    assert_eq!(client.call("eth_unsubscribe", json!([ids[0]])).await["result"], json!(true));
    client.subscribe(json!(["newHeads"])).await;
    // What ends the connection, and only this one.
    client.socket.send(Message::text("x".repeat(100_001))).await.unwrap();
    assert_eq!(client.closed().await.0, 1009);
    let mut client = Client::connect(&stage).await;
    let _ = client.socket.send(Message::binary(vec![b'['; 10 << 20])).await;
    assert_eq!(client.closed().await.0, 1009);
    let mut client = Client::connect(&stage).await;
    let frame = Frame::message(vec![0xff, 0xfe], OpCode::Data(Data::Text), true);
    client.socket.send(Message::Frame(frame)).await.unwrap();
    assert_eq!(client.closed().await.0, 1007);
    let mut client = Client::connect(&stage).await;
    // Without a mask, and with a reserved opcode.
    client.socket.get_mut().write_all(&[0x83, 0x00]).await.unwrap();
    assert_eq!(client.closed().await.0, 1002);
    assert_eq!(other.call("eth_chainId", json!([])).await["result"], "0x7a69");
    assert!(other.call("eth_unsubscribe", json!([of_other])).await["result"] == json!(true));
}

/// [G17]
#[tokio::test(flavor = "multi_thread")]
async fn pings_closes_limits_and_stops_keep_to_the_protocol() {
    let upstreams = upstreams(&SimBlocks::new(HEIGHT)).await;
    let mut stage = gateway(&upstreams, "max_websockets = 3\nmax_websockets_per_client = 2").await;
    let (mut one, mut two) = (Client::connect(&stage).await, Client::connect(&stage).await);
    assert_eq!(refused(&stage, &[]).await, 429);
    one.socket.send(Message::Ping(b"beat"[..].into())).await.unwrap();
    let Message::Pong(beat) = one.message().await else { panic!() };
    assert_eq!(&beat[..], b"beat");
    let goodbye = CloseFrame { code: CloseCode::Normal, reason: "done".into() };
    one.socket.close(Some(goodbye)).await.unwrap();
    let Message::Close(Some(answer)) = one.message().await else { panic!() };
    assert_eq!(answer.code, CloseCode::Normal);
    assert!(timeout(LONG, one.socket.next()).await.unwrap().is_none_or(|end| end.is_err()), "it is over");
    // Its place is another's.
    let mut three = eventually("a place", async || handshake(&stage, &[]).await.ok()).await;
    let id = two.subscribe(json!(["newHeads"])).await;
    upstreams[0].mine();
    two.hear(&id, 1).await;
    stage.signal("TERM");
    assert_eq!(two.closed().await.0, 1001);
    let Some(Ok(Message::Close(Some(answer)))) = timeout(LONG, three.next()).await.unwrap() else { panic!() };
    assert_eq!((u16::from(answer.code), answer.reason.as_str()), (1001, "relaymux is stopping"));
    assert!(stage.exit_status().await.success());
}

/// [G18] Told why, while whoever reads goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_cut_with_a_reason() {
    let blocks = SimBlocks::new(HEIGHT);
    let upstreams = upstreams(&blocks).await;
    let stage = gateway(&upstreams, "max_waiting = 16").await;
    let (mut slow, mut fast) = (Client::connect(&stage).await, Client::connect(&stage).await);
    // Each log is told to each of these: far more than the kernel holds.
    for _ in 0..100 {
        slow.subscribe(json!(["logs"])).await;
    }
    let logs = fast.subscribe(json!(["logs"])).await;
    let mut told = 0;
    eventually("the slow one to be cut", async || {
        blocks.mine_with(200);
        told += 200;
        fast.hear(&logs, told).await;
        let cuts = stage.metric("relaymux_rpc_websocket_cuts_total{reason=\"slow\"}").await?;
        (cuts >= 1.0).then_some(())
    })
    .await;
    let (code, reason) = slow.closed().await;
    assert_eq!((code, reason.contains("does not read")), (1013, true), "{reason}");
    blocks.mine();
    fast.hear(&logs, told + 1).await;
}

/// [G19] What waits behind a slow write is bounded in bytes: the rest is an error in its place.
#[tokio::test(flavor = "multi_thread")]
async fn answers_that_wait_for_a_client_are_bounded_in_bytes() {
    let upstreams = upstreams(&SimBlocks::new(HEIGHT)).await;
    upstreams.iter().for_each(|upstream| upstream.answer_large(LARGE));
    let stage = gateway(&upstreams, "max_answer_bytes = 3000000").await;
    let mut client = Client::connect(&stage).await;
    for id in 0..24_u64 {
        // Each another one: the same is asked once.
        let params = json!([{"to": format!("0x{id:040x}")}, "latest"]);
        let call = json!({"jsonrpc": "2.0", "id": id, "method": "eth_call", "params": params});
        client.send(call.to_string()).await;
    }
    // What has come is there, and nobody reads it.
    eventually("all to have come", async || {
        let text = stage.http.get(format!("{}/metrics", stage.ops)).send().await.ok()?.text().await.ok()?;
        let calls = text
            .lines()
            .filter(|line| line.starts_with("relaymux_rpc_requests_total{") && line.contains("eth_call"))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        (calls.sum::<f64>() >= 24.0).then_some(())
    })
    .await;
    let (mut whole, mut errors) = (0, 0);
    for _ in 0..24 {
        let answer = client.answer().await;
        if answer["result"].as_str().is_some_and(|text| text.len() == LARGE) {
            whole += 1;
        } else {
            assert_eq!(answer["error"]["code"], json!(-32005), "{}", answer["error"]);
            assert!(answer["error"]["message"].as_str().unwrap().contains("wait for this connection"));
            errors += 1;
        }
    }
    assert!(whole >= 1 && errors >= 18, "{whole} {errors}");
    // Once it has read them there is room again.
    let again = client.call("eth_call", json!([{"to": format!("0x{:040x}", 99)}, "latest"])).await;
    assert_eq!(again["result"].as_str().map(str::len), Some(LARGE));
}

/// [G20] By way of `[tls] proxy`, as calls are: a tunnel for websockets with TLS and without.
#[tokio::test(flavor = "multi_thread")]
async fn websockets_of_other_machines_go_through_the_proxy() {
    let blocks = SimBlocks::new(HEIGHT);
    let upstream = Arc::new(SimUpstream::start_on(31337, &blocks).await.unwrap());
    let ws: u16 = upstream.ws_url().rsplit(':').next().unwrap().parse().unwrap();
    let proxy = FarSide::start(Speaks::Plain, move |_, seen| {
        if seen.line.starts_with("CONNECT") {
            return Reply::Tunnel(ws);
        }
        // A call, which the proxy makes in the gateway's place.
        let answer = upstream.answer(&serde_json::from_slice(&seen.body).unwrap());
        Reply::with(200, &[("content-type", "application/json")], answer.to_string())
    })
    .await;
    let text = format!(
        "[tls]\nproxy = \"http://me:p%40ss@127.0.0.1:{}\"\n[rpc]\nlisten = \"127.0.0.1:0\"\nchain_id = 31337\n\
         [[rpc.upstreams]]\nid = \"node-0\"\nurl = \"http://node.example:8545\"\nws_url = \"ws://node.example:8546/secret\"\nprobe_ms = 100\n",
        proxy.port
    );
    let stage = stage().relay(honest()).section(&text).start().await;
    all_serve(&stage, 1).await;
    let connect = proxy.seen().into_iter().find(|seen| seen.line.starts_with("CONNECT")).unwrap();
    assert_eq!(connect.line, "CONNECT node.example:8546");
    let opens = connect.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("proxy-authorization"));
    assert_eq!(opens.map(|(_, value)| value.as_str()), Some("Basic bWU6cEBzcw=="));
    let mut client = Client::connect(&stage).await;
    let heads = client.subscribe(json!(["newHeads"])).await;
    blocks.mine();
    assert_eq!(number(&client.hear(&heads, 1).await[0]), HEIGHT + 1);
    let log = stage.log();
    assert!(
        !log.contains("p@ss") && !log.contains("bWU6") && !log.contains("/secret"),
        "a secret is in the log"
    );
}

/// [G21] A websocket that is open and tells nothing costs no head: they are looked for.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_falls_silent_costs_no_head() {
    let blocks = SimBlocks::new(HEIGHT);
    let upstreams = upstreams(&blocks).await;
    let stage = gateway(&upstreams, "").await;
    let mut client = Client::connect(&stage).await;
    let (heads, logs) =
        (client.subscribe(json!(["newHeads"])).await, client.subscribe(json!(["logs"])).await);
    blocks.mine();
    client.hear(&logs, 1).await;
    upstreams.iter().for_each(|upstream| upstream.silence(true));
    (0..3).for_each(|_| blocks.mine());
    client.hear(&heads, 4).await;
    client.hear(&logs, 4).await;
    upstreams.iter().for_each(|upstream| upstream.silence(false));
    blocks.mine();
    let numbers: Vec<u64> = client.hear(&heads, 5).await.iter().map(number).collect();
    assert_eq!(numbers, (HEIGHT + 1..=HEIGHT + 5).collect::<Vec<_>>());
    assert_eq!(client.hear(&logs, 5).await.len(), 5);
}

/// A client that never completes its handshake, or closes in the middle of a message, costs nobody else.
#[tokio::test(flavor = "multi_thread")]
async fn clients_that_go_in_the_middle_of_anything_leave_nothing_behind() {
    let upstreams = upstreams(&SimBlocks::new(HEIGHT)).await;
    let stage = gateway(&upstreams, "max_websockets_per_client = 4").await;
    let address = stage.rpc.strip_prefix("http://").unwrap().to_owned();
    for _ in 0..20 {
        let mut half = Client::connect(&stage).await.socket.into_inner();
        half.write_all(&[0x81, 0xfe, 0x10, 0x00, 0, 0, 0, 0, b'{']).await.unwrap();
        drop(half);
        let mut begun = TcpStream::connect(&address).await.unwrap();
        begun.write_all(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: webso").await.unwrap();
        drop(begun);
        eventually("its place to be free", async || {
            (stage.metric("relaymux_rpc_websockets").await? == 0.0).then_some(())
        })
        .await;
    }
    // A POST that looks like an upgrade is none.
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let head = "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200", "JSON-RPC says the rest");
}
