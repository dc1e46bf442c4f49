//! Nodes of another network, and forks that this version does not serve.

use axum::{Router, http::StatusCode};
use relaymux::{
    consensus::{Encoding, Network, WallClock},
    sim::{SimBeacon, SimRelay, SimRelayParts},
    types::{Fork, Slot},
};
use serde_json::{Value, json};

use crate::stage::{Stage, binary, eventually, honest, stage};

async fn ready_check(stage: &Stage, name: &str, condition: impl Fn(&Value) -> bool) -> Value {
    eventually(&format!("the check `{name}`"), async || {
        let health = stage.ops_json("/readyz").await;
        let checks = health["checks"].as_array()?;
        checks.iter().find(|check| check["name"] == name && condition(check)).cloned()
    })
    .await
}

/// An HTTP server with one answer to everything.
async fn answering(status: StatusCode, body: Value) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(move || async move { (status, axum::Json(body)) });
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

/// What `check` says of nodes, beside a relay that is well, and its exit code.
async fn check(sections: &str) -> (String, Option<i32>) {
    let spec = Network::Mainnet.spec();
    let relay = SimRelay::start(SimRelayParts { spec, seed: 0, behaviour: honest() }).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let entry = format!("[[relays]]\nid = \"a\"\nurl = \"{}\"\n", relay.url());
    std::fs::write(folder.path().join("relays.toml"), format!("{sections}\n{entry}")).unwrap();
    let output = binary().current_dir(folder.path()).arg("check").output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (said, output.status.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn check_names_the_network_of_a_node_that_is_of_another() {
    let hoodi = SimBeacon::start(Network::Hoodi.spec()).await.unwrap();
    let (said, code) = check(&format!("network = \"mainnet\"\n[beacon]\nurl = \"{}\"", hoodi.url())).await;
    assert!(said.contains("a node of hoodi, the configured network is mainnet"), "{said}");
    assert!(!said.contains("head at slot") && code == Some(1), "{said}");
    let (said, code) = check(&format!("network = \"hoodi\"\n[beacon]\nurl = \"{}\"", hoodi.url())).await;
    assert!(said.contains("head at slot") && said.contains("of hoodi, synced") && code == Some(0), "{said}");
    let execution =
        answering(StatusCode::OK, json!({ "jsonrpc": "2.0", "id": 1, "result": "0x88bb0" })).await;
    let (said, code) = check(&format!("network = \"mainnet\"\n[execution]\nurl = \"{execution}\"")).await;
    assert!(said.contains("chain 560048 (hoodi), the configured network is chain 1 (mainnet)"), "{said}");
    assert_eq!(code, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_ports_401_is_explained() {
    let engine = answering(StatusCode::UNAUTHORIZED, json!("missing token")).await;
    let (said, code) = check(&format!("network = \"mainnet\"\n[execution]\nurl = \"{engine}\"")).await;
    assert!(said.contains("engine API") && said.contains("8551") && said.contains("8545"), "{said}");
    assert_eq!(code, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_replaced_by_one_of_another_network_is_not_used() {
    // Of another network at first, by its genesis: its duties are of no use.
    let beacon = SimBeacon::start(Network::Hoodi.spec()).await.unwrap();
    let stage = stage()
        .relay(honest())
        .slot_secs(2)
        .section(&format!("[beacon]\nurl = \"{}\"", beacon.url()))
        .start()
        .await;
    let not_ours = |check: &Value| check["detail"].as_str().unwrap().contains("nothing it says is used");
    let said = ready_check(&stage, "beacon_node", not_ours).await;
    assert!(
        said["detail"].as_str().unwrap().contains("a node of hoodi, the configured network is stage"),
        "{said}"
    );
    let proposer = stage.proposer(Encoding::Ssz);
    let signed = u64::try_from(WallClock::system().now() / 1000).unwrap();
    proposer.register(60_000_000, signed).await.unwrap();
    eventually("the refusal in the log", async || {
        stage.log().contains("no duties from the beacon node").then_some(())
    })
    .await;
    assert_eq!(beacon.asked("/eth/v1/validator/duties/"), 0, "nobody asks it for duties");

    // The right one now, under the same address.
    let slot = Slot::new(stage.slot().as_u64() + 40);
    beacon.behave(|behaviour| {
        behaviour.spec = stage.spec.clone();
        behaviour.duties = [(slot, proposer.proposer(slot))].into();
    });
    ready_check(&stage, "beacon_node", |check| !not_ours(check)).await;
    eventually("its duties", async || stage.log().contains("proposals expected").then_some(())).await;

    // And again another, while everything runs.
    beacon.behave(|behaviour| behaviour.spec.genesis_fork_version = [9, 9, 9, 9]);
    let said = ready_check(&stage, "beacon_node", not_ours).await;
    assert!(said["detail"].as_str().unwrap().contains("0x09090909"), "{said}");
    let before = beacon.asked("/eth/v1/validator/duties/");
    let looks = beacon.asked("/eth/v1/beacon/genesis");
    eventually("some looks more", async || {
        (beacon.asked("/eth/v1/beacon/genesis") > looks + 4).then_some(())
    })
    .await;
    assert_eq!(beacon.asked("/eth/v1/validator/duties/"), before);
    let notices = stage.ops_json("/api/v1/profit").await["notices"].clone();
    let open: Vec<_> = notices.as_array().unwrap().iter().filter(|n| n["resolved_at"].is_null()).collect();
    assert_eq!(open.len(), 1, "{notices}");
    assert_eq!((&open[0]["rule"], &open[0]["subject"]), (&"node_of_other_network".into(), &"beacon".into()));
    assert_eq!(notices.as_array().unwrap().len(), 2, "told twice, as it happened twice: {notices}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_on_a_fork_that_is_not_served_is_not_ready() {
    let stage = stage().fork(Fork::Gloas).relay(honest()).start().await;
    let check = ready_check(&stage, "fork", |_| true).await;
    assert_eq!(check["ok"], false);
    let said = check["detail"].as_str().unwrap();
    assert!(said.contains("stage is on gloas since epoch 0") && said.contains("204"), "{said}");
    assert!(stage.log().contains("stage is on gloas"), "{}", stage.log());
    let status = stage.http.get(format!("{}/readyz", stage.ops)).send().await.unwrap().status();
    assert_eq!(status.as_u16(), 503);
    let output = binary().current_dir(stage.folder.path()).arg("check").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("fork: stage is on gloas") && output.status.code() == Some(1), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_that_only_the_beacon_node_knows_is_warned_of() {
    let beacon = SimBeacon::start(Network::Hoodi.spec()).await.unwrap();
    let stage = stage()
        .relay(honest())
        .slot_secs(2)
        .section(&format!("[beacon]\nurl = \"{}\"", beacon.url()))
        .start()
        .await;
    ready_check(&stage, "fork", |check| {
        check["detail"].as_str().unwrap().starts_with("no fork is scheduled")
    })
    .await;
    beacon.behave(|behaviour| {
        behaviour.spec = stage.spec.clone();
        behaviour.other_forks = vec![("heze".to_owned(), 5000)];
    });
    let check = ready_check(&stage, "fork", |check| {
        check["detail"].as_str().unwrap().starts_with("heze starts on stage at epoch 5000")
    })
    .await;
    assert_eq!(check["ok"], true);
    let notices = eventually("the notice", async || {
        let notices = stage.ops_json("/api/v1/profit").await["notices"].clone();
        let is_told =
            notices.as_array()?.iter().any(|n| n["rule"] == "fork_not_served" && n["severity"] == "P3");
        is_told.then_some(notices)
    })
    .await;
    assert!(notices.to_string().contains("by the beacon node"), "{notices}");
    // In force by the node alone: that is told, and headers are served as before, for the auction goes by the configuration.
    beacon.behave(|behaviour| behaviour.other_forks = vec![("heze".to_owned(), 1)]);
    let check = ready_check(&stage, "fork", |check| check["ok"] == false).await;
    assert!(check["detail"].as_str().unwrap().contains("stage is on heze since epoch 1"), "{check}");
    let status = stage.http.get(format!("{}/readyz", stage.ops)).send().await.unwrap().status();
    assert_eq!(status.as_u16(), 200);
    assert!(stage.header().await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_start_says_how_many_relays_there_are_and_how_many_are_asked() {
    let stage = stage().relay(honest()).relay(honest()).relay_key(1, "enabled = false").start().await;
    eventually("the line", async || {
        let log = stage.log();
        let line = log.lines().find(|line| line.contains("relaymux is up"))?.to_owned();
        assert!(line.contains("relays=2") && line.contains("asked=1"), "{line}");
        Some(())
    })
    .await;
}
