//! `/api/v1/nodes`: how the nodes under supervision are, what happened to them, and what people order.

use std::time::Duration;

use axum::{
    Json,
    body::Body,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::timeout;

use super::{
    alerts::who,
    body,
    state::{Api, Shared, database_error},
};
use crate::{
    events::ActedBy,
    ledger::NodeFact,
    serve::ApiError,
    supervisor::{
        Cpuset, LONGEST_HOLD, LimitsChange, NodeView, Order, OrderKind, OrderRefused, SupervisorHandle,
    },
    types::{NodeId, labelled},
};

/// What happened last, of each node in the list.
const SHOWN: u32 = 10;
/// And of one alone.
const SHOWN_OF_ONE: u32 = 200;
/// After so long an order is said to be under way: it is carried out all the same.
const ANSWERED_WITHIN: Duration = Duration::from_secs(25);
/// How long maintenance lasts where nobody says.
const USUAL_HOLD: Duration = Duration::from_secs(4 * 3600);
/// Longest reason that is taken, in characters.
const MAX_WHY: usize = 300;
/// Lines of output, where nobody says, and at most.
const LINES: usize = 100;
const MAX_LINES: usize = 5000;

/// A node, and what happened to it.
#[derive(Debug, Serialize)]
struct NodeWithHistory {
    #[serde(flatten)]
    node: NodeView,
    /// The newest first.
    history: Vec<NodeFact>,
}

fn supervisor(api: &Shared) -> Result<&SupervisorHandle, ApiError> {
    let message = "no nodes are looked after: [[nodes]] is not in the configuration";
    api.nodes.as_ref().ok_or_else(|| ApiError::new(StatusCode::NOT_FOUND, message))
}

async fn with_history(api: &Shared, node: NodeView, limit: u32) -> Result<NodeWithHistory, ApiError> {
    let history = api.ledger.node_history(node.id.as_str(), limit).await;
    Ok(NodeWithHistory { history: history.map_err(|error| database_error(&error))?, node })
}

/// `GET /api/v1/nodes`
pub(super) async fn nodes_list(State(api): Api) -> Result<Response, ApiError> {
    let mut nodes = Vec::new();
    for node in supervisor(&api)?.view() {
        nodes.push(with_history(&api, node, SHOWN).await?);
    }
    Ok(Json(nodes).into_response())
}

/// `GET /api/v1/nodes/{id}`
pub(super) async fn node_one(State(api): Api, Path(id): Path<String>) -> Result<Response, ApiError> {
    let found = supervisor(&api)?.view().into_iter().find(|node| node.id.as_str() == id);
    let node = found.ok_or_else(|| unknown_node(&id))?;
    Ok(Json(with_history(&api, node, SHOWN_OF_ONE).await?).into_response())
}

#[derive(Debug, Deserialize)]
pub(super) struct AskedLogs {
    lines: Option<usize>,
}

/// `GET /api/v1/nodes/{id}/logs?lines=`: with the admin token, as nobody knows what a node writes there.
pub(super) async fn node_logs(
    State(api): Api,
    Path(id): Path<String>,
    query: Result<Query<AskedLogs>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    api.access.check_change(&headers)?;
    let Query(AskedLogs { lines }) = query.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let lines = lines.unwrap_or(LINES);
    if !(1..=MAX_LINES).contains(&lines) {
        return Err(ApiError::bad_request(format!("lines: expected 1 to {MAX_LINES}")));
    }
    let supervisor = supervisor(&api)?;
    let node = NodeId::parse(&id).ok_or_else(|| unknown_node(&id))?;
    let lines = supervisor.logs(&node, lines).await.map_err(|refused| refusal(&refused))?;
    Ok(Json(json!({ "id": node, "lines": lines })).into_response())
}

labelled! {
    /// What can be ordered.
    enum Asked {
        Up = "up",
        Down = "down",
        Stop = "stop",
        Restart = "restart",
        Resume = "resume",
        Maintenance = "maintenance",
        Pruning = "pruning",
        Resize = "resize",
    }
}

/// What is posted with it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Details {
    /// Who asks.
    #[serde(default)]
    by: Option<String>,
    /// Why.
    #[serde(default)]
    why: Option<String>,
    /// Of maintenance and pruning: how long at most, in seconds; 0 ends it.
    #[serde(default)]
    for_secs: Option<u64>,
    /// Of a resize, in bytes.
    #[serde(default)]
    memory_bytes: Option<u64>,
    #[serde(default)]
    swap_bytes: Option<u64>,
    #[serde(default)]
    cpus: Option<f64>,
    #[serde(default)]
    cpuset: Option<String>,
    #[serde(default)]
    pids: Option<u32>,
}

