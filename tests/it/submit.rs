//! The reveal of signed blocks.

use std::time::Duration;

use relaymux::{
    consensus::{Encoding, RevealedPayload},
    sim::{HeaderFault, PayloadFault, sign_block},
    types::Fork,
};

use crate::stage::{PARENT, Stage, assert_error, eventually, honest, milli, stage};

const V1: &str = "blinded_blocks_v1";
const V2: &str = "blinded_blocks_v2";

/// [B1] v1 and v2, every fork, both encodings, with blobs.
#[tokio::test(flavor = "multi_thread")]
async fn every_fork_is_revealed_in_every_encoding() {
    for fork in Fork::CLASSIC {
        let stage = stage().fork(fork).relay(honest().blobs(2)).start().await;
        for encoding in [Encoding::Json, Encoding::Ssz] {
            let slot = stage.slot();
            let bid = stage.header_at(slot).await.unwrap();
            let block = sign_block(&stage.spec, slot, &bid).unwrap();
            let response = stage.submit_request(1, encoding, block.encode(encoding)).send().await.unwrap();
            assert_eq!(response.status(), 200, "{fork}");
            assert_eq!(response.headers()["content-type"], encoding.mime());
            assert_eq!(response.headers()["eth-consensus-version"], fork.name());
            let body = response.bytes().await.unwrap();
            let payload = RevealedPayload::decode(fork, stage.spec.preset, encoding, &body).unwrap();
            payload.check(block.facts()).unwrap();

            let response = stage.submit_request(2, encoding, block.encode(encoding)).send().await.unwrap();
            assert_eq!(response.status(), 202, "{fork}");
            assert!(response.bytes().await.unwrap().is_empty());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_minimal_preset_is_revealed_too() {
    let stage = stage().minimal().fork(Fork::Capella).relay(honest()).start().await;
    assert_eq!(stage.reveal(1, Encoding::Json).await.0, 200);
    assert_eq!(stage.reveal(1, Encoding::Ssz).await.0, 200);
}

/// [B2] The answer's encoding follows Accept, not the request's.
#[tokio::test(flavor = "multi_thread")]
async fn accept_decides_the_encoding_of_the_payload() {
    let stage = stage().fork(Fork::Deneb).relay(honest().json_only(true)).start().await;
    let slot = stage.slot();
    let bid = stage.header_at(slot).await.unwrap();
    for (sent, accept, got) in [
        (Encoding::Json, "application/octet-stream", Encoding::Ssz),
        (Encoding::Ssz, "application/json", Encoding::Json),
        (Encoding::Ssz, "application/octet-stream;q=0.5,application/json;q=0.9", Encoding::Json),
        (Encoding::Ssz, "*/*", Encoding::Json),
    ] {
        let request = stage
            .http
            .post(format!("{}/eth/v1/builder/blinded_blocks", stage.builder))
            .header("content-type", format!("{}; charset=utf-8", sent.mime()))
            .header("accept", accept)
            .header("eth-consensus-version", "deneb")
            .body(stage.signed_block(slot, &bid, sent));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], got.mime());
    }
}

/// [B5] All relays get the block; those that offered it are named; the others' refusals change nothing.
#[tokio::test(flavor = "multi_thread")]
async fn all_relays_get_the_block() {
    let stage = stage()
        .relay(honest().value(milli(90)).builder(1))
        .relay(honest().value(milli(10)).builder(2))
        .relay(honest().header(HeaderFault::NoBid))
        .start()
        .await;
    let slot = stage.slot();
    let bid = stage.header_at(slot).await.unwrap();
    let body = stage.signed_block(slot, &bid, Encoding::Ssz);
    assert_eq!(stage.submit_request(2, Encoding::Ssz, body.clone()).send().await.unwrap().status(), 202);
    for relay in &stage.relays {
        let got = eventually("each relay to get it", async || relay.received(V2).first().cloned()).await;
        assert_eq!(got.body, body);
        assert_eq!(got.headers["eth-consensus-version"], "fulu");
    }
    let submission = stage.submission(slot, |s| s["answers"].as_array().unwrap().len() == 3).await;
    assert_eq!(submission["fate"], "accepted");
    assert_eq!(submission["decided_by"], "r0");
    assert_eq!(submission["offered_by"], serde_json::json!(["r0"]));
    assert_eq!(submission["answers"][1]["outcome"], "http_status");
    assert_eq!(submission["answers"][1]["http_status"], 400);
    assert!(submission["answers"][1]["detail"].as_str().unwrap().contains("never seen"));
}

/// [B6] A payload that is not the one signed for is no answer; another relay's good one is.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_payload_is_502_alone_and_harmless_beside_a_right_one() {
    for fork in [Fork::Capella, Fork::Deneb, Fork::Fulu] {
        let vices = [
            (PayloadFault::Withholds, "http_status", Fork::Bellatrix),
            (PayloadFault::Garbage, "undecodable", Fork::Bellatrix),
            (PayloadFault::OtherBlock, "payload_mismatched", Fork::Bellatrix),
            (PayloadFault::OtherContents, "payload_mismatched", Fork::Bellatrix),
            (PayloadFault::MissingBlob, "payload_mismatched", Fork::Deneb),
            (PayloadFault::MissingProof, "payload_mismatched", Fork::Deneb),
            (PayloadFault::OtherCommitment, "payload_mismatched", Fork::Deneb),
            (PayloadFault::WrongVersion, "wrong_fork", Fork::Bellatrix),
            (PayloadFault::Redirect, "redirect", Fork::Bellatrix),
        ];
        for (fault, outcome, _) in vices.into_iter().filter(|(_, _, since)| fork >= *since) {
            let faulty = || honest().blobs(2).payload(fault);
            let stage = stage()
                .fork(fork)
                .auction("timeout_get_payload_ms = 1500")
                .relay(faulty())
                .relay(faulty())
                .start()
                .await;
            let slot = stage.slot();
            let bid = stage.header_at(slot).await.unwrap();
            let body = stage.signed_block(slot, &bid, Encoding::Ssz);
            let response = stage.submit_request(1, Encoding::Ssz, body.clone()).send().await.unwrap();
            let why = assert_error(response, 502).await;
            assert!(why.contains("r0: ") && why.contains("r1: "), "{fork} {fault:?}: {why}");
            let metrics =
                stage.http.get(format!("{}/metrics", stage.ops)).send().await.unwrap().text().await.unwrap();
            let counted = format!("relay=\"r0\",endpoint=\"submit_blinded_block\",outcome=\"{outcome}\"");
            assert!(metrics.contains(&counted), "{fork} {fault:?} is not counted as {outcome}");

            stage.relays[1].behave(|b| b.payload(PayloadFault::None));
            assert_eq!(
                stage.submit_request(1, Encoding::Ssz, body).send().await.unwrap().status(),
                200,
                "{fault:?}"
            );
        }
    }
}

