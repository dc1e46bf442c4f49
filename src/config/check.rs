//! From the file as written to a configuration that can be run.

use std::{collections::HashSet, net::SocketAddr, path::Path, time::Duration};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::{
    Config, Mistake,
    raw::{Amount, RawAuction, RawBuilderApi, RawConfig, RawOps, RawRelay, RawRotation, RawTrust},
};
use crate::{
    auction::{AuctionSettings, GasLimitCheck},
    builder_api::BuilderApiSettings,
    consensus::{ChainSpec, Network, parse_spec_file},
    ops_api::OpsSettings,
    relay::{
        HeaderMode, KeeperSettings, RelaySettings, TimingSettings, TlsRoots,
        health::{BreakerPolicy, TrustPolicy},
        parse_relay_url,
        rotation::RotationPolicy,
    },
    types::{RelayId, Wei},
};

/// Calls a second to a relay unless configured: far above what validators need, far below what a runaway loop does.
const DEFAULT_CALLS_PER_SECOND: u32 = 2000;

/// Collects mistakes while checking goes on.
struct Checker {
    mistakes: Vec<Mistake>,
    warnings: Vec<String>,
}

impl Checker {
    fn wrong(&mut self, key: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.mistakes.push(Mistake::at(key, message, hint));
    }

    /// A time in milliseconds that must not be zero.
    fn millis(&mut self, key: &str, value: Option<u64>, default: Duration) -> Duration {
        match value {
            None => default,
            Some(0) => {
                self.wrong(
                    key,
                    "a timeout of 0 would never let anything through",
                    "give it in milliseconds, 1 or more",
                );
                default
            }
            Some(ms) => Duration::from_millis(ms),
        }
    }

    fn address(&mut self, key: &str, value: Option<&String>, default: SocketAddr) -> SocketAddr {
        let Some(text) = value else { return default };
        let text = text.replacen("localhost", "127.0.0.1", 1);
        text.parse().unwrap_or_else(|_| {
            self.wrong(
                key,
                format!("`{text}` is not an address"),
                format!("write IP:port, such as {default}"),
            );
            default
        })
    }
}

pub(super) fn check(raw: RawConfig, folder: &Path) -> Result<Config, Vec<Mistake>> {
    let mut checker = Checker { mistakes: Vec::new(), warnings: Vec::new() };
    warn_about_later_sections(&raw, &mut checker);
    let spec = chain_spec(raw.network.as_deref(), folder, &mut checker);
    let auction = auction(&raw.auction, spec.slot_ms, &mut checker);
    let config = Config {
        data_dir: raw.data_dir.as_deref().unwrap_or("data").into(),
        builder_api: builder_api(&raw.builder_api, &mut checker),
        ops: ops(&raw.ops, &mut checker),
        relays: relays(raw.relays, &mut checker),
        keeper: keeper(&raw.trust, &raw.rotation, &mut checker),
        tls_roots: raw.tls.roots_file.map_or(TlsRoots::Bundled, |file| TlsRoots::File(folder.join(file))),
        proxy: raw.tls.proxy,
        auction,
        spec,
        warnings: checker.warnings,
    };
    if checker.mistakes.is_empty() { Ok(config) } else { Err(checker.mistakes) }
}

fn warn_about_later_sections(raw: &RawConfig, checker: &mut Checker) {
    let sections = [
        ("proposers", &raw.proposers),
        ("beacon", &raw.beacon),
        ("execution", &raw.execution),
        ("profit", &raw.profit),
        ("bundles", &raw.bundles),
        ("rpc", &raw.rpc),
        ("nodes", &raw.nodes),
        ("resources", &raw.resources),
        ("disk", &raw.disk),
        ("maintenance", &raw.maintenance),
        ("backup", &raw.backup),
        ("alerts", &raw.alerts),
        ("sla", &raw.sla),
        ("telemetry", &raw.telemetry),
    ];
    for (name, _) in sections.iter().filter(|(_, value)| value.is_some()) {
        checker.warnings.push(format!("[{name}] has no effect in this version"));
    }
}

fn chain_spec(network: Option<&str>, folder: &Path, checker: &mut Checker) -> ChainSpec {
    let name = network.unwrap_or(Network::Mainnet.name());
    if let Some(network) = Network::ALL.into_iter().find(|network| network.name() == name) {
        return network.spec();
    }
    let path = folder.join(name);
    let spec = std::fs::read_to_string(&path).map_err(|error| {
        let names: Vec<_> = Network::ALL.into_iter().map(Network::name).collect();
        let hint = format!("write one of {}, or the path of a config.yaml", names.join(", "));
        Mistake::at("network", format!("`{name}` is no known network, and {}: {error}", path.display()), hint)
    });
    let spec = spec.and_then(|text| {
        parse_spec_file(&text).map_err(|error| {
            let hint = "give the config.yaml that the consensus client was started with";
            Mistake::at("network", format!("{}: {error}", path.display()), hint)
        })
    });
    spec.unwrap_or_else(|mistake| {
        checker.mistakes.push(mistake);
        Network::Mainnet.spec()
    })
}

