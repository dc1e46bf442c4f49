//! How a signed block reaches the relays: whose answer counts, dead connections, relays that are gone, blocks that we cannot read, and
//! blocks that come twice.

use std::time::Duration;

use alloy_primitives::B256;
use relaymux::{
    consensus::Encoding,
    sim::{HeaderFault, PayloadFault, UNREADABLE_PAYLOAD},
};
use serde_json::{Value, json};

use crate::stage::{PARENT, Stage, eventually, honest, milli, stage};

const V1: &str = "blinded_blocks_v1";
const V2: &str = "blinded_blocks_v2";

fn bystander(payload: PayloadFault) -> relaymux::sim::Behaviour {
    honest().builder(9).header(HeaderFault::NoBid).payload(payload)
}

fn answer<'a>(submission: &'a Value, relay: &str) -> &'a Value {
    let answers = submission["answers"].as_array().unwrap();
    answers.iter().find(|answer| answer["relay"] == relay).unwrap()
}

async fn metric(stage: &Stage, name: &str) -> String {
    let text = stage.http.get(format!("{}/metrics", stage.ops)).send().await.unwrap().text().await.unwrap();
    let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
    line.and_then(|line| line.split(' ').nth(1)).unwrap_or("absent").to_owned()
}

/// [B15] A relay that never offered the block says 2xx at once (a maintenance page is enough): the holder is still asked until it takes it,
/// and the other earns nothing by it.
#[tokio::test(flavor = "multi_thread")]
async fn a_bystanders_success_settles_nothing() {
    for status in [200, 202] {
        let stage = stage()
            .relay(honest().payload(PayloadFault::StatusFirst(503, 2)))
            .relay(bystander(PayloadFault::Status(status)))
            .start()
            .await;
        let slot = stage.slot();
        assert_eq!(stage.reveal(2, Encoding::Ssz).await.0, 202);
        assert_eq!(stage.relays[0].received(V2).len(), 3, "the holder is asked until it takes the block");
        let submission = stage.submission(slot, |s| s["answers"].as_array().unwrap().len() == 2).await;
        assert_eq!((&submission["fate"], &submission["decided_by"]), (&json!("accepted"), &json!("r0")));
        let said = answer(&submission, "r1");
        assert_eq!((&said["outcome"], &said["http_status"]), (&json!("accepted"), &json!(status)));
        assert!(said["detail"].as_str().unwrap().contains("not believed"), "{said}");
        let relays = stage.ops_json("/api/v1/relays").await;
        let deliveries =
            |n: usize| relays[n]["stats"]["deliveries"].as_i64().or(relays[n]["deliveries"].as_i64());
        assert_eq!((deliveries(0), deliveries(1)), (Some(1), Some(0)), "{relays}");
    }
}

/// [B15] All that could have the block fail for good: that a stranger says 202 does not make the slot look saved.
#[tokio::test(flavor = "multi_thread")]
async fn a_bystanders_success_does_not_hide_the_offerers_failure() {
    let stage = stage()
        .relay(honest().payload(PayloadFault::Withholds))
        .relay(bystander(PayloadFault::Status(202)))
        .start()
        .await;
    let slot = stage.slot();
    let (status, body) = stage.reveal(2, Encoding::Ssz).await;
    let words = String::from_utf8_lossy(&body).into_owned();
    assert_eq!(status, 502, "{words}");
    assert!(words.contains("r0: ") && words.contains("r1: took the block; not believed"), "{words}");
    assert_eq!(stage.submission(slot, |s| s["fate"] != "pending").await["fate"], "failed");
}

/// v2 has 202, and 200 is tolerated; nothing else is a success.
#[tokio::test(flavor = "multi_thread")]
async fn only_202_and_200_are_successes_of_v2() {
    for (status, want) in [(200, 202), (202, 202), (201, 502), (204, 502), (206, 502)] {
        let stage = stage()
            .auction("timeout_get_payload_ms = 400")
            .relay(honest().payload(PayloadFault::Status(status)))
            .start()
            .await;
        let slot = stage.slot();
        assert_eq!(stage.reveal(2, Encoding::Ssz).await.0, want, "{status}");
        if want == 502 {
            let submission = stage.submission(slot, |s| s["answers"].get(0).is_some()).await;
            let said = answer(&submission, "r0");
            assert_eq!((&said["outcome"], &said["http_status"]), (&json!("http_status"), &json!(status)));
        }
    }
}

