//! The JSON-RPC gateway: made of `[rpc]`, on threads of its own.

use std::{fmt, net::SocketAddr, sync::Arc};

use alloy_primitives::hex;
use serde_json::json;
use tokio::{sync::watch, time::Instant};
use url::Url;

use super::rpc_pressure::watch_pressure;
use crate::{
    config::Config,
    consensus::WallClock,
    events::AnswerMeter,
    gateway::{Board, NodeError, RawJson, RpcAnswer, RpcCall, RpcSettings, Session, Standing, UpstreamState},
    ops_api::RpcView,
    rpc_api::{self, AnsweredBy, Answering, OwnRuntime, Pressure, Reply, Rpc, RpcApiParts},
    serve::{Handover, Listener},
    sla::{Indicator, NodeName},
    tasks::TaskGroup,
    types::Secret,
};

/// What the gateway is started with.
pub(super) struct GatewayStart {
    pub(super) settings: RpcSettings,
    pub(super) listener: Listener,
    /// Where requests of bundles go, where they have no listener of their own.
    pub(super) bundles: Option<Handover>,
    /// The token of our own watchers.
    pub(super) own_token: Option<Secret>,
    pub(super) clock: WallClock,
}

/// A gateway that runs. Its threads end when this is dropped.
pub(super) struct RunningGateway {
    /// What `/api/v1/rpc` shows.
    pub(super) view: RpcView,
    /// Where its answers and its upstreams' are counted.
    pub(super) meters: Vec<(Indicator, AnswerMeter)>,
    _runtime: OwnRuntime,
}

impl fmt::Debug for RunningGateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningGateway").finish_non_exhaustive()
    }
}

/// Starts everything of the gateway.
///
/// # Errors
/// When the system has no threads for it.
pub(super) fn start_gateway(parts: GatewayStart, group: &TaskGroup) -> std::io::Result<RunningGateway> {
    let GatewayStart { settings, listener, bundles, own_token, clock } = parts;
    let runtime = OwnRuntime::start()?;
    // What is started from here on runs on the gateway's threads.
    let entered = runtime.handle().map(tokio::runtime::Handle::enter);
    let (board, _observed) = Board::new(standings(&settings, &clock));
    let answers = AnswerMeter::default();
    let mut meters = vec![(Indicator::Gateway, answers.clone())];
    meters.extend(settings.upstreams.iter().filter_map(|upstream| {
        Some((Indicator::Node(NodeName::parse(upstream.id.as_str())?), AnswerMeter::default()))
    }));
    let (pressed, pressure) = watch::channel(Pressure::None);
    group.restarting("rpc_pressure", move |stop| watch_pressure(pressed.clone(), stop));
    let shown = board.clone();
    let api = RpcApiParts {
        settings,
        rpc: Arc::new(Unconnected),
        board,
        pressure,
        answers,
        own_token,
        bundles,
        websockets: None,
    };
    rpc_api::start(api, listener, group);
    drop(entered);
    let view = RpcView::new(move || json!({ "upstreams": shown.snapshot().upstreams }));
    Ok(RunningGateway { view, meters, _runtime: runtime })
}

/// Upstreams before anything is known of them.
fn standings(settings: &RpcSettings, clock: &WallClock) -> Vec<Standing> {
    let of = |upstream: &crate::gateway::UpstreamSettings| Standing {
        id: upstream.id.clone(),
        tier: upstream.tier,
        state: UpstreamState::Unknown,
        reason: "it has not shown a head yet".to_owned(),
        since: clock.now(),
        head: None,
        finalized: None,
        lag: None,
        earliest: None,
        version: None,
    };
    settings.upstreams.iter().map(of).collect()
}

/// A token for our own watchers, where they read the chain through the gateway: clients' tokens and limits are not for them.
pub(super) fn own_token(config: &Config) -> Option<Secret> {
    config.execution_by_gateway.then(|| Secret(hex::encode(rand::random::<[u8; 32]>())))
}

/// Where our own watchers reach the gateway, by the address that it got.
pub(super) fn own_url(listen: SocketAddr, token: &Secret) -> Option<Url> {
    let mut url = crate::config::gateway_url(listen)?;
    url.set_username("relaymux").ok()?;
    url.set_password(Some(&token.0)).ok()?;
    Some(url)
}

/// Answers as long as there is no gateway behind the server.
struct Unconnected;

impl Unconnected {
    fn reply() -> Reply {
        let message = "no upstream can answer now: see GET /api/v1/rpc of the ops API";
        let raw = RawJson::from_value(&json!({ "code": -32603, "message": message }));
        let error = NodeError { code: -32603, message: message.into(), raw };
        Reply { answer: RpcAnswer::Error(error), by: AnsweredBy::Gateway }
    }
}

impl Rpc for Unconnected {
    fn call<'a>(&'a self, _: RpcCall, _: &'a Session, _: Instant) -> Answering<'a, Reply> {
        Box::pin(std::future::ready(Self::reply()))
    }

    fn call_batch<'a>(
        &'a self,
        calls: Vec<RpcCall>,
        _: &'a Session,
        _: Instant,
    ) -> Answering<'a, Vec<Reply>> {
        Box::pin(std::future::ready(calls.iter().map(|_| Self::reply()).collect()))
    }
}
