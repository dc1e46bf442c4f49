//! `[[nodes]]`, checked.

use std::{fmt, path::PathBuf, time::Duration};

use url::Url;

use super::{LaunchSpec, Limits, NodeKind};
use crate::types::NodeId;

/// `[[nodes]]` and `[resources]`.
#[derive(Clone, Debug, PartialEq)]
pub struct NodesSettings {
    /// The nodes, in the file's order.
    pub nodes: Vec<NodeSettings>,
    /// What the nodes leave to everything else on the machine.
    pub reserve: Reserve,
    /// Where the Docker engine listens.
    pub docker: DockerHost,
    /// When the machine is under too much pressure for anything to be started.
    pub psi: PsiGuard,
}

/// What is kept for the system and for this service: admission never gives it to nodes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reserve {
    /// Memory, in bytes.
    pub memory: u64,
    /// Cores.
    pub cpus: f64,
}

impl Default for Reserve {
    fn default() -> Self {
        Self { memory: 2 << 30, cpus: 0.5 }
    }
}

/// Where the Docker engine listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DockerHost {
    /// A socket of this machine.
    Unix(PathBuf),
    /// An address, without TLS: `127.0.0.1:2375`, for socket proxies.
    Tcp(String),
}

impl DockerHost {
    /// Reads an address as Docker's own command understands it: `unix:///var/run/docker.sock`, `tcp://127.0.0.1:2375`; a path alone is a socket.
    /// None for anything else: TLS and SSH are not spoken here.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let path = text.strip_prefix("unix://").or_else(|| text.starts_with('/').then_some(text));
        if let Some(path) = path.filter(|path| path.starts_with('/')) {
            return Some(Self::Unix(path.into()));
        }
        let url = text.starts_with("tcp://").then(|| Url::parse(text).ok()).flatten()?;
        let (host, port) = (url.host_str()?, url.port().unwrap_or(2375));
        (url.username().is_empty() && matches!(url.path(), "" | "/"))
            .then(|| Self::Tcp(format!("{host}:{port}")))
    }
}

/// As in `DOCKER_HOST`.
impl fmt::Display for DockerHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}

impl Default for DockerHost {
    fn default() -> Self {
        Self::Unix("/var/run/docker.sock".into())
    }
}

/// PSI `full avg60`, in percent, from which nothing is started by the supervisor itself: more load would not help. 0: never.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PsiGuard {
    /// For memory.
    pub memory: f64,
    /// For disks.
    pub io: f64,
}

impl Default for PsiGuard {
    fn default() -> Self {
        // Memory: the field's threshold for critical. Disks: four times that for a warning, as an initial sync holds it there for days.
        Self { memory: 10.0, io: 80.0 }
    }
}

/// One of `[[nodes]]`. URLs may hold a key: not for logs.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeSettings {
    /// Its name.
    pub id: NodeId,
    /// What it is.
    pub kind: NodeKind,
    /// Nodes of one group stand in for each other: never two of them are restarted at once. By default the layer's name.
    pub group: String,
    /// Where and how it runs.
    pub runtime: RuntimeSettings,
    /// What it may use.
    pub limits: Limits,
    /// How it is probed; none: only its process is watched.
    pub probe: Option<ProbeSettings>,
    /// When it is restarted.
    pub restart: RestartPolicy,
    /// How long it may take to stop before it is killed.
    pub stop_grace: Duration,
}

/// Where and how a node runs.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "there is one for each of a handful of nodes")]
pub enum RuntimeSettings {
    /// A container.
    Docker(DockerSettings),
    /// A unit of systemd.
    Systemd(SystemdSettings),
    /// A child process of ours.
    Process(ProcessSettings),
}

/// A container.
#[derive(Clone, Debug, PartialEq)]
pub struct DockerSettings {
    /// Its name; by default the node's.
    pub container: String,
    /// How it is created where it is not there; none: it is only attached to.
    pub launch: Option<LaunchSpec>,
}

/// A unit of systemd: attached to, never written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemdSettings {
    /// Its name, such as `geth.service`.
    pub unit: String,
}

/// A child process. It ends with us, in good order.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessSettings {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its working directory.
    pub folder: Option<PathBuf>,
    /// Environment beside `PATH`, `HOME` and `LANG`, which are ours.
    pub env: Vec<(String, String)>,
}

/// A sync that shows no progress for so long is stalled, unless the operator says otherwise: geth heals its state, and reth goes through its stages,
/// for some minutes without a sign.
pub const STALL_AFTER: Duration = Duration::from_secs(30 * 60);

/// How a node is probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeSettings {
    /// Where it answers.
    pub url: Url,
    /// Between two probes.
    pub every: Duration,
    /// Longest wait for an answer.
    pub timeout: Duration,
    /// Usual time between two blocks of its chain; none: by its kind.
    pub block_time: Option<Duration>,
    /// The chain that it must be of; none: any.
    pub chain_id: Option<u64>,
    /// Age of the head from which it lags; none: by its kind, and on a chain of developers (31337, 1337) without `block_time` never.
    pub lag_age: Option<Duration>,
    /// For `generic`: the path that must answer 2xx.
    pub path: Option<String>,
    /// For Solana: the vote account that must not be delinquent.
    pub vote_account: Option<String>,
    /// A sync that shows no progress for so long is stalled.
    pub stall_after: Duration,
    /// For `op-node`: where the execution client that it drives answers JSON-RPC, which is compared with it; none: that is not known. May hold a key.
    pub execution: Option<Url>,
}

/// When a node is restarted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestartPolicy {
    /// Whether the supervisor starts it again after it ended by itself, and restarts it when it hangs. Without, it only watches and tells.
    pub on_failure: bool,
    /// Failed probes in a row after which a running node hangs.
    pub hung_after: u32,
    /// How long a started node may take to its first answer before it hangs.
    pub start_timeout: Duration,
    /// Wait before the first restart; doubled with each, with jitter.
    pub backoff: Duration,
    /// Longest wait.
    pub max_backoff: Duration,
    /// So many restarts within `burst_window` are a crash loop (systemd: `StartLimitBurst`).
    pub burst: u32,
    /// See `burst` (systemd: `StartLimitIntervalSec`).
    pub burst_window: Duration,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            on_failure: true,
            hung_after: 5,
            start_timeout: Duration::from_secs(600),
            backoff: Duration::from_secs(5),
            max_backoff: Duration::from_secs(600),
            burst: 5,
            burst_window: Duration::from_secs(600),
        }
    }
}
