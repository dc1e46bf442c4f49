//! What `[ops]` says, checked.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

pub use crate::types::Secret;

/// How people are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpsSettings {
    /// Where it listens. Default `127.0.0.1:18551`.
    pub listen: SocketAddr,
    /// Most requests a second of all callers with a token together, and as many of all without; `/healthz` and `/readyz` are not counted.
    /// Default 200. 0: no limit.
    pub max_requests_per_second: u32,
    /// Names it may be called by beside addresses and names that nobody else can own. Default none.
    pub allowed_hosts: Vec<String>,
    /// A token that reads, and changes nothing. Default none: only the admin token reads where a token is needed.
    pub read_token: Option<Secret>,
    /// Whether `/metrics` is open where everything else needs a token. Default false.
    pub metrics_without_token: bool,
}

impl OpsSettings {
    /// Whether reading needs a token: other machines reach this address.
    pub fn reads_need_token(&self) -> bool {
        !self.listen.ip().is_loopback()
    }
}

impl Default for OpsSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 18551),
            max_requests_per_second: 200,
            allowed_hosts: Vec::new(),
            read_token: None,
            metrics_without_token: false,
        }
    }
}
