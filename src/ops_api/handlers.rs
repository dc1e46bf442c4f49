//! The endpoints.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{
        Path, Query, Request, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::{HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
    routing::{delete, get, post},
};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::{
    access::{ACKNOWLEDGE, ACKNOWLEDGE_PAGE, PROBES, Reader},
    acknowledge::{acknowledge_incident, acknowledge_page},
    admin::{operator_command, rotate},
    alerts::{acknowledge_one, alerts_list, alerts_page, notifications, take_foreign},
    backups::backups_view,
    bundles::{bundle_one, bundles_list},
    digest::digest,
    disk::{disk_clean, disk_history, disk_plan, disk_view, resources},
    drill::{drill_end, drill_follow, drill_start},
    events::stream_events,
    maintenance::{task_one, task_run, tasks_list},
    nodes::{node_logs, node_one, node_order, nodes_list},
    profit::{profit_page, profit_report, profit_slots},
    rpc::rpc_view,
    silences::{silence_end, silence_new, silences_list},
    sla::{gas, readiness, sla_report},
    state::{Api, OpsParts, Shared, database_error, unknown_relay},
    views::{Check, Health, RelayView},
};
use crate::{
    events::{Condition, Effect},
    serve::{ApiError, unknown_route, wrong_method},
    types::Slot,
};

/// Statistics of relays look back this far: a week, in milliseconds.
const STATS_WINDOW_MS: i64 = 7 * 24 * 3600 * 1000;
/// Slots in a list when no limit is given.
const DEFAULT_SLOTS: u32 = 50;
/// Changes of mode shown of one relay.
const PLACES_SHOWN: u32 = 100;
/// Most slots in a list.
const MAX_SLOTS: u32 = 500;

/// The routes.
pub(super) fn router(parts: OpsParts, stop: CancellationToken) -> Router {
    let shared = Arc::new(Shared::new(parts, stop));
    Router::new()
        .route("/", get(dashboard))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(render_metrics))
        .route("/api/v1/relays", get(relays_list))
        .route("/api/v1/relays/rotate", post(rotate))
        .route("/api/v1/relays/{id}", get(relay_one))
        .route("/api/v1/relays/{id}/{command}", post(operator_command))
        .route("/api/v1/slots", get(slots_list))
        .route("/api/v1/slots/{slot}", get(slot_one))
        .route("/profit", get(profit_page))
        .route("/api/v1/profit", get(profit_report))
        .route("/api/v1/profit/slots", get(profit_slots))
        .route("/api/v1/bundles", get(bundles_list))
        .route("/api/v1/bundles/{hash}", get(bundle_one))
        .route("/api/v1/rpc", get(rpc_view))
        .route("/api/v1/nodes", get(nodes_list))
        .route("/api/v1/nodes/{id}", get(node_one))
        .route("/api/v1/nodes/{id}/logs", get(node_logs))
        .route("/api/v1/nodes/{id}/{order}", post(node_order))
        .route("/api/v1/maintenance", get(tasks_list))
        .route("/api/v1/maintenance/{task}", get(task_one))
        .route("/api/v1/maintenance/{task}/run", post(task_run))
        .route("/api/v1/disk", get(disk_view))
        .route("/api/v1/disk/history", get(disk_history))
        .route("/api/v1/disk/plan", get(disk_plan))
        .route("/api/v1/disk/clean", post(disk_clean))
        .route("/api/v1/resources", get(resources))
        .route("/api/v1/backups", get(backups_view))
        .route("/api/v1/events", get(stream_events))
        .merge(alert_routes())
        .route("/api/v1/sla", get(sla_report))
        .route("/api/v1/readiness", get(readiness))
        .route("/api/v1/gas", get(gas))
        .route("/api/v1/digest", get(digest))
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), admit))
        .with_state(shared)
}

fn alert_routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/alerts", get(alerts_page))
        .route(ACKNOWLEDGE_PAGE, get(acknowledge_page))
        .route(ACKNOWLEDGE, post(acknowledge_incident))
        .route("/api/v1/alerts", get(alerts_list))
        .route("/api/v1/alerts/hook", post(take_foreign))
        .route("/api/v1/alerts/drill", post(drill_start))
        .route("/api/v1/alerts/drill/{id}", post(drill_follow).delete(drill_end))
        .route("/api/v1/alerts/notifications", get(notifications))
        .route("/api/v1/alerts/silences", get(silences_list).post(silence_new))
        .route("/api/v1/alerts/silences/{id}", delete(silence_end))
        .route("/api/v1/alerts/{id}/ack", post(acknowledge_one))
}

async fn admit(State(api): Api, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let reader = api.access.check_read(path, request.headers());
    // Whoever has a token is not kept out by those who have none. And a wild script must not make an orchestrator believe that the process
    // is dead.
    let limiter = match reader {
        _ if PROBES.contains(&path) => None,
        Ok(Reader::Known) => api.known_limiter.as_ref(),
        Ok(Reader::Anybody) | Err(_) => api.limiter.as_ref(),
    };
    if limiter.is_some_and(|limiter| limiter.check().is_err()) {
        return ApiError::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too many requests: see ops.max_requests_per_second",
        )
        .into_response();
    }
    if let Err(refused) = reader {
        return *refused;
    }
    if !PROBES.contains(&path) {
        api.auction.stand_back().await;
    }
    let mut response = next.run(request).await;
    // The page is self-contained; whatever a relay's words contain, a browser must load and run nothing else.
    let policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; \
                  img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn dashboard() -> Html<&'static str> {
    Html(include_str!("dashboard.html"))
}

