//! The file as it is written: every key of `relays.toml`, unchecked.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Deserializer, de};
use toml::{Table, Value};

use super::Mistake;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawConfig {
    pub(super) network: Option<String>,
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
    pub(super) beacon: RawNode,
    pub(super) execution: RawNode,
    pub(super) profit: RawProfit,
    pub(super) bundles: Option<RawBundles>,
    // Sections that are part of the contract and are built later: taken, and warned about.
    pub(super) rpc: Option<Value>,
    pub(super) nodes: Option<Value>,
    pub(super) resources: Option<Value>,
    pub(super) disk: Option<Value>,
    pub(super) maintenance: Option<Value>,
    pub(super) backup: Option<Value>,
    pub(super) alerts: Option<Value>,
    pub(super) sla: Option<Value>,
    pub(super) telemetry: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawBuilderApi {
    pub(super) listen: Option<String>,
    pub(super) relay_check: Option<bool>,
    pub(super) status_without_relays: Option<String>,
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
    pub(super) cpu_high_percent: Option<f64>,
    pub(super) cpu_low_percent: Option<f64>,
    pub(super) psi_high_percent: Option<f64>,
    pub(super) psi_low_percent: Option<f64>,
    pub(super) samples: Option<u32>,
    pub(super) interval_secs: Option<u64>,
    pub(super) min_active: Option<usize>,
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
    /// Its terms.
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

/// Known keys by section, for the nearest one to an unknown.
const KEYS: [(&str, &str); 18] = [
    (
        "",
        "network data_dir builder_api ops auction tls relays builders proposers proposer_labels_file trust rotation beacon \
         execution profit bundles rpc nodes resources disk maintenance backup alerts sla telemetry",
    ),
    (
        "builder_api",
        "listen relay_check status_without_relays max_registrations_bytes max_block_bytes allowed_hosts",
    ),
    ("ops", "listen max_requests_per_second allowed_hosts read_token_file metrics_without_token"),
    ("auction", AUCTION_KEYS),
    ("tls", "roots_file proxy"),
    ("beacon", "url"),
    ("execution", "url"),
    ("profit", "target_eth_per_day check_every_secs registrations_every_secs data_api prices_file currency"),
    (
        "bundles",
        "listen signing_key_file searchers builders refunds_to rate_per_searcher max_open_per_searcher \
         max_open_mib watch weth simulate poll_ms answer_within_ms \
         allowed_hosts",
    ),
    ("searchers", "address signing_key_file"),
    ("bundles.builders", "id url dialect signature authorization_file max_requests_per_second on_request"),
    (
        "trust",
        "seed_from_public_record half_life_days quarantine_secs quarantine_max_secs breaker_failures breaker_successes breaker_open_secs \
         breaker_open_max_secs",
    ),
    (
        "rotation",
        "enabled cpu_high_percent cpu_low_percent psi_high_percent psi_low_percent samples interval_secs min_active",
    ),
    (
        "relays",
        "id url enabled sets_only pinned pardon_before headers get_params get_header enable_timing_games target_first_request_ms \
         frequency_get_header_ms keep weight_factor weight_offset_eth min_bid_eth max_calls_per_second \
         max_registrations_per_request",
    ),
    ("builders", "id fee_recipient extra_data weight_factor weight_offset_eth"),
    ("proposers", "id pubkeys pubkeys_file pubkeys_url refresh_secs loader labels relays terms"),
    ("loader", "kind rpc_url registry operator_id operator node_url api_url"),
    (
        "terms",
        "weight_factor weight_offset_eth min_bid_eth enable_timing_games target_first_request_ms frequency_get_header_ms keep",
    ),
];

/// Keys of `[auction]`, which every `[[proposers]]` set may have too.
const AUCTION_KEYS: &str = "timeout_get_header_ms timeout_get_payload_ms timeout_register_validator_ms late_in_slot_time_ms min_bid_eth \
     min_profit_eth reserve_ms gas_limit_check submit_others_delay_ms soft_deadline_ms soft_deadline_min_answers \
     soft_deadline_risk";

/// Known keys where a key stands.
fn known_keys(section: &str) -> Vec<&'static str> {
    // `proposers[0].terms.titan`: the terms of a relay, whatever its name; `proposers[0].loader`.
    let steps: Vec<&str> = section.split('.').map(|step| step.split('[').next().unwrap_or(step)).collect();
    let name = match steps.as_slice() {
        [_, "terms", ..] => "terms",
        ["bundles", "builders"] => "bundles.builders",
        [.., last] => last,
        [] => "",
    };
    let keys = KEYS.iter().find(|(of, _)| *of == name).map_or("", |(_, keys)| *keys);
    let inherited = if name == "proposers" { AUCTION_KEYS } else { "" };
    keys.split_whitespace().chain(inherited.split_whitespace()).collect()
}

/// An amount in ETH: text, or a number whose digits are taken as they are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Amount(pub(super) String);

/// Text, number or boolean, as a query value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scalar(pub(super) String);

struct AsText(&'static str);

impl de::Visitor<'_> for AsText {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<String, E> {
        // The shortest text that reads back as the same float: what was written, for any amount people write.
        Ok(number.to_string())
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<String, E> {
        Ok(flag.to_string())
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AsText("an amount in ETH such as \"0.05\"")).map(Self)
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AsText("a text, number or boolean")).map(Self)
    }
}

/// Reads a table; unknown keys and wrong types are mistakes.
pub(super) fn read(table: Table) -> Result<RawConfig, Vec<Mistake>> {
    let mut unknown = Vec::new();
    let mut path = serde_path_to_error::Track::new();
    let deserializer = serde_path_to_error::Deserializer::new(Value::Table(table), &mut path);
    let result: Result<RawConfig, _> =
        serde_ignored::deserialize(deserializer, |ignored| unknown.push(dotted(&ignored.to_string())));
    let mut mistakes: Vec<Mistake> = unknown.iter().map(|key| unknown_key(key)).collect();
    match result {
        Ok(raw) if mistakes.is_empty() => Ok(raw),
        Ok(_) => Err(mistakes),
        Err(error) => {
            let key = dotted(&path.path().to_string());
            let message = error.to_string().lines().next().unwrap_or_default().to_owned();
            mistakes.push(Mistake::at(key, message, "see relays.toml of the repository for each key's type"));
            Err(mistakes)
        }
    }
}

/// `relays.1.url` (`serde_ignored`) and `relays[1].url` (`serde_path_to_error`) as `relays[1].url`.
fn dotted(path: &str) -> String {
    let mut out = String::new();
    for step in path.split('.').filter(|step| *step != "?") {
        if step.bytes().all(|b| b.is_ascii_digit()) && !out.is_empty() {
            out.push_str(&format!("[{step}]"));
        } else {
            if !out.is_empty() {
                out.push('.');
            }
            out.push_str(step);
        }
    }
    out
}

fn unknown_key(key: &str) -> Mistake {
    let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
    let known = known_keys(section);
    let nearest = known.iter().map(|known| (strsim::damerau_levenshtein(known, name), *known)).min();
    let hint = match nearest {
        Some((distance, near)) if distance <= name.len().max(3) / 2 => format!("did you mean `{near}`?"),
        Some(_) | None if known.is_empty() => "remove it".to_owned(),
        Some(_) | None => format!("known keys here: {}", known.join(", ")),
    };
    Mistake::at(key, "unknown key", hint)
}
