//! Raw transactions against upstreams that play scripts.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use alloy_primitives::keccak256;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{hash_of, send};
use crate::gateway::{
    RpcAnswer, RpcCall, Served, ServedBy,
    stage::{Act, BACKUP, PRIMARY, REPLICA, Stage, deadline},
};

fn raw() -> RpcCall {
    RpcCall::new("eth_sendRawTransaction", json!(["0x02f8"]).to_string())
}

fn hash() -> Value {
    json!(keccak256([0x02, 0xf8]))
}

fn result(served: &Served) -> Value {
    match &served.answer {
        RpcAnswer::Result(result) => result.read().unwrap(),
        RpcAnswer::Error(error) => panic!("{error:?}"),
    }
}

fn words(served: &Served) -> String {
    match &served.answer {
        RpcAnswer::Error(error) => error.message.to_string(),
        RpcAnswer::Result(result) => panic!("{result:?}"),
    }
}

async fn run(stage: &Stage) -> Served {
    send(&stage.lanes(), &raw(), stage.settings.send_to_backups, &stage.session, deadline()).await
}

#[test]
fn the_hash_is_of_the_raw_bytes() {
    assert_eq!(json!(hash_of(&raw()).unwrap()), hash());
    for params in [json!([]), json!(["02f8"]), json!(["0x0"]), json!(["0x"]), json!([7]), json!({})] {
        assert_eq!(hash_of(&RpcCall::new("eth_sendRawTransaction", params.to_string())), None, "{params}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_goes_to_all_own_nodes_at_once_and_the_first_answers() {
    let stage = Stage::new();
    stage.actor(PRIMARY).plays(|_, _| Act::after(300, Act::Say(json!("0x1"))));
    stage.actor(REPLICA).plays(|_, _| Act::after(20, Act::Say(json!("0x2"))));
    let lanes = stage.lanes();
    let started = Instant::now();
    let served = send(&lanes, &raw(), false, &stage.session, deadline()).await;
    assert_eq!((result(&served), started.elapsed()), (json!("0x2"), Duration::from_millis(20)));
    assert_eq!(stage.heard(), [1, 1, 0]);
    // The other goes on when the client has its answer.
    assert_eq!(stage.actor(PRIMARY).finished.load(Relaxed), 0);
    lanes.background().close();
    lanes.background().wait().await;
    assert_eq!(
        (stage.actor(PRIMARY).finished.load(Relaxed), started.elapsed()),
        (1, Duration::from_millis(300))
    );
}

#[tokio::test(start_paused = true)]
async fn a_backup_is_asked_by_setting_or_when_own_nodes_cannot() {
    let mut stage = Stage::new();
    stage.settings.send_to_backups = true;
    run(&stage).await;
    tokio::task::yield_now().await;
    assert_eq!(stage.heard(), [1, 1, 1]);

    let stage = Stage::new();
    stage.actor(PRIMARY).plays(|_, _| Act::refused());
    stage.actor(REPLICA).plays(|_, _| Act::Refuse(-32603, "Internal error"));
    let served = run(&stage).await;
    assert_eq!((result(&served), stage.heard()), (json!(BACKUP), [1, 1, 1]));

    // They looked at it and refused it: that is the answer.
    let stage = Stage::new();
    stage.actor(PRIMARY).plays(|_, _| Act::after(50, Act::Refuse(-32000, "insufficient funds")));
    stage.actor(REPLICA).plays(|_, _| Act::Refuse(-32000, "transaction underpriced"));
    let served = run(&stage).await;
    assert_eq!((words(&served), stage.heard()), ("insufficient funds".to_owned(), [1, 1, 0]));
}

#[tokio::test(start_paused = true)]
async fn frozen_own_nodes_hold_up_no_backup_for_longer_than_one_attempt() {
    let stage = Stage::new();
    for place in [PRIMARY, REPLICA] {
        stage.actor(place).plays(|_, _| Act::Hang);
    }
    let started = Instant::now();
    assert_eq!(result(&run(&stage).await), json!(BACKUP));
    assert_eq!((started.elapsed(), stage.heard()), (Duration::from_millis(500), [1, 1, 1]));
}

#[tokio::test(start_paused = true)]
async fn when_nobody_can_be_reached_everybody_is_tried_again() {
    let stage = Stage::new();
    for place in [PRIMARY, REPLICA, BACKUP] {
        stage.actor(place).plays(|_, nth| if nth == 0 { Act::refused() } else { Act::Say(json!("0x1")) });
    }
    assert_eq!(result(&run(&stage).await), json!("0x1"));
    let stage = Stage::new();
    stage.serve(&[]);
    let started = Instant::now();
    assert!(words(&run(&stage).await).contains("none is up"));
    assert!(started.elapsed() < Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn one_that_refuses_does_not_outvote_one_that_takes_it() {
    let stage = Stage::new();
    stage.actor(PRIMARY).plays(|_, _| Act::Refuse(-32000, "txpool is full"));
    stage.actor(REPLICA).plays(|_, _| Act::after(100, Act::Say(json!("0x2"))));
    let served = run(&stage).await;
    assert_eq!(served.by, ServedBy::Upstream(stage.settings.upstreams[REPLICA].id.clone()));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_waits_for_a_frozen_node_no_longer_than_one_attempt() {
    let stage = Stage::new();
    stage.actor(PRIMARY).plays(|_, _| Act::after(100, Act::Refuse(-32000, "insufficient funds")));
    stage.actor(REPLICA).plays(|_, _| Act::Hang);
    let started = Instant::now();
    assert_eq!(words(&run(&stage).await), "insufficient funds");
    assert_eq!((started.elapsed(), stage.heard()), (Duration::from_millis(600), [1, 1, 0]));
}

#[tokio::test(start_paused = true)]
async fn already_known_is_success_with_the_hash() {
    for words in ["already known", "ALREADY_EXISTS: already known", "known transaction: 0x1"] {
        let stage = Stage::new();
        stage.actor(PRIMARY).plays(move |_, _| Act::Refuse(-32000, words));
        stage.actor(REPLICA).plays(|_, _| Act::Hang);
        assert_eq!(result(&run(&stage).await), hash(), "{words}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_nonce_that_is_too_low_is_looked_up_before_it_is_told() {
    let too_low = |found: Value| {
        move |call: &RpcCall, _: usize| match &*call.method {
            "eth_getTransactionByHash" => Act::Say(found.clone()),
            _ => Act::Refuse(-32000, "nonce too low: next nonce 5, tx nonce 4"),
        }
    };
    let stage = Stage::new();
    stage.actor(PRIMARY).plays(too_low(json!({ "hash": hash() })));
    stage.actor(REPLICA).plays(|_, _| Act::Hang);
    assert_eq!(result(&run(&stage).await), hash());
    let asked = stage.actor(PRIMARY).heard.lock()[1].clone();
    assert_eq!(asked.params, json!([hash()]).to_string().as_bytes());

    let stage = Stage::new();
    stage.actor(PRIMARY).plays(too_low(Value::Null));
    stage.actor(REPLICA).plays(too_low(Value::Null));
    assert!(words(&run(&stage).await).starts_with("nonce too low"));

    // The search is bounded, and holds up nobody who takes it.
    let stage = Stage::new();
    stage.actor(PRIMARY).plays(|call, _| match &*call.method {
        "eth_getTransactionByHash" => Act::Hang,
        _ => Act::Refuse(-32000, "nonce too low"),
    });
    stage.actor(REPLICA).plays(|_, _| Act::after(200, Act::Say(json!("0x2"))));
    let started = Instant::now();
    assert_eq!((result(&run(&stage).await), started.elapsed()), (json!("0x2"), Duration::from_millis(200)));
    stage.actor(REPLICA).plays(|_, _| Act::refused());
    stage.actor(BACKUP).plays(|_, _| Act::refused());
    let started = Instant::now();
    assert!(words(&run(&stage).await).starts_with("nonce too low"));
    assert_eq!(started.elapsed(), Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn when_nobody_took_it_that_is_said_by_the_deadline() {
    let stage = Stage::new();
    for place in [PRIMARY, REPLICA, BACKUP] {
        stage.actor(place).plays(|_, _| Act::refused());
    }
    let served = run(&stage).await;
    assert_eq!(served.by, ServedBy::Gateway);
    assert!(words(&served).contains("primary: connect"), "{}", words(&served));
    stage.actor(PRIMARY).plays(|_, _| Act::Hang);
    let started = Instant::now();
    run(&stage).await;
    assert!(started.elapsed() <= Duration::from_secs(10));
}
