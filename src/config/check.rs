//! From the file as written to a configuration that can be run, or every mistake at once. No section is checked only because another
//! one was sound.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use url::Url;

use super::{
    Config, Mistake,
    alerts::{AlertsContext, alerts},
    auction::auction,
    backup::backup,
    bundles::{BundlesContext, bundles},
    chain::chain_spec,
    checker::{Checker, hosts, url},
    combinations::combinations,
    disk::{DiskContext, disk},
    firewall::firewall,
    health::monitor,
    ledger::ledger,
    maintenance::maintenance,
    nodes::{NodesContext, nodes},
    proposers::{ProposerContext, proposers},
    raw::{RawBuilderApi, RawConfig, RawNode, RawOps, RawProfit},
    relays::{builders, relays},
    rpc::{RpcContext, rpc},
    sla::sla,
};
use crate::{
    auction::AuctionSettings,
    backup::{BackupSettings, ConfigFile, ConfigFiles, Sealing, SecretFile},
    builder_api::{BuilderApiSettings, RequireSynced},
    events::AlertRule,
    gateway::{RpcSettings, Tier},
    ops_api::{OpsSettings, Secret},
    profit::{Prices, ProfitSettings},
    relay::{HealthMonitorSettings, TlsRoots},
    types::NodeId,
};

/// What a configuration is read in.
pub(super) struct Surroundings<'a> {
    /// The file's folder: paths in the file are relative to it.
    pub(super) folder: &'a Path,
    /// The process's environment.
    pub(super) environment: &'a [(String, String)],
    /// Every rule that alerts can have.
    pub(super) rules: &'a [&'a AlertRule],
    /// Whether `data_dir` comes from there: then it is relative to the working directory, as paths on a command line are.
    pub(super) is_data_dir_of_environment: bool,
}

/// Checks what was read. The configuration is to be used only when there is no mistake.
pub(super) fn check(raw: RawConfig, around: &Surroundings<'_>) -> (Config, Vec<Mistake>) {
    let folder = around.folder;
    let mut checker = Checker::default();
    warn_about_later_sections(&raw, &mut checker);
    let spec = chain_spec(raw.network.as_ref(), folder, &mut checker);
    let data_dir = data_dir(raw.data_dir.as_deref(), around, &mut checker);
    let auction = auction(&raw.auction, &AuctionSettings::default(), spec.slot_ms, "auction", &mut checker);
    let (relays, terms) = relays(raw.relays, &mut checker);
    let builders = builders(raw.builders, &mut checker);
    let beacon = raw.beacon.url.as_deref().and_then(|text| url(text, "beacon.url", &mut checker));
    let around_nodes = NodesContext { folder, environment: around.environment, spec: &spec };
    let nodes = nodes(raw.nodes, raw.resources.as_ref(), &around_nodes, &mut checker);
    let rpc_section = raw.rpc.is_some();
    let known = nodes.as_ref().map(|nodes| nodes.nodes.as_slice()).unwrap_or_default();
    let rpc =
        raw.rpc.and_then(|raw| rpc(raw, &RpcContext { folder, spec: &spec, nodes: known }, &mut checker));
    let (execution, execution_by_gateway) =
        execution(raw.execution.as_ref(), rpc.as_ref(), rpc_section, &mut checker);
    let seed_from_public_record = raw.trust.seed_from_public_record.unwrap_or(false);
    nodes_that_are_needed(
        (
            seed_from_public_record && execution.is_none() && !execution_by_gateway,
            raw.auction.min_profit_eth.is_some() && beacon.is_none(),
        ),
        &mut checker,
    );
    let labels_file = raw.proposer_labels_file.as_deref();
    let context =
        ProposerContext { folder, auction: &auction, slot_ms: spec.slot_ms, relays: &relays, terms: &terms };
    let proposers = proposers(&raw.proposers, labels_file, &context, &mut checker);
    let around_bundles = BundlesContext {
        folder,
        has_execution: execution.is_some() || execution_by_gateway,
        has_gateway: rpc_section,
    };
    let bundles = raw.bundles.and_then(|raw| bundles(raw, &around_bundles, &mut checker));
    let ops = ops(&raw.ops, folder, &mut checker);
    let context =
        AlertsContext { folder, environment: around.environment, ops: ops.listen, shipped: around.rules };
    let alerts = alerts(&raw.alerts, &context, &mut checker);
    let known = nodes.as_ref().map(|nodes| nodes.nodes.as_slice()).unwrap_or_default();
    let firewall_section = raw.firewall.as_ref().map(|raw| firewall(raw, known, &mut checker));
    // After all that notes secrets and files: they are protected.
    let primaries: Vec<NodeId> = rpc
        .iter()
        .flat_map(|rpc| &rpc.upstreams)
        .filter(|upstream| upstream.tier == Tier::Primary)
        .filter_map(|upstream| upstream.node.clone())
        .collect();
    let around_disks = DiskContext {
        data_dir: &data_dir,
        nodes: nodes.as_ref().map(|nodes| nodes.nodes.as_slice()).unwrap_or_default(),
        primaries: &primaries,
        host_root: &alerts.host_root,
        environment: around.environment,
    };
    let disk = raw.disk.as_ref().map(|raw| disk(raw, &around_disks, &mut checker));
    let backup = raw.backup.as_ref().and_then(|raw| backup(raw, folder, &data_dir, &mut checker));
    let mut config = Config {
        disk,
        backup,
        retention: ledger(&raw.ledger, &mut checker),
        files: ConfigFiles::default(),
        data_dir,
        builder_api: builder_api(&raw.builder_api, &mut checker),
        ops,
        alerts,
        sla: sla(&raw.sla, &mut checker),
        maintenance: maintenance(raw.maintenance.as_ref(), folder, &mut checker),
        firewall: firewall_section,
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
        follows_attributes: raw.beacon.payload_attributes.unwrap_or(true),
        beacon,
        bundles,
        rpc,
        nodes,
        execution,
        execution_by_gateway,
        profit: profit(&raw.profit, folder, &mut checker),
        seed_from_public_record,
        auction,
        spec,
        included: Vec::new(),
        warnings: Vec::new(),
    };
    combinations(&config, &mut checker);
    config.files = files(&checker, config.backup.as_ref());
    config.alerts.ages.secrets = checker.secrets;
    config.alerts.ages.roots = checker.certificates;
    config.included = checker.included;
    config.warnings = checker.warnings;
    (config, checker.mistakes)
}

