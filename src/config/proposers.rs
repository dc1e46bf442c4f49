//! `[[proposers]]`: who they are and what applies to them.
//!
//! Precedence, from the strongest: a key named by a set (inline, file, URL, loader) is in that set, and in one set only; a key whose
//! label fits a set's patterns is in the first such set of the file; everybody else goes by `[auction]`. Within a set, its own value,
//! else `[auction]`'s, else the default; for a relay, the set's terms, else the relay's own.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use regex::Regex;

use super::{
    auction::auction,
    checker::{Checker, url},
    raw::{RawLoader, RawProposer},
    relays::terms,
};
use crate::{
    auction::{AuctionSettings, RelayTerms},
    ethereum::{KeyLoader, LoaderKind},
    relay::RelaySettings,
    types::{BlsPublicKey, RelayId},
};

/// Seconds between two loadings of a set's keys: an epoch.
const DEFAULT_REFRESH_SECS: u64 = 384;
/// Shortest time between two loadings.
const MIN_REFRESH_SECS: u64 = 10;

/// Some proposers and what applies to them.
#[derive(Clone, Debug, PartialEq)]
pub struct ProposerSet {
    /// Its name in records, metrics and the configuration.
    pub id: String,
    /// Keys named inline or in a file.
    pub keys: Vec<BlsPublicKey>,
    /// Keys whose label fits one of its patterns.
    pub labelled: Vec<BlsPublicKey>,
    /// A source that is asked again and again; its keys join the named ones.
    pub loader: Option<KeyLoader>,
    /// `[auction]` with the set's own values over it.
    pub settings: AuctionSettings,
    /// Their relays; all, if none are named.
    pub relays: Option<Vec<RelayId>>,
    /// Terms of relays, the set's own over the relays'.
    pub terms: HashMap<RelayId, RelayTerms>,
}

/// What sets are checked against.
pub(super) struct ProposerContext<'a> {
    pub(super) folder: &'a Path,
    pub(super) auction: &'a AuctionSettings,
    pub(super) slot_ms: u64,
    pub(super) relays: &'a [RelaySettings],
    pub(super) terms: &'a HashMap<RelayId, RelayTerms>,
}

pub(super) fn proposers(
    raw: &[RawProposer],
    labels_file: Option<&str>,
    context: &ProposerContext<'_>,
    checker: &mut Checker,
) -> Vec<ProposerSet> {
    let labels = labels_file.map(|file| labels(file, context, checker)).unwrap_or_default();
    let (mut taken, mut ids) = (HashMap::new(), HashMap::new());
    let mut sets = Vec::with_capacity(raw.len());
    for (index, raw) in raw.iter().enumerate() {
        let section = format!("proposers[{index}]");
        let at = |key: &str| format!("{section}.{key}");
        let id = raw.id.clone().unwrap_or_else(|| format!("proposers-{index}"));
        // It names a file and stands in logs.
        if RelayId::parse(&id).is_err() {
            checker.wrong(
                &at("id"),
                format!("`{id}` is no name"),
                "use 1 to 64 letters, digits, `.`, `-` or `_`",
            );
        }
        if let Some(other) = ids.insert(id.clone(), index) {
            checker.wrong(&at("id"), format!("`{id}` is the {}. set's too", other + 1), "make them differ");
        }
        let known = checker.mistakes_so_far();
        let keys = named_keys(raw, &at, context, checker);
        let has_bad_keys = checker.mistakes_so_far() > known;
        for key in &keys {
            if let Some(other) = taken.insert(*key, id.clone()) {
                let hint = "a key can be in one set only";
                checker.wrong(&at("pubkeys"), format!("{key} is named twice, also in `{other}`"), hint);
            }
        }
        let loader = loader(raw, &at, checker);
        if keys.is_empty() && !has_bad_keys && loader.is_none() && raw.labels.is_empty() {
            let hint = "give pubkeys, pubkeys_file, pubkeys_url, loader or labels";
            checker.wrong(&at("pubkeys"), "this set has no proposers", hint);
        }
        if !raw.labels.is_empty() && labels_file.is_none() {
            let hint = "name the file with proposer_labels_file: a JSON object of public key to label";
            checker.wrong(&at("labels"), "there are no labels", hint);
        }
        let relays = own_relays(raw, &at, context, checker);
        sets.push(ProposerSet {
            labelled: labelled(&raw.labels, &labels, &at, checker),
            keys,
            loader,
            settings: auction(&raw.auction(), context.auction, context.slot_ms, &section, checker),
            relays,
            terms: own_terms(raw, &at, context, checker),
            id,
        });
    }
    // A named key beats a label, an earlier set's label a later one's.
    let mut by_label: HashMap<BlsPublicKey, ()> = HashMap::new();
    for set in &mut sets {
        set.labelled.retain(|key| !taken.contains_key(key) && by_label.insert(*key, ()).is_none());
    }
    sets
}