/// A relay that bid a block hash which its block never had, and reveals that very block: field by field it is what was signed for,
/// and the network would refuse it.
#[tokio::test(flavor = "multi_thread")]
async fn a_block_hash_that_was_false_from_the_start_is_found() {
    for fork in [Fork::Bellatrix, Fork::Capella, Fork::Deneb, Fork::Fulu] {
        let stage = stage().fork(fork).relay(honest().header(HeaderFault::FalseBlockHash)).start().await;
        let (status, body) = stage.reveal(1, Encoding::Ssz).await;
        assert_eq!(status, 502, "{fork}");
        let words = String::from_utf8_lossy(&body).into_owned();
        assert!(words.contains("contents do not hash to the block hash"), "{words}");
    }
}

/// [B8] The cap holds while the body streams.
#[tokio::test(flavor = "multi_thread")]
async fn a_payload_above_the_cap_is_502() {
    let stage = stage().fork(Fork::Capella).relay(honest().payload(PayloadFault::TooLarge)).start().await;
    let (status, body) = stage.reveal(1, Encoding::Ssz).await;
    assert_eq!(status, 502);
    assert!(String::from_utf8_lossy(&body).contains("larger than"), "{}", String::from_utf8_lossy(&body));
}

/// [B9] Server errors are repeated until the deadline.
#[tokio::test(flavor = "multi_thread")]
async fn server_errors_are_repeated_until_one_call_succeeds() {
    for (version, status) in [(1, 200), (2, 202)] {
        let stage = stage().relay(honest().payload(PayloadFault::StatusFirst(503, 2))).start().await;
        assert_eq!(stage.reveal(version, Encoding::Ssz).await.0, status);
        assert_eq!(stage.relays[0].received(if version == 1 { V1 } else { V2 }).len(), 3);
    }
}

/// [B10] 4xx are answers.
#[tokio::test(flavor = "multi_thread")]
async fn client_errors_are_not_repeated() {
    for status in [400, 401, 409, 429] {
        let stage = stage().relay(honest().payload(PayloadFault::Status(status))).start().await;
        assert_eq!(stage.reveal(2, Encoding::Ssz).await.0, 502);
        assert_eq!(stage.relays[0].received(V2).len(), 1, "{status}");
    }
}

/// All relays failing ends at the deadline, whatever they do.
#[tokio::test(flavor = "multi_thread")]
async fn hanging_relays_end_at_the_deadline() {
    let stage = stage()
        .auction("timeout_get_payload_ms = 300")
        .relay(honest().payload(PayloadFault::Hangs))
        .start()
        .await;
    let (status, body) = stage.reveal(2, Encoding::Ssz).await;
    assert_eq!(status, 502);
    assert!(String::from_utf8_lossy(&body).contains("no answer in time"));
}

