//! `/api/v1/backups`: which backups there are, what is known of each, and what was done.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::state::Api;
use crate::serve::ApiError;

/// `GET /api/v1/backups`
pub(super) async fn backups_view(State(api): Api) -> Result<Response, ApiError> {
    let message = "no backups are made by themselves: [backup] is not in the configuration";
    let keeper = api.backups.as_ref().ok_or_else(|| ApiError::new(StatusCode::NOT_FOUND, message))?;
    Ok(Json(keeper.view().await).into_response())
}
