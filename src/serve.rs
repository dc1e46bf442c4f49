//! HTTP/1 listeners with limits from the first byte: how many connections, how long for headers, how large they may be, by which names
//! they are called; and a stop that lets requests in flight finish.
//!
//! All servers (for the consensus client, for people, for searchers) stand on this. It knows no route of theirs.

mod body;
mod connection_slot;
mod connections;
mod gate;
mod handed;
mod line_limit;
mod phase;
mod spread;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Body,
    extract::{ConnectInfo, Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    runtime::Handle,
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;
use tracing::{debug, warn};

pub use body::{ByteBudget, ByteShare, read_body};
pub use connection_slot::ConnectionSlot;
pub use gate::{GateRefusal, HostGate};
pub use handed::{Door, HandedRequests, Handover, handover};

use connections::{Connections, Place};
use line_limit::LineLimit;
use phase::{Limits, Overdue, Phase, PhaseTeller, PhaseWatch, WatchedStream, overdue, until_given_away};
use spread::{Spread, moved_here};

/// Most bytes of header names and values in a request. mev-boost's limit; no consensus client comes near.
const MAX_HEADER_BYTES: usize = 4000;
/// hyper's own buffer for a request head: beyond it the answer is a bare 431.
const MAX_HEAD_BUFFER: usize = 64 << 10;
/// Connections: 4096 are arbitrary, a load test of 500 and a few scrapers fit many times.
const LIMITS: Limits = Limits {
    head: Duration::from_secs(10),
    waiting: Duration::from_secs(120),
    stalled: Duration::from_secs(30),
    connections: 4096,
};

/// Connections that wait to be accepted: what the standard library takes, too.
const BACKLOG: u32 = 1024;

/// Why a listener could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for the {api} API: {error}")]
pub struct ListenError {
    api: &'static str,
    address: SocketAddr,
    error: std::io::Error,
}

impl ListenError {
    /// Which API it was for.
    pub fn api(&self) -> &'static str {
        self.api
    }
}

/// An address that is ours, where nobody is served yet: whoever connects is refused at once, and need not wait for an answer in vain.
#[derive(Debug)]
pub struct ReservedPort {
    api: &'static str,
    socket: TcpSocket,
    address: SocketAddr,
}

/// A bound listener.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    address: SocketAddr,
    limits: Limits,
    gate: Option<Arc<Gatekeeper>>,
    spread: Spread,
}

/// A gate, and how often it is said whom it refused.
#[derive(Debug)]
struct Gatekeeper {
    gate: HostGate,
    lines: LineLimit,
}

/// The message of an error, kept beside its answer for whoever counts what is refused.
#[derive(Clone, Debug)]
struct ErrorMessage(String);

/// What an answer says is wrong; none where it is no error of ours.
pub fn error_message(response: &Response) -> Option<&str> {
    response.extensions().get::<ErrorMessage>().map(|error| error.0.as_str())
}

/// The error shape of the Beacon and Builder APIs: `{"code": 400, "message": "…"}` with the same HTTP status.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    message: String,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    code: u16,
    message: &'a str,
}

impl ApiError {
    /// An error of a status, in words.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// The HTTP status that it is answered with.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// An error of the caller's, answered with 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorBody { code: self.status.as_u16(), message: &self.message };
        let mut response = (self.status, Json(body)).into_response();
        response.extensions_mut().insert(ErrorMessage(self.message));
        response
    }
}

/// The answer to a route that is not there, in the API's error shape.
pub async fn unknown_route(request: Request) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, format!("there is no {}", shown_path(&request)))
}

/// The answer to a method that a route does not take, in the API's error shape.
pub async fn wrong_method(request: Request) -> ApiError {
    let message = format!("{} does not take {}", shown_path(&request), request.method());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, message)
}

fn shown_path(request: &Request) -> String {
    request.uri().path().chars().take(120).collect()
}

impl ReservedPort {
    /// Takes an address; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address is taken or not ours.
    pub fn take(api: &'static str, address: SocketAddr) -> Result<Self, ListenError> {
        let fail = |error| ListenError { api, address, error };
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        };
        let socket = socket.map_err(fail)?;
        // As for any server: an address whose last connections still fade away is free.
        socket.set_reuseaddr(true).map_err(fail)?;
        socket.bind(address).map_err(fail)?;
        let address = socket.local_addr().map_err(fail)?;
        Ok(Self { api, socket, address })
    }

    /// Connections are taken from now on.
    ///
    /// # Errors
    /// When somebody else listens there after all.
    pub fn listen(self) -> Result<Listener, ListenError> {
        let Self { api, socket, address } = self;
        let tcp = socket.listen(BACKLOG).map_err(|error| ListenError { api, address, error })?;
        Ok(Listener { tcp, address, limits: LIMITS, gate: None, spread: Spread::default() })
    }
}

impl Listener {
    /// Listens at an address; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address is taken or not ours.
    pub fn bind(api: &'static str, address: SocketAddr) -> Result<Self, ListenError> {
        ReservedPort::take(api, address)?.listen()
    }

    /// Takes only what a gate lets in.
    #[must_use]
    pub fn behind(self, gate: HostGate) -> Self {
        Self { gate: Some(Arc::new(Gatekeeper { gate, lines: LineLimit::default() })), ..self }
    }

    /// Has connections served by these runtimes, each by one of them, instead of the one that listens.
    #[must_use]
    pub fn spread_over(self, runtimes: Vec<Handle>) -> Self {
        Self { spread: Spread::over(runtimes), ..self }
    }

