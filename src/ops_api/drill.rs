//! `/api/v1/alerts/drill`: rehearses who is told of alerts, and how soon a person acknowledges.

use std::time::Duration;

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    http::HeaderMap,
};
use serde::Deserialize;

use super::{alerts::desk_error, body, state::Api};
use crate::{
    alerts::{DRILL_WAIT, DrillView},
    events::Severity,
    serve::ApiError,
};

/// How long a person has, where it is not said.
const WAIT_SECS: u64 = 900;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    severity: Option<String>,
    wait_secs: Option<u64>,
}

impl Asked {
    fn read(&self) -> Result<(Severity, Duration), ApiError> {
        let severity = self.severity.as_deref().map_or(Some(Severity::P1), Severity::parse);
        // P4 asks nobody.
        let severity = severity.filter(|severity| *severity != Severity::P4);
        let severity = severity.ok_or_else(|| ApiError::bad_request("severity: expected P1, P2 or P3"))?;
        let wait = Duration::from_secs(self.wait_secs.unwrap_or(WAIT_SECS));
        if DRILL_WAIT.contains(&wait) {
            Ok((severity, wait))
        } else {
            let (least, most) = (DRILL_WAIT.start().as_secs(), DRILL_WAIT.end().as_secs());
            Err(ApiError::bad_request(format!("wait_secs: expected {least} to {most}")))
        }
    }
}

/// `POST /api/v1/alerts/drill`, with `{"severity": "P1", "wait_secs": 900}` or less.
pub(super) async fn drill_start(
    State(api): Api,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<DrillView>, ApiError> {
    api.access.check_change(&headers)?;
    let asked: Asked = body::json(&headers, body).await?;
    let (severity, wait) = asked.read()?;
    api.alerts.start_drill(severity, wait).await.map(Json).map_err(|error| desk_error(&error))
}

/// `POST /api/v1/alerts/drill/{id}`: how far it is. It ends by itself once this is not asked for half a minute.
pub(super) async fn drill_follow(
    State(api): Api,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<DrillView>, ApiError> {
    api.access.check_change(&headers)?;
    api.alerts.drill(&id).await.map(Json).map_err(|error| desk_error(&error))
}

/// `DELETE /api/v1/alerts/drill/{id}`: ends it.
pub(super) async fn drill_end(
    State(api): Api,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<DrillView>, ApiError> {
    api.access.check_change(&headers)?;
    api.alerts.end_drill(&id).await.map(Json).map_err(|error| desk_error(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_bounded() {
        let read = |severity: Option<&str>, wait_secs| {
            Asked { severity: severity.map(str::to_owned), wait_secs }
                .read()
                .map(|(severity, wait)| (severity, wait.as_secs()))
        };
        assert_eq!(read(None, None).unwrap(), (Severity::P1, 900));
        assert_eq!(read(Some("P3"), Some(10)).unwrap(), (Severity::P3, 10));
        for (severity, wait) in
            [(Some("P4"), None), (Some("p1"), None), (None, Some(9)), (None, Some(86_401))]
        {
            assert_eq!(read(severity, wait).unwrap_err().status(), 400, "{severity:?} {wait:?}");
        }
    }
}
