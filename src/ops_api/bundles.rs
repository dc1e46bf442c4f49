//! `/api/v1/bundles`

use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};

use super::state::{Api, database_error};
use crate::{
    ledger::{BundleTotals, BundleView},
    serve::ApiError,
    types::parse_hash,
};

/// Bundles shown when no limit is given, and at most.
const SHOWN: u32 = 50;
const MAX_SHOWN: u32 = 1000;
/// The roadmap's target: one bundle in four.
const TARGET_RATE: f64 = 0.25;

#[derive(Debug, Serialize)]
pub(super) struct Bundles {
    #[serde(flatten)]
    totals: BundleTotals,
    target_success_rate: f64,
    /// `met`, `not_met` or `no_data`.
    target: &'static str,
    bundles: Vec<BundleView>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Limit {
    limit: Option<u32>,
}

/// `GET /api/v1/bundles?limit=`: what all came to, and the newest.
pub(super) async fn bundles_list(
    State(api): Api,
    query: Result<Query<Limit>, QueryRejection>,
) -> Result<Json<Bundles>, ApiError> {
    let Query(Limit { limit }) = query.map_err(|e| ApiError::bad_request(e.body_text()))?;
    let limit = limit.unwrap_or(SHOWN);
    if !(1..=MAX_SHOWN).contains(&limit) {
        return Err(ApiError::bad_request(format!("limit: expected 1 to {MAX_SHOWN}")));
    }
    let totals = api.ledger.bundle_totals(0, i64::MAX).await.map_err(|e| database_error(&e))?;
    let decided = totals.submitted > totals.pending;
    let target = match (decided, totals.success_rate >= TARGET_RATE) {
        (false, _) => "no_data",
        (true, true) => "met",
        (true, false) => "not_met",
    };
    let bundles = api.ledger.bundles(None, limit).await.map_err(|e| database_error(&e))?;
    Ok(Json(Bundles { totals, target_success_rate: TARGET_RATE, target, bundles }))
}

/// `GET /api/v1/bundles/{hash}`: every time that a bundle of this hash was sent.
pub(super) async fn bundle_one(
    State(api): Api,
    Path(hash): Path<String>,
) -> Result<Json<Vec<BundleView>>, ApiError> {
    let hash = parse_hash(&hash).map_err(|error| ApiError::bad_request(format!("bundle hash: {error}")))?;
    let found =
        api.ledger.bundles(Some(&hash.to_string()), MAX_SHOWN).await.map_err(|e| database_error(&e))?;
    if found.is_empty() {
        return Err(ApiError::new(StatusCode::NOT_FOUND, format!("no bundle {hash} came here")));
    }
    Ok(Json(found))
}
