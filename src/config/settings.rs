//! A configuration that can be run: the settings that each room declares for itself, together.

use std::{collections::HashMap, path::PathBuf};

use url::Url;

use super::{AlertsConfig, ProposerSet};
use crate::{
    auction::{AuctionSettings, BuilderRule, RelayTerms},
    backup::{BackupSettings, ConfigFiles},
    builder_api::BuilderApiSettings,
    bundles::BundleSettings,
    consensus::ChainSpec,
    gateway::RpcSettings,
    ledger::Retention,
    ops_api::OpsSettings,
    profit::ProfitSettings,
    relay::{HealthMonitorSettings, RelaySettings, TlsRoots},
    sla::Objective,
    supervisor::NodesSettings,
    supervisor::disk::DiskSettings,
    supervisor::firewall::FirewallSettings,
    supervisor::schedule::ScheduleSettings,
    types::RelayId,
};

/// A configuration that can be run.
#[derive(Clone, Debug)]
pub struct Config {
    /// The chain that is served.
    pub spec: ChainSpec,
    /// Where the ledger, the journal and the admin token live.
    pub data_dir: PathBuf,
    /// `[builder_api]`
    pub builder_api: BuilderApiSettings,
    /// `[ops]`
    pub ops: OpsSettings,
    /// `[auction]`
    pub auction: AuctionSettings,
    /// `[[relays]]`, in the file's order.
    pub relays: Vec<RelaySettings>,
    /// Weights, minimum bids and timing games of relays that have any.
    pub terms: HashMap<RelayId, RelayTerms>,
    /// `[[builders]]`
    pub builders: Vec<BuilderRule>,
    /// `[[proposers]]`
    pub proposers: Vec<ProposerSet>,
    /// `[trust]` and `[rotation]`
    pub monitor: HealthMonitorSettings,
    /// `[tls]`: certificate authorities relays are checked against.
    pub tls_roots: TlsRoots,
    /// `[tls] proxy`: an outgoing proxy, only if asked for.
    pub proxy: Option<String>,
    /// `[beacon] url`
    pub beacon: Option<Url>,
    /// `[beacon] payload_attributes`: whether bids are compared with what the node says of a payload.
    pub follows_attributes: bool,
    /// `[execution] url`; the gateway's own address where the section has none.
    pub execution: Option<Url>,
    /// Whether the execution node is reached through the gateway.
    pub execution_by_gateway: bool,
    /// `[bundles]`; none: off.
    pub bundles: Option<BundleSettings>,
    /// `[rpc]`; none: off.
    pub rpc: Option<RpcSettings>,
    /// `[[nodes]]` and `[resources]`; none: off.
    pub nodes: Option<NodesSettings>,
    /// `[alerts]`
    pub alerts: AlertsConfig,
    /// `[sla] target_percent`
    pub sla: Objective,
    /// `[maintenance]`
    pub maintenance: ScheduleSettings,
    /// `[firewall]`; none: nothing is closed. Read by its commands alone.
    pub firewall: Option<FirewallSettings>,
    /// `[disk]`; none: no disk is watched.
    pub disk: Option<DiskSettings>,
    /// `[backup]`; none: no backups are made by themselves.
    pub backup: Option<BackupSettings>,
    /// `[ledger]`: how long what happened is kept.
    pub retention: Retention,
    /// What a backup takes of the configuration.
    pub files: ConfigFiles,
    /// `[profit]`
    pub profit: ProfitSettings,
    /// `[trust] seed_from_public_record`: looked at once, at start.
    pub seed_from_public_record: bool,
    /// Files that are part of the configuration beside the file itself.
    pub included: Vec<PathBuf>,
    /// What is odd but not wrong, for the log.
    pub warnings: Vec<String>,
}

impl Config {
    /// The sections that differ from another configuration's and are read at start only, by name.
    pub fn needs_restart(&self, other: &Self) -> Vec<&'static str> {
        let mut sections = Vec::new();
        // All sections by name: a new one is either compared here or applied while running.
        let Self {
            spec,
            data_dir,
            builder_api,
            ops,
            auction: _,
            relays: _,
            terms: _,
            builders: _,
            proposers: _,
            monitor: _,
            tls_roots,
            proxy,
            beacon,
            follows_attributes,
            execution,
            execution_by_gateway,
            profit,
            bundles,
            rpc,
            nodes,
            disk,
            alerts,
            sla,
            maintenance,
            firewall: _,
            backup,
            retention,
            files: _,
            seed_from_public_record: _,
            included: _,
            warnings: _,
        } = self;
        if *spec != other.spec {
            sections.push("network");
        }
        if *data_dir != other.data_dir {
            sections.push("data_dir");
        }
        if *builder_api != other.builder_api {
            sections.push("[builder_api]");
        }
        if *ops != other.ops {
            sections.push("[ops]");
        }
        if *tls_roots != other.tls_roots || *proxy != other.proxy {
            sections.push("[tls]");
        }
        if *beacon != other.beacon || *follows_attributes != other.follows_attributes {
            sections.push("[beacon]");
        }
        // Through the gateway its address is the gateway's, which with port 0 is known only once it listens.
        let is_same_node =
            *execution == other.execution || (*execution_by_gateway && other.execution_by_gateway);
        if *execution_by_gateway != other.execution_by_gateway || !is_same_node {
            sections.push("[execution]");
        }
        if *bundles != other.bundles {
            sections.push("[bundles]");
        }
        if *rpc != other.rpc {
            sections.push("[rpc]");
        }
        if *nodes != other.nodes {
            sections.push("[[nodes]]");
        }
        if *disk != other.disk {
            sections.push("[disk]");
        }
        if *profit != other.profit {
            sections.push("[profit]");
        }
        sections.extend(alerts.needs_restart(&other.alerts));
        if *backup != other.backup {
            sections.push("[backup]");
        }
        if *retention != other.retention {
            sections.push("[ledger]");
        }
        if *sla != other.sla {
            sections.push("[sla]");
        }
        if *maintenance != other.maintenance {
            sections.push("[maintenance]");
        }
        sections
    }
}
