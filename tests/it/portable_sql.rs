//! SQL that another database would take, too: a fleet may share one some day. What only SQLite knows stands in `ledger/database.rs` alone.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// What only SQLite has, or has otherwise than others. Lower case.
const FOREIGN: [&str; 17] = [
    "insert or ",
    "replace into",
    "autoincrement",
    "without rowid",
    "last_insert_rowid",
    " rowid",
    "strftime('",
    "julianday",
    "datetime(",
    "unixepoch",
    "ifnull",
    "group_concat",
    "json_extract",
    "typeof(",
    " glob ",
    "pragma ",
    "begin immediate",
];

/// Columns of bytes: what a second dialect has to call otherwise (`BYTEA`).
const BYTES: [(&str, &str); 2] = [("auctions", "winner_bid_ssz"), ("blocks", "ssz")];

/// Tables of one file that no other sidecar has a part in; one lives for the length of a migration.
const OF_ONE_FILE: [&str; 4] = ["instances", "profit_stale_days", "projections", "slots_of_other_times"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, extension: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), path))
        .map(|(name, path)| (name, std::fs::read_to_string(path).unwrap()))
        .collect();
    found.sort();
    assert!(!found.is_empty(), "nothing in {}", folder.display());
    found
}

/// Statements of a migration, without their comments.
fn statements(sql: &str) -> Vec<String> {
    let code: String =
        sql.lines().map(|line| line.split("--").next().unwrap_or_default()).collect::<Vec<_>>().join(" ");
    let words = |statement: &str| statement.split_whitespace().collect::<Vec<_>>().join(" ");
    code.split(';').map(words).filter(|statement| !statement.is_empty()).collect()
}

#[test]
fn statements_keep_to_what_databases_share() {
    let sources = files(&root().join("src/ledger"), "rs");
    let sources = sources.into_iter().filter(|(name, _)| name != "database.rs");
    // Tests may ask SQLite what they like.
    let sources = sources.map(|(name, text)| (name, text.split("#[cfg(test)]").next().unwrap().to_owned()));
    let migrations = ["ledger", "journal"].map(|part| files(&root().join("migrations").join(part), "sql"));
    let migrations = migrations.into_iter().flatten().map(|(name, text)| (name, statements(&text).join(";")));
    let mut seen = 0;
    for (name, text) in sources.chain(migrations) {
        let code: String = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect::<Vec<_>>()
            .join("\n")
            .to_lowercase();
        for foreign in FOREIGN {
            assert!(!code.contains(foreign), "{name}: `{foreign}` is SQLite's own");
        }
        // `database.rs` names its types for all.
        assert!(!code.contains("sqlite::") && !code.contains("sqlx::sqlite"), "{name}: a type of SQLite's");
        seen += 1;
    }
    assert!(seen > 20, "only {seen} files were seen");
}

#[test]
fn columns_of_bytes_are_known_by_name() {
    let mut found = BTreeSet::new();
    for part in ["ledger", "journal"] {
        for (_, text) in files(&root().join("migrations").join(part), "sql") {
            for statement in statements(&text) {
                let words: Vec<&str> =
                    statement.split([' ', ',', '(', ')']).filter(|w| !w.is_empty()).collect();
                let table = words.get(2).copied().unwrap_or_default();
                let before = words.iter().zip(words.iter().skip(1));
                found.extend(
                    before
                        .filter(|(_, kind)| **kind == "BLOB")
                        .map(|(column, _)| (table.to_owned(), (*column).to_owned())),
                );
            }
        }
    }
    let known = BYTES.map(|(table, column)| (table.to_owned(), column.to_owned()));
    assert_eq!(found, BTreeSet::from(known));
}

#[test]
fn every_shared_table_says_whose_its_rows_are() {
    let mut tables = BTreeSet::new();
    let mut has_instance = BTreeSet::new();
    for (_, text) in files(&root().join("migrations/ledger"), "sql") {
        for statement in statements(&text) {
            let words: Vec<&str> = statement.split([' ', '(']).filter(|word| !word.is_empty()).collect();
            match words.as_slice() {
                ["CREATE", "TABLE", table, ..] => {
                    tables.insert((*table).to_owned());
                    if words.contains(&"instance") {
                        has_instance.insert((*table).to_owned());
                    }
                }
                ["ALTER", "TABLE", table, "ADD", "COLUMN", "instance", ..] => {
                    has_instance.insert((*table).to_owned());
                }
                _ => {}
            }
        }
    }
    let shared: BTreeSet<String> =
        tables.into_iter().filter(|table| !OF_ONE_FILE.contains(&table.as_str())).collect();
    assert!(shared.len() > 15, "the test sees only {shared:?}");
    assert_eq!(shared.difference(&has_instance).collect::<Vec<_>>(), Vec::<&String>::new());
}