    /// The address that was bound: with port 0 in the configuration, the free one that it got.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A router behind this listener's gate and limits: a layer around it sees what they refuse, too.
    pub fn guard(&self, router: Router) -> Router {
        let router = match &self.gate {
            Some(gate) => router.layer(middleware::from_fn_with_state(Arc::clone(gate), check_names)),
            None => router,
        };
        router.layer(middleware::from_fn(limit_headers))
    }

    /// Serves until `stop`, then lets requests in flight finish for at most `drain`.
    pub async fn serve(self, router: Router, stop: CancellationToken, drain: Duration) {
        let router = self.guard(router);
        self.serve_guarded(router, stop, move || drain).await;
    }

    /// The same for a router that is behind [`Listener::guard`]; how long the drain may take is asked once it begins.
    pub async fn serve_guarded(
        self,
        router: Router,
        stop: CancellationToken,
        drain: impl FnOnce() -> Duration + Send,
    ) {
        let Self { tcp, limits, spread, .. } = self;
        let router = router.with_state(());
        let tasks = TaskTracker::new();
        let connections = Arc::new(Connections::default());
        let crowded = LineLimit::default();
        loop {
            let accepted = tokio::select! {
                accepted = tcp.accept() => accepted,
                () = stop.cancelled() => break,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, usually: somebody who only waits has one to spare.
                    let made_room = connections.make_room();
                    warn!(%error, made_room, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let (teller, phases) = PhaseTeller::new();
            let Some(place) = connections.admit(phases.clone(), limits.connections) else {
                if let Some(left_out) = crowded.admit(Instant::now()) {
                    warn!(%peer, limit = limits.connections, left_out, "too many connections, refused one");
                }
                continue;
            };
            let (router, stop) = (router.clone(), stop.clone());
            let serve = async move |stream: TcpStream| {
                let stream = WatchedStream { stream, phase: teller };
                serve_connection(stream, phases, router, stop, &place, &limits).await;
            };
            match spread.seat() {
                None => tasks.spawn(serve(stream)),
                Some(seat) => {
                    let (stream, runtime) = (stream.into_std(), seat.runtime.clone());
                    let moved = async move {
                        let _seat = seat;
                        match moved_here(stream) {
                            Ok(stream) => serve(stream).await,
                            Err(error) => warn!(%error, "cannot watch a connection"),
                        }
                    };
                    tasks.spawn_on(moved, &runtime)
                }
            };
        }
        drop(tcp);
        tasks.close();
        if timeout(drain(), tasks.wait()).await.is_err() {
            warn!(open = tasks.len(), "connections still open at the end of the drain");
        }
    }
}

async fn serve_connection(
    stream: WatchedStream,
    phases: PhaseWatch,
    router: Router,
    stop: CancellationToken,
    place: &Place,
    limits: &Limits,
) {
    // Answers are small and urgent; Nagle would hold them for the peer's ACK.
    let _ = stream.stream.set_nodelay(true);
    let peer = stream.stream.peer_addr().ok();
    let teller = stream.phase.clone();
    let slot = ConnectionSlot::default();
    let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
        let serving = teller.serving();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(slot.clone());
        if let Some(peer) = peer {
            request.extensions_mut().insert(ConnectInfo(peer));
        }
        let answer = router.clone().oneshot(request);
        async move { answer.await.map(|answer| answer.map(|body| until_given_away(body, serving))) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        // Its clock starts with the last answer; ours, around the socket, with the first byte of a request.
        .header_read_timeout(None)
        .max_buf_size(MAX_HEAD_BUFFER)
        .max_headers(100)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let mut is_closing = false;
    loop {
        tokio::select! {
            biased;
            result = &mut connection => {
                if let Err(error) = result {
                    debug!(%error, "connection ended");
                }
                return;
            }
            () = stop.cancelled(), if !is_closing => {}
            () = place.leave.cancelled(), if !is_closing => debug!("connection closed, its place was needed"),
            overdue = overdue(&phases, limits) => match overdue {
                Overdue::Silent(Phase::Waiting { .. }) if !is_closing => {}
                Overdue::Silent(phase) => {
                    debug!(?phase, "connection cut, nothing came for too long");
                    return;
                }
                Overdue::Stalled => {
                    debug!("connection cut, its client does not read");
                    return;
                }
            },
        }
        // A request that is being served is finished first.
        connection.as_mut().graceful_shutdown();
        is_closing = true;
    }
}

async fn check_names(State(keeper): State<Arc<Gatekeeper>>, request: Request, next: Next) -> Response {
    match keeper.gate.check(request.method(), request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => {
            if let Some(left_out) = keeper.lines.admit(Instant::now()) {
                // How many lines of the kind were left out before this one.
                warn!(reason = %refusal, path = shown_path(&request), left_out, "request refused");
            }
            let status = match refusal {
                GateRefusal::NoHost => StatusCode::BAD_REQUEST,
                GateRefusal::ForeignHost { .. } | GateRefusal::ForeignOrigin => StatusCode::FORBIDDEN,
            };
            ApiError::new(status, refusal.to_string()).into_response()
        }
    }
}

async fn limit_headers(request: Request, next: Next) -> Response {
    let bytes: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes > MAX_HEADER_BYTES {
        let message = format!("{bytes} bytes of headers, at most {MAX_HEADER_BYTES} are taken");
        return ApiError::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, message).into_response();
    }
    next.run(request).await
}

#[cfg(test)]
mod tests;
