//! Relays earn their place: offences, quarantine, the operator's word.

use relaymux::{
    consensus::Encoding,
    sim::{HeaderFault, PayloadFault},
};
use serde_json::Value;

use crate::stage::{Stage, assert_error, eventually, honest, milli, stage};

impl Stage {
    /// A relay of `/api/v1/relays` once a condition holds of it.
    pub(crate) async fn relay_view(&self, index: usize, condition: impl Fn(&Value) -> bool) -> Value {
        eventually("the relay's new place", async || {
            let relays = self.ops_json("/api/v1/relays").await;
            relays.get(index).filter(|relay| condition(relay)).cloned()
        })
        .await
    }

    pub(crate) fn token(&self) -> String {
        std::fs::read_to_string(self.data_dir().join("admin.token")).unwrap()
    }

    pub(crate) async fn post(&self, path: &str) -> reqwest::Response {
        let request = self.http.post(format!("{}{path}", self.ops)).bearer_auth(self.token());
        request.send().await.unwrap()
    }
}

/// The thief bids most and does not reveal; the honest one bids less.
async fn with_a_thief() -> Stage {
    stage()
        .relay(honest().value(milli(90)).builder(1).payload(PayloadFault::Withholds))
        .relay(honest().value(milli(10)).builder(2))
        .start()
        .await
}

/// [J1]
#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_wins_and_withholds_is_quarantined_at_its_first_offence() {
    let stage = with_a_thief().await;
    let (status, _) = stage.reveal(2, Encoding::Ssz).await;
    assert_eq!(status, 502);
    let thief = stage.relay_view(0, |relay| relay["state"] == "quarantined").await;
    assert_eq!(thief["offences"], 1);
    let why = thief["why"].as_str().unwrap();
    assert!(why.contains("0.09 ETH") && why.contains("did not reveal it") && why.contains("400"), "{why}");
    assert!(thief["score"].as_f64().unwrap() < 0.9);
    // The slots after it are served by the other, and the thief is not even asked.
    let asked_before = stage.relays[0].received("header").len();
    let bid = stage.header().await.unwrap();
    assert_eq!(stage.relay_of(&bid), 1);
    assert_eq!(stage.relays[0].received("header").len(), asked_before);
    // The slot says so, by name and with the reason.
    let later = relaymux::types::Slot::new(stage.slot().as_u64() + 1);
    stage.header_at(later).await.unwrap();
    let auction = stage.auction(later).await;
    let left_out = auction["bids"].as_array().unwrap().iter().find(|bid| bid["relay"] == "r0").unwrap();
    assert_eq!(left_out["outcome"], "not_asked");
    assert!(left_out["detail"].as_str().unwrap().contains("quarantined: slot"), "{left_out}");
    // In the ledger, in the metrics, and with its history.
    let one = stage.ops_json("/api/v1/relays/r0").await;
    assert_eq!(
        (&one["history"][0]["state"], &one["history"][0]["before"]),
        (&"quarantined".into(), &"active".into())
    );
    let metrics =
        stage.http.get(format!("{}/metrics", stage.ops)).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("relaymux_relay_state{relay=\"r0\",state=\"quarantined\"} 1"), "{metrics}");
    assert!(
        metrics.contains("relaymux_relay_offences_total{relay=\"r0\",offence=\"payload_withheld\"} 1"),
        "{metrics}"
    );
}

/// The slot is saved by another relay with the same block; the withholding counts all the same.
#[tokio::test(flavor = "multi_thread")]
async fn withholding_what_another_reveals_is_withholding() {
    let stage = stage()
        .relay(honest().value(milli(90)).payload(PayloadFault::Withholds))
        .relay(honest().value(milli(90)))
        .start()
        .await;
    assert_eq!(stage.reveal(2, Encoding::Ssz).await.0, 202);
    stage.relay_view(0, |relay| relay["state"] == "quarantined").await;
    assert_eq!(stage.ops_json("/api/v1/relays").await[1]["state"], "active");
}

