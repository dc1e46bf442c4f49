//! The whole service on a chain of anvil's: an honest, an underpaying and a withholding relay sell real blocks.

use alloy_primitives::B256;
use axum::response::IntoResponse;
use relaymux::{
    consensus::{Encoding, WallClock},
    serve::Listener,
    sim::{AnyPayload, DataApiFault, PayloadFault},
    types::{Fork, Slot},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    node::{BUILDER, Door, Node, OTHER, US, USER},
    stage::{EVER, EVER_ARGUMENTS, Stage, assert_error, binary, eventually, honest, milli, stage},
};

const CLAIM: u128 = 50_000_000_000_000_000;

fn report(folder: &std::path::Path, more: &[&str]) -> String {
    let output = binary().current_dir(folder).arg("report").args(more).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_profit_report_names_each_relay_with_proof_and_adds_up_to_the_wei() {
    let genesis = WallClock::system().now() / 1000 - 3600;
    let node = Node::anvil(genesis, &["--hardfork", "shanghai", "--slots-in-an-epoch", "2"]).await;
    let door = Door::before(&node).await;
    let mut stage = stage()
        .fork(Fork::Capella)
        .minimal()
        .relay(honest().value(milli(50)))
        .relay(honest().value(milli(50)).builder(1))
        .relay(
            honest()
                .value(milli(50))
                .builder(2)
                .payload(PayloadFault::Status(500))
                .data_api(DataApiFault::ClaimsAll),
        )
        .section(&format!("[execution]\nurl = \"{}\"", door.url))
        .section("[profit]\nprices_file = \"prices.csv\"\ncurrency = \"EUR\"\nregistrations_every_secs = 0")
        .file("prices.csv", &format!("{},2000\n{},2000\n", day_of(0), day_of(1)))
        .start()
        .await;
    let proposer = stage.proposer(Encoding::Ssz);
    let registered = u64::try_from(WallClock::system().now() / 1000).unwrap();
    proposer.register(30_000_000, registered).await.unwrap();
    for relay in &stage.relays {
        eventually("the registration to reach the relays", async || {
            (!relay.registered().is_empty()).then_some(())
        })
        .await;
    }
    let first = stage.slot().as_u64() + 1;
    let start = |slot: u64| u64::try_from(stage.spec.clock().start_of(Slot::new(slot)) / 1000).unwrap();
    let had = node.balance(US, "latest").await;
    // (relay, what its block pays, whether it is published)
    let plan = [(0, CLAIM, true), (1, CLAIM - 1, true), (2, CLAIM, false), (0, CLAIM, true)];
    // A relay that was supplied once offers nothing but what it is supplied with.
    let unrelated = node.mine(start(first) - 12, OTHER).await;
    let unrelated = AnyPayload::of_block(&unrelated, &[]).unwrap();
    stage.relays.iter().for_each(|relay| relay.supply(unrelated.clone()));
    let mut parent = node.rpc("eth_getBlockByNumber", json!(["latest", false])).await;
    for (slot, (relay, pays, is_published)) in (first..).zip(plan) {
        let snapshot = node.rpc("evm_snapshot", json!([])).await;
        node.pay(USER, OTHER, 1).await;
        node.pay(BUILDER, US, pays).await;
        let block = node.mine(start(slot), BUILDER).await;
        let payload = AnyPayload::of_block(&block, &node.raw_transactions(&block).await).unwrap();
        assert_eq!(payload.block_hash().to_string(), block["hash"].as_str().unwrap());
        stage.relays[relay].supply(payload);
        // A withheld block is in nobody's chain, also not while the relay is asked for it: the watcher looks every second.
        if !is_published {
            node.rpc("evm_revert", json!([snapshot])).await;
        }
        let hash = parent["hash"].as_str().unwrap().parse().unwrap();
        let bid =
            proposer.get_header(Slot::new(slot), hash, std::time::Duration::from_secs(20)).await.unwrap();
        let bid = bid.unwrap_or_else(|| panic!("no bid in slot {slot}\n{}", stage.log()));
        assert_eq!(bid.facts().value, milli(50));
        let revealed = proposer.submit(Slot::new(slot), &bid).await;
        assert_eq!(revealed.is_ok(), is_published, "{revealed:?}");
        if is_published {
            parent = block;
        }
    }
    let last = first + plan.len() as u64;
    for slot in last..last + 10 {
        node.mine(start(slot), OTHER).await;
    }
    let gained = node.balance(US, "latest").await - had;
    assert_eq!(gained, 3 * CLAIM - 1);

    let by_relay = settled_report(&stage).await;
    assert_eq!(by_relay["total"]["received_wei"], gained.to_string());
    assert_eq!(by_relay["total"]["claimed_wei"], (3 * CLAIM).to_string());
    let line = |name: &str| {
        let groups = by_relay["groups"].as_array().unwrap();
        groups
            .iter()
            .find(|line| line["name"] == name)
            .cloned()
            .unwrap_or_else(|| panic!("{name}: {by_relay}"))
    };
    let counts = |name: &str| {
        ["delivered", "exact", "under", "not_delivered"].map(|key| line(name)[key].as_u64().unwrap())
    };
    assert_eq!(counts("r0"), [2, 2, 0, 0]);
    assert_eq!(counts("r1"), [1, 0, 1, 0]);
    assert_eq!(counts("r2"), [0, 0, 0, 1]);
    assert_eq!(line("r1")["short_eth"], "0.000000000000000001");
    assert_eq!(line("r2")["cost_of_misses_eth"], "0.05");
    // The relays' own record: three agree, and one says that it delivered what it withheld.
    for (n, said) in [(0, "agrees"), (1, "agrees"), (2, "differs"), (3, "agrees")] {
        let slot = stage.ops_json(&format!("/api/v1/slots/{}", first + n)).await;
        assert_eq!(slot["payment"]["data_api"], said, "{slot}");
    }
    // Those two are told of, and are trusted less.
    let words: Vec<String> = by_relay["notices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|notice| notice["words"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        words.iter().any(|words| words.contains("r1 promised 0.05 ETH and 0.049999999999999999")),
        "{words:?}"
    );
    assert!(words.iter().any(|words| words.contains("no relay published it")), "{words:?}");
    let trust = eventually("trust to hear of the payment", async || {
        let relays = stage.ops_json("/api/v1/relays").await;
        let of = |n: usize| relays[n]["trust"]["payments"].as_f64();
        of(0).zip(of(1)).filter(|(good, bad)| good > bad)
    })
    .await;
    assert!(trust.1 < 0.9, "{trust:?}");
    let slot = stage.ops_json(&format!("/api/v1/slots/{}", first + 1)).await;
    assert_eq!(
        (&slot["payment"]["payment"], &slot["payment"]["method"], &slot["payment"]["confidence"]),
        (&json!("under"), &json!("trace"), &json!("high"))
    );

    // The same from the command line, and after a kill -9.
    stage.start_again().await;
    let folder = stage.folder.path();
    let ever = |arguments: &[&str]| report(folder, &[arguments, &EVER_ARGUMENTS[..]].concat());
    let json: Value = serde_json::from_str(&ever(&["profit", "--by", "relay", "--format", "json"])).unwrap();
    assert_eq!(json["total"], by_relay["total"]);
    let csv = ever(&["profit", "--format", "csv"]);
    let mut lines = csv.lines();
    let columns: Vec<&str> = lines.next().unwrap().split(',').collect();
    let column = |name: &str| columns.iter().position(|column| *column == name).unwrap();
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), plan.len());
    let sum: u128 = rows.iter().filter_map(|row| row[column("received_wei")].parse::<u128>().ok()).sum();
    assert_eq!(sum, gained);
    assert_eq!(rows[1][column("difference_eth")], "-0.000000000000000001");
    assert_eq!(rows[0][column("received_eur")], "100.00");
    assert_eq!(rows[2][column("outcome")], "not_delivered");
    assert!(ever(&["profit"]).contains("0.149999999999999999"));
    let by_day =
        stage.http.get(format!("{}/api/v1/profit?format=csv&by=day&{EVER}", stage.ops)).send().await.unwrap();
    assert_eq!(by_day.headers()["content-type"], "text/csv; charset=utf-8");
    let wrong = stage.http.get(format!("{}/api/v1/profit?by=colour", stage.ops)).send().await.unwrap();
    let words = assert_error(wrong, 400).await;
    assert!(words.contains("day, week, month, relay, validator, builder"), "{words}");

    // Evidence that anybody can check: the bid as it was signed, and the transaction that paid too little.
    let evidence: Value =
        serde_json::from_str(&report(folder, &["evidence", &(first + 1).to_string()])).unwrap();
    assert!(
        evidence["claim"]
            .as_str()
            .unwrap()
            .contains("r1 signed a bid of 50000000000000000 wei, and 49999999999999999")
    );
    assert_eq!(
        (&evidence["signed_bid"]["signature_holds"], &evidence["signed_bid"]["value_wei"]),
        (&json!(true), &json!(CLAIM.to_string()))
    );
    assert_eq!(evidence["signed_bid"]["relay_pubkey"], stage.relays[1].public_key().to_string());
    assert!(evidence["signed_block"]["ssz"].as_str().unwrap().len() > 500);
    let paid_by = evidence["settlement"]["transactions"].as_str().unwrap();
    let transaction = node.rpc("eth_getTransactionByHash", json!([paid_by])).await;
    assert_eq!(transaction["value"], format!("{:#x}", CLAIM - 1));
    let none = binary().current_dir(folder).args(["report", "evidence", "1"]).output().unwrap();
    assert_eq!(none.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&none.stderr).contains("nothing happened in slot 1"));
}

