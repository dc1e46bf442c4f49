//! The environment over the file: `RELAYMUX_AUCTION__MIN_BID_ETH=0.05` is `[auction] min_bid_eth`.
//!
//! A variable that is no key is not ours to judge: Kubernetes sets `RELAYMUX_PORT` and `RELAYMUX_SERVICE_HOST` by itself beside a service
//! named `relaymux`. It is named in a warning and ignored. One that nearly is a key is a mistake: whoever wrote it meant something.

use regex::Regex;
use toml::{Table, Value};

use super::{Mistake, keys, mistake::is_within};

const PREFIX: &str = "RELAYMUX_";

/// Variables with our prefix that are not keys of the file.
const NOT_KEYS: [&str; 3] = ["RELAYMUX_CONFIG", "RELAYMUX_VECTORS", "RELAYMUX_LOG"];

const HINT: &str = "write RELAYMUX_SECTION__KEY: two underscores go one level down";

/// A value that the environment set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// The key, as in mistakes: `relays[0].enabled`.
    pub(super) key: String,
    /// The variable's name.
    pub(super) variable: String,
    /// The variable's value, as it was set.
    pub(super) text: String,
}

/// The file's table with the environment's values over it.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    pub(super) table: Table,
    /// Which values are the environment's.
    pub(super) origins: Vec<Origin>,
    pub(super) mistakes: Vec<Mistake>,
    /// Variables with our prefix that are no keys.
    pub(super) ignored: Vec<String>,
}

/// What a variable is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Meaning {
    /// A key, by its steps.
    Key(Vec<String>),
    /// No key, but nearly one: what is wrong, and the variable that was meant.
    Nearly { message: String, hint: String },
    /// Something else.
    Foreign,
}

/// Puts the environment's values over the file's. Two underscores go one level down; a number selects an entry of a list
/// (`RELAYMUX_RELAYS__0__ENABLED=false`), the next number adds one.
pub(super) fn overlay(table: Table, environment: &[(String, String)]) -> Overlay {
    let mut out = Overlay { table, ..Overlay::default() };
    let mut ours: Vec<&(String, String)> =
        environment.iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
    // In the order of their names: entries of a list are added one after another, and messages come in the same order each time.
    ours.sort();
    for (name, text) in ours {
        if NOT_KEYS.contains(&name.as_str()) {
            continue;
        }
        match meaning(name) {
            Meaning::Foreign => out.ignored.push(name.clone()),
            Meaning::Nearly { message, hint } => out.mistakes.push(Mistake::of_variable(name, message, hint)),
            Meaning::Key(steps) => {
                let mut key = String::new();
                match set(&mut out.table, &steps, text, &mut key) {
                    Ok(()) => {
                        out.origins.push(Origin { key, variable: name.clone(), text: text.clone() });
                    }
                    Err(message) => out.mistakes.push(Mistake::of_variable(name, message, HINT)),
                }
            }
        }
    }
    out
}

/// Tells whether a variable sets a key, was meant to, or has nothing to do with us.
fn meaning(name: &str) -> Meaning {
    let rest = name.strip_prefix(PREFIX).unwrap_or(name).to_ascii_lowercase();
    let steps: Vec<String> = rest.split("__").map(str::to_owned).collect();
    if keys::is_key(&steps) {
        return Meaning::Key(steps);
    }
    if is_set_by_kubernetes(&rest) {
        return Meaning::Foreign;
    }
    let top = keys::known_keys("");
    let nearly = |message: String, meant: Option<String>| Meaning::Nearly {
        message,
        hint: meant.map_or(HINT.to_owned(), |meant| {
            format!("did you mean {PREFIX}{}?", meant.replace('.', "__").to_ascii_uppercase())
        }),
    };
    match steps.as_slice() {
        [section, .., key] if top.contains(&section.as_str()) => {
            let path = steps.get(..steps.len() - 1).unwrap_or_default();
            let names: Vec<&str> = path
                .iter()
                .map(String::as_str)
                .filter(|step| !step.bytes().all(|b| b.is_ascii_digit()))
                .collect();
            let near = keys::nearest(key, &keys::known_keys(&names.join(".")));
            nearly(
                format!("[{}] has no key `{key}`", names.join(".")),
                near.map(|near| format!("{}.{near}", path.join("."))),
            )
        }
        [section, rest @ ..] if !rest.is_empty() => match keys::nearest(section, &top) {
            Some(near) if section.len() > 3 => {
                nearly(format!("there is no section `{section}`"), Some(format!("{near}.{}", rest.join("."))))
            }
            Some(_) | None => Meaning::Foreign,
        },
        _ => match single(&rest) {
            Some(meant) => nearly("is no key".to_owned(), Some(meant)),
            None => Meaning::Foreign,
        },
    }
}

