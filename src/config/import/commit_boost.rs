//! Reads Commit-Boost's configuration file for `import`: relays, multiplexers, timing games. Its signer and modules have no equivalent.

use toml::{Table, Value};

use crate::consensus::Network;

use super::{
    ImportError, Imported, eth_text,
    relays::{mux, relay_entry},
    settle_all_times,
};

/// Keys of `[pbs]` that are `[auction]`'s here.
const AUCTION_KEYS: [&str; 5] = [
    "timeout_get_header_ms",
    "timeout_get_payload_ms",
    "timeout_register_validator_ms",
    "late_in_slot_time_ms",
    "min_bid_eth",
];

/// Turns the text of a Commit-Boost configuration into one of ours.
///
/// # Errors
/// When it is not TOML.
pub fn import_commit_boost(text: &str) -> Result<Imported, ImportError> {
    let theirs: Table = toml::from_str(text).map_err(|error| ImportError::Syntax(error.to_string()))?;
    let mut out = Imported::default();
    let mut taken = Vec::new();
    for (key, value) in &theirs {
        match key.as_str() {
            "chain" => chain(&mut out, value)?,
            "pbs" => pbs(&mut out, value)?,
            "relays" => {
                for relay in value.as_array().into_iter().flatten().filter_map(Value::as_table) {
                    let entry = relay_entry(&mut out, relay, &mut taken);
                    out.push("relays", entry);
                }
            }
            "mux" => {}
            other => out.note(format!("[{other}] has no equivalent")),
        }
    }
    for mux in theirs.get("mux").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_table) {
        self::mux(&mut out, mux, &mut taken);
    }
    settle_all_times(&mut out);
    Ok(out)
}

/// A name, a chain spec's path, or a chain by its genesis. Never another chain than the one that is named.
fn chain(out: &mut Imported, value: &Value) -> Result<(), ImportError> {
    if let Some(name) = value.as_str() {
        let lower = name.to_ascii_lowercase();
        let is_known = Network::ALL.into_iter().any(|network| network.name() == lower);
        // A path stays as it is written.
        out.set("", "network", if is_known { lower } else { name.to_owned() });
        return Ok(());
    }
    if let Some(path) = value.get("path").and_then(Value::as_str) {
        out.set("", "network", path);
        if value.get("genesis_time_secs").is_some() {
            out.note("chain: genesis_time_secs is not needed: the spec file says it, as GENESIS_TIME or MIN_GENESIS_TIME and GENESIS_DELAY");
        }
        return Ok(());
    }
    let needed = |key: &str| {
        value.get(key).cloned().ok_or_else(|| ImportError::Value {
            what: "chain".to_owned(),
            reason: format!("{key} is missing: the chain cannot be told without it"),
        })
    };
    let seconds_per_slot = value.get("slot_time_secs").and_then(Value::as_integer).unwrap_or(12);
    let mut network = Table::new();
    network.insert("genesis_time".to_owned(), needed("genesis_time_secs")?);
    network.insert("genesis_fork_version".to_owned(), needed("genesis_fork_version")?);
    network.insert("seconds_per_slot".to_owned(), Value::from(seconds_per_slot));
    if let Some(slot) = value.get("fulu_fork_slot").and_then(Value::as_integer) {
        network.insert("fulu_fork_epoch".to_owned(), Value::from(slot / 32));
    }
    if let Some(id) = value.get("chain_id") {
        network.insert("chain_id".to_owned(), id.clone());
    }
    out.set("", "network", Value::Table(network));
    Ok(())
}

fn pbs(out: &mut Imported, value: &Value) -> Result<(), ImportError> {
    let Some(pbs) = value.as_table() else { return Ok(()) };
    let host = pbs.get("host").and_then(Value::as_str);
    let port = pbs.get("port").and_then(Value::as_integer);
    if host.is_some() || port.is_some() {
        out.set("builder_api", "listen", listen(host.unwrap_or("127.0.0.1"), port.unwrap_or(18550)));
    }
    for (key, value) in pbs {
        match key.as_str() {
            "host" | "port" => {}
            "relay_check" => out.set("builder_api", "relay_check", value.clone()),
            "min_bid_eth" => out.set("auction", "min_bid_eth", eth(value)?),
            key if AUCTION_KEYS.contains(&key) => out.set("auction", key, value.clone()),
            "wait_all_registrations" => {
                out.note("wait_all_registrations: the client is answered at the first relay, the others are called all the same");
            }
            "skip_sigverify" if value.as_bool() == Some(true) => {
                out.note("skip_sigverify: signatures are always checked");
            }
            "skip_sigverify" => {}
            other => out.note(format!("[pbs] {other} = {value} has no equivalent")),
        }
    }
    Ok(())
}

/// An address of a host and a port; IPv6 in brackets.
fn listen(host: &str, port: i64) -> String {
    let host = host.replacen("localhost", "127.0.0.1", 1);
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// Amounts are texts here: a float has no exact digits.
fn eth(value: &Value) -> Result<String, ImportError> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    eth_text("[pbs] min_bid_eth", &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_file() {
        let text = r#"
            chain = "Hoodi"
            [pbs]
            port = 18560
            min_bid_eth = 0.05
            late_in_slot_time_ms = 2500
            skip_sigverify = true
            extra_validation_enabled = true
            [[relays]]
            id = "one"
            url = "https://0xaa@a.example.org"
            headers = { X-Key = "k" }
            enable_timing_games = true
            target_first_request_ms = 200
            [[mux]]
            id = "treasury"
            validator_pubkeys = ["0x01"]
            loader = { registry = "lido", node_operator_id = 8 }
            timeout_get_header_ms = 900
            [[mux.relays]]
            url = "https://0xaa@a.example.org"
            [[mux.relays]]
            url = "https://0xbb@b.example.org"
            [metrics]
            enabled = true
        "#;
        let out = import_commit_boost(text).unwrap();
        assert_eq!(out.table["network"].as_str(), Some("hoodi"));
        assert_eq!(out.table["builder_api"]["listen"].as_str(), Some("127.0.0.1:18560"));
        assert_eq!(out.table["auction"]["min_bid_eth"].as_str(), Some("0.05"));
        assert_eq!(out.table["relays"][0]["target_first_request_ms"].as_integer(), Some(200));
        assert_eq!(out.table["relays"][1]["sets_only"].as_bool(), Some(true));
        let set = &out.table["proposers"][0];
        assert_eq!(set["relays"], Value::Array(vec!["one".into(), "b.example.org".into()]));
        assert_eq!(set["timeout_get_header_ms"].as_integer(), Some(900));
        for said in ["skip_sigverify", "extra_validation_enabled", "lido", "[metrics]", "keep the highest"] {
            assert!(out.notes.iter().any(|note| note.contains(said)), "{said}: {:?}", out.notes);
        }
        assert!(import_commit_boost("chain =").is_err());
    }
}
