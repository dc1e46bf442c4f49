//! Commands, exit codes, and words about wrong configurations.

use std::{net::TcpListener, path::Path, process::Output};

use crate::stage::binary;

const KEY: &str =
    "0xac6e77dfe25ecd6110b8e780608cce0dab71fdd5ebea22a16c0205200f2f8e2e3ad3b71d3499c54ad14d6c21b41a37ae";

fn relay() -> String {
    format!("[[relays]]\nid = \"flashbots\"\nurl = \"https://{KEY}@boost-relay.flashbots.net\"\n")
}

fn run_in(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    binary().current_dir(folder).args(arguments).envs(environment.iter().copied()).output().unwrap()
}

/// Runs `check --offline` on a text; gives exit code and what it said.
fn check(text: &str, environment: &[(&str, &str)]) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("relays.toml"), text).unwrap();
    let output = run_in(folder.path(), &["check", "--offline"], environment);
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

/// [C1] Each mistake: exit 2, its place, its key, a hint.
#[test]
fn mistakes_are_named_with_place_and_hint() {
    let relay = relay();
    for (text, place, said) in [
        (String::new(), "relays.toml: ", "there are no relays"),
        (format!("{relay}enabled = false\n"), "relays.toml:1:", "no relay is enabled"),
        (format!("netwrok = \"mainnet\"\n{relay}"), "relays.toml:1:1", "did you mean `network`?"),
        (
            format!("[auction]\ntimeout_get_heder_ms = 5\n{relay}"),
            "relays.toml:2:1",
            "did you mean `timeout_get_header_ms`?",
        ),
        (format!("{relay}wieght = 2\n"), "relays.toml:4:1", "known keys here: id, url"),
        (format!("{relay}\n[[relays]]\nid = \"b\"\n"), "relays.toml:5:1", "url is missing"),
        (format!("network = \"goerli\"\n{relay}"), "relays.toml:1:11", "no known network"),
        (format!("[auction]\ntimeout_get_header_ms = 0\n{relay}"), "relays.toml:2:25", "timeout of 0"),
        (format!("[auction]\ntimeout_get_payload_ms = 0\n{relay}"), "relays.toml:2:26", "timeout of 0"),
        (
            format!("[auction]\ntimeout_get_header_ms = 2000\n{relay}"),
            "relays.toml:2:25",
            "not below late_in_slot_time_ms",
        ),
        (
            format!("[auction]\nlate_in_slot_time_ms = 12001\n{relay}"),
            "relays.toml:2:24",
            "not within a slot",
        ),
        (format!("[auction]\nmin_bid_eth = \"-1\"\n{relay}"), "relays.toml:2:15", "not a decimal amount"),
        (format!("[auction]\nmin_bid_eth = true\n{relay}"), "relays.toml:2:15", "decimal"),
        (format!("[auction]\ntimeout_get_header_ms = \"fast\"\n{relay}"), "relays.toml:2:25", "invalid type"),
        (format!("[builder_api]\nlisten = \"everywhere\"\n{relay}"), "relays.toml:2:10", "not an address"),
        (
            "[[relays]]\nid = \"x\"\nurl = \"https://foo.com\"\n".to_owned(),
            "relays.toml:3:7",
            "public key is missing",
        ),
        (relay.replace("0xac6e", "0xac6f"), "relays.toml:3:7", "not a valid BLS public key"),
        (relay.replace("flashbots\"", "flash bots\""), "relays.toml:2:6", "not a relay id"),
        (format!("{relay}{relay}"), "relays.toml:5:6", "used twice"),
        (format!("{relay}headers = {{ \"a b\" = \"c\" }}\n"), "relays.toml:4:", "not a header name"),
        (
            format!("{relay}get_header = \"carrier pigeon\"\n"),
            "relays.toml:4:14",
            "neither `http` nor `stream`",
        ),
        ("this is not toml".to_owned(), "relays.toml:1:", "not TOML"),
    ] {
        let (code, words) = check(&text, &[]);
        assert_eq!(code, 2, "{text}\n{words}");
        assert!(words.contains(place), "{place} is not in:\n{words}");
        assert!(words.contains(said), "{said} is not in:\n{words}");
        assert!(words.contains("hint: "), "{words}");
    }
}

/// [C2]
#[test]
fn every_mistake_is_named_at_once() {
    let text = format!("netwrok = \"x\"\n[auction]\nmin_bidd = 1\n{}colour = \"red\"\n", relay());
    let (code, words) = check(&text, &[]);
    assert_eq!(code, 2);
    for place in ["relays.toml:1:", "relays.toml:3:", "relays.toml:7:"] {
        assert!(words.contains(place), "{place} is not in:\n{words}");
    }
}

