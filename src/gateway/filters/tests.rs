//! Filters over upstreams that die.

use serde_json::{Value, json};

use super::Filters;
use crate::gateway::{
    Feedback, RpcAnswer, RpcCall, Served, ServedBy, TransportFailure,
    lanes::Lanes,
    stage::{Act, BACKUP, PRIMARY, REPLICA, Stage, block, deadline, hash},
};
use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

struct Client {
    stage: Stage,
    lanes: Arc<Lanes>,
    filters: Filters,
}

impl Client {
    fn new() -> Self {
        let stage = Stage::new();
        let lanes = stage.lanes();
        Self { stage, lanes, filters: Filters::default() }
    }

    async fn call(&self, method: &str, params: Value) -> Served {
        let call = RpcCall::new(method, params.to_string());
        self.filters.serve(&self.lanes, &call, &self.stage.session, deadline()).await
    }

    async fn get(&self, method: &str, params: Value) -> Value {
        match self.call(method, params).await.answer {
            RpcAnswer::Result(result) => result.read().unwrap(),
            RpcAnswer::Error(error) => json!({ "error": &*error.message }),
        }
    }
}

fn log(number: u64, index: u64) -> Value {
    json!({ "blockHash": hash(number), "blockNumber": format!("{number:#x}"), "logIndex": format!("{index:#x}") })
}

