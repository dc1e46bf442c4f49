//! `/api/v1/alerts`: what is wrong and was, that somebody takes care, what others found, and who was told.

use axum::{
    Json,
    body::Body,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode},
    response::{Html, IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;
use tracing::warn;

use super::{
    alert_views::AlertsView,
    body,
    state::{Api, database_error},
};
use crate::{
    alerts::{
        AckTarget, DeskError,
        hook::{self, HookError},
    },
    ledger::NotificationView,
    serve::ApiError,
    types::labelled,
};

/// Rows of each list when no limit is given, and at most.
const SHOWN: u32 = 100;
const MAX_SHOWN: u32 = 1000;
/// Who acknowledged, where nobody says.
const SOMEBODY: &str = "the API";

labelled! {
    /// Which alerts are asked for.
    enum Wanted {
        /// Those that last.
        Open = "open",
        /// Those that are over, too.
        All = "all",
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    state: Option<String>,
    limit: Option<u32>,
}

fn limit(limit: Option<u32>) -> Result<u32, ApiError> {
    let limit = limit.unwrap_or(SHOWN);
    if (1..=MAX_SHOWN).contains(&limit) {
        Ok(limit)
    } else {
        Err(ApiError::bad_request(format!("limit: expected 1 to {MAX_SHOWN}")))
    }
}

fn wanted(state: Option<&str>) -> Result<Wanted, ApiError> {
    let Some(state) = state else { return Ok(Wanted::Open) };
    let names = Wanted::ALL.map(Wanted::label).join(" or ");
    Wanted::parse(state).ok_or_else(|| ApiError::bad_request(format!("state: expected {names}")))
}

/// `GET /api/v1/alerts?state=open|all&limit=`
pub(super) async fn alerts_list(
    State(api): Api,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<AlertsView>, ApiError> {
    let Query(asked) = query.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let limit = limit(asked.limit)?;
    let past = match wanted(asked.state.as_deref())? {
        Wanted::Open => None,
        Wanted::All => Some(api.ledger.past_alerts(limit).await.map_err(|error| database_error(&error))?),
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    Ok(Json(AlertsView::of(&api.alerts.snapshot(), past, limit, api.clock.now())))
}

#[derive(Debug, Deserialize)]
struct Acknowledging {
    by: Option<String>,
}

/// `POST /api/v1/alerts/{id}/ack`, with `{"by": "name"}` or nothing.
pub(super) async fn acknowledge_one(
    State(api): Api,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    api.access.check_change(&headers)?;
    let Acknowledging { by } = body::json(&headers, body).await?;
    let by = who(by.as_deref(), SOMEBODY);
    let shown: String = id.chars().take(64).collect();
    match api.alerts.acknowledge(AckTarget::Alert(id), &by).await {
        Ok(_) => Ok(Json(json!({ "id": shown, "by": by })).into_response()),
        Err(DeskError::Unknown) => Err(ApiError::new(
            StatusCode::NOT_FOUND,
            format!("no alert `{shown}` lasts: GET /api/v1/alerts has the ids of those that do"),
        )),
        Err(error) => Err(desk_error(&error)),
    }
}

/// A name as it is kept: one line, bounded, never empty.
pub(super) fn who(by: Option<&str>, nobody: &str) -> String {
    let name: String = by.unwrap_or_default().chars().filter(|char| !char.is_control()).take(80).collect();
    if name.trim().is_empty() { nobody.to_owned() } else { name.trim().to_owned() }
}

pub(super) fn desk_error(error: &DeskError) -> ApiError {
    let status = match error {
        DeskError::Unknown | DeskError::NoDrill => StatusCode::NOT_FOUND,
        DeskError::Silence(_) => StatusCode::BAD_REQUEST,
        DeskError::TooManySilences | DeskError::DrillUnderWay | DeskError::ReachesNobody(_) => {
            StatusCode::CONFLICT
        }
        DeskError::NotSaved(_) | DeskError::Away => StatusCode::SERVICE_UNAVAILABLE,
    };
    ApiError::new(status, error.to_string())
}

/// `POST /api/v1/alerts/hook`: the body of Alertmanager's webhook. It sends again what is answered with 5xx, and nothing else.
pub(super) async fn take_foreign(
    State(api): Api,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    api.access.check_change(&headers)?;
    let Some(sink) = &api.hook else {
        return Err(ApiError::new(StatusCode::NOT_FOUND, "others' alerts are not taken here"));
    };
    let bytes = body::bytes(&headers, body, hook::MAX_BODY).await?;
    let body = hook::parse(&bytes).map_err(|error| hook_error(&error))?;
    let taken = sink.take(&body).await.map_err(|error| {
        let message = format!("it could not be written down, send it again: {error}");
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, message)
    });
    // Also what could not be written down is looked at.
    api.alerts.wake();
    let taken = taken?;
    if body.truncated > 0 {
        warn!(
            left_out = body.truncated,
            "an Alertmanager left alerts out: raise `max_alerts` of its `webhook_config`"
        );
    }
    Ok(Json(json!({ "taken": taken, "truncated": body.truncated })).into_response())
}

fn hook_error(error: &HookError) -> ApiError {
    let status = match error {
        HookError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        HookError::Json(_) | HookError::Version(_) | HookError::TooMany { .. } | HookError::Alert { .. } => {
            StatusCode::BAD_REQUEST
        }
    };
    ApiError::new(status, error.to_string())
}

/// `GET /api/v1/alerts/notifications?limit=`: who was told what, and whether it arrived.
pub(super) async fn notifications(
    State(api): Api,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Vec<NotificationView>>, ApiError> {
    let Query(asked) = query.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let limit = limit(asked.limit)?;
    Ok(Json(api.ledger.notifications(limit).await.map_err(|error| database_error(&error))?))
}

/// `GET /alerts`
pub(super) async fn alerts_page() -> Html<&'static str> {
    Html(include_str!("alerts.html"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::SilenceError;

    #[test]
    fn what_is_asked_for_is_bounded() {
        assert_eq!(limit(None).unwrap(), SHOWN);
        for (asked, is_good) in [(0, false), (1, true), (1000, true), (1001, false)] {
            assert_eq!(limit(Some(asked)).is_ok(), is_good, "{asked}");
        }
        assert_eq!(wanted(None).unwrap(), Wanted::Open);
        assert_eq!(wanted(Some("all")).unwrap(), Wanted::All);
        assert_eq!(wanted(Some("past")).unwrap_err().status(), 400);
    }

    #[test]
    fn a_name_is_one_line_and_never_empty() {
        for (by, name) in [(None, "x"), (Some(" \n"), "x"), (Some(" an\nna "), "anna")] {
            assert_eq!(who(by, "x"), name);
        }
        assert_eq!(who(Some(&"é".repeat(500)), "x").chars().count(), 80);
    }

    #[test]
    fn what_may_work_the_next_time_is_the_services_fault() {
        for (error, status) in [
            (DeskError::Unknown, 404),
            (DeskError::Silence(SilenceError::EndsFirst), 400),
            (DeskError::TooManySilences, 409),
            (DeskError::DrillUnderWay, 409),
            (DeskError::ReachesNobody(crate::events::Severity::P1), 409),
            (DeskError::NoDrill, 404),
            (DeskError::NotSaved(String::new()), 503),
            (DeskError::Away, 503),
        ] {
            assert_eq!(desk_error(&error).status(), status, "{error}");
        }
    }
}
