//! The firewall on a real kernel, in network namespaces of the tests' own. Needs root, nftables and iproute2: `scripts/firewall/run` sees to that.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "it fails by panicking, speaks to itself, and works beside real processes and their time"
)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod world;

use std::process::Command;

use world::{CONTAINER, FOR_OPERATORS, FOR_STRANGERS, World, eventually};

/// No test: what this program does in the other namespaces.
#[test]
#[ignore = "a part of the other tests"]
fn role() {
    world::play();
}

/// Each way to a closed port: published, published under another number, by the container's own address, and a listener of the machine.
fn closed_ways() -> [String; 4] {
    [
        format!("{FOR_STRANGERS}:8545"),
        format!("{FOR_STRANGERS}:18545"),
        format!("{CONTAINER}:8545"),
        format!("{FOR_STRANGERS}:8551"),
    ]
}

#[test]
fn rpc_is_closed_to_strangers_and_open_to_the_operator_also_behind_docker() {
    let world = World::new();
    let open = [
        format!("{FOR_OPERATORS}:8545"),
        format!("{FOR_OPERATORS}:18545"),
        format!("{FOR_OPERATORS}:8551"),
        format!("{FOR_STRANGERS}:30303"),
        format!("{FOR_STRANGERS}:9000"),
    ];
    for way in closed_ways().iter().chain(&open) {
        assert!(world.reaches(way), "{way} is not reached without a firewall: the test shows nothing");
    }
    let others = world.table("ip", "docker_like").unwrap();
    let output = world.apply();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("kept: the rules stay"), "{output:?}");
    for way in &closed_ways() {
        assert!(!world.reaches(way), "{way} is open to strangers");
    }
    for way in &open {
        assert!(world.reaches(way), "{way} is closed");
    }
    assert_eq!(world.table("ip", "docker_like").unwrap(), others, "another table was touched");

    // Once more: the same.
    let first = world.ours().unwrap();
    assert!(world.apply().status.success());
    assert_eq!(world.ours().unwrap(), first);

    // What nft lists can be loaded again, as /etc/nftables.conf is written by many.
    let listed = world.folder().join("listed.nft");
    std::fs::write(&listed, format!("delete table inet relaymux\n{first}")).unwrap();
    world.inside("host", "nft", &["-c", "-f", listed.to_str().unwrap()]);

    let removed = world.relaymux(&["remove"]).output().unwrap();
    assert!(removed.status.success(), "{removed:?}");
    assert_eq!(world.ours(), None);
    assert!(world.reaches(&closed_ways()[0]));
    assert_eq!(world.table("ip", "docker_like").unwrap(), others);
    assert!(
        world.relaymux(&["remove"]).output().unwrap().status.success(),
        "it is gone already, and that is well"
    );
}

#[test]
fn an_open_connection_stays_open() {
    let world = World::new();
    let mut behind_docker = world.connection(&format!("{FOR_STRANGERS}:8545"));
    let mut on_the_machine = world.connection(&format!("{FOR_STRANGERS}:8551"));
    assert!(behind_docker.answers() && on_the_machine.answers());
    assert!(world.apply().status.success());
    assert!(!world.reaches(&closed_ways()[0]) && !world.reaches(&closed_ways()[3]));
    assert!(behind_docker.answers() && on_the_machine.answers());
}

#[test]
fn without_a_confirmation_what_was_before_comes_back() {
    let world = World::new();
    let apply = ["apply", "--confirm-within", "2s", "--json"];
    let output = world.relaymux(&apply).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["state"], "reverted");
    assert_eq!(world.ours(), None);
    assert!(world.reaches(&closed_ways()[0]));

    // Before was another ruleset of ours: that one comes back.
    assert!(world.apply().status.success());
    let before = world.ours().unwrap();
    let path = world.folder().join("relays.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{config}closed_ports = [7777]\n")).unwrap();
    assert_eq!(world.relaymux(&apply).output().unwrap().status.code(), Some(1));
    assert_eq!(world.ours().unwrap(), before);

    let late = world.relaymux(&["confirm"]).output().unwrap();
    assert_eq!(late.status.code(), Some(1), "{late:?}");
    assert!(String::from_utf8_lossy(&late.stderr).contains("too late"), "{late:?}");
}

