//! Opens connections: TCP, TLS where the URL says so, and the operator's proxy between.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Uri, uri::Scheme};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::{HttpConnector, proxy::Tunnel};
use rustls::ClientConfig;
use tokio::time::timeout;
use tower::{Service, ServiceExt};

use super::{HttpClientError, Tls, proxy::Proxy, socket::Socket};

/// Longest wait for a TCP and TLS handshake, a proxy's included. The call's own deadline is usually shorter.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection is asked after this long without traffic whether it is still there, and again so often.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// Unanswered questions until it is given up.
const KEEPALIVE_RETRIES: u32 = 3;
/// How long bytes may wait for the far side to acknowledge them until the connection is given up.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The time to connect was up.
#[derive(Debug, thiserror::Error)]
#[error("no connection within {} seconds", CONNECT_TIMEOUT.as_secs())]
pub(super) struct ConnectTimedOut;

/// TCP, and TLS where the URL says so.
type Direct = HttpsConnector<HttpConnector>;

/// The ways that connections take.
struct Ways {
    /// To the host; where there is a proxy, to the proxy, for hosts without TLS: it is told the whole URL.
    direct: Direct,
    proxied: Option<Proxied>,
}

struct Proxied {
    proxy: Uri,
    /// For hosts with TLS, which begins behind the tunnel.
    tunnel: HttpsConnector<Tunnel<Direct>>,
}

impl Ways {
    async fn connect(&self, to: Uri) -> Result<Socket, BoxError> {
        let direct = self.direct.clone();
        Ok(match &self.proxied {
            None => Socket::direct(direct.oneshot(to).await?),
            Some(Proxied { tunnel, .. }) if to.scheme() == Some(&Scheme::HTTPS) => {
                Socket::tunnelled(tunnel.clone().oneshot(to).await?)
            }
            Some(Proxied { proxy, .. }) => Socket::forwarded(direct.oneshot(proxy.clone()).await?),
        })
    }

    /// For what is no HTTP: a proxy is asked for a tunnel to hosts without TLS, too.
    async fn open(&self, to: Uri) -> Result<Socket, BoxError> {
        Ok(match &self.proxied {
            None => Socket::direct(self.direct.clone().oneshot(to).await?),
            Some(Proxied { tunnel, .. }) => Socket::tunnelled(tunnel.clone().oneshot(to).await?),
        })
    }
}

/// Opens connections. Cheap to clone, which the client does with every call.
#[derive(Clone)]
pub(super) struct Connector(Arc<Ways>);

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not which proxy: what opens it is a secret.
        let way = if self.0.proxied.is_some() { "through a proxy" } else { "direct" };
        write!(f, "Connector({way})")
    }
}

impl Connector {
    /// One that offers these protocols to hosts with TLS.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub(super) fn new(
        tls: &Tls,
        protocols: &[&[u8]],
        proxy: Option<&Proxy>,
    ) -> Result<Self, HttpClientError> {
        let to_hosts = Arc::new(tls.config(protocols)?);
        let direct = Direct::from((tcp(), Arc::clone(&to_hosts)));
        let proxied = proxy.map(|proxy| proxied(proxy, tls, to_hosts)).transpose()?;
        Ok(Self(Arc::new(Ways { direct, proxied })))
    }

    /// A connection for what is no HTTP after its beginning.
    pub(super) async fn open(&self, to: Uri) -> Result<Socket, BoxError> {
        timeout(CONNECT_TIMEOUT, self.0.open(to)).await.unwrap_or_else(|_| Err(ConnectTimedOut.into()))
    }
}

fn proxied(proxy: &Proxy, tls: &Tls, to_hosts: Arc<ClientConfig>) -> Result<Proxied, HttpClientError> {
    // A tunnel is asked for in HTTP/1.1, so nothing else is offered to a proxy that has TLS itself.
    let to_proxy = Direct::from((tcp(), Arc::new(tls.config(&[])?)));
    let mut tunnel = Tunnel::new(proxy.uri.clone(), to_proxy);
    if let Some(authorization) = &proxy.authorization {
        tunnel = tunnel.with_auth(authorization.clone());
    }
    Ok(Proxied { proxy: proxy.uri.clone(), tunnel: HttpsConnector::from((tunnel, to_hosts)) })
}

fn tcp() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    // Shared among a host's addresses, so that one that is silent does not take the time of the others.
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    tcp.set_keepalive(Some(KEEPALIVE));
    tcp.set_keepalive_interval(Some(KEEPALIVE));
    tcp.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    tcp
}

impl Service<Uri> for Connector {
    type Response = Socket;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Socket, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let ways = Arc::clone(&self.0);
        Box::pin(async move {
            timeout(CONNECT_TIMEOUT, ways.connect(to)).await.unwrap_or_else(|_| Err(ConnectTimedOut.into()))
        })
    }
}