/// [B11] A relay without v2 gets the block by v1, and the client its 202; known from then on.
#[tokio::test(flavor = "multi_thread")]
async fn v2_falls_back_to_v1_per_relay() {
    for encoding in [Encoding::Json, Encoding::Ssz] {
        let stage = stage().relay(honest().lacks_v2(true)).start().await;
        for (v2_calls, builder) in [(1, 1), (0, 2)] {
            stage.relays[0].forget();
            // Another block: the same one would not go out twice.
            stage.relays[0].behave(|b| b.builder(builder));
            let (status, body) = stage.reveal(2, encoding).await;
            assert_eq!((status, body.len()), (202, 0));
            assert_eq!(stage.relays[0].received(V2).len(), v2_calls);
            let v1 = &stage.relays[0].received(V1)[0];
            assert_eq!(v1.headers["content-type"], "application/octet-stream");
            assert_eq!(v1.headers["eth-consensus-version"], "fulu");
            assert!(v1.headers["accept"].to_str().unwrap().contains("application/json"));
        }
    }
    let mixed = stage()
        .relay(honest().lacks_v2(true).payload(PayloadFault::Status(500)))
        .relay(honest())
        .start()
        .await;
    assert_eq!(mixed.reveal(2, Encoding::Ssz).await.0, 202);
}

/// [B12] SSZ that is refused goes again as JSON, with the version header, and is remembered.
#[tokio::test(flavor = "multi_thread")]
async fn refused_ssz_goes_again_as_json() {
    for status in [406, 415] {
        for version in [1, 2] {
            let stage = stage().relay(honest().refuses_ssz_blocks(Some(status))).start().await;
            let endpoint = if version == 1 { V1 } else { V2 };
            for calls in [2, 1] {
                stage.relays[0].forget();
                // Another block: the same one would not go out twice.
                stage.relays[0].behave(|b| b.builder(calls));
                assert!(stage.reveal(version, Encoding::Ssz).await.0 < 300);
                let got = stage.relays[0].received(endpoint);
                assert_eq!(got.len(), usize::from(calls));
                let last = got.last().unwrap();
                assert_eq!(last.headers["content-type"], "application/json");
                assert_eq!(last.headers["eth-consensus-version"], "fulu");
            }
        }
    }
}

/// A relay that bids in JSON gets its block in JSON, whatever the client speaks.
#[tokio::test(flavor = "multi_thread")]
async fn a_block_goes_in_the_encoding_the_relay_spoke() {
    let stage = stage().relay(honest().json_only(true)).start().await;
    assert_eq!(stage.reveal(2, Encoding::Ssz).await.0, 202);
    assert_eq!(stage.relays[0].received(V2)[0].headers["content-type"], "application/json");
}

fn post(
    stage: &Stage,
    path: &str,
    content_type: Option<&str>,
    version: Option<&str>,
    body: Vec<u8>,
) -> reqwest::RequestBuilder {
    let mut request = stage.http.post(format!("{}{path}", stage.builder)).body(body);
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    if let Some(version) = version {
        request = request.header("eth-consensus-version", version);
    }
    request
}

/// [B13] Bad input is 400 or 415 in the API's shape and reaches nobody; JSON without a label is decoded by slot.
#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_and_reaches_nobody() {
    let stage = stage().relay(honest()).start().await;
    let slot = stage.slot();
    let bid = stage.header_at(slot).await.unwrap();
    let (json, ssz) =
        (stage.signed_block(slot, &bid, Encoding::Json), stage.signed_block(slot, &bid, Encoding::Ssz));
    for path in ["/eth/v1/builder/blinded_blocks", "/eth/v2/builder/blinded_blocks"] {
        for (content_type, version, body, status) in [
            (Some("application/json"), None, b"{}".to_vec(), 400),
            (Some("application/json"), None, Vec::new(), 400),
            (Some("application/json"), Some("fulu"), ssz.clone(), 400),
            (Some("application/octet-stream"), Some("fulu"), json.clone(), 400),
            (Some("application/octet-stream"), Some("fulu"), ssz[..300].to_vec(), 400),
            (Some("application/octet-stream"), Some("fulu"), Vec::new(), 400),
            (Some("application/octet-stream"), None, ssz.clone(), 400),
            (Some("application/octet-stream"), Some("altair"), ssz.clone(), 400),
            (Some("application/xml"), Some("fulu"), ssz.clone(), 415),
        ] {
            let request = post(&stage, path, content_type, version, body);
            assert_error(request.send().await.unwrap(), status).await;
        }
    }
    let unacceptable =
        post(&stage, "/eth/v1/builder/blinded_blocks", Some("application/json"), None, json.clone());
    assert_error(unacceptable.header("accept", "text/html").send().await.unwrap(), 406).await;
    assert!(stage.relays[0].received(V1).is_empty() && stage.relays[0].received(V2).is_empty());
    for content_type in [Some("application/json"), None] {
        let request = post(&stage, "/eth/v2/builder/blinded_blocks", content_type, None, json.clone());
        assert_eq!(request.send().await.unwrap().status(), 202);
    }
}

