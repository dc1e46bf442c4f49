//! Relays and sets of validators, of which mev-boost's YAML and Commit-Boost's TOML say nearly the same in nearly the same words.

use toml::{Table, Value};

use super::Imported;

/// Keys of a relay that mean the same in all files.
const SAME_KEYS: [&str; 4] = ["url", "headers", "get_params", "get_header"];
/// Shortest time between two requests of a timing game here.
const MIN_FREQUENCY_MS: i64 = 10;

/// A name for a relay from its host, unlike those before.
pub(super) fn relay_id(url: &str, taken: &mut Vec<String>) -> String {
    let host = url.rsplit('@').next().unwrap_or(url);
    let host = host.split("://").last().unwrap_or(host);
    let host = host.split(['/', '?']).next().unwrap_or(host);
    free_name(host, "relay", taken)
}

/// A name of letters that a name may have, unlike those before.
fn free_name(wanted: &str, fallback: &str, taken: &mut Vec<String>) -> String {
    let base: String = wanted
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '-' })
        .take(56)
        .collect();
    let base = if base.is_empty() { fallback.to_owned() } else { base };
    let mut id = base.clone();
    let mut n = 2;
    while taken.contains(&id) {
        id = format!("{base}-{n}");
        n += 1;
    }
    taken.push(id.clone());
    id
}

/// A relay's entry.
pub(super) fn relay_entry(out: &mut Imported, theirs: &Table, taken: &mut Vec<String>) -> Table {
    let url = theirs.get("url").and_then(Value::as_str).unwrap_or_default().trim();
    let mut entry = Table::new();
    let id = match theirs.get("id").and_then(Value::as_str).filter(|id| !id.is_empty()) {
        Some(theirs) => {
            let id = free_name(theirs, "relay", taken);
            if id != theirs {
                out.note(format!("relay `{theirs}` is named {id} here"));
            }
            id
        }
        None => relay_id(url, taken),
    };
    entry.insert("id".to_owned(), Value::from(id.clone()));
    for (key, value) in theirs {
        match key.as_str() {
            "id"
            | "enable_timing_games"
            | "target_first_request_ms"
            | "frequency_get_header_ms"
            | "frequency_getheader_ms" => {}
            "url" => {
                entry.insert("url".to_owned(), Value::from(url));
            }
            key if SAME_KEYS.contains(&key) => {
                entry.insert(key.to_owned(), value.clone());
            }
            "validator_registration_batch_size" => {
                entry.insert("max_registrations_per_request".to_owned(), value.clone());
            }
            other => out.note(format!("relay {id}: {other} = {value} has no equivalent")),
        }
    }
    timing_games(out, theirs, &id, &mut entry);
    entry
}

/// Timing games, where they are switched on and there is something to play with.
fn timing_games(out: &mut Imported, theirs: &Table, id: &str, entry: &mut Table) {
    if theirs.get("enable_timing_games").and_then(Value::as_bool) != Some(true) {
        return;
    }
    let millis = |keys: &[&str]| {
        let value = keys.iter().find_map(|key| theirs.get(*key)).and_then(Value::as_integer);
        value.filter(|ms| *ms > 0)
    };
    let first = millis(&["target_first_request_ms"]);
    let every = millis(&["frequency_get_header_ms", "frequency_getheader_ms"]);
    if first.is_none() && every.is_none() {
        out.note(format!("relay {id}: enable_timing_games without times is nothing to play with: left out"));
        return;
    }
    entry.insert("enable_timing_games".to_owned(), Value::from(true));
    if let Some(first) = first {
        entry.insert("target_first_request_ms".to_owned(), Value::from(first));
    }
    if let Some(every) = every {
        if every < MIN_FREQUENCY_MS {
            out.note(format!(
                "relay {id}: frequency_get_header_ms = {every} is too short: {MIN_FREQUENCY_MS} is written"
            ));
        }
        entry.insert("frequency_get_header_ms".to_owned(), Value::from(every.max(MIN_FREQUENCY_MS)));
    }
    out.note(format!(
        "relay {id}: timing games keep the highest bid that verifies; keep = \"latest\" takes the last as it was before"
    ));
}

/// Adds a relay, unless one with its address is there; gives the name of the one that is.
pub(super) fn add_relay(
    out: &mut Imported,
    relay: &Table,
    sets_only: bool,
    taken: &mut Vec<String>,
) -> String {
    let url = relay.get("url").and_then(Value::as_str).unwrap_or_default();
    if let Some(name) = named(out, url) {
        return name;
    }
    let mut entry = relay_entry(out, relay, taken);
    if sets_only {
        entry.insert("sets_only".to_owned(), Value::from(true));
    }
    let name = entry.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    out.push("relays", entry);
    name
}