fn named_keys(
    raw: &RawProposer,
    at: &dyn Fn(&str) -> String,
    context: &ProposerContext<'_>,
    checker: &mut Checker,
) -> Vec<BlsPublicKey> {
    let mut keys = Vec::new();
    for (n, text) in raw.pubkeys.iter().enumerate() {
        match parse_key(text) {
            Ok(key) => keys.push(key),
            Err(error) => checker.wrong(&at(&format!("pubkeys[{n}]")), error, "0x and 96 hex digits"),
        }
    }
    if let Some(file) = &raw.pubkeys_file {
        checker.plain.push(context.folder.join(file));
    }
    if let Some(file) = &raw.pubkeys_file
        && let Some(text) = checker.include(&at("pubkeys_file"), context.folder.join(file))
    {
        match parse_key_list(&text) {
            Ok(list) => keys.extend(list),
            Err(error) => {
                let hint = "a JSON list of public keys, or one a line; # begins a comment";
                checker.wrong(&at("pubkeys_file"), format!("{file}: {error}"), hint);
            }
        }
    }
    keys
}

fn parse_key(text: &str) -> Result<BlsPublicKey, String> {
    let text = text.trim();
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    format!("0x{digits}")
        .parse()
        .map_err(|error| format!("`{}`: {error}", text.chars().take(100).collect::<String>()))
}

/// Parses a list of public keys: a JSON list of texts, or one a line with `#` comments. Any case, with or without `0x`.
///
/// # Errors
/// The first thing that is no key, and where.
pub fn parse_key_list(text: &str) -> Result<Vec<BlsPublicKey>, String> {
    if text.trim_start().starts_with('[') {
        let list: Vec<String> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let keys = list.iter().enumerate();
        return keys.map(|(n, key)| parse_key(key).map_err(|e| format!("entry {}: {e}", n + 1))).collect();
    }
    let lines =
        text.lines().enumerate().map(|(n, line)| (n, line.split('#').next().unwrap_or_default().trim()));
    let lines = lines.filter(|(_, line)| !line.is_empty());
    lines.map(|(n, key)| parse_key(key).map_err(|e| format!("line {}: {e}", n + 1))).collect()
}

fn labels(
    file: &str,
    context: &ProposerContext<'_>,
    checker: &mut Checker,
) -> BTreeMap<String, Vec<BlsPublicKey>> {
    let key = "proposer_labels_file";
    let path = context.folder.join(file);
    checker.plain.push(path.clone());
    let Some(text) = checker.include(key, path) else { return BTreeMap::new() };
    let hint = "write a JSON object: { \"0x<public key>\": \"Wallet 1/Validator 7\" }";
    let parsed: BTreeMap<String, String> = serde_json::from_str(&text).unwrap_or_else(|error| {
        checker.wrong(key, format!("{file}: {error}"), hint);
        BTreeMap::new()
    });
    let mut by_label: BTreeMap<String, Vec<BlsPublicKey>> = BTreeMap::new();
    for (pubkey, label) in parsed {
        match parse_key(&pubkey) {
            Ok(pubkey) => by_label.entry(label).or_default().push(pubkey),
            Err(error) => checker.wrong(key, format!("{file}: {error}"), hint),
        }
    }
    by_label
}

/// Keys whose whole label fits a pattern, as Vouch anchors them.
fn labelled(
    patterns: &[String],
    labels: &BTreeMap<String, Vec<BlsPublicKey>>,
    at: &dyn Fn(&str) -> String,
    checker: &mut Checker,
) -> Vec<BlsPublicKey> {
    let mut keys = Vec::new();
    for (n, pattern) in patterns.iter().enumerate() {
        match Regex::new(&format!("^(?:{pattern})$")) {
            Ok(pattern) => {
                let fitting = labels.iter().filter(|(label, _)| pattern.is_match(label));
                keys.extend(fitting.flat_map(|(_, keys)| keys));
            }
            Err(error) => {
                let message = error.to_string().lines().last().unwrap_or_default().trim().to_owned();
                checker.wrong(
                    &at(&format!("labels[{n}]")),
                    message,
                    "a regular expression for the whole label",
                );
            }
        }
    }
    keys
}

fn own_relays(
    raw: &RawProposer,
    at: &dyn Fn(&str) -> String,
    context: &ProposerContext<'_>,
    checker: &mut Checker,
) -> Option<Vec<RelayId>> {
    let named = raw.relays.as_ref()?;
    let mut relays = Vec::new();
    for (n, id) in named.iter().enumerate() {
        match known_relay(id, context) {
            Some(relay) => relays.push(relay),
            None => unknown_relay(&at(&format!("relays[{n}]")), id, context, checker),
        }
    }
    if named.is_empty() {
        checker.wrong(
            &at("relays"),
            "is empty: these proposers would have no relay",
            "leave it out to use all",
        );
    }
    Some(relays)
}

fn own_terms(
    raw: &RawProposer,
    at: &dyn Fn(&str) -> String,
    context: &ProposerContext<'_>,
    checker: &mut Checker,
) -> HashMap<RelayId, RelayTerms> {
    let mut all = context.terms.clone();
    for (id, own) in &raw.terms {
        let here = |key: &str| at(&format!("terms.{id}.{key}"));
        match known_relay(id, context) {
            Some(relay) => {
                let base = context.terms.get(&relay).copied().unwrap_or_default();
                all.insert(relay, terms(own, base, &here, checker));
            }
            None => unknown_relay(&at(&format!("terms.{id}")), id, context, checker),
        }
    }
    all
}