impl Details {
    fn order(&self, node: NodeId, asked: Asked) -> Result<Order, ApiError> {
        let kind = match asked {
            Asked::Up => OrderKind::Up,
            Asked::Down => OrderKind::Down,
            Asked::Stop => OrderKind::Stop,
            Asked::Restart => OrderKind::Restart,
            Asked::Resume => OrderKind::Resume,
            Asked::Maintenance => OrderKind::Maintenance(self.hold()?),
            Asked::Pruning => OrderKind::Pruning(self.hold()?),
            Asked::Resize => OrderKind::Resize(self.limits()?),
        };
        let by = who(self.by.as_deref(), "the API");
        let reason = self.why.as_deref().unwrap_or_default();
        let reason: String = reason.chars().filter(|char| !char.is_control()).take(MAX_WHY).collect();
        let reason = reason.trim().trim_end_matches('.');
        let why = if reason.is_empty() {
            format!("Ordered by {by}.")
        } else {
            format!("Ordered by {by}: {reason}.")
        };
        Ok(Order { node, kind, by: ActedBy::Operator, why })
    }

    fn hold(&self) -> Result<Option<Duration>, ApiError> {
        match self.for_secs {
            None => Ok(Some(USUAL_HOLD)),
            Some(0) => Ok(None),
            Some(secs) if Duration::from_secs(secs) <= LONGEST_HOLD => Ok(Some(Duration::from_secs(secs))),
            Some(_) => {
                Err(ApiError::bad_request(format!("for_secs: expected 0 to {}", LONGEST_HOLD.as_secs())))
            }
        }
    }

    fn limits(&self) -> Result<LimitsChange, ApiError> {
        let cpuset = match &self.cpuset {
            None => None,
            Some(text) => {
                let wrong = || ApiError::bad_request("cpuset: expected cores such as 0-3,6");
                Some(Cpuset::parse(text).ok_or_else(wrong)?)
            }
        };
        if self.cpus.is_some_and(|cpus| !(0.01..=4096.0).contains(&cpus)) {
            return Err(ApiError::bad_request("cpus: expected 0.01 to 4096"));
        }
        // Docker's own least.
        if self.memory_bytes.is_some_and(|bytes| bytes < 6 << 20) {
            return Err(ApiError::bad_request("memory_bytes: expected 6 MiB at least"));
        }
        if self.pids == Some(0) {
            return Err(ApiError::bad_request("pids: expected 1 at least"));
        }
        Ok(LimitsChange {
            memory: self.memory_bytes,
            swap: self.swap_bytes,
            cpus: self.cpus,
            cpuset,
            pids: self.pids,
        })
    }
}

