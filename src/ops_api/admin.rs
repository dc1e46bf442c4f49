//! Routes that change something: only with the admin token.

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::handlers::{Api, unknown_relay};
use crate::{relay::OperatorCommand, serve::ApiError, types::RelayId};

/// `POST /api/v1/relays/rotate`
pub(super) async fn rotate(State(api): Api, headers: HeaderMap) -> Result<Response, ApiError> {
    authorize(&headers, &api.admin_token)?;
    let active = api.monitor.rotate("by hand, through the API").await.ok_or_else(stopping)?;
    Ok(Json(serde_json::json!({ "active": active })).into_response())
}

/// `POST /api/v1/relays/{id}/{pin|disable|release|pardon}`
pub(super) async fn operator_command(
    State(api): Api,
    Path((id, command)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    authorize(&headers, &api.admin_token)?;
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
    let (state, why) =
        status.map_or(("disabled", String::new()), |status| (status.place.label(), status.why));
    Ok(Json(serde_json::json!({ "id": id, "state": state, "why": why })).into_response())
}

fn stopping() -> ApiError {
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "the service is stopping")
}

fn authorize(headers: &HeaderMap, token: &str) -> Result<(), ApiError> {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|text| text.strip_prefix("Bearer ")).unwrap_or_default().trim();
    if is_same(given.as_bytes(), token.as_bytes()) {
        return Ok(());
    }
    let message = "needs `Authorization: Bearer <token>`; the token is in admin.token of data_dir";
    Err(ApiError::new(StatusCode::UNAUTHORIZED, message))
}

/// Compares in a time that depends on the lengths alone, so that a guess learns nothing.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_token_opens() {
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            authorize(&headers, "secret").is_ok()
        };
        assert!(with("Bearer secret"));
        for wrong in ["Bearer secre", "Bearer secret2", "secret", "Basic secret", "Bearer ", ""] {
            assert!(!with(wrong), "{wrong}");
        }
        assert!(authorize(&HeaderMap::new(), "secret").is_err());
    }
}
