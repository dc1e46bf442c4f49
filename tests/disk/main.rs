//! Cleanings on real filesystems, with everything planted in them that must survive. Needs root: `scripts/disk/run` makes a mount namespace.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "it fails by panicking, and works beside real processes and their time"
)]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod world;

use std::{
    collections::BTreeSet,
    fs::{self, File},
    os::unix::fs::{MetadataExt, symlink},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::Value;
use world::{World, eventually, is_tmpfs, run};

const USUAL: &str = "target_percent = 60";

fn class(report: &Value) -> &Value {
    &report["classes"][0]
}

#[test]
fn a_full_disk_is_brought_under_its_mark_and_every_trap_survives() {
    let mut world = World::new(96, 20_000);
    let logs = world.disk("logs");
    for n in 0..60_u64 {
        world.file(&logs.join(format!("geth/geth.log.{n}")), 1 << 20, 48 + n);
    }
    // What must survive, each beside the logs or in disguise among them.
    let outside = world.at("outside");
    world.file(&outside.join("old.log.1"), 4096, 900);
    world.file(&outside.join("keystore-m_12381.json"), 4096, 900);
    world.file(&world.disk("chaindata/CURRENT"), 4096, 900);
    world.file(&world.disk("chaindata/000012.log.1"), 4096, 900);
    symlink(&outside, logs.join("link-to-folder")).unwrap();
    symlink(outside.join("old.log.1"), logs.join("link.log.1")).unwrap();
    fs::hard_link(world.disk("chaindata/CURRENT"), logs.join("hard.log.1")).unwrap();
    fs::create_dir(logs.join("bound")).unwrap();
    world.file(&world.at("elsewhere/old.log.1"), 4096, 900);
    world.bind(&world.at("elsewhere"), &logs.join("bound"));
    fs::create_dir(logs.join("bound-same")).unwrap();
    world.file(&world.disk("apart/old.log.1"), 4096, 900);
    world.bind(&world.disk("apart"), &logs.join("bound-same"));
    world.file(&logs.join("young.log.1"), 4096, 1);
    world.file(&logs.join("held.log.1"), 4096, 900);
    let held = File::open(logs.join("held.log.1")).unwrap();
    let strange = logs.join("with\nnewline \"and' quotes\u{7}.log.1");
    world.file(&strange, 4096, 900);
    if !is_tmpfs() {
        world.file(&logs.join("immutable.log.1"), 4096, 900);
        run("chattr", &["+i", &logs.join("immutable.log.1").display().to_string()]);
    }
    let mut kept: Vec<PathBuf> = vec![
        outside.join("old.log.1"),
        outside.join("keystore-m_12381.json"),
        world.disk("chaindata/CURRENT"),
        world.disk("chaindata/000012.log.1"),
        world.at("elsewhere/old.log.1"),
        world.disk("apart/old.log.1"),
        logs.join("hard.log.1"),
        logs.join("young.log.1"),
        logs.join("held.log.1"),
    ];
    world.configure(&world.at("data"), USUAL, "");
    let before = world.percent();
    assert!(before > 62, "the disk is only {before} % full");

    let plan = world.json(&["disk", "plan", "--json"], 0);
    assert_eq!(world.percent(), before, "a plan changes nothing");
    assert!(strange.exists() && class(&plan)["files"].as_u64().unwrap() > 1, "{plan}");
    assert!(!world.at("data").exists(), "a plan leaves nothing behind");
    let text = world.run(&["disk", "plan"]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(
        text.contains("Nothing was changed.") && text.contains("rotated") | text.contains("logs"),
        "{text}"
    );
    assert!(text.contains(r"with\nnewline") && !text.contains('\u{7}'), "{text}");

    let report = world.json(&["disk", "clean", "--json"], 0);
    assert!(world.percent() <= 60, "{} % after {report}", world.percent());
    let of_class = &class(&report)["kept"];
    assert_eq!(of_class["open"], 1, "{report}");
    assert_eq!(of_class["young"], 1, "{report}");
    assert_eq!(of_class["not_a_file"], 1, "{report}");
    assert_eq!(of_class["hard_linked"], 1, "{report}");
    assert!(
        class(&report)["message"].as_str().unwrap().contains("2 folders on which something else is mounted"),
        "{report}"
    );
    if !is_tmpfs() {
        assert_eq!(of_class["refused"], 1, "{report}");
        kept.push(logs.join("immutable.log.1"));
        run("chattr", &["-i", &logs.join("immutable.log.1").display().to_string()]);
    }
    for path in kept {
        assert!(fs::read(&path).unwrap().iter().all(|byte| *byte == b'x'), "{}", path.display());
    }
    assert!(!strange.exists(), "the oldest of all");
    // No more than was needed: the youngest logs are there.
    assert!(logs.join("geth/geth.log.0").exists());
    drop(held);
    // There is room: nothing more is deleted.
    let again = world.json(&["disk", "clean", "--json"], 0);
    assert_eq!(
        (class(&again)["state"].as_str(), class(&again)["files"].as_u64()),
        (Some("not_needed"), Some(0))
    );
    // Every deletion is in the journal.
    let deleted = world.journal(&world.at("data"));
    let count = deleted.iter().filter(|line| line["what"] == "delete").count();
    assert!(u64::try_from(count).unwrap() >= class(&report)["files"].as_u64().unwrap());
}

#[test]
fn something_protected_in_the_root_refuses_the_class_and_the_configuration() {
    let world = World::new(32, 5_000);
    world.file(&world.disk("logs/a.log.1"), 20 << 20, 900);
    world.configure(&world.at("data"), "target_percent = 10", "");
    world.file(&world.disk("logs/deep/keystore-m_1.json"), 10, 900);
    let refused = world.run(&["disk", "clean"]);
    let text = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{text}");
    assert!(text.contains("deep/keystore-m_1.json (keystore)") && text.contains("relays.toml:"), "{text}");
    assert!(world.disk("logs/a.log.1").exists());
}

#[test]
fn a_filesystem_that_is_read_only_is_left_alone_and_told() {
    let world = World::new(32, 5_000);
    world.file(&world.disk("logs/a.log.1"), 20 << 20, 900);
    world.configure(&world.at("data"), "target_percent = 10", "");
    run("mount", &["-o", "remount,ro", &world.at("disk").display().to_string()]);
    let report = world.json(&["disk", "clean", "--json"], 1);
    assert_eq!(class(&report)["state"], "failed", "{report}");
    assert!(class(&report)["message"].as_str().unwrap().contains("read-only"), "{report}");
    assert!(world.disk("logs/a.log.1").exists());
}

/// Files that nobody can remember all: memory is bounded, and inodes are given back.
#[test]
fn very_many_small_files_are_deleted_with_bounded_memory() {
    const FILES: u64 = 120_000;
    let world = World::new(if is_tmpfs() { 700 } else { 256 }, FILES + 2_000);
    let logs = world.disk("logs");
    world.configure(&world.at("data"), "target_percent = 5", "max_count = 1000000");
    for folder in 0..4 {
        fs::create_dir_all(logs.join(folder.to_string())).unwrap();
    }
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(90_000);
    for n in 0..FILES {
        let file = File::create(logs.join(format!("{}/{n}.log.1", n % 4))).unwrap();
        file.set_modified(old).unwrap();
    }
    let mut child = world.spawn(&["disk", "clean", "--json"]);
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kib = 0_u64;
    loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse().ok());
        peak_kib = peak.unwrap_or(0).max(peak_kib);
        if child.try_wait().unwrap().is_some() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let files = class(&report)["files"].as_u64().unwrap();
    assert!(files > FILES * 9 / 10, "{report}");
    assert!((10_000..200_000).contains(&peak_kib), "it took {} MiB", peak_kib / 1024);
    let left =
        (0..4).map(|folder| fs::read_dir(logs.join(folder.to_string())).unwrap().count()).sum::<usize>();
    assert_eq!(u64::try_from(left).unwrap(), FILES - files);
}

/// Killed anywhere: what is gone was written down before, and the next run says so and goes on.
#[test]
fn a_kill_in_the_middle_leaves_a_true_journal_and_the_next_run_goes_on() {
    const FILES: u64 = 6_000;
    let world = World::new(128, 20_000);
    let (logs, data) = (world.disk("logs"), world.at("data"));
    for n in 0..FILES {
        world.file(&logs.join(format!("{n}.log.1")), 8192, 100 + n % 1000);
    }
    world.configure(&data, "target_percent = 1", "");
    let mut recovered = 0;
    for kill_after in [1_usize, 600, 1300, 2500] {
        let mut child = world.spawn(&["disk", "clean", "--json"]);
        eventually("deletions", || {
            let lines = world.journal(&data);
            let ours = lines.iter().filter(|line| line["what"] == "delete").count();
            ours >= kill_after || child.try_wait().unwrap().is_some()
        });
        child.kill().unwrap();
        child.wait().unwrap();
        let lines = world.journal(&data);
        let written: BTreeSet<&str> = lines
            .iter()
            .filter(|line| line["what"] == "delete")
            .filter_map(|line| line["path"].as_str())
            .collect();
        for n in 0..FILES {
            let name = format!("{n}.log.1");
            let is_there = logs.join(&name).exists();
            assert!(is_there || written.contains(name.as_str()), "{name} is gone and not in the journal");
        }
    }
    let report = world.json(&["disk", "clean", "--json"], 0);
    recovered += report["recovered"].as_array().unwrap().len();
    let ends = world.journal(&data);
    recovered += ends.iter().filter(|line| line["what"] == "recovered").count();
    assert!(recovered > 0, "no kill came in between");
    // Down to its target, and no further; the run that was killed last may have been there already.
    let left = u64::try_from(fs::read_dir(&logs).unwrap().count()).unwrap();
    if class(&report)["state"] != "not_needed" {
        assert_eq!(left, class(&report)["kept"]["beyond"].as_u64().unwrap_or(0), "{report}");
    }
    assert!(left < FILES / 10, "{report}");
    // All that was written down has its end now.
    let mut open: BTreeSet<(u64, u64)> = BTreeSet::new();
    for line in &ends {
        let run = line["run"].as_u64().unwrap_or(0);
        let numbers = |key: &str| -> Vec<u64> {
            let list = line[key].as_array().cloned().unwrap_or_default();
            list.iter().filter_map(|it| it.as_u64().or_else(|| it[0].as_u64())).collect()
        };
        match line["what"].as_str().unwrap() {
            "delete" => {
                open.insert((run, line["n"].as_u64().unwrap()));
            }
            "done" | "recovered" => {
                for key in ["deleted", "kept", "still_there", "replaced"] {
                    for n in numbers(key) {
                        open.remove(&(run, n));
                    }
                }
            }
            _ => {}
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

/// While it is cleaned, somebody swaps files and folders for links to what is protected, as fast as he can.
#[test]
fn whoever_swaps_files_while_they_are_deleted_gains_nothing() {
    let world = World::new(96, 20_000);
    let (logs, vault) = (world.disk("logs"), world.disk("vault"));
    let names: Vec<PathBuf> = (0..3000).map(|n| logs.join(format!("{}/{n}.log.1", n % 10))).collect();
    for (n, path) in names.iter().enumerate() {
        world.file(path, 8192, 100 + u64::try_from(n).unwrap());
    }
    for n in 0..10 {
        world.file(&vault.join(format!("{n}/precious.log.1")), 4096, 900);
        for k in 0..300 {
            world.file(&vault.join(format!("{n}/{}.log.1", k * 10 + n)), 16, 900);
        }
    }
    world.configure(&world.at("data"), "target_percent = 1", "");
    let stop = Arc::new(AtomicBool::new(false));
    let swapper = {
        let (logs, vault, stop) = (logs.clone(), vault.clone(), Arc::clone(&stop));
        std::thread::spawn(move || {
            let mut swaps = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                for n in 0..10_u64 {
                    // A folder becomes a link to one with the same names in it, and a folder again.
                    let (folder, aside) = (logs.join(n.to_string()), logs.join(format!("{n}.aside")));
                    if fs::rename(&folder, &aside).is_ok() {
                        let _ = symlink(vault.join(n.to_string()), &folder);
                        let _ = fs::remove_file(&folder);
                        let _ = fs::rename(&aside, &folder);
                        swaps += 1;
                    }
                    // And a file becomes a hard link to a protected one.
                    let file = logs.join(format!("{n}/{}.log.1", 2990 + n));
                    let spare = logs.join(format!("{n}/spare"));
                    if fs::hard_link(vault.join(format!("{n}/precious.log.1")), &spare).is_ok() {
                        let _ = fs::rename(&spare, &file);
                        let _ = fs::remove_file(&spare);
                    }
                }
            }
            swaps
        })
    };
    for _ in 0..3 {
        let report = world.run(&["disk", "clean", "--json"]);
        assert!(report.status.code().is_some(), "{report:?}");
    }
    stop.store(true, Ordering::Relaxed);
    assert!(swapper.join().unwrap() > 10, "nothing was swapped meanwhile: the test shows nothing");
    for n in 0..10 {
        let precious = vault.join(format!("{n}/precious.log.1"));
        assert_eq!(fs::metadata(&precious).unwrap().len(), 4096, "{}", precious.display());
        let all = fs::read_dir(vault.join(n.to_string())).unwrap().count();
        assert_eq!(all, 301, "something in the vault is gone");
    }
}

/// The disk that relaymux's own files are on is full to the last byte: the journal has its room, and a cleaning makes more.
#[test]
fn a_disk_that_is_full_to_the_last_byte_is_cleaned_with_our_own_files_on_it() {
    let world = World::new(64, 5_000);
    let data = world.disk("relaymux");
    for n in 0..20 {
        world.file(&world.disk(&format!("logs/{n}.log.1")), 1 << 20, 100 + n);
    }
    world.configure(&data, USUAL, "");
    // The service keeps room for its journal while there is some.
    let ports = world.at("ports.json");
    let mut service = world.serve(&["run", "--ports-file", &ports.display().to_string()]);
    eventually("room for the journal", || data.join("disk/cleanings.jsonl").exists() && ports.exists());
    eventually("room beyond its end", || {
        fs::metadata(data.join("disk/cleanings.jsonl")).unwrap().blocks() > 1000
    });
    fill(&world.disk("rest"));
    assert_eq!(world.percent(), 100);
    // It is an emergency: the service cleans by itself.
    eventually("the service to clean", || world.percent() <= 72);
    let ops: Value = serde_json::from_str(&fs::read_to_string(&ports).unwrap()).unwrap();
    let ops = ops["ops"].as_str().unwrap().to_owned();
    eventually("the cleaning to be shown", || {
        let board = get(&ops, "/api/v1/disk");
        board["last_cleaning"]["run"].as_u64().is_some()
            && board["filesystems"][0]["ladder"]["since"].is_i64()
    });
    // What the ledger could not take while its disk was full, it has once there is room.
    eventually("the steps and the cleaning to be written down", || {
        let board = get(&ops, "/api/v1/disk");
        let is_there = |rung: &str| board["acts"].as_array().unwrap().iter().any(|act| act["rung"] == rung);
        is_there("alert") && is_there("clean") && !board["cleanings"].as_array().unwrap().is_empty()
    });
    assert_eq!(
        get(&ops, "/api/v1/resources")["filesystems"][0]["path"],
        world.at("disk").display().to_string()
    );
    run("kill", &["-TERM", &service.0.id().to_string()]);
    service.0.wait().unwrap();
    assert!(world.disk("rest").exists());
    for n in 0..20 {
        assert!(!world.disk(&format!("logs/{n}.log.1")).exists(), "{n}");
    }
}

/// Writes until there is no room any more.
fn fill(path: &Path) {
    use std::io::Write;
    let mut file = File::create(path).unwrap();
    for size in [1 << 20, 4096, 512] {
        let block = vec![b'x'; size];
        while file.write_all(&block).is_ok() {}
    }
    let _ = file.sync_all();
}

fn get(address: &str, path: &str) -> Value {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    let json = body.find('{').and_then(|begin| Some(&body[begin..=body.rfind('}')?])).unwrap_or("null");
    serde_json::from_str(json).unwrap_or_default()
}
