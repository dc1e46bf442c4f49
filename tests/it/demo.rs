//! `relaymux demo` as a newcomer sees it.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Output, Stdio},
};

use relaymux::relay::{TlsRoots, build_http_client};
use serde_json::Value;

use crate::stage::{binary, eventually};

/// A demo takes the usual ports if nobody has them: two that start in one moment would both find them free.
static USUAL_PORTS: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn demo(folder: &std::path::Path, arguments: &[&str]) -> Command {
    let mut command = binary();
    command
        .current_dir(folder)
        .env("TMPDIR", folder)
        .args(["demo", "--seconds-per-slot", "1"])
        .args(arguments);
    command
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What the demo left behind.
fn left(folder: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn every_slot_is_served_though_relays_misbehave_and_the_thief_is_named() {
    let _ports = USUAL_PORTS.blocking_lock();
    let folder = tempfile::tempdir().unwrap();
    let output = demo(folder.path(), &["--slots", "5", "--relays", "7", "--faulty", "5"]).output().unwrap();
    let words = stdout(&output);
    assert!(output.status.success(), "{words}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(words.contains("5 slots: ") && words.contains(", 0 lost"), "{words}");
    for fault in ["wrong_signature", "undecodable", "timed_out"] {
        assert!(words.contains(fault), "{fault} is not in:\n{words}");
    }
    // The last relay is the one that pays half; the chain shows it, to the wei.
    assert!(words.contains("grove paid 0.0") && words.contains("less than it promised"), "{words}");
    assert!(words.lines().all(|line| line.chars().count() <= 80), "{words}");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(!log.contains("ERROR"), "its own client makes no mistakes: {log}");
    assert!(!words.contains('\u{1b}'), "no colours where no terminal is: {words}");
    assert_eq!(left(folder.path()), Vec::<String>::new());
}

#[test]
fn honest_relays_pay_what_they_promise() {
    let _ports = USUAL_PORTS.blocking_lock();
    let folder = tempfile::tempdir().unwrap();
    let output = demo(folder.path(), &["--slots", "3", "--relays", "3"]).output().unwrap();
    let words = stdout(&output);
    assert!(output.status.success(), "{words}");
    let money = words.lines().find(|line| line.starts_with("on chain, 3 slots")).expect(&words);
    let amounts: Vec<&str> = money.split_whitespace().filter(|word| word.starts_with("0.")).collect();
    assert!(amounts.len() == 2 && amounts[0] == amounts[1], "{money}");
    // Whatever else this machine does: nobody rests for its load.
    assert!(!words.contains("standby"), "{words}");
    let table: Vec<&str> = words.lines().filter(|line| line.trim_start().starts_with("amber")).collect();
    let columns: Vec<&str> = table.last().unwrap().split_whitespace().collect();
    assert_eq!(columns[1], "3", "asked in every slot: {words}");
    let mean: f64 = columns[5].parse().unwrap();
    assert!(mean >= 10.0, "amber takes 10 ms at least: {words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn its_profit_page_shows_what_was_promised_and_what_arrived_and_ctrl_c_leaves_nothing() {
    let _ports = USUAL_PORTS.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let mut child =
        demo(folder.path(), &["--relays", "4", "--faulty", "1"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ops = lines.by_ref().find_map(|line| line.unwrap().strip_prefix("dashboard    ").map(str::to_owned));
    let ops = ops.unwrap().split_whitespace().next().unwrap().to_owned();
    let reading = std::thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<_>>().join("\n"));
    assert_eq!(left(folder.path()).len(), 1);
    let http = build_http_client(&TlsRoots::Bundled, None).unwrap();
    let points = eventually("a settled slot that was paid too little", async || {
        let points = http.get(format!("{ops}/api/v1/profit/slots")).send().await.ok()?.bytes().await.ok()?;
        let points: Value = serde_json::from_slice(&points).ok()?;
        let is_short = |point: &&Value| {
            let amount = |key: &str| point[key].as_str().and_then(|text| text.parse::<f64>().ok());
            amount("received_eth")
                .zip(amount("claimed_eth"))
                .is_some_and(|(got, due)| got > 0.0 && got < due * 0.6)
        };
        points.as_array()?.iter().find(is_short).cloned()
    })
    .await;
    assert_eq!(points["relay"], "delta", "{points}");
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
    let status = tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
    let words = reading.join().unwrap();
    assert!(status.success(), "{words}");
    assert!(words.contains("delta paid 0.0"), "{words}");
    assert_eq!(left(folder.path()), Vec::<String>::new());
}

/// `relaymux demo | head -1`: it would play for nobody. Nothing is said of it, and nothing is left behind.
#[test]
fn it_ends_once_nobody_reads_it() {
    let _ports = USUAL_PORTS.blocking_lock();
    let folder = tempfile::tempdir().unwrap();
    let mut child = demo(folder.path(), &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with("builder API"), "{first}");
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(141));
    assert_eq!(left(folder.path()), Vec::<String>::new());
}
