//! The gateway's page: upstreams, and the last failovers.

use std::{fmt, sync::Arc};

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::Value;

use super::state::Api;
use crate::serve::ApiError;

/// Shows how the gateway is, as the gateway says it. Cheap to ask: it reads snapshots.
#[derive(Clone)]
pub struct RpcView(Arc<dyn Fn() -> Value + Send + Sync>);

impl RpcView {
    /// A view of what a function says at each look.
    pub fn new<T: Serialize>(show: impl Fn() -> T + Send + Sync + 'static) -> Self {
        Self(Arc::new(move || serde_json::to_value(show()).unwrap_or_default()))
    }
}

impl fmt::Debug for RpcView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RpcView")
    }
}

pub(super) async fn rpc_view(State(api): Api) -> Response {
    match &api.rpc {
        Some(view) => Json((view.0)()).into_response(),
        None => {
            let message = "there is no gateway: [rpc] is not in the configuration";
            ApiError::new(StatusCode::NOT_FOUND, message).into_response()
        }
    }
}
