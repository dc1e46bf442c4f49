//! A newcomer's first hour: what is said about mistakes, what Kubernetes and mev-boost set, what a terminal shows.

use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use relaymux::{
    consensus::{Network, parse_spec_file},
    relay::{TlsRoots, build_http_client},
    sim::{SimProposer, SimRelay, SimRelayParts},
    types::Slot,
};
use serde_json::Value;

use crate::stage::{PARENT, binary, eventually, honest, spec_yaml};

const KEY: &str =
    "0xac6e77dfe25ecd6110b8e780608cce0dab71fdd5ebea22a16c0205200f2f8e2e3ad3b71d3499c54ad14d6c21b41a37ae";

fn relay() -> String {
    format!("[[relays]]\nid = \"flashbots\"\nurl = \"https://{KEY}@boost-relay.flashbots.net\"\n")
}

fn run_in(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    binary().current_dir(folder).args(arguments).envs(environment.iter().copied()).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8([output.stdout.clone(), output.stderr.clone()].concat()).unwrap()
}

/// Runs `check --offline` on a text; gives exit code and what it said.
fn check(text: &str, environment: &[(&str, &str)]) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("relays.toml"), text).unwrap();
    let output = run_in(folder.path(), &["check", "--offline"], environment);
    (output.status.code().unwrap(), said(&output))
}

/// A wrong type, an unknown key, a value out of range and a wrong reference: none hides another, and all stand in the file's order.
#[test]
fn all_mistakes_come_at_once_in_the_files_order() {
    let text = format!(
        "netwrok = \"mainnet\"\n[auction]\ntimeout_get_header_ms = \"fast\"\nlate_in_slot_time_ms = 99999\n{}colour = \"red\"\n\
         [[proposers]]\npubkeys = [\"0x12\"]\nrelays = [\"nobody\"]\n",
        relay()
    );
    let (code, words) = check(&text, &[("RELAYMUX_AUCTION__MIN_BID", "1")]);
    assert_eq!(code, 2, "{words}");
    let mut from = 0;
    for part in [
        "relays.toml:1:1: netwrok: unknown key",
        " 1 | netwrok = \"mainnet\"\n   | ^^^^^^^\n",
        "relays.toml:3:25: auction.timeout_get_header_ms: invalid type",
        "relays.toml:4:24: auction.late_in_slot_time_ms: 99999 ms is not within a slot",
        "relays.toml:8:1: relays[0].colour: unknown key",
        "relays.toml:10:12: proposers[0].pubkeys[0]:",
        "relays.toml:11:11: proposers[0].relays[0]: there is no relay `nobody`",
        "environment variable RELAYMUX_AUCTION__MIN_BID: [auction] has no key `min_bid`",
    ] {
        let at = words[from..].find(part);
        from += at.unwrap_or_else(|| panic!("{part} is not in its place in:\n{words}"));
    }
    assert!(!words.contains("there are no relays") && !words.contains("no proposers"), "{words}");
}

#[test]
fn what_toml_itself_refuses_is_said_all_at_once() {
    let (code, words) = check(&format!("a = \nb = 1\nb = 2\n{}", relay()), &[]);
    assert_eq!(code, 2);
    assert!(words.contains("relays.toml:1:") && words.contains("relays.toml:3:1"), "{words}");
}

#[test]
fn variables_that_kubernetes_sets_do_not_stop_the_start_and_nearly_keys_do() {
    let kubernetes = [
        ("RELAYMUX_PORT", "tcp://10.0.0.1:18550"),
        ("RELAYMUX_PORT_18550_TCP", "tcp://10.0.0.1:18550"),
        ("RELAYMUX_PORT_18550_TCP_ADDR", "10.0.0.1"),
        ("RELAYMUX_PORT_18550_TCP_PROTO", "tcp"),
        ("RELAYMUX_SERVICE_HOST", "10.0.0.1"),
        ("RELAYMUX_SERVICE_PORT", "18550"),
    ];
    let (code, words) = check(&relay(), &kubernetes);
    assert_eq!(code, 0, "{words}");
    for (name, _) in kubernetes {
        assert!(words.contains(name), "{name} is not named in:\n{words}");
    }
    for (name, value, hint) in [
        ("RELAYMUX_AUCTION__MIN_BID", "0.1", "RELAYMUX_AUCTION__MIN_BID_ETH"),
        ("RELAYMUX_AUCTION_MIN_BID_ETH", "0.1", "RELAYMUX_AUCTION__MIN_BID_ETH"),
        ("RELAYMUX_NETWROK", "hoodi", "RELAYMUX_NETWORK"),
        ("RELAYMUX_AUCTION__MIN_BID_ETH", "lots", "0.05"),
        ("RELAYMUX_AUCTION__LATE_IN_SLOT_TIME_MS", "500", "too late"),
        ("RELAYMUX_OPS__LISTEN", "127.0.0.1:18550", "port of its own"),
    ] {
        let (code, words) =
            check(&format!("[auction]\ntimeout_get_header_ms = 900\n{}", relay()), &[(name, value)]);
        assert_eq!(code, 2, "{name}: {words}");
        assert!(words.contains(&format!("environment variable {name}: ")) && words.contains(hint), "{words}");
        assert!(!words.contains("relays.toml:"), "blamed on the file:\n{words}");
    }
}

