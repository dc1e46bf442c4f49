//! What `[builder_api]` says, checked: the address, the limits of bodies, what `status` means.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// How the consensus client is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuilderApiSettings {
    /// Where it listens. Default `127.0.0.1:18550`.
    pub listen: SocketAddr,
    /// Whether relays are probed before each slot, so that `status` knows of them and connections are open. Default true.
    pub relay_check: bool,
    /// Whether `status` is 503 when the probes found no relay usable. Default false: 200, as mev-boost without `-relay-check`.
    pub status_fails_without_relays: bool,
    /// Most bytes of a registration body. Default 64 MiB: about 145,000 registrations in JSON.
    pub max_registrations_bytes: usize,
    /// Most bytes of a signed blinded block. Default 8 MiB.
    pub max_block_bytes: usize,
    /// Names it may be called by beside addresses and names that nobody else can own. Default none.
    pub allowed_hosts: Vec<String>,
}

impl Default for BuilderApiSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 18550),
            relay_check: true,
            status_fails_without_relays: false,
            max_registrations_bytes: 64 << 20,
            max_block_bytes: 8 << 20,
            allowed_hosts: Vec::new(),
        }
    }
}
