//! `/api/v1/maintenance`: tasks that are done by the clock, what came of them, and running one by hand.

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    alerts::who,
    body,
    state::{Api, Shared, database_error},
};
use crate::{
    events::TaskKind,
    ledger::TaskRunRow,
    serve::ApiError,
    supervisor::schedule::{RunRefused, ScheduleHandle, TaskView},
};

/// What came of the last runs, of each task in the list.
const SHOWN: u32 = 5;
/// And of one alone.
const SHOWN_OF_ONE: u32 = 200;

/// A task, and what came of it.
#[derive(Debug, Serialize)]
struct TaskWithHistory {
    #[serde(flatten)]
    task: TaskView,
    /// The newest first.
    history: Vec<TaskRunRow>,
}

fn schedule(api: &Shared) -> Result<&ScheduleHandle, ApiError> {
    let message = "this service keeps no schedule";
    api.schedule.as_ref().ok_or_else(|| ApiError::new(StatusCode::NOT_FOUND, message))
}

async fn with_history(api: &Shared, task: TaskView, limit: u32) -> Result<TaskWithHistory, ApiError> {
    let history = api.ledger.task_runs(task.task, limit).await;
    Ok(TaskWithHistory { history: history.map_err(|error| database_error(&error))?, task })
}

/// `GET /api/v1/maintenance`
pub(super) async fn tasks_list(State(api): Api) -> Result<Response, ApiError> {
    let mut tasks = Vec::new();
    for task in schedule(&api)?.view() {
        tasks.push(with_history(&api, task, SHOWN).await?);
    }
    Ok(Json(json!({ "tasks": tasks })).into_response())
}

/// `GET /api/v1/maintenance/{task}`
pub(super) async fn task_one(State(api): Api, Path(task): Path<String>) -> Result<Response, ApiError> {
    let found = schedule(&api)?.view().into_iter().find(|view| view.task.label() == task);
    let view = found.ok_or_else(|| unknown_task(&task))?;
    Ok(Json(with_history(&api, view, SHOWN_OF_ONE).await?).into_response())
}

/// What is posted with it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Details {
    /// Who asks.
    #[serde(default)]
    by: Option<String>,
}

/// `POST /api/v1/maintenance/{task}/run`
pub(super) async fn task_run(
    State(api): Api,
    Path(task): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    api.access.check_change(&headers)?;
    let schedule = schedule(&api)?;
    let kind = TaskKind::parse(&task).ok_or_else(|| unknown_task(&task))?;
    let details: Details = body::json(&headers, body).await?;
    let by = who(details.by.as_deref(), "the API");
    let planned_at = schedule.run(kind, &by).await.map_err(|refused| refusal(&refused))?;
    let message =
        format!("It begins, and goes on by itself. GET /api/v1/maintenance/{kind} shows how it goes.");
    let answer = json!({ "task": kind, "planned_at": planned_at, "message": message });
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

fn refusal(refused: &RunRefused) -> ApiError {
    let status = match refused {
        RunRefused::Unknown(_) => StatusCode::NOT_FOUND,
        RunRefused::Busy(_) => StatusCode::CONFLICT,
        RunRefused::Away(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    ApiError::new(status, refused.to_string())
}

fn unknown_task(task: &str) -> ApiError {
    let shown: String = task.chars().take(64).collect();
    let message = format!("no task `{shown}`: GET /api/v1/maintenance has those that there are");
    ApiError::new(StatusCode::NOT_FOUND, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_its_status() {
        let words = || "no".to_owned();
        for (refused, status) in [
            (RunRefused::Unknown(words()), 404),
            (RunRefused::Busy(words()), 409),
            (RunRefused::Away(words()), 503),
        ] {
            assert_eq!(refusal(&refused).status(), status);
        }
    }
}
