//! Profit without a chain: what is known without nodes, what relays have registered. With real nodes: `tests/chain`.

use relaymux::{
    consensus::{Encoding, WallClock},
    sim::DataApiFault,
};

use crate::stage::{EVER, assert_error, binary, eventually, honest, stage};

#[tokio::test(flavor = "multi_thread")]
async fn without_nodes_the_report_says_what_it_cannot_know() {
    let stage = stage().relay(honest()).start().await;
    let slot = stage.slot();
    stage.header_at(slot).await.unwrap();
    stage.auction(slot).await;
    let report = stage.ops_json(&format!("/api/v1/profit?{EVER}")).await;
    let gaps = report["not_known"].to_string();
    assert!(gaps.contains("no [execution] url") && gaps.contains("no [beacon] url"), "{report}");
    assert_eq!((&report["total"]["slots"], &report["total"]["wins"]), (&1.into(), &1.into()), "{report}");
    let day = report["groups"][0]["name"].as_str().unwrap();
    assert!(day.parse::<jiff::civil::Date>().is_ok(), "{report}");
    assert_eq!((&report["target"], &report["target_eth_per_day"]), (&"no_data".into(), &"0.01".into()));
    assert!(report["estimators"]["missed_value"].as_str().unwrap().contains("before it answered"));
    let points = stage.ops_json("/api/v1/profit/slots").await;
    assert_eq!((&points[0]["slot"], &points[0]["claimed_eth"]), (&slot.as_u64().into(), &"0.05".into()));
    let page = stage.http.get(format!("{}/profit", stage.ops)).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("Claimed (across) against received (up)") && !page.contains("https://"), "{page}");
    for (query, words) in [
        ("from=yesterday", "from: expected a day"),
        ("by=colour", "by: expected one of"),
        ("format=xml", "format: expected json or csv"),
        ("period=decade", "period: expected one of"),
    ] {
        let response = stage.http.get(format!("{}/api/v1/profit?{query}", stage.ops)).send().await.unwrap();
        let message = assert_error(response, 400).await;
        assert!(message.contains(words), "{query}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_with_another_fee_recipient_is_told_of_until_it_mends_it() {
    let stage = stage()
        .relay(honest())
        .relay(honest().builder(1).data_api(DataApiFault::OtherRecipient))
        .relay(honest().builder(2).data_api(DataApiFault::Down))
        .section("[profit]\nregistrations_every_secs = 1")
        .start()
        .await;
    // Signed an hour ago: it had time to reach everybody.
    let signed = u64::try_from(WallClock::system().now() / 1000 - 3600).unwrap();
    stage.proposer(Encoding::Ssz).register(60_000_000, signed).await.unwrap();
    let report = eventually("the drift to be found", async || {
        let report = stage.ops_json("/api/v1/profit").await;
        (report["registration_drifts"].as_array()?.len() == 4).then_some(report)
    })
    .await;
    let drift = &report["registration_drifts"][0];
    assert_eq!(drift["relay"], "r1");
    assert!(drift["drift"].as_str().unwrap().starts_with("pays 0x0B0b0"), "{drift}");
    let notice = &report["notices"][0];
    assert_eq!((&notice["rule"], &notice["severity"]), (&"registration_drift".into(), &"P3".into()));
    stage.relays[1].behave(|behaviour| behaviour.data_api(DataApiFault::None));
    eventually("the drift to be over", async || {
        let report = stage.ops_json("/api/v1/profit").await;
        let is_over = report["notices"].as_array()?.iter().all(|notice| !notice["resolved_at"].is_null());
        (report["registration_drifts"].as_array()?.is_empty() && is_over).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_keys_of_the_section_are_named() {
    for (lines, words) in [
        ("check_every_secs = 0", "0 would check without end"),
        ("target_eth_per_day = \"much\"", "is not a decimal amount"),
        ("currency = \"EUR\"", "there are no prices in it"),
        ("targets = 1", "unknown key"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "[profit]\n{lines}\n[[relays]]\nid = \"a\"\nurl = \"http://0x{}@127.0.0.1:1\"\n",
            "ac6e77dfe25ecd6110b8e780608cce0dab71fdd5ebea22a16c0205200f2f8e2e3ad3b71d3499c54ad14d6c21b41a37ae"
        );
        std::fs::write(folder.path().join("relays.toml"), config).unwrap();
        let output = binary().current_dir(folder.path()).args(["check", "--offline"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(words), "{lines}: {said}");
    }
}

/// Prices are a column of a report: what is wrong with their file is said, and costs no slot.
#[test]
fn wrong_prices_are_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bad.csv"), "2026-11-01;a lot\n").unwrap();
    for (file, words) in [("none.csv", "none.csv: No such file"), ("bad.csv", "bad.csv: line 1: no price")] {
        let config = format!(
            "[profit]\nprices_file = \"{file}\"\n[[relays]]\nid = \"a\"\nurl = \"http://0x{}@127.0.0.1:1\"\n",
            "ac6e77dfe25ecd6110b8e780608cce0dab71fdd5ebea22a16c0205200f2f8e2e3ad3b71d3499c54ad14d6c21b41a37ae"
        );
        std::fs::write(folder.path().join("relays.toml"), config).unwrap();
        let output = binary().current_dir(folder.path()).args(["check", "--offline"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(said.contains("warning: ") && said.contains(words), "{said}");
    }
}
