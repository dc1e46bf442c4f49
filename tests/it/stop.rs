//! A stop waits for the blocks of headers that were returned: who has signed one cannot build locally any more.

use std::time::Duration;

use relaymux::{
    consensus::{Encoding, WallClock},
    relay::{TlsRoots, build_http_client},
    types::Slot,
};

use crate::stage::{Stage, eventually, honest, stage};

async fn until_stopping(stage: &Stage) {
    eventually("/readyz to say that it is stopping", async || {
        let response = stage.http.get(format!("{}/readyz", stage.ops)).send().await.ok()?;
        let is_unready = response.status() == 503;
        let text = response.text().await.ok()?;
        (is_unready && text.contains("stopping")).then_some(())
    })
    .await;
}

/// Submits a block by a client that has no connection yet.
async fn submit_afresh(stage: &Stage, body: Vec<u8>) -> u16 {
    let http = build_http_client(&TlsRoots::Bundled, None).unwrap();
    let request = http
        .post(format!("{}/eth/v2/builder/blinded_blocks", stage.builder))
        .header("content-type", "application/octet-stream")
        .header("eth-consensus-version", "fulu")
        .body(body);
    request.send().await.unwrap().status().as_u16()
}

/// [B20] SIGTERM right after a header: its block is taken on a fresh connection, other slots get no header, and then the process ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_block_is_taken_after_sigterm() {
    let mut stage = stage().relay(honest()).start().await;
    let slot = stage.slot();
    let bid = stage.header_at(slot).await.unwrap();
    stage.signal("TERM");
    until_stopping(&stage).await;
    let later = Slot::new(slot.as_u64() + 1);
    assert!(stage.header_at(later).await.is_none(), "a header of another slot would make the stop longer");
    assert!(stage.header_at(slot).await.is_some(), "another node of the same proposer");
    assert_eq!(submit_afresh(&stage, stage.signed_block(slot, &bid, Encoding::Ssz)).await, 202);
    assert_eq!(stage.exit_status().await.code(), Some(0));
    stage.start_again().await;
    assert_eq!(stage.submission(slot, |_| true).await["fate"], "accepted");
}

/// SIGTERM while the race is open: the header goes out, and its block is taken.
#[tokio::test(flavor = "multi_thread")]
async fn a_race_that_is_open_at_sigterm_gets_its_block_revealed() {
    let mut stage = stage().relay(honest().delay(Duration::from_millis(700))).start().await;
    let slot = stage.slot();
    let (bid, ()) = tokio::join!(stage.header_at(slot), async {
        eventually("the relay to be asked", async || stage.relays[0].received("header").first().cloned())
            .await;
        stage.signal("TERM");
    });
    until_stopping(&stage).await;
    let body = stage.signed_block(slot, &bid.unwrap(), Encoding::Ssz);
    assert_eq!(submit_afresh(&stage, body).await, 202);
    assert_eq!(stage.exit_status().await.code(), Some(0));
}

/// [B20] Without a block the wait ends when it is too late for one.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_ever() {
    let mut stage = stage().slot_secs(2).relay(honest()).start().await;
    let slot = stage.slot();
    stage.header_at(slot).await.unwrap();
    stage.signal("TERM");
    assert_eq!(stage.exit_status().await.code(), Some(0));
    let start = stage.spec.clock().start_of(slot);
    assert!(WallClock::system().now() >= start + 2000, "a 2 s slot is waited for until its end");
}

/// A second SIGTERM is somebody who does not want to wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_sigterm_does_not_wait_for_a_block() {
    let mut stage = stage().slot_secs(60).relay(honest()).start().await;
    let slot = stage.slot();
    stage.header_at(slot).await.unwrap();
    stage.signal("TERM");
    until_stopping(&stage).await;
    stage.signal("TERM");
    // The wait would be longer than this test's patience.
    assert_eq!(stage.exit_status().await.code(), Some(0));
    assert!(stage.log().contains("told to stop again"), "{}", stage.log());
}

/// Nothing is awaited: the stop is at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_without_a_header_waits_for_nothing() {
    let mut stage = stage().slot_secs(60).relay(honest()).start().await;
    assert_eq!(stage.reveal(2, Encoding::Ssz).await.0, 202);
    stage.signal("TERM");
    assert_eq!(stage.exit_status().await.code(), Some(0));
}
