//! Reports from the ledger, while the service runs.

use sqlx::Connection;

use crate::stage::{EVER, EVER_ARGUMENTS, binary, honest, milli, stage};

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

pub(crate) fn report(stage: &crate::stage::Stage, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = binary();
    command.current_dir(stage.folder.path()).arg("report").args(arguments);
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// A report reads: it brings no file up to date, neither under a running service of another version nor at all.
#[tokio::test(flavor = "multi_thread")]
async fn a_report_changes_nothing_and_says_what_to_do_with_another_versions_ledger() {
    let mut stage = stage().relay(honest()).start().await;
    let slot = stage.slot();
    stage.header_at(slot).await.unwrap();
    stage.auction(slot).await;
    stage.signal("TERM");
    stage.exit_status().await;
    let path = stage.data_dir().join("ledger.db");
    let before = std::fs::read(&path).unwrap();
    for subject in ["profit", "relays", "bundles", "sla", "readiness", "digest"] {
        let (status, said, error) = report(&stage, &[subject, "--format", "json"]);
        assert_eq!(status, Some(0), "{subject}: {said} {error}");
    }
    let (status, said, _) = report(&stage, &["evidence", &slot.to_string()]);
    assert_eq!(status, Some(0), "{said}");
    assert_eq!(std::fs::read(&path).unwrap(), before, "the ledger is as the service left it");
    for (statement, words) in [
        (
            "UPDATE _sqlx_migrations SET version = 9999 WHERE version = (SELECT MAX(version) FROM _sqlx_migrations)",
            "newer version of relaymux",
        ),
        (
            "DELETE FROM _sqlx_migrations WHERE version = 9999",
            "older version of relaymux: start the service once",
        ),
    ] {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
        let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::query(statement).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        let before = std::fs::read(&path).unwrap();
        let (status, _, error) = report(&stage, &["profit"]);
        assert_eq!(status, Some(1), "{error}");
        assert!(error.contains(words) && error.contains("ledger.db"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}

/// What a service saw in its last, broken minute is written down as it stops; too little of it was watched to be called good.
#[tokio::test(flavor = "multi_thread")]
async fn the_sla_report_has_a_figure_or_a_reason_in_every_cell() {
    let mut stage = stage().relay(honest()).start().await;
    let slot = stage.slot();
    stage.header_at(slot).await.unwrap();
    stage.auction(slot).await;
    stage.signal("TERM");
    stage.exit_status().await;
    let (status, json, error) = report(&stage, &["sla", "--window", "7d", "--format", "json"]);
    assert_eq!(status, Some(0), "{error}");
    let found: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(found["window"], "7d");
    let targets = found["targets"].as_array().unwrap();
    assert_eq!(targets.len(), 6);
    for target in targets {
        let is_measured = !target["value"].is_null();
        assert_eq!(is_measured, target["status"] != "no_data", "{target}");
        assert!(!target["detail"].as_str().unwrap().is_empty(), "{target}");
    }
    // No node is configured.
    for name in ["rpc_latency", "mev_success_rate"] {
        let target = targets.iter().find(|target| target["name"] == name).unwrap();
        assert!(target["value"].is_null(), "{target}");
    }
    // The minute that goes on is in no report; it was written down all the same.
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(stage.data_dir().join("ledger.db"));
    let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    for of in ["host_minutes WHERE disk_max > 0", "sla_minutes WHERE indicator = 'builder_api' AND good > 0"]
    {
        let count = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {of}")));
        let count: i64 = count.fetch_one(&mut connection).await.unwrap();
        assert!(count > 0, "{of}");
    }
    connection.close().await.unwrap();
    let (_, csv, _) = report(&stage, &["sla", "--format", "csv"]);
    assert_eq!((csv.lines().count(), csv.starts_with("coverage,detail,measured,")), (7, true), "{csv}");
    let (_, json, _) = report(&stage, &["readiness", "--format", "json"]);
    let found: serde_json::Value = serde_json::from_str(&json).unwrap();
    let criteria = found["phases"].as_array().unwrap().iter();
    assert_eq!(criteria.map(|phase| phase["criteria"].as_array().unwrap().len()).sum::<usize>(), 12);
    let (_, text, _) = report(&stage, &["digest", "--window", "1d"]);
    assert!(
        text.starts_with("Your day: uptime ") && text.lines().all(|line| line.chars().count() <= 72),
        "{text}"
    );
    let (status, _, error) = report(&stage, &["sla", "--window", "30h"]);
    assert_eq!(status, Some(2));
    assert!(error.contains("30d"), "{error}");
}

/// A range without end costs no more than what is in it.
#[tokio::test(flavor = "multi_thread")]
async fn ranges_are_clamped_and_totals_are_theirs() {
    let stage = stage().relay(honest()).start().await;
    let slot = stage.slot();
    stage.header_at(slot).await.unwrap();
    stage.auction(slot).await;
    let (status, csv, error) =
        report(&stage, &[&["profit", "--format", "csv"], &EVER_ARGUMENTS[..]].concat());
    assert_eq!((status, csv.lines().count()), (Some(0), 2), "{csv} {error}");
    assert!(csv.starts_with("time_utc,slot,") && csv.contains(&format!(",{slot},")), "{csv}");
    let by_day =
        [&["profit", "--format", "json", "--by", "relay", "--period", "day"], &EVER_ARGUMENTS[..]].concat();
    let (_, json, _) = report(&stage, &by_day);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["total"]["slots"], &json["groups"][0]["wins"]), (&1.into(), &1.into()), "{json}");
    let (status, _, error) = report(&stage, &["profit", "--from", "2026-02-01", "--to", "2026-01-01"]);
    assert_eq!(status, Some(2));
    assert!(error.contains("--from 2026-02-01 is after --to 2026-01-01"), "{error}");
    let url = format!("{}/api/v1/profit?format=csv&{EVER}", stage.ops);
    assert_eq!(stage.http.get(url).send().await.unwrap().text().await.unwrap(), csv);
    let url = format!("{}/api/v1/profit?from=2026-02-01&to=2026-01-01", stage.ops);
    let message = crate::stage::assert_error(stage.http.get(url).send().await.unwrap(), 400).await;
    assert!(message.contains("is after"), "{message}");
}

/// Whoever reads has seen enough (`| head -1`): nothing is said of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_nobody_reads_any_more_is_silent() {
    let stage = stage().relay(honest()).start().await;
    let slot = stage.slot();
    stage.header_at(slot).await.unwrap();
    stage.auction(slot).await;
    let number = slot.to_string();
    for arguments in [
        &["profit"][..],
        &["profit", "--format", "csv"],
        &["relays"],
        &["bundles", "--format", "json"],
        &["evidence", &number],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = binary();
        command.current_dir(stage.folder.path()).arg("report").args(arguments);
        let output = command.stdout(writer).stderr(std::process::Stdio::piped()).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    }
}
