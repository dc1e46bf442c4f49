//! Signed blocks survive the process.

use std::time::Duration;

use relaymux::{consensus::Encoding, sim::PayloadFault};
use sqlx::Connection;

use crate::stage::{eventually, honest, stage};

const V2: &str = "blinded_blocks_v2";

/// [B18] `kill -9` while relays think: the block is in the journal, is reported and submitted again, and its fate is known.
#[tokio::test(flavor = "multi_thread")]
async fn a_block_in_flight_survives_kill_9_and_is_submitted_again() {
    let mut stage = stage().relay(honest().payload(PayloadFault::Hangs)).start().await;
    let slot = stage.slot();
    let bid = stage.header_at(slot).await.unwrap();
    let body = stage.signed_block(slot, &bid, Encoding::Ssz);
    let request = stage.submit_request(2, Encoding::Ssz, body.clone());
    let client = tokio::spawn(request.send());
    eventually("the relay to have the block", async || stage.relays[0].received(V2).first().cloned()).await;
    stage.kill();
    assert!(client.await.unwrap().is_err());

    stage.relays[0].behave(|b| b.payload(PayloadFault::None));
    stage.start_again().await;
    let submission = stage.submission(slot, |s| s["fate"] != "pending").await;
    assert_eq!(submission["fate"], "accepted");
    assert_eq!(submission["decided_by"], "r0");
    assert_eq!(stage.relays[0].received(V2).last().unwrap().body, body);
    assert!(stage.log().contains("block in the journal has no fate"), "{}", stage.log());
}

/// A block whose slot is over is reported as unknown, and not sent again.
#[tokio::test(flavor = "multi_thread")]
async fn a_block_of_a_past_slot_is_reported_and_left_alone() {
    let mut stage = stage().relay(honest().payload(PayloadFault::Hangs)).start().await;
    // Two slots back: its header came from elsewhere, the client is very late.
    let bid = stage.header().await.unwrap();
    let past = relaymux::types::Slot::new(stage.slot().as_u64() - 3);
    let body = stage.signed_block(past, &bid, Encoding::Ssz);
    let client = tokio::spawn(stage.submit_request(2, Encoding::Ssz, body).send());
    eventually("the relay to have the block", async || stage.relays[0].received(V2).first().cloned()).await;
    stage.kill();
    assert!(client.await.unwrap().is_err());
    stage.relays[0].forget();
    stage.start_again().await;
    let submission = stage.submission(past, |s| s["fate"] != "pending").await;
    assert_eq!(submission["fate"], "unknown");
    assert!(stage.relays[0].received(V2).is_empty());
}

/// [B18] Fates and answers are known after `kill -9`, and a later refusal never hides a success.
#[tokio::test(flavor = "multi_thread")]
async fn fates_are_known_after_kill_9() {
    let mut stage = stage().relay(honest()).relay(honest().payload(PayloadFault::Withholds)).start().await;
    let slot = stage.slot();
    let bid = stage.header_at(slot).await.unwrap();
    let body = stage.signed_block(slot, &bid, Encoding::Ssz);
    assert_eq!(stage.submit_request(2, Encoding::Ssz, body.clone()).send().await.unwrap().status(), 202);
    stage.submission(slot, |s| s["answers"].as_array().unwrap().len() == 2).await;
    // The client wants the payload, too, as Lodestar may; now the relay refuses.
    stage.relays[0].behave(|b| b.payload(PayloadFault::Withholds));
    assert_eq!(stage.submit_request(1, Encoding::Ssz, body).send().await.unwrap().status(), 502);
    stage.kill();
    std::fs::remove_file(stage.data_dir().join("ledger.db")).unwrap();
    for rest in ["ledger.db-wal", "ledger.db-shm"] {
        let _ = std::fs::remove_file(stage.data_dir().join(rest));
    }
    stage.start_again().await;
    let submission = stage.submission(slot, |_| true).await;
    assert_eq!(submission["fate"], "accepted");
    assert_eq!(submission["answers"][0]["outcome"], "accepted");
    assert_eq!(submission["answers"][1]["outcome"], "http_status");
}

/// [B19] A disk that does not write: the block leaves all the same, is reported, and the client's answer waits for no journal entry,
/// neither of the block nor of another relay's refusal.
#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_disk_costs_no_slot() {
    let stage = stage()
        .relay(honest().payload(PayloadFault::Withholds))
        .relay(honest().payload_delay(Duration::from_millis(300)))
        .start()
        .await;
    let slot = stage.slot();
    let bid = stage.header_at(slot).await.unwrap();
    let body = stage.signed_block(slot, &bid, Encoding::Ssz);
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(stage.data_dir().join("journal.db"));
    let mut holder = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut holder).await.unwrap();
    // As long as the reveal may take; the journal's own patience with a lock is longer.
    let request = stage.submit_request(2, Encoding::Ssz, body).timeout(Duration::from_secs(4));
    assert_eq!(request.send().await.unwrap().status(), 202);
    assert!(stage.log().contains("leaves without being in the journal"), "{}", stage.log());
    sqlx::query("ROLLBACK").execute(&mut holder).await.unwrap();
    stage.submission(slot, |s| s["fate"] == "accepted").await;
}

/// SIGTERM lets a submission in flight finish, takes no new connection, and exits 0.
#[tokio::test(flavor = "multi_thread")]
async fn sigterm_finishes_a_submission_in_flight() {
    let mut stage = stage().relay(honest().payload_delay(Duration::from_millis(700))).start().await;
    let slot = stage.slot();
    let bid = stage.header_at(slot).await.unwrap();
    let body = stage.signed_block(slot, &bid, Encoding::Ssz);
    let client = tokio::spawn(stage.submit_request(2, Encoding::Ssz, body).send());
    eventually("the relay to have the block", async || stage.relays[0].received(V2).first().cloned()).await;
    stage.signal("TERM");
    assert_eq!(client.await.unwrap().unwrap().status(), 202);
    let status = stage.exit_status().await;
    assert_eq!(status.code(), Some(0));
    stage.start_again().await;
    assert_eq!(stage.submission(slot, |_| true).await["fate"], "accepted");
}

/// Registrations are remembered across a restart: bids are checked against them at once.
#[tokio::test(flavor = "multi_thread")]
async fn registrations_are_remembered_across_a_restart() {
    let mut stage = stage().relay(honest()).start().await;
    stage.proposer(Encoding::Json).register(60_000_000, 1_700_000_000).await.unwrap();
    stage.signal("TERM");
    stage.exit_status().await;
    stage.start_again().await;
    assert!(stage.log().contains("validators=4"), "{}", stage.log());
}