/// What Kubernetes sets for a service: <https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>.
fn is_set_by_kubernetes(rest: &str) -> bool {
    let names = r"^(.+_)?(service_host|service_port(_.+)?|port(_\d+_(tcp|udp|sctp)(_(addr|port|proto))?)?)$";
    !rest.contains("__") && Regex::new(names).is_ok_and(|names| names.is_match(rest))
}

/// The key that was meant by a name without two underscores in it: `auction_min_bid_eth`, `data_dirs`.
fn single(rest: &str) -> Option<String> {
    let mut candidates: Vec<(String, String)> = Vec::new();
    for section in keys::known_keys("") {
        let inner = keys::known_keys(section);
        if inner.is_empty() || section == "network" {
            candidates.push((section.to_owned(), section.to_owned()));
        }
        if !keys::is_list(section) {
            candidates
                .extend(inner.iter().map(|key| (format!("{section}_{key}"), format!("{section}.{key}"))));
        }
    }
    candidates.extend(NOT_KEYS.map(|name| {
        let name = name.strip_prefix(PREFIX).unwrap_or(name).to_ascii_lowercase();
        (name.clone(), name)
    }));
    let slack = if rest.len() >= 6 { 2 } else { 1 };
    let near = candidates.iter().map(|(flat, key)| (strsim::damerau_levenshtein(flat, rest), key)).min()?;
    if near.0 <= slack {
        return Some(near.1.clone());
    }
    // `auction_min_bid`: begins a key with its section and something of its name.
    let begun = candidates
        .iter()
        .filter(|(flat, key)| key.contains('.') && flat.starts_with(rest))
        .find(|(_, key)| key.split('.').next().is_some_and(|section| rest.len() > section.len() + 3));
    begun.map(|(_, key)| key.clone())
}

