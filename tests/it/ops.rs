//! What people see.

use std::time::Duration;

use relaymux::{consensus::Encoding, sim::HeaderFault};

use crate::stage::{PARENT, assert_error, eventually, honest, stage};

#[tokio::test(flavor = "multi_thread")]
async fn relays_and_slots_tell_what_happened() {
    let stage = stage().relay(honest()).relay(honest().header(HeaderFault::Status(500))).start().await;
    let slot = stage.slot();
    stage.proposer(Encoding::Ssz).propose(slot, PARENT, Duration::from_secs(20)).await.unwrap();
    stage.submission(slot, |s| s["answers"].as_array().unwrap().len() == 2).await;
    let relays = stage.ops_json("/api/v1/relays").await;
    assert_eq!((&relays[0]["id"], &relays[0]["state"]), (&"r0".into(), &"active".into()));
    assert_eq!((&relays[0]["wins"], &relays[0]["deliveries"]), (&1.into(), &1.into()));
    // It failed the race; that it did not know a block it never offered is no fault.
    assert_eq!(relays[1]["faults"], serde_json::json!({"http_status": 1}));
    assert!(relays[0]["latency_p50_ms"].as_f64().unwrap() > 0.0);
    assert!(!relays[0]["url"].as_str().unwrap().contains('@'));
    let slots = stage.ops_json("/api/v1/slots?limit=10").await;
    assert_eq!(slots[0]["slot"], slot.as_u64());
    assert_eq!(slots[0]["auctions"][0]["bids"][1]["http_status"], 500);
    for (path, status) in [
        ("/api/v1/slots?limit=0", 400),
        ("/api/v1/slots?limit=x", 400),
        ("/api/v1/slots/x", 400),
        ("/api/v1/slots/1", 404),
    ] {
        assert_error(stage.http.get(format!("{}{path}", stage.ops)).send().await.unwrap(), status).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_streamed_and_filtered() {
    let stage = stage().relay(honest()).start().await;
    let mut stream =
        stage.http.get(format!("{}/api/v1/events?kind=auction", stage.ops)).send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    stage.proposer(Encoding::Json).register(60_000_000, 1).await.unwrap();
    let slot = stage.slot();
    stage.header_at(slot).await.unwrap();
    let chunk =
        tokio::time::timeout(Duration::from_secs(20), stream.chunk()).await.unwrap().unwrap().unwrap();
    let text = String::from_utf8(chunk.to_vec()).unwrap();
    assert!(text.starts_with("event: auction\n"), "{text}");
    let data: serde_json::Value =
        serde_json::from_str(text.lines().nth(1).unwrap().trim_start_matches("data: ")).unwrap();
    assert_eq!((&data["kind"], &data["slot"]), (&"auction".into(), &slot.as_u64().into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_needs_no_internet() {
    let stage = stage().relay(honest()).start().await;
    let response = stage.http.get(&stage.ops).send().await.unwrap();
    assert!(response.headers()["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
    let page = response.text().await.unwrap();
    assert!(page.contains("<title>relaymux</title>"));
    assert!(
        !page.contains("http://") && !page.contains("https://"),
        "the page loads something from elsewhere"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_all_begin_with_our_name() {
    let stage = stage().builder_api("relay_check = true").relay(honest()).start().await;
    stage.header().await.unwrap();
    let text = eventually("a scrape with everything", async || {
        let text =
            stage.http.get(format!("{}/metrics", stage.ops)).send().await.unwrap().text().await.unwrap();
        text.contains("endpoint=\"status\"").then_some(text)
    })
    .await;
    for line in text.lines().filter(|line| !line.is_empty()) {
        let name = line.trim_start_matches("# TYPE ").trim_start_matches("# HELP ");
        assert!(name.starts_with("relaymux_"), "{line}");
    }
    assert!(text.contains("relaymux_auctions_total{outcome=\"bid\"} 1"), "{text}");
    assert!(text.contains("relaymux_relay_request_duration_seconds_bucket"), "{text}");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn the_admin_token_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let stage = stage().relay(honest()).start().await;
    let path = stage.data_dir().join("admin.token");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_to_string(path).unwrap().len(), 64);
}

/// SIGUSR1 never ends the process.
#[tokio::test(flavor = "multi_thread")]
async fn a_harmless_signal_is_harmless() {
    let stage = stage().relay(honest()).start().await;
    stage.signal("USR1");
    eventually("the signal in the log", async || stage.log().contains("SIGUSR1").then_some(())).await;
    assert!(stage.header().await.is_some());
}
