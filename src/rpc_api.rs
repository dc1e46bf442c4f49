//! The HTTP server of the JSON-RPC gateway, at a node's usual port and with geth's habits.
//!
//! In: whatever wallets, programs and attackers send. Out: what JSON-RPC 2.0 says, to the letter. It bounds bodies, batches, nesting and
//! what one client asks, turns the lower classes away first when there is too much, and puts answers together of the very bytes that upstreams
//! sent. What is answered, the gateway decides; it knows no upstream. Bundles that have no listener of their own come in here, too, and are
//! handed on as they came.
//!
//! Everything of the gateway runs on threads of its own (`runtime`), as many as there are cores, at a lower priority: a thousand reads a second
//! may take what the machine has to spare, and a header request, which runs on the service's own threads, goes first whenever both want a
//! core. On the same runtime a header would wait behind whatever calls are queued there, and no priority could help it.
//!
//! Chosen where JSON-RPC leaves a choice: errors have the HTTP status 200, as geth's; 429 and 503 are for requests of which nothing was asked.
//! A request without an answer (notifications) is 204. `jsonrpc` must be "2.0". Names that stand twice in a call are refused.

mod access;
mod answer_room;
mod batch;
mod bundles;
mod calls;
mod class;
mod cors;
mod grading;
mod handlers;
mod limits;
mod metrics;
mod parts;
mod rpc;
mod runtime;
mod sessions;
mod shed;
mod text;
pub mod websocket;

pub use class::Class;
pub use metrics::describe_metrics;
pub use parts::RpcApiParts;
pub use rpc::{Answering, Rpc};
pub use runtime::OwnRuntime;
pub use shed::Pressure;

use std::{sync::Arc, time::Duration};

use axum::Router;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    events::AnswerMeter,
    gateway::{RpcSettings, Session},
    jsonrpc::{FramingLimits, RpcError, read_strictly},
    serve::{ByteBudget, Listener},
    tasks::TaskGroup,
};

use access::{Access, Caller};
pub use answer_room::{AnswerRoom, AnswerRooms};
use bundles::BundleDoor;
use calls::{Calls, Said, Way};
use cors::Cors;
use grading::Grading;
use handlers::Shared;
use limits::Limits;
use shed::Places;
use websocket::{RpcFront, Websockets};

/// Deepest nesting of a body. A call with state overrides or a tracer's settings has ten levels.
const DEPTH: usize = 64;
/// Bytes of bodies that are held at once, whoever sends them; and never less than room for four of the largest.
const BODIES: usize = 64 << 20;
/// Longest wait at a stop for requests in flight.
const DRAIN: Duration = Duration::from_secs(5);

/// Serves until the group stops.
pub fn start(parts: RpcApiParts, listener: Listener, group: &TaskGroup) {
    let mut pressure = parts.pressure.clone();
    group.optional("rpc_api", |stop| async move {
        let (router, websockets) = router(parts, stop.clone());
        let shown = show_pressure(&mut pressure, stop.clone());
        tokio::join!(listener.serve(router, stop, DRAIN), shown);
        if let Some(websockets) = websockets {
            // Each has a close frame to send, and ends by itself.
            let _ = timeout(DRAIN, websockets.ended()).await;
        }
    });
}

async fn show_pressure(pressure: &mut watch::Receiver<Pressure>, stop: CancellationToken) {
    loop {
        metrics::show_pressure(*pressure.borrow_and_update());
        tokio::select! {
            changed = pressure.changed() => if changed.is_err() { return },
            () = stop.cancelled() => return,
        }
    }
}

fn calls(
    settings: &RpcSettings,
    rpc: Arc<dyn Rpc>,
    pressure: watch::Receiver<Pressure>,
    answers: AnswerMeter,
) -> Calls {
    let limits = &settings.limits;
    Calls {
        rpc,
        limits: Arc::new(Limits::new(limits)),
        methods: Arc::new(settings.methods.clone()),
        places: Places::new(limits.max_in_flight),
        pressure,
        grading: Grading { meter: answers, deadline: settings.deadline },
        deadline: settings.deadline,
        max_answer: limits.max_answer_bytes,
    }
}

/// The routes, and whoever takes websockets until the stop.
fn router(parts: RpcApiParts, stop: CancellationToken) -> (Router, Option<Websockets>) {
    let RpcApiParts { settings, rpc, board, pressure, answers, own_token, bundles, hop, subscriptions } =
        parts;
    let limits = &settings.limits;
    let calls = calls(&settings, rpc, pressure, answers);
    let framing = FramingLimits { batch: limits.max_batch, depth: DEPTH };
    let bodies = ByteBudget::new(BODIES.max(limits.max_body_bytes.saturating_mul(4)));
    let websockets = subscriptions.map(|subscriptions| {
        let front = Arc::new(Front { calls: calls.clone(), framing });
        let (limits, origins) = (limits.clone(), settings.allowed_origins.clone());
        Websockets::new(front, subscriptions, limits, bodies.clone(), origins, stop)
    });
    let router = handlers::router(Shared {
        calls,
        access: Arc::new(Access::new(&settings.tokens, own_token)),
        cors: Cors::new(&settings.allowed_origins),
        framing,
        max_body: limits.max_body_bytes,
        bodies,
        board,
        bundles: bundles.map(BundleDoor),
        hop,
        websockets: websockets.clone(),
    });
    (router, websockets)
}

/// Answers the messages of websockets as requests over HTTP are answered.
struct Front {
    calls: Calls,
    framing: FramingLimits,
}

impl Front {
    /// The service's own watchers come by HTTP.
    fn caller(session: &Session) -> Caller {
        Caller { client: session.client().clone(), is_own: false }
    }
}

impl RpcFront for Front {
    fn answer<'a>(
        &'a self,
        body: Bytes,
        session: &'a Session,
        room: &'a AnswerRoom,
    ) -> BoxFuture<'a, Option<Bytes>> {
        Box::pin(async move {
            let caller = Self::caller(session);
            let said = match read_strictly(&body, self.framing) {
                Ok(incoming) => {
                    self.calls.serve(incoming, &body, &caller, session, Way::Websocket(room)).await
                }
                Err(error) => {
                    metrics::note_refused(metrics::Refused::Framing);
                    match self.calls.charge(&caller, 1) {
                        Ok(()) => Said::error(&error),
                        Err(wait) => Said::limited(wait),
                    }
                }
            };
            said.into_bytes()
        })
    }

    fn admit(&self, method: &str, session: &Session) -> Result<(), RpcError> {
        self.calls.admit(method, &Self::caller(session))
    }
}

#[cfg(test)]
mod tests;
