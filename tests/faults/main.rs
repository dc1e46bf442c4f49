//! The fault matrix: whatever one relay does, the answer comes in time and is right, the reason is written down, the others are
//! unaffected, and memory stays bounded. One row each; `cargo test --test faults` prints the table.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it fails by panicking and speaks to its user"
)]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../it/stage.rs"]
#[expect(dead_code, reason = "shared with the other black-box tests, which use more of it")]
mod stage;

mod headers;
mod justice;
mod reveals;
mod submissions;
mod world;

use std::time::Duration;

use stage::Stage;

/// What a race may take in these tests: short, as some rows wait for all of it.
pub(crate) const BUDGET: Duration = Duration::from_millis(700);
/// Added for a busy machine: the point is that no fault outlasts the budget, not how fast this machine is.
const SLACK: Duration = Duration::from_millis(500);
/// More than the service ever needs; a body held whole would exceed it.
const MAX_MIB: u64 = 160;

pub(crate) fn budget() -> String {
    format!("timeout_get_header_ms = {}", BUDGET.as_millis())
}

/// The assertions of every row on the race of a slot; returns the faulty relay's outcome.
#[track_caller]
pub(crate) fn judge(name: &str, stage: &Stage, auction: &serde_json::Value, faulty: &str) -> String {
    let answered = Duration::from_micros(auction["answered_in_us"].as_u64().unwrap());
    assert!(answered <= BUDGET + SLACK, "{name}: answered in {answered:?}\n{auction}");
    let bids = auction["bids"].as_array().unwrap();
    let outcome = |id: &str| bids.iter().find(|bid| bid["relay"] == id).unwrap()["outcome"].as_str().unwrap();
    assert_eq!(outcome("r1"), "bid", "{name}: the honest relay\n{auction}");
    let peak = stage.peak_mib();
    assert!(peak < MAX_MIB, "{name}: {peak} MiB");
    println!("{name:<52} {:<18} {:>7.1?} {peak:>5} MiB", outcome(faulty), answered);
    outcome(faulty).to_owned()
}