/// A node that has a filter `0x1`, at a height, and these logs.
fn node(head: u64, changes: Value, logs: Value) -> impl Fn(&RpcCall, usize) -> Act + Send + Sync + 'static {
    move |call, _| {
        Act::Say(match &*call.method {
            "eth_newFilter" | "eth_newBlockFilter" | "eth_newPendingTransactionFilter" => json!("0x1"),
            "eth_getFilterChanges" => changes.clone(),
            "eth_getLogs" => logs.clone(),
            "eth_blockNumber" => json!(format!("{head:#x}")),
            "eth_uninstallFilter" => json!(true),
            "eth_getBlockByNumber" => {
                let params: Vec<Value> = serde_json::from_slice(&call.params).unwrap();
                let number = u64::from_str_radix(params[0].as_str().unwrap().trim_start_matches("0x"), 16);
                block(number.unwrap())
            }
            other => panic!("{other}"),
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_filter_stays_with_its_upstream_behind_an_id_of_ours() {
    let client = Client::new();
    client.stage.actor(PRIMARY).plays(node(100, json!([log(100, 0)]), json!([])));
    let id = client.get("eth_newFilter", json!([{"address": "0xa"}])).await;
    let other = client.get("eth_newFilter", json!([{"address": "0xa"}])).await;
    assert!(id != json!("0x1") && id != other, "{id} {other}");
    assert_eq!(client.get("eth_getFilterChanges", json!([id])).await, json!([log(100, 0)]));
    let asked = client.stage.actor(PRIMARY).heard.lock()[2].clone();
    assert_eq!((&*asked.method, &asked.params[..]), ("eth_getFilterChanges", &b"[\"0x1\"]"[..]));
    // The order changes; the filter does not move.
    client.stage.serve(&[REPLICA, PRIMARY, BACKUP]);
    client.get("eth_getFilterChanges", json!([id])).await;
    assert_eq!(client.stage.heard(), [4, 0, 0]);
    assert_eq!(client.get("eth_uninstallFilter", json!([id])).await, json!(true));
    assert_eq!(client.get("eth_getFilterChanges", json!([id])).await, json!({ "error": "filter not found" }));
    for nonsense in [json!([]), json!(["0xzz"]), json!([7]), json!(["0x1"])] {
        assert_eq!(
            client.get("eth_getFilterChanges", nonsense).await,
            json!({ "error": "filter not found" })
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_filter_outlives_its_upstream_without_a_gap_and_without_a_double() {
    let client = Client::new();
    client.stage.actor(PRIMARY).plays(node(100, json!([log(101, 0)]), json!([])));
    let id = client.get("eth_newFilter", json!([{"address": "0xa"}])).await;
    // No probe has seen block 101 yet when its log is told.
    assert_eq!(client.get("eth_getFilterChanges", json!([id])).await, json!([log(101, 0)]));
    client.stage.actor(PRIMARY).plays(|_, _| Act::refused());
    client.stage.actor(REPLICA).plays(node(
        103,
        json!([log(103, 5), log(104, 0)]),
        json!([log(101, 0), log(102, 1), log(103, 5)]),
    ));
    assert_eq!(client.get("eth_getFilterChanges", json!([id])).await, json!([log(102, 1), log(103, 5)]));
    let asked =
        client.stage.actor(REPLICA).heard.lock().iter().find(|call| &*call.method == "eth_getLogs").cloned();
    let params: Value = serde_json::from_slice(&asked.unwrap().params).unwrap();
    assert_eq!(params, json!([{ "address": "0xa", "fromBlock": "0x65", "toBlock": "0x67" }]));
    // The new filter tells of 103, too, as it was made before the past was read.
    assert_eq!(client.get("eth_getFilterChanges", json!([id])).await, json!([log(104, 0)]));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_forgot_a_filter_makes_it_again() {
    let client = Client::new();
    client.stage.actor(PRIMARY).plays(node(100, json!([]), json!([])));
    let id = client.get("eth_newBlockFilter", json!([])).await;
    let made = node(102, json!([hash(102), hash(103)]), json!([]));
    client.stage.actor(PRIMARY).plays(move |call, nth| match &*call.method {
        "eth_getFilterChanges" if nth == 1 => Act::Refuse(-32000, "filter not found"),
        _ => made(call, nth),
    });
    assert_eq!(client.get("eth_getFilterChanges", json!([id])).await, json!([hash(101), hash(102)]));
    assert_eq!(client.get("eth_getFilterChanges", json!([id])).await, json!([hash(103)]));
}

#[tokio::test(start_paused = true)]
async fn making_one_is_never_repeated_once_it_may_have_arrived() {
    let client = Client::new();
    client.stage.actor(PRIMARY).plays(|_, _| Act::Fail(TransportFailure::Broken("cut".to_owned())));
    let served = client.call("eth_newBlockFilter", json!([])).await;
    assert_eq!((served.by, client.stage.heard()), (ServedBy::Gateway, [1, 0, 0]));
    // Whoever does not have the method has made none.
    client.stage.actor(PRIMARY).plays(|_, _| Act::Refuse(-32601, "method not found"));
    client.stage.actor(REPLICA).plays(node(100, json!([]), json!([])));
    assert!(client.get("eth_newBlockFilter", json!([])).await.is_string());
    assert_eq!(client.stage.heard(), [2, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn when_nobody_can_make_it_anew_the_filter_waits_and_loses_nothing() {
    let client = Client::new();
    client.stage.actor(PRIMARY).plays(node(100, json!([]), json!([])));
    let id = client.get("eth_newFilter", json!([{}])).await;
    for place in [PRIMARY, REPLICA, BACKUP] {
        client.stage.actor(place).plays(|_, _| Act::refused());
    }
    assert!(client.get("eth_getFilterChanges", json!([id])).await["error"].is_string());
    client.stage.actor(REPLICA).plays(node(101, json!([]), json!([log(101, 0)])));
    assert_eq!(client.get("eth_getFilterChanges", json!([id])).await, json!([log(101, 0)]));
}

#[tokio::test(start_paused = true)]
async fn a_filter_is_not_made_anew_where_it_failed_and_a_frozen_one_holds_it_up_for_one_attempt() {
    let mut client = Client::new();
    client.stage.actor(PRIMARY).plays(node(100, json!([]), json!([])));
    let id = client.get("eth_newFilter", json!([{}])).await;
    client.stage.actor(PRIMARY).plays(|call, _| match &*call.method {
        "eth_getFilterChanges" => Act::Hang,
        _ => Act::refused(),
    });
    client.stage.actor(REPLICA).plays(|call, _| match &*call.method {
        "eth_newFilter" => Act::Hang,
        _ => Act::refused(),
    });
    client.stage.actor(BACKUP).plays(node(101, json!([]), json!([log(101, 0)])));
    // An answer of this very moment would speak for it.
    tokio::time::advance(Duration::from_secs(1)).await;
    let started = Instant::now();
    assert_eq!(client.get("eth_getFilterChanges", json!([id])).await, json!([log(101, 0)]));
    assert_eq!(started.elapsed(), Duration::from_millis(1_000));
    let made = |place: usize| {
        let heard = client.stage.actor(place).heard.lock();
        heard.iter().filter(|call| &*call.method == "eth_newFilter").count()
    };
    assert_eq!([PRIMARY, REPLICA, BACKUP].map(made), [1, 1, 1]);
    let told = client.stage.feedback();
    for place in [PRIMARY, REPLICA] {
        assert!(told.iter().any(|(at, told)| *at == place && matches!(told, Feedback::Failed(_))), "{place}");
    }
}

#[tokio::test(start_paused = true)]
async fn transactions_that_wait_are_told_as_they_come() {
    let client = Client::new();
    client.stage.actor(PRIMARY).plays(node(100, json!([hash(1)]), json!([])));
    let id = client.get("eth_newPendingTransactionFilter", json!([])).await;
    for _ in 0..2 {
        assert_eq!(client.get("eth_getFilterChanges", json!([id])).await, json!([hash(1)]));
    }
}

#[tokio::test(start_paused = true)]
async fn all_logs_of_a_filter_are_read_by_whoever_can() {
    let client = Client::new();
    client.stage.actor(PRIMARY).plays(node(100, json!([]), json!([])));
    let id = client.get("eth_newFilter", json!([{"fromBlock": "0x1"}])).await;
    client.stage.actor(PRIMARY).plays(|_, _| Act::refused());
    client.stage.actor(REPLICA).plays(node(100, json!([]), json!([log(1, 0)])));
    assert_eq!(client.get("eth_getFilterLogs", json!([id])).await, json!([log(1, 0)]));
}
