//! Routes that change something: only with the admin token.

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};

use super::state::{Api, unknown_relay};
use crate::{
    events::{ModeReason, RelayMode},
    relay::OperatorCommand,
    serve::ApiError,
    types::RelayId,
};

/// `POST /api/v1/relays/rotate`
pub(super) async fn rotate(State(api): Api, headers: HeaderMap) -> Result<Response, ApiError> {
    api.access.check_change(&headers)?;
    let active = api.monitor.rotate("by hand, through the API").await.ok_or_else(stopping)?;
    Ok(Json(serde_json::json!({ "active": active })).into_response())
}

/// `POST /api/v1/relays/{id}/{pin|disable|release|pardon}`
pub(super) async fn operator_command(
    State(api): Api,
    Path((id, command)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    api.access.check_change(&headers)?;
    let command = match command.as_str() {
        "pin" => OperatorCommand::Pin,
        "disable" => OperatorCommand::Disable,
        "release" => OperatorCommand::Release,
        "pardon" => OperatorCommand::Pardon,
        _ => {
            let message = "unknown action: pin, disable, release (undoes both) or pardon";
            return Err(ApiError::new(StatusCode::NOT_FOUND, message));
        }
    };
    let relay = RelayId::parse(&id).map_err(|_| unknown_relay(&id))?;
    if !api.monitor.operator_command(relay.clone(), command).await.ok_or_else(stopping)? {
        return Err(unknown_relay(&id));
    }
    let status = api.relays.status(&relay);
    let (state, reason, message) = status
        .map_or((RelayMode::Disabled, ModeReason::Disabled, String::new()), |status| {
            (status.mode, status.reason, status.message)
        });
    Ok(Json(serde_json::json!({ "id": id, "state": state, "reason": reason, "why": message }))
        .into_response())
}

fn stopping() -> ApiError {
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "the service is stopping")
}