/// The connection that brought the header is dead when the block goes out: a second one brings it long before the time is over.
#[tokio::test(flavor = "multi_thread")]
async fn a_black_holed_connection_does_not_eat_the_time_there_is() {
    for (version, want) in [(1, 200), (2, 202)] {
        let stage = stage().relay(honest().payload(PayloadFault::DeadConnection)).start().await;
        let slot = stage.slot();
        assert_eq!(stage.reveal(version, Encoding::Ssz).await.0, want, "{}", stage.log());
        let submission = stage.submission(slot, |s| s["answers"].get(0).is_some()).await;
        assert_eq!(answer(&submission, "r0")["attempts"], 2);
    }
}

/// A relay that thinks for longer than the silence is asked twice, and its first answer counts.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_relay_is_no_dead_connection() {
    let stage = stage().relay(honest().payload_delay(Duration::from_millis(1500))).start().await;
    let slot = stage.slot();
    assert_eq!(stage.reveal(1, Encoding::Ssz).await.0, 200);
    let submission = stage.submission(slot, |s| s["answers"].get(0).is_some()).await;
    assert_eq!(submission["fate"], "delivered");
}

/// Between header and block the operator takes the relay out of the configuration, or disables it: it still gets its block.
#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_gone_still_gets_the_block_it_offered() {
    for change in ["removed", "disabled", "disabled by hand"] {
        let stage = stage()
            .relay(honest().value(milli(90)))
            .relay(honest().builder(1).value(milli(10)))
            .start()
            .await;
        let slot = stage.slot();
        let bid = stage.header_at(slot).await.unwrap();
        assert_eq!(stage.relay_of(&bid), 0);
        let config = stage.config();
        let at = config.find("[[relays]]\nid = \"r0\"").unwrap();
        let next = config.find("[[relays]]\nid = \"r1\"").unwrap();
        match change {
            "removed" => stage.write_config(&format!("{}{}", &config[..at], &config[next..])),
            "disabled" => {
                let disabled = config.replace("id = \"r0\"", "id = \"r0\"\nenabled = false");
                stage.write_config(&disabled);
            }
            _ => {
                let token = std::fs::read_to_string(stage.data_dir().join("admin.token")).unwrap();
                let url = format!("{}/api/v1/relays/r0/disable", stage.ops);
                let answer = stage.http.post(url).bearer_auth(token.trim()).send().await.unwrap();
                assert!(answer.status().is_success());
            }
        }
        stage.signal("HUP");
        eventually("the relay to be gone", async || {
            let relays = stage.ops_json("/api/v1/relays").await;
            let relays = relays.as_array().unwrap();
            let is_gone = relays.iter().all(|relay| relay["id"] != "r0" || relay["state"] == "disabled");
            is_gone.then_some(())
        })
        .await;
        let body = stage.signed_block(slot, &bid, Encoding::Ssz);
        assert_eq!(
            stage.submit_request(2, Encoding::Ssz, body).send().await.unwrap().status(),
            202,
            "{change}"
        );
        assert_eq!(stage.relays[0].received(V2).len(), 1, "{change}");
    }
}

/// A relay gets v2 and drops v1 within the hour: found within the same submission.
#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_moved_to_v2_is_found() {
    let stage = stage().relay(honest().lacks_v2(true)).start().await;
    assert_eq!(stage.reveal(2, Encoding::Ssz).await.0, 202);
    assert_eq!(stage.relays[0].received(V1).len(), 1);
    stage.relays[0].forget();
    stage.relays[0].behave(|relay| relay.lacks_v2(false).lacks_v1(true).builder(1));
    assert_eq!(stage.reveal(2, Encoding::Ssz).await.0, 202);
    let calls = (stage.relays[0].received(V1).len(), stage.relays[0].received(V2).len());
    assert_eq!(calls, (1, 1));
}

/// A 404 on both says nothing about v2: it is tried first the next time.
#[tokio::test(flavor = "multi_thread")]
async fn a_404_on_both_versions_is_not_remembered() {
    let stage = stage().relay(honest().lacks_v2(true).lacks_v1(true)).start().await;
    assert_eq!(stage.reveal(2, Encoding::Ssz).await.0, 502);
    let calls = (stage.relays[0].received(V1).len(), stage.relays[0].received(V2).len());
    assert_eq!(calls, (1, 1));
    stage.relays[0].forget();
    stage.relays[0].behave(|relay| relay.lacks_v2(false).lacks_v1(false));
    assert_eq!(stage.reveal(2, Encoding::Ssz).await.0, 202);
    assert!(stage.relays[0].received(V1).is_empty());
}