/// `POST /api/v1/nodes/{id}/{up|down|stop|restart|resume|maintenance|pruning|resize}`
pub(super) async fn node_order(
    State(api): Api,
    Path((id, order)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    api.access.check_change(&headers)?;
    let asked = Asked::parse(&order).ok_or_else(|| {
        let known = Asked::ALL.map(Asked::label).join(", ");
        ApiError::new(StatusCode::NOT_FOUND, format!("unknown order: expected one of {known}"))
    })?;
    let supervisor = supervisor(&api)?;
    let node = NodeId::parse(&id).ok_or_else(|| unknown_node(&id))?;
    let details: Details = body::json(&headers, body).await?;
    let order = details.order(node.clone(), asked)?;
    match timeout(ANSWERED_WITHIN, supervisor.order(order)).await {
        Ok(Ok(done)) => {
            Ok(Json(json!({ "id": node, "done": true, "message": done.message })).into_response())
        }
        Ok(Err(refused)) => Err(refusal(&refused)),
        Err(_) => {
            let message = format!(
                "This is under way and goes on by itself; a stop may take as long as the node's grace. GET /api/v1/nodes/{node} shows how it went."
            );
            let answer = json!({ "id": node, "done": false, "message": message });
            Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
        }
    }
}

fn refusal(refused: &OrderRefused) -> ApiError {
    let status = match refused {
        OrderRefused::Unknown(_) => StatusCode::NOT_FOUND,
        OrderRefused::Busy(_) | OrderRefused::Refused(_) => StatusCode::CONFLICT,
        OrderRefused::Failed(_) => StatusCode::BAD_GATEWAY,
        OrderRefused::Away(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    ApiError::new(status, refused.to_string())
}

fn unknown_node(id: &str) -> ApiError {
    let shown: String = id.chars().take(64).collect();
    let message = format!("no node `{shown}` is configured: GET /api/v1/nodes has their ids");
    ApiError::new(StatusCode::NOT_FOUND, message)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn read(order: &str, json: Value) -> Result<Order, ApiError> {
        let details: Details = serde_json::from_value(json).unwrap();
        details.order(NodeId::parse("geth").unwrap(), Asked::parse(order).unwrap())
    }

    #[test]
    fn orders_say_who_asked_and_why() {
        for (json, why) in [
            (json!({}), "Ordered by the API."),
            (json!({"by": "anna", "why": "A new disk."}), "Ordered by anna: A new disk."),
            (json!({"by": "\nanna", "why": "a\tb"}), "Ordered by anna: ab."),
        ] {
            let order = read("restart", json).unwrap();
            assert_eq!(
                (order.kind, order.by, order.why.as_str()),
                (OrderKind::Restart, ActedBy::Operator, why)
            );
        }
    }

    #[test]
    fn maintenance_has_an_end_and_can_be_over() {
        for (json, hold) in [
            (json!({}), Some(USUAL_HOLD)),
            (json!({"for_secs": 60}), Some(Duration::from_secs(60))),
            (json!({"for_secs": 0}), None),
        ] {
            assert_eq!(read("maintenance", json).unwrap().kind, OrderKind::Maintenance(hold));
        }
        assert_eq!(read("pruning", json!({"for_secs": 604_801})).unwrap_err().status(), 400);
    }

    #[test]
    fn limits_that_cannot_be_are_refused() {
        let change =
            read("resize", json!({"memory_bytes": 8_589_934_592_u64, "cpuset": "0-3"})).unwrap().kind;
        let OrderKind::Resize(change) = change else { panic!("{change:?}") };
        assert_eq!((change.memory, change.cpuset, change.cpus), (Some(8 << 30), Cpuset::parse("0-3"), None));
        for json in [
            json!({"memory_bytes": 5}),
            json!({"cpus": 0.0}),
            json!({"cpus": -1}),
            json!({"cpuset": "x"}),
            json!({"pids": 0}),
        ] {
            assert_eq!(read("resize", json.clone()).unwrap_err().status(), 400, "{json}");
        }
        assert!(
            serde_json::from_value::<Details>(json!({"memory": "8GiB"})).is_err(),
            "said, not passed over"
        );
    }

    #[test]
    fn each_refusal_has_its_status() {
        let words = || "no".to_owned();
        for (refused, status) in [
            (OrderRefused::Unknown(words()), 404),
            (OrderRefused::Busy(words()), 409),
            (OrderRefused::Refused(words()), 409),
            (OrderRefused::Failed(words()), 502),
            (OrderRefused::Away(words()), 503),
        ] {
            assert_eq!(refusal(&refused).status(), status);
        }
    }
}
