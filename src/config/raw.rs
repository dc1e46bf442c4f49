//! The file as it is written: every key of `relays.toml`, unchecked. An unknown key does not parse.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Deserializer, de};
use serde_path_to_error::{Path, Segment};
use toml::{Table, Value};

pub(super) use super::raw_text::{Amount, Scalar};
use super::{
    Mistake, keys,
    raw_alerts::{RawAlerts, RawSla},
    raw_backup::RawBackup,
    raw_disk::RawDisk,
    raw_firewall::RawFirewall,
    raw_ledger::RawLedger,
    raw_maintenance::RawSchedule,
    raw_nodes::{RawResources, RawSupervisedNode},
    raw_rpc::RawRpc,
};

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawConfig {
    pub(super) network: Option<RawNetwork>,
    pub(super) data_dir: Option<String>,
    pub(super) builder_api: RawBuilderApi,
    pub(super) ops: RawOps,
    pub(super) auction: RawAuction,
    pub(super) tls: RawTls,
    pub(super) relays: Vec<RawRelay>,
    pub(super) builders: Vec<RawBuilder>,
    pub(super) proposers: Vec<RawProposer>,
    pub(super) proposer_labels_file: Option<String>,
    pub(super) trust: RawTrust,
    pub(super) rotation: RawRotation,
    pub(super) beacon: RawBeacon,
    pub(super) execution: Option<RawNode>,
    pub(super) profit: RawProfit,
    pub(super) bundles: Option<RawBundles>,
    pub(super) rpc: Option<RawRpc>,
    pub(super) alerts: RawAlerts,
    pub(super) sla: RawSla,
    pub(super) nodes: Vec<RawSupervisedNode>,
    pub(super) resources: Option<RawResources>,
    pub(super) firewall: Option<RawFirewall>,
    pub(super) maintenance: Option<RawSchedule>,
    pub(super) disk: Option<RawDisk>,
    // Sections that are part of the contract and are built later: taken, and warned about.
    pub(super) backup: Option<RawBackup>,
    pub(super) telemetry: Option<Value>,
    pub(super) ledger: RawLedger,
}

/// `network`
#[derive(Debug)]
pub(super) enum RawNetwork {
    /// A name, or the path of a chain spec.
    Named(String),
    /// A chain by its genesis.
    Chain(RawChain),
}

