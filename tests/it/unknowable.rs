//! A slot that a pruned node cannot prove is put off, given up in the end, and looked at again by a process with a node that can.

use alloy_primitives::{Address, B256};
use relaymux::{
    consensus::{Encoding, WallClock},
    sim::{PrunedAnswer, SimExecution},
    types::Slot,
};
use serde_json::Value;
use sqlx::{Connection, Row};

use crate::stage::{EVER, PARENT, Stage, eventually, honest, milli, stage};

const RECIPIENT: Address = Address::repeat_byte(0xee);

async fn watched() -> (Stage, SimExecution) {
    let genesis = u64::try_from(WallClock::system().now() / 1000 - 3600).unwrap();
    let node = SimExecution::start(1, PARENT, genesis, 2).await.unwrap();
    let stage = stage()
        .slot_secs(2)
        .relay(honest().value(milli(90)))
        .section(&format!("[execution]\nurl = \"{}\"\n[profit]\ncheck_every_secs = 1", node.url()))
        .start()
        .await;
    stage.proposer(Encoding::Ssz).register(60_000_000, genesis).await.unwrap();
    (stage, node)
}

async fn ledger(stage: &Stage) -> sqlx::SqliteConnection {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(stage.data_dir().join("ledger.db"));
    sqlx::SqliteConnection::connect_with(&options).await.unwrap()
}

/// Status, refusals in a row, and the pause until the next look, in seconds.
async fn row(stage: &Stage, slot: Slot) -> (String, i64, i64) {
    let row = sqlx::query(
        "SELECT status, refusals, look_after - looked_at AS pause FROM settlements WHERE slot = $1",
    )
    .bind(slot.as_u64().cast_signed())
    .fetch_one(&mut ledger(stage).await)
    .await
    .unwrap();
    (row.get("status"), row.get("refusals"), row.get::<i64, _>("pause") / 1000)
}

async fn refused(stage: &Stage, slot: Slot, times: i64) -> (String, i64, i64) {
    eventually("the node to have refused", async || {
        Some(row(stage, slot).await).filter(|(_, refusals, _)| *refusals == times)
    })
    .await
}

/// A day of refusals later: the next look is the last.
async fn let_time_pass(stage: &Stage, slot: Slot) {
    sqlx::query("UPDATE settlements SET refusals = 11, look_after = 0 WHERE slot = $1")
        .bind(slot.as_u64().cast_signed())
        .execute(&mut ledger(stage).await)
        .await
        .unwrap();
}

/// The watcher has looked through everything so many times more.
async fn rounds(node: &SimExecution, more: u64) {
    let begun = node.calls("eth_chainId");
    eventually("more rounds", async || (node.calls("eth_chainId") > begun + more).then_some(())).await;
}

async fn payment(stage: &Stage, slot: Slot, status: &str) -> Value {
    eventually("the slot's payment", async || {
        let view = stage.ops_json(&format!("/api/v1/slots/{slot}")).await;
        Some(view["payment"].clone()).filter(|payment| payment["status"] == status)
    })
    .await
}

async fn notice(stage: &Stage, is_over: bool) -> Value {
    eventually("the notice", async || {
        let report = stage.ops_json("/api/v1/profit").await;
        let notices = report["notices"].as_array()?.clone();
        let notice = notices.into_iter().find(|notice| notice["rule"] == "slots_unknowable")?;
        (notice["resolved_at"].is_i64() == is_over).then_some(notice)
    })
    .await
}

async fn proposed(stage: &Stage) -> (Slot, B256) {
    let slot = stage.slot();
    let bid = stage.header_at(slot).await.unwrap();
    let body = stage.signed_block(slot, &bid, Encoding::Ssz);
    let status = stage.submit_request(2, Encoding::Ssz, body).send().await.unwrap().status();
    assert_eq!(status, 202, "{}", stage.log());
    (slot, bid.facts().block_hash)
}

/// As geth says it, and as a node that has never heard of the block.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_can_prove_is_given_up_and_looked_at_again_with_another_node() {
    for (answer, was_seen) in [
        (PrunedAnswer::Error, false),
        (PrunedAnswer::Null, false),
        (PrunedAnswer::Error, true),
        (PrunedAnswer::Null, true),
    ] {
        let (mut stage, node) = watched().await;
        let (slot, hash) = proposed(&stage).await;
        let at = |slot: u64| stage.spec.clock().payload_timestamp(Slot::new(slot));
        if !was_seen {
            node.prune(2, answer);
        }
        node.append(hash, at(slot.as_u64()), Address::repeat_byte(0xb1), RECIPIENT, milli(90));
        node.append_local(at(slot.as_u64() + 1), RECIPIENT, milli(1));
        if was_seen {
            assert_eq!(payment(&stage, slot, "provisional").await["payment"], "exact");
            node.prune(2, answer);
        }
        node.finalize_behind(0);
        // It is put off for a minute, and others are looked at meanwhile.
        let before = if was_seen { "provisional" } else { "open" };
        assert_eq!(refused(&stage, slot, 1).await, (before.to_owned(), 1, 60), "{answer:?} {was_seen}");
        rounds(&node, 2).await;
        assert_eq!(row(&stage, slot).await.1, 1);
        let_time_pass(&stage, slot).await;
        let given_up = payment(&stage, slot, "unknowable").await;
        let words = given_up["words"].as_str().unwrap();
        let seen = if was_seen { "seen at the head, never proven final" } else { "never seen" };
        assert!(words.starts_with(&format!("given up after 12 looks, {seen}: ")), "{words}");
        assert_eq!(given_up["outcome"], if was_seen { Value::from("ours") } else { Value::Null });
        // Told, counted, and never a miss.
        let told = notice(&stage, false).await;
        assert!(told["words"].as_str().unwrap().starts_with("1 slots can never be proven"), "{told}");
        let metrics = stage.http.get(format!("{}/metrics", stage.ops)).send().await.unwrap();
        let metrics = metrics.text().await.unwrap();
        for line in
            ["relaymux_slots_unknowable_total 1", "relaymux_notices_total{rule=\"slots_unknowable\"} 1"]
        {
            assert!(metrics.contains(line), "{line}\n{metrics}");
        }
        let total = stage.ops_json(&format!("/api/v1/profit?{EVER}")).await["total"].clone();
        // What was seen counts as it was seen.
        let counts = ["unknowable", "delivered", "missed"].map(|key| total[key].as_u64().unwrap());
        assert_eq!(counts, [u64::from(!was_seen), u64::from(was_seen), 0], "{total}");
        rounds(&node, 2).await;
        assert_eq!(row(&stage, slot).await.1, 12, "it is not looked at any more");
        // The node has the blocks again: that takes a start to find out.
        node.prune(0, answer);
        rounds(&node, 2).await;
        assert_eq!(row(&stage, slot).await.0, "unknowable");
        stage.start_again().await;
        let settled = payment(&stage, slot, "final").await;
        assert_eq!(
            (&settled["outcome"], &settled["payment"]),
            (&"ours".into(), &"exact".into()),
            "{settled}"
        );
        notice(&stage, true).await;
        let total = stage.ops_json(&format!("/api/v1/profit?{EVER}")).await["total"].clone();
        assert_eq!((&total["unknowable"], &total["delivered"]), (&0.into(), &1.into()), "{total}");
    }
}
