use std::sync::atomic::{AtomicBool, Ordering};

use alloy_primitives::B256;
use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use serde_json::{Value, json};

use super::*;
use crate::{
    consensus::ClockHand,
    relay::{TlsRoots, build_http_client},
};

fn client() -> Client {
    build_http_client(&TlsRoots::Bundled, None).unwrap()
}

/// A beacon node that knows one block in each slot, as soon as it is well.
async fn beacon(is_well: Arc<AtomicBool>) -> BeaconNode {
    type Answer = Result<Json<Value>, StatusCode>;
    let answer = |is_well: &AtomicBool, answer: Value| -> Answer {
        is_well.load(Ordering::Relaxed).then_some(Json(answer)).ok_or(StatusCode::SERVICE_UNAVAILABLE)
    };
    let block = move |State(is_well): State<Arc<AtomicBool>>| async move {
        answer(
            &is_well,
            json!({"data": {"root": B256::repeat_byte(1), "header": {"message": {"proposer_index": "7"}}}}),
        )
    };
    let reward = move |State(is_well): State<Arc<AtomicBool>>| async move {
        answer(&is_well, json!({"data": {"total": "41"}}))
    };
    let router = Router::new()
        .route("/eth/v1/beacon/headers/{slot}", get(block))
        .route("/eth/v1/beacon/rewards/blocks/{root}", get(reward))
        .with_state(is_well);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    BeaconNode::new(client(), url.parse().unwrap(), WallClock::manual(0).0)
}

/// A watcher, and the hand that moves its clock.
async fn watcher(beacon: Option<BeaconNode>) -> (Watcher, ClockHand) {
    let (clock, hand) = WallClock::manual(1_700_000_000_000);
    let watcher = Watcher::new(WatcherParts {
        ledger: Ledger::open_in_memory("mainnet").await.unwrap(),
        spine: Spine::new(),
        execution: ExecutionNode::new(client(), "http://127.0.0.1:1".parse().unwrap()),
        beacon,
        relays: Arc::new(SharedRelays::new(Vec::new())),
        http: client(),
        slots: SlotClock::new(1_600_000_000, 12_000),
        clock,
        settings: ProfitSettings::default(),
    });
    (watcher, hand)
}

#[tokio::test]
async fn a_reward_that_the_beacon_node_could_not_tell_is_asked_for_again() {
    let is_well = Arc::new(AtomicBool::new(false));
    let (watcher, hand) = watcher(Some(beacon(Arc::clone(&is_well)).await)).await;
    let Watcher { parts: WatcherParts { ledger, slots, clock, .. }, .. } = &watcher;
    let slot = slots.slot_at(clock.now() - DAY_MS / 2);
    let row = Settled {
        slot: slot.as_u64(),
        status: SlotStatus::Final.into(),
        outcome: Some(SlotOutcome::Local.into()),
        block_hash: Some("0x1".to_owned()),
        ..Settled::default()
    };
    ledger.save_settlements(std::slice::from_ref(&row)).await.unwrap();
    // Another process has settled it.
    watcher.publish_again().await.unwrap();
    let reward = async || ledger.settlement(slot).await.unwrap().unwrap().consensus_reward_gwei;
    watcher.ask_rewards_again().await.unwrap();
    assert_eq!(reward().await, None);
    is_well.store(true, Ordering::Relaxed);
    watcher.ask_rewards_again().await.unwrap();
    assert_eq!(reward().await, Some(41));
    assert!(watcher.unrewarded.lock().is_empty());
    // Of what is older than a day the node has forgotten what it would need.
    is_well.store(false, Ordering::Relaxed);
    watcher.note_reward(&row);
    for (passed_ms, missing) in [(DAY_MS / 2 - 60_000, 1), (120_000, 0)] {
        hand.advance(passed_ms);
        watcher.ask_rewards_again().await.unwrap();
        assert_eq!(watcher.unrewarded.lock().len(), missing);
    }
}

#[tokio::test]
async fn a_slot_that_takes_the_node_too_long_is_put_off_like_one_it_refuses() {
    let (watcher, _) = watcher(None).await;
    let late = NodeError::TimedOut { host: "node".to_owned() };
    let refused = NodeError::Rpc { host: "node".to_owned(), code: -32000, message: "pruned".to_owned() };
    let away = NodeError::Transport { host: "node".to_owned(), message: "refused".to_owned() };
    let (slot, other) = (Slot::new(7), Slot::new(8));
    assert_eq!([(); 4].map(|()| watcher.is_beyond_node(slot, &late)), [false, false, false, true]);
    assert!(watcher.timeouts.are_over(&7), "then it is looked at without traces");
    assert!(!watcher.is_beyond_node(other, &late) && watcher.is_beyond_node(other, &refused));
    assert!([(); 9].iter().all(|()| !watcher.is_beyond_node(other, &away)), "that says nothing of a slot");
}