fn builder_api(raw: &RawBuilderApi, checker: &mut Checker) -> BuilderApiSettings {
    let default = BuilderApiSettings::default();
    let bytes =
        |value: Option<u64>, default| value.map_or(default, |v| usize::try_from(v).unwrap_or(usize::MAX));
    BuilderApiSettings {
        listen: checker.address("builder_api.listen", raw.listen.as_ref(), default.listen),
        relay_check: raw.relay_check.unwrap_or(default.relay_check),
        status_fails_without_relays: match raw.status_without_relays.as_deref() {
            None => default.status_fails_without_relays,
            Some("ok") => false,
            Some("unavailable") => true,
            Some(other) => {
                let message = format!("`{other}` is neither `ok` nor `unavailable`");
                checker.wrong("builder_api.status_without_relays", message, "ok: 200, unavailable: 503");
                false
            }
        },
        max_registrations_bytes: bytes(raw.max_registrations_bytes, default.max_registrations_bytes),
        max_block_bytes: bytes(raw.max_block_bytes, default.max_block_bytes),
    }
}

fn ops(raw: &RawOps, checker: &mut Checker) -> OpsSettings {
    let default = OpsSettings::default();
    OpsSettings {
        listen: checker.address("ops.listen", raw.listen.as_ref(), default.listen),
        max_requests_per_second: raw.max_requests_per_second.unwrap_or(default.max_requests_per_second),
    }
}

fn auction(raw: &RawAuction, slot_ms: u64, checker: &mut Checker) -> AuctionSettings {
    let default = AuctionSettings::default();
    let settings = AuctionSettings {
        timeout_get_header: checker.millis(
            "auction.timeout_get_header_ms",
            raw.timeout_get_header_ms,
            default.timeout_get_header,
        ),
        timeout_get_payload: checker.millis(
            "auction.timeout_get_payload_ms",
            raw.timeout_get_payload_ms,
            default.timeout_get_payload,
        ),
        timeout_register_validator: checker.millis(
            "auction.timeout_register_validator_ms",
            raw.timeout_register_validator_ms,
            default.timeout_register_validator,
        ),
        // Development chains have slots shorter than the default.
        late_in_slot_ms: raw.late_in_slot_time_ms.unwrap_or(default.late_in_slot_ms.min(slot_ms)),
        min_bid: raw.min_bid_eth.as_ref().map_or(default.min_bid, |amount| min_bid(amount, checker)),
        reserve: raw.reserve_ms.map_or(default.reserve, Duration::from_millis),
        gas_limit_check: match raw.gas_limit_check.as_deref() {
            None => default.gas_limit_check,
            Some("off") => GasLimitCheck::Off,
            Some("warn") => GasLimitCheck::Warn,
            Some("enforce") => GasLimitCheck::Enforce,
            Some(other) => {
                let message = format!("`{other}` is not one of off, warn, enforce");
                checker.wrong("auction.gas_limit_check", message, "warn is the default");
                default.gas_limit_check
            }
        },
        submit_others_delay: Duration::from_millis(raw.submit_others_delay_ms.unwrap_or(0)),
    };
    check_times(&settings, slot_ms, checker);
    settings
}

fn check_times(settings: &AuctionSettings, slot_ms: u64, checker: &mut Checker) {
    let late = settings.late_in_slot_ms;
    if late == 0 || late > slot_ms {
        let message = format!("{late} ms is not within a slot of {slot_ms} ms");
        checker.wrong("auction.late_in_slot_time_ms", message, format!("give 1 to {slot_ms}"));
    }
    let header_ms = settings.timeout_get_header.as_millis();
    if header_ms >= u128::from(late) {
        let message = format!("{header_ms} ms is not below late_in_slot_time_ms, which is {late}");
        checker.wrong(
            "auction.timeout_get_header_ms",
            message,
            "a header that takes that long is always too late",
        );
    }
    if settings.submit_others_delay >= settings.timeout_get_payload {
        let hint = "the other relays would never get the block";
        checker.wrong("auction.submit_others_delay_ms", "not below timeout_get_payload_ms", hint);
    }
}