/// [J2]
#[tokio::test(flavor = "multi_thread")]
async fn another_payload_than_signed_for_is_an_offence() {
    let stage = stage()
        .relay(honest().value(milli(90)).builder(1).payload(PayloadFault::OtherContents))
        .relay(honest().value(milli(10)).builder(2))
        .start()
        .await;
    assert_eq!(stage.reveal(1, Encoding::Ssz).await.0, 502);
    let relay = stage.relay_view(0, |relay| relay["state"] == "quarantined").await;
    assert!(relay["why"].as_str().unwrap().contains("another payload"), "{relay}");
}

/// [J3] The only relay stays in use after one fault; proven twice, no bid is better.
#[tokio::test(flavor = "multi_thread")]
async fn the_only_relay_is_asked_after_one_fault_and_not_after_two() {
    let stage = stage().relay(honest().payload(PayloadFault::Withholds)).start().await;
    assert_eq!(stage.reveal(2, Encoding::Ssz).await.0, 502);
    let relay = stage.relay_view(0, |relay| relay["offences"] == 1).await;
    assert_eq!(relay["state"], "active");
    assert!(relay["why"].as_str().unwrap().contains("no other relay"), "{relay}");
    assert!(stage.header().await.is_some());
    let slot = relaymux::types::Slot::new(stage.slot().as_u64() + 1);
    let bid = stage.header_at(slot).await.unwrap();
    let body = stage.signed_block(slot, &bid, Encoding::Ssz);
    assert_eq!(stage.submit_request(2, Encoding::Ssz, body).send().await.unwrap().status(), 502);
    let relay = stage.relay_view(0, |relay| relay["offences"] == 2).await;
    assert_eq!(relay["state"], "quarantined");
    assert!(stage.header().await.is_none());
}