fn known_relay(id: &str, context: &ProposerContext<'_>) -> Option<RelayId> {
    context.relays.iter().map(|relay| &relay.id).find(|known| known.as_str() == id).cloned()
}

fn unknown_relay(key: &str, id: &str, context: &ProposerContext<'_>, checker: &mut Checker) {
    let known: Vec<&str> = context.relays.iter().map(|relay| relay.id.as_str()).collect();
    checker.wrong(key, format!("there is no relay `{id}`"), format!("relays are: {}", known.join(", ")));
}

fn loader(raw: &RawProposer, at: &dyn Fn(&str) -> String, checker: &mut Checker) -> Option<KeyLoader> {
    let refresh_secs = raw.refresh_secs.unwrap_or(DEFAULT_REFRESH_SECS);
    if refresh_secs < MIN_REFRESH_SECS {
        checker.wrong(&at("refresh_secs"), "is too short", format!("give {MIN_REFRESH_SECS} or more"));
    }
    let kind = match (&raw.pubkeys_url, &raw.loader) {
        (None, None) => return None,
        (Some(_), Some(_)) => {
            checker.wrong(
                &at("loader"),
                "beside pubkeys_url",
                "use one of them; two sets can share their values",
            );
            return None;
        }
        (Some(text), None) => LoaderKind::Url(url(text, &at("pubkeys_url"), checker)?),
        (None, Some(raw)) => loader_kind(raw, &|key| at(&format!("loader.{key}")), checker)?,
    };
    Some(KeyLoader { kind, refresh_secs })
}

fn loader_kind(raw: &RawLoader, at: &dyn Fn(&str) -> String, checker: &mut Checker) -> Option<LoaderKind> {
    let missing = |key: &str, what: &str, checker: &mut Checker| {
        checker.wrong(&at(key), format!("{key} is missing"), what.to_owned());
    };
    let rpc = |checker: &mut Checker| match &raw.rpc_url {
        Some(text) => url(text, &at("rpc_url"), checker),
        None => {
            missing("rpc_url", "give the JSON-RPC address of an execution node", checker);
            None
        }
    };
    let address =
        |key: &str, text: Option<&String>, checker: &mut Checker| match text.map(|text| text.parse()) {
            Some(Ok(address)) => Some(address),
            Some(Err(_)) => {
                checker.wrong(&at(key), "is not an address", "0x and 40 hex digits");
                None
            }
            None => {
                missing(key, "give the contract's address, 0x and 40 hex digits", checker);
                None
            }
        };
    match raw.kind.as_deref() {
        Some("lido") => {
            let (rpc, registry) = (rpc(checker), address("registry", raw.registry.as_ref(), checker));
            if raw.operator_id.is_none() {
                missing("operator_id", "give the node operator's number in the module", checker);
            }
            Some(LoaderKind::Lido { rpc: rpc?, registry: registry?, operator: raw.operator_id? })
        }
        Some("stader") => {
            let (rpc, registry) = (rpc(checker), address("registry", raw.registry.as_ref(), checker));
            let operator = address("operator", raw.operator.as_ref(), checker);
            Some(LoaderKind::Stader { rpc: rpc?, registry: registry?, operator: operator? })
        }
        Some("ssv") => {
            let node = match &raw.node_url {
                Some(text) => Some(url(text, &at("node_url"), checker)?),
                None => None,
            };
            let api = raw.api_url.as_deref().unwrap_or("https://api.ssv.network/api/v4/mainnet");
            let api = url(api, &at("api_url"), checker);
            if raw.operator_id.is_none() {
                missing("operator_id", "give the operator's number", checker);
            }
            Some(LoaderKind::Ssv { node, api: api?, operator: raw.operator_id? })
        }
        Some(other) => {
            let hint = "lido, ssv and stader are known; a list behind an address goes into pubkeys_url";
            checker.wrong(&at("kind"), format!("`{other}` is no known loader"), hint);
            None
        }
        None => {
            missing("kind", "lido, ssv or stader", checker);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_lists_come_in_two_shapes() {
        let key = |n: &str| n.repeat(96 / n.len());
        let (a, b) = (key("ab"), key("0C"));
        for text in [
            format!("[\"0x{a}\", \"{b}\"]"),
            format!("# mine\n0x{a}\n\n  {b}  # second\n"),
            format!("0X{}\n{}", a.to_uppercase(), b.to_lowercase()),
        ] {
            let keys = parse_key_list(&text).unwrap();
            assert_eq!(keys.len(), 2, "{text}");
            assert_eq!(keys[0].to_string(), format!("0x{a}"));
        }
        assert_eq!(parse_key_list("").unwrap(), []);
        assert!(parse_key_list("[1]").is_err());
        assert!(parse_key_list("0x12").unwrap_err().contains("line 1"));
        assert!(parse_key_list(&format!("[\"{a}\",\"zz\"]")).unwrap_err().contains("entry 2"));
    }
}