/// `network = { genesis_time = …, genesis_fork_version = "0x…" }`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawChain {
    pub(super) name: Option<String>,
    pub(super) genesis_time: Option<u64>,
    pub(super) genesis_fork_version: Option<String>,
    pub(super) seconds_per_slot: Option<u64>,
    pub(super) chain_id: Option<u64>,
    pub(super) fulu_fork_epoch: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawBuilderApi {
    pub(super) listen: Option<String>,
    pub(super) relay_check: Option<bool>,
    pub(super) status_without_relays: Option<String>,
    pub(super) require_synced: Option<String>,
    pub(super) max_registrations_bytes: Option<u64>,
    pub(super) max_block_bytes: Option<u64>,
    pub(super) allowed_hosts: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawOps {
    pub(super) listen: Option<String>,
    pub(super) max_requests_per_second: Option<u32>,
    pub(super) allowed_hosts: Vec<String>,
    pub(super) read_token_file: Option<String>,
    pub(super) metrics_without_token: Option<bool>,
}

/// Declares a section that has every `[auction]` key beside its own: neither `serde(flatten)` nor unknown keys would survive nesting.
macro_rules! with_auction_keys {
    ($(#[$doc:meta])* $name:ident { $($own:ident: $kind:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Default, Deserialize)]
        #[serde(default)]
        pub(super) struct $name {
            $(pub(super) $own: $kind,)*
            pub(super) timeout_get_header_ms: Option<u64>,
            pub(super) timeout_get_payload_ms: Option<u64>,
            pub(super) timeout_register_validator_ms: Option<u64>,
            pub(super) late_in_slot_time_ms: Option<u64>,
            pub(super) min_bid_eth: Option<Amount>,
            pub(super) min_profit_eth: Option<Amount>,
            pub(super) reserve_ms: Option<u64>,
            pub(super) gas_limit_check: Option<String>,
            pub(super) submit_others_delay_ms: Option<u64>,
            pub(super) soft_deadline_ms: Option<u64>,
            pub(super) soft_deadline_min_answers: Option<usize>,
            pub(super) soft_deadline_risk: Option<f64>,
        }
    };
}

with_auction_keys!(
    /// `[auction]`
    RawAuction {}
);

with_auction_keys!(
    /// `[[proposers]]`
    RawProposer {
        id: Option<String>,
        pubkeys: Vec<String>,
        pubkeys_file: Option<String>,
        pubkeys_url: Option<String>,
        refresh_secs: Option<u64>,
        loader: Option<RawLoader>,
        labels: Vec<String>,
        relays: Option<Vec<String>>,
        terms: BTreeMap<String, RawTerms>,
    }
);

impl RawProposer {
    /// Its `[auction]` keys.
    pub(super) fn auction(&self) -> RawAuction {
        RawAuction {
            timeout_get_header_ms: self.timeout_get_header_ms,
            timeout_get_payload_ms: self.timeout_get_payload_ms,
            timeout_register_validator_ms: self.timeout_register_validator_ms,
            late_in_slot_time_ms: self.late_in_slot_time_ms,
            min_bid_eth: self.min_bid_eth.clone(),
            min_profit_eth: self.min_profit_eth.clone(),
            reserve_ms: self.reserve_ms,
            gas_limit_check: self.gas_limit_check.clone(),
            submit_others_delay_ms: self.submit_others_delay_ms,
            soft_deadline_ms: self.soft_deadline_ms,
            soft_deadline_min_answers: self.soft_deadline_min_answers,
            soft_deadline_risk: self.soft_deadline_risk,
        }
    }
}

/// `loader = { kind = … }`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawLoader {
    pub(super) kind: Option<String>,
    pub(super) rpc_url: Option<String>,
    pub(super) registry: Option<String>,
    pub(super) operator_id: Option<u64>,
    pub(super) operator: Option<String>,
    pub(super) node_url: Option<String>,
    pub(super) api_url: Option<String>,
}

/// Terms of one relay.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawTerms {
    pub(super) weight_factor: Option<u64>,
    pub(super) weight_offset_eth: Option<Amount>,
    pub(super) min_bid_eth: Option<Amount>,
    pub(super) enable_timing_games: Option<bool>,
    pub(super) target_first_request_ms: Option<u64>,
    pub(super) frequency_get_header_ms: Option<u64>,
    pub(super) keep: Option<String>,
}

/// `[[builders]]`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawBuilder {
    pub(super) id: Option<String>,
    pub(super) fee_recipient: Option<String>,
    pub(super) extra_data: Option<String>,
    pub(super) weight_factor: Option<u64>,
    pub(super) weight_offset_eth: Option<Amount>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawTrust {
    pub(super) seed_from_public_record: Option<bool>,
    pub(super) half_life_days: Option<u64>,
    pub(super) quarantine_secs: Option<u64>,
    pub(super) quarantine_max_secs: Option<u64>,
    pub(super) breaker_failures: Option<u32>,
    pub(super) breaker_successes: Option<u32>,
    pub(super) breaker_open_secs: Option<u64>,
    pub(super) breaker_open_max_secs: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawRotation {
    pub(super) enabled: Option<bool>,
    pub(super) lag_high_ms: Option<f64>,
    pub(super) lag_low_ms: Option<f64>,
    pub(super) cpu_high_percent: Option<f64>,
    pub(super) cpu_low_percent: Option<f64>,
    pub(super) psi_high_percent: Option<f64>,
    pub(super) psi_low_percent: Option<f64>,
    pub(super) samples: Option<u32>,
    pub(super) interval_secs: Option<u64>,
    pub(super) min_active: Option<usize>,
    pub(super) max_shed_secs: Option<u64>,
}

/// `[bundles]`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawBundles {
    pub(super) listen: Option<String>,
    pub(super) signing_key_file: Option<String>,
    pub(super) searchers: Vec<RawSearcher>,
    pub(super) builders: Vec<RawBundleBuilder>,
    pub(super) refunds_to: Option<String>,
    pub(super) rate_per_searcher: Option<u32>,
    pub(super) max_open_per_searcher: Option<usize>,
    pub(super) max_open_mib: Option<usize>,
    pub(super) watch: Vec<String>,
    pub(super) weth: Option<String>,
    pub(super) simulate: Option<bool>,
    pub(super) poll_ms: Option<u64>,
    pub(super) answer_within_ms: Option<u64>,
    pub(super) allowed_hosts: Vec<String>,
}

