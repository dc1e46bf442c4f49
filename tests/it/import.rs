//! Coming from a rival: `relaymux import`, and mev-boost's own command line on `run`.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use relaymux::{
    consensus::Network,
    relay::{TlsRoots, build_http_client},
    sim::{SimRelay, SimRelayParts},
};

use crate::stage::{binary, eventually, honest};

const KEY: &str =
    "0xac6e77dfe25ecd6110b8e780608cce0dab71fdd5ebea22a16c0205200f2f8e2e3ad3b71d3499c54ad14d6c21b41a37ae";

fn import(folder: &Path, arguments: &[&str]) -> Output {
    binary().current_dir(folder).arg("import").args(arguments).env("MIN_BID_ETH", "0.07").output().unwrap()
}

/// What `import` writes is a configuration that `check` finds sound.
fn assert_sound(folder: &Path, output: &Output) -> String {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::write(folder.join("made.toml"), &text).unwrap();
    let check =
        binary().current_dir(folder).args(["check", "--offline", "--config", "made.toml"]).output().unwrap();
    assert!(check.status.success(), "{text}\n{}", String::from_utf8_lossy(&check.stderr));
    text
}

#[test]
fn what_is_imported_is_sound() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let url = format!("https://{KEY}@boost-relay.flashbots.net");
    let other = format!("https://{KEY}@other.example.org");
    let flags = [
        "mev-boost",
        "-hoodi",
        "-relay-check",
        "-relays",
        &url,
        "--relay",
        &other,
        "-request-max-retries",
        "3",
    ];
    let text = assert_sound(path, &import(path, &flags));
    for part in
        ["network = \"hoodi\"", "min_bid_eth = \"0.07\"", "# - -request-max-retries", "other.example.org"]
    {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let commit_boost = format!(
        "chain = \"Mainnet\"\n[pbs]\nport = 18550\nmin_bid_eth = 0.05\n[[relays]]\nid = \"fb\"\nurl = \"{url}\"\n\
         [[mux]]\nid = \"m\"\nvalidator_pubkeys = [\"{KEY}\"]\n[[mux.relays]]\nurl = \"{other}\"\n"
    );
    std::fs::write(path.join("cb-config.toml"), commit_boost).unwrap();
    let text = assert_sound(path, &import(path, &["commit-boost", "cb-config.toml"]));
    assert!(text.contains("[[proposers]]") && text.contains("sets_only = true"), "{text}");
    let vouch = serde_json::json!({
        "version": 2,
        "relays": { "https://boost-relay.flashbots.net": { "public_key": KEY, "min_value": "0.1" } },
        "proposers": [{ "proposer": KEY, "min_value": "0.3" }],
    });
    std::fs::write(path.join("vouch.json"), vouch.to_string()).unwrap();
    let text = assert_sound(path, &import(path, &["vouch", "vouch.json"]));
    assert!(text.contains("min_bid_eth = \"0.3\""), "{text}");
    for wrong in [
        &["mev-boost", "-nonsense"][..],
        &["vouch", "nothing.json"],
        &["vouch"],
        &["commit-boost", "vouch.json"],
    ] {
        let output = import(path, wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(!output.stderr.is_empty());
    }
}

/// [C7] A unit file only changes its binary: flags with one dash, and the environment.
#[tokio::test(flavor = "multi_thread")]
async fn the_service_starts_by_mev_boosts_own_command_line() {
    let spec = Network::Hoodi.spec();
    let relay = SimRelay::start(SimRelayParts { spec, seed: 1, behaviour: honest() }).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (state, ports) = (folder.path().join("state"), folder.path().join("ports.json"));
    let flags = |command: &mut Command| {
        command.args([
            "-hoodi",
            "-relay",
            &relay.url(),
            "-addr",
            "localhost:0",
            "-min-bid=0.01",
            "-loglevel",
            "debug",
        ]);
    };
    let variables = |command: &mut Command| {
        command
            .arg("run")
            .env("RELAYS", relay.url())
            .env("HOODI", "1")
            .env("BOOST_LISTEN_ADDR", "localhost:0");
    };
    let http = build_http_client(&TlsRoots::Bundled, None).unwrap();
    for start in [&flags as &dyn Fn(&mut Command), &variables] {
        let _ = std::fs::remove_file(&ports);
        let mut command = binary();
        start(&mut command);
        command
            .current_dir(folder.path())
            .env("STATE_DIRECTORY", &state)
            .env("RELAYMUX_OPS__LISTEN", "127.0.0.1:0");
        command
            .arg("--ports-file")
            .arg(&ports)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let builder = eventually("the service to come up", async || {
            assert!(child.try_wait().unwrap().is_none(), "the service ended");
            let ports: serde_json::Value = serde_json::from_slice(&std::fs::read(&ports).ok()?).ok()?;
            Some(ports["builder"].as_str().unwrap().to_owned())
        })
        .await;
        let status =
            http.get(format!("http://{builder}/eth/v1/builder/status")).send().await.unwrap().status();
        let _ = child.kill();
        let _ = child.wait();
        assert_eq!(status, 200);
        assert!(state.join("journal.db").exists());
    }
    for (arguments, said) in [
        (&["-mainnet", "-relay", "https://x.example.org"][..], "public key is missing"),
        (&["-relay-chek", "-relays", "x"], "-relay-chek"),
        (&["-mainnet", "-relays"], "needs a value"),
    ] {
        let output = binary().current_dir(folder.path()).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(words.contains(said), "{words}");
    }
}
