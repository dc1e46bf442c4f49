//! Whatever is wrong with `data_dir`, proposers are served.

use std::{
    fs,
    io::{Seek, SeekFrom, Write},
    path::Path,
    process::Stdio,
    time::Duration,
};

use relaymux::consensus::Encoding;
use serde_json::Value;
use sqlx::Connection;

use crate::stage::{Stage, binary, eventually, honest, stage};

/// Everything a consensus client asks for.
async fn serves_a_proposer(stage: &Stage) {
    stage.proposer(Encoding::Json).register(60_000_000, 1_700_000_000).await.unwrap();
    let (status, body) = stage.reveal(2, Encoding::Ssz).await;
    assert_eq!(status, 202, "{}", String::from_utf8_lossy(&body));
    let (status, body) = stage.reveal(1, Encoding::Ssz).await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
}

/// The words of a degraded part; the service stays ready.
async fn degraded(stage: &Stage, part: &str) -> String {
    let response = stage.http.get(format!("{}/readyz", stage.ops)).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let health: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    assert_eq!(health["ok"], true);
    assert!(health["degraded"].as_array().unwrap().contains(&part.into()), "{health}");
    let checks = health["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == part).unwrap();
    assert_eq!(check["ok"], false);
    let metrics =
        stage.http.get(format!("{}/metrics", stage.ops)).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains(&format!("relaymux_degraded{{part=\"{part}\"}} 1")), "{metrics}");
    check["detail"].as_str().unwrap().to_owned()
}

async fn open(stage: &Stage, file: &str) -> sqlx::SqliteConnection {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(stage.data_dir().join(file));
    sqlx::SqliteConnection::connect_with(&options).await.unwrap()
}

async fn open_notices(stage: &Stage) -> Vec<(String, String)> {
    let mut ledger = open(stage, "ledger.db").await;
    sqlx::query_as("SELECT rule, subject FROM notices WHERE resolved_at IS NULL ORDER BY subject")
        .fetch_all(&mut ledger)
        .await
        .unwrap()
}

fn files_like(folder: &Path, part: &str) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap());
    names.filter(|name| name.contains(part)).collect()
}

/// Ends the service in good order, so that all is in the main files.
async fn stop(stage: &mut Stage) {
    stage.signal("TERM");
    stage.exit_status().await;
}

/// [D1]
#[tokio::test(flavor = "multi_thread")]
async fn damaged_files_are_moved_aside_and_new_ones_begun() {
    let mut stage = stage().relay(honest()).start().await;
    stop(&mut stage).await;
    for file in ["ledger.db", "journal.db"] {
        fs::write(stage.data_dir().join(file), "this was a database once, the disk says. ".repeat(1000))
            .unwrap();
    }
    stage.start_again().await;
    serves_a_proposer(&stage).await;
    for part in ["ledger", "journal"] {
        let words = degraded(&stage, part).await;
        assert!(words.contains(&format!("{part}.db.corrupt-")), "{words}");
        assert!(stage.log().contains("a damaged file was moved aside"));
        let aside = files_like(&stage.data_dir(), &format!("{part}.db.corrupt-"));
        let kept = fs::read_to_string(stage.data_dir().join(&aside[0])).unwrap();
        assert!(kept.starts_with("this was a database once"), "{aside:?}");
    }
    let replaced = |part: &str| ("storage_replaced".to_owned(), part.to_owned());
    assert_eq!(open_notices(&stage).await, [replaced("journal"), replaced("ledger")]);
    // The new ones are kept, and the next start has nothing to complain of.
    let slot = stage.slot();
    stage.header_at(slot).await.unwrap();
    stage.auction(slot).await;
    stop(&mut stage).await;
    stage.start_again().await;
    stage.auction(slot).await;
    assert_eq!(stage.ops_json("/readyz").await["degraded"], serde_json::json!([]));
    assert!(open_notices(&stage).await.is_empty());
}

/// The damage is deep in the file: what can be read of it still counts.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_damaged_file_still_tells_is_not_forgotten() {
    let mut stage = stage().relay(honest()).start().await;
    stage.proposer(Encoding::Json).register(60_000_000, 1_700_000_000).await.unwrap();
    eventually("the registrations in the ledger", async || {
        let mut ledger = open(&stage, "ledger.db").await;
        let count: i64 =
            sqlx::query_scalar("SELECT count(*) FROM registrations").fetch_one(&mut ledger).await.unwrap();
        (count == 4).then_some(())
    })
    .await;
    stop(&mut stage).await;
    let root: i64 = sqlx::query_scalar("SELECT rootpage FROM sqlite_master WHERE name = 'polls'")
        .fetch_one(&mut open(&stage, "ledger.db").await)
        .await
        .unwrap();
    let mut file = fs::OpenOptions::new().write(true).open(stage.data_dir().join("ledger.db")).unwrap();
    file.seek(SeekFrom::Start(u64::try_from(root - 1).unwrap() * 4096)).unwrap();
    file.write_all(&[0xa5; 4096]).unwrap();
    drop(file);
    stage.start_again().await;
    assert!(degraded(&stage, "ledger").await.contains("ledger.db.corrupt-"));
    assert!(stage.log().contains("validators=4"), "{}", stage.log());
    serves_a_proposer(&stage).await;
}

