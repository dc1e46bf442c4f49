//! Registrations.

use relaymux::{
    consensus::{Encoding, visit_json, visit_ssz},
    sim::SimProposer,
};
use ssz::Encode;

use crate::stage::{Stage, assert_error, eventually, honest, stage};

fn bodies(stage: &Stage, validators: u8) -> (Vec<u8>, Vec<u8>) {
    let proposer =
        SimProposer::new(stage.spec.clone(), String::new(), stage.http.clone(), validators, Encoding::Json);
    let list = proposer.registrations(60_000_000, 1_700_000_000);
    (serde_json::to_vec(&list).unwrap(), list.iter().flat_map(Encode::as_ssz_bytes).collect())
}

fn post(stage: &Stage, content_type: &str, body: Vec<u8>) -> reqwest::RequestBuilder {
    stage
        .http
        .post(format!("{}/eth/v1/builder/validators", stage.builder))
        .header("content-type", content_type)
        .body(body)
}

/// [R1] Bytes and content type arrive as they were sent, once at each relay.
#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_passed_on_unchanged() {
    let stage = stage().relay(honest()).relay(honest()).start().await;
    let (json, ssz) = bodies(&stage, 3);
    // White space and key order of the client's must survive.
    let json = String::from_utf8(json).unwrap().replace("{\"message\"", "{  \"message\"").into_bytes();
    for (content_type, body) in [("application/json", json), ("application/octet-stream", ssz)] {
        stage.relays.iter().for_each(|relay| relay.forget());
        let response = post(&stage, content_type, body.clone()).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(response.bytes().await.unwrap().is_empty());
        for relay in &stage.relays {
            let got =
                eventually("each relay to get it", async || relay.received("validators").first().cloned())
                    .await;
            assert_eq!(got.body, body);
            assert_eq!(got.headers["content-type"], content_type);
            assert_eq!(relay.received("validators").len(), 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_headers_of_the_spec_are_passed_on() {
    let stage = stage().relay(honest()).start().await;
    let (json, _) = bodies(&stage, 1);
    let request = post(&stage, "application/json; charset=utf-8", json)
        .header("authorization", "Bearer hidden")
        .header("cookie", "a=b")
        .header("user-agent", "teku/v26");
    assert_eq!(request.send().await.unwrap().status(), 200);
    let got = stage.relays[0].received("validators")[0].clone();
    assert!(!got.headers.contains_key("authorization") && !got.headers.contains_key("cookie"));
    assert_eq!(
        got.headers["user-agent"],
        format!("relaymux/{} teku/v26", env!("CARGO_PKG_VERSION")).as_str()
    );
}
/// [R2]
#[tokio::test(flavor = "multi_thread")]
async fn one_relay_is_enough_and_none_is_502() {
    for (first, second, status) in [(200, 400, 200), (400, 200, 200), (400, 403, 502)] {
        let stage = stage()
            .relay(honest().register_status(first))
            .relay(honest().register_status(second))
            .start()
            .await;
        let (json, _) = bodies(&stage, 1);
        let response = post(&stage, "application/json", json).send().await.unwrap();
        if status == 200 {
            assert_eq!(response.status(), 200);
        } else {
            let why = assert_error(response, 502).await;
            assert!(why.contains("r0: HTTP 400") && why.contains("r1: HTTP 403"), "{why}");
        }
    }
}

/// [R3] A slow relay holds nobody up, and a lone slow one ends at the deadline.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_relay_does_not_delay_the_first_success() {
    let slow = honest().register_delay(std::time::Duration::from_secs(60));
    let both = stage().relay(slow.clone()).relay(honest()).start().await;
    let (json, _) = bodies(&both, 1);
    assert_eq!(post(&both, "application/json", json.clone()).send().await.unwrap().status(), 200);
    let alone = stage().auction("timeout_register_validator_ms = 200").relay(slow).start().await;
    let why = assert_error(post(&alone, "application/json", json).send().await.unwrap(), 502).await;
    assert!(why.contains("no answer in time"), "{why}");
}

/// [R4] 5xx is repeated, 4xx (429 included) is not.
#[tokio::test(flavor = "multi_thread")]
async fn only_server_errors_are_repeated() {
    let patient = stage().relay(honest().register_failures(2)).start().await;
    let (json, _) = bodies(&patient, 1);
    assert_eq!(post(&patient, "application/json", json.clone()).send().await.unwrap().status(), 200);
    assert_eq!(patient.relays[0].received("validators").len(), 3);
    for status in [400, 401, 409, 429] {
        let stage = stage().relay(honest().register_status(status)).start().await;
        assert_error(post(&stage, "application/json", json.clone()).send().await.unwrap(), 502).await;
        assert_eq!(stage.relays[0].received("validators").len(), 1, "{status}");
    }
}

/// In the background, too: the relay that was down gets the registrations after the client has its 200.
#[tokio::test(flavor = "multi_thread")]
async fn the_rest_goes_on_in_the_background() {
    let stage = stage().relay(honest()).relay(honest().register_failures(2)).start().await;
    let (json, _) = bodies(&stage, 2);
    assert_eq!(post(&stage, "application/json", json).send().await.unwrap().status(), 200);
    eventually("the second relay to know both", async || {
        (stage.relays[1].registered().len() == 2).then_some(())
    })
    .await;
}

/// [R5] A relay that takes JSON only gets JSON, learned once.
#[tokio::test(flavor = "multi_thread")]
async fn ssz_is_converted_for_relays_that_refuse_it() {
    let stage = stage().relay(honest().refuses_ssz_registrations(true)).start().await;
    let (_, ssz) = bodies(&stage, 3);
    for calls in [2, 1] {
        stage.relays[0].forget();
        assert_eq!(post(&stage, "application/octet-stream", ssz.clone()).send().await.unwrap().status(), 200);
        let got = stage.relays[0].received("validators");
        assert_eq!(got.len(), calls);
        let last = got.last().unwrap();
        assert_eq!(last.headers["content-type"], "application/json");
        let mut seen = Vec::new();
        visit_json(&last.body, |signed| seen.push(signed.clone())).unwrap();
        let mut sent = Vec::new();
        visit_ssz(&ssz, |signed| sent.push(signed.clone())).unwrap();
        assert_eq!(seen, sent);
    }
}

/// [R5] A relay that wants smaller bodies gets them, cut between items: by configuration and by its own 413.
#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_are_cut_for_relays_that_want_it() {
    let by_config = stage().relay(honest()).relay_keys("max_registrations_per_request = 4").start().await;
    let by_refusal = stage().relay(honest().max_registrations(3)).start().await;
    for (stage, sizes) in [(&by_config, vec![4, 4, 2]), (&by_refusal, vec![2, 2, 2, 2, 2])] {
        let (json, ssz) = bodies(stage, 10);
        for (content_type, body) in [("application/json", json), ("application/octet-stream", ssz)] {
            stage.relays[0].forget();
            assert_eq!(post(stage, content_type, body).send().await.unwrap().status(), 200);
            let got = stage.relays[0].received("validators");
            let counts: Vec<usize> = got
                .iter()
                .map(|request| match content_type {
                    "application/json" => visit_json(&request.body, |_| ()).unwrap(),
                    _ => visit_ssz(&request.body, |_| ()).unwrap(),
                })
                .collect();
            assert!(counts.ends_with(&sizes), "{counts:?}");
        }
        assert_eq!(stage.relays[0].registered().len(), 10);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_registrations_pass() {
    let stage = stage().auction("timeout_register_validator_ms = 60000").relay(honest()).start().await;
    let (json, _) = bodies(&stage, 10);
    let items = String::from_utf8(json).unwrap();
    let body = format!("[{}]", vec![&items[1..items.len() - 1]; 10_000].join(","));
    let length = body.len();
    let response = post(&stage, "application/json", body.into_bytes()).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(stage.relays[0].received("validators")[0].body.len(), length);
}

/// [R6]
#[tokio::test(flavor = "multi_thread")]
async fn bad_bodies_are_refused_and_reach_nobody() {
    let stage = stage().relay(honest()).start().await;
    let (json, ssz) = bodies(&stage, 2);
    for (content_type, body, status) in [
        ("application/json", b"{}".to_vec(), 400),
        ("application/json", json[..json.len() - 2].to_vec(), 400),
        ("application/json", ssz.clone(), 400),
        ("application/octet-stream", ssz[1..].to_vec(), 400),
        ("text/plain", json.clone(), 415),
        ("application/x-www-form-urlencoded", json.clone(), 415),
    ] {
        assert_error(post(&stage, content_type, body).send().await.unwrap(), status).await;
    }
    let zipped = post(&stage, "application/json", json.clone()).header("content-encoding", "gzip");
    assert_error(zipped.send().await.unwrap(), 415).await;
    assert!(stage.relays[0].received("validators").is_empty());
    // Without a content type it is JSON.
    let bare = stage.http.post(format!("{}/eth/v1/builder/validators", stage.builder)).body(json);
    assert_eq!(bare.send().await.unwrap().status(), 200);
}

/// [R6]
#[tokio::test(flavor = "multi_thread")]
async fn a_body_above_the_limit_is_413() {
    let stage = stage()
        .builder_api("max_registrations_bytes = 1000\nrelay_check = false")
        .relay(honest())
        .start()
        .await;
    let (json, _) = bodies(&stage, 10);
    assert_error(post(&stage, "application/json", json.clone()).send().await.unwrap(), 413).await;
    // Without an announced length, too.
    let chunks = futures_util::stream::iter(
        json.chunks(500).map(|c| Ok::<_, std::io::Error>(c.to_vec())).collect::<Vec<_>>(),
    );
    let request = stage
        .http
        .post(format!("{}/eth/v1/builder/validators", stage.builder))
        .header("content-type", "application/json")
        .body(reqwest::Body::wrap_stream(chunks));
    assert_error(request.send().await.unwrap(), 413).await;
    assert!(stage.relays[0].received("validators").is_empty());
}
