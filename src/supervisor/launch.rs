//! How a node is started: what a template makes of `[[nodes]]`, the same for every runtime.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use super::Limits;
use crate::types::labelled;

/// Everything that starts a node. A container is hardened whatever stands here: no root, read-only root filesystem, no new privileges, no
/// capabilities, `/tmp` in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct LaunchSpec {
    /// The image, pinned by tag or digest; empty for a process.
    pub image: String,
    /// The program, where it is not the image's own.
    pub entrypoint: Option<String>,
    /// Its arguments.
    pub args: Vec<String>,
    /// Environment. Never a secret: `docker inspect` shows it.
    pub env: Vec<(String, String)>,
    /// User and group, such as (1000, 1000).
    pub user: (u32, u32),
    /// Folders and files of the host.
    pub mounts: Vec<Mount>,
    /// Folders in memory beside `/tmp`, with their sizes in bytes.
    pub tmpfs: Vec<(String, u64)>,
    /// Ports that are published.
    pub ports: Vec<Port>,
    /// Networks that it joins. The first is where others find it by name.
    pub networks: Vec<Network>,
    /// What it may use.
    pub limits: Limits,
    /// How long it may take to stop before it is killed.
    pub stop_grace: Duration,
}

/// A folder or file of the host, seen inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// On the host.
    pub source: PathBuf,
    /// Inside.
    pub target: String,
    /// Whether it cannot be written.
    pub read_only: bool,
}

labelled! {
    /// What a port speaks.
    pub enum Protocol {
        /// TCP.
        Tcp = "tcp",
        /// UDP.
        Udp = "udp",
    }
}

/// A port inside, and where it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// The address of the host: loopback, unless it is for peers.
    pub host: IpAddr,
    /// The port of the host.
    pub host_port: u16,
    /// The port inside.
    pub port: u16,
    /// What it speaks.
    pub protocol: Protocol,
}

labelled! {
    /// The two networks of containers.
    pub enum Network {
        /// RPC, engine and metrics between nodes: no way out, and no way in.
        Internal = "relaymux-internal",
        /// Peers: the way out.
        P2p = "relaymux-p2p",
    }
}