fn keeper(trust: &RawTrust, rotation: &RawRotation, checker: &mut Checker) -> KeeperSettings {
    let default = KeeperSettings::default();
    let ms = |secs: u64| i64::try_from(secs.saturating_mul(1000)).unwrap_or(i64::MAX);
    let mut secs = |key: &str, value: Option<u64>, default: i64| match value {
        None => default,
        Some(0) => {
            checker.wrong(&format!("trust.{key}"), "0 would forget at once", "give it in seconds, 1 or more");
            default
        }
        Some(value) => ms(value),
    };
    let breaker = default.trust.breaker;
    let trust = TrustPolicy {
        half_life_ms: secs(
            "half_life_days",
            trust.half_life_days.map(|days| days.saturating_mul(86_400)),
            default.trust.half_life_ms,
        ),
        quarantine_ms: secs("quarantine_secs", trust.quarantine_secs, default.trust.quarantine_ms),
        quarantine_max_ms: secs(
            "quarantine_max_secs",
            trust.quarantine_max_secs,
            default.trust.quarantine_max_ms,
        ),
        breaker: BreakerPolicy {
            failures: trust.breaker_failures.unwrap_or(breaker.failures).max(1),
            successes: trust.breaker_successes.unwrap_or(breaker.successes).max(1),
            open_ms: secs("breaker_open_secs", trust.breaker_open_secs, breaker.open_ms),
            open_max_ms: secs("breaker_open_max_secs", trust.breaker_open_max_secs, breaker.open_max_ms),
        },
    };
    if trust.quarantine_max_ms < trust.quarantine_ms {
        checker.wrong("trust.quarantine_max_secs", "is below quarantine_secs", "quarantine doubles up to it");
    }
    if trust.breaker.open_max_ms < trust.breaker.open_ms {
        checker.wrong(
            "trust.breaker_open_max_secs",
            "is below breaker_open_secs",
            "the time doubles up to it",
        );
    }
    KeeperSettings { trust, rotation: rotation_policy(rotation, default.rotation, checker) }
}

fn rotation_policy(raw: &RawRotation, default: RotationPolicy, checker: &mut Checker) -> RotationPolicy {
    let mut percent = |key: &str, value: Option<f64>, default: f64| match value {
        Some(value) if !(0.0..=100.0).contains(&value) => {
            checker.wrong(&format!("rotation.{key}"), format!("{value} is no percentage"), "give 0 to 100");
            default
        }
        value => value.unwrap_or(default),
    };
    let policy = RotationPolicy {
        enabled: raw.enabled.unwrap_or(default.enabled),
        cpu_high_percent: percent("cpu_high_percent", raw.cpu_high_percent, default.cpu_high_percent),
        cpu_low_percent: percent("cpu_low_percent", raw.cpu_low_percent, default.cpu_low_percent),
        psi_high_percent: percent("psi_high_percent", raw.psi_high_percent, default.psi_high_percent),
        psi_low_percent: percent("psi_low_percent", raw.psi_low_percent, default.psi_low_percent),
        samples: raw.samples.unwrap_or(default.samples),
        interval_secs: raw.interval_secs.unwrap_or(default.interval_secs),
        min_active: raw.min_active.unwrap_or(default.min_active),
    };
    let pairs = [
        ("cpu_low_percent", policy.cpu_low_percent, policy.cpu_high_percent),
        ("psi_low_percent", policy.psi_low_percent, policy.psi_high_percent),
    ];
    for (key, low, high) in pairs {
        if low > high {
            let message = format!("{low} is above {}, which is {high}", key.replace("low", "high"));
            checker.wrong(
                &format!("rotation.{key}"),
                message,
                "relays come back below it, and rest above the other",
            );
        }
    }
    let counts = [
        ("samples", u64::from(policy.samples)),
        ("interval_secs", policy.interval_secs),
        ("min_active", u64::try_from(policy.min_active).unwrap_or(u64::MAX)),
    ];
    for (key, value) in counts {
        if value == 0 {
            checker.wrong(
                &format!("rotation.{key}"),
                "must not be 0",
                "give 1 or more; enabled = false switches rotation off",
            );
        }
    }
    policy
}

fn min_bid(amount: &Amount, checker: &mut Checker) -> Wei {
    Wei::parse_eth(&amount.0).unwrap_or_else(|error| {
        checker.wrong("auction.min_bid_eth", error.to_string(), "write an amount in ETH such as \"0.05\"");
        Wei::ZERO
    })
}

