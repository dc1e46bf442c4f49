//! Reads Vouch's execution configuration, version 2, for `import`: default relays, and proposers with values of their own.

use serde_json::Value as Json;
use toml::{Table, Value};

use super::{ImportError, Imported, eth_text, relays::relay_id};

/// Turns the text of a Vouch execution configuration into a configuration of ours.
///
/// # Errors
/// When it is not JSON of version 2, or a relay has no key.
pub fn import_vouch(text: &str) -> Result<Imported, ImportError> {
    let theirs: Json = serde_json::from_str(text).map_err(|error| ImportError::Syntax(error.to_string()))?;
    if theirs.get("version").and_then(Json::as_u64) != Some(2) {
        return Err(ImportError::Syntax("expected an execution configuration of version 2".to_owned()));
    }
    let mut out = Imported::default();
    let mut known: Vec<(String, String)> = Vec::new();
    let mut taken = Vec::new();
    for (key, value) in theirs.as_object().into_iter().flatten() {
        match key.as_str() {
            "version" | "relays" | "proposers" => {}
            "min_value" => out.set("auction", "min_bid_eth", eth(value)?),
            "fee_recipient" | "gas_limit" => {
                out.note(format!(
                    "{key}: registrations are signed by the validator client, which says it there"
                ));
            }
            "grace" => out.note(grace_note("everybody")),
            other => out.note(format!("{other} has no equivalent")),
        }
    }
    for (url, relay) in theirs.get("relays").and_then(Json::as_object).into_iter().flatten() {
        let entry = relay_entry(&mut out, url, relay, false, &mut known, &mut taken)?;
        out.push("relays", entry);
    }
    let proposers = theirs.get("proposers").and_then(Json::as_array).into_iter().flatten();
    for (index, proposer) in proposers.enumerate() {
        self::proposer(&mut out, index, proposer, &mut known, &mut taken)?;
    }
    Ok(out)
}

