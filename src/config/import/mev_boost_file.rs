//! The files that mev-boost is configured by: the YAML of `-config`, and files of environment variables.

use std::collections::BTreeMap;

use serde::{Deserialize, de::IgnoredAny};
use toml::{Table, Value};

use super::ImportError;

/// mev-boost's YAML. Read as text where YAML could take a key for a number.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct File {
    timeout_get_header_ms: Option<i64>,
    late_in_slot_time_ms: Option<i64>,
    relays: Vec<FileRelay>,
    mux: Vec<FileMux>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FileRelay {
    url: String,
    id: Option<String>,
    enable_timing_games: Option<bool>,
    target_first_request_ms: Option<i64>,
    /// Older versions spell it without the second underscore.
    #[serde(alias = "frequency_getheader_ms")]
    frequency_get_header_ms: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FileMux {
    id: Option<String>,
    validator_pubkeys: Vec<String>,
    timeout_get_header_ms: Option<i64>,
    late_in_slot_time_ms: Option<i64>,
    relays: Vec<FileRelay>,
}

/// What a YAML file says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct MevBoostFile {
    pub(super) timeout_get_header_ms: Option<i64>,
    pub(super) late_in_slot_time_ms: Option<i64>,
    /// Relays, as tables of the same keys.
    pub(super) relays: Vec<Table>,
    /// Sets of validators, as tables of the same keys.
    pub(super) muxes: Vec<Table>,
    /// Keys that nobody knows, by their paths: `relays[0].colour`.
    pub(super) unknown: Vec<String>,
}

/// Reads the YAML of `-config`.
///
/// # Errors
/// When it is not YAML of that shape.
pub(super) fn parse_yaml(name: &str, text: &str) -> Result<MevBoostFile, ImportError> {
    let syntax = |error: &dyn std::fmt::Display| {
        let first = error.to_string().lines().next().unwrap_or_default().to_owned();
        ImportError::Syntax(format!("{name}: not mev-boost's YAML: {first}"))
    };
    let file: File = serde_saphyr::from_str(text).map_err(|error| syntax(&error))?;
    Ok(MevBoostFile {
        timeout_get_header_ms: file.timeout_get_header_ms,
        late_in_slot_time_ms: file.late_in_slot_time_ms,
        relays: file.relays.iter().map(relay).collect(),
        muxes: file.mux.iter().map(mux).collect(),
        unknown: unknown_keys(text),
    })
}

/// The names of a table's keys.
type Names = BTreeMap<String, IgnoredAny>;

/// The names of all keys of a file. They are read apart from the values: to hold what it does not know yet, serde would read every value
/// as YAML likes to, and a public key without quotes as a number.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct InnerNames {
    relays: Vec<Names>,
    mux: Vec<InnerNames>,
}

/// Keys that nobody knows, by their paths.
fn unknown_keys(text: &str) -> Vec<String> {
    const TOP: [&str; 4] = ["timeout_get_header_ms", "late_in_slot_time_ms", "relays", "mux"];
    const RELAY: [&str; 6] = [
        "url",
        "id",
        "enable_timing_games",
        "target_first_request_ms",
        "frequency_get_header_ms",
        "frequency_getheader_ms",
    ];
    const MUX: [&str; 5] =
        ["id", "validator_pubkeys", "timeout_get_header_ms", "late_in_slot_time_ms", "relays"];
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct MuxNames {
        mux: Vec<Names>,
    }
    let mut unknown = Vec::new();
    let mut look = |path: &str, names: &Names, known: &[&str]| {
        let strange = names.keys().filter(|name| !known.contains(&name.as_str()));
        unknown.extend(strange.map(|name| format!("{path}{name}")));
    };
    // What does not parse here did not parse before, and was said.
    look("", &serde_saphyr::from_str::<Names>(text).unwrap_or_default(), &TOP);
    let inner = serde_saphyr::from_str::<InnerNames>(text).unwrap_or_default();
    for (n, relay) in inner.relays.iter().enumerate() {
        look(&format!("relays[{n}]."), relay, &RELAY);
    }
    let muxes = serde_saphyr::from_str::<MuxNames>(text).unwrap_or_default().mux;
    for (n, mux) in muxes.iter().enumerate() {
        look(&format!("mux[{n}]."), mux, &MUX);
    }
    for (n, mux) in inner.mux.iter().enumerate() {
        for (m, relay) in mux.relays.iter().enumerate() {
            look(&format!("mux[{n}].relays[{m}]."), relay, &RELAY);
        }
    }
    unknown
}

