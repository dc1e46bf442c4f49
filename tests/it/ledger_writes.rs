//! A ledger that cannot be written for a while costs no event.

use sqlx::Connection;

use crate::stage::{eventually, honest, stage};

/// Longer than the database's own patience with a lock (5 s): a batch fails, is kept, and is written when the file lets it.
#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_refused_batch_are_written_later() {
    let stage = stage().relay(honest()).start().await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(stage.data_dir().join("ledger.db"));
    let mut holder = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut holder).await.unwrap();
    let slot = stage.slot();
    stage.header_at(slot).await.unwrap();
    let health = eventually("health to know of it", async || {
        let health = stage.ops_json("/readyz").await;
        let checks = health["checks"].as_array()?.clone();
        let ledger = checks.into_iter().find(|check| check["name"] == "ledger")?;
        ledger["detail"].as_str()?.contains("cannot be written since").then(|| ledger["detail"].clone())
    })
    .await;
    assert!(health.as_str().unwrap().contains("locked"), "{health}");
    assert!(stage.log().contains("its events are kept and tried again"), "{}", stage.log());
    // The money path does not notice.
    stage.header_at((slot.as_u64() + 1).into()).await.unwrap();
    sqlx::query("ROLLBACK").execute(&mut holder).await.unwrap();
    stage.auction(slot).await;
    stage.auction((slot.as_u64() + 1).into()).await;
    eventually("the log to say so", async || {
        stage.log().contains("the ledger is written again").then_some(())
    })
    .await;
}