#[test]
fn our_death_keeps_no_rules_in_place() {
    let world = World::new();
    let mut apply = world.relaymux(&["apply", "--confirm-within", "3s"]).spawn().unwrap();
    eventually("the rules", || world.ours().is_some());
    apply.kill().unwrap();
    apply.wait().unwrap();
    assert!(!world.reaches(&closed_ways()[0]));
    eventually("what was before", || world.ours().is_none());
    assert!(world.reaches(&closed_ways()[0]));
}

#[test]
fn whoever_ends_the_guard_ends_the_trial() {
    let world = World::new();
    let mut apply = world.relaymux(&["apply", "--confirm-within", "5m"]).spawn().unwrap();
    eventually("the rules", || world.ours().is_some());
    assert!(Command::new("kill").args(["-HUP", &world.guard()]).status().unwrap().success());
    assert!(Command::new("kill").args(["-TERM", &world.guard()]).status().unwrap().success());
    assert_eq!(apply.wait().unwrap().code(), Some(1));
    assert_eq!(world.ours(), None);

    // Killed so that it can do nothing any more, it leaves its work to the next one.
    let mut apply = world.relaymux(&["apply", "--confirm-within", "5m"]).spawn().unwrap();
    eventually("the rules", || world.ours().is_some());
    assert!(Command::new("kill").args(["-KILL", &world.guard()]).status().unwrap().success());
    apply.kill().unwrap();
    apply.wait().unwrap();
    let output = world.apply();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("taken back first"), "{output:?}");
    assert!(world.relaymux(&["remove"]).output().unwrap().status.success());
}

#[test]
fn a_confirmation_from_elsewhere_keeps_the_rules() {
    let world = World::new();
    let apply = world.relaymux(&["apply", "--confirm-within", "1m", "--json"]).spawn().unwrap();
    eventually("the rules", || world.ours().is_some());
    let second = world.relaymux(&["apply"]).output().unwrap();
    assert_eq!(second.status.code(), Some(1), "{second:?}");
    assert!(String::from_utf8_lossy(&second.stderr).contains("waits to be confirmed already"), "{second:?}");
    let guard = world.guard();
    let confirmed = world.relaymux(&["confirm"]).output().unwrap();
    assert!(confirmed.status.success(), "{confirmed:?}");
    let output = apply.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["state"], "kept");
    eventually("the guard's end", || {
        let status = std::fs::read_to_string(format!("/proc/{guard}/status")).unwrap_or_default();
        !status.contains("State:") || status.contains("State:\tZ")
    });
    assert!(world.ours().is_some());
    assert_eq!(
        world.relaymux(&["confirm"]).output().unwrap().status.code(),
        Some(1),
        "nothing waits any more"
    );
}

#[test]
fn rules_that_would_cut_us_off_are_not_loaded() {
    let world = World::new();
    let ssh = "10.77.0.2 50000 10.77.0.1 8551";
    for (ssh, is_cut) in [(ssh, true), ("192.168.77.2 50000 192.168.77.1 8551", false)] {
        let apply = ["apply", "--confirm-within", "1s"];
        let output = world.relaymux(&apply).env("SSH_CONNECTION", ssh).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(words.contains("close to you"), is_cut, "{words}");
        assert_eq!(world.ours(), None);
    }
}

#[test]
fn a_plan_changes_nothing() {
    let world = World::new();
    let output = world.relaymux(&["plan"]).output().unwrap();
    let words = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && words.contains("nft would load it"), "{output:?}");
    let ruleset = world.relaymux(&["plan", "--ruleset"]).output().unwrap().stdout;
    let path = world.folder().join("plan.nft");
    std::fs::write(&path, ruleset).unwrap();
    assert_eq!(world.ours(), None);
    world.inside("host", "nft", &["-f", path.to_str().unwrap()]);
    assert!(!world.reaches(&closed_ways()[0]));
}

#[test]
fn the_golden_ruleset_is_one_that_nft_takes() {
    let world = World::new();
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/firewall/ruleset.nft");
    world.inside("host", "nft", &["-c", "-f", golden]);
}
