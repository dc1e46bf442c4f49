//! Rivals' flags, environments and files, turned into the text of a `relays.toml`.
//!
//! In: what another program was started with. Out: a configuration that does the same here, and a note for everything that has no
//! equivalent or is done otherwise: nothing is dropped in silence, and what is written is what `check` finds sound. `run` takes
//! mev-boost's own command line by the same way.
//! Flags and keys: flashbots/mev-boost 1.8 to 1.12, Commit-Boost 0.11, Vouch's execution configuration version 2.

mod commit_boost;
mod genesis;
mod mev_boost;
mod mev_boost_file;
mod relays;
mod vouch;

pub use commit_boost::import_commit_boost;
pub use mev_boost::{MevBoost, import_mev_boost, is_mev_boost_flag, mev_boost_takes_value};
pub use vouch::import_vouch;

use std::path::Path;

use toml::{Table, Value};

use super::{Config, ConfigError};

/// A configuration made of another program's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Imported {
    /// What is written as a `relays.toml`.
    pub table: Table,
    /// What has no equivalent, or is done otherwise.
    pub notes: Vec<String>,
}

/// Why something cannot be imported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// A flag nobody knows.
    #[error("`{0}` is no flag of mev-boost")]
    UnknownFlag(String),
    /// A flag without its value.
    #[error("`{0}` needs a value")]
    NoValue(String),
    /// A value that is not what it should be.
    #[error("{what}: {reason}")]
    Value {
        /// The flag, variable, key or file that has the value.
        what: String,
        /// What is wrong, as half a sentence.
        reason: String,
    },
    /// The text is not in the rival's language.
    #[error("{0}")]
    Syntax(String),
    /// What it says would not be a sound configuration here.
    #[error("what would be written is not a sound configuration:\n{0}")]
    Unsound(String),
}

impl Imported {
    fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Sets a key of a section; an empty section is the top.
    fn set(&mut self, section: &str, key: &str, value: impl Into<Value>) {
        let table = if section.is_empty() {
            Some(&mut self.table)
        } else {
            let entry = self.table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            entry.as_table_mut()
        };
        if let Some(table) = table {
            table.insert(key.to_owned(), value.into());
        }
    }

    /// Appends to a list of tables.
    fn push(&mut self, list: &str, entry: Table) {
        let list = self.table.entry(list).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(list) = list {
            list.push(Value::Table(entry));
        }
    }

    /// The text of a `relays.toml`, notes first as comments.
    pub fn to_text(&self, from: &str) -> String {
        // TOML has no control characters in comments, and a rival's file may quote any.
        let shown = |line: &str| -> String {
            line.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
        };
        let mut text = format!("# Made by `relaymux import` of {}.\n", shown(from));
        for note in &self.notes {
            for (n, line) in note.lines().enumerate() {
                text.push_str(if n == 0 { "# - " } else { "#   " });
                text.push_str(&shown(line));
                text.push('\n');
            }
        }
        text.push('\n');
        // Tables of texts, numbers and lists of them: always representable.
        text.push_str(&toml::to_string(&self.table).unwrap_or_default());
        text
    }
}

/// The text of what was imported, once it is known to be sound. `folder` is where its relative paths begin.
///
/// # Errors
/// When `check` would refuse it: a key that is no key, a file that is not there.
pub fn sound_text(imported: &Imported, from: &str, folder: &Path) -> Result<String, ImportError> {
    let text = imported.to_text(from);
    match Config::parse(&text, &folder.join("relays.toml"), &[], &[]) {
        Ok(_) => Ok(text),
        Err(ConfigError::Read { error, .. }) => Err(ImportError::Unsound(error)),
        Err(ConfigError::Wrong { mistakes, .. }) => {
            let lines: Vec<String> = mistakes
                .iter()
                .map(|mistake| format!("  {}: {} ({})", mistake.key, mistake.message, mistake.hint))
                .collect();
            Err(ImportError::Unsound(lines.join("\n")))
        }
    }
}

/// Makes times of `[auction]` or of a set ones that can work together, as rivals need not: a zero is dropped, the late cut is within a
/// slot, and the header timeout below it. `base` has the values that apply where the table has none.
fn settle_times(table: &mut Table, base: (i64, i64), slot_ms: i64, whose: &str, notes: &mut Vec<String>) {
    for key in [
        "timeout_get_header_ms",
        "timeout_get_payload_ms",
        "timeout_register_validator_ms",
        "late_in_slot_time_ms",
    ] {
        if table.get(key).and_then(Value::as_integer).is_some_and(|ms| ms == 0) {
            table.remove(key);
            notes.push(format!("{whose}: {key} = 0 would let nothing through: the default applies"));
        }
    }
    let of = |table: &Table, key: &str, base: i64| table.get(key).and_then(Value::as_integer).unwrap_or(base);
    let late = of(table, "late_in_slot_time_ms", base.1);
    let late = if late > slot_ms {
        notes.push(format!(
            "{whose}: late_in_slot_time_ms = {late} is longer than a slot: {slot_ms} is written"
        ));
        table.insert("late_in_slot_time_ms".to_owned(), Value::from(slot_ms));
        slot_ms
    } else {
        late
    };
    let header = of(table, "timeout_get_header_ms", base.0);
    if header >= late {
        let below = (late - 1).max(1);
        notes.push(format!(
            "{whose}: timeout_get_header_ms = {header} is not below late_in_slot_time_ms, which is {late}: no header is returned later \
             than that into the slot, {below} is written"
        ));
        table.insert("timeout_get_header_ms".to_owned(), Value::from(below));
    }
}

