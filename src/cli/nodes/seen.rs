//! A node as the service shows it at `/api/v1/nodes`.

use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    cli::service::{Service, Trouble},
    events::NodeState,
};

/// A node. What a newer service says beside it is passed over, and what an older one does not say is empty.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Seen {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) runtime: String,
    pub(super) group: String,
    pub(super) state: String,
    pub(super) since: i64,
    #[serde(default)]
    pub(super) why: String,
    #[serde(default)]
    pub(super) wanted: String,
    #[serde(default)]
    pub(super) hold: String,
    #[serde(default)]
    pub(super) doing: Option<String>,
    #[serde(default)]
    pub(super) head: Option<u64>,
    #[serde(default)]
    pub(super) head_age_ms: Option<i64>,
    #[serde(default)]
    pub(super) behind: Option<u64>,
    #[serde(default)]
    pub(super) eta_secs: Option<u64>,
    #[serde(default)]
    pub(super) sync: Option<Sync>,
    #[serde(default)]
    pub(super) peers: Option<u64>,
    #[serde(default)]
    pub(super) version: Option<String>,
    #[serde(default)]
    pub(super) limits: Bounds,
    #[serde(default)]
    pub(super) usage: Used,
    #[serde(default)]
    pub(super) restarts: usize,
    #[serde(default)]
    pub(super) restarts_allowed: u32,
    #[serde(default)]
    pub(super) restarts_window_secs: u64,
    #[serde(default)]
    pub(super) restart_in_secs: Option<i64>,
    #[serde(default)]
    pub(super) history: Vec<Fact>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Bounds {
    pub(super) memory_bytes: Option<u64>,
    pub(super) cpus: Option<f64>,
}

/// How its sync goes on.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Sync {
    pub(super) outlook: String,
    pub(super) soonest_secs: Option<u64>,
    pub(super) latest_secs: Option<u64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Used {
    pub(super) memory_bytes: Option<u64>,
    pub(super) oom_kills: Option<u64>,
}

/// Something that happened.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Fact {
    pub(super) at: i64,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) by: String,
    pub(super) why: String,
    pub(super) error: String,
    pub(super) took_ms: u64,
}

impl Seen {
    /// How it is; none for a state of another version.
    pub(super) fn state(&self) -> Option<NodeState> {
        NodeState::parse(&self.state)
    }
}

/// All nodes, and as they came.
pub(super) async fn all(service: &Service) -> Result<(Vec<Seen>, Value), Trouble> {
    let raw = service.ask(Method::GET, "/api/v1/nodes", None).await?;
    let nodes = Vec::<Seen>::deserialize(&raw)
        .map_err(|_| Trouble::Silent("its answer is not understood: is it another version?".to_owned()))?;
    Ok((nodes, raw))
}