fn eth(value: &Json) -> Result<String, ImportError> {
    eth_text("min_value", &value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

fn grace_note(whose: &str) -> String {
    format!(
        "grace of {whose}: a relay is held back to a time in the slot here, by enable_timing_games and target_first_request_ms"
    )
}

fn relay_entry(
    out: &mut Imported,
    url: &str,
    relay: &Json,
    sets_only: bool,
    known: &mut Vec<(String, String)>,
    taken: &mut Vec<String>,
) -> Result<Table, ImportError> {
    let id = relay_id(url, taken);
    known.push((url.to_owned(), id.clone()));
    let mut entry = Table::new();
    entry.insert("id".to_owned(), Value::from(id.clone()));
    let with_key = match (url.contains('@'), relay.get("public_key").and_then(Json::as_str)) {
        (true, _) => url.to_owned(),
        (false, Some(key)) => url.replacen("://", &format!("://{key}@"), 1),
        (false, None) => {
            let reason = "has no public_key: its bids could not be checked".to_owned();
            return Err(ImportError::Value { what: format!("relay {url}"), reason });
        }
    };
    entry.insert("url".to_owned(), Value::from(with_key));
    if sets_only {
        entry.insert("sets_only".to_owned(), Value::from(true));
    }
    for (key, value) in relay.as_object().into_iter().flatten() {
        match key.as_str() {
            "public_key" => {}
            "min_value" => {
                entry.insert("min_bid_eth".to_owned(), Value::from(eth(value)?));
            }
            "grace" => out.note(grace_note(&id)),
            other => {
                out.note(format!("relay {id}: {other} has no equivalent: it is in the signed registration"))
            }
        }
    }
    Ok(entry)
}

fn proposer(
    out: &mut Imported,
    index: usize,
    theirs: &Json,
    known: &mut Vec<(String, String)>,
    taken: &mut Vec<String>,
) -> Result<(), ImportError> {
    let who = theirs.get("proposer").and_then(Json::as_str).unwrap_or_default();
    let mut set = Table::new();
    set.insert("id".to_owned(), Value::from(format!("vouch-{index}")));
    let is_key = who.len() == 98 && who.starts_with("0x");
    let list = Value::Array(vec![Value::from(who)]);
    set.insert(if is_key { "pubkeys" } else { "labels" }.to_owned(), list);
    let (relays, terms) = proposer_relays(out, theirs, known, taken)?;
    if relays.is_empty() {
        let reason = "all its relays are disabled: a set without relays has no equivalent here".to_owned();
        return Err(ImportError::Value { what: format!("proposer {who}"), reason });
    }
    set.insert("relays".to_owned(), Value::Array(relays.into_iter().map(Value::from).collect()));
    if let Some(min) = theirs.get("min_value") {
        set.insert("min_bid_eth".to_owned(), Value::from(eth(min)?));
    }
    if theirs.get("grace").is_some() {
        out.note(grace_note(who));
    }
    for key in ["fee_recipient", "gas_limit"] {
        if theirs.get(key).is_some() {
            out.note(format!(
                "{key} of {who}: registrations are signed by the validator client, which says it there"
            ));
        }
    }
    if !terms.is_empty() {
        set.insert("terms".to_owned(), Value::Table(terms));
    }
    if is_key {
        out.push("proposers", set);
    } else {
        out.note(pattern_note(who, &set));
    }
    Ok(())
}

/// The relays of a proposer, and its own terms of them. Relays that only proposers name are added to the configuration.
fn proposer_relays(
    out: &mut Imported,
    theirs: &Json,
    known: &mut Vec<(String, String)>,
    taken: &mut Vec<String>,
) -> Result<(Vec<String>, Table), ImportError> {
    let reset = theirs.get("reset_relays").and_then(Json::as_bool) == Some(true);
    let mut relays: Vec<String> =
        if reset { Vec::new() } else { known.iter().map(|(_, id)| id.clone()).collect() };
    let mut terms = Table::new();
    for (url, relay) in theirs.get("relays").and_then(Json::as_object).into_iter().flatten() {
        let id = match known.iter().find(|(of, _)| of == url) {
            Some((_, id)) => id.clone(),
            None => {
                let entry = relay_entry(out, url, relay, true, known, taken)?;
                let id = entry.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
                out.push("relays", entry);
                id
            }
        };
        if relay.get("disabled").and_then(Json::as_bool) == Some(true) {
            relays.retain(|relay| *relay != id);
            continue;
        }
        if !relays.contains(&id) {
            relays.push(id.clone());
        }
        if let Some(min) = relay.get("min_value") {
            let mut own = Table::new();
            own.insert("min_bid_eth".to_owned(), Value::from(eth(min)?));
            terms.insert(id, Value::Table(own));
        }
    }
    Ok((relays, terms))
}

/// The names of accounts are not in Vouch's file: what they apply to has to be written down first.
fn pattern_note(who: &str, set: &Table) -> String {
    let text = toml::to_string(set).unwrap_or_default();
    let text = text.replace("[terms", "[proposers.terms");
    format!(
        "proposer `{who}` is a pattern of account names, which are not in this file: write labels.json, \
         {{\"0x<public key>\": \"Wallet/Account\"}}, and add\nproposer_labels_file = \"labels.json\" # above the first section\n[[proposers]]\n{text}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_configuration() {
        let key = format!("0x{}", "80".repeat(48));
        let text = format!(
            r#"{{
              "version": 2, "fee_recipient": "0x01", "min_value": "0.01", "grace": "1000",
              "relays": {{
                "https://a.example.org": {{ "public_key": "0xaa" }},
                "https://0xbb@b.example.org": {{ "min_value": "0.2" }}
              }},
              "proposers": [
                {{ "proposer": "{key}", "relays": {{ "https://a.example.org": {{ "disabled": true }} }} }},
                {{ "proposer": "^Wallet/.*$", "reset_relays": true, "min_value": "0.3",
                   "relays": {{ "https://c.example.org": {{ "public_key": "0xcc", "min_value": "0.4" }} }} }}
              ]
            }}"#
        );
        let out = import_vouch(&text).unwrap();
        assert_eq!(out.table["auction"]["min_bid_eth"].as_str(), Some("0.01"));
        // In the order of their names: a JSON object has none of its own.
        assert_eq!(out.table["relays"][0]["min_bid_eth"].as_str(), Some("0.2"));
        assert_eq!(out.table["relays"][1]["url"].as_str(), Some("https://0xaa@a.example.org"));
        assert_eq!(out.table["proposers"].as_array().map(Vec::len), Some(1));
        let first = &out.table["proposers"][0];
        assert_eq!(first["relays"], Value::Array(vec!["b.example.org".into()]));
        let pattern = out.notes.iter().find(|note| note.contains("labels.json")).unwrap();
        for part in [
            "relays = [\"c.example.org\"]",
            "[proposers.terms.\"c.example.org\"]",
            "min_bid_eth = \"0.4\"",
            "^Wallet/",
        ] {
            assert!(pattern.contains(part), "{part}\n{pattern}");
        }
        for said in ["fee_recipient", "grace of everybody", "labels.json"] {
            assert!(out.notes.iter().any(|note| note.contains(said)), "{said}: {:?}", out.notes);
        }
        let without_key = r#"{"version": 2, "relays": {"https://a.example.org": {}}}"#;
        assert!(import_vouch(without_key).unwrap_err().to_string().contains("no public_key"));
        assert!(import_vouch("{}").is_err());
    }
}
