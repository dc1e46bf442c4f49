//! `[rpc]`: where the gateway listens, its upstreams, and the limits, checked.

use std::{net::SocketAddr, time::Duration};

use http::HeaderMap;
use url::Url;

use super::{Tier, UpstreamId};
use crate::types::{NodeId, Secret};

/// One of `[[rpc.upstreams]]`. URLs and headers may hold a key: not for logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamSettings {
    /// Its name.
    pub id: UpstreamId,
    /// The node of `[[nodes]]` that it is, whose state it shares; none: it is nobody's.
    pub node: Option<NodeId>,
    /// Its JSON-RPC address over HTTP.
    pub url: Url,
    /// Its websocket, for subscriptions.
    pub ws_url: Option<Url>,
    /// When it is asked.
    pub tier: Tier,
    /// Headers sent with each call, such as `Authorization`.
    pub headers: HeaderMap,
    /// Between two probes: 3 s, and 15 s for a backup.
    pub probe_every: Duration,
    /// Most requests a second that are sent to it; none: no limit.
    pub max_requests_per_second: Option<u32>,
    /// Most requests a UTC day that are sent to it, probes included; none: no limit.
    pub max_requests_per_day: Option<u64>,
    /// Most blocks in one `eth_getLogs`; more are asked for in parts. None: as many as the client names.
    pub max_logs_range: Option<u64>,
    /// Methods that it alone is asked for: names, or prefixes that end in `*`. Empty: all that are served.
    pub methods: Vec<String>,
    /// Methods that it is never asked for, in the same words.
    pub ignore_methods: Vec<String>,
}

/// When an upstream serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthPolicy {
    /// Failed probes in a row after which it is down. A refused connection is enough by itself.
    pub fail: u32,
    /// Good probes in a row after which it is up again.
    pub rise: u32,
    /// Blocks behind the tip from which it lags.
    pub lag_blocks: u64,
    /// Blocks behind the tip from which it is down.
    pub down_blocks: u64,
    /// Age of its head from which it lags.
    pub lag_age: Duration,
    /// Age of its head from which it is down.
    pub down_age: Duration,
    /// How far in the future a head's time may lie.
    pub max_future: Duration,
    /// How long an upstream of an earlier tier must be healthy, without a lag, until it is asked first again.
    pub failback_after: Duration,
    /// Fewest peers; fewer are a warning, none is a fault once the head lags by its age. Where the method exists.
    pub min_peers: u64,
}

impl Default for HealthPolicy {
    fn default() -> Self {
        Self {
            fail: 2,
            rise: 2,
            lag_blocks: 3,
            down_blocks: 30,
            lag_age: Duration::from_secs(60),
            down_age: Duration::from_secs(300),
            max_future: Duration::from_secs(15),
            failback_after: Duration::from_secs(60),
            min_peers: 3,
        }
    }
}

/// What is served beside the usual read and send methods: names, or prefixes that end in `*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MethodPolicy {
    /// Served as well: `debug_traceTransaction`, `trace_*`.
    pub allow: Vec<String>,
    /// Not served.
    pub deny: Vec<String>,
}

/// What is kept of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheSettings {
    /// Most bytes; 0: nothing is kept.
    pub max_bytes: usize,
}

/// What one client may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientLimits {
    /// Most calls a second, each of a batch counted; 0: no limit.
    pub max_requests_per_second: u32,
    /// Calls at once above that rate.
    pub burst: u32,
    /// Most calls in a batch.
    pub max_batch: usize,
    /// Most bytes of a request's body.
    pub max_body_bytes: usize,
    /// Most bytes of one upstream's answer.
    pub max_answer_bytes: usize,
    /// Most calls under way at once, of all clients.
    pub max_in_flight: usize,
    /// Most websocket connections, of all clients.
    pub max_websockets: usize,
    /// Most websocket connections of one client.
    pub max_websockets_per_client: usize,
    /// Most subscriptions of one connection.
    pub max_subscriptions: usize,
    /// Most heads, transactions and blocks with logs that wait for a websocket client that does not read, before it is cut.
    pub max_waiting: usize,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            max_requests_per_second: 0,
            burst: 0,
            max_batch: 100,
            max_body_bytes: 5 << 20,
            max_answer_bytes: 32 << 20,
            max_in_flight: 2048,
            max_websockets: 16_384,
            max_websockets_per_client: 1024,
            max_subscriptions: 100,
            max_waiting: 1024,
        }
    }
}

/// `[rpc]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcSettings {
    /// Address and port of the listener.
    pub listen: SocketAddr,
    /// The chain that upstreams must be of.
    pub chain_id: u64,
    /// Usual time between two blocks.
    pub block_time: Duration,
    /// In the file's order, which is the order within a tier; at least one.
    pub upstreams: Vec<UpstreamSettings>,
    /// When an upstream serves.
    pub health: HealthPolicy,
    /// What is served.
    pub methods: MethodPolicy,
    /// Longest time from a call to its answer, all attempts together.
    pub deadline: Duration,
    /// Longest time that one upstream may take while another could be asked.
    pub attempt: Duration,
    /// Whether a slow read is asked of a second upstream once it takes longer than nine of ten do. Never of a backup.
    pub hedge: bool,
    /// Whether raw transactions go to backups at once, too.
    pub send_to_backups: bool,
    /// What is kept of answers.
    pub cache: CacheSettings,
    /// What one client may ask for.
    pub limits: ClientLimits,
    /// Names and bearer tokens of clients; with any, who has none is refused.
    pub tokens: Vec<(String, Secret)>,
    /// Names it may be called by beside addresses and names that nobody else can own.
    pub allowed_hosts: Vec<String>,
    /// Origins of web pages that may call it (CORS); none by default. `*` is any.
    pub allowed_origins: Vec<String>,
}