/// `vital` decides the status; everything else is told and costs nobody their slot.
async fn health(api: &Shared, vital: Vec<Check>, mut others: Vec<Check>) -> Response {
    others.push(ledger_check(api).await);
    for (name, message) in api.degraded.list() {
        match others.iter_mut().find(|check| check.name == name) {
            Some(known) => {
                *known = Check { name, ok: false, message: format!("{message}; {}", known.message) }
            }
            None => others.push(Check { name, ok: false, message }),
        }
    }
    let health = Health::of(vital, others);
    let status = if health.ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(health)).into_response()
}

async fn ledger_check(api: &Shared) -> Check {
    let ok = api.ledger.is_well().await;
    let state = api.ledger.write_state();
    let writes = state.describe(api.clock.now());
    let answers = if ok { "answers" } else { "does not answer: check the disk of data_dir" };
    Check { name: "ledger", ok: ok && state.failing_since.is_none(), message: format!("{answers}; {writes}") }
}

/// Whether the process works. A disk that does not is told and no reason to end the process: it would not work after a restart either.
async fn healthz(State(api): Api) -> Response {
    let lost = api.spine.lost();
    let message = format!("{lost} events lost by slow watchers");
    health(&api, vec![Check { name: "events", ok: true, message }], Vec::new()).await
}

/// Whether it can serve a proposer: the process works and some relay may be usable.
async fn readyz(State(api): Api) -> Response {
    let ok = api.relays.has_usable();
    let active = api.relays.active();
    let down =
        active.iter().filter(|r| api.relays.condition(r.id()).is_some_and(|state| !state.usable)).count();
    let message = format!("{} active, {down} of them known to be down", active.len());
    let is_stopping = api.stopping.is_cancelled();
    let serving = if is_stopping { "stopping: gives no new headers" } else { "serves" };
    let service = Check { name: "service", ok: !is_stopping, message: serving.to_owned() };
    let mut vital = vec![Check { name: "relays", ok, message }, service];
    let conditions = api.conditions.all().into_iter();
    let (others, of_readiness): (Vec<_>, Vec<_>) =
        conditions.partition(|(_, found)| found.effect == Effect::Degraded);
    let check = |(name, found): (&'static str, Condition)| Check {
        name,
        ok: found.effect == Effect::None,
        message: found.message,
    };
    vital.extend(of_readiness.into_iter().map(check));
    health(&api, vital, others.into_iter().map(check).collect()).await
}

async fn render_metrics(State(api): Api) -> Response {
    let content_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, content_type)], api.metrics.render()).into_response()
}

async fn relays_list(State(api): Api) -> Result<Response, ApiError> {
    let since = api.clock.now().saturating_sub(STATS_WINDOW_MS);
    let mut stats = api.ledger.relay_stats(since, i64::MAX).await.map_err(|e| database_error(&e))?;
    let now = api.clock.now();
    let views: Vec<RelayView> = api
        .relays
        .all()
        .iter()
        .map(|relay| {
            RelayView::new(relay, &api.relays, stats.remove(relay.id().as_str()).unwrap_or_default(), now)
        })
        .collect();
    Ok(([("x-relaymux-network", api.network.clone())], Json(views)).into_response())
}

/// One relay, with its last changes of mode.
async fn relay_one(State(api): Api, Path(id): Path<String>) -> Result<Response, ApiError> {
    let all = api.relays.all();
    let Some(relay) = all.iter().find(|relay| relay.id().as_str() == id) else {
        return Err(unknown_relay(&id));
    };
    let since = api.clock.now().saturating_sub(STATS_WINDOW_MS);
    let mut stats = api.ledger.relay_stats(since, i64::MAX).await.map_err(|e| database_error(&e))?;
    let history = api.ledger.mode_history(&id, PLACES_SHOWN).await.map_err(|e| database_error(&e))?;
    let stats = stats.remove(&id).unwrap_or_default();
    let view = RelayView::new(relay, &api.relays, stats, api.clock.now());
    Ok(Json(view.with_history(history)).into_response())
}

#[derive(Debug, Deserialize)]
struct Limit {
    limit: Option<u32>,
}

async fn slots_list(
    State(api): Api,
    query: Result<Query<Limit>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(Limit { limit }) = query.map_err(|e| ApiError::bad_request(e.body_text()))?;
    let limit = limit.unwrap_or(DEFAULT_SLOTS);
    if !(1..=MAX_SLOTS).contains(&limit) {
        return Err(ApiError::bad_request(format!("limit: expected 1 to {MAX_SLOTS}")));
    }
    let slots = api.ledger.slots(limit).await.map_err(|e| database_error(&e))?;
    Ok(Json(slots).into_response())
}

async fn slot_one(State(api): Api, path: Result<Path<u64>, PathRejection>) -> Result<Response, ApiError> {
    let Path(slot) = path.map_err(|e| ApiError::bad_request(e.body_text()))?;
    match api.ledger.slot(Slot::new(slot)).await.map_err(|e| database_error(&e))? {
        Some(view) => Ok(Json(view).into_response()),
        None => {
            let trimmed = api.ledger.trimmed_of(Slot::new(slot)).await.map_err(|e| database_error(&e))?;
            let why = if trimmed.is_empty() {
                ""
            } else {
                ", or it is gone for its age ([ledger] says what is kept)"
            };
            Err(ApiError::new(StatusCode::NOT_FOUND, format!("nothing happened in slot {slot} here{why}")))
        }
    }
}