/// `[[bundles.searchers]]`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawSearcher {
    pub(super) address: Option<String>,
    pub(super) signing_key_file: Option<String>,
}

/// `[[bundles.builders]]`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawBundleBuilder {
    pub(super) id: Option<String>,
    pub(super) url: Option<String>,
    pub(super) dialect: Option<String>,
    pub(super) signature: Option<String>,
    pub(super) authorization_file: Option<String>,
    pub(super) max_requests_per_second: Option<u32>,
    pub(super) on_request: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawProfit {
    pub(super) target_eth_per_day: Option<Amount>,
    pub(super) check_every_secs: Option<u64>,
    pub(super) registrations_every_secs: Option<u64>,
    pub(super) data_api: Option<bool>,
    pub(super) prices_file: Option<String>,
    pub(super) currency: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawNode {
    pub(super) url: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawBeacon {
    pub(super) url: Option<String>,
    pub(super) payload_attributes: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawTls {
    pub(super) roots_file: Option<String>,
    pub(super) proxy: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawRelay {
    pub(super) id: Option<String>,
    pub(super) url: Option<String>,
    pub(super) enabled: Option<bool>,
    pub(super) sets_only: Option<bool>,
    pub(super) pinned: Option<bool>,
    pub(super) pardon_before: Option<toml::value::Datetime>,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) get_params: BTreeMap<String, Scalar>,
    pub(super) get_header: Option<String>,
    pub(super) enable_timing_games: Option<bool>,
    pub(super) target_first_request_ms: Option<u64>,
    pub(super) frequency_get_header_ms: Option<u64>,
    pub(super) keep: Option<String>,
    pub(super) weight_factor: Option<u64>,
    pub(super) weight_offset_eth: Option<Amount>,
    pub(super) min_bid_eth: Option<Amount>,
    pub(super) max_calls_per_second: Option<u32>,
    pub(super) max_registrations_per_request: Option<u32>,
}

impl RawRelay {
    /// The relay's own terms, which sets may have others over.
    pub(super) fn terms(&self) -> RawTerms {
        RawTerms {
            weight_factor: self.weight_factor,
            weight_offset_eth: self.weight_offset_eth.clone(),
            min_bid_eth: self.min_bid_eth.clone(),
            enable_timing_games: self.enable_timing_games,
            target_first_request_ms: self.target_first_request_ms,
            frequency_get_header_ms: self.frequency_get_header_ms,
            keep: self.keep.clone(),
        }
    }
}

struct NetworkVisitor;

impl<'de> de::Visitor<'de> for NetworkVisitor {
    type Value = RawNetwork;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a network's name, the path of a chain spec, or a table with the chain's genesis")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<RawNetwork, E> {
        Ok(RawNetwork::Named(text.to_owned()))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<RawNetwork, A::Error> {
        RawChain::deserialize(de::value::MapAccessDeserializer::new(map)).map(RawNetwork::Chain)
    }
}

impl<'de> Deserialize<'de> for RawNetwork {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NetworkVisitor)
    }
}

/// Most wrong types that are looked for in one file: nobody reads more.
const MAX_WRONG_TYPES: usize = 100;

/// What a table says, as far as it can be understood.
#[derive(Debug, Default)]
pub(super) struct ReadTable {
    /// The keys that could be read.
    pub(super) config: RawConfig,
    /// Unknown keys and values of wrong types.
    pub(super) mistakes: Vec<Mistake>,
    /// Keys that are missing in `config` because of these mistakes: that they are missing is no mistake of its own.
    pub(super) excused: Vec<String>,
}

/// Reads a table. A value of a wrong type is taken out and reading goes on, so that one mistake hides no other. `as_text` gives the text
/// of a value that came as one and was taken for something else, as the environment's are.
pub(super) fn read(table: Table, as_text: impl Fn(&str) -> Option<String>) -> ReadTable {
    let mut table = Value::Table(table);
    let mut out = ReadTable::default();
    for _ in 0..MAX_WRONG_TYPES {
        let mut unknown = Vec::new();
        let mut track = serde_path_to_error::Track::new();
        let deserializer = serde_path_to_error::Deserializer::new(table.clone(), &mut track);
        let result: Result<RawConfig, _> =
            serde_ignored::deserialize(deserializer, |ignored| unknown.push(dotted(&ignored.to_string())));
        let error = match result {
            Ok(config) => {
                for key in unknown {
                    let (mistake, meant) = keys::unknown(&key);
                    out.mistakes.push(mistake);
                    out.excused.extend(meant);
                }
                out.config = config;
                break;
            }
            Err(error) => error,
        };
        let path = track.path();
        let key = dotted(&path.to_string());
        let Some(value) = find(&mut table, &path) else {
            out.mistakes.push(Mistake::at(key, plain(&error.to_string()), TYPES_HINT));
            break;
        };
        if let (Some(text), false) = (as_text(&key), value.is_str()) {
            *value = Value::String(text);
            continue;
        }
        out.mistakes.push(Mistake::at(key, plain(&error.to_string()), TYPES_HINT));
        out.excused.push(take_out(&mut table, &path));
    }
    out
}

const TYPES_HINT: &str = "docs/configuration.md and the relays.toml of the repository show each key's type";

/// What the deserializer says, in words of the file instead of Rust's, and without the value that it quotes: it may be a password.
fn plain(message: &str) -> String {
    let message = message.lines().next().unwrap_or_default();
    let (before, expected) = message.rsplit_once("expected ").unwrap_or((message, ""));
    let before = before.split(['"', '`']).next().unwrap_or_default().trim_end_matches([' ', ',']);
    if expected.is_empty() {
        return before.to_owned();
    }
    let expected = match expected {
        "u64" | "u32" | "usize" => "a whole number, 0 or more",
        "i64" => "a whole number",
        "f64" => "a number",
        "a string" => "a text in quotes",
        "a boolean" => "true or false",
        "a map" => "a section or { … }",
        "a sequence" => "a list",
        other if other.starts_with("struct ") => "a section",
        other => other,
    };
    format!("{before}, expected {expected}")
}

/// The value at a path.
fn find<'a>(table: &'a mut Value, path: &Path) -> Option<&'a mut Value> {
    path.iter().try_fold(table, |value, segment| match segment {
        Segment::Map { key } => value.get_mut(key.as_str()),
        Segment::Seq { index } => value.get_mut(*index),
        Segment::Enum { .. } | Segment::Unknown => None,
    })
}

