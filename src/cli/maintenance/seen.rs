//! Tasks as the service shows them at `/api/v1/maintenance`.

use reqwest::Method;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::cli::service::{Service, Trouble};

/// All tasks. What a newer service says beside it is passed over, and what an older one does not say is empty.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Tasks {
    pub(super) tasks: Vec<Task>,
}

/// A task.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Task {
    pub(super) task: String,
    pub(super) state: String,
    #[serde(default)]
    pub(super) why: String,
    #[serde(default)]
    pub(super) schedule: String,
    #[serde(default)]
    pub(super) time_zone: String,
    #[serde(default)]
    pub(super) next_at: Option<i64>,
    #[serde(default)]
    pub(super) running: Option<Running>,
    #[serde(default)]
    pub(super) last: Option<Run>,
    #[serde(default)]
    pub(super) history: Vec<Run>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Running {
    pub(super) planned_at: i64,
    pub(super) started_at: i64,
    pub(super) progress: Option<String>,
}

/// A run.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Run {
    pub(super) cause: String,
    pub(super) planned_at: i64,
    pub(super) started_at: Option<i64>,
    pub(super) ended_at: Option<i64>,
    pub(super) outcome: String,
    pub(super) message: String,
}

/// Asks for something, and as it came.
pub(super) async fn get<T: DeserializeOwned>(service: &Service, path: &str) -> Result<(T, Value), Trouble> {
    let raw = service.ask(Method::GET, path, None).await?;
    let found = T::deserialize(&raw)
        .map_err(|_| Trouble::Silent("its answer is not understood: is it another version?".to_owned()))?;
    Ok((found, raw))
}
