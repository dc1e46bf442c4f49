//! An engine that is slow with figures.

use axum::{Router, http::Uri, response::IntoResponse};
use tokio::net::TcpListener;

use super::*;
use crate::supervisor::runtime::testing;

async fn answer(uri: Uri) -> axum::response::Response {
    let path = uri.path();
    if path.ends_with("/version") {
        return axum::Json(serde_json::json!({"ApiVersion": "1.41", "MinAPIVersion": "1.12"}))
            .into_response();
    }
    if path.ends_with("/stats") {
        // From here on whoever waits has waited.
        tokio::time::pause();
        return std::future::pending().await;
    }
    let state =
        serde_json::json!({"Status": "running", "Running": true, "StartedAt": "2026-11-28T10:00:00Z"});
    axum::Json(serde_json::json!({"Id": "1", "State": state})).into_response()
}

#[tokio::test]
async fn figures_that_do_not_come_hide_not_how_a_container_is() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = format!("tcp://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    let runtime = DockerRuntime::new(Some(host));
    let node = testing::node("geth", "geth");
    let seen = runtime.inspect(&node).await.unwrap();
    assert!(matches!(seen.status, ProcessStatus::Running { since: Some(_) }), "{seen:?}");
    assert_eq!(seen.usage.unwrap().memory, None);
    server.abort();
}
