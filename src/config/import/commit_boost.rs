//! Commit-Boost's configuration file.

use toml::{Table, Value};

use super::{ImportError, Imported, relay_id};

/// Keys of a relay that mean the same in both files.
const RELAY_KEYS: [&str; 7] = [
    "url",
    "headers",
    "get_params",
    "get_header",
    "enable_timing_games",
    "target_first_request_ms",
    "frequency_get_header_ms",
];
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
            "chain" => chain(&mut out, value),
            "pbs" => pbs(&mut out, value),
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
    Ok(out)
}

fn chain(out: &mut Imported, value: &Value) {
    match value {
        Value::String(name) => out.set("", "network", name.to_ascii_lowercase()),
        _ => {
            let path = value.get("path").and_then(Value::as_str);
            if let Some(path) = path {
                out.set("", "network", path);
            }
            out.note("chain: a chain of its own is named by the path of its config.yaml, in `network`");
        }
    }
}

fn pbs(out: &mut Imported, value: &Value) {
    let Some(pbs) = value.as_table() else { return };
    let host = pbs.get("host").and_then(Value::as_str);
    let port = pbs.get("port").and_then(Value::as_integer);
    if host.is_some() || port.is_some() {
        out.set(
            "builder_api",
            "listen",
            format!("{}:{}", host.unwrap_or("127.0.0.1"), port.unwrap_or(18550)),
        );
    }
    for (key, value) in pbs {
        match key.as_str() {
            "host" | "port" => {}
            "relay_check" => out.set("builder_api", "relay_check", value.clone()),
            "min_bid_eth" => out.set("auction", "min_bid_eth", eth(value)),
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
}

/// Amounts are texts here: a float has no exact digits.
fn eth(value: &Value) -> Value {
    value.as_float().map_or_else(|| value.clone(), |float| Value::from(float.to_string()))
}

fn relay_entry(out: &mut Imported, theirs: &Table, taken: &mut Vec<String>) -> Table {
    let url = theirs.get("url").and_then(Value::as_str).unwrap_or_default();
    let mut entry = Table::new();
    let id = match theirs.get("id").and_then(Value::as_str) {
        Some(id) => {
            taken.push(id.to_owned());
            id.to_owned()
        }
        None => relay_id(url, taken),
    };
    entry.insert("id".to_owned(), Value::from(id.clone()));
    for (key, value) in theirs {
        match key.as_str() {
            "id" => {}
            key if RELAY_KEYS.contains(&key) => {
                entry.insert(key.to_owned(), value.clone());
            }
            "validator_registration_batch_size" => {
                entry.insert("max_registrations_per_request".to_owned(), value.clone());
            }
            other => out.note(format!("relay {id}: {other} = {value} has no equivalent")),
        }
    }
    if entry.get("enable_timing_games").and_then(Value::as_bool) == Some(true) {
        out.note(format!("relay {id}: timing games keep the highest bid that verifies; keep = \"latest\" takes the last as Commit-Boost does"));
    }
    entry
}

fn mux(out: &mut Imported, theirs: &Table, taken: &mut Vec<String>) {
    let mut set = Table::new();
    let id = theirs.get("id").and_then(Value::as_str).unwrap_or("mux").to_owned();
    let mut names = Vec::new();
    for relay in
        theirs.get("relays").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_table)
    {
        let url = relay.get("url").and_then(Value::as_str);
        let known = out.table.get("relays").and_then(Value::as_array).into_iter().flatten();
        let known =
            known.filter_map(Value::as_table).find(|known| known.get("url").and_then(Value::as_str) == url);
        let name = match known.and_then(|known| known.get("id")).and_then(Value::as_str) {
            Some(name) => name.to_owned(),
            None => {
                let mut entry = relay_entry(out, relay, taken);
                // Of this set alone, as there.
                entry.insert("sets_only".to_owned(), Value::from(true));
                let name = entry.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
                out.push("relays", entry);
                name
            }
        };
        names.push(Value::from(name));
    }
    set.insert("id".to_owned(), Value::from(id.clone()));
    set.insert("relays".to_owned(), Value::Array(names));
    for (key, value) in theirs {
        match key.as_str() {
            "id" | "relays" => {}
            "validator_pubkeys" => {
                set.insert("pubkeys".to_owned(), value.clone());
            }
            "timeout_get_header_ms" | "late_in_slot_time_ms" => {
                set.insert(key.clone(), value.clone());
            }
            "loader" => loader(out, &id, value, &mut set),
            other => out.note(format!("mux {id}: {other} = {value} has no equivalent")),
        }
    }
    out.push("proposers", set);
}

fn loader(out: &mut Imported, id: &str, value: &Value, set: &mut Table) {
    if let Some(path) = value.as_str() {
        set.insert("pubkeys_file".to_owned(), Value::from(path));
        return;
    }
    if let Some(url) = value.get("url").and_then(Value::as_str) {
        set.insert("pubkeys_url".to_owned(), Value::from(url));
        return;
    }
    let registry = value.get("registry").and_then(Value::as_str).unwrap_or("an unknown registry");
    out.note(format!(
        "mux {id}: loader of {registry}: write loader = {{ kind = \"{registry}\", … }} with the node's address and the contract's, see \
         docs/configuration.md"
    ));
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
