//! What people write: `relaymux`'s own configuration, the environment, chain specs, key lists, and rivals' files.

use std::path::Path;

use rand::{Rng, rngs::StdRng, seq::IndexedRandom};
use relaymux::{
    config::{Config, ImportError, Imported, import_commit_boost, import_vouch, parse_key_list},
    consensus::parse_spec_file,
};
use serde_json::json;

use crate::{
    corpus,
    harness::{Fate, run},
    mutate,
};

const KEY: &str =
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
"#;

const SPEC: &str = "CONFIG_NAME: devnet\nPRESET_BASE: minimal\nDEPOSIT_CHAIN_ID: 1337\nMIN_GENESIS_TIME: 1700000000\nGENESIS_DELAY: 10
GENESIS_FORK_VERSION: 0x10000038\nSECONDS_PER_SLOT: 6\nBELLATRIX_FORK_EPOCH: 0\nBELLATRIX_FORK_VERSION: 0x30000038
CAPELLA_FORK_EPOCH: 0\nCAPELLA_FORK_VERSION: 0x40000038\nDENEB_FORK_EPOCH: 0\nDENEB_FORK_VERSION: 0x50000038
ELECTRA_FORK_EPOCH: 1\nELECTRA_FORK_VERSION: 0x60000038\nFULU_FORK_EPOCH: 18446744073709551615\nFULU_FORK_VERSION: 0x70000038\n";

fn texts() -> Vec<Vec<u8>> {
    let shipped = String::from_utf8(corpus::file("relays.toml")).unwrap();
    vec![shipped.clone().into_bytes(), format!("{shipped}{MORE}").into_bytes()]
}

fn commit_boost() -> Vec<Vec<u8>> {
    let text = format!(
        "chain = \"Hoodi\"\n[pbs]\nport = 18550\ntimeout_get_header_ms = 950\nmin_bid_eth = 0.0\n[[relays]]\nid = \"a\"\n\
         url = \"https://{KEY}@relay.example\"\nenable_timing_games = true\ntarget_first_request_ms = 200\nfrequency_get_header_ms = 300\n\
         [[mux]]\nid = \"m\"\nvalidator_pubkeys = [\"{KEY}\"]\ntimeout_get_header_ms = 900\n[[mux.relays]]\nid = \"b\"\n\
         url = \"https://{KEY}@other.example\"\n"
    );
    vec![text.into_bytes()]
}

fn vouch() -> Vec<Vec<u8>> {
    let file = json!({ "version": 2, "fee_recipient": "0x0000000000000000000000000000000000000001", "gas_limit": "60000000",
        "relays": { "https://relay.example": { "public_key": KEY, "grace": "500", "min_value": "0.1" } },
        "proposers": [{ "proposer": KEY, "fee_recipient": "0x0000000000000000000000000000000000000002",
        "relays": { "https://other.example": { "public_key": KEY } } }] });
    vec![file.to_string().into_bytes()]
}

fn own_file(random: &mut StdRng, texts: &[Vec<u8>]) -> Fate {
    let seed = String::from_utf8(texts.choose(random).unwrap().clone()).unwrap();
    let text = mutate::lines(random, &seed, texts);
    let mut environment = Vec::new();
    if random.random_ratio(1, 4) {
        let names = [
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
        let value = mutate::bytes(random, b"127.0.0.1:18551", texts);
        let value = String::from_utf8_lossy(&value).replace('\0', "");
        environment.push((format!("RELAYMUX_{}", names.choose(random).unwrap()), value));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("relays.toml");
    match Config::parse(&text, &path, &environment) {
        // What is said points into the text, whatever is in its lines.
        Err(error) => {
            assert!(!error.to_string().is_empty());
            Fate::Refused
        }
        Ok(config) => {
            let again = Config::parse(&text, &path, &environment).unwrap();
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

#[test]
fn config() {
    let (own, commit_boost, vouch) = (texts(), commit_boost(), vouch());
    // Seeds that do not read would make every case a refusal.
    assert!(
        assert_imported(import_commit_boost(std::str::from_utf8(&commit_boost[0]).unwrap())) == Fate::Decoded
    );
    assert!(assert_imported(import_vouch(std::str::from_utf8(&vouch[0]).unwrap())) == Fate::Decoded);
    assert!(parse_spec_file(SPEC).is_ok());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("relays.toml");
    for text in &own {
        Config::parse(std::str::from_utf8(text).unwrap(), &path, &[])
            .unwrap_or_else(|error| panic!("{error}"));
    }
    run("config", |random| match random.random_range(0..8) {
        0 => {
            let text = mutate::lines(random, SPEC, &[]);
            let spec = parse_spec_file(&text);
            assert_eq!(spec.is_ok(), parse_spec_file(&text).is_ok());
            spec.is_ok().into()
        }
        1 => {
            let list = json!([KEY, KEY.trim_start_matches("0x")]).to_string().into_bytes();
            let text = if random.random() {
                mutate::json(random, &list, &own)
            } else {
                mutate::lines(random, &format!("{KEY} # first\n\n{KEY}\n"), &own).into_bytes()
            };
            let Ok(keys) = parse_key_list(&String::from_utf8_lossy(&text)) else { return Fate::Refused };
            let lines: Vec<String> = keys.iter().map(ToString::to_string).collect();
            assert_eq!(parse_key_list(&lines.join("\n")).unwrap(), keys);
            Fate::Decoded
        }
        2 => {
            let seed = String::from_utf8(commit_boost[0].clone()).unwrap();
            assert_imported(import_commit_boost(&mutate::lines(random, &seed, &own)))
        }
        3 => {
            let text = mutate::json(random, &vouch[0], &vouch);
            assert_imported(import_vouch(&String::from_utf8_lossy(&text)))
        }
        _ => own_file(random, &own),
    });
}
