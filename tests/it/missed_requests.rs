//! Slots of ours in which the consensus client asked for no header: they leave a record, with what is known of why.

use relaymux::{
    consensus::{Encoding, Network, WallClock},
    sim::SimBeacon,
    types::Slot,
};
use serde_json::Value;
use sqlx::Connection;

use crate::stage::{PARENT, Stage, eventually, honest, stage};

/// A stage with a beacon node of its chain, whose validators have registered.
async fn with_duties() -> (Stage, SimBeacon) {
    let beacon = SimBeacon::start(Network::Hoodi.spec()).await.unwrap();
    let stage = stage()
        .relay(honest())
        .slot_secs(2)
        .section(&format!("[beacon]\nurl = \"{}\"", beacon.url()))
        .start()
        .await;
    beacon.behave(|behaviour| behaviour.spec = stage.spec.clone());
    let signed = u64::try_from(WallClock::system().now() / 1000).unwrap();
    stage.proposer(Encoding::Ssz).register(60_000_000, signed).await.unwrap();
    (stage, beacon)
}

/// Gives slots to our validators.
fn assign(stage: &Stage, beacon: &SimBeacon, slots: &[Slot]) {
    let proposer = stage.proposer(Encoding::Ssz);
    beacon.behave(|node| node.duties = slots.iter().map(|slot| (*slot, proposer.proposer(*slot))).collect());
}

async fn missed(stage: &Stage, slot: Slot) -> Value {
    eventually("the missed request", async || {
        let view = stage.ops_json(&format!("/api/v1/slots/{slot}")).await;
        view["missed_request"].as_object().map(|missed| Value::Object(missed.clone()))
    })
    .await
}

