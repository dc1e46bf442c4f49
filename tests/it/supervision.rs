//! A part of the process that panics is noticed, and has its consequence. The panics come from a hook of debug builds.

use std::process::Command;

use relaymux::consensus::Encoding;

use crate::stage::{Stage, binary, eventually, honest, stage};

/// A stage whose service was started with tasks that panic at their first start.
async fn with_panics(tasks: &str) -> Stage {
    let mut stage = stage().relay(honest()).start().await;
    let program = binary().get_program().to_owned();
    let log = std::fs::OpenOptions::new().append(true).open(stage.folder.path().join("log")).unwrap();
    let mut command = Command::new(program);
    command
        .args(["run", "--config", "relays.toml", "--ports-file", "ports.json"])
        .env("TEST_PANIC_IN_TASKS", tasks)
        .env("TEST_END_AT_ONCE", "1")
        .stderr(log);
    stage.start_by(&mut command).await;
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_begin_anew_does() {
    let stage = with_panics("ledger_writer,probes,metrics,profit_checks").await;
    assert_eq!(stage.reveal(2, Encoding::Ssz).await.0, 202);
    for task in ["ledger_writer", "probes", "metrics", "profit_checks"] {
        eventually("the failure in the log", async || {
            stage.log().contains(&format!("the task {task} panicked: a test asked")).then_some(())
        })
        .await;
    }
    eventually("all of them to be back", async || {
        let health = stage.ops_json("/readyz").await;
        assert_eq!(health["ok"], true);
        health["degraded"].as_array().unwrap().is_empty().then_some(())
    })
    .await;
    // The writer writes.
    let slot = stage.slot();
    stage.header_at(slot).await.unwrap();
    stage.auction(slot).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_goes_on_without_reloading() {
    let stage = with_panics("reload").await;
    let health = eventually("the failure in the health", async || {
        let health = stage.ops_json("/readyz").await;
        health["degraded"].as_array().unwrap().contains(&"reload".into()).then_some(health)
    })
    .await;
    assert_eq!(health["ok"], true);
    assert_eq!(stage.reveal(2, Encoding::Ssz).await.0, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_judge_of_relays_the_process_ends_with_words() {
    for task in ["monitor", "builder_api"] {
        let mut stage = with_panics(task).await;
        assert_eq!(stage.exit_status().await.code(), Some(1));
        let log = stage.log();
        assert!(
            log.contains(&format!("relaymux has ended: the task {task} panicked: a test asked")),
            "{log}"
        );
        // In good order.
        assert!(log.contains("stopped"), "{log}");
    }
}