/// Sets the value at a path and writes the path down as mistakes name it.
fn set(table: &mut Table, steps: &[String], text: &str, path: &mut String) -> Result<(), String> {
    let Some((name, rest)) = steps.split_first() else { return Err("names no key".to_owned()) };
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(name);
    if rest.is_empty() {
        table.insert(name.clone(), literal(text));
        return Ok(());
    }
    let is_list = keys::is_list(path);
    let entry = table
        .entry(name.clone())
        .or_insert_with(|| if is_list { Value::Array(Vec::new()) } else { Value::Table(Table::new()) });
    match entry {
        Value::Table(inner) => set(inner, rest, text, path),
        Value::Array(items) => {
            let (index, rest) = rest.split_first().ok_or("names a list, not an entry")?;
            let no_entry = || format!("`{name}` has no entry {index}: there are {}, from 0 on", items.len());
            let position = index.parse::<usize>().map_err(|_| no_entry())?;
            if position > items.len() || (position == items.len() && !is_list) {
                return Err(no_entry());
            }
            if position == items.len() {
                items.push(Value::Table(Table::new()));
            }
            path.push_str(&format!("[{position}]"));
            match items.get_mut(position) {
                Some(Value::Table(inner)) if !rest.is_empty() => set(inner, rest, text, path),
                Some(item) if rest.is_empty() => {
                    *item = literal(text);
                    Ok(())
                }
                Some(_) | None => Err(format!("entry {index} of `{name}` is a value, not a section")),
            }
        }
        _ => Err(format!("`{name}` is a value, not a section")),
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

/// Puts the blame where it belongs: a mistake about a value that the environment set is the variable's.
pub(super) fn blame(mistakes: &mut [Mistake], origins: &[Origin]) {
    for mistake in mistakes.iter_mut().filter(|mistake| mistake.variable.is_none() && !mistake.key.is_empty())
    {
        let of = |key: &str| origins.iter().find(|origin| is_within(key, &origin.key));
        let own = of(&mistake.key).or_else(|| mistake.related.iter().find_map(|key| of(key)));
        if let Some(origin) = own {
            mistake.variable = Some(origin.variable.clone());
        } else if let Some(origin) = origins.iter().find(|origin| is_within(&origin.key, &mistake.key)) {
            // About a whole section, of which the environment set a part.
            mistake.message.push_str(&format!(" ({} is set)", origin.variable));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_kubernetes_sets_for_a_service_of_our_name_is_ignored() {
        let names = [
            "RELAYMUX_PORT",
            "RELAYMUX_PORT_18550_TCP",
            "RELAYMUX_PORT_18550_TCP_ADDR",
            "RELAYMUX_PORT_18550_TCP_PORT",
            "RELAYMUX_PORT_18550_TCP_PROTO",
            "RELAYMUX_SERVICE_HOST",
            "RELAYMUX_SERVICE_PORT",
            "RELAYMUX_SERVICE_PORT_BUILDER_API",
            "RELAYMUX_OPS_PORT",
            "RELAYMUX_OPS_SERVICE_HOST",
            "RELAYMUX_SOMETHING_ELSE",
            "RELAYMUX_FOO__BAR",
        ];
        let pairs: Vec<(&str, &str)> = names.iter().map(|name| (*name, "tcp://10.0.0.1:18550")).collect();
        let out = overlay(Table::new(), &environment(&pairs));
        assert_eq!((out.mistakes, out.table), (vec![], Table::new()));
        assert_eq!(out.ignored.len(), names.len());
    }

    #[test]
    fn a_variable_that_nearly_is_a_key_is_a_mistake_that_names_it() {
        for (name, said, hint) in [
            ("RELAYMUX_AUCTION__MIN_BID", "[auction] has no key `min_bid`", "RELAYMUX_AUCTION__MIN_BID_ETH"),
            ("RELAYMUX_AUCTIONS__MIN_BID_ETH", "no section `auctions`", "RELAYMUX_AUCTION__MIN_BID_ETH"),
            ("RELAYMUX_AUCTION_MIN_BID_ETH", "is no key", "RELAYMUX_AUCTION__MIN_BID_ETH"),
            ("RELAYMUX_AUCTION_MIN_BID", "is no key", "RELAYMUX_AUCTION__MIN_BID_ETH"),
            ("RELAYMUX_NETWROK", "is no key", "RELAYMUX_NETWORK"),
            ("RELAYMUX_DATADIR", "is no key", "RELAYMUX_DATA_DIR"),
            ("RELAYMUX_CONFG", "is no key", "RELAYMUX_CONFIG"),
            ("RELAYMUX_RELAYS__0__ENABELD", "[relays] has no key", "RELAYMUX_RELAYS__0__ENABLED"),
            ("RELAYMUX_OPS__PORT", "[ops] has no key `port`", "two underscores"),
        ] {
            let out = overlay(Table::new(), &environment(&[(name, "1")]));
            let [mistake] = out.mistakes.as_slice() else { panic!("{name}: {out:?}") };
            assert_eq!(mistake.variable.as_deref(), Some(name));
            assert!(mistake.message.contains(said), "{name}: {mistake:?}");
            assert!(mistake.hint.contains(hint), "{name}: {mistake:?}");
        }
    }

    #[test]
    fn values_go_where_their_names_say_and_are_remembered() {
        let file: Table = toml::from_str("[[relays]]\nid = \"a\"\n").unwrap();
        let out = overlay(
            file,
            &environment(&[
                ("RELAYMUX_RELAYS__1__ID", "b"),
                ("RELAYMUX_RELAYS__0__ENABLED", "false"),
                ("RELAYMUX_AUCTION__MIN_BID_ETH", "0.05"),
                ("PATH", "/bin"),
            ]),
        );
        assert_eq!(out.mistakes, []);
        let want = "[auction]\nmin_bid_eth = \"0.05\"\n[[relays]]\nid = \"a\"\nenabled = false\n[[relays]]\nid = \"b\"\n";
        assert_eq!(out.table, toml::from_str(want).unwrap());
        let keys: Vec<&str> = out.origins.iter().map(|origin| origin.key.as_str()).collect();
        assert_eq!(keys, ["auction.min_bid_eth", "relays[0].enabled", "relays[1].id"]);
        let beyond = overlay(Table::new(), &environment(&[("RELAYMUX_RELAYS__7__ENABLED", "false")]));
        assert!(beyond.mistakes[0].message.contains("no entry 7"), "{beyond:?}");
    }
}