#[test]
fn combinations_that_cannot_work_are_mistakes_and_odd_ones_are_warnings() {
    let second = relay().replace("flashbots\"", "second\"").replace("boost-relay", "other");
    let relay = relay();
    for (text, code, part) in [
        (
            format!("[ops]\nlisten = \"127.0.0.1:18550\"\n{relay}"),
            2,
            "relays.toml:2:10: ops.listen: 127.0.0.1:18550 is taken",
        ),
        (format!("[ops]\nlisten = \"0.0.0.0:18550\"\n{relay}"), 2, "is taken by builder_api.listen"),
        (format!("[ops]\nlisten = \"0.0.0.0:18551\"\n{relay}"), 0, "can be reached from other machines"),
        (format!("{relay}{second}"), 0, "relays flashbots and second have one public key"),
        (relay.replace("https://", "http://"), 0, "http:// to another network"),
        (format!("[auction]\nmin_bid_eth = \"50\"\n{relay}"), 0, "amounts are in ETH"),
        (format!("{relay}sets_only = true\n"), 0, "it is never asked"),
        (format!("[builder_api]\nmax_block_bytes = 0\n{relay}"), 2, "0 would refuse everything"),
        (
            format!("{relay}enable_timing_games = true\ntarget_first_request_ms = 2500\n"),
            0,
            "not below late_in_slot_time_ms",
        ),
        (
            format!(
                "{relay}{}enabled = false\n[[proposers]]\npubkeys = [\"{KEY}\"]\nrelays = [\"second\"]\n",
                second
            ),
            0,
            "none of its relays is enabled",
        ),
        (format!("[tls]\nroots_file = \"gone.pem\"\n{relay}"), 2, "tls.roots_file"),
    ] {
        let (got, words) = check(&text, &[]);
        let flat = words.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(got, code, "{text}\n{words}");
        assert!(flat.contains(part), "{part} is not in:\n{words}");
    }
}

#[test]
fn data_dir_is_relative_to_the_file_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("etc")).unwrap();
    std::fs::write(folder.path().join("etc/relays.toml"), format!("data_dir = \"state\"\n{}", relay()))
        .unwrap();
    let data_dir = |environment: &[(&str, &str)]| {
        let arguments = ["check", "--offline", "--json", "--config", "etc/relays.toml"];
        let output = run_in(folder.path(), &arguments, environment);
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["data_dir"].as_str().unwrap().to_owned()
    };
    assert_eq!(data_dir(&[]), "etc/state");
    assert_eq!(data_dir(&[("RELAYMUX_DATA_DIR", "here")]), "here");
    std::fs::write(folder.path().join("etc/relays.toml"), relay()).unwrap();
    assert_eq!(data_dir(&[]), "etc/data");
    assert_eq!(data_dir(&[("STATE_DIRECTORY", "/var/lib/relaymux")]), "/var/lib/relaymux");
}

#[test]
fn check_tells_of_each_relay_and_everything_as_json() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let folder = tempfile::tempdir().unwrap();
    let text = format!("[[relays]]\nid = \"gone\"\nurl = \"http://{KEY}@{address}\"\n");
    std::fs::write(folder.path().join("relays.toml"), text).unwrap();
    let output = run_in(folder.path(), &["check", "--json"], &[]);
    assert_eq!(output.status.code(), Some(1));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&found["sound"], &found["ok"]), (&true.into(), &false.into()));
    assert_eq!((&found["relays"][0]["id"], &found["relays"][0]["state"]), (&"gone".into(), &"failed".into()));
    assert!(!found.to_string().contains(KEY), "{found}");
    std::fs::write(folder.path().join("relays.toml"), "netwrok = 1\n").unwrap();
    let output = run_in(folder.path(), &["check", "--json"], &[]);
    assert_eq!(output.status.code(), Some(2));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&found["sound"], &found["mistakes"][0]["line"]), (&false.into(), &1.into()));
    assert_eq!(found["mistakes"][0]["key"], "netwrok");
}