fn relays(raw: Vec<RawRelay>, checker: &mut Checker) -> Vec<RelaySettings> {
    let hint = "write [[relays]] with id and url; relays.toml of the repository has the public ones";
    if raw.is_empty() {
        checker.wrong("", "there are no relays", hint);
    } else if raw.iter().all(|relay| relay.enabled == Some(false)) {
        checker.wrong("relays", "no relay is enabled", "set enabled = true on at least one");
    }
    let (mut ids, mut urls) = (HashSet::new(), HashSet::new());
    let mut checked = Vec::with_capacity(raw.len());
    for (index, raw) in raw.into_iter().enumerate() {
        let at = |key: &str| format!("relays[{index}].{key}");
        let Some(relay) = relay(raw, &at, checker) else { continue };
        if !ids.insert(relay.id.clone()) {
            checker.wrong(
                &at("id"),
                format!("`{}` is used twice", relay.id),
                "ids name relays in logs: make them differ",
            );
        }
        if !urls.insert(relay.url.clone()) {
            let message = "the same URL is configured twice";
            checker.wrong(&at("url"), message, "two relays may share a key, not an address");
        }
        checked.push(relay);
    }
    checked
}

fn relay(raw: RawRelay, at: &dyn Fn(&str) -> String, checker: &mut Checker) -> Option<RelaySettings> {
    let parsed = match raw.url.as_deref() {
        None => {
            checker.wrong(&at("url"), "url is missing", "write url = \"https://0x<public key>@host\"");
            None
        }
        Some(text) => parse_relay_url(text)
            .map_err(|error| {
                let hint = "copy it from the relay's documentation: https://0x<96 hex digits>@host";
                checker.wrong(&at("url"), error.to_string(), hint);
            })
            .ok(),
    };
    let (url, pubkey) = parsed?;
    let id = raw.id.unwrap_or_else(|| url.host_str().unwrap_or_default().to_owned());
    let id = RelayId::parse(&id)
        .map_err(|error| checker.wrong(&at("id"), error.to_string(), "such as flashbots"))
        .ok()?;
    let timing = TimingSettings {
        enabled: raw.enable_timing_games.unwrap_or(false),
        target_first_request_ms: raw.target_first_request_ms,
        frequency_get_header_ms: raw.frequency_get_header_ms,
    };
    if timing.enabled {
        checker.warnings.push(format!("relay {id}: enable_timing_games has no effect in this version"));
    }
    let get_header = match raw.get_header.as_deref() {
        None | Some("http") => HeaderMode::Http,
        Some("stream") => {
            checker.warnings.push(format!(
                "relay {id}: get_header = \"stream\" has no effect in this version, http is used"
            ));
            HeaderMode::Stream
        }
        Some(other) => {
            checker.wrong(
                &at("get_header"),
                format!("`{other}` is neither `http` nor `stream`"),
                "http is the default",
            );
            HeaderMode::Http
        }
    };
    Some(RelaySettings {
        id,
        url,
        pubkey,
        enabled: raw.enabled.unwrap_or(true),
        pinned: raw.pinned.unwrap_or(false),
        pardon_before: raw.pardon_before.and_then(|date| unix_millis(&date, &at("pardon_before"), checker)),
        headers: headers(&raw.headers, &at("headers"), checker),
        get_params: raw.get_params.into_iter().map(|(name, value)| (name, value.0)).collect(),
        get_header,
        timing,
        max_calls_per_second: raw.max_calls_per_second.unwrap_or(DEFAULT_CALLS_PER_SECOND),
        max_registrations_per_request: raw
            .max_registrations_per_request
            .map_or(0, |limit| usize::try_from(limit).unwrap_or(usize::MAX)),
    })
}

/// A date with or without a time, in UTC unless it says otherwise.
fn unix_millis(date: &toml::value::Datetime, key: &str, checker: &mut Checker) -> Option<i64> {
    let mut text = date.to_string();
    if date.time.is_none() {
        text.push_str("T00:00:00");
    }
    if date.offset.is_none() {
        text.push('Z');
    }
    let parsed = text.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_millisecond);
    parsed
        .map_err(|error| {
            checker.wrong(key, error.to_string(), "write a date such as 2026-11-23 or 2026-11-23T10:00:00Z");
        })
        .ok()
}

fn headers(raw: &std::collections::BTreeMap<String, String>, key: &str, checker: &mut Checker) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in raw {
        match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            (Ok(name), Ok(mut value)) => {
                // It may be an API key: keep it out of debug output.
                value.set_sensitive(true);
                headers.insert(name, value);
            }
            (Err(_), _) => checker.wrong(key, format!("`{name}` is not a header name"), "such as X-Api-Key"),
            (_, Err(_)) => {
                checker.wrong(
                    key,
                    format!("the value of `{name}` cannot be sent in a header"),
                    "use visible ASCII",
                );
            }
        }
    }
    headers
}
