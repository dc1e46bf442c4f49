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
    pub(super) trust: RawTrust,
    pub(super) rotation: RawRotation,
    // Sections that are part of the contract and are built later: taken, and warned about.
    pub(super) proposers: Option<Value>,
    pub(super) beacon: Option<Value>,
    pub(super) execution: Option<Value>,
    pub(super) profit: Option<Value>,
    pub(super) bundles: Option<Value>,
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
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawOps {
    pub(super) listen: Option<String>,
    pub(super) max_requests_per_second: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawAuction {
    pub(super) timeout_get_header_ms: Option<u64>,
    pub(super) timeout_get_payload_ms: Option<u64>,
    pub(super) timeout_register_validator_ms: Option<u64>,
    pub(super) late_in_slot_time_ms: Option<u64>,
    pub(super) min_bid_eth: Option<Amount>,
    pub(super) reserve_ms: Option<u64>,
    pub(super) gas_limit_check: Option<String>,
    pub(super) submit_others_delay_ms: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawTrust {
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
    pub(super) pinned: Option<bool>,
    pub(super) pardon_before: Option<toml::value::Datetime>,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) get_params: BTreeMap<String, Scalar>,
    pub(super) get_header: Option<String>,
    pub(super) enable_timing_games: Option<bool>,
    pub(super) target_first_request_ms: Option<u64>,
    pub(super) frequency_get_header_ms: Option<u64>,
    pub(super) max_calls_per_second: Option<u32>,
    pub(super) max_registrations_per_request: Option<u32>,
}

/// Known keys by section, for the nearest one to an unknown.
const KEYS: [(&str, &[&str]); 8] = [
    (
        "",
        &[
            "network",
            "data_dir",
            "builder_api",
            "ops",
            "auction",
            "tls",
            "relays",
            "trust",
            "proposers",
            "rotation",
            "beacon",
            "execution",
            "profit",
            "bundles",
            "rpc",
            "nodes",
            "resources",
            "disk",
            "maintenance",
            "backup",
            "alerts",
            "sla",
            "telemetry",
        ],
    ),
    (
        "builder_api",
        &["listen", "relay_check", "status_without_relays", "max_registrations_bytes", "max_block_bytes"],
    ),
    ("ops", &["listen", "max_requests_per_second"]),
    (
        "auction",
        &[
            "timeout_get_header_ms",
            "timeout_get_payload_ms",
            "timeout_register_validator_ms",
            "late_in_slot_time_ms",
            "min_bid_eth",
            "reserve_ms",
            "gas_limit_check",
            "submit_others_delay_ms",
        ],
    ),
    ("tls", &["roots_file", "proxy"]),
    (
        "trust",
        &[
            "half_life_days",
            "quarantine_secs",
            "quarantine_max_secs",
            "breaker_failures",
            "breaker_successes",
            "breaker_open_secs",
            "breaker_open_max_secs",
        ],
    ),
    (
        "rotation",
        &[
            "enabled",
            "cpu_high_percent",
            "cpu_low_percent",
            "psi_high_percent",
            "psi_low_percent",
            "samples",
            "interval_secs",
            "min_active",
        ],
    ),
    (
        "relays",
        &[
            "id",
            "url",
            "enabled",
            "pinned",
            "pardon_before",
            "headers",
            "get_params",
            "get_header",
            "enable_timing_games",
            "target_first_request_ms",
            "frequency_get_header_ms",
            "max_calls_per_second",
            "max_registrations_per_request",
        ],
    ),
];

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
    let section = section.split('[').next().unwrap_or_default();
    let known = KEYS.iter().find(|(of, _)| *of == section).map_or(&[][..], |(_, keys)| *keys);
    let nearest = known.iter().map(|known| (strsim::damerau_levenshtein(known, name), *known)).min();
    let hint = match nearest {
        Some((distance, near)) if distance <= name.len().max(3) / 2 => format!("did you mean `{near}`?"),
        Some(_) | None if known.is_empty() => "remove it".to_owned(),
        Some(_) | None => format!("known keys here: {}", known.join(", ")),
    };
    Mistake::at(key, "unknown key", hint)
}