/// One relay never answers: the other's line is there long before that is known.
#[tokio::test(flavor = "multi_thread")]
async fn a_relay_has_its_line_as_soon_as_it_answers() {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let relay =
        SimRelay::start(SimRelayParts { spec: Network::Mainnet.spec(), seed: 1, behaviour: honest() })
            .await
            .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "[[relays]]\nid = \"silent\"\nurl = \"http://{KEY}@{}\"\n[[relays]]\nid = \"quick\"\nurl = \"{}\"\n",
        silent.local_addr().unwrap(),
        relay.url()
    );
    std::fs::write(folder.path().join("relays.toml"), text).unwrap();
    let mut command = binary();
    command.current_dir(folder.path()).arg("check").stdout(Stdio::piped());
    let mut child = tokio::process::Command::from(command).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    loop {
        let line = lines.next_line().await.unwrap().expect("a line about the quick relay");
        assert!(!line.contains("silent") || line.contains("sound"), "{line}");
        if line.starts_with("ok ") && line.contains("quick") {
            break;
        }
    }
    assert!(child.try_wait().unwrap().is_none(), "the check ended before its line about the silent relay");
}

#[test]
fn a_closed_pipe_is_silent() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("relays.toml"), relay()).unwrap();
    let url = format!("https://{KEY}@boost-relay.flashbots.net");
    for arguments in [
        &["check", "--offline"][..],
        &["check", "--offline", "--json"],
        &["check", "--offline", "--proposer", KEY],
        &["import", "mev-boost", "-relay", &url],
        &["-help"],
        &["-version"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = binary()
            .current_dir(folder.path())
            .args(arguments)
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
        assert_eq!(output.status.code(), Some(141), "{arguments:?}");
    }
}

/// Prose is for whoever reads it and stays in one line; tables and help have the width of a terminal.
#[test]
fn tables_and_help_fit_80_columns() {
    let folder = tempfile::tempdir().unwrap();
    let second =
        relay().replace("flashbots\"", "second-relay-of-the-same-operator\"").replace("boost-relay", "other");
    let timing = "enable_timing_games = true\ntarget_first_request_ms = 200\nfrequency_get_header_ms = 100\nmin_bid_eth = \"0.123456789\"\n";
    std::fs::write(folder.path().join("relays.toml"), format!("{}{second}{timing}", relay())).unwrap();
    for arguments in [
        &["check", "--offline", "--proposer", KEY][..],
        &["-help"],
        &["run", "-help"],
        &["check", "-help"],
        &["report", "-help"],
        &["import", "--help"],
    ] {
        let output = run_in(folder.path(), arguments, &[("COLUMNS", "80")]);
        let words = String::from_utf8(output.stdout).unwrap();
        let is_prose = |line: &str| {
            line.contains(KEY) || line.starts_with("warning: ") || line.starts_with("relays.toml: ")
        };
        for line in words.lines().filter(|line| !is_prose(line)) {
            assert!(line.chars().count() <= 80, "{arguments:?}: {} columns: {line}", line.chars().count());
        }
    }
}

#[test]
fn help_and_version_are_taken_in_gos_spelling() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in
        [&["-version"][..], &["--version"], &["-mainnet", "-relays", "x", "-version"], &["run", "-version"]]
    {
        let output = run_in(folder.path(), arguments, &[("RELAYS", "x")]);
        assert!(output.status.success(), "{arguments:?}");
        assert_eq!(said(&output), format!("relaymux {}\n", env!("CARGO_PKG_VERSION")));
    }
    assert!(said(&run_in(folder.path(), &["-help"], &[])).contains("Usage: relaymux <COMMAND>"));
    assert!(said(&run_in(folder.path(), &["run", "-help"], &[])).contains("--ports-file"));
    let output = run_in(folder.path(), &["run", "--log", "loud"], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("no level"), "{}", said(&output));
    // With mev-boost's flags, too: nothing is logged by a level that is none.
    let url = format!("https://{KEY}@boost-relay.flashbots.net");
    for (arguments, environment) in [
        (vec!["-relay", &url, "--log", "loud"], vec![]),
        (vec!["-relay", &url], vec![("RELAYMUX_LOG", "loud")]),
    ] {
        let output = run_in(folder.path(), &arguments, &environment);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains("`loud` is no level"), "{}", said(&output));
    }
}

