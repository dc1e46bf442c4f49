//! Reports from the ledger, while the service runs.

use crate::stage::{binary, honest, milli, stage};

#[tokio::test(flavor = "multi_thread")]
async fn the_relay_report_says_what_timing_earned_and_proposes() {
    let stage = stage()
        .auction("timeout_get_header_ms = 300")
        .relay(honest().values_in_turn(vec![milli(20), milli(30), milli(45)]))
        .relay_key(0, "enable_timing_games = true\nfrequency_get_header_ms = 60")
        .relay(honest().value(milli(10)).builder(1))
        .start()
        .await;
    let first = stage.slot().as_u64();
    for slot in first..first + 12 {
        let bid = stage.header_at(slot.into()).await.unwrap();
        assert_eq!(bid.facts().value, milli(45));
        stage.auction(slot.into()).await;
    }
    let report = |format: &str, more: &[&str]| {
        let mut command = binary();
        command.current_dir(stage.folder.path()).args(["report", "relays", "--format", format]).args(more);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let lines: serde_json::Value = serde_json::from_str(&report("json", &[])).unwrap();
    assert_eq!((&lines[0]["races"], &lines[0]["wins"]), (&12.into(), &12.into()));
    assert_eq!((&lines[0]["timing_races"], &lines[0]["timing_earned_eth"]), (&12.into(), &"0.3".into()));
    assert!(lines[0]["gwei_per_100_ms"].as_i64().unwrap() >= 0, "{lines}");
    assert_eq!(lines[1]["timing_races"], 0);
    let csv = report("csv", &[]);
    assert!(csv.starts_with("relay,place,score,why,races") && csv.lines().count() == 3, "{csv}");
    assert!(report("table", &[]).contains("timing earned ETH"));
    let earlier: serde_json::Value =
        serde_json::from_str(&report("json", &["--from", "2020-01-01", "--to", "2020-01-02"])).unwrap();
    assert_eq!(earlier[0]["races"], 0);
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(stage.folder.path().join("spec.yaml"), folder.path().join("spec.yaml")).unwrap();
    let config = stage.config().replace(&stage.data_dir().display().to_string(), "nowhere");
    std::fs::write(folder.path().join("relays.toml"), config).unwrap();
    let output = binary().current_dir(folder.path()).args(["report", "relays"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no ledger yet"));
}
