//! Changes of the configuration while the service runs.

use crate::stage::{Stage, eventually, honest, milli, stage};

/// A stage that knows two relays and is configured with the first.
async fn with_one_of_two() -> (Stage, String) {
    let stage = stage()
        .relay(honest().value(milli(10)).builder(1))
        .relay(honest().value(milli(90)).builder(2))
        .start()
        .await;
    let both = stage.config();
    let one = both.split("[[relays]]\nid = \"r1\"").next().unwrap().to_owned();
    stage.write_config(&one);
    eventually("the second relay to be gone", async || {
        (stage.ops_json("/api/v1/relays").await.as_array().unwrap().len() == 1).then_some(())
    })
    .await;
    (stage, both)
}

/// [C4] Without a signal, too: the file is watched.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_takes_effect_by_itself() {
    let (stage, both) = with_one_of_two().await;
    assert_eq!(stage.relay_of(&stage.header().await.unwrap()), 0);
    // As editors do it: written aside and renamed.
    let aside = stage.folder.path().join("relays.toml.swp");
    std::fs::write(&aside, both).unwrap();
    std::fs::rename(aside, stage.folder.path().join("relays.toml")).unwrap();
    eventually("the second relay to win", async || {
        let bid = stage.header().await.unwrap();
        (stage.relay_of(&bid) == 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_applies_relays_and_auction_settings() {
    let (stage, both) = with_one_of_two().await;
    stage.write_config(&both.replace("[auction]\n", "[auction]\nmin_bid_eth = \"0.1\"\n"));
    stage.signal("HUP");
    eventually("the minimum bid to hold", async || stage.header().await.is_none().then_some(())).await;
    stage.write_config(&both);
    stage.signal("HUP");
    eventually("the second relay to win", async || {
        let bid = stage.header().await?;
        (stage.relay_of(&bid) == 1).then_some(())
    })
    .await;
}

/// [C5] A file that is wrong changes nothing and is reported with its line.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_file_changes_nothing() {
    let stage = stage().relay(honest()).start().await;
    let good = stage.config();
    stage.write_config(&good.replace("[auction]", "[auktion]"));
    stage.signal("HUP");
    eventually("the mistake in the log", async || {
        stage.log().contains("did you mean `auction`?").then_some(())
    })
    .await;
    assert!(stage.log().contains("configuration not changed, the file is wrong"));
    assert!(stage.header().await.is_some());
    let before = stage.log().matches("configuration reloaded").count();
    stage.write_config(&good);
    stage.signal("HUP");
    eventually("the next reload", async || {
        (stage.log().matches("configuration reloaded").count() > before).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_restart_is_said() {
    let stage = stage().relay(honest()).start().await;
    stage.write_config(&stage.config().replace("network = \"spec.yaml\"", "network = \"hoodi\""));
    stage.signal("HUP");
    eventually("the warning", async || stage.log().contains("read at start only").then_some(())).await;
    assert!(stage.header().await.is_some());
}

/// Requests under way while the configuration changes: none is lost, and none is held by half of each. With the first configuration
/// the first relay's small bid is enough, with the second the other relay's large one is wanted: a mixture would have no bid.
#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_or_mixed_while_the_file_changes() {
    let delay = std::time::Duration::from_millis(20);
    let stage = stage()
        .relay(honest().value(milli(20)).builder(1).delay(delay))
        .relay(honest().value(milli(90)).builder(2).delay(delay))
        .start()
        .await;
    let both = stage.config();
    let (head, second) = both.split_once("[[relays]]\nid = \"r1\"").unwrap();
    let first = head.split_once("[[relays]]").unwrap();
    let low = format!(
        "{}[[relays]]{}",
        first.0.replace("[auction]\n", "[auction]\nmin_bid_eth = \"0.01\"\n"),
        first.1
    );
    let high = format!(
        "{}[[relays]]\nid = \"r1\"{second}",
        first.0.replace("[auction]\n", "[auction]\nmin_bid_eth = \"0.05\"\n")
    );
    stage.write_config(&low);
    stage.signal("HUP");
    eventually("the first configuration", async || {
        let bid = stage.header().await?;
        (stage.relay_of(&bid) == 0).then_some(())
    })
    .await;
    let mut seen = [0usize; 2];
    for round in 0..12 {
        stage.write_config(if round % 2 == 0 { &high } else { &low });
        stage.signal("HUP");
        let asks = (0..8).map(|_| stage.header());
        for bid in futures_util::future::join_all(asks).await {
            let bid = bid.unwrap_or_else(|| panic!("a race of two configurations\n{}", stage.log()));
            seen[stage.relay_of(&bid)] += 1;
        }
    }
    assert!(seen[0] > 0 && seen[1] > 0, "{seen:?}");
}
