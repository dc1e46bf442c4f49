//! Whether a header notices that a backup is made: a service with a large ledger serves headers one by one, in turns with and without a backup beside it.
//!
//! `RELAYMUX_BENCH_SLOTS` is how many settled slots the ledger has (some 600 bytes each), `RELAYMUX_BENCH_HEADERS` how many headers are asked for in each turn.
//! Nothing here fails because of a time.

#![allow(
    clippy::cast_precision_loss,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it fails by panicking and speaks to its user"
)]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark fails by panicking and speaks to its user"
)]

#[expect(dead_code, reason = "shared with the black-box tests, which use more of it")]
#[path = "../tests/it/stage.rs"]
mod stage;

use std::{
    process::{Child, Stdio},
    time::Duration,
};

use relaymux::{
    events::{SlotOutcome, SlotStatus},
    ledger::{Ledger, Settled},
};
use stage::{Stage, binary, honest, stage};
use tokio::time::{Instant, sleep};

/// Between two headers.
const EVERY: Duration = Duration::from_millis(40);
const TURNS: usize = 3;

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::main]
async fn main() {
    let (slots, headers) = (setting("RELAYMUX_BENCH_SLOTS", 400_000), setting("RELAYMUX_BENCH_HEADERS", 500));
    let mut stage = stage().relay(honest()).relay(honest()).relay(honest()).start().await;
    stage.header().await.unwrap();
    stage.signal("TERM");
    stage.exit_status().await;
    fill(&stage, u64::try_from(slots).unwrap()).await;
    let bytes = std::fs::metadata(stage.data_dir().join("ledger.db")).unwrap().len();
    stage.start_again().await;
    for _ in 0..20 {
        stage.header().await.unwrap();
    }
    println!(
        "a ledger of {} MiB; {headers} headers of 3 relays in each turn, one each {EVERY:?}",
        bytes >> 20
    );
    println!("{:<28} {:>9} {:>9} {:>9} {:>9}", "", "p50", "p95", "p99", "max");
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        without.extend(turn(&stage, headers, None).await);
        with.extend(turn(&stage, headers, Some(&[])).await);
    }
    show("without a backup", without);
    show("while one is made", with);
    let fast = turn(&stage, headers, Some(&["--fast"])).await;
    show("while one is made, --fast", fast);
}

async fn fill(stage: &Stage, slots: u64) {
    let ledger = Ledger::open(&stage.data_dir(), "stage", 0).await.unwrap();
    let begun = Instant::now();
    for first in (1..slots).step_by(7200) {
        let rows: Vec<Settled> = (first..(first + 7200).min(slots)).map(row).collect();
        ledger.save_settlements(&rows).await.unwrap();
    }
    ledger.shut().await;
    println!("filled in {:.0} s", begun.elapsed().as_secs_f64());
}

fn row(slot: u64) -> Settled {
    let hex = |seed: u64, digits: usize| format!("0x{:0>digits$x}", u128::from(seed) * 0x9e37_79b9_7f4a_7c15);
    Settled {
        slot,
        status: SlotStatus::Final.into(),
        outcome: Some(SlotOutcome::Ours.into()),
        proposer: Some(hex(slot % 1000, 96)),
        fee_recipient: Some(hex(slot % 7, 40)),
        relay: Some("relay".to_owned()),
        builder: Some(hex(slot % 30, 96)),
        promised_block: Some(hex(slot, 64)),
        promised_wei: Some((slot * 1_234_567).to_string()),
        block_hash: Some(hex(slot, 64)),
        received_wei: Some((slot * 1_234_567).to_string()),
        transactions: Some(hex(slot + 1, 64)),
        message: "paid in full by a transaction of the builder's".to_owned(),
        ..Settled::default()
    }
}

fn make_backup(stage: &Stage, more: &[&str]) -> Child {
    let _ = std::fs::remove_dir_all(stage.folder.path().join("backups"));
    binary()
        .current_dir(stage.folder.path())
        .args(["backup", "create", "backups"])
        .args(more)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// How long each header took, in milliseconds; a backup is under way all the time where one is asked for.
async fn turn(stage: &Stage, headers: usize, backup: Option<&[&str]>) -> Vec<f64> {
    let mut making = backup.map(|more| make_backup(stage, more));
    let (mut begun, mut made) = (Instant::now(), Vec::new());
    let mut took = Vec::with_capacity(headers);
    for _ in 0..headers {
        if let (Some(more), Some(child)) = (backup, &mut making)
            && let Some(status) = child.try_wait().unwrap()
        {
            assert!(status.success());
            made.push(begun.elapsed());
            begun = Instant::now();
            *child = make_backup(stage, more);
        }
        let asked = Instant::now();
        stage.header().await.unwrap();
        took.push(asked.elapsed().as_secs_f64() * 1000.0);
        sleep(EVERY).await;
    }
    if let Some(mut child) = making {
        child.wait().unwrap();
        made.push(begun.elapsed());
        println!(
            "  {} backups were made, the last in {:.1} s",
            made.len(),
            made.last().unwrap().as_secs_f64()
        );
    }
    took
}

fn show(name: &str, mut took: Vec<f64>) {
    took.sort_by(f64::total_cmp);
    let at = |part: usize| took[(took.len() * part / 1000).min(took.len() - 1)];
    println!("{name:<28} {:>6.2} ms {:>6.2} ms {:>6.2} ms {:>6.2} ms", at(500), at(950), at(990), at(1000));
}