/// The name of the relay with an address, if there is one.
fn named(out: &Imported, url: &str) -> Option<String> {
    let known = out.table.get("relays").and_then(Value::as_array).into_iter().flatten();
    let known = known.filter_map(Value::as_table).find(|known| {
        known.get("url").and_then(Value::as_str).is_some_and(|known| is_same_address(known, url))
    });
    known.and_then(|known| known.get("id")).and_then(Value::as_str).map(str::to_owned)
}

/// Whether two relay URLs are one address: a slash at the end or the host's case make no difference.
fn is_same_address(one: &str, other: &str) -> bool {
    match (crate::relay::parse_relay_url(one), crate::relay::parse_relay_url(other)) {
        (Ok((one, _)), Ok((other, _))) => one == other,
        _ => one.trim() == other.trim(),
    }
}

/// Validators with relays of their own.
pub(super) fn mux(out: &mut Imported, theirs: &Table, taken: &mut Vec<String>) {
    let mut set = Table::new();
    let theirs_id = theirs.get("id").and_then(Value::as_str).unwrap_or("mux");
    let mut ids: Vec<String> = set_names(out);
    let id = free_name(theirs_id, "mux", &mut ids);
    set.insert("id".to_owned(), Value::from(id.clone()));
    let relays = theirs.get("relays").and_then(Value::as_array).into_iter().flatten();
    let mut names: Vec<Value> = Vec::new();
    for relay in relays.filter_map(Value::as_table) {
        let name = Value::from(add_relay(out, relay, true, taken));
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if !names.is_empty() {
        set.insert("relays".to_owned(), Value::Array(names));
    }
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
    let has_keys = set.get("pubkeys").and_then(Value::as_array).is_some_and(|keys| !keys.is_empty());
    if has_keys
        || set.contains_key("pubkeys_file")
        || set.contains_key("pubkeys_url")
        || set.contains_key("loader")
    {
        out.push("proposers", set);
    } else {
        let text = toml::to_string(&set).unwrap_or_default();
        out.note(format!(
            "mux {id} has no validators that could be carried over; with them it is:\n[[proposers]]\n{text}"
        ));
    }
}

fn set_names(out: &Imported) -> Vec<String> {
    let sets = out.table.get("proposers").and_then(Value::as_array).into_iter().flatten();
    sets.filter_map(|set| set.get("id")).filter_map(Value::as_str).map(str::to_owned).collect()
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
    let registry = value.get("registry").and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
    let operator = value.get("node_operator_id").and_then(Value::as_integer);
    let is_mainnet = matches!(out.table.get("network").and_then(Value::as_str), None | Some("mainnet"));
    if let ("ssv", Some(operator), true) = (registry.as_str(), operator, is_mainnet) {
        let mut loader = Table::new();
        loader.insert("kind".to_owned(), Value::from("ssv"));
        loader.insert("operator_id".to_owned(), Value::from(operator));
        set.insert("loader".to_owned(), Value::Table(loader));
        return;
    }
    let registry = if registry.is_empty() { "an unknown registry" } else { registry.as_str() };
    out.note(format!(
        "mux {id}: loader of {registry}: write loader = {{ kind = \"{registry}\", … }} with the node's address and the contract's, see \
         docs/configuration.md"
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relays_are_named_after_their_hosts() {
        let mut taken = Vec::new();
        let mut id = |url: &str| relay_id(url, &mut taken);
        assert_eq!(id("https://0xab@relay.example.org"), "relay.example.org");
        assert_eq!(id("https://0xcd@relay.example.org/path?id=x"), "relay.example.org-2");
        assert_eq!(id("0xab@127.0.0.1:8080"), "127.0.0.1-8080");
    }

    #[test]
    fn timing_games_are_carried_over_where_there_is_something_to_play_with() {
        for (theirs, want) in [
            (
                "enable_timing_games = true\ntarget_first_request_ms = 200",
                "enable_timing_games = true\ntarget_first_request_ms = 200",
            ),
            (
                "enable_timing_games = true\nfrequency_getheader_ms = 3",
                "enable_timing_games = true\nfrequency_get_header_ms = 10",
            ),
            ("enable_timing_games = true\ntarget_first_request_ms = 0", ""),
            ("enable_timing_games = false\nfrequency_get_header_ms = 1", ""),
            ("", ""),
        ] {
            let (theirs, mut entry): (Table, Table) = (toml::from_str(theirs).unwrap(), Table::new());
            timing_games(&mut Imported::default(), &theirs, "a", &mut entry);
            assert_eq!(entry, toml::from_str(want).unwrap(), "{theirs}");
        }
    }
}
