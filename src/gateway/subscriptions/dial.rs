//! Opens a byte stream to an upstream's websocket: TCP, and TLS where the URL says so.

use std::{io, sync::Arc};

use futures_util::future::BoxFuture;
use http::Uri;
use hyper_rustls::HttpsConnector;
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tower::{Service, ServiceExt};

/// Bytes both ways.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// Opens byte streams.
pub trait Dial: Send + Sync {
    /// Opens one to the host of a URI of the scheme `ws` or `wss`. Whoever calls it bounds the time.
    fn dial(&self, to: Uri) -> BoxFuture<'static, io::Result<Box<dyn ByteStream>>>;
}

/// Straight to the host.
#[derive(Clone, Debug)]
pub struct Direct(HttpsConnector<HttpConnector>);

impl Direct {
    /// `tls` may offer HTTP/1.1 and nothing else: a websocket begins with it.
    pub fn new(tls: Arc<ClientConfig>) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        Self(HttpsConnector::from((tcp, tls)))
    }
}

impl Dial for Direct {
    fn dial(&self, to: Uri) -> BoxFuture<'static, io::Result<Box<dyn ByteStream>>> {
        let mut connector = self.0.clone();
        Box::pin(async move {
            let mut parts = to.into_parts();
            let is_tls = parts.scheme.as_ref().is_some_and(|scheme| scheme.as_str() == "wss");
            parts.scheme = Some(if is_tls { http::uri::Scheme::HTTPS } else { http::uri::Scheme::HTTP });
            let to = Uri::from_parts(parts).map_err(io::Error::other)?;
            let stream = connector.ready().await.map_err(io::Error::other)?.call(to).await;
            let stream = stream.map_err(io::Error::other)?;
            Ok(Box::new(TokioIo::new(stream)) as Box<dyn ByteStream>)
        })
    }
}
