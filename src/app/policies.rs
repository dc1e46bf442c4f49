//! From a configuration, relays and loaded keys to the policies that auctions go by.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use reqwest::Client;

use super::files::write_whole;
use crate::{
    auction::{Policy, PolicyTable},
    config::{Config, parse_key_list},
    relay::{
        HeaderMode, HttpClientError, Relay, RelaySettings, build_fresh_http_client, build_http_client,
        build_http1_client,
    },
    types::BlsPublicKey,
};

/// Keys that came from loaders, by set.
pub(super) type LoadedKeys = BTreeMap<String, Vec<BlsPublicKey>>;

/// The HTTP clients that relays share.
#[derive(Clone, Debug)]
pub(super) struct Clients {
    pub(super) http: Client,
    /// Keeps no connection, for blocks that a kept one swallows.
    fresh: Client,
    http1: Option<Client>,
}

impl Clients {
    /// Clients for a configuration; the one for streams only where there are any.
    pub(super) fn for_config(config: &Config) -> Result<Self, HttpClientError> {
        let http = build_http_client(&config.tls_roots, config.proxy.as_deref())?;
        let fresh = build_fresh_http_client(&config.tls_roots, config.proxy.as_deref())?;
        let mut clients = Self { http, fresh, http1: None };
        clients.prepare_for(config)?;
        Ok(clients)
    }

    /// Makes what a new configuration needs and the old one did not.
    pub(super) fn prepare_for(&mut self, config: &Config) -> Result<(), HttpClientError> {
        let has_streams = config.relays.iter().any(|relay| relay.get_header == HeaderMode::Stream);
        if has_streams && self.http1.is_none() {
            self.http1 = Some(build_http1_client(&config.tls_roots, config.proxy.as_deref())?);
        }
        Ok(())
    }

    /// A relay that speaks through these clients.
    pub(super) fn relay(&self, settings: &RelaySettings, config: &Config) -> Arc<Relay> {
        let relay = Relay::new(settings.clone(), config.spec.preset, self.http.clone());
        let relay = relay.with_fresh(self.fresh.clone());
        Arc::new(match (&self.http1, settings.get_header) {
            (Some(http1), HeaderMode::Stream) => relay.with_http1(http1.clone()),
            (_, HeaderMode::Http | HeaderMode::Stream) => relay,
        })
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

fn cache_file(data_dir: &Path, id: &str) -> PathBuf {
    data_dir.join("proposers").join(format!("{id}.txt"))
}

/// The keys that were loaded last, by an earlier process perhaps: a set is not empty because its source is away for a moment.
pub(super) fn cached_keys(config: &Config) -> LoadedKeys {
    let sets = config.proposers.iter().filter(|set| set.loader.is_some());
    let cached = sets.filter_map(|set| {
        let text = fs::read_to_string(cache_file(&config.data_dir, &set.id)).ok()?;
        Some((set.id.clone(), parse_key_list(&text).ok()?))
    });
    cached.collect()
}

/// Keeps loaded keys for the next start.
pub(super) fn cache_keys(data_dir: &Path, id: &str, keys: &[BlsPublicKey]) -> io::Result<()> {
    let file = cache_file(data_dir, id);
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let text: String = keys.iter().map(|key| format!("{key}\n")).collect();
    write_whole(&file, text.as_bytes(), 0o600)
}
