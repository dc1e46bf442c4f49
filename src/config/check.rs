//! From the file as written to a configuration that can be run.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    Config, Mistake,
    bundles::bundles,
    chain::chain_spec,
    combinations::combinations,
    health::monitor,
    proposers::{ProposerContext, proposers, url},
    raw::{Amount, RawAuction, RawBuilderApi, RawConfig, RawOps, RawProfit},
    relays::{builders, relays},
};
use crate::{
    auction::{AuctionSettings, GasLimitCheck, SoftDeadline},
    builder_api::BuilderApiSettings,
    ops_api::{OpsSettings, Secret},
    profit::{Prices, ProfitSettings},
    relay::{HealthMonitorSettings, TlsRoots},
    types::Wei,
};

/// Collects mistakes while checking goes on.
pub(super) struct Checker {
    mistakes: Vec<Mistake>,
    pub(super) warnings: Vec<String>,
    /// Files that are part of the configuration.
    pub(super) included: Vec<PathBuf>,
}

impl Checker {
    pub(super) fn wrong(&mut self, key: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.mistakes.push(Mistake::at(key, message, hint));
    }

    /// A key that another one contradicts: if the environment set the other, the variable is to blame.
    pub(super) fn contradicts(
        &mut self,
        key: &str,
        other: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let related = vec![other.to_owned()];
        self.mistakes.push(Mistake { related, ..Mistake::at(key, message, hint) });
    }

    /// How many mistakes were found.
    pub(super) fn mistakes_so_far(&self) -> usize {
        self.mistakes.len()
    }

