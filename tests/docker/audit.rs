//! `relaymux nodes audit` asks the engine itself.

use std::process::{Command, Output};

use relaymux::supervisor::Runtime;
use serde_json::Value;

use super::{
    engine::{IMAGE, engine},
    world::{GRACE, launch, mount, node, up},
};

fn audit(host: &str, more: &[&str]) -> Output {
    // Another folder than the repository's: its relays.toml is of no concern here.
    Command::new(env!("CARGO_BIN_EXE_relaymux"))
        .current_dir(std::env::temp_dir())
        .env("DOCKER_HOST", host)
        .args(["nodes", "audit"])
        .args(more)
        .output()
        .unwrap()
}

#[tokio::test]
async fn what_runs_is_scored_without_a_word_about_what_does_not() {
    let engine = engine().await;
    let runtime = engine.runtime();
    let data = tempfile::tempdir().unwrap();
    let mut hardened = launch("serve 8545");
    hardened.mounts = vec![mount(data.path(), "/data")];
    let hardened = node("audited-hard", Some(hardened));
    up(&runtime, &hardened).await;
    let secret = "JWT_SECRET=0x5ec7e7";
    engine.says(&[
        "run",
        "-d",
        "--name",
        "audited-soft",
        "-p",
        "18547:8545",
        "-e",
        secret,
        IMAGE,
        "serve",
        "8545",
    ]);
    engine.says(&["run", "-d", "--name", "audited-frozen", IMAGE, "serve", "8545"]);
    engine.says(&["pause", "audited-frozen"]);
    engine.says(&["create", "--name", "audited-never-started", "--privileged", IMAGE, "serve", "8545"]);

    let output = audit(&engine.host(), &["--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let of = |name: &str| told["containers"].as_array().unwrap().iter().find(|one| one["name"] == name);
    let rules = |name: &str| -> Vec<String> {
        let findings =
            of(name).unwrap_or_else(|| panic!("no {name}: {told}"))["findings"].as_array().unwrap();
        findings.iter().map(|finding| finding["rule"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        (output.status.code(), &told["ok"], &told["has_more"]),
        (Some(1), &false.into(), &false.into())
    );
    assert_eq!((rules("audited-hard"), &of("audited-hard").unwrap()["score"]), (vec![], &100.into()));
    for rule in
        ["published-everywhere", "jwt-in-environment", "root-user", "no-memory-limit", "writable-root"]
    {
        assert!(
            rules("audited-soft").iter().any(|found| found == rule),
            "{rule}: {:?}",
            rules("audited-soft")
        );
    }
    assert!(of("audited-frozen").is_some() && of("audited-never-started").is_none(), "{told}");

    // The same as what is handed over by hand, and in words.
    let by_hand = engine.says(&["inspect", "audited-soft"]);
    let by_hand = relaymux::supervisor::audit::audit_inspect(&by_hand).unwrap();
    assert_eq!(serde_json::to_value(&by_hand[0]).unwrap(), *of("audited-soft").unwrap());
    let output = audit(&engine.host(), &[]);
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(words.contains("audited-hard") && words.contains("100 of 100"), "{words}");
    assert!(!words.contains("5ec7e7") && !told.to_string().contains("5ec7e7"));

    engine.says(&["unpause", "audited-frozen"]);
    engine.says(&["rm", "-f", "audited-soft", "audited-frozen", "audited-never-started"]);
    runtime.stop(&hardened, GRACE).await.unwrap();
    runtime.remove(&hardened).await.unwrap();
}
