//! HTTP/1 listeners with limits from the first byte: how many connections, how long for headers, how large they may be; and a stop
//! that lets requests in flight finish.
//!
//! Both servers (for the consensus client, for people) stand on this. It knows no route of theirs.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Body,
    extract::Request,
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use serde::Serialize;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;
use tracing::{debug, warn};

/// Most bytes of header names and values in a request. mev-boost's limit; no consensus client comes near.
const MAX_HEADER_BYTES: usize = 4000;
/// hyper's own buffer for a request head: beyond it the answer is a bare 431.
const MAX_HEAD_BUFFER: usize = 64 << 10;
/// Longest wait for a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Most connections of one listener. Arbitrary: a load test of 500 and a few scrapers fit many times.
const MAX_CONNECTIONS: usize = 4096;

/// Why a listener could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for the {api} API: {error}")]
pub struct ListenError {
    api: &'static str,
    address: SocketAddr,
    error: std::io::Error,
}

/// A bound listener.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    address: SocketAddr,
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

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorBody { code: self.status.as_u16(), message: &self.message };
        (self.status, Json(body)).into_response()
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

impl Listener {
    /// Binds an address; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address is taken or not ours.
    pub async fn bind(api: &'static str, address: SocketAddr) -> Result<Self, ListenError> {
        let fail = |error| ListenError { api, address, error };
        let tcp = TcpListener::bind(address).await.map_err(fail)?;
        let address = tcp.local_addr().map_err(fail)?;
        Ok(Self { tcp, address })
    }

    /// The address it got.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, then lets requests in flight finish for at most `drain`.
    pub async fn serve(self, router: Router, stop: CancellationToken, drain: Duration) {
        let router = router.layer(middleware::from_fn(limit_headers)).with_state(());
        let connections = TaskTracker::new();
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let accepted = tokio::select! {
                accepted = self.tcp.accept() => accepted,
                () = stop.cancelled() => break,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, usually: give the rest a moment to finish.
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
                warn!(%peer, limit = MAX_CONNECTIONS, "too many connections, refused one");
                continue;
            };
            let (router, stop) = (router.clone(), stop.clone());
            connections.spawn(async move {
                serve_connection(stream, router, stop).await;
                drop(permit);
            });
        }
        drop(self.tcp);
        connections.close();
        if timeout(drain, connections.wait()).await.is_err() {
            warn!(open = connections.len(), "connections still open at the end of the drain");
        }
    }
}

async fn serve_connection(stream: TcpStream, router: Router, stop: CancellationToken) {
    // Answers are small and urgent; Nagle would hold them for the peer's ACK.
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(
        router.map_request(|request: http::Request<hyper::body::Incoming>| request.map(Body::new)),
    );
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BUFFER)
        .max_headers(100)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let result = tokio::select! {
        result = &mut connection => result,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        debug!(%error, "connection ended");
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

/// Reads a request's body of at most `limit` bytes within a time.
///
/// # Errors
/// 413 when it is larger, 408 when it does not come, 400 when the connection breaks.
pub async fn read_body(
    body: Body,
    announced: Option<u64>,
    limit: usize,
    within: Duration,
) -> Result<Bytes, ApiError> {
    let too_large = || {
        let message = format!("the body is larger than {limit} bytes");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    };
    let announced = usize::try_from(announced.unwrap_or(0)).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(too_large());
    }
    let deadline = Instant::now() + within;
    let mut body = body;
    // Room for what was announced, so that a large body is held once; a liar gets at most the limit.
    let mut held = BytesMut::with_capacity(announced);
    loop {
        let frame = timeout_at(deadline, body.frame()).await.map_err(|_| {
            ApiError::new(
                StatusCode::REQUEST_TIMEOUT,
                format!("the body did not come within {} s", within.as_secs()),
            )
        })?;
        let Some(frame) = frame else { return Ok(held.freeze()) };
        let frame = frame.map_err(|_| ApiError::bad_request("the body ended early"))?;
        let Some(data) = frame.data_ref() else { continue };
        if held.len() + data.len() > limit {
            return Err(too_large());
        }
        held.extend_from_slice(data);
    }
}