    /// Something odd that may be meant.
    pub(super) fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(warning.into());
    }

    /// A time in milliseconds that must not be zero.
    pub(super) fn millis(&mut self, key: &str, value: Option<u64>, default: Duration) -> Duration {
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

    /// An amount in ETH.
    pub(super) fn eth(&mut self, key: &str, amount: &Amount) -> Wei {
        Wei::parse_eth(&amount.0).unwrap_or_else(|error| {
            self.wrong(key, error.to_string(), "write an amount in ETH such as \"0.05\"");
            Wei::ZERO
        })
    }

    /// Reads a file that is part of the configuration.
    pub(super) fn include(&mut self, key: &str, path: PathBuf) -> Option<String> {
        let text = std::fs::read_to_string(&path);
        let text = text.map_err(|error| {
            let hint = "paths are relative to the configuration's folder";
            self.wrong(key, format!("{}: {error}", path.display()), hint);
        });
        self.included.push(path);
        text.ok()
    }

    pub(super) fn address(&mut self, key: &str, value: Option<&String>, default: SocketAddr) -> SocketAddr {
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

/// What a configuration is read in.
pub(super) struct Surroundings<'a> {
    /// The file's folder: paths in the file are relative to it.
    pub(super) folder: &'a Path,
    /// The process's environment.
    pub(super) environment: &'a [(String, String)],
    /// Whether `data_dir` comes from there: then it is relative to the working directory, as paths on a command line are.
    pub(super) is_data_dir_of_environment: bool,
}

/// Checks what was read. The configuration is to be used only when there is no mistake.
pub(super) fn check(raw: RawConfig, around: &Surroundings<'_>) -> (Config, Vec<Mistake>) {
    let folder = around.folder;
    let mut checker = Checker { mistakes: Vec::new(), warnings: Vec::new(), included: Vec::new() };
    warn_about_later_sections(&raw, &mut checker);
    let spec = chain_spec(raw.network.as_ref(), folder, &mut checker);
    let data_dir = data_dir(raw.data_dir.as_deref(), around, &mut checker);
    let auction = auction(&raw.auction, &AuctionSettings::default(), spec.slot_ms, "auction", &mut checker);
    let (relays, terms) = relays(raw.relays, &mut checker);
    let builders = builders(raw.builders, &mut checker);
    let beacon = raw.beacon.url.as_deref().and_then(|text| url(text, "beacon.url", &mut checker));
    let execution = raw.execution.url.as_deref().and_then(|text| url(text, "execution.url", &mut checker));
    let seed_from_public_record = raw.trust.seed_from_public_record.unwrap_or(false);
    if seed_from_public_record && execution.is_none() {
        checker.wrong(
            "trust.seed_from_public_record",
            "needs an execution node, to compare the record with the chain",
            "give [execution] url",
        );
    }
    if beacon.is_none() && raw.auction.min_profit_eth.is_some() {
        checker.wrong(
            "auction.min_profit_eth",
            "needs a beacon node, to know what the local block pays",
            "give [beacon] url",
        );
    }
    let labels_file = raw.proposer_labels_file.as_deref();
    let context =
        ProposerContext { folder, auction: &auction, slot_ms: spec.slot_ms, relays: &relays, terms: &terms };
    let proposers = proposers(&raw.proposers, labels_file, &context, &mut checker);
    let bundles = raw.bundles.and_then(|raw| bundles(raw, folder, execution.is_some(), &mut checker));
    let mut config = Config {
        data_dir,
        builder_api: builder_api(&raw.builder_api, &mut checker),
        ops: ops(&raw.ops, folder, &mut checker),
        relays,
        terms,
        builders,
        proposers,
        monitor: HealthMonitorSettings {
            watches_chain: execution.is_some(),
            ..monitor(&raw.trust, &raw.rotation, &mut checker)
        },
        tls_roots: tls_roots(raw.tls.roots_file.as_deref(), folder, &mut checker),
        proxy: raw.tls.proxy.filter(|text| url(text, "tls.proxy", &mut checker).is_some()),
        beacon,
        bundles,
        execution,
        profit: profit(&raw.profit, folder, &mut checker),
        seed_from_public_record,
        auction,
        spec,
        included: Vec::new(),
        warnings: Vec::new(),
    };
    combinations(&config, &mut checker);
    config.included = checker.included;
    config.warnings = checker.warnings;
    (config, checker.mistakes)
}

/// Where state lives. Relative to the file that names it; where no file does, systemd's folder for the service, if it gave one.
fn data_dir(named: Option<&str>, around: &Surroundings<'_>, checker: &mut Checker) -> PathBuf {
    let Some(named) = named else {
        let state =
            around.environment.iter().find(|(name, value)| name == "STATE_DIRECTORY" && !value.is_empty());
        // systemd may name several, by colons.
        let state = state.and_then(|(_, folders)| folders.split(':').next());
        return state.map_or_else(|| around.folder.join("data"), PathBuf::from);
    };
    if around.is_data_dir_of_environment {
        return named.into();
    }
    let path = around.folder.join(named);
    let before = Path::new(named);
    if path != before && !path.join("ledger.db").exists() && before.join("ledger.db").exists() {
        checker.warn(format!(
            "data_dir is {}, relative to the file that names it; there is a ledger in ./{named}, which is not used: move it there, or \
             write an absolute path",
            path.display()
        ));
    }
    path
}

fn tls_roots(file: Option<&str>, folder: &Path, checker: &mut Checker) -> TlsRoots {
    let Some(file) = file else { return TlsRoots::Bundled };
    let path = folder.join(file);
    if let Err(error) = std::fs::File::open(&path) {
        let hint = "give a PEM file of certificate authorities, or leave it out: Mozilla's list is built in";
        checker.wrong("tls.roots_file", format!("{}: {error}", path.display()), hint);
    }
    TlsRoots::File(path)
}

fn warn_about_later_sections(raw: &RawConfig, checker: &mut Checker) {
    let sections = [
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

fn profit(raw: &RawProfit, folder: &Path, checker: &mut Checker) -> ProfitSettings {
    let default = ProfitSettings::default();
    let check_every = raw.check_every_secs.map_or(default.check_every, Duration::from_secs);
    if check_every.is_zero() {
        checker.wrong("profit.check_every_secs", "0 would check without end", "give seconds, 1 or more");
    }
    let prices = raw.prices_file.as_ref().and_then(|file| {
        let text = checker.include("profit.prices_file", folder.join(file))?;
        let prices = Prices::parse(raw.currency.as_deref().unwrap_or("fiat"), &text);
        prices
            .map_err(|error| checker.wrong("profit.prices_file", error, "one day a line: 2026-11-01,2345.67"))
            .ok()
    });
    if raw.currency.is_some() && raw.prices_file.is_none() {
        checker.wrong("profit.currency", "there are no prices in it", "give profit.prices_file");
    }
    ProfitSettings {
        target_per_day: match &raw.target_eth_per_day {
            Some(eth) => checker.eth("profit.target_eth_per_day", eth),
            None => default.target_per_day,
        },
        check_every,
        registrations_every: raw
            .registrations_every_secs
            .map_or(default.registrations_every, Duration::from_secs),
        data_api: raw.data_api.unwrap_or(default.data_api),
        prices,
    }
}

fn builder_api(raw: &RawBuilderApi, checker: &mut Checker) -> BuilderApiSettings {
    let default = BuilderApiSettings::default();
    let limit = |key: &str, value: Option<u64>, default: usize, checker: &mut Checker| match value {
        None => default,
        Some(0) => {
            checker.wrong(&format!("builder_api.{key}"), "0 would refuse everything", "give it in bytes");
            default
        }
        Some(bytes) => usize::try_from(bytes).unwrap_or(usize::MAX),
    };
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
        max_registrations_bytes: limit(
            "max_registrations_bytes",
            raw.max_registrations_bytes,
            default.max_registrations_bytes,
            checker,
        ),
        max_block_bytes: limit("max_block_bytes", raw.max_block_bytes, default.max_block_bytes, checker),
        allowed_hosts: hosts("builder_api.allowed_hosts", &raw.allowed_hosts, checker),
    }
}

/// Names without port, scheme or wildcard.
pub(super) fn hosts(key: &str, names: &[String], checker: &mut Checker) -> Vec<String> {
    for (index, name) in names.iter().enumerate() {
        if !is_host_name(name) {
            let hint =
                "write the name alone, such as \"relaymux.example.com\": no scheme, port, path or wildcard";
            checker.wrong(&format!("{key}[{index}]"), format!("`{name}` is not a host name"), hint);
        }
    }
    names.to_vec()
}

fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    name.parse::<IpAddr>().is_ok() || name.split('.').all(is_label)
}

fn ops(raw: &RawOps, folder: &Path, checker: &mut Checker) -> OpsSettings {
    let default = OpsSettings::default();
    let read_token = raw.read_token_file.as_ref().and_then(|file| {
        let text = checker.include("ops.read_token_file", folder.join(file))?;
        let token = text.trim();
        if token.len() < 16 || !token.bytes().all(|b| b.is_ascii_graphic()) {
            let hint =
                "write 16 characters or more without spaces into it, for example with `openssl rand -hex 32`";
            checker.wrong("ops.read_token_file", "the token in it can be guessed, or not be sent", hint);
            return None;
        }
        Some(Secret(token.to_owned()))
    });
    OpsSettings {
        listen: checker.address("ops.listen", raw.listen.as_ref(), default.listen),
        max_requests_per_second: raw.max_requests_per_second.unwrap_or(default.max_requests_per_second),
        allowed_hosts: hosts("ops.allowed_hosts", &raw.allowed_hosts, checker),
        read_token,
        metrics_without_token: raw.metrics_without_token.unwrap_or(default.metrics_without_token),
    }
}

/// A section's `[auction]` keys over settings that apply anyway.
pub(super) fn auction(
    raw: &RawAuction,
    base: &AuctionSettings,
    slot_ms: u64,
    section: &str,
    checker: &mut Checker,
) -> AuctionSettings {
    let at = |key: &str| format!("{section}.{key}");
    let settings = AuctionSettings {
        timeout_get_header: checker.millis(
            &at("timeout_get_header_ms"),
            raw.timeout_get_header_ms,
            base.timeout_get_header,
        ),
        timeout_get_payload: checker.millis(
            &at("timeout_get_payload_ms"),
            raw.timeout_get_payload_ms,
            base.timeout_get_payload,
        ),
        timeout_register_validator: checker.millis(
            &at("timeout_register_validator_ms"),
            raw.timeout_register_validator_ms,
            base.timeout_register_validator,
        ),
        // Development chains have slots shorter than the default.
        late_in_slot_ms: raw.late_in_slot_time_ms.unwrap_or(base.late_in_slot_ms.min(slot_ms)),
        min_bid: raw.min_bid_eth.as_ref().map_or(base.min_bid, |eth| checker.eth(&at("min_bid_eth"), eth)),
        min_profit: match &raw.min_profit_eth {
            Some(eth) => Some(checker.eth(&at("min_profit_eth"), eth)),
            None => base.min_profit,
        },
        reserve: raw.reserve_ms.map_or(base.reserve, Duration::from_millis),
        gas_limit_check: match raw.gas_limit_check.as_deref() {
            None => base.gas_limit_check,
            Some("off") => GasLimitCheck::Off,
            Some("warn") => GasLimitCheck::Warn,
            Some("enforce") => GasLimitCheck::Enforce,
            Some(other) => {
                let message = format!("`{other}` is not one of off, warn, enforce");
                checker.wrong(&at("gas_limit_check"), message, "warn is the default");
                base.gas_limit_check
            }
        },
        submit_others_delay: raw
            .submit_others_delay_ms
            .map_or(base.submit_others_delay, Duration::from_millis),
        soft_deadline: soft_deadline(raw, base, &at, checker),
    };
    check_times(&settings, slot_ms, &at, checker);
    settings
}

fn soft_deadline(
    raw: &RawAuction,
    base: &AuctionSettings,
    at: &dyn Fn(&str) -> String,
    checker: &mut Checker,
) -> Option<SoftDeadline> {
    /// Half of a usual set, and one race in twenty that a better bid was on its way.
    const DEFAULT: SoftDeadline = SoftDeadline { after: Duration::ZERO, min_answers: 2, risk: 0.05 };
    let after = match raw.soft_deadline_ms {
        // 0 switches it off in a set whose base has one.
        Some(0) => return None,
        Some(ms) => Duration::from_millis(ms),
        None => base.soft_deadline?.after,
    };
    let base = base.soft_deadline.unwrap_or(DEFAULT);
    let risk = raw.soft_deadline_risk.unwrap_or(base.risk);
    if !(0.0..=1.0).contains(&risk) {
        checker.wrong(&at("soft_deadline_risk"), format!("{risk} is no probability"), "give 0 to 1");
    }
    Some(SoftDeadline { after, min_answers: raw.soft_deadline_min_answers.unwrap_or(base.min_answers), risk })
}

fn check_times(settings: &AuctionSettings, slot_ms: u64, at: &dyn Fn(&str) -> String, checker: &mut Checker) {
    let late = settings.late_in_slot_ms;
    if late == 0 || late > slot_ms {
        let message = format!("{late} ms is not within a slot of {slot_ms} ms");
        checker.wrong(&at("late_in_slot_time_ms"), message, format!("give 1 to {slot_ms}"));
    }
    let header_ms = settings.timeout_get_header.as_millis();
    if header_ms >= u128::from(late) {
        let message = format!("{header_ms} ms is not below late_in_slot_time_ms, which is {late}");
        checker.contradicts(
            &at("timeout_get_header_ms"),
            &at("late_in_slot_time_ms"),
            message,
            "a header that takes that long is always too late",
        );
    }
    if settings.submit_others_delay >= settings.timeout_get_payload {
        let hint = "the other relays would never get the block";
        checker.contradicts(
            &at("submit_others_delay_ms"),
            &at("timeout_get_payload_ms"),
            "not below timeout_get_payload_ms",
            hint,
        );
    }
}
