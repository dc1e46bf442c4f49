//! What a template is made from.

use std::{path::PathBuf, time::Duration};

use url::Url;

use super::super::{Limits, NodeKind, image::Image};

/// A node as its keys say. URLs may hold a key: not for logs.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// What it is.
    pub kind: NodeKind,
    /// Its image.
    pub image: Image,
    /// Its container's name, by which others find it in the network.
    pub container: String,
    /// The chain, by the name that `network` has; none: the client is not told.
    pub chain: Option<String>,
    /// Its data on the host.
    pub data: Option<PathBuf>,
    /// The file with the secret that it shares with the other half of its pair.
    pub jwt_file: Option<PathBuf>,
    /// User and group.
    pub user: (u32, u32),
    /// The engine of its execution client.
    pub engine_url: Option<Url>,
    /// JSON-RPC of the chain below.
    pub parent_url: Option<Url>,
    /// Beacon API of the chain below.
    pub beacon_url: Option<Url>,
    /// Where a beacon node gets a finalized state from.
    pub checkpoint_url: Option<Url>,
    /// Where transactions of a second layer go.
    pub sequencer_url: Option<Url>,
    /// Ports of the host.
    pub ports: NodePorts,
    /// Arguments in place of the template's.
    pub command: Option<Vec<String>>,
    /// Arguments after them.
    pub args: Vec<String>,
    /// Environment.
    pub env: Vec<(String, String)>,
    /// What it may use.
    pub limits: Limits,
    /// How long it may take to stop before it is killed.
    pub stop_grace: Duration,
}

/// Ports of the host under which a container is reached. Of all but the peers' on loopback.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodePorts {
    /// JSON-RPC, or the beacon API; none: `rpc_url` is not on this machine's loopback.
    pub rpc: Option<u16>,
    /// The websocket.
    pub ws: Option<u16>,
    /// The engine API, for a consensus client that is no container.
    pub engine: Option<u16>,
    /// Metrics, for a Prometheus that is no container.
    pub metrics: Option<u16>,
    /// Peers; none: the client's own.
    pub p2p: Option<u16>,
}

/// A key that a kind needs and has not, or that it cannot have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// The key.
    pub key: &'static str,
    /// What is wrong, as a sentence for people.
    pub message: String,
    /// What to write.
    pub hint: String,
}

impl Lack {
    /// A key that is wrong or missing.
    pub(super) fn of(key: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { key, message: message.into(), hint: hint.into() }
    }
}