/// More people read a log than the file.
#[test]
fn no_line_with_a_password_is_shown() {
    for text in [
        "[execution]\nurl = \"ftp://me:s3cret@node:8545\"\n",
        "[execution]\nurl = \"http://me:s3cret@node:8545\n",
        "execution = \"http://me:s3cret@node:8545\"\n",
        "[tls]\nproxi = \"http://me:s3cret@proxy\"\n",
    ] {
        let (code, words) = check(&format!("{text}{}", relay()), &[]);
        assert_eq!(code, 2, "{words}");
        assert!(words.contains("relays.toml:") && !words.contains("s3cret"), "{words}");
    }
}

struct Started {
    child: Child,
    folder: tempfile::TempDir,
    ports: Value,
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts the service by mev-boost's flags and waits until it is up.
async fn start(folder: tempfile::TempDir, arguments: &[&str], environment: &[(&str, &str)]) -> Started {
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let ports = folder.path().join("ports.json");
    let mut command: Command = binary();
    command
        .current_dir(folder.path())
        .args(arguments)
        .arg("--ports-file")
        .arg(&ports)
        .envs(environment.iter().copied())
        .env("STATE_DIRECTORY", folder.path().join("state"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    let mut child = command.spawn().unwrap();
    let ports = eventually("the service to come up", async || {
        let log = || std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        assert!(child.try_wait().unwrap().is_none(), "the service ended: {}", log());
        serde_json::from_slice(&std::fs::read(&ports).ok()?).ok()
    })
    .await;
    Started { child, folder, ports }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_ops_port_does_not_keep_the_builder_api_from_mev_boosts_flags() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let url = format!("https://{KEY}@boost-relay.flashbots.net");
    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        "-relay",
        &url,
        "-addr",
        "localhost:0",
        "-metrics",
        "-metrics-addr",
        &address,
        "-loglevel",
        "warning",
    ];
    let started = start(folder, &arguments, &[]).await;
    let http = build_http_client(&TlsRoots::Bundled, None).unwrap();
    let status = format!("http://{}/eth/v1/builder/status", started.ports["builder"].as_str().unwrap());
    assert_eq!(http.get(status).send().await.unwrap().status(), 200);
    let log = std::fs::read_to_string(started.folder.path().join("log")).unwrap();
    assert!(log.contains(&address) && log.contains("go to a free port"), "{log}");
    assert!(!log.contains(" INFO "), "-loglevel warning: {log}");
    let metrics = format!("http://{}/metrics", started.ports["ops"].as_str().unwrap());
    assert_eq!(http.get(metrics).send().await.unwrap().status(), 200);
}

/// The genesis flags make that chain: a relay of that chain is believed, and the slot is counted from its genesis.
#[tokio::test(flavor = "multi_thread")]
async fn genesis_flags_make_that_chain_or_end_with_2() {
    let yaml = spec_yaml(relaymux::types::Fork::Fulu, 12, "mainnet");
    let spec = parse_spec_file(&yaml).unwrap();
    let relay =
        SimRelay::start(SimRelayParts { spec: spec.clone(), seed: 1, behaviour: honest() }).await.unwrap();
    let genesis = spec.genesis_time.to_string();
    let url = relay.url();
    let arguments = [
        "-relay",
        &url,
        "-addr",
        "localhost:0",
        "-genesis-fork-version",
        "0x00000001",
        "-genesis-timestamp",
        &genesis,
        "-request-timeout-getheader",
        "1900",
    ];
    let started =
        start(tempfile::tempdir().unwrap(), &arguments, &[("RELAYMUX_OPS__LISTEN", "127.0.0.1:0")]).await;
    let http = build_http_client(&TlsRoots::Bundled, None).unwrap();
    let builder = format!("http://{}", started.ports["builder"].as_str().unwrap());
    let slot = Slot::new(spec.clock().slot_at(relaymux::consensus::WallClock::system().now()).as_u64() + 1);
    let proposer = SimProposer::new(spec, builder, http, 1, relaymux::consensus::Encoding::Ssz);
    let bid = proposer.get_header(slot, PARENT, std::time::Duration::from_secs(20)).await.unwrap();
    let log = std::fs::read_to_string(started.folder.path().join("log")).unwrap();
    assert!(bid.is_some(), "no bid:\n{log}");
    assert!(log.contains("network=\"custom\"") || log.contains("network=custom"), "{log}");
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &["-relay", &url, "-genesis-fork-version", "0x12345678"][..],
        &["-relay", &url, "-genesis-timestamp", "1700000000"],
        &["-relay", &url, "-hoodi", "-genesis-fork-version", "0x90000069"],
        &["-relay", &url, "-genesis-fork-version", "nonsense", "-genesis-timestamp", "1700000000"],
    ] {
        let output = run_in(folder.path(), arguments, &[]);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", said(&output));
    }
}
