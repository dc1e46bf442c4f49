//! From a configuration, relays and loaded keys to the policies that auctions go by.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use alloy_primitives::hex;
use reqwest::Client;
use sha2::{Digest, Sha256};

use super::files::write_whole;
use crate::{
    auction::{Policy, PolicyTable},
    config::{Config, parse_key_list},
    consensus::WallClock,
    ethereum::LoaderKind,
    relay::{HttpClientError, Relay, RelayClients, RelaySettings, build_http_client},
    types::BlsPublicKey,
};

/// Keys that came from loaders, by set.
pub(super) type LoadedKeys = BTreeMap<String, Vec<BlsPublicKey>>;

/// The HTTP clients and the clock that everybody shares.
#[derive(Clone, Debug)]
pub(super) struct Clients {
    /// For nodes, public records and lists of keys.
    pub(super) http: Client,
    /// For relays' builder API.
    relays: RelayClients,
    clock: WallClock,
}

impl Clients {
    /// Clients for a configuration.
    pub(super) fn for_config(config: &Config, clock: WallClock) -> Result<Self, HttpClientError> {
        let (roots, proxy) = (&config.tls_roots, config.proxy.as_deref());
        Ok(Self { http: build_http_client(roots, proxy)?, relays: RelayClients::build(roots, proxy)?, clock })
    }

    /// A relay that speaks through these clients.
    pub(super) fn relay(&self, settings: &RelaySettings, config: &Config) -> Arc<Relay> {
        let (clients, clock) = (self.relays.clone(), self.clock.clone());
        Arc::new(Relay::new(settings.clone(), config.spec.preset, clients, clock))
    }
}

/// Builds the policies. A key that is in two sets by loading is in the first; named keys come before loaded ones, and these
/// before labels.
pub(super) fn build_policies(config: &Config, relays: &[Arc<Relay>], loaded: &LoadedKeys) -> PolicyTable {
    let default = Policy {
        id: None,
        settings: config.auction.clone(),
        relays: relays.iter().filter(|relay| !relay.settings().sets_only).cloned().collect(),
        terms: config.terms.clone(),
        builders: config.builders.clone(),
    };
    let mut set_of = HashMap::new();
    let named = config.proposers.iter().map(|set| Some(&set.keys));
    let by_loader = config.proposers.iter().map(|set| loaded.get(&set.id));
    let by_label = config.proposers.iter().map(|set| Some(&set.labelled));
    for source in [named.collect::<Vec<_>>(), by_loader.collect(), by_label.collect()] {
        for (set, keys) in source.into_iter().enumerate() {
            for key in keys.into_iter().flatten() {
                set_of.entry(*key).or_insert(set);
            }
        }
    }
    let sets = config.proposers.iter().map(|set| {
        let own = |relay: &&Arc<Relay>| match &set.relays {
            Some(ids) => ids.contains(relay.id()),
            None => !relay.settings().sets_only,
        };
        Arc::new(Policy {
            id: Some(set.id.clone()),
            settings: set.settings.clone(),
            relays: relays.iter().filter(own).cloned().collect(),
            terms: set.terms.clone(),
            builders: config.builders.clone(),
        })
    });
    PolicyTable { default: Arc::new(default), sets: sets.collect(), set_of, relays: relays.to_vec() }
}

/// Whether loaded keys of a set are in another set too; which key, and which set.
pub(super) fn overlap<'a>(
    config: &'a Config,
    loaded: &'a LoadedKeys,
    id: &str,
    keys: &[BlsPublicKey],
) -> Option<(BlsPublicKey, &'a str)> {
    let others = config.proposers.iter().filter(|set| set.id != id);
    let mut taken: HashMap<BlsPublicKey, &str> = HashMap::new();
    for set in others {
        let keys = set.keys.iter().chain(loaded.get(&set.id).into_iter().flatten());
        taken.extend(keys.map(|key| (*key, set.id.as_str())));
    }
    keys.iter().find_map(|key| taken.get(key).map(|set| (*key, *set)))
}

/// Characters of a source's digest in a file's name: 64 bits, which nothing is to be guessed from.
const SOURCE_DIGITS: usize = 16;

/// Where a set's keys from one source are kept. The source is in the name: keys of an operator whose number was changed are not the set's
/// any more, and are not found.
fn cache_file(data_dir: &Path, id: &str, source: &LoaderKind) -> PathBuf {
    let digest: String = hex::encode(Sha256::digest(source.identity())).chars().take(SOURCE_DIGITS).collect();
    data_dir.join(CACHE).join(format!("{id}.{digest}.txt"))
}