/// Takes the value at a path out of its table, with the list that it is in: without it the list's other entries would have other
/// numbers. Gives the key that is gone.
fn take_out(table: &mut Value, path: &Path) -> String {
    let mut steps: Vec<&Segment> = path.iter().collect();
    while matches!(steps.last(), Some(Segment::Seq { .. })) {
        steps.pop();
    }
    let last = steps.pop();
    let mut value = Some(table);
    let mut key = String::new();
    for step in steps {
        value = match (value, step) {
            (Some(value), Segment::Map { key: name }) => {
                join(&mut key, name);
                value.get_mut(name.as_str())
            }
            (Some(value), Segment::Seq { index }) => {
                key.push_str(&format!("[{index}]"));
                value.get_mut(*index)
            }
            _ => None,
        };
    }
    if let (Some(Value::Table(inner)), Some(Segment::Map { key: name })) = (value, last) {
        inner.remove(name.as_str());
        join(&mut key, name);
    }
    key
}

fn join(key: &mut String, name: &str) {
    if !key.is_empty() {
        key.push('.');
    }
    key.push_str(name);
}

/// `relays.1.url` (`serde_ignored`) and `relays[1].url` (`serde_path_to_error`) as `relays[1].url`.
fn dotted(path: &str) -> String {
    let mut out = String::new();
    for step in path.split('.').filter(|step| *step != "?") {
        if step.bytes().all(|b| b.is_ascii_digit()) && !out.is_empty() {
            out.push_str(&format!("[{step}]"));
        } else {
            join(&mut out, step);
        }
    }
    out
}
