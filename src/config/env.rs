//! The environment over the file: `RELAYMUX_AUCTION__MIN_BID_ETH=0.05` is `[auction] min_bid_eth`.

use toml::{Table, Value};

use super::Mistake;

const PREFIX: &str = "RELAYMUX_";

/// Variables with our prefix that are not keys of the file.
const NOT_KEYS: [&str; 3] = ["RELAYMUX_CONFIG", "RELAYMUX_VECTORS", "RELAYMUX_LOG"];

/// Puts the environment's values over the file's. Two underscores go one level down; a number selects an entry of a list
/// (`RELAYMUX_RELAYS__0__ENABLED=false`).
pub(super) fn overlay(mut table: Table, environment: &[(String, String)]) -> Result<Table, Vec<Mistake>> {
    let mut mistakes = Vec::new();
    for (name, text) in environment {
        let Some(path) = name.strip_prefix(PREFIX) else { continue };
        if NOT_KEYS.contains(&name.as_str()) {
            continue;
        }
        let steps: Vec<String> = path.split("__").map(str::to_ascii_lowercase).collect();
        if let Err(why) = set(&mut table, &steps, text) {
            mistakes.push(Mistake::at(
                "",
                format!("environment variable {name}: {why}"),
                "write RELAYMUX_SECTION__KEY",
            ));
        }
    }
    if mistakes.is_empty() { Ok(table) } else { Err(mistakes) }
}

fn set(table: &mut Table, steps: &[String], text: &str) -> Result<(), String> {
    match steps {
        [] => Err("names no key".to_owned()),
        [key] if key.is_empty() => Err("names no key".to_owned()),
        [key] => {
            table.insert(key.clone(), literal(text));
            Ok(())
        }
        [key, rest @ ..] => match table.entry(key.clone()).or_insert_with(|| Value::Table(Table::new())) {
            Value::Table(inner) => set(inner, rest, text),
            Value::Array(items) => {
                let (index, rest) = rest.split_first().ok_or("names a list, not an entry")?;
                let entry = index.parse::<usize>().ok().and_then(|index| items.get_mut(index));
                match entry {
                    Some(Value::Table(inner)) => set(inner, rest, text),
                    Some(_) | None => Err(format!("`{key}` has no entry {index}")),
                }
            }
            _ => Err(format!("`{key}` is a value, not a section")),
        },
    }
}

/// A boolean, a whole number, a TOML list or inline table, else text. Amounts stay text: they are never floats.
fn literal(text: &str) -> Value {
    let structured =
        text.starts_with(['[', '{']).then(|| toml::from_str::<Table>(&format!("v = {text}")).ok()).flatten();
    if let Some(value) = structured.and_then(|mut table| table.remove("v")) {
        return value;
    }
    if let Ok(flag) = text.parse::<bool>() {
        return Value::Boolean(flag);
    }
    text.parse::<i64>().map_or_else(|_| Value::String(text.to_owned()), Value::Integer)
}
