//! The consensus client's side: one connection, kept open, as lean as it gets. What it costs is no contestant's.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::Instant};

/// A connection to a builder API.
pub(crate) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    address: SocketAddr,
}

/// An answer, and when it was whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
    pub(crate) at: Instant,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Option<Self> {
        let tcp = TcpStream::connect(address).await.ok()?;
        tcp.set_nodelay(true).ok()?;
        let (sender, connection) = http1::handshake(TokioIo::new(tcp)).await.ok()?;
        tokio::spawn(connection);
        Some(Self { sender, address })
    }

    pub(crate) async fn get(&mut self, path: &str) -> Option<Answer> {
        // As consensus clients ask: SSZ from whoever speaks it.
        let accept = "application/octet-stream;q=1.0,application/json;q=0.9";
        let request = Request::get(path).header("host", self.address.to_string());
        self.send(request.header("accept", accept).body(Full::default()).ok()?).await
    }

    pub(crate) async fn post(&mut self, path: &str, content_type: &str, body: Bytes) -> Option<Answer> {
        let request = Request::post(path).header("host", self.address.to_string());
        self.send(request.header("content-type", content_type).body(Full::new(body)).ok()?).await
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> Option<Answer> {
        if self.sender.is_closed() {
            *self = Self::open(self.address).await?;
        }
        self.sender.ready().await.ok()?;
        let response = self.sender.send_request(request).await.ok()?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.ok()?.to_bytes();
        Some(Answer { status, body, at: Instant::now() })
    }
}
