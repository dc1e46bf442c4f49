//! `/api/v1/profit` and the dashboard's page of it.

use axum::{
    Json,
    body::Body,
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderValue, header},
    response::{Html, IntoResponse, Response},
};
use jiff::civil::Date;
use serde::Deserialize;

use super::state::{Api, database_error};
use crate::{
    ledger::ProposalPoint,
    profit::{By, ReportQuery},
    serve::ApiError,
};

/// Slots charted when no limit is given, and at most.
const CHARTED: u32 = 500;
const MAX_CHARTED: u32 = 5000;

#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    from: Option<String>,
    to: Option<String>,
    by: Option<String>,
    period: Option<String>,
    format: Option<String>,
}

fn day(name: &str, text: Option<&String>) -> Result<Option<Date>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    let wrong = |_| ApiError::bad_request(format!("{name}: expected a day such as 2026-11-01"));
    text.parse().map(Some).map_err(wrong)
}

fn by(name: &str, text: Option<&String>) -> Result<Option<By>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    let names: Vec<&str> = By::ALL.into_iter().map(|(name, _)| name).collect();
    let wrong = || ApiError::bad_request(format!("{name}: expected one of {}", names.join(", ")));
    By::named(text).map(Some).ok_or_else(wrong)
}

/// `GET /api/v1/profit?from=&to=&by=&period=&format=`: `json` has the report; `csv` one row a proposal, or with `by` one row a line.
pub(super) async fn profit_report(
    State(api): Api,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(asked) = query.map_err(|e| ApiError::bad_request(e.body_text()))?;
    let query = ReportQuery {
        from: day("from", asked.from.as_ref())?,
        to: day("to", asked.to.as_ref())?,
        by: by("by", asked.by.as_ref())?,
        period: by("period", asked.period.as_ref())?,
    };
    let now = api.clock.now();
    if let (Some(from), Some(to)) = (query.from, query.to)
        && from > to
    {
        return Err(ApiError::bad_request(format!("from={from} is after to={to}")));
    }
    let csv = |body: Body| {
        let kind = HeaderValue::from_static("text/csv; charset=utf-8");
        let name = HeaderValue::from_static("attachment; filename=\"relaymux-profit.csv\"");
        ([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, name)], body).into_response()
    };
    let reporter = &api.reporter;
    match (asked.format.as_deref(), query.by) {
        (None | Some("json"), _) => {
            Ok(Json(reporter.report(query, now).await.map_err(|e| database_error(&e))?).into_response())
        }
        (Some("csv"), None) => Ok(csv(Body::from_stream(reporter.proposals_csv(query, now)))),
        (Some("csv"), Some(_)) => {
            Ok(csv(reporter.report(query, now).await.map_err(|e| database_error(&e))?.csv().into()))
        }
        (Some(_), _) => Err(ApiError::bad_request("format: expected json or csv")),
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Limit {
    limit: Option<u32>,
}

/// `GET /api/v1/profit/slots?limit=`: what the newest slots promised and paid, for charts.
pub(super) async fn profit_slots(
    State(api): Api,
    query: Result<Query<Limit>, QueryRejection>,
) -> Result<Json<Vec<ProposalPoint>>, ApiError> {
    let Query(Limit { limit }) = query.map_err(|e| ApiError::bad_request(e.body_text()))?;
    let limit = limit.unwrap_or(CHARTED);
    if !(1..=MAX_CHARTED).contains(&limit) {
        return Err(ApiError::bad_request(format!("limit: expected 1 to {MAX_CHARTED}")));
    }
    Ok(Json(api.ledger.proposal_points(limit).await.map_err(|e| database_error(&e))?))
}

/// `GET /profit`
pub(super) async fn profit_page() -> Html<&'static str> {
    Html(include_str!("profit.html"))
}
