//! Byte streams to hosts, for what is HTTP only at its beginning: websockets.

use http::{Uri, uri::Scheme};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use url::{Host, Url};

use super::{
    HTTP1, HttpClientError, HttpFailure, Tls, TlsRoots, connector::Connector, failure_of, proxy::Proxy,
};

/// Opens byte streams: TCP, TLS where the URL says so, and the operator's proxy between, which is asked for a tunnel (`CONNECT`) whether there is
/// TLS or not. Source: RFC 6455, section 4.1.
#[derive(Clone, Debug)]
pub struct Dialer(Connector);

impl Dialer {
    /// Builds it. Costs milliseconds.
    ///
    /// # Errors
    /// When the roots or the proxy are unusable.
    pub fn build(roots: &TlsRoots, proxy: Option<&str>) -> Result<Self, HttpClientError> {
        let proxy = proxy.map(Proxy::parse).transpose()?;
        // A websocket begins with HTTP/1.1: nothing else is offered.
        Connector::new(&Tls::new(roots)?, HTTP1, proxy.as_ref()).map(Self)
    }

    /// Opens one to the host of a URI of the scheme `ws` or `wss`.
    ///
    /// # Errors
    /// When there is no connection within the time that a handshake has. The words hold no URL.
    pub async fn dial(
        &self,
        to: Uri,
    ) -> Result<impl AsyncRead + AsyncWrite + Send + Unpin + use<>, HttpFailure> {
        let to = target(&to).ok_or_else(|| HttpFailure::Connect("the URL is unusable".to_owned()))?;
        match self.0.open(to).await {
            Ok(socket) => Ok(TokioIo::new(socket)),
            Err(error) => Err(match failure_of(&*error) {
                // Nothing but the connection was tried.
                HttpFailure::Broken(words) => HttpFailure::Connect(words),
                other => other,
            }),
        }
    }
}

/// Where to, with a port in any case: a tunnel without one would be to the port of TLS.
fn target(to: &Uri) -> Option<Uri> {
    let (scheme, usual) = match to.scheme_str()? {
        "wss" => (Scheme::HTTPS, 443),
        "ws" => (Scheme::HTTP, 80),
        _ => return None,
    };
    let authority = format!("{}:{}", to.host()?, to.port_u16().unwrap_or(usual));
    Uri::builder().scheme(scheme).authority(authority).path_and_query("/").build().ok()
}

/// Whether a URL is of this machine, which is reached without going through anybody else's proxy.
pub fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_have_their_port_and_nothing_of_the_path() {
        for (to, want) in [
            ("ws://node.example/key?a=b", Some("http://node.example:80/")),
            ("wss://node.example/key", Some("https://node.example:443/")),
            ("ws://node.example:8546", Some("http://node.example:8546/")),
            ("wss://[2001:db8::1]:8546/", Some("https://[2001:db8::1]:8546/")),
            ("http://node.example/", None),
            ("/key", None),
        ] {
            let got = target(&to.parse().unwrap()).map(|uri| uri.to_string());
            assert_eq!(got.as_deref(), want, "{to}");
        }
    }

    #[test]
    fn this_machine_is_known_by_its_names() {
        for (url, here) in [
            ("ws://127.0.0.1:8546", true),
            ("ws://127.7.7.7/", true),
            ("wss://[::1]/", true),
            ("http://localhost:1/x", true),
            ("ws://localhost.example/", false),
            ("ws://10.0.0.1/", false),
        ] {
            assert_eq!(is_here(&url.parse().unwrap()), here, "{url}");
        }
    }
}
