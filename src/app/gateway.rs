//! The JSON-RPC gateway: made of `[rpc]`, on threads of its own.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use alloy_primitives::hex;
use futures_util::future::BoxFuture;
use http::HeaderValue;
use tokio::{
    sync::{Mutex, watch},
    time::Instant,
};
use url::Url;

use super::{
    rpc_pressure::{Lateness, measure_lateness, watch_pressure},
    start_error::StartError,
};
use crate::{
    config::Config,
    consensus::WallClock,
    events::{AnswerMeter, NodeStates, Spine},
    gateway::{
        ClientId, Gateway, GatewayParts, HOP, HealthRules, MeteredUpstream, ProbeParts, Probed, RawJson,
        RpcAnswer, RpcCall, RpcSettings, Served, ServedBy, Session, UpstreamId, new_board, start_probes,
        subscriptions::{Backfill, Dialers, Fetched, NotFetched, SubscriptionParts, start_subscriptions},
    },
    http_client::{Dialer, HttpClients, TlsRoots, is_here},
    ledger::SignalBook,
    ops_api::RpcView,
    rpc_api::{self, OwnRuntime, Pressure, RpcApiParts},
    serve::{Handover, Listener},
    sla::Indicator,
    tasks::TaskGroup,
    types::{NodeId, Secret},
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
    /// Carries each change of an upstream's state.
    pub(super) spine: Spine,
    /// Where what lasts is raised.
    pub(super) signals: SignalBook,
    /// How nodes under supervision are; none: there are none.
    pub(super) nodes: Option<watch::Receiver<NodeStates>>,
    /// `[tls]`
    pub(super) tls_roots: TlsRoots,
    /// `[tls] proxy`
    pub(super) proxy: Option<String>,
}

/// A gateway that runs. Its threads end when this is dropped.
pub(super) struct RunningGateway {
    /// What `/api/v1/rpc` shows.
    pub(super) view: RpcView,
    /// Where its answers and its upstreams' are counted.
    pub(super) meters: Vec<(Indicator, AnswerMeter)>,
    gateway: Arc<Gateway>,
    _runtime: OwnRuntime,
}

impl RunningGateway {
    /// Waits for transactions that are still being sent although their clients have their answers. Each ends by its deadline.
    pub(super) async fn drained(&self) {
        self.gateway.drained().await;
    }
}

impl fmt::Debug for RunningGateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningGateway").finish_non_exhaustive()
    }
}

