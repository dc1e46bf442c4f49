//! Relays rest under pressure, and no slot is lost meanwhile.

use std::time::Duration;

use relaymux::{consensus::Encoding, types::Slot};
use serde_json::Value;

use crate::stage::{PARENT, Stage, eventually, honest, milli, stage};

impl Stage {
    async fn active(&self) -> Vec<String> {
        let relays = self.ops_json("/api/v1/relays").await;
        let active = relays.as_array().unwrap().iter().filter(|relay| relay["state"] == "active");
        active.map(|relay| relay["id"].as_str().unwrap().to_owned()).collect()
    }

    /// Proposes in slots that lie ahead, so that none is late.
    async fn propose_many(&self, count: u64) {
        let first = self.slot().as_u64();
        for slot in first..first + count {
            let proposer = self.proposer(Encoding::Ssz);
            let outcome = proposer.propose(Slot::new(slot), PARENT, Duration::from_secs(20)).await;
            outcome.unwrap_or_else(|e| panic!("slot {slot}: {e}\n{}", self.log()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rotation_by_hand_moves_the_exploring_place() {
    let stage = stage().relay(honest()).relay(honest()).relay(honest()).relay(honest()).start().await;
    assert_eq!(stage.active().await.len(), 4);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let answer = stage.post("/api/v1/relays/rotate").await;
        assert_eq!(answer.status(), 200);
        let answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        let active: Vec<String> = serde_json::from_value(answer["active"].clone()).unwrap();
        assert_eq!(active, stage.active().await);
        assert_eq!(active.len(), 2);
        seen.extend(active);
        stage.propose_many(1).await;
    }
    assert_eq!(seen.len(), 4, "every relay had its turn");
    stage.signal("USR1");
    eventually("the signal's rotation", async || stage.log().contains("SIGUSR1").then_some(())).await;
    let relays = stage.ops_json("/api/v1/relays").await;
    let resting = relays.as_array().unwrap().iter().find(|relay| relay["state"] == "standby").unwrap();
    assert!(resting["why"].as_str().unwrap().contains("rotated out: SIGUSR1"), "{resting}");
}

/// Thresholds that any machine exceeds, then thresholds that none does. Of two relays that never win one can be spared, as both together might
/// cost more than a hundredth; the one that wins is never shed.
#[tokio::test(flavor = "multi_thread")]
async fn pressure_sheds_what_never_wins_and_calm_brings_it_back() {
    let quiet = "lag_high_ms = 1e9\nlag_low_ms = 1e9\npsi_high_percent = 100.0\npsi_low_percent = 100.0\n";
    let pressed = "lag_high_ms = 0.0\nlag_low_ms = 0.0\n";
    let stage = stage()
        .section(&format!("[rotation]\ninterval_secs = 1\nsamples = 1\nmin_active = 1\n{quiet}"))
        .relay(honest().value(milli(90)).builder(1))
        .relay(honest().value(milli(10)).builder(2))
        .relay(honest().value(milli(20)).builder(3))
        .start()
        .await;
    let config = stage.config();
    let took = async |count: usize| {
        let taken = stage.relays.iter().filter(|relay| !relay.received("validators").is_empty()).count();
        (taken == count).then_some(())
    };
    // Strangers may win: under pressure nobody rests before it is known who does not. Optional work does.
    stage.write_config(&config.replace(quiet, pressed));
    stage.signal("HUP");
    eventually("pressure", async || stage.log().contains("our timers come").then_some(())).await;
    assert_eq!(stage.active().await.len(), 3);
    stage.write_config(&config);
    stage.signal("HUP");
    eventually("calm", async || stage.log().contains("calm for 1 intervals").then_some(())).await;
    // More than a hundred races.
    let first = stage.slot().as_u64();
    for slot in first..first + 150 {
        assert!(stage.header_at(Slot::new(slot)).await.is_some());
    }
    stage.write_config(&config.replace(quiet, pressed));
    stage.signal("HUP");
    let active = eventually("a relay to be shed", async || {
        let active = stage.active().await;
        (active.len() < 3).then_some(active)
    })
    .await;
    assert!(active.len() == 2 && active.contains(&"r0".to_owned()), "{active:?}");
    // Optional work rests: registrations go to one relay, and to the others when it is over.
    stage.proposer(Encoding::Json).register(60_000_000, 1).await.unwrap();
    took(1).await.expect("one relay has the registrations");
    stage.propose_many(1).await;
    stage.write_config(&config);
    stage.signal("HUP");
    eventually("everybody to be back", async || (stage.active().await.len() == 3).then_some(())).await;
    eventually("the registrations at all relays", async || took(3).await).await;
}

/// However long the pressure lasts: after the limit everybody is asked again.
#[tokio::test(flavor = "multi_thread")]
async fn pressure_without_end_sheds_for_a_limited_time() {
    let rotation =
        "[rotation]\ninterval_secs = 1\nsamples = 1\nmax_shed_secs = 1\nlag_high_ms = 0.0\nlag_low_ms = 0.0";
    let stage = stage().section(rotation).relay(honest()).relay(honest()).start().await;
    eventually("pressure", async || stage.log().contains("our timers come").then_some(())).await;
    eventually("the end of it", async || {
        stage.log().contains("everybody is asked again after 1 s").then_some(())
    })
    .await;
}

/// Kept as every notice is: counted, and in the ledger until it is over. It is over with the process that was pressed, however that ended.
#[tokio::test(flavor = "multi_thread")]
async fn pressure_is_a_notice_that_is_kept_and_counted() {
    let pressed = "lag_high_ms = 0.0\nlag_low_ms = 0.0\n";
    let quiet = "lag_high_ms = 1e9\nlag_low_ms = 1e9\npsi_high_percent = 100.0\npsi_low_percent = 100.0\n";
    let rotation = format!("[rotation]\ninterval_secs = 1\nsamples = 1\n{pressed}");
    let mut stage = stage().section(&rotation).relay(honest()).relay(honest()).start().await;
    let kept = async |stage: &Stage, is_over: bool| {
        eventually("the notice in the ledger", async || {
            let report = stage.ops_json("/api/v1/profit").await;
            let notices = report["notices"].as_array()?.clone();
            let notice = notices.into_iter().find(|notice| notice["rule"] == "machine_pressure")?;
            (notice["resolved_at"].is_i64() == is_over).then_some(notice)
        })
        .await
    };
    let notice = kept(&stage, false).await;
    assert_eq!(notice["severity"], "P3");
    let words = notice["words"].as_str().unwrap();
    // Which harm shows first is this machine's affair.
    assert!(words.contains("no relay can be spared"), "{words}");
    let metrics = stage.http.get(format!("{}/metrics", stage.ops)).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(metrics.contains("relaymux_notices_total{rule=\"machine_pressure\"} 1"), "{metrics}");
    // Over in the same process.
    let config = stage.config();
    stage.write_config(&config.replace(pressed, quiet));
    stage.signal("HUP");
    let first = kept(&stage, true).await;
    stage.write_config(&config);
    stage.signal("HUP");
    let second = kept(&stage, false).await;
    assert!(second["raised_at"].as_i64() >= first["resolved_at"].as_i64(), "{first} {second}");
    // And by the next one, where this one is killed.
    stage.write_config(&config.replace(pressed, quiet));
    stage.start_again().await;
    kept(&stage, true).await;
}