/// `[auction]`'s header timeout and late cut as written, else the defaults.
fn base_times(table: &Table) -> (i64, i64) {
    let of = |key: &str, default: i64| {
        table
            .get("auction")
            .and_then(|auction| auction.get(key))
            .and_then(Value::as_integer)
            .unwrap_or(default)
    };
    (of("timeout_get_header_ms", 950), of("late_in_slot_time_ms", 2000))
}

/// Length of the imported chain's slots, in milliseconds.
fn slot_ms(table: &Table) -> i64 {
    let own =
        table.get("network").and_then(|network| network.get("seconds_per_slot")).and_then(Value::as_integer);
    own.unwrap_or(12).saturating_mul(1000)
}

/// Settles the times of `[auction]` and then of every set.
fn settle_all_times(out: &mut Imported) {
    let slot_ms = slot_ms(&out.table);
    let mut notes = Vec::new();
    if slot_ms < 2000 || out.table.contains_key("auction") {
        let auction = out.table.entry("auction").or_insert_with(|| Value::Table(Table::new()));
        if let Some(auction) = auction.as_table_mut() {
            settle_times(auction, (950, 2000.min(slot_ms)), slot_ms, "[auction]", &mut notes);
        }
    }
    let base = base_times(&out.table);
    let sets = out.table.get_mut("proposers").and_then(Value::as_array_mut).into_iter().flatten();
    for set in sets.filter_map(Value::as_table_mut) {
        let whose = set.get("id").and_then(Value::as_str).unwrap_or("a set").to_owned();
        settle_times(set, base, slot_ms, &whose, &mut notes);
    }
    out.notes.extend(notes);
}

/// An address to listen on: Go listens on every interface when no host is named.
fn listen_address(text: &str) -> String {
    if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.replacen("localhost", "127.0.0.1", 1) }
}

/// An amount in ETH as exact decimals: rivals read floats, `1e-3` and `.5` included.
///
/// # Errors
/// When it is no amount.
fn eth_text(what: &str, text: &str) -> Result<String, ImportError> {
    let text = text.trim();
    if crate::types::Wei::parse_eth(text).is_ok() {
        return Ok(text.to_owned());
    }
    match text.parse::<f64>() {
        Ok(eth) if eth.is_finite() && eth >= 0.0 => Ok(eth.to_string()),
        Ok(_) | Err(_) => {
            Err(ImportError::Value { what: what.to_owned(), reason: format!("`{text}` is no amount in ETH") })
        }
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    /// Found by fuzzing: a note that quoted a control character made a file that is no TOML.
    #[test]
    fn notes_may_quote_anything() {
        let notes = vec!["`\u{0}key\u{1b}` has no counterpart\nnor\rthis".to_owned()];
        let imported = Imported { table: toml::from_str("network = \"hoodi\"").unwrap(), notes };
        let text = imported.to_text("a\u{7f}file");
        assert_eq!(toml::from_str::<Table>(&text).unwrap(), imported.table, "{text:?}");
    }

    #[test]
    fn times_that_cannot_work_together_are_settled_and_said() {
        for (text, want, notes) in [
            ("timeout_get_header_ms = 900", "timeout_get_header_ms = 900", 0),
            ("timeout_get_header_ms = 3000", "timeout_get_header_ms = 1999", 1),
            ("timeout_get_header_ms = 0", "", 1),
            ("late_in_slot_time_ms = 20000", "late_in_slot_time_ms = 12000", 1),
            ("late_in_slot_time_ms = 500", "late_in_slot_time_ms = 500\ntimeout_get_header_ms = 499", 1),
        ] {
            let mut table: Table = toml::from_str(text).unwrap();
            let mut said = Vec::new();
            settle_times(&mut table, (950, 2000), 12_000, "[auction]", &mut said);
            assert_eq!(table, toml::from_str(want).unwrap(), "{text}");
            assert_eq!(said.len(), notes, "{text}: {said:?}");
        }
    }

    #[test]
    fn amounts_are_written_as_exact_decimals() {
        for (text, want) in
            [("0.05", Some("0.05")), ("1e-3", Some("0.001")), (".5", Some(".5")), ("-1", None), ("x", None)]
        {
            assert_eq!(eth_text("-min-bid", text).ok().as_deref(), want, "{text}");
        }
    }
}