/// The folder in `data_dir`.
const CACHE: &str = "proposers";

/// The keys that were loaded last, by an earlier process perhaps: a set is not empty because its source is away for a moment.
pub(super) fn cached_keys(config: &Config) -> LoadedKeys {
    let sets = config.proposers.iter().filter_map(|set| Some((&set.id, set.loader.as_ref()?)));
    let cached = sets.filter_map(|(id, loader)| {
        let text = fs::read_to_string(cache_file(&config.data_dir, id, &loader.kind)).ok()?;
        Some((id.clone(), parse_key_list(&text).ok()?))
    });
    cached.collect()
}

/// Keeps loaded keys for the next start, and those of the set's earlier sources no longer.
pub(super) fn cache_keys(
    data_dir: &Path,
    id: &str,
    source: &LoaderKind,
    keys: &[BlsPublicKey],
) -> io::Result<()> {
    let file = cache_file(data_dir, id, source);
    let folder = data_dir.join(CACHE);
    fs::create_dir_all(&folder)?;
    let text: String = keys.iter().map(|key| format!("{key}\n")).collect();
    write_whole(&file, text.as_bytes(), 0o600)?;
    for entry in fs::read_dir(&folder)?.flatten() {
        if entry.path() != file && entry.file_name().to_str().is_some_and(|name| is_cache_of(name, id)) {
            // What is left behind is never read.
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

/// Whether a file has keys of a set, from whatever source. Earlier versions had no source in the name.
fn is_cache_of(name: &str, id: &str) -> bool {
    let Some(rest) = name.strip_prefix(id).and_then(|rest| rest.strip_suffix(".txt")) else { return false };
    let is_digest =
        |digest: &str| digest.len() == SOURCE_DIGITS && digest.bytes().all(|b| b.is_ascii_hexdigit());
    rest.is_empty() || rest.strip_prefix('.').is_some_and(is_digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_another_source_are_not_found() {
        let folder = tempfile::tempdir().unwrap();
        let ssv = |operator| LoaderKind::Ssv {
            node: None,
            api: "https://api.example.org/".parse().unwrap(),
            operator,
        };
        let key: BlsPublicKey = format!("0x{}", "ab".repeat(48)).parse().unwrap();
        let names = || {
            let entries = fs::read_dir(folder.path().join(CACHE)).unwrap();
            let mut names: Vec<String> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        cache_keys(folder.path(), "a", &ssv(1), &[key]).unwrap();
        cache_keys(folder.path(), "a.b", &ssv(1), &[key]).unwrap();
        fs::write(folder.path().join(CACHE).join("a.txt"), "").unwrap();
        assert!(cache_file(folder.path(), "a", &ssv(1)).exists());
        assert!(!cache_file(folder.path(), "a", &ssv(2)).exists());
        cache_keys(folder.path(), "a", &ssv(2), &[key]).unwrap();
        assert!(cache_file(folder.path(), "a", &ssv(2)).exists());
        assert!(cache_file(folder.path(), "a.b", &ssv(1)).exists(), "another set's");
        assert_eq!(names().len(), 2, "{:?}", names());
    }

    #[test]
    fn every_part_of_a_source_counts() {
        let url = |text: &str| text.parse().unwrap();
        let address = |n| alloy_primitives::Address::repeat_byte(n);
        let sources = [
            LoaderKind::Url(url("https://a.example.org/")),
            LoaderKind::Url(url("https://b.example.org/")),
            LoaderKind::Lido { rpc: url("http://a/"), registry: address(1), operator: 1 },
            LoaderKind::Lido { rpc: url("http://a/"), registry: address(2), operator: 1 },
            LoaderKind::Lido { rpc: url("http://a/"), registry: address(1), operator: 2 },
            LoaderKind::Stader { rpc: url("http://a/"), registry: address(1), operator: address(1) },
            LoaderKind::Stader { rpc: url("http://a/"), registry: address(1), operator: address(2) },
            LoaderKind::Ssv { node: None, api: url("http://a/"), operator: 1 },
            LoaderKind::Ssv { node: Some(url("http://n/")), api: url("http://a/"), operator: 1 },
            LoaderKind::Ssv { node: None, api: url("http://a/"), operator: 2 },
        ];
        let names: std::collections::BTreeSet<String> = sources.iter().map(LoaderKind::identity).collect();
        assert_eq!(names.len(), sources.len());
    }
}
