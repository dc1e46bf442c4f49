//! What people write: `relaymux`'s own configuration, the environment, chain specs, key lists, and rivals' files.

use std::path::Path;

use relaymux::{
    app::alert_rules,
    config::{Config, ImportError, Imported, import_commit_boost, import_vouch, parse_key_list},
    consensus::parse_spec_file,
};
use serde_json::json;

use super::fate::Fate;
use crate::corpus;

/// What a text is read as.
#[derive(Clone, Debug)]
pub(crate) enum Reader {
    /// A chain's specification.
    Spec,
    /// Keys of validators.
    Keys,
    /// A rival's file.
    CommitBoost,
    /// A rival's file.
    Vouch,
    /// `relays.toml`, with a variable of the environment perhaps.
    Own(Option<(String, String)>),
}

/// Variables of the environment that mean a key, a section, a list, or nothing.
pub(crate) const VARIABLES: [&str; 9] = [
    "DATA_DIR",
    "NETWORK",
    "AUCTION__MIN_BID_ETH",
    "OPS__LISTEN",
    "RELAYS",
    "PORT",
    "AUCTION",
    "RELAYS__0__URL",
    "__",
];

pub(crate) const KEY: &str =
    "0xac6e77dfe25ecd6110b8e780608cce0dab71fdd5ebea22a16c0205200f2f8e2e3ad3b71d3499c54ad14d6c21b41a37ae";

/// Sections that the shipped file leaves out.
const MORE: &str = r#"
[trust]
half_life_days = 7
quarantine_secs = 600
[profit]
[[builders]]
id = "b"
extra_data = "b.*"
weight_factor = 90
[[proposers]]
id = "p"
pubkeys = ["0xac6e77dfe25ecd6110b8e780608cce0dab71fdd5ebea22a16c0205200f2f8e2e3ad3b71d3499c54ad14d6c21b41a37ae"]
relays = ["flashbots"]
min_bid_eth = "0.01"
[proposers.terms.flashbots]
weight_factor = 100
weight_offset_eth = "-0.01"
[resources]
reserve_memory = "2GiB"
docker_host = "tcp://127.0.0.1:2375"
[[nodes]]
id = "geth"
kind = "geth"
rpc_url = "http://127.0.0.1:8545"
image = "ethereum/client-go:v1.16.7"
limits = { memory = "8GiB", cpus = 3.0, cpuset = "0-3", pids = 4096 }
data = "/nowhere/geth"
jwt_file = "/nowhere/jwt.hex"
user = "1000:1000"
env = { GOGC = "50" }
stop_grace = "5m"
"#;

pub(crate) const SPEC: &str = "CONFIG_NAME: devnet\nPRESET_BASE: minimal\nDEPOSIT_CHAIN_ID: 1337\nMIN_GENESIS_TIME: 1700000000\nGENESIS_DELAY: 10
GENESIS_FORK_VERSION: 0x10000038\nSECONDS_PER_SLOT: 6\nBELLATRIX_FORK_EPOCH: 0\nBELLATRIX_FORK_VERSION: 0x30000038
CAPELLA_FORK_EPOCH: 0\nCAPELLA_FORK_VERSION: 0x40000038\nDENEB_FORK_EPOCH: 0\nDENEB_FORK_VERSION: 0x50000038
ELECTRA_FORK_EPOCH: 1\nELECTRA_FORK_VERSION: 0x60000038\nFULU_FORK_EPOCH: 18446744073709551615\nFULU_FORK_VERSION: 0x70000038\n";

pub(crate) fn texts() -> Vec<Vec<u8>> {
    let shipped = String::from_utf8(corpus::file("relays.toml")).unwrap();
    vec![shipped.clone().into_bytes(), format!("{shipped}{MORE}").into_bytes()]
}

pub(crate) fn commit_boost() -> Vec<Vec<u8>> {
    let text = format!(
        "chain = \"Hoodi\"\n[pbs]\nport = 18550\ntimeout_get_header_ms = 950\nmin_bid_eth = 0.0\n[[relays]]\nid = \"a\"\n\
         url = \"https://{KEY}@relay.example\"\nenable_timing_games = true\ntarget_first_request_ms = 200\nfrequency_get_header_ms = 300\n\
         [[mux]]\nid = \"m\"\nvalidator_pubkeys = [\"{KEY}\"]\ntimeout_get_header_ms = 900\n[[mux.relays]]\nid = \"b\"\n\
         url = \"https://{KEY}@other.example\"\n"
    );
    vec![text.into_bytes()]
}

pub(crate) fn vouch() -> Vec<Vec<u8>> {
    let file = json!({ "version": 2, "fee_recipient": "0x0000000000000000000000000000000000000001", "gas_limit": "60000000",
        "relays": { "https://relay.example": { "public_key": KEY, "grace": "500", "min_value": "0.1" } },
        "proposers": [{ "proposer": KEY, "fee_recipient": "0x0000000000000000000000000000000000000002",
        "relays": { "https://other.example": { "public_key": KEY } } }] });
    vec![file.to_string().into_bytes()]
}

fn own_file(text: &str, environment: Option<&(String, String)>) -> Fate {
    let environment: Vec<(String, String)> =
        environment.iter().map(|(name, value)| (format!("RELAYMUX_{name}"), value.clone())).collect();
    let path = Path::new(crate::REPOSITORY).join("relays.toml");
    match Config::parse(text, &path, &environment, &alert_rules()) {
        // What is said points into the text, whatever is in its lines.
        Err(error) => {
            assert!(!error.to_string().is_empty());
            Fate::Refused
        }
        Ok(config) => {
            let again = Config::parse(text, &path, &environment, &alert_rules()).unwrap();
            assert_eq!(config.needs_restart(&again), Vec::<&str>::new(), "a file that did not change");
            assert_eq!(config.relays.len(), again.relays.len());
            Fate::Decoded
        }
    }
}

/// What is made of a rival's file is TOML that says what it was made of.
fn assert_imported(imported: Result<Imported, ImportError>) -> Fate {
    let Ok(imported) = imported else { return Fate::Refused };
    let text = imported.to_text("somewhere");
    let again: toml::Table = toml::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(again, imported.table);
    Fate::Decoded
}

fn keys(text: &str) -> Fate {
    let Ok(keys) = parse_key_list(text) else { return Fate::Refused };
    let lines: Vec<String> = keys.iter().map(ToString::to_string).collect();
    assert_eq!(parse_key_list(&lines.join("\n")).unwrap(), keys);
    Fate::Decoded
}

pub(crate) fn check(reader: &Reader, text: &str) -> Fate {
    match reader {
        Reader::Spec => {
            let spec = parse_spec_file(text);
            assert_eq!(spec.is_ok(), parse_spec_file(text).is_ok());
            spec.is_ok().into()
        }
        Reader::Keys => keys(text),
        Reader::CommitBoost => assert_imported(import_commit_boost(text)),
        Reader::Vouch => assert_imported(import_vouch(text)),
        Reader::Own(environment) => own_file(text, environment.as_ref()),
    }
}