/// Where the execution node is, and whether the gateway is asked for it: the section without an address says so. A gateway that is wrong is no
/// second mistake here.
fn execution(
    raw: Option<&RawNode>,
    rpc: Option<&RpcSettings>,
    has_gateway: bool,
    checker: &mut Checker,
) -> (Option<Url>, bool) {
    match raw.map(|raw| raw.url.as_deref()) {
        Some(Some(text)) => (url(text, "execution.url", checker), false),
        Some(None) if has_gateway => (rpc.and_then(|rpc| gateway_url(rpc.listen)), true),
        Some(None) | None => (None, false),
    }
}

/// Where the gateway is called from this machine, by what it listens on.
pub fn gateway_url(listen: SocketAddr) -> Option<Url> {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Url::parse(&format!("http://{}", SocketAddr::new(ip, listen.port()))).ok()
}

/// What needs an execution node, and what a beacon node, and has none.
fn nodes_that_are_needed((execution, beacon): (bool, bool), checker: &mut Checker) {
    if execution {
        checker.wrong(
            "trust.seed_from_public_record",
            "needs an execution node, to compare the record with the chain",
            "give [execution] url",
        );
    }
    if beacon {
        checker.wrong(
            "auction.min_profit_eth",
            "needs a beacon node, to know what the local block pays",
            "give [beacon] url",
        );
    }
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
        checker.included.push(path.clone());
    }
    checker.plain.push(path.clone());
    TlsRoots::File(path)
}

/// What a backup takes of the configuration. A file that is not known to be harmless is a secret.
fn files(checker: &Checker, backup: Option<&BackupSettings>) -> ConfigFiles {
    let plain = || checker.plain.iter().chain(&checker.certificates);
    // What opens backups does not belong into them.
    let key = backup.and_then(|backup| match &backup.sealing {
        Some(Sealing::PassphraseFile(path)) => Some(path),
        Some(Sealing::Recipients(_)) | None => None,
    });
    let secret: BTreeSet<&PathBuf> = checker.secrets.iter().chain(&checker.included).collect();
    let secret = secret.into_iter().filter(|path| Some(*path) != key && plain().all(|plain| plain != *path));
    let plain: BTreeSet<&PathBuf> = plain().collect();
    ConfigFiles {
        settings: None,
        plain: plain.into_iter().map(|path| ConfigFile { path: path.clone() }).collect(),
        secret: secret.map(|path| SecretFile { path: path.clone(), of_data_dir: None }).collect(),
    }
}

fn warn_about_later_sections(raw: &RawConfig, checker: &mut Checker) {
    let sections = [("telemetry", &raw.telemetry)];
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
    let prices = raw.prices_file.as_ref().and_then(|file| prices(folder.join(file), raw, checker));
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

/// The operator's prices. They are a column of a report: what is wrong with their file is said, and keeps nobody from being served.
fn prices(path: PathBuf, raw: &RawProfit, checker: &mut Checker) -> Option<Prices> {
    let shown = path.display().to_string();
    let currency = raw.currency.as_deref().unwrap_or("fiat");
    checker.plain.push(path.clone());
    let read = checker.read(path).map_err(|error| error.to_string());
    read.and_then(|text| Prices::parse(currency, &text))
        .map_err(|error| {
            checker.warn(format!(
                "[profit] prices_file {shown}: {error}: reports have no column of prices until it is corrected and the service has been \
                 started again; it has a day a line, such as 2026-11-01,2345.67"
            ));
        })
        .ok()
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
        require_synced: match raw.require_synced.as_deref() {
            None => default.require_synced,
            Some(text) => RequireSynced::parse(text).unwrap_or_else(|| {
                let message = format!("`{text}` is not one of off, bids, status");
                let hint =
                    "off: nothing waits; bids: no bid while a node syncs; status: that, and 503 to status";
                checker.wrong("builder_api.require_synced", message, hint);
                default.require_synced
            }),
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

fn ops(raw: &RawOps, folder: &Path, checker: &mut Checker) -> OpsSettings {
    let default = OpsSettings::default();
    let read_token = raw.read_token_file.as_ref().and_then(|file| {
        let path = folder.join(file);
        let text = checker.include("ops.read_token_file", path.clone())?;
        checker.secrets.push(path);
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
