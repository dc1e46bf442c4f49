//! How byte streams to upstreams are opened: TCP, and TLS where the URL says so, by way of the operator's proxy where the upstream is on another
//! machine.

use futures_util::future::BoxFuture;
use http::Uri;
use tokio::io::{AsyncRead, AsyncWrite};
use url::Url;

use crate::http_client::{Dialer, HttpFailure, is_here};

/// Bytes both ways.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// Opens byte streams.
pub trait Dial: Send + Sync {
    /// Opens one to the host of a URI of the scheme `ws` or `wss`. Whoever calls it bounds the time.
    fn dial(&self, to: Uri) -> BoxFuture<'static, Result<Box<dyn ByteStream>, HttpFailure>>;
}

/// Opens them as the upstreams' calls go: a node of this machine is reached straight, whatever proxy there is.
#[derive(Clone, Debug)]
pub struct Dialers {
    /// To this machine.
    pub straight: Dialer,
    /// To others, by way of the proxy where there is one.
    pub away: Dialer,
}

impl Dial for Dialers {
    fn dial(&self, to: Uri) -> BoxFuture<'static, Result<Box<dyn ByteStream>, HttpFailure>> {
        let is_here = Url::parse(&to.to_string()).is_ok_and(|url| is_here(&url));
        let dialer = if is_here { &self.straight } else { &self.away }.clone();
        Box::pin(async move { Ok(Box::new(dialer.dial(to).await?) as Box<dyn ByteStream>) })
    }
}
