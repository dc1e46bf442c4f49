//! Backups of the real binary: made while it serves, proven, brought back, and killed in the midst.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::stage::{Stage, binary, eventually, honest, stage};

fn relaymux(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = binary();
    command.current_dir(folder).args(arguments);
    command
}

fn run(folder: &Path, arguments: &[&str]) -> (i32, Value, String) {
    let Output { status, stdout, stderr } = relaymux(folder, arguments).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    (status.code().unwrap(), serde_json::from_slice(&stdout).unwrap_or_default(), said)
}

/// The backups in a folder.
fn backups(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    paths.filter(|path| path.to_string_lossy().ends_with(".tar.gz")).collect()
}

/// Whether the service knows what happened in a slot.
async fn knows(stage: &Stage, slot: relaymux::types::Slot) -> bool {
    let path = format!("{}/api/v1/slots/{slot}", stage.ops);
    stage.http.get(path).send().await.unwrap().status() == 200
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_made_while_headers_are_served_brings_them_back() {
    let mut stage = stage().relay(honest()).start().await;
    let first = stage.fresh_slot();
    stage.header_at(first).await.unwrap();
    stage.auction(first).await;
    let folder = stage.folder.path().to_owned();
    let (code, made, said) = run(&folder, &["backup", "create", "backups", "--json"]);
    assert_eq!(code, 0, "{said}");
    let file = made["file"].as_str().unwrap().to_owned();
    assert_eq!(made["manifest"]["network"], "stage");
    assert!(made["manifest"]["members"][0]["rows"]["auctions"].as_u64().unwrap() >= 1, "{made}");
    // The admin token is not in it, and that is said.
    assert!(made["manifest"]["left_out"].to_string().contains("admin.token"), "{made}");
    let (code, proven, said) = run(&folder, &["backup", "verify", &file, "--json"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!((&proven["ok"], &proven["backup"]["bytes"]), (&Value::Bool(true), &made["bytes"]));
    let second = stage.fresh_slot();
    stage.header_at(second).await.unwrap();
    stage.auction(second).await;

    let (code, _, said) = run(&folder, &["backup", "restore", &file]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("in use by another relaymux (pid ") && said.contains("Stop it first"), "{said}");
    stage.kill();
    let (code, done, said) = run(&folder, &["backup", "restore", &file, "--json"]);
    assert_eq!(code, 0, "{said}");
    assert!(done["restored"]["kept"].to_string().contains("ledger.db.before-restore-"), "{done}");
    stage.start_again().await;
    assert!(knows(&stage, first).await && !knows(&stage, second).await);
    stage.header().await.unwrap();
    // Into a folder of its own, on a machine without a configuration.
    let (code, _, said) =
        run(&folder, &["backup", "restore", &file, "--data-dir", "elsewhere", "--config", "none"]);
    assert_eq!(code, 0, "{said}");
    assert!(folder.join("elsewhere/ledger.db").exists(), "{said}");
    let (code, _, said) = run(&folder, &["backup", "restore", &file, "--config", "none"]);
    assert_eq!(code, 1);
    assert!(said.contains("--data-dir"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_is_said_in_words_and_by_the_exit_code() {
    let stage = stage().relay(honest()).start().await;
    stage.header().await.unwrap();
    let folder = stage.folder.path();
    assert_eq!(run(folder, &["backup", "create", "backups"]).0, 0);
    let file = backups(&folder.join("backups")).remove(0);
    let whole = fs::read(&file).unwrap();
    let name = file.to_str().unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for bytes in [flipped.as_slice(), &whole[..whole.len() / 2], b"not a backup".as_slice()] {
        fs::write(&file, bytes).unwrap();
        let (code, _, said) = run(folder, &["backup", "verify", name]);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("this backup is of no use"), "{said}");
        let (code, error, _) = run(folder, &["backup", "verify", name, "--json"]);
        assert_eq!((code, &error["ok"]), (1, &Value::Bool(false)));
    }
    let (code, _, said) = run(folder, &["backup", "verify", "gone.tar.gz"]);
    assert_eq!(code, 1);
    assert!(said.contains("gone.tar.gz"), "{said}");
}

/// What is secret is in a backup only when it is encrypted, also what stands in the configuration itself.
#[tokio::test(flavor = "multi_thread")]
async fn secrets_leave_the_machine_encrypted_or_not_at_all() {
    let stage = stage()
        .relay(honest())
        .section(
            "[[alerts.channels]]\nid = \"c\"\nkind = \"webhook\"\nurl = \"http://127.0.0.1:1/hush-hush\"\n\
             [[alerts.escalation]]\nseverity = \"P1\"\nrespond_within = \"5m\"\ncontacts = [\"c\"]",
        )
        .start()
        .await;
    let folder = stage.folder.path();
    let token = fs::read_to_string(stage.data_dir().join("admin.token")).unwrap();
    let plain_text = |file: &Path| {
        let mut text = Vec::new();
        let mut zip = flate2::read::GzDecoder::new(fs::File::open(file).unwrap());
        std::io::Read::read_to_end(&mut zip, &mut text).unwrap();
        String::from_utf8_lossy(&text).into_owned()
    };
    assert_eq!(run(folder, &["backup", "create", "plain"]).0, 0);
    let text = plain_text(&backups(&folder.join("plain"))[0]);
    assert!(text.contains("withheld") && text.contains("ledger.db"));
    assert!(!text.contains("hush-hush") && !text.contains(token.trim()));

    fs::write(folder.join("pass"), "correct horse battery staple\n").unwrap();
    let config =
        format!("{}\n[backup]\ndirectory = \"sealed\"\npassphrase_file = \"pass\"\n", stage.config());
    fs::write(folder.join("sealed.toml"), config).unwrap();
    let (code, _, said) = run(folder, &["backup", "create", "sealed", "--config", "sealed.toml"]);
    assert_eq!(code, 0, "{said}");
    let file = &backups(&folder.join("sealed"))[0];
    let text = plain_text(file);
    assert!(!text.contains("hush-hush") && !text.contains(token.trim()));
    let name = file.to_str().unwrap();
    let restore = ["backup", "restore", name, "--data-dir", "back", "--passphrase-file", "pass"];
    let (code, _, said) = run(folder, &restore);
    assert_eq!(code, 0, "{said}");
    assert_eq!(fs::read_to_string(folder.join("back/admin.token")).unwrap(), token);
}

/// Killed at some moment: there is no backup or a whole one, and whoever comes next clears up.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_midst_of_a_backup_leaves_none_or_a_whole_one() {
    let stage = stage().relay(honest()).start().await;
    stage.header().await.unwrap();
    let folder = stage.folder.path();
    let mut wholes = 0;
    for ms in [5, 15, 25, 40, 60, 90, 130, 200] {
        let mut child = relaymux(folder, &["backup", "create", "backups"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        tokio::time::sleep(Duration::from_millis(ms)).await;
        let _ = child.kill();
        child.wait().unwrap();
        for file in backups(&folder.join("backups")) {
            let (code, _, said) = run(folder, &["backup", "verify", file.to_str().unwrap()]);
            assert_eq!(code, 0, "after {ms} ms: {said}");
            wholes += 1;
        }
        let _ = fs::remove_dir_all(folder.join("backups"));
    }
    let (code, _, said) = run(folder, &["backup", "create", "backups"]);
    assert_eq!(code, 0, "{wholes}: {said}");
    assert!(stage.header().await.is_some());
}

/// Killed at some moment: the next start has the old ledger or the restored one, whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_midst_of_a_restore_loses_nothing() {
    let mut stage = stage().relay(honest()).start().await;
    let first = stage.fresh_slot();
    stage.header_at(first).await.unwrap();
    stage.auction(first).await;
    let folder = stage.folder.path().to_owned();
    assert_eq!(run(&folder, &["backup", "create", "backups"]).0, 0);
    let file = backups(&folder.join("backups")).remove(0);
    let second = stage.fresh_slot();
    stage.header_at(second).await.unwrap();
    stage.auction(second).await;
    for ms in [5, 30, 60, 90, 120, 200] {
        stage.kill();
        let mut child = relaymux(&folder, &["backup", "restore", file.to_str().unwrap()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        tokio::time::sleep(Duration::from_millis(ms)).await;
        let _ = child.kill();
        child.wait().unwrap();
        stage.start_again().await;
        // What both have; of the second, either.
        assert!(knows(&stage, first).await, "after {ms} ms:\n{}", stage.log());
        stage.header().await.unwrap();
        assert!(!folder.join("data/restore.json").exists());
        let health: Value = stage.ops_json("/healthz").await;
        assert!(!health.to_string().contains("moved aside"), "{health}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_shows_its_backups_and_how_old_they_are() {
    let stage = stage().relay(honest()).section("[backup]\ndirectory = \"backups\"").start().await;
    stage.header().await.unwrap();
    let folder = stage.folder.path();
    let (code, _, said) = run(folder, &["backup", "create", "backups"]);
    assert_eq!(code, 0, "{said}");
    let file = backups(&folder.join("backups")).remove(0);
    assert_eq!(run(folder, &["backup", "verify", file.to_str().unwrap()]).0, 0);
    let view = stage.ops_json("/api/v1/backups").await;
    assert_eq!(view["keep"], 7, "{view}");
    assert!(view["runs"].as_array().unwrap().is_empty(), "{view}");
    assert!(view["under_way"].is_null(), "{view}");
    // The watch looks at start, before the first was made; the metric is there either way.
    eventually("the metric", async || stage.metric("relaymux_backups").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_folder_for_them_there_are_no_backups_and_that_is_said() {
    let stage = stage().relay(honest()).start().await;
    let answer = stage.http.get(format!("{}/api/v1/backups", stage.ops)).send().await.unwrap();
    assert_eq!(answer.status(), 404);
    assert!(answer.text().await.unwrap().contains("[backup]"));
}
