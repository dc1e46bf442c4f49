//! `/api/v1/disk` and `/api/v1/resources`: how full disks are, what was cleaned, and what the machine has and uses.

use std::time::Duration;

use axum::{
    Json,
    body::Body,
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::{
    alerts::who,
    body,
    state::{Api, Shared, database_error},
};
use crate::{
    events::NodeState,
    serve::ApiError,
    supervisor::disk::{CleanFailed, DiskHandle},
    types::DAY_MS,
};

/// After so long a cleaning is said to be under way: it goes on all the same.
const ANSWERED_WITHIN: Duration = Duration::from_secs(25);
/// Cleanings and acts that are shown.
const SHOWN: u32 = 20;
/// Days of history, where nobody says, and at most.
const DAYS: i64 = 30;
const MAX_DAYS: i64 = 400;
/// Samples of one filesystem in an answer: those of 400 days.
const MAX_SAMPLES: u32 = 9_700;
/// Longest reason that is taken, in characters.
const MAX_WHY: usize = 300;

fn disks(api: &Shared) -> Result<&DiskHandle, ApiError> {
    let message = "no disk is watched: [disk] is not in the configuration";
    api.disk.as_ref().ok_or_else(|| ApiError::new(StatusCode::NOT_FOUND, message))
}

/// `GET /api/v1/disk`
pub(super) async fn disk_view(State(api): Api) -> Result<Response, ApiError> {
    let board = disks(&api)?.board();
    let acts = api.ledger.disk_acts(SHOWN).await.map_err(|error| database_error(&error))?;
    let cleanings = api.ledger.disk_cleanings(SHOWN).await.map_err(|error| database_error(&error))?;
    let cleanings: Vec<Value> =
        cleanings.iter().filter_map(|row| serde_json::from_str(&row.report).ok()).collect();
    let mut view = serde_json::to_value(&board).unwrap_or_default();
    if let Some(view) = view.as_object_mut() {
        view.insert("acts".to_owned(), json!(acts));
        view.insert("cleanings".to_owned(), json!(cleanings));
    }
    Ok(Json(view).into_response())
}

#[derive(Debug, Deserialize)]
pub(super) struct AskedHistory {
    days: Option<i64>,
}

/// `GET /api/v1/disk/history?days=`: an hour a sample.
pub(super) async fn disk_history(
    State(api): Api,
    query: Result<Query<AskedHistory>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(AskedHistory { days }) = query.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let days = days.unwrap_or(DAYS);
    if !(1..=MAX_DAYS).contains(&days) {
        return Err(ApiError::bad_request(format!("days: expected 1 to {MAX_DAYS}")));
    }
    let since = api.clock.now().saturating_sub(days.saturating_mul(DAY_MS));
    let mut filesystems = Vec::new();
    for view in disks(&api)?.board().filesystems {
        let path = view.path.display().to_string();
        let samples = api.ledger.disk_usage(&path, since, MAX_SAMPLES).await;
        let samples = samples.map_err(|error| database_error(&error))?;
        filesystems.push(json!({ "path": path, "samples": samples }));
    }
    Ok(Json(json!({ "filesystems": filesystems })).into_response())
}

/// `GET /api/v1/disk/plan`: with the admin token, as it walks whole disks.
pub(super) async fn disk_plan(State(api): Api, headers: HeaderMap) -> Result<Response, ApiError> {
    api.access.check_change(&headers)?;
    let planned = timeout(ANSWERED_WITHIN, disks(&api)?.plan()).await.map_err(|_| {
        let message = "the plan takes longer than an answer may: `relaymux disk plan` waits for it";
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, message)
    })?;
    Ok(Json(planned).into_response())
}

/// What is posted with it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Details {
    /// Who asks.
    #[serde(default)]
    by: Option<String>,
    /// Why.
    #[serde(default)]
    why: Option<String>,
}

/// `POST /api/v1/disk/clean`
pub(super) async fn disk_clean(
    State(api): Api,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    api.access.check_change(&headers)?;
    let disks = disks(&api)?;
    let Details { by, why } = body::json(&headers, body).await?;
    let by = who(by.as_deref(), "the API");
    let why: String =
        why.unwrap_or_default().chars().filter(|char| !char.is_control()).take(MAX_WHY).collect();
    let why = why.trim().trim_end_matches('.');
    let reason =
        if why.is_empty() { format!("Ordered by {by}.") } else { format!("Ordered by {by}: {why}.") };
    match timeout(ANSWERED_WITHIN, disks.clean(reason)).await {
        Ok(Ok(report)) => Ok(Json(json!({ "done": true, "report": report })).into_response()),
        Ok(Err(failed)) => Err(refusal(&failed)),
        Err(_) => {
            let message =
                "The cleaning is under way and goes on by itself. GET /api/v1/disk shows how it went.";
            let answer = json!({ "done": false, "message": message });
            Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
        }
    }
}

fn refusal(failed: &CleanFailed) -> ApiError {
    let status = match failed {
        CleanFailed::UnderWay(_) => StatusCode::CONFLICT,
        CleanFailed::Journal(_) | CleanFailed::Hangs(_) => StatusCode::INTERNAL_SERVER_ERROR,
        CleanFailed::Away(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    ApiError::new(status, failed.to_string())
}

/// `GET /api/v1/resources`: what the machine has and uses, its disks and nodes. Answers with what is known, also without `[disk]` or `[[nodes]]`.
pub(super) async fn resources(State(api): Api) -> Response {
    let sample = api.host.lock().sample(Instant::now());
    let filesystems: Vec<Value> = api
        .disk
        .iter()
        .flat_map(|disk| disk.board().filesystems)
        .map(|view| {
            json!({
                "path": view.path,
                "used_permille": view.used_permille,
                "inodes_used_permille": view.inodes_used_permille,
                "available_bytes": view.seen.as_ref().map(|seen| seen.space.available_bytes),
                "total_bytes": view.seen.as_ref().map(|seen| seen.space.total_bytes),
                "level": view.level,
                "forecast": view.forecast,
                "io": view.io,
            })
        })
        .collect();
    let nodes = api.nodes.as_ref().map(|nodes| nodes.view()).unwrap_or_default();
    let nodes: Vec<Value> = nodes
        .into_iter()
        .map(|node| {
            json!({
                "id": node.id,
                "state": node.state,
                "runs": node.state.serves() || matches!(node.state, NodeState::Starting | NodeState::Syncing | NodeState::Hung),
                "limits": node.limits,
                "usage": node.usage,
            })
        })
        .collect();
    let load = |load: &crate::host::Load| {
        json!({
            "cpu_percent": load.cpu,
            "cpu_stalled_percent": load.cpu_psi,
            "memory_used_bytes": load.memory.as_ref().map(|memory| memory.used),
            "memory_total_bytes": load.memory.as_ref().map(|memory| memory.total),
            "memory_stalled_percent": load.memory_psi,
        })
    };
    Json(json!({
        "host": load(&sample.host),
        "relaymux": load(&sample.own),
        "stalled": { "memory_percent": sample.stalls.memory, "io_percent": sample.stalls.io },
        "filesystems": filesystems,
        "nodes": nodes,
    }))
    .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_its_status() {
        let words = || "no".to_owned();
        for (failed, status) in [
            (CleanFailed::UnderWay(words()), 409),
            (CleanFailed::Journal(words()), 500),
            (CleanFailed::Hangs(words()), 500),
            (CleanFailed::Away(words()), 503),
        ] {
            assert_eq!(refusal(&failed).status(), status);
        }
    }
}
