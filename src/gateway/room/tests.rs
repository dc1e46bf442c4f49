//! The gateway as a whole, over upstreams that play scripts.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Gateway, GatewayParts};
use crate::{
    consensus::WallClock,
    gateway::{
        CacheSettings, ClientId, Feedback, HOP, Hops, RpcAnswer, RpcCall, Served, ServedBy, Session,
        TransportFailure,
        stage::{Act, BACKUP, PRIMARY, REPLICA, Stage, block, deadline},
    },
};

fn gateway(stage: &Stage) -> Arc<Gateway> {
    Gateway::new(GatewayParts {
        settings: stage.settings.clone(),
        upstreams: stage.asks(),
        board: stage.board.clone(),
        clock: WallClock::manual(0).0,
    })
}

fn call(method: &str, params: Value) -> RpcCall {
    RpcCall::new(method, params.to_string())
}

fn value(served: &Served) -> Value {
    match &served.answer {
        RpcAnswer::Result(result) => result.read().unwrap(),
        RpcAnswer::Error(error) => json!({ "code": error.code }),
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_served_reaches_no_upstream() {
    let stage = Stage::new();
    let gateway = gateway(&stage);
    for method in ["admin_addPeer", "debug_setHead", "eth_sendTransaction", "eth_accounts", "eth_what", ""] {
        let served = gateway.call(call(method, json!([])), &stage.session, deadline()).await;
        assert_eq!((value(&served), served.by), (json!({ "code": -32601 }), ServedBy::Gateway), "{method}");
    }
    assert_eq!(stage.heard(), [0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn the_chain_is_known_though_nobody_is_up() {
    let stage = Stage::new();
    stage.serve(&[]);
    let gateway = gateway(&stage);
    let (id, version) = (|| call("eth_chainId", json!([])), || call("net_version", json!([])));
    for (call, want) in [(id(), json!("0x1")), (version(), json!("1"))] {
        let served = gateway.call(call, &stage.session, deadline()).await;
        assert_eq!((value(&served), served.by), (want, ServedBy::Gateway));
    }
    let served = gateway.call_batch(vec![id(), version()], &stage.session, deadline()).await;
    assert_eq!(served.iter().map(value).collect::<Vec<_>>(), [json!("0x1"), json!("1")]);
    assert_eq!(stage.heard(), [0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_what_is_under_way_until_the_deadline() {
    let stage = Stage::new();
    stage.actor(PRIMARY).plays(|_, _| Act::Say(json!("0x1")));
    stage.actor(REPLICA).plays(|_, _| Act::Hang);
    let gateway = gateway(&stage);
    let far = Instant::now() + Duration::from_secs(3_600);
    gateway.call(call("eth_sendRawTransaction", json!(["0x02"])), &stage.session, far).await;
    let started = Instant::now();
    gateway.drained().await;
    assert_eq!(started.elapsed(), stage.settings.deadline);
}

#[tokio::test(start_paused = true)]
async fn a_call_says_to_upstreams_which_gateways_it_has_come_through() {
    let mut stage = Stage::new();
    stage.settings.methods.allow = vec!["eth_sendTransaction".to_owned()];
    let gateway = gateway(&stage);
    let came = http::HeaderMap::from_iter([(HOP, http::HeaderValue::from_static("a, b"))]);
    let hops = Hops::read(&came).unwrap();
    let session = stage.session.clone().through(hops.clone());
    for method in
        ["eth_call", "eth_sendRawTransaction", "eth_getLogs", "eth_newBlockFilter", "eth_sendTransaction"]
    {
        let params = json!([{ "fromBlock": "0x1", "toBlock": "0x2" }]);
        gateway.call(call(method, params), &session, deadline()).await;
    }
    let calls = (0..3).map(|n| call("eth_call", json!([n]))).collect();
    gateway.call_batch(calls, &session, deadline()).await;
    for actor in &stage.actors {
        assert!(actor.heard.lock().iter().all(|call| call.hops == hops), "{:?}", actor.heard.lock());
    }
    assert!(stage.heard()[PRIMARY] >= 8);
    // The same call of a client's own is another one: it joins none that may come back.
    stage.actor(PRIMARY).plays(|_, _| Act::after(100, Act::Say(json!("0x1"))));
    let before = stage.heard()[PRIMARY];
    let ask = |session| gateway.call(call("eth_gasPrice", json!([])), session, deadline());
    tokio::join!(ask(&session), ask(&stage.session), ask(&stage.session));
    assert_eq!(stage.heard()[PRIMARY] - before, 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_under_way_is_finished_by_an_upstream_that_is_out_since_and_no_other_is_sent_there() {
    let stage = Stage::new();
    stage.actor(PRIMARY).plays(|_, _| Act::after(500, Act::Say(json!("0x64"))));
    let gateway = gateway(&stage);
    let ask = |account| call("eth_getBalance", json!([account, "latest"]));
    let (under_way, after) = tokio::join!(gateway.call(ask("0x01"), &stage.session, deadline()), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        stage.serve(&[REPLICA, BACKUP]);
        gateway.call(ask("0x02"), &stage.session, deadline()).await
    });
    assert_eq!((value(&under_way), value(&after)), (json!("0x64"), json!(REPLICA)));
    assert_eq!(stage.heard(), [1, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_is_not_asked_again() {
    let mut stage = Stage::new();
    stage.settings.cache = CacheSettings { max_bytes: 1 << 20 };
    stage.actor(PRIMARY).plays(|call, _| match &*call.method {
        "eth_getBlockByNumber" => Act::Say(block(1)),
        _ => Act::Say(json!("0x1")),
    });
    let gateway = gateway(&stage);
    let old = call("eth_getBlockByNumber", json!(["0x1", false]));
    let first = gateway.call(old.clone(), &stage.session, deadline()).await;
    let second = gateway.call(old, &stage.session, deadline()).await;
    assert_eq!(
        (value(&first), second.by.clone(), stage.heard()),
        (value(&second), ServedBy::Cache, [1, 0, 0])
    );
    // What names the block that is being built is asked each time.
    for _ in 0..2 {
        gateway.call(call("eth_getBalance", json!(["0xa", "pending"])), &stage.session, deadline()).await;
    }
    assert_eq!(stage.heard(), [3, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn logs_of_whoever_lacks_the_ranges_end_are_not_kept() {
    let mut stage = Stage::new();
    stage.settings.cache = CacheSettings { max_bytes: 1 << 20 };
    stage.actor(PRIMARY).plays(|_, _| Act::refused());
    stage.actor(BACKUP).plays(|_, _| Act::refused());
    stage.actor(REPLICA).plays(|_, _| Act::Say(json!([])));
    let gateway = gateway(&stage);
    let logs = || call("eth_getLogs", json!([{ "fromBlock": "0x1", "toBlock": "0x40" }]));
    // What would be incomplete is not told; what lacks nothing is kept.
    for (heads, said, more) in
        [([100, 60, 100], json!({ "code": -32000 }), true), ([100, 99, 100], json!([]), false)]
    {
        stage.heads(heads);
        let before = stage.heard()[REPLICA];
        assert_eq!(value(&gateway.call(logs(), &stage.session, deadline()).await), said, "{heads:?}");
        let first = stage.heard()[REPLICA];
        assert_eq!(value(&gateway.call(logs(), &stage.session, deadline()).await), said, "{heads:?}");
        assert_eq!((first > before, stage.heard()[REPLICA] > first), (true, more), "{heads:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_call_is_asked_once_for_all_who_wait() {
    let stage = Stage::new();
    stage.actor(PRIMARY).plays(|call, _| match &*call.method {
        "eth_newBlockFilter" => Act::after(100, Act::Say(json!("0x7"))),
        _ => Act::after(100, Act::Say(json!("0x64"))),
    });
    let gateway = gateway(&stage);
    let other = Session::new(ClientId::Token("other".into()));
    let number = || call("eth_blockNumber", json!([]));
    let (one, two) = tokio::join!(
        gateway.call(number(), &stage.session, deadline()),
        gateway.call(number(), &other, deadline()),
    );
    assert_eq!((value(&one), value(&two), stage.heard()), (json!("0x64"), json!("0x64"), [1, 0, 0]));
    assert_eq!((stage.session.latest(), other.latest()), (100, 100));
    // Each client has its own filter.
    let make = || call("eth_newBlockFilter", json!([]));
    let (one, two) = tokio::join!(
        gateway.call(make(), &stage.session, deadline()),
        gateway.call(make(), &other, deadline()),
    );
    assert!(value(&one) != value(&two));
    assert_eq!(stage.heard(), [3, 0, 0]);
    // A client that was told more waits for no answer to somebody who was told less.
    other.note_latest(101);
    let (_, two) = tokio::join!(
        gateway.call(number(), &stage.session, deadline()),
        gateway.call(number(), &other, deadline()),
    );
    assert_eq!((value(&two), other.latest()), (json!("0x65"), 101));
}

#[tokio::test(start_paused = true)]
async fn what_is_pending_is_each_clients_own() {
    let stage = Stage::new();
    stage.actor(PRIMARY).plays(|_, _| Act::after(100, Act::Say(json!("0x1"))));
    let gateway = gateway(&stage);
    for (method, params, asked) in [
        ("eth_getBalance", json!(["0xa", "latest"]), 1),
        ("eth_getBalance", json!(["0xa", "pending"]), 2),
        ("eth_getTransactionCount", json!(["0xa", "latest"]), 2),
        ("eth_call", json!([{ "data": "0".repeat(20_000) }, "latest"]), 2),
    ] {
        let before = stage.heard()[PRIMARY];
        let ask = || gateway.call(call(method, params.clone()), &stage.session, deadline());
        tokio::join!(ask(), ask());
        assert_eq!(stage.heard()[PRIMARY] - before, asked, "{method} {params}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_keeps_its_order_and_goes_in_parts_of_ten() {
    let stage = Stage::new();
    stage.actor(PRIMARY).plays(|call, _| Act::Say(serde_json::from_slice(&call.params).unwrap()));
    let gateway = gateway(&stage);
    let calls: Vec<RpcCall> =
        (0..23).map(|at| call("eth_getBalance", json!(["0xa", format!("{at:#x}")]))).collect();
    let served = gateway.call_batch(calls, &stage.session, deadline()).await;
    for (at, served) in served.iter().enumerate() {
        assert_eq!(value(served)[1], json!(format!("{at:#x}")));
    }
    let mut batches = stage.actor(PRIMARY).batches.lock().clone();
    batches.sort_unstable();
    assert_eq!((batches, stage.heard()), (vec![3, 10, 10], [23, 0, 0]));
}

#[tokio::test(start_paused = true)]
async fn one_bad_item_never_fails_the_others() {
    let stage = Stage::new();
    stage.actor(PRIMARY).plays(|call, _| match &*call.method {
        "eth_gasPrice" => Act::Refuse(-32603, "Internal error"),
        "eth_call" => Act::Refuse(3, "execution reverted"),
        "eth_sendRawTransaction" => Act::Say(json!("0xhash")),
        _ => Act::Say(json!("primary")),
    });
    stage.actor(REPLICA).plays(|call, _| match &*call.method {
        "eth_sendRawTransaction" => Act::Hang,
        _ => Act::Say(json!("replica")),
    });
    let gateway = gateway(&stage);
    let calls = vec![
        call("eth_getBalance", json!(["0xa", "latest"])),
        call("eth_gasPrice", json!([])),
        call("admin_peers", json!([])),
        call("eth_call", json!([{}, "latest"])),
        call("eth_sendRawTransaction", json!(["0x02"])),
        call("eth_getBalance", json!(["0xb", "latest"])),
    ];
    let served = gateway.call_batch(calls, &stage.session, deadline()).await;
    let values: Vec<Value> = served.iter().map(value).collect();
    let (primary, replica) = (json!("primary"), json!("replica"));
    let (refused, reverted, hash) = (json!({ "code": -32601 }), json!({ "code": 3 }), json!("0xhash"));
    assert_eq!(values, [primary.clone(), replica, refused, reverted, hash, primary]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_an_upstream_does_not_take_is_asked_one_by_one() {
    let stage = Stage::new();
    stage.actor(PRIMARY).plays(|_, _| Act::refused());
    let gateway = gateway(&stage);
    let calls = vec![call("eth_gasPrice", json!([])), call("eth_blobBaseFee", json!([]))];
    let served = gateway.call_batch(calls, &stage.session, deadline()).await;
    assert!(served.iter().all(|served| value(served) == json!(REPLICA)));
    assert_eq!(gateway.call_batch(Vec::new(), &stage.session, deadline()).await, []);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_fails_says_of_its_upstream_what_a_call_says() {
    let pair = || vec![call("eth_gasPrice", json!([])), call("eth_blobBaseFee", json!([]))];
    // It asks for rest: it is not asked again for these calls, nor for the next.
    let limited = TransportFailure::Status { status: 429, retry_after: Some(Duration::from_secs(5)) };
    let mut stage = Stage::new();
    stage.actor(PRIMARY).plays(move |_, _| Act::Fail(limited.clone()));
    let batch = gateway(&stage);
    let served = batch.call_batch(pair(), &stage.session, deadline()).await;
    assert!(served.iter().all(|served| value(served) == json!(REPLICA)));
    batch.call(call("eth_gasPrice", json!([])), &stage.session, deadline()).await;
    assert_eq!(stage.heard(), [1, 3, 0]);
    assert!(!stage.feedback().iter().any(|told| matches!(told, (PRIMARY, Feedback::Failed(_)))));
    // It is frozen: that is told, and the single calls ask it last.
    let mut stage = Stage::new();
    stage.actor(PRIMARY).plays(|_, _| Act::Hang);
    let batch = gateway(&stage);
    let started = Instant::now();
    batch.call_batch(pair(), &stage.session, deadline()).await;
    assert_eq!((stage.heard(), started.elapsed()), ([1, 2, 0], Duration::from_millis(500)));
    assert!(stage.feedback().iter().any(|told| matches!(told, (PRIMARY, Feedback::Failed(_)))));
}

#[tokio::test(start_paused = true)]
async fn a_doubtful_answer_of_a_batch_is_asked_again_where_somebody_may_know_better() {
    let receipts = || ["0xa", "0xb"].map(|hash| call("eth_getTransactionReceipt", json!([hash]))).to_vec();
    let stage = Stage::new();
    for place in [PRIMARY, REPLICA, BACKUP] {
        stage.actor(place).plays(|_, _| Act::Say(Value::Null));
    }
    let batch = gateway(&stage);
    batch.call_batch(receipts(), &stage.session, deadline()).await;
    assert_eq!(stage.heard(), [2, 0, 0]);
    // The replica is further, and then it is down: nothing is the answer all the same.
    stage.heads([100, 101, 100]);
    stage.actor(REPLICA).plays(|_, _| Act::Say(json!({})));
    let served = batch.call_batch(receipts(), &stage.session, deadline()).await;
    assert_eq!((value(&served[0]), stage.heard()), (json!({}), [4, 2, 0]));
    stage.actor(REPLICA).plays(|_, _| Act::refused());
    stage.actor(BACKUP).plays(|_, _| Act::Refuse(-32603, "Internal error"));
    stage.actor(PRIMARY).plays(|_, nth| match nth {
        4 | 5 => Act::Say(Value::Null),
        _ => Act::refused(),
    });
    let served = batch.call_batch(receipts(), &stage.session, deadline()).await;
    assert!(served.iter().all(|served| value(served) == Value::Null), "{served:?}");
}

#[tokio::test(start_paused = true)]
async fn a_batch_has_no_more_calls_than_its_upstreams_second_has() {
    let stage = Stage::new();
    stage.actor(PRIMARY).most_at_once.store(4, Relaxed);
    let calls: Vec<RpcCall> =
        (0..9).map(|at| call("eth_getBalance", json!(["0xa", format!("{at:#x}")]))).collect();
    gateway(&stage).call_batch(calls, &stage.session, deadline()).await;
    assert_eq!((stage.actor(PRIMARY).batches.lock().clone(), stage.heard()), (vec![4, 4], [9, 0, 0]));
}

#[tokio::test(start_paused = true)]
async fn what_people_see_is_what_happened() {
    let stage = Stage::new();
    stage.actor(PRIMARY).plays(|_, _| Act::refused());
    let gateway = gateway(&stage);
    gateway.call(call("eth_gasPrice", json!([])), &stage.session, deadline()).await;
    let shown = serde_json::to_value(gateway.view()).unwrap();
    assert_eq!(shown["order"], json!(["primary", "replica", "backup"]));
    assert_eq!(
        (&shown["upstreams"][0]["requests"], &shown["upstreams"][1]["share"]),
        (&json!(1), &json!(0.5))
    );
    assert_eq!(shown["upstreams"][0]["state"], json!("healthy"));
    assert_eq!(shown["failovers"][0]["reason"], json!("unreachable"));
    assert!(!shown.to_string().contains("127.0.0.1"), "{shown}");
    gateway.drained().await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_leaves_a_frozen_node_for_another_own_one() {
    let mut stage = Stage::new();
    stage.settings.attempt = Duration::from_millis(2_500);
    let gateway = gateway(&stage);
    stage.actor(PRIMARY).plays(|_, _| Act::Hang);
    let calls = || (0..3).map(|n| call("eth_call", json!([n]))).collect::<Vec<_>>();
    let started = Instant::now();
    let served = gateway.call_batch(calls(), &stage.session, deadline()).await;
    assert_eq!(
        served.iter().map(value).collect::<Vec<_>>(),
        [json!(REPLICA), json!(REPLICA), json!(REPLICA)]
    );
    // 0.8 s, as nothing is known of it.
    assert_eq!(started.elapsed(), Duration::from_millis(800));
    gateway.call_batch(calls(), &stage.session, deadline()).await;
    assert_eq!(started.elapsed(), Duration::from_millis(800), "the next batch does not wait");
    let told = stage.feedback();
    assert!(told.contains(&(PRIMARY, Feedback::Silent)), "{told:?}");
    assert!(!told.iter().any(|told| matches!(told, (_, Feedback::Failed(_)))), "{told:?}");
    // A paid one stands in for nobody who may be slow.
    stage.serve(&[PRIMARY, BACKUP]);
    let started = Instant::now();
    gateway.call_batch(calls(), &stage.session, deadline()).await;
    assert_eq!(started.elapsed(), Duration::from_millis(2_500));
}