fn relay(theirs: &FileRelay) -> Table {
    let mut table = Table::new();
    table.insert("url".to_owned(), Value::from(theirs.url.trim()));
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            table.insert(key.to_owned(), value);
        }
    };
    set("id", theirs.id.clone().map(Value::from));
    set("enable_timing_games", theirs.enable_timing_games.map(Value::from));
    set("target_first_request_ms", theirs.target_first_request_ms.map(Value::from));
    set("frequency_get_header_ms", theirs.frequency_get_header_ms.map(Value::from));
    table
}

fn mux(theirs: &FileMux) -> Table {
    let mut table = Table::new();
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            table.insert(key.to_owned(), value);
        }
    };
    let keys = theirs.validator_pubkeys.iter().cloned().map(Value::from).collect();
    set("id", theirs.id.clone().map(Value::from));
    set("validator_pubkeys", Some(Value::Array(keys)));
    set("timeout_get_header_ms", theirs.timeout_get_header_ms.map(Value::from));
    set("late_in_slot_time_ms", theirs.late_in_slot_time_ms.map(Value::from));
    set("relays", Some(Value::Array(theirs.relays.iter().map(relay).map(Value::Table).collect())));
    table
}

/// Whether a text is a file of environment variables: its first line that says anything assigns one.
pub(super) fn is_env_file(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.next().is_some_and(|line| assignment(line).is_some())
}

/// Variables of a file such as mev-boost's `.env.example`, systemd's `EnvironmentFile` or docker's `--env-file`.
pub(super) fn parse_env_file(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    lines
        .filter_map(assignment)
        .map(|(name, value)| (name.to_owned(), plain_value(value).to_owned()))
        .collect()
}

fn assignment(line: &str) -> Option<(&str, &str)> {
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=')?;
    let name = name.trim();
    let is_name =
        !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    is_name.then_some((name, value))
}

/// A value without what docker and systemd hand over with it: quotes around it, a comment behind it.
pub(super) fn plain_value(value: &str) -> &str {
    let value = value.trim();
    for quote in ['"', '\''] {
        if let Some((inner, _)) = value.strip_prefix(quote).and_then(|rest| rest.split_once(quote)) {
            return inner;
        }
    }
    let comment = value.match_indices('#').find(|(at, _)| {
        *at == 0 || value.get(..*at).is_some_and(|before| before.ends_with(char::is_whitespace))
    });
    comment.map_or(value, |(at, _)| value.get(..at).unwrap_or(value)).trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_with_quotes_and_comments() {
        for (text, want) in [
            ("localhost:18550        # Listen address for mev-boost server", "localhost:18550"),
            ("                       # Custom genesis fork version", ""),
            ("\"https://0xaa@a\"", "https://0xaa@a"),
            ("'0.05' # ETH", "0.05"),
            ("https://0xaa@a/#part", "https://0xaa@a/#part"),
            ("", ""),
        ] {
            assert_eq!(plain_value(text), want, "{text}");
        }
        let text = "# General settings\nexport BOOST_LISTEN_ADDR=localhost:1   # where\n\nRELAYS=\nnot one\n";
        assert!(is_env_file(text) && !is_env_file("relays:\n  - url: x\n") && !is_env_file(""));
        let want = [("BOOST_LISTEN_ADDR", "localhost:1"), ("RELAYS", "")];
        assert_eq!(parse_env_file(text), want.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