/// The report once every slot in it is settled for good.
async fn settled_report(stage: &Stage) -> Value {
    eventually("four slots to be final", async || {
        let settled =
            stage.http.get(format!("{}/api/v1/profit?format=csv&{EVER}", stage.ops)).send().await.unwrap();
        let csv = settled.text().await.unwrap();
        if csv.matches(",final,").count() < 4 {
            return None;
        }
        // The two faults, and the record that hides one of them.
        let report = stage.ops_json(&format!("/api/v1/profit?by=relay&{EVER}")).await;
        let told =
            |rule: &str| report["notices"].as_array().unwrap().iter().any(|notice| notice["rule"] == rule);
        let all = ["payment_missing", "data_api_differs", "block_not_published"].into_iter().all(told);
        all.then_some(report)
    })
    .await
}

fn day_of(days: i64) -> String {
    let now = jiff::Timestamp::from_millisecond(WallClock::system().now() + days * 86_400_000).unwrap();
    now.to_zoned(jiff::tz::TimeZone::UTC).date().to_string()
}

/// A beacon node's part of what a slot was: headers, rewards, and an event stream that speaks when it is told to.
async fn beacon(first: u64) -> (String, tokio::sync::broadcast::Sender<&'static str>, CancellationToken) {
    let (speak, _) = tokio::sync::broadcast::channel::<&'static str>(16);
    let events = {
        let speak = speak.clone();
        async move || {
            let told = futures_util::stream::unfold(speak.subscribe(), async |mut told| {
                let topic = told.recv().await.ok()?;
                Some((Ok::<_, std::io::Error>(format!("event: {topic}\ndata: {{\"slot\":\"1\"}}\n\n")), told))
            });
            ([("content-type", "text/event-stream")], axum::body::Body::from_stream(told))
        }
    };
    let header = async move |axum::extract::Path(slot): axum::extract::Path<u64>| {
        if slot != first {
            return axum::http::StatusCode::NOT_FOUND.into_response();
        }
        let header = json!({"root": B256::repeat_byte(7), "header": {"message": {"proposer_index": "1234"}}});
        axum::Json(json!({ "data": header })).into_response()
    };
    let rewards = async || axum::Json(json!({"data": {"proposer_index": "1234", "total": "41234567"}}));
    let router = axum::Router::new()
        .route("/eth/v1/events", axum::routing::get(events))
        .route("/eth/v1/beacon/headers/{slot}", axum::routing::get(header))
        .route("/eth/v1/beacon/rewards/blocks/{root}", axum::routing::get(rewards));
    let listener = Listener::bind("beacon", ([127, 0, 0, 1], 0).into()).unwrap();
    let (url, stop) = (format!("http://{}", listener.address()), CancellationToken::new());
    tokio::spawn(listener.serve(router, stop.clone(), std::time::Duration::ZERO));
    (url, speak, stop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_beacon_node_wakes_the_watcher_and_knows_the_rewards() {
    // Slots of an hour: without news the watcher would look once in each.
    let genesis = WallClock::system().now() / 1000 - 100 * 3600 - 7200;
    let node = Node::anvil(genesis, &["--hardfork", "shanghai", "--slots-in-an-epoch", "2"]).await;
    let (url, speak, _stop) = beacon(101).await;
    let stage = stage()
        .fork(Fork::Capella)
        .minimal()
        .slot_secs(3600)
        .relay(honest().value(milli(50)))
        .section(&format!("[execution]\nurl = \"{}\"\n[beacon]\nurl = \"{url}\"", node.url))
        .start()
        .await;
    let proposer = stage.proposer(Encoding::Ssz);
    proposer.register(30_000_000, u64::try_from(WallClock::system().now() / 1000).unwrap()).await.unwrap();
    eventually("the registration", async || (!stage.relays[0].registered().is_empty()).then_some(())).await;
    assert_eq!(stage.slot().as_u64(), 101);
    let start = |slot: u64| u64::try_from(stage.spec.clock().start_of(Slot::new(slot)) / 1000).unwrap();
    let parent = node.mine(start(100), OTHER).await;
    node.pay(BUILDER, US, CLAIM).await;
    let block = node.mine(start(101), BUILDER).await;
    stage.relays[0].supply(AnyPayload::of_block(&block, &node.raw_transactions(&block).await).unwrap());
    let hash = parent["hash"].as_str().unwrap().parse().unwrap();
    let bid =
        proposer.get_header(Slot::new(101), hash, std::time::Duration::from_secs(20)).await.unwrap().unwrap();
    proposer.submit(Slot::new(101), &bid).await.unwrap();
    stage.submission(Slot::new(101), |submission| submission["fate"] == "delivered").await;
    let payment = async |topic: &'static str, status: &str| {
        eventually("the payment to be seen", async || {
            // Nobody may listen yet: told again until somebody does.
            let _ = speak.send(topic);
            let slot = stage.ops_json("/api/v1/slots/101").await;
            (slot["payment"]["status"] == status).then(|| slot["payment"].clone())
        })
        .await
    };
    assert_eq!(payment("head", "provisional").await["payment"], "exact");
    for slot in 102..110 {
        node.mine(start(slot), OTHER).await;
    }
    let settled = payment("finalized_checkpoint", "final").await;
    assert_eq!(
        (&settled["proposer_index"], &settled["consensus_reward_gwei"]),
        (&json!(1234), &json!(41_234_567)),
        "{settled}"
    );
    let report = stage.ops_json(&format!("/api/v1/profit?{EVER}")).await;
    assert_eq!(report["total"]["consensus_reward_eth"], "0.041234567", "{report}");
}