#[test]
fn the_environment_goes_over_the_file() {
    let late = format!("[auction]\nlate_in_slot_time_ms = 900\n{}", relay());
    assert_eq!(check(&late, &[]).0, 2);
    assert_eq!(check(&late, &[("RELAYMUX_AUCTION__LATE_IN_SLOT_TIME_MS", "2000")]).0, 0);
    assert_eq!(check(&late, &[("RELAYMUX_AUCTION__TIMEOUT_GET_HEADER_MS", "500")]).0, 0);
    let (code, words) = check(&relay(), &[("RELAYMUX_AUCTION__MIN_BID_ETH", "lots")]);
    assert_eq!(code, 2);
    assert!(words.contains("auction.min_bid_eth"), "{words}");
    let (code, words) =
        check(&relay(), &[("RELAYMUX_NETWORK", "hoodi"), ("RELAYMUX_AUCTION__MIN_BID_ETH", "0.05")]);
    assert_eq!(code, 0);
    assert!(words.contains("network hoodi"), "{words}");
    assert_eq!(check(&relay(), &[("RELAYMUX_RELAYS__0__ENABLED", "false")]).0, 2);
    assert_eq!(check(&relay(), &[("RELAYMUX_RELAYS__7__ENABLED", "false")]).0, 2);
}

/// [C3]
#[test]
fn legal_extremes_start() {
    for text in [
        format!("[auction]\nlate_in_slot_time_ms = 12000\n{}", relay()),
        format!("[auction]\nmin_bid_eth = 0.05\n{}", relay()),
        relay().replace("https", "http"),
        relay().replace("https://", ""),
        relay().replace("flashbots.net\"", "flashbots.net?id=me\""),
        relay().replace("id = \"flashbots\"\n", ""),
        // Two hosts may share a key, as Titan's do.
        format!("{}{}", relay(), relay().replace("flashbots\"", "second\"").replace("boost-relay", "other")),
    ] {
        let (code, words) = check(&text, &[]);
        assert_eq!(code, 0, "{text}\n{words}");
    }
}

#[test]
fn the_shipped_configuration_is_sound_and_every_section_of_the_contract_is_known() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = run_in(folder, &["check", "--offline"], &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let later = format!(
        "{}[rotation]\ncpu_high_percent = 85.0\n[sla]\ntarget_percent = 99.5\n[telemetry]\nx = 1\n",
        relay()
    );
    let (code, words) = check(&later, &[]);
    assert_eq!(code, 0);
    assert!(
        words.contains("[telemetry] has no effect in this version") && !words.contains("[sla]"),
        "{words}"
    );
}

/// The roadmap's machine cannot hold what no machine holds; a node that fits says so; nobody is asked, and no key is shown.
#[test]
fn check_shows_each_node_and_whether_all_fit() {
    let unit = |id: &str, kind: &str, memory: &str| {
        format!(
            "[[nodes]]\nid = \"{id}\"\nkind = \"{kind}\"\nunit = \"{id}.service\"\nrpc_url = \"http://k3y@127.0.0.1:{}\"\n\
             limits = {{ memory = \"{memory}\", cpus = 0.1 }}\n",
            8545 + id.len()
        )
    };
    let small = format!("{}{}", relay(), unit("indexer", "generic", "16MiB"));
    let (code, words) = check(&small, &[]);
    assert_eq!(code, 0, "{words}");
    assert!(
        words.contains(
            "node indexer: generic, unit indexer.service, attached to, never written, 16 MiB, 0.1 CPUs"
        ),
        "{words}"
    );
    assert!(words.contains("These nodes fit") && !words.contains("has no effect"), "{words}");
    let large =
        format!("{}{}{}", relay(), unit("geth", "geth", "8GiB"), unit("arbitrum", "nitro", "4000GiB"));
    let (code, words) = check(&large, &[]);
    assert_eq!(code, 0, "{words}");
    for part in ["node geth: geth", "kept for the system", "do not fit this machine", "A second layer needs"]
    {
        assert!(words.contains(part), "{part}: {words}");
    }
    assert!(!words.contains("k3y"), "{words}");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("relays.toml"), &large).unwrap();
    let output = run_in(folder.path(), &["check", "--offline", "--json"], &[]);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let nodes = &document["supervised"];
    assert_eq!((&nodes["admission"]["fits"], &nodes["nodes"][1]["kind"]), (&false.into(), &"nitro".into()));
}

/// [C1]
#[test]
fn run_refuses_a_bad_file_and_a_missing_one_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let missing = run_in(folder.path(), &["run", "--config", "nothing.toml"], &[]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("nothing.toml"));
    std::fs::write(folder.path().join("relays.toml"), "x = 1").unwrap();
    assert_eq!(run_in(folder.path(), &["run"], &[]).status.code(), Some(2));
}

/// [C6]
#[test]
fn a_taken_port_ends_the_process_and_names_the_address() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let text = format!("[builder_api]\nlisten = \"{address}\"\n[ops]\nlisten = \"127.0.0.1:0\"\n{}", relay());
    std::fs::write(folder.path().join("relays.toml"), text).unwrap();
    let output = run_in(folder.path(), &["run"], &[]);
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(words.contains(&address), "{words}");
}

#[test]
fn check_calls_each_relay_unless_offline() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let folder = tempfile::tempdir().unwrap();
    let text = format!("[[relays]]\nid = \"gone\"\nurl = \"http://{KEY}@{address}\"\n");
    std::fs::write(folder.path().join("relays.toml"), text).unwrap();
    let output = run_in(folder.path(), &["check"], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("no connection"));
}
