//! Weights, minimum bids per relay, minimum profit.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::{
    Router,
    http::{HeaderMap, StatusCode},
    response::IntoResponse,
    routing::get,
};

use crate::stage::{honest, milli, stage};

#[tokio::test(flavor = "multi_thread")]
async fn weights_decide_and_the_value_stays_true() {
    for (name, keys, builders, winner) in [
        ("neutral", "", "", 0),
        ("half", "weight_factor = 50", "", 1),
        ("excluded", "weight_factor = 0", "", 1),
        ("malus", "weight_offset_eth = \"-0.05\"", "", 1),
        ("malus that is not enough", "weight_offset_eth = \"-0.001\"", "", 0),
        ("minimum of its own", "min_bid_eth = \"0.5\"", "", 1),
        (
            "all builders malus",
            "",
            "[[builders]]\nid = \"any\"\nfee_recipient = \"0x0000000000000000000000000000000000000009\"\nweight_factor = 1\n",
            0,
        ),
    ] {
        let stage = stage()
            .section(builders)
            .relay(honest().value(milli(90)).builder(1))
            .relay(honest().value(milli(60)).builder(2))
            .relay_key(0, keys)
            .start()
            .await;
        let slot = stage.slot();
        let bid = stage.header_at(slot).await.unwrap();
        assert_eq!(stage.relay_of(&bid), winner, "{name}");
        assert_eq!(bid.facts().value, milli([90, 60][winner]), "{name}");
        if name == "excluded" {
            assert_eq!(stage.auction(slot).await["bids"][0]["outcome"], "excluded");
        }
        if name == "half" {
            assert_eq!(stage.auction(slot).await["bids"][0]["score_eth"], "0.045");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn builders_are_told_by_what_they_leave_in_the_block() {
    let probe = stage().relay(honest().value(milli(90))).start().await;
    let facts = probe.header().await.unwrap().facts().clone();
    let rule = format!(
        "[[builders]]\nid = \"sim\"\nfee_recipient = \"{}\"\nweight_factor = 0\n",
        facts.fee_recipient
    );
    let stage = stage().section(&rule).relay(honest().value(milli(90))).start().await;
    assert!(stage.header().await.is_none());
}

/// A beacon node that says what its own block would pay.
async fn beacon(value: Arc<AtomicU64>) -> String {
    let block = move || {
        let value = value.load(Ordering::Relaxed);
        async move {
            if value == 0 {
                return StatusCode::SERVICE_UNAVAILABLE.into_response();
            }
            let mut headers = HeaderMap::new();
            headers.insert("Eth-Execution-Payload-Value", format!("{value}000000000000000").parse().unwrap());
            (headers, "{}").into_response()
        }
    };
    let router = Router::new()
        .route("/eth/v3/validator/blocks/{slot}", get(block))
        .route("/eth/v1/validator/duties/proposer/{epoch}", get(async || "{\"data\": []}"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bid_must_beat_the_local_block_by_the_wanted_profit() {
    let local = Arc::new(AtomicU64::new(30));
    let url = beacon(Arc::clone(&local)).await;
    let stage = stage()
        .section(&format!("[beacon]\nurl = \"{url}\""))
        .auction("min_profit_eth = \"0.01\"")
        .relay(honest().value(milli(50)))
        .start()
        .await;
    assert!(stage.header().await.is_some());
    local.store(41, Ordering::Relaxed);
    let slot = relaymux::types::Slot::new(stage.slot().as_u64() + 1);
    assert!(stage.header_at(slot).await.is_none());
    let auction = stage.auction(slot).await;
    assert_eq!(auction["bids"][0]["outcome"], "below_local", "{auction}");
    assert!(
        auction["why_no_bid"].as_str().unwrap().contains("below the local block's 0.041 ETH"),
        "{auction}"
    );
    // A node that does not say costs nobody a bid.
    local.store(0, Ordering::Relaxed);
    assert!(stage.header().await.is_some());
}

/// The operator's weights choose among the bids that are worth more than a local block; they are no reason to go without one.
#[tokio::test(flavor = "multi_thread")]
async fn a_weighted_winner_below_the_local_block_gives_way_to_one_above_it() {
    let url = beacon(Arc::new(AtomicU64::new(30))).await;
    let stage = stage()
        .section(&format!("[beacon]\nurl = \"{url}\""))
        .auction("min_profit_eth = \"0.01\"\ntimeout_get_header_ms = 1900")
        .relay(honest().value(milli(35)))
        .relay_key(0, "weight_factor = 200")
        .relay(honest().value(milli(50)).builder(1))
        .relay(honest().value(milli(45)).builder(2).delay(std::time::Duration::from_millis(300)))
        .start()
        .await;
    let slot = stage.slot();
    assert_eq!(stage.header_at(slot).await.unwrap().facts().value, milli(50));
    let outcomes = stage.outcomes(slot).await;
    assert_eq!(outcomes, ["below_local", "bid", "bid"]);
}

/// Duties of the beacon node say which slots are ours, once the validator has registered.
#[tokio::test(flavor = "multi_thread")]
async fn proposals_are_known_from_the_beacon_nodes_duties() {
    use relaymux::consensus::Encoding;
    let duties = |axum::extract::Path(epoch): axum::extract::Path<u64>| async move {
        // The first two validators of the stage, far ahead in each epoch.
        let spec = relaymux::consensus::Network::Mainnet.spec();
        let http = relaymux::relay::build_http_client(&relaymux::relay::TlsRoots::Bundled, None).unwrap();
        let proposer = relaymux::sim::SimProposer::new(spec, String::new(), http, 4, Encoding::Ssz);
        let duty = |slot: u64| {
            let pubkey = proposer.proposer(relaymux::types::Slot::new(slot)).to_string();
            serde_json::json!({ "slot": (epoch * 32 + slot).to_string(), "pubkey": pubkey, "validator_index": "1" })
        };
        let stranger = serde_json::json!({ "slot": (epoch * 32 + 30).to_string(), "pubkey": format!("0x{}", "ab".repeat(48)) });
        axum::Json(serde_json::json!({ "data": [duty(28), duty(29), stranger] }))
    };
    let router = Router::new().route("/eth/v1/validator/duties/proposer/{epoch}", get(duties));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let mut stage = stage().section(&format!("[beacon]\nurl = \"{url}\"")).relay(honest()).start().await;
    stage.proposer(Encoding::Json).register(60_000_000, 1).await.unwrap();
    // Registrations are known at the next start from the ledger.
    crate::stage::eventually("the registrations to be kept", async || {
        let metrics =
            stage.http.get(format!("{}/metrics", stage.ops)).send().await.unwrap().text().await.unwrap();
        metrics.contains("register_validators").then_some(())
    })
    .await;
    stage.signal("TERM");
    stage.exit_status().await;
    stage.start_again().await;
    crate::stage::eventually("the expected proposals", async || {
        stage
            .log()
            .lines()
            .rev()
            .find(|line| line.contains("proposals expected"))
            .filter(|line| {
                let slots =
                    line.split("slots=[").nth(1).unwrap_or_default().split(']').next().unwrap_or_default();
                (2..=4).contains(&slots.split(", ").filter(|slot| !slot.is_empty()).count())
            })
            .map(|_| ())
    })
    .await;
}