/// [J7]
#[tokio::test(flavor = "multi_thread")]
async fn quarantine_survives_a_restart_and_a_pardon_ends_it() {
    let mut stage = with_a_thief().await;
    stage.reveal(2, Encoding::Ssz).await;
    stage.relay_view(0, |relay| relay["state"] == "quarantined").await;
    eventually("the standing in the ledger", async || {
        stage.ops_json("/api/v1/relays/r0").await["history"].get(0).cloned()
    })
    .await;
    stage.start_again().await;
    let relays = stage.ops_json("/api/v1/relays").await;
    assert_eq!((&relays[0]["state"], &relays[0]["offences"]), (&"quarantined".into(), &1.into()));
    let answer = stage.post("/api/v1/relays/r0/pardon").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(stage.ops_json("/api/v1/relays").await[0]["state"], "active");
    let bid = stage.header().await.unwrap();
    assert_eq!(stage.relay_of(&bid), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_pins_and_disables_with_the_token_alone() {
    let stage = with_a_thief().await;
    for path in ["/api/v1/relays/rotate", "/api/v1/relays/r0/disable"] {
        let without = stage.http.post(format!("{}{path}", stage.ops)).send().await.unwrap();
        assert!(assert_error(without, 401).await.contains("admin.token"));
        let wrong = stage.http.post(format!("{}{path}", stage.ops)).bearer_auth("0".repeat(64));
        assert_error(wrong.send().await.unwrap(), 401).await;
    }
    let state = async |wish: &str| {
        let answer = stage.post(&format!("/api/v1/relays/r0/{wish}")).await;
        let answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        answer["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state("disable").await, "disabled");
    let bid = stage.header().await.unwrap();
    assert_eq!(stage.relay_of(&bid), 1);
    assert_eq!(state("release").await, "active");
    assert_eq!(state("pin").await, "active");
    // Pinned: asked, whatever it does.
    stage.reveal(2, Encoding::Ssz).await;
    let relay = stage.relay_view(0, |relay| relay["offences"] == 1).await;
    assert_eq!((&relay["state"], &relay["hand"]), (&"active".into(), &"pinned".into()));
    assert_eq!(state("release").await, "quarantined");
    assert_error(stage.post("/api/v1/relays/nobody/pin").await, 404).await;
    assert_error(stage.post("/api/v1/relays/r0/promote").await, 404).await;
    assert_error(stage.http.get(format!("{}/api/v1/relays/nobody", stage.ops)).send().await.unwrap(), 404)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_pins_and_pardons_too() {
    let stage = with_a_thief().await;
    stage.reveal(2, Encoding::Ssz).await;
    stage.relay_view(0, |relay| relay["state"] == "quarantined").await;
    let config = stage.config();
    stage.write_config(&config.replacen("[[relays]]\n", "[[relays]]\npinned = true\n", 1));
    stage.signal("HUP");
    let relay = stage.relay_view(0, |relay| relay["state"] == "active").await;
    assert!(relay["why"].as_str().unwrap().contains("pinned by the configuration"), "{relay}");
    stage.write_config(&config);
    stage.signal("HUP");
    stage.relay_view(0, |relay| relay["state"] == "quarantined").await;
    stage.write_config(&config.replacen(
        "[[relays]]\n",
        "[[relays]]\npardon_before = 2100-01-01T00:00:00Z\n",
        1,
    ));
    stage.signal("HUP");
    let relay = stage.relay_view(0, |relay| relay["state"] == "active").await;
    assert_eq!(relay["offences"], 0);
}

/// The breaker: a relay that fails in a row is left out and comes back by probes, off the hot path.
#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_fails_is_left_out_and_comes_back() {
    let stage = stage()
        .slot_secs(2)
        .trust("breaker_open_secs = 1\nbreaker_open_max_secs = 1")
        .relay(honest().header(HeaderFault::Status(503)))
        .relay(honest())
        .relay(honest())
        .start()
        .await;
    for _ in 0..3 {
        assert!(stage.header().await.is_some());
    }
    let relay = stage.relay_view(0, |relay| relay["state"] == "quarantined").await;
    assert!(
        relay["why"].as_str().unwrap().contains("circuit open")
            && relay["why"].as_str().unwrap().contains("503"),
        "{relay}"
    );
    let asked = stage.relays[0].received("header").len();
    assert!(stage.header().await.is_some());
    assert_eq!(stage.relays[0].received("header").len(), asked);
    stage.relays[0].behave(|_| honest());
    stage.relay_view(0, |relay| relay["state"] == "active").await;
    assert!(stage.relays[0].received("status").len() >= 2);
}

/// [J4] Away is not dishonest: the API, the slot, the metrics, the history and the report tell the two apart.
#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_merely_away_is_shown_as_unreachable() {
    let stage = stage()
        .trust("breaker_open_secs = 600\nbreaker_open_max_secs = 600")
        .relay(honest().header(HeaderFault::Drops))
        .relay(honest())
        .relay(honest())
        .start()
        .await;
    for _ in 0..3 {
        assert!(stage.header().await.is_some());
    }
    let relay = stage.relay_view(0, |relay| relay["state"] == "quarantined").await;
    assert_eq!((&relay["reason"], &relay["offences"]), (&"unreachable".into(), &0.into()));
    let later = relaymux::types::Slot::new(stage.slot().as_u64() + 40);
    assert!(stage.header_at(later).await.is_some());
    let auction = stage.auction(later).await;
    let left_out = auction["bids"].as_array().unwrap().iter().find(|bid| bid["relay"] == "r0").unwrap();
    assert!(left_out["detail"].as_str().unwrap().starts_with("not asked, unreachable: "), "{left_out}");
    let metrics =
        stage.http.get(format!("{}/metrics", stage.ops)).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("relaymux_relay_reason{relay=\"r0\",reason=\"unreachable\"} 1"), "{metrics}");
    assert!(metrics.contains("relaymux_relay_reason{relay=\"r0\",reason=\"dishonest\"} 0"), "{metrics}");
    let history = eventually("the change in the ledger", async || {
        let relay = stage.ops_json("/api/v1/relays/r0").await;
        relay["history"].get(0).cloned()
    })
    .await;
    assert_eq!((&history["state"], &history["reason"]), (&"quarantined".into(), &"unreachable".into()));
    let (_, table, error) = crate::report::report(&stage, &["relays"]);
    assert!(table.contains("unreachable") && !table.contains("quarantined"), "{table}{error}");
}

/// [J5] With too few others even a relay that fails is asked: that costs nothing.
#[tokio::test(flavor = "multi_thread")]
async fn the_breaker_never_leaves_fewer_than_min_active() {
    let stage = stage().relay(honest().header(HeaderFault::Drops)).relay(honest()).start().await;
    for _ in 0..4 {
        assert!(stage.header().await.is_some());
    }
    let relay = stage.relay_view(0, |relay| relay["breaker"]["state"] == "open").await;
    assert_eq!(relay["state"], "active");
    stage.relays[0].behave(|_| honest().value(milli(900)));
    let bid = stage.header().await.unwrap();
    assert_eq!(stage.relay_of(&bid), 0);
}

/// Seeded with what the relay says it delivered and the chain does not have.
#[tokio::test(flavor = "multi_thread")]
async fn trust_is_seeded_with_the_public_record_where_asked_for() {
    use axum::{
        Json, Router,
        routing::{get, post},
    };
    let hash = |n: u64| format!("{:#066x}", n);
    let trace = |number: u64, hash: String| serde_json::json!({ "slot": number.to_string(), "block_number": number.to_string(), "block_hash": hash });
    // Twelve of twenty are on chain; the newest is too young to say.
    let list: Vec<Value> = (1..=20)
        .map(|n| trace(n, if n <= 12 { hash(n) } else { hash(999) }))
        .chain([trace(99, hash(998))])
        .collect();
    let node = |Json(request): Json<Value>| async move {
        if request["method"] == "eth_chainId" {
            return Json(serde_json::json!({ "jsonrpc": "2.0", "id": 1, "result": "0x1" }));
        }
        let number = match request["params"][0].as_str().unwrap() {
            "latest" => 100,
            number => u64::from_str_radix(number.trim_start_matches("0x"), 16).unwrap(),
        };
        let result = serde_json::json!({
            "number": format!("{number:#x}"), "hash": format!("{number:#066x}"), "parentHash": format!("{:#066x}", 1),
            "timestamp": "0x1", "miner": format!("{:#042x}", 1), "gasUsed": "0x0", "transactions": [],
        });
        Json(serde_json::json!({ "jsonrpc": "2.0", "id": 1, "result": result }))
    };
    let router = Router::new()
        .route("/relay/v1/data/bidtraces/proposer_payload_delivered", get(async move || Json(list)))
        .route("/rpc", post(node));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let key =
        "0xac6e77dfe25ecd6110b8e780608cce0dab71fdd5ebea22a16c0205200f2f8e2e3ad3b71d3499c54ad14d6c21b41a37ae";
    let stage = stage()
        .trust("seed_from_public_record = true")
        .section(&format!("[execution]\nurl = \"http://{address}/rpc\""))
        .relay_at(&format!("http://{key}@{address}"))
        .relay(honest().data_api(relaymux::sim::DataApiFault::Down))
        .start()
        .await;
    let relay =
        stage.relay_view(0, |relay| relay["trust"]["reveals"].as_f64().is_some_and(|mean| mean < 0.95)).await;
    // (9.8 + 12 / 5) / (10 + 20 / 5)
    assert!((relay["trust"]["reveals"].as_f64().unwrap() - 12.2 / 14.0).abs() < 0.001, "{relay}");
    assert_eq!(relay["state"], "active");
    // The other does not answer: it begins as a stranger.
    eventually("the other's record", async || stage.log().contains("trust begins without it").then_some(()))
        .await;
}
