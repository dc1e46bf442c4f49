//! This machine's clock against the relays': a clock that runs ahead is otherwise a silent 204 in every slot.

use relaymux::types::Slot;
use serde_json::Value;

use crate::stage::{Stage, StageBuilder, binary, eventually, honest, stage};

/// Relays whose clocks are ahead of this machine's by so much, probed every slot.
fn relays_ahead(ms: [i64; 3]) -> StageBuilder {
    ms.into_iter()
        .zip(0u8..)
        .fold(stage().slot_secs(2).builder_api("relay_check = true"), |stage, (ms, builder)| {
            stage.relay(honest().builder(builder).clock_ahead_ms(ms))
        })
}

/// A check of `/readyz`, once a condition holds of it.
async fn ready_check(stage: &Stage, name: &str, condition: impl Fn(&Value) -> bool) -> Value {
    eventually(&format!("the check `{name}`"), async || {
        let health = stage.ops_json("/readyz").await;
        let checks = health["checks"].as_array()?;
        checks.iter().find(|check| check["name"] == name && condition(check)).cloned()
    })
    .await
}

async fn gauge(stage: &Stage, name: &str) -> Option<f64> {
    let text = stage.http.get(format!("{}/metrics", stage.ops)).send().await.unwrap().text().await.unwrap();
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_all_relays_contradict_is_said_to_be_wrong_until_it_is_right() {
    let stage = relays_ahead([-5000; 3]).start().await;
    let check = ready_check(&stage, "clock", |check| check["ok"] == false).await;
    let said = check["detail"].as_str().unwrap();
    assert!(said.starts_with("this machine's clock is wrong: ") && said.contains(" s ahead ("), "{said}");
    assert!(said.contains("by 3 sources") && said.contains("NTP"), "{said}");
    let offset = gauge(&stage, "relaymux_clock_offset_seconds").await.unwrap();
    assert!((4.0..6.0).contains(&offset), "{offset}");
    assert!(gauge(&stage, "relaymux_clock_offset_uncertainty_seconds").await.unwrap() < 2.0);
    let status = stage.http.get(format!("{}/readyz", stage.ops)).send().await.unwrap().status();
    assert_eq!(status.as_u16(), 503);
    let notices = stage.ops_json("/api/v1/profit").await["notices"].clone();
    assert_eq!((&notices[0]["rule"], &notices[0]["severity"]), (&"clock_wrong".into(), &"P2".into()));
    assert!(stage.log().contains("this machine's clock is wrong"), "{}", stage.log());
    // A request this late is refused, and the reason names the clock.
    let slot = Slot::new(stage.slot().as_u64() - 3);
    assert!(stage.header_at(slot).await.is_none());
    let why = stage.auction(slot).await["why_no_bid"].as_str().unwrap().to_owned();
    assert!(why.contains("may be the clock's fault: this machine's clock is"), "{why}");

    for relay in &stage.relays {
        relay.behave(|behaviour| behaviour.clock_ahead_ms(0));
    }
    ready_check(&stage, "clock", |check| {
        check["ok"] == true && check["detail"].as_str().unwrap().contains("is right")
    })
    .await;
    eventually("the notice to be over", async || {
        let report = stage.ops_json("/api/v1/profit").await;
        (!report["notices"][0]["resolved_at"].is_null()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_relay_with_a_false_clock_convinces_nobody() {
    let stage = relays_ahead([3_600_000, 0, 0]).start().await;
    let check =
        ready_check(&stage, "clock", |check| check["detail"].as_str().unwrap().contains("by 3 sources"))
            .await;
    assert_eq!(check["ok"], true, "{check}");
    assert!(check["detail"].as_str().unwrap().contains("clock is right"), "{check}");
    assert!(gauge(&stage, "relaymux_clock_offset_seconds").await.unwrap().abs() < 2.0);
    assert_eq!(gauge(&stage, "relaymux_clock_sources").await, Some(3.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn check_compares_the_clock() {
    for (ahead, code, words) in [
        ([-5000; 3], 1, "clock: this machine's clock is wrong: "),
        ([3_600_000, 0, 0], 0, "clock: this machine's clock is right"),
    ] {
        let stage = relays_ahead(ahead).start().await;
        let output = binary().current_dir(stage.folder.path()).arg("check").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains(words), "{said}");
        assert_eq!(output.status.code(), Some(code), "{said}");
    }
}
