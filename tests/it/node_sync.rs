//! While a node of the operator's says that it is not synced, no bid is returned, and that is seen.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::stage::{Stage, eventually, honest, stage};

async fn status(stage: &Stage) -> (u16, String) {
    let response = stage.http.get(format!("{}/eth/v1/builder/status", stage.builder)).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

async fn until_held(stage: &Stage, is_held: bool) {
    eventually("bids to be held back, or not any more", async || {
        let ready = stage.ops_json("/readyz").await;
        let checks = ready["checks"].as_array()?;
        let check = checks.iter().find(|check| check["name"] == "nodes_synced")?;
        (check["detail"].as_str()?.contains("no bids are returned") == is_held).then_some(())
    })
    .await;
}

async fn open_alerts(stage: &Stage) -> Vec<Value> {
    let notices = stage.ops_json("/api/v1/profit").await["notices"].clone();
    let is_open = |notice: &&Value| notice["resolved_at"].is_null() && notice["rule"] == "bids_held_back";
    notices.as_array().unwrap().iter().filter(is_open).cloned().collect()
}

/// [H20] While the beacon node says that it syncs, no bid is returned, with the reason; once it says that it is there, bids are.
#[tokio::test(flavor = "multi_thread")]
async fn no_bid_while_the_beacon_node_says_that_it_is_not_synced() {
    let stage = stage().relay(honest()).slot_secs(2).with_beacon(|_| {}).start().await;
    assert!(stage.header().await.is_some(), "{}", stage.log());

    stage.beacon().behave(|node| (node.is_syncing, node.distance) = (true, 700));
    until_held(&stage, true).await;
    let slot = stage.fresh_slot();
    assert!(stage.header_at(slot).await.is_none());
    let auction = stage.auction(slot).await;
    let reason =
        "bids wait until the chain is there: the beacon node says that it is syncing, 700 slots to go";
    assert!(auction["why_no_bid"].as_str().unwrap().starts_with(reason), "{auction}");
    assert!(stage.log().contains(reason), "{}", stage.log());
    assert_eq!(status(&stage).await.0, 200, "the default is 200");
    assert!(stage.metric("relaymux_held_back_headers_total").await.unwrap() >= 1.0);
    assert_eq!(stage.metric(r#"relaymux_node_not_synced{node="beacon"}"#).await, Some(1.0));
    let alerts =
        eventually("the alert", async || Some(open_alerts(&stage).await).filter(|open| !open.is_empty()))
            .await;
    assert_eq!((alerts.len(), &alerts[0]["subject"]), (1, &json!("beacon")), "{alerts:?}");

    stage.beacon().behave(|node| (node.is_syncing, node.is_optimistic) = (false, true));
    eventually("the new reason", async || {
        let slot = stage.fresh_slot();
        assert!(stage.header_at(slot).await.is_none());
        let auction = stage.auction(slot).await;
        auction["why_no_bid"].as_str()?.contains("optimistic").then_some(())
    })
    .await;

    stage.beacon().behave(|node| (node.is_optimistic, node.distance) = (false, 0));
    until_held(&stage, false).await;
    assert!(stage.header().await.is_some(), "{}", stage.log());
    eventually("the end of the alert", async || open_alerts(&stage).await.is_empty().then_some(())).await;
}

/// [S10] Where it is wanted, `status` says so, too; where it is not, nothing waits for a node.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_node_is_the_operators_choice() {
    for (setting, waits) in [("status", true), ("off", false)] {
        let stage = stage()
            .relay(honest())
            .slot_secs(2)
            .builder_api(&format!("relay_check = false\nrequire_synced = \"{setting}\""))
            .with_beacon(|node| (node.is_syncing, node.distance) = (true, 50))
            .start()
            .await;
        if waits {
            until_held(&stage, true).await;
            let (code, body) = status(&stage).await;
            assert!(code == 503 && body.contains("the beacon node says that it is syncing"), "{code} {body}");
            assert!(stage.header().await.is_none());
        } else {
            let looks = stage.beacon().asked("/eth/v1/node/syncing");
            eventually("some looks more", async || {
                (stage.beacon().asked("/eth/v1/node/syncing") > looks + 4).then_some(())
            })
            .await;
            assert_eq!(status(&stage).await.0, 200);
            assert!(stage.header().await.is_some(), "{}", stage.log());
        }
    }
}

/// [H20] A node that does not answer takes nobody's bids away.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_away_holds_nothing_back() {
    let stage = stage().relay(honest()).slot_secs(2).with_beacon(|node| node.is_down = true).start().await;
    eventually("some looks", async || (stage.beacon().asked("/eth/v1/beacon/genesis") > 5).then_some(()))
        .await;
    assert!(stage.header().await.is_some(), "{}", stage.log());
    assert_eq!(status(&stage).await.0, 200);
}

/// An execution node that says what it is told to.
async fn execution(syncing: Arc<Mutex<Value>>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let zero = format!("0x{}", "00".repeat(32));
    let router = axum::Router::new().fallback(move |axum::Json(call): axum::Json<Value>| async move {
        let result = match call["method"].as_str().unwrap() {
            "eth_chainId" => json!("0x1"),
            "eth_syncing" => syncing.lock().unwrap().clone(),
            "eth_getBlockByNumber" => json!({
                "number": "0x5", "hash": zero, "parentHash": zero, "timestamp": "0x64",
                "miner": format!("0x{}", "00".repeat(20)), "gasUsed": "0x0", "transactions": [],
            }),
            _ => Value::Null,
        };
        axum::Json(json!({ "jsonrpc": "2.0", "id": call["id"], "result": result }))
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// [H20]
#[tokio::test(flavor = "multi_thread")]
async fn no_bid_while_the_execution_node_says_that_it_is_not_synced() {
    let syncing = Arc::new(Mutex::new(json!({ "currentBlock": "0x5", "highestBlock": "0x69" })));
    let url = execution(Arc::clone(&syncing)).await;
    let stage =
        stage().relay(honest()).slot_secs(2).section(&format!("[execution]\nurl = \"{url}\"")).start().await;
    until_held(&stage, true).await;
    let slot = stage.fresh_slot();
    assert!(stage.header_at(slot).await.is_none());
    let auction = stage.auction(slot).await;
    let reason = auction["why_no_bid"].as_str().unwrap();
    assert!(reason.contains("the execution node says that it is syncing, 100 blocks to go"), "{reason}");
    *syncing.lock().unwrap() = json!(false);
    until_held(&stage, false).await;
    assert!(stage.header().await.is_some(), "{}", stage.log());
}