/// Waits until the service has looked at everything up to a slot.
async fn until_over(stage: &Stage, slot: Slot) {
    let end = stage.spec.clock().start_of(Slot::new(slot.as_u64() + 4));
    eventually("the slot to be over", async || (WallClock::system().now() > end).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_of_ours_without_request_is_recorded_and_one_with_a_request_is_not() {
    let (stage, beacon) = with_duties().await;
    // Duties are asked for every four slots.
    let first = stage.slot().as_u64() + 7;
    let [asked, forgotten, moved] = [0, 1, 2].map(|n| Slot::new(first + n));
    assign(&stage, &beacon, &[asked, forgotten, moved]);
    eventually("the duties to be known", async || {
        let list = format!("[{asked}, {forgotten}, {moved}]");
        stage.log().contains(&list).then_some(())
    })
    .await;
    stage.header_at(asked).await.unwrap();
    // A reorganisation gives the third one to somebody else.
    assign(&stage, &beacon, &[asked, forgotten]);

    let record = missed(&stage, forgotten).await;
    assert_eq!(record["reason"], "client_did_not_ask", "{record}");
    assert!(record["message"].as_str().unwrap().contains("circuit breaker"), "{record}");
    assert!(record["last_request_at"].is_i64(), "{record}");
    let proposer = stage.proposer(Encoding::Ssz).proposer(forgotten).to_string();
    assert_eq!(record["proposer"], proposer);
    until_over(&stage, moved).await;
    for slot in [asked, moved] {
        let view = stage.ops_json(&format!("/api/v1/slots/{slot}")).await;
        assert!(view["missed_request"].is_null(), "slot {slot}: {view}");
    }
    let list = stage.ops_json("/api/v1/slots").await;
    let slots: Vec<_> = list.as_array().unwrap().iter().map(|view| view["slot"].as_u64().unwrap()).collect();
    assert_eq!(slots, [forgotten.as_u64(), asked.as_u64()]);
    let metrics =
        stage.http.get(format!("{}/metrics", stage.ops)).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("relaymux_missed_requests_total{reason=\"client_did_not_ask\"} 1"), "{metrics}");

    // The request comes after all: then it is an auction like any other, and nothing was missed.
    let _ =
        stage.proposer(Encoding::Ssz).get_header(forgotten, PARENT, std::time::Duration::from_secs(20)).await;
    stage.auction(forgotten).await;
    let view = stage.ops_json(&format!("/api/v1/slots/{forgotten}")).await;
    assert!(view["missed_request"].is_null(), "{view}");
}

/// A header request that is refused is no silence: the record says that it came, and why it was not answered.
#[tokio::test(flavor = "multi_thread")]
async fn a_slot_whose_request_was_refused_says_so() {
    let (stage, beacon) = with_duties().await;
    let slot = Slot::new(stage.slot().as_u64() + 6);
    assign(&stage, &beacon, &[slot]);
    let start = stage.spec.clock().start_of(slot);
    eventually("the slot to begin", async || (WallClock::system().now() > start).then_some(())).await;
    let proposer = stage.proposer(Encoding::Ssz).proposer(slot);
    let path = format!("{}/eth/v1/builder/header/{slot}/{PARENT}/{proposer}", stage.builder);
    let refused = stage.http.get(path).header("accept", "text/html").send().await.unwrap();
    assert_eq!(refused.status().as_u16(), 406);
    // Whoever only looks whether the port is open is no client.
    assert_eq!(stage.http.get(format!("{}/nothing", stage.builder)).send().await.unwrap().status(), 404);
    let record = missed(&stage, slot).await;
    assert_eq!(record["reason"], "client_refused", "{record}");
    let message = record["message"].as_str().unwrap();
    assert!(message.contains("1 since") && message.contains("get_header, HTTP 406: neither"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_passed_while_nothing_ran_is_put_down_to_that_once() {
    let (mut stage, beacon) = with_duties().await;
    let away = Slot::new(stage.slot().as_u64() + 3);
    assign(&stage, &beacon, &[away]);
    eventually("the registrations in the ledger", async || {
        stage.log().contains("proposals expected").then_some(())
    })
    .await;
    stage.kill();
    let start = stage.spec.clock().start_of(Slot::new(away.as_u64() + 1));
    eventually("the slot to pass", async || (WallClock::system().now() > start).then_some(())).await;
    stage.start_again().await;
    let record = missed(&stage, away).await;
    assert_eq!(record["reason"], "not_running", "{record}");
    assert!(record["message"].as_str().unwrap().contains("relaymux was not running"), "{record}");
    // Another start changes nothing of it.
    stage.start_again().await;
    until_over(&stage, stage.slot()).await;
    assert_eq!(missed(&stage, away).await, record);
    assert_eq!(stage.log().matches("relaymux was not running. The").count(), 1, "{}", stage.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_beacon_node_that_was_not_well_is_named() {
    let (stage, beacon) = with_duties().await;
    let slot = Slot::new(stage.slot().as_u64() + 2);
    assign(&stage, &beacon, &[slot]);
    beacon.behave(|node| node.is_syncing = true);
    assert_eq!(missed(&stage, slot).await["reason"], "beacon_node_syncing");
    beacon.behave(|node| node.is_syncing = false);
    let slot = Slot::new(stage.slot().as_u64() + 4);
    assign(&stage, &beacon, &[slot]);
    eventually("the duty to be known", async || {
        let known = format!("slots=[{slot}]");
        stage.log().contains(&known).then_some(())
    })
    .await;
    beacon.behave(|node| node.is_down = true);
    until_over(&stage, slot).await;
    let view = stage.ops_json(&format!("/api/v1/slots/{slot}")).await;
    assert!(view["missed_request"].is_null(), "not claimed while nobody confirms the duty: {view}");
    beacon.behave(|node| node.is_down = false);
    assert_eq!(missed(&stage, slot).await["reason"], "beacon_node_away");
}

/// It was not registered for a day in which others were: its slots are another sidecar's, until it is registered here again.
#[tokio::test(flavor = "multi_thread")]
async fn a_validator_that_moved_away_is_not_missed_until_it_is_back() {
    let (mut stage, beacon) = with_duties().await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(stage.data_dir().join("ledger.db"));
    let ledger = async || sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    eventually("the registrations in the ledger", async || {
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM registrations")
            .fetch_one(&mut ledger().await)
            .await
            .ok()?;
        (count == 4).then_some(())
    })
    .await;
    let first = stage.slot().as_u64() + 7;
    let [moved, stays] = [first, first + 1].map(Slot::new);
    // A day of registrations later, in slots of two seconds.
    stage.kill();
    sqlx::query("UPDATE registrations SET heard_at = 7201 * 2000 WHERE pubkey <> $1")
        .bind(stage.proposer(Encoding::Ssz).proposer(moved).to_string())
        .execute(&mut ledger().await)
        .await
        .unwrap();
    assign(&stage, &beacon, &[moved, stays]);
    stage.start_again().await;
    eventually("the duties to be known", async || {
        let known = format!("slots=[{stays}]");
        stage.log().contains(&known).then_some(())
    })
    .await;
    missed(&stage, stays).await;
    let view = stage.ops_json(&format!("/api/v1/slots/{moved}")).await;
    assert_eq!(view["code"], 404, "{view}");
    // Its client is back, with the registration of before.
    let signed = u64::try_from(WallClock::system().now() / 1000).unwrap();
    stage.proposer(Encoding::Ssz).register(60_000_000, signed).await.unwrap();
    let back = Slot::new(moved.as_u64() + 4 * (stage.slot().as_u64() + 7 - moved.as_u64()).div_ceil(4));
    assign(&stage, &beacon, &[back]);
    missed(&stage, back).await;
}
