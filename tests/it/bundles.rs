//! Searchers' bundles on a chain that the test writes by hand: who gets them, what they may cost, what becomes of them. On real chains:
//! `tests/chain`.

use std::time::Duration;

use alloy_primitives::{Address, B256, hex};
use relaymux::{
    bundles::{Dialect, bundle_hash},
    consensus::WallClock,
    sim::{BuilderHabit, SimBuilder, SimExecution},
};
use serde_json::{Value, json};
use sqlx::Connection;
use tokio::time::Instant;

use crate::{
    searcher::{Account, GWEI, OURS, account, fate, send, send_body, state},
    stage::{Stage, eventually, honest, stage},
};

const OTHER: &str = "0x000000000000000000000000000000000000dead";
const MINER: Address = Address::repeat_byte(0xc0);

/// A chain with one block on it, and time for many more before its clock is ahead of ours. Its node does not trace, as with the defaults.
async fn chain() -> SimExecution {
    let an_hour_ago = u64::try_from(WallClock::system().now() / 1000 - 3600).unwrap();
    let node = SimExecution::start(31337, B256::repeat_byte(0xee), an_hour_ago - 12, 12).await.unwrap();
    node.refuse(&["debug_traceBlockByHash", "eth_getBalance"]);
    node.mine(&[], Address::ZERO);
    node
}

/// A simulated builder, and its lines in the configuration.
async fn builder(dialect: &str, more: &str) -> (SimBuilder, String) {
    let builder = SimBuilder::start(Dialect::named(dialect).unwrap(), true).await.unwrap();
    let lines = format!("[[bundles.builders]]\nid = \"{dialect}\"\nurl = \"{}\"\n{more}\n", builder.url());
    (builder, lines)
}

async fn started(node: &SimExecution, settings: &str, builders: &[&str]) -> Stage {
    let section = format!(
        "[execution]\nurl = \"{}\"\n[bundles]\nlisten = \"127.0.0.1:0\"\nsigning_key_file = \"our.key\"\npoll_ms = 20\n{settings}\n{}",
        node.url(),
        builders.concat()
    );
    let stage = stage().relay(honest()).section(&section).file("our.key", OURS).start().await;
    head_is_known(&stage, node).await;
    stage
}

async fn head_is_known(stage: &Stage, node: &SimExecution) {
    let head = node.head();
    eventually("the head to be known", async || {
        let answer = stage.http.get(format!("{}/healthz", stage.bundles)).send().await.ok()?;
        let answer: Value = serde_json::from_slice(&answer.bytes().await.ok()?).ok()?;
        (answer["head"] == head).then_some(())
    })
    .await;
}