/// A signed block that does not decode here: JSON with a graffiti too short, SSZ with a byte too many.
fn unreadable(block: &[u8], encoding: Encoding) -> Vec<u8> {
    match encoding {
        Encoding::Ssz => [block, &[7]].concat(),
        Encoding::Json => {
            let mut json: Value = serde_json::from_slice(block).unwrap();
            json["message"]["body"]["graffiti"] = json!("0x1234");
            serde_json::to_vec(&json).unwrap()
        }
    }
}

/// [B14] What our decoder refuses goes to the relays as it came, under v1 the answer comes back as it came, and the record says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_does_not_decode_is_passed_on_as_it_came() {
    for encoding in [Encoding::Json, Encoding::Ssz] {
        for version in [1, 2] {
            let stage = stage()
                .relay(honest().value(milli(90)).takes_anything(true))
                .relay(bystander(PayloadFault::Status(202)))
                .start()
                .await;
            let slot = stage.slot();
            let bid = stage.header_at(slot).await.unwrap();
            let body = unreadable(&stage.signed_block(slot, &bid, encoding), encoding);
            let response = stage.submit_request(version, encoding, body.clone()).send().await.unwrap();
            assert_eq!(response.status(), if version == 1 { 200 } else { 202 }, "{}", stage.log());
            if version == 1 {
                assert_eq!(response.headers()["content-type"], encoding.mime());
                assert_eq!(response.headers()["eth-consensus-version"], "fulu");
                assert_eq!(response.bytes().await.unwrap(), UNREADABLE_PAYLOAD);
            }
            for relay in &stage.relays {
                let endpoint = if version == 1 { V1 } else { V2 };
                let got = eventually("the block", async || relay.received(endpoint).first().cloned()).await;
                assert_eq!(got.body, body);
                assert_eq!(got.headers["content-type"], encoding.mime());
                assert_eq!(got.headers["eth-consensus-version"], "fulu");
            }
            let submission = stage.submission(slot, |s| s["answers"].as_array().unwrap().len() == 2).await;
            assert_eq!(submission["offered_by"], json!(["r0"]), "found by the block hash or the slot");
            assert_eq!(submission["block_hash"], bid.facts().block_hash.to_string());
            assert!(submission["undecoded"].as_str().unwrap().contains("not valid"), "{submission}");
            assert_eq!(submission["decided_by"], "r0");
            let outcome = if version == 1 { "payload_unchecked" } else { "accepted" };
            assert_eq!(answer(&submission, "r0")["outcome"], outcome);
            assert_eq!(metric(&stage, "relaymux_undecoded_blocks_total").await, "1");
            assert!(stage.log().contains("cannot be decoded and is passed on"), "{}", stage.log());
        }
    }
}

/// No relay takes it: the client is told so, and a decodable block says nothing of the kind.
#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_nobody_can_read_is_502() {
    let stage = stage().relay(honest()).start().await;
    let slot = stage.slot();
    let bid = stage.header_at(slot).await.unwrap();
    let block = stage.signed_block(slot, &bid, Encoding::Json);
    let body = unreadable(&block, Encoding::Json);
    assert_eq!(stage.submit_request(2, Encoding::Json, body).send().await.unwrap().status(), 502);
    // The decodable block is the same block: no alarm, and it goes out.
    assert_eq!(stage.submit_request(2, Encoding::Json, block).send().await.unwrap().status(), 202);
    assert_eq!(metric(&stage, "relaymux_conflicting_blocks_total").await, "0");
}

/// A block under another fork's label that is its slot's fork all the same is what it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_mislabelled_block_is_read_by_its_slot() {
    let stage = stage().relay(honest()).start().await;
    let slot = stage.slot();
    let bid = stage.header_at(slot).await.unwrap();
    let body = stage.signed_block(slot, &bid, Encoding::Ssz);
    let request = stage
        .http
        .post(format!("{}/eth/v2/builder/blinded_blocks", stage.builder))
        .header("content-type", "application/octet-stream")
        .header("eth-consensus-version", "capella")
        .body(body);
    assert_eq!(request.send().await.unwrap().status(), 202);
    assert_eq!(stage.relays[0].received(V2)[0].headers["eth-consensus-version"], "fulu");
}

