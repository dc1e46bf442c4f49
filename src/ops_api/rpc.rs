//! The gateway's page: upstreams, and the last failovers.

use super::state::Api;
use crate::serve::ApiError;
use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};

pub(super) async fn rpc_view(State(api): Api) -> Response {
    match &api.rpc {
        Some(view) => Json(view.show()).into_response(),
        None => {
            let message = "there is no gateway: [rpc] is not in the configuration";
            ApiError::new(StatusCode::NOT_FOUND, message).into_response()
        }
    }
}
