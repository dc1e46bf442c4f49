//! `[rpc]` as it is written.

use std::collections::BTreeMap;

use serde::Deserialize;

/// `[rpc]`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawRpc {
    pub(super) listen: Option<String>,
    pub(super) chain_id: Option<u64>,
    pub(super) block_time_ms: Option<u64>,
    pub(super) upstreams: Vec<RawUpstream>,
    pub(super) health: RawRpcHealth,
    pub(super) allow_methods: Vec<String>,
    pub(super) deny_methods: Vec<String>,
    pub(super) deadline_ms: Option<u64>,
    pub(super) attempt_ms: Option<u64>,
    pub(super) hedge: Option<bool>,
    pub(super) send_to_backups: Option<bool>,
    pub(super) cache_mib: Option<usize>,
    pub(super) max_requests_per_second: Option<u32>,
    pub(super) burst: Option<u32>,
    pub(super) max_batch: Option<usize>,
    pub(super) max_body_bytes: Option<usize>,
    pub(super) max_answer_bytes: Option<usize>,
    pub(super) max_in_flight: Option<usize>,
    pub(super) max_websockets: Option<usize>,
    pub(super) max_websockets_per_client: Option<usize>,
    pub(super) max_subscriptions: Option<usize>,
    pub(super) max_waiting: Option<usize>,
    pub(super) tokens_file: Option<String>,
    pub(super) allowed_hosts: Vec<String>,
    pub(super) allowed_origins: Vec<String>,
}

/// `[[rpc.upstreams]]`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawUpstream {
    pub(super) id: Option<String>,
    pub(super) node: Option<String>,
    pub(super) url: Option<String>,
    pub(super) url_file: Option<String>,
    pub(super) ws_url: Option<String>,
    pub(super) ws_url_file: Option<String>,
    pub(super) tier: Option<String>,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) authorization_file: Option<String>,
    pub(super) probe_ms: Option<u64>,
    pub(super) max_requests_per_second: Option<u32>,
    pub(super) max_requests_per_day: Option<u64>,
    pub(super) max_logs_range: Option<u64>,
    pub(super) methods: Vec<String>,
    pub(super) ignore_methods: Vec<String>,
}

/// `[rpc.health]`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawRpcHealth {
    pub(super) fail: Option<u32>,
    pub(super) rise: Option<u32>,
    pub(super) lag_blocks: Option<u64>,
    pub(super) down_blocks: Option<u64>,
    pub(super) lag_secs: Option<u64>,
    pub(super) down_secs: Option<u64>,
    pub(super) max_future_secs: Option<u64>,
    pub(super) failback_secs: Option<u64>,
    pub(super) min_peers: Option<u64>,
}