/// `kill -9` with a block in flight that does not decode: it goes out again as it came.
#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_does_not_decode_survives_kill_9() {
    let mut stage = stage().relay(honest().payload(PayloadFault::Hangs).takes_anything(true)).start().await;
    let slot = stage.slot();
    let bid = stage.header_at(slot).await.unwrap();
    let body = unreadable(&stage.signed_block(slot, &bid, Encoding::Json), Encoding::Json);
    let client = tokio::spawn(stage.submit_request(2, Encoding::Json, body.clone()).send());
    eventually("the relay to have the block", async || stage.relays[0].received(V2).first().cloned()).await;
    stage.kill();
    assert!(client.await.unwrap().is_err());
    stage.relays[0].forget();
    stage.relays[0].behave(|b| b.payload(PayloadFault::None));
    stage.start_again().await;
    let submission = stage.submission(slot, |s| s["fate"] != "pending").await;
    assert_eq!((&submission["fate"], &submission["decided_by"]), (&json!("accepted"), &json!("r0")));
    assert!(submission["undecoded"].is_string(), "{submission}");
    let got = &stage.relays[0].received(V2)[0];
    assert_eq!(
        (&got.body[..], &got.headers["content-type"]),
        (&body[..], &"application/json".parse().unwrap())
    );
}

/// [B16] The same block again, in either encoding: one submission, one answer each.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_block_twice_is_one_submission() {
    let stage = stage().relay(honest().payload_delay(Duration::from_millis(300))).start().await;
    let slot = stage.slot();
    let bid = stage.header_at(slot).await.unwrap();
    let submit =
        |encoding| stage.submit_request(2, encoding, stage.signed_block(slot, &bid, encoding)).send();
    let (one, other) = tokio::join!(submit(Encoding::Ssz), submit(Encoding::Json));
    assert_eq!((one.unwrap().status().as_u16(), other.unwrap().status().as_u16()), (202, 202));
    assert_eq!(submit(Encoding::Ssz).await.unwrap().status(), 202);
    assert_eq!(stage.relays[0].received(V2).len(), 1);
    // v1 still needs its payload, once.
    for _ in 0..2 {
        let body = stage.signed_block(slot, &bid, Encoding::Ssz);
        let response = stage.submit_request(1, Encoding::Ssz, body).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(!response.bytes().await.unwrap().is_empty());
    }
    assert_eq!(stage.relays[0].received(V1).len(), 1);
    assert_eq!(metric(&stage, "relaymux_repeated_blocks_total").await, "3");
    assert_eq!(metric(&stage, "relaymux_conflicting_blocks_total").await, "0");
}

/// A failure is no answer for the next try: the block goes out again.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_submission_is_tried_again() {
    let stage = stage().relay(honest().payload(PayloadFault::Status(400))).start().await;
    let slot = stage.slot();
    let bid = stage.header_at(slot).await.unwrap();
    let submit = || {
        let body = stage.signed_block(slot, &bid, Encoding::Ssz);
        stage.submit_request(2, Encoding::Ssz, body).send()
    };
    assert_eq!(submit().await.unwrap().status(), 502);
    stage.relays[0].behave(|relay| relay.payload(PayloadFault::None));
    assert_eq!(submit().await.unwrap().status(), 202);
    assert_eq!(stage.relays[0].received(V2).len(), 2);
}

/// [B17] Two blocks of one proposer for one slot: an alarm, and both go.
#[tokio::test(flavor = "multi_thread")]
async fn another_block_for_the_slot_is_an_alarm_and_still_goes() {
    let stage = stage().relay(honest()).start().await;
    let slot = stage.slot();
    for parent in [PARENT, B256::repeat_byte(0x22)] {
        // On another parent, as after a reorganisation: on the same one the client gets the same bid again.
        let bid = stage.proposer(Encoding::Ssz).get_header(slot, parent, Duration::from_secs(20)).await;
        let bid = bid.unwrap().unwrap();
        let body = stage.signed_block(slot, &bid, Encoding::Ssz);
        assert_eq!(stage.submit_request(2, Encoding::Ssz, body).send().await.unwrap().status(), 202);
    }
    assert_eq!(stage.relays[0].received(V2).len(), 2);
    assert_eq!(metric(&stage, "relaymux_conflicting_blocks_total").await, "1");
    assert!(stage.log().contains("a second, different block of one proposer"), "{}", stage.log());
}
