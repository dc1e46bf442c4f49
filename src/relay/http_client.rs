//! The HTTP client that all relays share: one pool, one TLS configuration, no redirects, no proxy unless asked for.

use std::{path::PathBuf, time::Duration};

use reqwest::{Certificate, Client, ClientBuilder, Proxy, redirect};

/// Which certificate authorities relays are checked against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsRoots {
    /// Mozilla's list, compiled in: works in an empty container.
    Bundled,
    /// A PEM file of the operator's, in place of the bundled list.
    File(PathBuf),
}

/// Why the client could not be built.
#[derive(Debug, thiserror::Error)]
pub enum HttpClientError {
    /// The PEM file cannot be read.
    #[error("cannot read the TLS roots {path}: {error}", path = path.display())]
    Read {
        /// The file of `[tls] roots_file`.
        path: PathBuf,
        /// The system's words.
        error: std::io::Error,
    },
    /// The PEM file has no certificate, or the TLS library refused the set-up.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
    /// The proxy URL is unusable.
    #[error("cannot use the proxy: {0}")]
    Proxy(String),
}

/// Longest wait for a TCP and TLS handshake. The call's own deadline is usually shorter.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Most connections kept to one relay. Arbitrary: more than a race and a submission use at once.
const MAX_IDLE_PER_HOST: usize = 64;

/// Builds the client. Costs tens of milliseconds: once per start or reload.
///
/// # Errors
/// When the roots or the proxy are unusable.
pub fn build_http_client(roots: &TlsRoots, proxy: Option<&str>) -> Result<Client, HttpClientError> {
    build(roots, proxy, Client::builder())
}

/// Builds a client of HTTP/1.1 alone: websockets begin with it.
///
/// # Errors
/// As [`build_http_client`].
pub fn build_http1_client(roots: &TlsRoots, proxy: Option<&str>) -> Result<Client, HttpClientError> {
    build(roots, proxy, Client::builder().http1_only())
}

/// Builds a client that keeps no connection: every call opens its own, so none goes into a connection that died unnoticed.
///
/// # Errors
/// As [`build_http_client`].
pub fn build_fresh_http_client(roots: &TlsRoots, proxy: Option<&str>) -> Result<Client, HttpClientError> {
    build_with(roots, proxy, Client::builder(), 0)
}

fn build(roots: &TlsRoots, proxy: Option<&str>, builder: ClientBuilder) -> Result<Client, HttpClientError> {
    build_with(roots, proxy, builder, MAX_IDLE_PER_HOST)
}

fn build_with(
    roots: &TlsRoots,
    proxy: Option<&str>,
    builder: ClientBuilder,
    max_idle_per_host: usize,
) -> Result<Client, HttpClientError> {
    // Fails only when a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let tls = |e: reqwest::Error| HttpClientError::Tls(e.to_string());
    let certificates = match roots {
        TlsRoots::Bundled => webpki_root_certs::TLS_SERVER_ROOT_CERTS
            .iter()
            .map(|der| Certificate::from_der(der))
            .collect::<Result<Vec<_>, _>>()
            .map_err(tls)?,
        TlsRoots::File(path) => {
            let pem =
                std::fs::read(path).map_err(|error| HttpClientError::Read { path: path.clone(), error })?;
            Certificate::from_pem_bundle(&pem).map_err(tls)?
        }
    };
    let builder = builder
        .tls_certs_only(certificates)
        .redirect(redirect::Policy::none())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .tcp_keepalive(Duration::from_secs(15))
        // Relays close idle connections (mev-boost-relay after 3 s); on our side there is no reason to.
        .pool_idle_timeout(None)
        .pool_max_idle_per_host(max_idle_per_host)
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
    builder.build().map_err(tls)
}
