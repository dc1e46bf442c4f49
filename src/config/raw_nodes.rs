//! `[[nodes]]` and `[resources]` as they are written.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::raw_text::Span;

/// `[[nodes]]`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawSupervisedNode {
    pub(super) id: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) runtime: Option<String>,
    pub(super) group: Option<String>,
    // How it is probed.
    pub(super) rpc_url: Option<String>,
    pub(super) probe_secs: Option<u64>,
    pub(super) probe_timeout_secs: Option<u64>,
    pub(super) block_time_ms: Option<u64>,
    pub(super) lag_secs: Option<u64>,
    pub(super) stall_timeout: Option<Span>,
    pub(super) chain_id: Option<u64>,
    pub(super) health_path: Option<String>,
    pub(super) vote_account: Option<String>,
    // Where it runs.
    pub(super) image: Option<String>,
    pub(super) container: Option<String>,
    pub(super) unit: Option<String>,
    pub(super) command: Option<Vec<String>>,
    pub(super) args: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) working_directory: Option<String>,
    // What its template is made from.
    pub(super) network: Option<String>,
    pub(super) data: Option<String>,
    pub(super) user: Option<String>,
    pub(super) jwt_file: Option<String>,
    pub(super) engine_url: Option<String>,
    pub(super) parent_url: Option<String>,
    pub(super) beacon_url: Option<String>,
    pub(super) checkpoint_url: Option<String>,
    pub(super) sequencer_url: Option<String>,
    pub(super) ws_port: Option<u16>,
    pub(super) engine_port: Option<u16>,
    pub(super) metrics_port: Option<u16>,
    pub(super) p2p_port: Option<u16>,
    // What it may use, and when it is restarted.
    pub(super) limits: RawLimits,
    pub(super) restart: Option<String>,
    pub(super) restart_delay: Option<Span>,
    pub(super) restart_max_delay: Option<Span>,
    pub(super) start_limit_burst: Option<u32>,
    pub(super) start_limit_interval: Option<Span>,
    pub(super) start_timeout: Option<Span>,
    pub(super) hung_after: Option<u32>,
    pub(super) stop_grace: Option<Span>,
}

/// `limits = { memory = "8GiB", cpus = 3.0 }`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawLimits {
    pub(super) memory: Option<String>,
    pub(super) swap: Option<String>,
    pub(super) cpus: Option<f64>,
    pub(super) cpuset: Option<String>,
    pub(super) pids: Option<u32>,
}

/// `[resources]`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawResources {
    pub(super) reserve_memory: Option<String>,
    pub(super) reserve_cpus: Option<f64>,
    pub(super) docker_host: Option<String>,
    pub(super) psi_memory_percent: Option<f64>,
    pub(super) psi_io_percent: Option<f64>,
}
