//! The HTTP client for whatever is not a relay's builder API: nodes, relays' public records, lists of keys, builders.

use std::time::Duration;

use reqwest::{Client, Proxy, redirect};

use super::{HTTP1_AND_2, HttpClientError, Tls, TlsRoots};

/// Longest wait for a TCP and TLS handshake. The call's own deadline is usually shorter.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Most connections kept to one host. Arbitrary: more than is asked of one at once.
const MAX_IDLE_PER_HOST: usize = 64;

/// Builds the client: one pool, no redirects, no proxy unless asked for. Costs milliseconds: once per start.
///
/// # Errors
/// When the roots or the proxy are unusable.
pub fn build_http_client(roots: &TlsRoots, proxy: Option<&str>) -> Result<Client, HttpClientError> {
    let builder = Client::builder()
        .tls_backend_preconfigured(Tls::new(roots)?.config(HTTP1_AND_2)?)
        .redirect(redirect::Policy::none())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .tcp_keepalive(Duration::from_secs(15))
        .pool_idle_timeout(None)
        .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
        .http2_keep_alive_interval(Duration::from_secs(10))
        .http2_keep_alive_while_idle(true)
        .http1_max_headers(64);
    let builder = match proxy {
        None => builder.no_proxy(),
        Some(url) => {
            let proxy = Proxy::all(url).map_err(|e| HttpClientError::Proxy(e.without_url().to_string()))?;
            builder.no_proxy().proxy(proxy)
        }
    };
    builder.build().map_err(|e| HttpClientError::Tls(e.to_string()))
}