/// Starts everything of the gateway.
///
/// # Errors
/// When the system has no threads for it, or TLS cannot be set up.
pub(super) fn start_gateway(parts: GatewayStart, group: &TaskGroup) -> Result<RunningGateway, StartError> {
    let GatewayStart {
        settings,
        listener,
        bundles,
        own_token,
        clock,
        spine,
        signals,
        nodes,
        tls_roots,
        proxy,
    } = parts;
    let (settings, hop) = marked(settings);
    let pools = 1 + OwnRuntime::callers();
    let through_proxy = HttpClients::build_pools(&tls_roots, proxy.as_deref(), pools)?;
    // An own node on this machine is reached without going through anybody else's.
    let straight = HttpClients::build_pools(&tls_roots, None, pools)?;
    let dial = Dialers {
        straight: Dialer::build(&tls_roots, None)?,
        away: Dialer::build(&tls_roots, proxy.as_deref())?,
    };
    let lateness = Lateness::default();
    group.restarting("rpc_lateness", {
        let lateness = lateness.clone();
        move |stop| measure_lateness(lateness.clone(), stop)
    });
    let runtime = OwnRuntime::start().map_err(StartError::Thread)?;
    // What is started from here on runs on the gateway's threads.
    let entered = runtime.handle().map(tokio::runtime::Handle::enter);
    let (board, observed) = new_board(&settings, clock.now());
    let answers = AnswerMeter::default();
    let mut meters = vec![(Indicator::Gateway, answers.clone())];
    let mut upstreams = Vec::new();
    for upstream in &settings.upstreams {
        let meter = AnswerMeter::default();
        if let Some(name) = NodeId::parse(upstream.id.as_str()) {
            meters.push((Indicator::Node(name), meter.clone()));
        }
        let clients = if is_here(&upstream.url) { &straight } else { &through_proxy };
        let limit = settings.limits.max_answer_bytes;
        upstreams.push(Arc::new(MeteredUpstream::new(upstream, clients, limit, meter, clock.clone())));
    }
    let probed = settings.upstreams.iter().zip(&upstreams).map(|(settings, upstream)| Probed {
        settings: settings.clone(),
        ask: Arc::clone(upstream) as _,
        budget: Arc::clone(upstream.budget()),
    });
    let probes = ProbeParts {
        upstreams: probed.collect(),
        rules: HealthRules::of(&settings),
        board: board.clone(),
        observed: Arc::new(Mutex::new(observed)),
        spine,
        signals,
        nodes,
        clock: clock.clone(),
    };
    start_probes(probes, group);
    let gateway = Gateway::new(GatewayParts {
        settings: settings.clone(),
        upstreams: upstreams.into_iter().map(|upstream| upstream as _).collect(),
        board: board.clone(),
        clock: clock.clone(),
    });
    let backfill = Arc::new(Through { gateway: Arc::clone(&gateway), deadline: settings.deadline });
    let subscriptions = start_subscriptions(
        SubscriptionParts::new(&settings, board.clone(), backfill, Arc::new(dial), clock),
        group,
    );
    let (pressed, pressure) = watch::channel(Pressure::None);
    group.restarting("rpc_pressure", move |stop| watch_pressure(pressed.clone(), lateness.clone(), stop));
    let api = RpcApiParts {
        settings,
        rpc: Arc::clone(&gateway) as _,
        board,
        pressure,
        answers,
        own_token,
        bundles,
        hop,
        subscriptions: Some(subscriptions),
    };
    rpc_api::start(api, listener.spread_over(runtime.for_connections()), group);
    drop(entered);
    let shown = Arc::clone(&gateway);
    let view = RpcView::new(move || shown.view());
    Ok(RunningGateway { view, meters, gateway, _runtime: runtime })
}

/// Has upstreams sent a mark of this process, so that a call which comes back by whatever way is known.
fn marked(mut settings: RpcSettings) -> (RpcSettings, Option<HeaderValue>) {
    let hop = HeaderValue::from_str(&hex::encode(rand::random::<[u8; 16]>())).ok();
    for upstream in &mut settings.upstreams {
        upstream.headers.extend(hop.clone().map(|hop| (HOP, hop)));
    }
    (settings, hop)
}

/// Blocks and logs for subscriptions, by way of the gateway. Each call is a session's of its own: what one was told binds no other.
struct Through {
    gateway: Arc<Gateway>,
    deadline: Duration,
}

impl Backfill for Through {
    fn call(&self, call: RpcCall) -> BoxFuture<'_, Result<RawJson, String>> {
        Box::pin(async move {
            let session = Session::new(ClientId::Own);
            let served = self.gateway.call(call, &session, Instant::now() + self.deadline).await;
            match served.answer {
                RpcAnswer::Result(result) => Ok(result),
                RpcAnswer::Error(error) => Err(error.message.into()),
            }
        })
    }

    fn call_avoiding(
        &self,
        call: RpcCall,
        avoid: Vec<UpstreamId>,
    ) -> BoxFuture<'_, Result<Fetched, NotFetched>> {
        Box::pin(async move {
            let session = Session::new(ClientId::Own);
            let deadline = Instant::now() + self.deadline;
            let fresh = self.gateway.call_fresh(call, &session, deadline, &avoid).await;
            match fresh.ok_or(NotFetched::NobodyElse)? {
                Served { answer: RpcAnswer::Result(result), by: ServedBy::Upstream(by) } => {
                    Ok(Fetched { result, by })
                }
                Served { answer: RpcAnswer::Error(error), .. } => {
                    Err(NotFetched::Failed(error.message.into()))
                }
                Served { .. } => Err(NotFetched::Failed("no upstream answered".to_owned())),
            }
        })
    }
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
