//! What `[builder_api]` says, checked: the address, the limits of bodies, what `status` means.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::types::labelled;

/// How the consensus client is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuilderApiSettings {
    /// Where it listens. Default `127.0.0.1:18550`.
    pub listen: SocketAddr,
    /// Whether relays are probed before each slot, so that `status` knows of them and connections are open. Default true.
    pub relay_check: bool,
    /// Whether `status` is 503 when the probes found no relay usable. Default false: 200, as mev-boost without `-relay-check`.
    pub status_fails_without_relays: bool,
    /// What follows while a node of the operator's says that it is not synced. Default `bids`.
    pub require_synced: RequireSynced,
    /// Most bytes of a registration body. Default 64 MiB: about 145,000 registrations in JSON.
    pub max_registrations_bytes: usize,
    /// Most bytes of a signed blinded block. Default 8 MiB.
    pub max_block_bytes: usize,
    /// Names it may be called by beside addresses and names that nobody else can own. Default none.
    pub allowed_hosts: Vec<String>,
}

labelled! {
    /// What follows while the beacon node or the execution node says that it is not synced, or is optimistic.
    pub enum RequireSynced {
        /// Nothing.
        Off = "off",
        /// No bid is returned.
        Bids = "bids",
        /// No bid is returned, and `status` is 503.
        Status = "status",
    }
}

impl Default for BuilderApiSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 18550),
            relay_check: true,
            status_fails_without_relays: false,
            require_synced: RequireSynced::Bids,
            max_registrations_bytes: 64 << 20,
            max_block_bytes: 8 << 20,
            allowed_hosts: Vec::new(),
        }
    }
}
