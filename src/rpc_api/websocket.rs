//! Websockets of clients: the upgrade of an HTTP request, checked, and how many there may be.
//!
//! Once upgraded, a connection is one task ([`session`]): calls are answered as over HTTP ([`RpcFront`]), subscriptions by the gateway's hub. An idle
//! client costs a few KiB. Source: RFC 6455, section 4.2.

mod calls;
mod frames;
mod meter;
mod session;
mod shared;
mod upgrade;

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    body::Body,
    http::{HeaderValue, Request, Response, StatusCode, header::RETRY_AFTER},
};
use hyper_util::rt::TokioIo;
use metrics::{describe_gauge, gauge};
use parking_lot::Mutex;
use tokio::time::timeout;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::protocol::{Role, WebSocketConfig},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::debug;

use super::limits::BODY_TIMEOUT;
use crate::{
    gateway::{ClientId, ClientLimits, Session, subscriptions::Subscriptions},
    rpc_api::AnswerRooms,
    serve::ByteBudget,
};
use meter::{Meter, Metered, READ_BUFFER};
pub use shared::RpcFront;
use shared::Shared;
pub use upgrade::{Refusal, is_upgrade};

/// Longest time from the answer that upgrades to the upgraded connection.
const UPGRADE: Duration = Duration::from_secs(10);

/// Takes clients' websockets. Clones are of the same.
#[derive(Clone)]
pub struct Websockets(Arc<Shared>);

/// One open connection, as it is counted.
struct Place(Arc<Shared>, ClientId);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        gauge!("relaymux_rpc_websockets").decrement(1.0);
        if let Entry::Occupied(mut open) = self.0.by_client.lock().entry(self.1.clone()) {
            *open.get_mut() -= 1;
            if *open.get() == 0 {
                open.remove();
            }
        }
    }
}

/// Why there is no place.
enum Full {
    /// All are taken.
    All,
    /// The client has as many as one may have.
    Client,
}

/// Describes what is counted.
pub fn describe_metrics() {
    describe_gauge!("relaymux_rpc_websockets", "Open websockets of clients");
    gauge!("relaymux_rpc_websockets").set(0.0);
}

impl Websockets {
    /// Takes websockets until the stop, which closes them all. Their messages are charged to the same budget as bodies are.
    pub fn new(
        front: Arc<dyn RpcFront>,
        subscriptions: Subscriptions,
        limits: ClientLimits,
        bodies: ByteBudget,
        allowed_origins: Vec<String>,
        stop: CancellationToken,
    ) -> Self {
        Self(Arc::new(Shared {
            front,
            subscriptions,
            answers: AnswerRooms::new(limits.max_answer_bytes),
            limits,
            bodies,
            allowed_origins,
            open: AtomicUsize::new(0),
            by_client: Mutex::new(HashMap::new()),
            tasks: TaskTracker::new(),
            stop,
        }))
    }

    /// Waits until every connection is closed, once the stop has come.
    pub async fn ended(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// The answer to a request that asks for a websocket ([`is_upgrade`]); where it is 101, the connection is served from then on, as the one of
    /// a session that is its own. Who the client is has been checked.
    pub fn upgrade(&self, mut request: Request<Body>, session: Session) -> Response<Body> {
        let accept = match upgrade::check(&request, &self.0.allowed_origins) {
            Ok(accept) => accept,
            Err(refusal) => return refusal.into_response(),
        };
        let place = match self.place(session.client()) {
            Ok(place) => place,
            Err(full) => return full.into_response(),
        };
        let upgraded = hyper::upgrade::on(&mut request);
        let shared = Arc::clone(&self.0);
        self.0.tasks.spawn(async move {
            let _place = place;
            let stream = match timeout(UPGRADE, upgraded).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => return debug!(%error, "a websocket's connection ended before it began"),
                Err(_) => return debug!("a websocket did not begin in time"),
            };
            let meter = Meter::new(shared.bodies.clone(), BODY_TIMEOUT);
            let socket = WebSocketStream::from_raw_socket(
                Metered::new(TokioIo::new(stream), meter),
                Role::Server,
                Some(config(shared.limits.max_body_bytes)),
            );
            session::run(socket.await, &shared, session).await;
        });
        upgrade::accepted(accept)
    }

    fn place(&self, client: &ClientId) -> Result<Place, Full> {
        let shared = &self.0;
        let before = shared.open.fetch_add(1, Ordering::Relaxed);
        gauge!("relaymux_rpc_websockets").increment(1.0);
        let of_client = {
            let mut by_client = shared.by_client.lock();
            let of_client = by_client.entry(client.clone()).or_default();
            *of_client += 1;
            *of_client
        };
        // From here on it is given back, whatever is said.
        let place = Place(Arc::clone(shared), client.clone());
        if of_client > shared.limits.max_websockets_per_client {
            return Err(Full::Client);
        }
        if before >= shared.limits.max_websockets || shared.stop.is_cancelled() {
            return Err(Full::All);
        }
        Ok(place)
    }
}

impl Full {
    fn into_response(self) -> Response<Body> {
        let (status, message) = match self {
            Self::All => {
                let message =
                    "as many websockets are open as may be: close some, or raise [rpc] max_websockets";
                (StatusCode::SERVICE_UNAVAILABLE, message)
            }
            Self::Client => {
                let message = "this client has as many websockets open as one may have: close some, or raise [rpc] max_websockets_per_client";
                (StatusCode::TOO_MANY_REQUESTS, message)
            }
        };
        let mut response = upgrade::text(status, message);
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
        response
    }
}

/// Small buffers, as most connections are idle.
fn config(max_message: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_message_size(Some(max_message))
        .max_frame_size(Some(max_message))
}

#[cfg(test)]
mod tests;
