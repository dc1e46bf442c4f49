//! `status` and the probes behind it.

use relaymux::sim::HeaderFault;

use crate::stage::{assert_error, eventually, honest, stage};

/// [S1] What status says when the probes found nobody, by choice.
#[tokio::test(flavor = "multi_thread")]
async fn status_without_usable_relays_is_the_operators_choice() {
    for (setting, status) in [("ok", 200), ("unavailable", 503)] {
        let stage = stage()
            .builder_api(&format!("status_without_relays = \"{setting}\""))
            .relay(honest().status(500))
            .relay(honest().status(302))
            .start()
            .await;
        eventually("both probes", async || {
            let relays = stage.ops_json("/api/v1/relays").await;
            relays.as_array().unwrap().iter().all(|relay| relay["usable"] == false).then_some(())
        })
        .await;
        let response =
            stage.http.get(format!("{}/eth/v1/builder/status", stage.builder)).send().await.unwrap();
        if status == 200 {
            assert_eq!(response.status(), 200);
            assert!(response.bytes().await.unwrap().is_empty());
        } else {
            assert_error(response, 503).await;
        }
        // Readiness is for people and load balancers: it says what is.
        let ready = stage.http.get(format!("{}/readyz", stage.ops)).send().await.unwrap();
        assert_eq!(ready.status(), 503);
        assert_eq!(stage.http.get(format!("{}/healthz", stage.ops)).send().await.unwrap().status(), 200);
    }
}

/// [S2] One relay up is enough; a redirect is no success and is not followed.
#[tokio::test(flavor = "multi_thread")]
async fn one_usable_relay_is_enough() {
    let stage = stage()
        .builder_api("status_without_relays = \"unavailable\"")
        .relay(honest().status(302))
        .relay(honest())
        .start()
        .await;
    eventually("both probes", async || {
        let relays = stage.ops_json("/api/v1/relays").await;
        (relays[0]["usable"] == false && relays[1]["usable"] == true).then_some(())
    })
    .await;
    let response = stage.http.get(format!("{}/eth/v1/builder/status", stage.builder)).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let relays = stage.ops_json("/api/v1/relays").await;
    assert!(relays[0]["why"].as_str().unwrap().contains("redirect"), "{relays}");
}

/// [S3] With probes off nobody is called, and status is 200.
#[tokio::test(flavor = "multi_thread")]
async fn status_never_calls_a_relay() {
    let stage = stage().relay(honest().header(HeaderFault::Hangs)).start().await;
    for _ in 0..5 {
        let response =
            stage.http.get(format!("{}/eth/v1/builder/status", stage.builder)).send().await.unwrap();
        assert_eq!(response.status(), 200);
    }
    assert!(stage.relays[0].received("status").is_empty());
}
