//! What the box itself shows: figures of the machine, certificates and secrets that grow old, clients that a fork leaves behind.

use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use relaymux::{consensus::WallClock, types::DAY_MS};
use serde_json::{Value, json};

use crate::stage::{HOST_ROOT, Stage, eventually, honest, stage};

fn in_days(days: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis((WallClock::system().now() + days * DAY_MS).unsigned_abs())
}

async fn alert(stage: &Stage, rule: &str) -> Option<Value> {
    let alerts = stage.ops_json("/api/v1/alerts?state=open").await;
    alerts["open"].as_array()?.iter().find(|alert| alert["rule"] == rule).cloned()
}

async fn until_there(stage: &Stage, rule: &str) -> Value {
    eventually(&format!("the alert {rule}"), async || alert(stage, rule).await).await
}

fn machine(root: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Whole, or not at all: the service reads while this writes.
        let new = path.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, &path).unwrap();
    }
}

fn psi(percent: u32) -> String {
    format!(
        "some avg10=0.00 avg60=99.00 avg300=0.00 total=9\nfull avg10=0.00 avg60={percent}.00 avg300=0.00 total=9\n"
    )
}

/// [N6] Figures of the machine are troubles as grave as they are, seen at once and told when they last; without PSI nothing is.
#[tokio::test(flavor = "multi_thread")]
async fn the_machines_figures_are_alerts_that_have_to_last() {
    let stage = stage().relay(honest()).start().await;
    let root = &stage.folder.path().join(HOST_ROOT);
    let mut looks = std::collections::BTreeSet::new();
    eventually("three looks", async || {
        looks.insert(stage.ops_json("/api/v1/alerts").await["at"].as_i64().unwrap());
        (looks.len() > 3).then_some(())
    })
    .await;
    for rule in ["cpu_high", "memory_low", "memory_stalls", "io_stalls"] {
        assert_eq!(alert(&stage, rule).await, None, "a machine that says nothing is well");
    }
    machine(root, &[("proc/pressure/memory", &psi(12)), ("proc/pressure/io", &psi(21))]);
    let memory = until_there(&stage, "memory_stalls").await;
    assert_eq!((&memory["severity"], &memory["phase"]), (&json!("P2"), &json!("pending")), "{memory}");
    assert!(memory.to_string().contains("In 12 % of the last minute"), "{memory}");
    assert_eq!(until_there(&stage, "io_stalls").await["severity"], json!("P3"));
    assert_eq!(stage.metric("relaymux_host_stalled_ratio{resource=\"memory\"}").await, Some(0.12));
    machine(root, &[("proc/pressure/memory", &psi(1)), ("proc/pressure/io", &psi(1))]);
    eventually("what did not last to be gone", async || {
        (alert(&stage, "memory_stalls").await.is_none() && alert(&stage, "io_stalls").await.is_none())
            .then_some(())
    })
    .await;
}

/// [N7] A certificate is told before it ends and when it cannot be read; a secret when it is older than its owner wants.
#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_end_and_old_secrets_are_told() {
    let mut params = rcgen::CertificateParams::new(vec!["box.example".to_owned()]).unwrap();
    params.not_after = in_days(2).into();
    let soon = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem();
    params.not_after = in_days(90).into();
    let late = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem();
    let mut stage = stage()
        .relay(honest())
        .file("soon.pem", &soon)
        .file("late.pem", &late)
        .file("hook.url", "http://127.0.0.1:9/x")
        .section(
            "[alerts]\ncertificates = [\"soon.pem\", \"late.pem\", \"gone.pem\"]\nsecret_max_age = \"365d\"\n\
             [[alerts.channels]]\nid = \"ops\"\nkind = \"webhook\"\nurl_file = \"hook.url\"\n\
             [[alerts.escalation]]\nseverity = \"P1\"\ncontacts = [\"ops\"]\n",
        )
        .start()
        .await;
    let of = async |stage: &Stage, file: &str| {
        let alerts = stage.ops_json("/api/v1/alerts?state=open").await;
        let open = alerts["open"].as_array().unwrap().clone();
        open.into_iter()
            .find(|alert| alert["subject"].as_str().is_some_and(|subject| subject.ends_with(file)))
    };
    let soon = eventually("the certificate that ends", async || of(&stage, "soon.pem").await).await;
    assert_eq!((&soon["rule"], &soon["severity"]), (&json!("certificate_expires"), &json!("P2")), "{soon}");
    let gone = eventually("the certificate that is not there", async || of(&stage, "gone.pem").await).await;
    assert_eq!(gone["severity"], json!("P3"));
    assert_eq!((of(&stage, "late.pem").await, of(&stage, "hook.url").await), (None, None));
    let file = std::fs::File::options().write(true).open(stage.folder.path().join("hook.url")).unwrap();
    file.set_modified(in_days(-400)).unwrap();
    std::fs::write(stage.folder.path().join("soon.pem"), &late).unwrap();
    stage.start_again().await;
    let secret = eventually("the old secret", async || of(&stage, "hook.url").await).await;
    assert_eq!((&secret["rule"], &secret["severity"]), (&json!("secret_old"), &json!("P4")), "{secret}");
    eventually("the renewed certificate to be well", async || {
        of(&stage, "soon.pem").await.is_none().then_some(())
    })
    .await;
}

/// [N8] A client under a fork's floor is told once, and is over with its update.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_a_fork_leaves_behind_is_told_until_it_is_updated() {
    let stage = stage()
        .slot_secs(2)
        .relay(honest())
        .with_beacon(|node| "Lighthouse/v8.2.9-9e12c21/x86_64-linux".clone_into(&mut node.version))
        .section("[[alerts.client_floors]]\nclient = \"lighthouse\"\nfork = \"fulu\"\nversion = \"8.3.0\"\n")
        .start()
        .await;
    let alert_there = until_there(&stage, "client_too_old").await;
    assert_eq!((&alert_there["subject"], &alert_there["severity"]), (&json!("beacon"), &json!("P2")));
    assert!(
        alert_there.to_string().contains("lighthouse 8.2.9, and the fork fulu needs 8.3.0 or newer"),
        "{alert_there}"
    );
    stage.beacon().behave(|node| "Lighthouse/v8.3.0-abcdef0/x86_64-linux".clone_into(&mut node.version));
    eventually("the update to be seen", async || {
        let alert = alert(&stage, "client_too_old").await;
        alert.is_none_or(|alert| alert["phase"] == "resolved").then_some(())
    })
    .await;
}