fn raw(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

/// A signed transfer with the account's next nonce.
fn transfer(account: &mut Account) -> String {
    account.pay(OTHER, 5, GWEI).0
}

fn hash_of(answer: &Value) -> String {
    answer["result"]["bundleHash"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// The blocks that a builder was asked for, of the bundles that have a transaction.
fn blocks_of(builder: &SimBuilder, tx: &str) -> Vec<String> {
    let received = builder.received();
    let of_it = received.iter().filter(|got| got.fields.to_string().contains(tx));
    of_it.map(|got| got.fields["blockNumber"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_a_bundle_goes_to_the_builders_it_was_for_and_no_others() {
    let node = chain().await;
    let (titan, titan_lines) = builder("titan", "").await;
    let (flashbots, flashbots_lines) = builder("flashbots", "").await;
    let (quasar, quasar_lines) = builder("quasar", "on_request = true").await;
    let (newcomer, newcomer_lines) = builder("beaverbuild", "").await;
    let lines = [&*titan_lines, &flashbots_lines, &quasar_lines];
    let mut stage = started(&node, "refunds_to = \"titan\"", &lines).await;
    let mut user = account(0);
    let (open, private, refund) = (transfer(&mut user), transfer(&mut user), transfer(&mut user));
    let for_all = json!([{"txs": [open], "blockNumber": "0x2", "maxBlockNumber": "0x9"}]);
    hash_of(&send(&stage, "eth_sendBundle", for_all).await);
    // A private transaction for one builder that nobody gets unasked.
    let preferences = json!({"privacy": {"builders": ["quasar"]}});
    let answer = send(&stage, "eth_sendPrivateRawTransaction", json!([private, preferences])).await;
    assert!(answer["result"].is_string(), "{answer}");
    let refunded =
        json!([{"txs": [refund], "blockNumber": "0x2", "maxBlockNumber": "0x9", "refundPercent": 90}]);
    hash_of(&send(&stage, "eth_sendBundle", refunded).await);
    eventually("the first block's requests", async || {
        let sent = [(&titan, &open), (&flashbots, &open), (&quasar, &private), (&titan, &refund)];
        sent.iter().all(|(builder, tx)| blocks_of(builder, tx) == ["0x2"]).then_some(())
    })
    .await;
    stage.signal("TERM");
    stage.exit_status().await;
    // Meanwhile the operator adds a builder, lets go of `refunds_to`, and opens another to everything.
    let config = stage.config().replace("refunds_to = \"titan\"", "").replace("on_request = true", "");
    let (head, tail) = config.split_once("[[relays]]").unwrap();
    stage.write_config(&format!("{head}{newcomer_lines}[[relays]]{tail}"));
    stage.start_again().await;
    head_is_known(&stage, &node).await;
    node.mine(&[], MINER);
    eventually("the requests after the restart", async || {
        let sent = [(&titan, &open), (&flashbots, &open), (&quasar, &private), (&titan, &refund)];
        sent.iter().all(|(builder, tx)| blocks_of(builder, tx) == ["0x2", "0x3"]).then_some(())
    })
    .await;
    // A bundle that comes now goes to all: when it is there, everything before it is, too.
    let last = transfer(&mut user);
    hash_of(&send(&stage, "eth_sendBundle", json!([{"txs": [last]}])).await);
    eventually("the newcomer's own request", async || {
        (!blocks_of(&newcomer, &last).is_empty()).then_some(())
    })
    .await;
    assert_eq!(newcomer.received().len(), 1, "it was not there when the others were sent");
    for (name, builder, tx) in [
        ("quasar", &quasar, &open),
        ("titan", &titan, &private),
        ("flashbots", &flashbots, &private),
        ("flashbots", &flashbots, &refund),
        ("quasar", &quasar, &refund),
    ] {
        assert_eq!(blocks_of(builder, tx), Vec::<String>::new(), "{name} got what was not for it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_is_asked_of_builders_that_pay_it_or_refused() {
    let node = chain().await;
    let (titan, titan_lines) = builder("titan", "").await;
    let (flashbots, flashbots_lines) = builder("flashbots", "").await;
    let stage = started(&node, "", &[&titan_lines, &flashbots_lines]).await;
    let mut user = account(0);
    let with_refund = |tx: &str, builders: Value| {
        json!([{
            "version": "v0.1", "inclusion": {"block": "0x2"}, "body": [{"tx": tx, "canRevert": false}],
            "validity": {"refund": [{"bodyIdx": 0, "percent": 90}]}, "privacy": {"builders": builders},
            "replacementUuid": "mine",
        }])
    };
    let tx = transfer(&mut user);
    let hash = hash_of(&send(&stage, "mev_sendBundle", with_refund(&tx, json!([]))).await);
    let sent =
        fate(&stage, &hash, "answered by both", |bundle| bundle["sends"].as_array().unwrap().len() == 2)
            .await;
    let got = flashbots.received();
    assert_eq!(got[0].method, "mev_sendBundle");
    assert_eq!(got[0].fields["validity"]["refund"][0]["percent"], 90);
    assert_ne!(got[0].fields["replacementUuid"], "mine", "the searcher's own name stays here");
    assert_eq!(titan.received().len(), 0, "{sent}");
    let outcome = |name: &str| {
        let sends = sent["sends"].as_array().unwrap();
        sends.iter().find(|send| send["builder"] == name).unwrap()["outcome"].clone()
    };
    assert_eq!((outcome("flashbots"), outcome("titan")), (json!("accepted"), json!("unsupported")));
    // Nobody that could: it is refused at once, and says what was not possible where.
    let tx = transfer(&mut user);
    for (method, params, words) in [
        ("mev_sendBundle", with_refund(&tx, json!(["titan"])), "titan does not take mev_sendBundle with"),
        (
            "eth_sendBundle",
            json!([{"txs": [tx], "refundPercent": 90, "builders": ["flashbots"]}]),
            "flashbots pays no refunds",
        ),
        (
            "eth_sendBundle",
            json!([{"txs": [tx], "blockNumber": "0x2", "maxBlockNumber": "0x9", "refundPercent": 100}]),
            "titan refunds 0 to 99 percent; flashbots pays no refunds",
        ),
        (
            "eth_sendPrivateTransaction",
            json!([{"tx": tx, "preferences": {"validity": {"refund": [{"address": OTHER, "percent": 90}]}}}]),
            "preferences.validity.refund",
        ),
    ] {
        let answer = send(&stage, method, params).await;
        let message = answer["error"]["message"].as_str().unwrap_or_else(|| panic!("{answer}"));
        assert!(message.contains(words), "{message}");
    }
    assert_eq!((titan.received().len(), flashbots.received().len()), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_takes_more_memory_than_it_weighs() {
    let node = chain().await;
    let (_titan, lines) = builder("titan", "").await;
    let stage = started(&node, "rate_per_searcher = 0", &[&lines]).await;
    let tx = transfer(&mut account(0));
    let before = stage.peak_mib();
    let mebibyte = 1 << 20;
    let empties = format!("[{}{{}}]", "{},".repeat(mebibyte / 3));
    // Bundles in each other, around a mebibyte: as deep as a client dares, and as deep as is allowed.
    let nested = |depth: usize, inner: &str| {
        let (open, close) = (r#"{"body":[{"bundle":"#, "}]}");
        format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
    };
    let innermost = format!(r#"{{"body":{empties}}}"#);
    for (what, method, params) in [
        ("a nested bomb", "mev_sendBundle", nested(35, &innermost)),
        ("a bomb within the nesting that is allowed", "mev_sendBundle", nested(4, &innermost)),
        ("too many in each other", "mev_sendBundle", nested(6, &format!(r#"{{"body":[{{"tx":"{tx}"}}]}}"#))),
        ("a list for a number", "eth_sendBundle", format!(r#"{{"txs":["{tx}"],"blockNumber":{empties}}}"#)),
        (
            "a list of hashes",
            "eth_sendBundle",
            format!(r#"{{"txs":["{tx}"],"revertingTxHashes":{empties}}}"#),
        ),
        (
            "a list for a state",
            "eth_callBundle",
            format!(r#"{{"txs":["{tx}"],"stateBlockNumber":{empties}}}"#),
        ),
        ("a long name", "eth_cancelBundle", format!(r#"{{"replacementUuid":"{}"}}"#, "x".repeat(mebibyte))),
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":[{params}]}}"#);
        let answer = send_body(&stage, body).await;
        let message = answer["error"]["message"].as_str().unwrap_or_else(|| panic!("{what}: {answer}"));
        assert!(message.len() < 1000, "{what}: the answer repeats the question");
    }
    // Unknown fields are not looked at, however large: the bundle is taken.
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"eth_sendBundle","params":[{{"txs":["{tx}"],"more":{empties}}}]}}"#
    );
    hash_of(&send_body(&stage, body).await);
    let grown = stage.peak_mib() - before;
    assert!(grown < 64, "requests of 1 MiB made the process {grown} MiB larger, from {before} MiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_of_a_batch_is_charged() {
    let node = chain().await;
    let (_titan, lines) = builder("titan", "").await;
    for method in ["eth_cancelBundle", "eth_callBundle"] {
        let stage = started(&node, "rate_per_searcher = 5", &[&lines]).await;
        let tx = transfer(&mut account(0));
        let call = |id: u64| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": [{"txs": [tx], "replacementUuid": "u"}]});
        let batch: Vec<Value> = (0..90).map(call).collect();
        let started = Instant::now();
        let answers = send_body(&stage, Value::from(batch).to_string()).await;
        let passed = answers.as_array().unwrap().iter().filter(|answer| answer["error"]["code"] != -32005);
        let passed = u64::try_from(passed.count()).unwrap();
        // Five at once, and five more for each second that it took.
        let may_pass = 5 + 5 * (started.elapsed().as_secs() + 1);
        assert!((1..=may_pass).contains(&passed), "{method}: {passed} of 90 passed, {may_pass} may");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_back_while_it_waits_is_not_sent() {
    let node = chain().await;
    let (titan, lines) = builder("titan", "max_requests_per_second = 1").await;
    let stage = started(&node, "answer_within_ms = 1\nsimulate = false", &[&lines]).await;
    let mut user = account(0);
    let mut withdrawn = 0;
    for trial in 0..5 {
        // The first takes the builder's second; the other waits for the next one, and is taken back meanwhile.
        let (first, second) = (transfer(&mut user), transfer(&mut user));
        send(&stage, "eth_sendBundle", json!([{"txs": [first], "blockNumber": "0x2"}])).await;
        let name = format!("trial-{trial}");
        let waits = json!([{"txs": [second], "blockNumber": "0x2", "replacementUuid": name}]);
        let hash = hash_of(&send(&stage, "eth_sendBundle", waits).await);
        let cancel = json!([{"replacementUuid": name}]);
        assert_eq!(send(&stage, "eth_cancelBundle", cancel).await["result"], true);
        let taken_back = Instant::now();
        let ended = fate(&stage, &hash, "done with", |bundle| {
            bundle["sends"].as_array().unwrap().iter().any(|send| send["builder"] == "titan")
        })
        .await;
        let sends = ended["sends"].as_array().unwrap();
        let send = sends.iter().find(|send| send["builder"] == "titan").unwrap();
        let received = titan.received();
        match received.iter().find(|got| got.fields.to_string().contains(&second)) {
            Some(got) => assert!(got.at < taken_back, "sent after it was taken back: {send}"),
            None => {
                assert_eq!(send["outcome"], "withdrawn", "{ended}");
                withdrawn += 1;
            }
        }
    }
    assert!(withdrawn > 0, "none of the bundles waited: this run shows nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_searcher_that_hangs_up_leaves_nothing_half_done() {
    let node = chain().await;
    let (titan, lines) = builder("titan", "").await;
    let stage = started(&node, "answer_within_ms = 10000\nsimulate = false", &[&lines]).await;
    titan.habit(BuilderHabit::Slow(Duration::from_secs(2)));
    let (raw, hash) = account(0).pay(OTHER, 5, GWEI);
    let params = json!([{"txs": [raw], "blockNumber": "0x2"}]);
    tokio::select! {
        answer = send(&stage, "eth_sendBundle", params) => panic!("answered before the builder: {answer}"),
        () = eventually("the builder to be asked", async || {
            let metrics = stage.http.get(format!("{}/metrics", stage.ops)).send().await.ok()?.text().await.ok()?;
            metrics.contains("relaymux_bundle_to_socket_seconds_count 1").then_some(())
        }) => {}
    }
    let hash = bundle_hash(&[hash.parse().unwrap()]).to_string();
    fate(&stage, &hash, "taken", |bundle| bundle["sends"][0]["outcome"] == "accepted").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_builder_that_hangs_does_not_get_the_old_bundle_after_the_new_one() {
    let node = chain().await;
    let (titan, lines) = builder("titan", "max_requests_per_second = 0").await;
    let stage = started(&node, "answer_within_ms = 1\nsimulate = false", &[&lines]).await;
    let mut user = account(0);
    let (old, new) = (transfer(&mut user), transfer(&mut user));
    titan.habit(BuilderHabit::Hangs);
    let named = |tx: &str| json!([{"txs": [tx], "blockNumber": "0x2", "replacementUuid": "x"}]);
    let old_hash = hash_of(&send(&stage, "eth_sendBundle", named(&old)).await);
    titan.habit(BuilderHabit::Status(503));
    let new_hash = hash_of(&send(&stage, "eth_sendBundle", named(&new)).await);
    titan.habit(BuilderHabit::Takes);
    fate(&stage, &new_hash, "taken", |bundle| bundle["sends"][0]["outcome"] == "accepted").await;
    let gone =
        fate(&stage, &old_hash, "given up", |bundle| bundle["sends"][0]["outcome"] == "withdrawn").await;
    assert_eq!(gone["state"], "replaced");
    let received = titan.received();
    assert!(received.iter().all(|got| !got.fields.to_string().contains(&old)), "{received:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lands_all_the_same_and_what_lands_in_part_is_booked() {
    let node = chain().await;
    let (_titan, lines) = builder("titan", "max_requests_per_second = 0").await;
    let stage = started(&node, "", &[&lines]).await;
    let (mut a, mut b, mut c) = (account(0), account(1), account(2));
    let (cancelled, old, new) = (transfer(&mut a), transfer(&mut b), transfer(&mut b));
    let (half, other_half) = (transfer(&mut c), transfer(&mut c));
    let bundle =
        |txs: Value, name: &str| json!([{"txs": txs, "blockNumber": "0x2", "replacementUuid": name}]);
    let cancelled_hash = hash_of(&send(&stage, "eth_sendBundle", bundle(json!([cancelled]), "c")).await);
    send(&stage, "eth_cancelBundle", json!([{"replacementUuid": "c"}])).await;
    let old_hash = hash_of(&send(&stage, "eth_sendBundle", bundle(json!([old]), "r")).await);
    let new_hash = hash_of(&send(&stage, "eth_sendBundle", bundle(json!([new]), "r")).await);
    let halves = bundle(json!([half, other_half]), "h");
    let partly_hash = hash_of(&send(&stage, "eth_sendBundle", halves).await);
    node.mine(&[&raw(&cancelled), &raw(&old), &raw(&half)], MINER);
    let landed = state(&stage, &cancelled_hash, "included").await;
    assert_eq!(landed["reason"], "taken back, and landed all the same");
    let landed = state(&stage, &old_hash, "included").await;
    assert!(landed["reason"].as_str().unwrap().starts_with("replaced by number"), "{landed}");
    state(&stage, &new_hash, "missed").await;
    state(&stage, &partly_hash, "partly_included").await;
    node.mine(&[], MINER);
    node.finalize(2);
    // Each sent 5 wei and paid for 21,000 gas: 1 gwei burnt, 1 gwei tip.
    let cost = 21_000 * 2 * GWEI + 5;
    for hash in [&cancelled_hash, &old_hash, &partly_hash] {
        let booked = fate(&stage, hash, "final", |bundle| bundle["is_final"] == true).await;
        assert_eq!(booked["profit_wei"], format!("-{cost}"), "{booked}");
        assert_eq!(booked["paid_to_builder_wei"], (21_000 * GWEI).to_string());
    }
    let missed = fate(&stage, &new_hash, "final", |bundle| bundle["is_final"] == true).await;
    assert_eq!(missed["profit_wei"], Value::Null);
    let totals = stage.ops_json("/api/v1/bundles").await;
    assert_eq!((&totals["included"], &totals["profit_wei"]), (&json!(2), &json!(format!("-{}", 3 * cost))));
}

/// A node that has pruned a block's receipts never tells them: the bundles in that block are found all the same, and those after it are sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_block_without_receipts_holds_up_no_bundle_after_it() {
    let node = chain().await;
    let (titan, lines) = builder("titan", "max_requests_per_second = 0").await;
    let stage = started(&node, "simulate = false", &[&lines]).await;
    let (mut a, mut b) = (account(0), account(1));
    let (first, second) = (transfer(&mut a), transfer(&mut b));
    let asked = |tx: &str, last: &str| json!([{"txs": [tx], "blockNumber": "0x2", "maxBlockNumber": last}]);
    let first_hash = hash_of(&send(&stage, "eth_sendBundle", asked(&first, "0x2")).await);
    let second_hash = hash_of(&send(&stage, "eth_sendBundle", asked(&second, "0x3")).await);
    node.refuse(&["debug_traceBlockByHash", "eth_getBalance", "eth_getBlockReceipts"]);
    node.mine(&[&raw(&first)], MINER);
    state(&stage, &first_hash, "included").await;
    eventually("the request for the next block", async || {
        blocks_of(&titan, &second).contains(&"0x3".to_owned()).then_some(())
    })
    .await;
    node.mine(&[&raw(&second)], MINER);
    state(&stage, &second_hash, "included").await;
    node.finalize(3);
    for hash in [&first_hash, &second_hash] {
        let booked = fate(&stage, hash, "final", |bundle| bundle["is_final"] == true).await;
        assert_eq!(booked["profit_wei"], Value::Null, "{booked}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn decided_bundles_make_room_at_once_and_come_back_when_the_chain_does() {
    let node = chain().await;
    let (titan, lines) = builder("titan", "max_requests_per_second = 0").await;
    let mut stage = started(&node, "max_open_per_searcher = 3\nsimulate = false", &[&lines]).await;
    let mut user = account(0);
    let txs: Vec<String> = (0..8).map(|_| transfer(&mut user)).collect();
    let until = |tx: &str, last: &str| json!([{"txs": [tx], "blockNumber": "0x2", "maxBlockNumber": last}]);
    let long = hash_of(&send(&stage, "eth_sendBundle", until(&txs[0], "0x8")).await);
    for tx in &txs[1..3] {
        hash_of(&send(&stage, "eth_sendBundle", until(tx, "0x2")).await);
    }
    let full = send(&stage, "eth_sendBundle", until(&txs[3], "0x2")).await;
    assert!(full["error"]["message"].as_str().unwrap().contains("bundles.max_open_per_searcher"), "{full}");
    // Nothing is final for long, and there is room all the same.
    node.mine(&[&raw(&txs[0])], MINER);
    state(&stage, &long, "included").await;
    for (tx, next) in txs[4..7].iter().zip(["0x3", "0x3", "0x3"]) {
        hash_of(&send(&stage, "eth_sendBundle", json!([{"txs": [tx], "blockNumber": next}])).await);
    }
    // The block leaves the chain: the bundle is open again, and sent for the next one.
    node.roll_back(1);
    node.mine(&[], MINER);
    state(&stage, &long, "pending").await;
    eventually("the request for the next block", async || {
        blocks_of(&titan, &txs[0]).contains(&"0x3".to_owned()).then_some(())
    })
    .await;
    node.mine(&[&raw(&txs[0])], MINER);
    let found = state(&stage, &long, "included").await;
    assert_eq!(found["block_number"], 3);
    // The same while the process is away.
    stage.kill();
    node.roll_back(1);
    node.mine(&[], MINER);
    stage.start_again().await;
    state(&stage, &long, "pending").await;
    node.mine(&[&raw(&txs[0])], MINER);
    let found = state(&stage, &long, "included").await;
    assert_eq!((&found["block_number"], &found["is_final"]), (&json!(4), &json!(false)));
    node.finalize(4);
    let booked = fate(&stage, &long, "final", |bundle| bundle["is_final"] == true).await;
    assert!(booked["profit_wei"].as_str().unwrap().starts_with('-'), "{booked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_ledger_refuses_for_a_while_is_not_lost() {
    let node = chain().await;
    let (_titan, lines) = builder("titan", "max_requests_per_second = 0").await;
    let stage = started(&node, "simulate = false", &[&lines]).await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(stage.data_dir().join("ledger.db"));
    let mut holder = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut holder).await.unwrap();
    let tx = transfer(&mut account(0));
    let hash = hash_of(&send(&stage, "eth_sendBundle", json!([{"txs": [tx], "blockNumber": "0x2"}])).await);
    node.mine(&[&raw(&tx)], MINER);
    // Longer than the database's own patience with a lock: the batch is refused, and kept.
    eventually("the log to say that the ledger refuses", async || {
        stage.log().contains("the ledger does not take what happens to bundles").then_some(())
    })
    .await;
    sqlx::query("ROLLBACK").execute(&mut holder).await.unwrap();
    let found = state(&stage, &hash, "included").await;
    assert_eq!(found["sends"][0]["outcome"], "accepted", "{found}");
}
