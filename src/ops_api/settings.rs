//! What `[ops]` says, checked.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// How people are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpsSettings {
    /// Where it listens. Default `127.0.0.1:18551`.
    pub listen: SocketAddr,
    /// Most requests a second, all callers together. Default 200. 0: no limit.
    pub max_requests_per_second: u32,
}

impl Default for OpsSettings {
    fn default() -> Self {
        Self { listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 18551), max_requests_per_second: 200 }
    }
}