/// [B3] SSZ in, no Accept: JSON out.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_accept_means_json() {
    let stage = stage().relay(honest()).start().await;
    let slot = stage.slot();
    let bid = stage.header_at(slot).await.unwrap();
    let body = stage.signed_block(slot, &bid, Encoding::Ssz);
    let mime = Some("application/octet-stream");
    let request = post(&stage, "/eth/v1/builder/blinded_blocks", mime, Some("fulu"), body);
    let response = request.send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-type"]),
        (200, &"application/json".parse().unwrap())
    );
}

/// [B4] v2 has no body to negotiate.
#[tokio::test(flavor = "multi_thread")]
async fn v2_ignores_accept() {
    let stage = stage().relay(honest()).start().await;
    let slot = stage.slot();
    let bid = stage.header_at(slot).await.unwrap();
    let body = stage.signed_block(slot, &bid, Encoding::Json);
    let request =
        post(&stage, "/eth/v2/builder/blinded_blocks", Some("application/json"), Some("fulu"), body);
    assert_eq!(request.header("accept", "text/html").send().await.unwrap().status(), 202);
}

/// A block whose header another sidecar served goes to everybody (distributed validators do that).
#[tokio::test(flavor = "multi_thread")]
async fn a_block_of_an_unknown_header_is_submitted_all_the_same() {
    let stage = stage().relay(honest()).start().await;
    let slot = stage.slot();
    // Ask the relay behind the service's back.
    let url = stage
        .header_url(slot)
        .replace(&stage.builder, &format!("http://{}", stage.relays[0].url().split('@').nth(1).unwrap()));
    let answer = stage
        .http
        .get(url)
        .header("accept", "application/octet-stream")
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    let bid = relaymux::consensus::SignedBuilderBid::decode(Fork::Fulu, Encoding::Ssz, &answer).unwrap();
    let body = stage.signed_block(slot, &bid, Encoding::Ssz);
    assert_eq!(stage.submit_request(2, Encoding::Ssz, body).send().await.unwrap().status(), 202);
    let submission = stage.submission(slot, |s| s["answers"].get(0).is_some()).await;
    assert_eq!(submission["fate"], "accepted");
    assert_eq!(submission["offered_by"], serde_json::json!([]));
    assert_eq!(submission["answers"][0]["relay"], "r0");
}

/// The submission is not the client's to cancel.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_does_not_stop_the_submission() {
    let stage = stage().relay(honest().payload_delay(Duration::from_millis(400))).start().await;
    let slot = stage.slot();
    let bid = stage.header_at(slot).await.unwrap();
    let body = stage.signed_block(slot, &bid, Encoding::Ssz);
    let client = tokio::spawn(stage.submit_request(2, Encoding::Ssz, body).send());
    eventually("the relay to have the block", async || stage.relays[0].received(V2).first().cloned()).await;
    client.abort();
    assert!(client.await.unwrap_err().is_cancelled());
    let submission = stage.submission(slot, |s| s["fate"] != "pending").await;
    assert_eq!(submission["fate"], "accepted");
}

/// The other relays may be given the block later; never when nobody is known to have offered it.
#[tokio::test(flavor = "multi_thread")]
async fn others_get_the_block_after_the_configured_delay() {
    let stage = stage()
        .auction("submit_others_delay_ms = 1000")
        .relay(honest().value(milli(90)).builder(1).payload_delay(Duration::from_millis(1500)))
        .relay(honest().value(milli(10)).builder(2))
        .start()
        .await;
    assert_eq!(stage.reveal(2, Encoding::Ssz).await.0, 202);
    let (first, second) = (stage.relays[0].received(V2)[0].at, stage.relays[1].received(V2)[0].at);
    assert!(second - first >= 500, "{first} {second}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proposal_with_the_parent_of_a_real_client_passes() {
    let stage = stage().relay(honest()).start().await;
    let proposer = stage.proposer(Encoding::Ssz);
    proposer.register(60_000_000, 1_700_000_000).await.unwrap();
    proposer.propose(stage.slot(), PARENT, Duration::from_secs(20)).await.unwrap();
}
