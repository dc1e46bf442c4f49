//! Rivals' flags, environments and files, turned into the text of a `relays.toml`.
//!
//! In: what another program was started with. Out: a configuration that does the same here, and a note for everything that has no
//! equivalent or is done otherwise: nothing is dropped in silence. `run` takes mev-boost's own command line by the same way.
//! Flags and keys: flashbots/mev-boost 1.8 to 1.12, Commit-Boost 0.11, Vouch's execution configuration version 2.

mod commit_boost;
mod mev_boost;
mod vouch;

pub use commit_boost::import_commit_boost;
pub use mev_boost::{MevBoost, import_mev_boost, is_mev_boost_flag};
pub use vouch::import_vouch;

use toml::{Table, Value};

/// A configuration made of another program's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Imported {
    /// The configuration.
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
    #[error("{what}: {why}")]
    Value {
        /// Where.
        what: String,
        /// What is wrong.
        why: String,
    },
    /// The text is not in the rival's language.
    #[error("{0}")]
    Syntax(String),
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
        let mut text = format!("# Made by `relaymux import` of {from}.\n");
        for note in &self.notes {
            for (n, line) in note.lines().enumerate() {
                text.push_str(if n == 0 { "# - " } else { "#   " });
                text.push_str(line);
                text.push('\n');
            }
        }
        text.push('\n');
        // Tables of texts, numbers and lists of them: always representable.
        text.push_str(&toml::to_string(&self.table).unwrap_or_default());
        text
    }
}

/// A name for a relay from its host, unlike those before.
fn relay_id(url: &str, taken: &mut Vec<String>) -> String {
    let host = url.rsplit('@').next().unwrap_or(url);
    let host = host.split("://").last().unwrap_or(host);
    let host = host.split(['/', '?']).next().unwrap_or(host);
    let base: String = host
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '-' })
        .take(56)
        .collect();
    let base = if base.is_empty() { "relay".to_owned() } else { base };
    let mut id = base.clone();
    let mut n = 2;
    while taken.contains(&id) {
        id = format!("{base}-{n}");
        n += 1;
    }
    taken.push(id.clone());
    id
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
}