/// [D2]
#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_newer_version_are_left_alone() {
    let mut stage = stage().relay(honest()).start().await;
    stop(&mut stage).await;
    let mut before = Vec::new();
    for file in ["ledger.db", "journal.db"] {
        let mut database = open(&stage, file).await;
        sqlx::query(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES (9999, 'of tomorrow', TRUE, x'00', 0)",
        )
        .execute(&mut database)
        .await
        .unwrap();
        database.close().await.unwrap();
        before.push(fs::read(stage.data_dir().join(file)).unwrap());
    }
    stage.start_again().await;
    serves_a_proposer(&stage).await;
    let slot = stage.slot();
    stage.header_at(slot).await.unwrap();
    // Shown from memory as from a file.
    stage.auction(slot).await;
    for part in ["ledger", "journal"] {
        let words = degraded(&stage, part).await;
        assert!(words.contains("9999") && words.contains("newer"), "{words}");
    }
    stop(&mut stage).await;
    for (file, before) in ["ledger.db", "journal.db"].into_iter().zip(before) {
        assert!(fs::read(stage.data_dir().join(file)).unwrap() == before, "{file} was changed");
        assert!(files_like(&stage.data_dir(), "corrupt").is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_made_costs_records_and_no_slot() {
    let mut stage = stage().relay(honest()).file("flat", "no folder").start().await;
    let config = stage.config();
    let data = stage.data_dir().display().to_string();
    // Below a file, and a file itself.
    for place in ["flat/data", "flat"] {
        let other = stage.folder.path().join(place).display().to_string();
        stage.write_config(&config.replace(&data, &other));
        stage.start_again().await;
        serves_a_proposer(&stage).await;
        for part in ["ledger", "journal", "admin_token"] {
            degraded(&stage, part).await;
        }
        let words = degraded(&stage, "admin_token").await;
        assert!(words.contains("openssl rand") && words.contains("admin.token"), "{words}");
        // Nobody knows the token, and no token is none.
        for token in ["", "Bearer "] {
            let rotate = stage.http.post(format!("{}/api/v1/relays/rotate", stage.ops));
            assert_eq!(rotate.header("authorization", token).send().await.unwrap().status(), 401);
        }
    }
}

/// [D3] As on a full disk, every write beyond a few KiB fails: the databases', not the port file's.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_costs_records_and_no_slot() {
    for is_new in [true, false] {
        let mut stage = stage().relay(honest()).start().await;
        stop(&mut stage).await;
        if is_new {
            fs::remove_dir_all(stage.data_dir()).unwrap();
        }
        let limited = binary();
        let command = format!(
            "trap '' XFSZ; ulimit -f 16; exec '{}' run --config relays.toml --ports-file ports.json",
            limited.get_program().to_str().unwrap()
        );
        stage.start_by(std::process::Command::new("sh").args(["-c", &command]).stderr(Stdio::piped())).await;
        serves_a_proposer(&stage).await;
        for part in ["ledger", "journal"] {
            let words = degraded(&stage, part).await;
            assert!(words.contains("memory") && words.contains("disk"), "{words}");
        }
        stage.kill();
    }
}

/// The disk refuses while the service runs: the block leaves, and it is an alarm.
#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_the_journal_refuses_is_an_alarm() {
    let stage = stage().relay(honest()).start().await;
    let mut events = stage.http.get(format!("{}/api/v1/events?kind=notice", stage.ops)).send().await.unwrap();
    let mut journal = open(&stage, "journal.db").await;
    sqlx::query("ALTER TABLE blocks RENAME TO gone").execute(&mut journal).await.unwrap();
    assert_eq!(stage.reveal(2, Encoding::Ssz).await.0, 202);
    let chunk =
        tokio::time::timeout(Duration::from_secs(20), events.chunk()).await.unwrap().unwrap().unwrap();
    let text = String::from_utf8(chunk.to_vec()).unwrap();
    assert!(text.contains("journal_failed") && text.contains("\"P1\""), "{text}");
    assert!(stage.log().contains("leaves without being in the journal"), "{}", stage.log());
    let metrics =
        stage.http.get(format!("{}/metrics", stage.ops)).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("relaymux_journal_failures_total 1"), "{metrics}");
}
