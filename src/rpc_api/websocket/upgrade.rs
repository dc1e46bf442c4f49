//! Whether a request may become a websocket: RFC 6455, section 4.2.1, and who may ask from a web page.

use axum::{
    body::Body,
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
        header::{
            CONNECTION, HOST, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
        },
    },
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Why a request does not become a websocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is no GET of HTTP/1.1 with the headers of an upgrade.
    #[error("a websocket begins with a GET of HTTP/1.1, with `Connection: Upgrade` and `Upgrade: websocket`")]
    NotAnUpgrade,
    /// Another version of the protocol.
    #[error("only version 13 of the websocket protocol is spoken")]
    Version,
    /// Not the 16 bytes that the protocol wants.
    #[error("Sec-WebSocket-Key is not 16 bytes in base64")]
    Key,
    /// From a web page that may not.
    #[error("pages of this origin may not call: add it to [rpc] allowed_origins")]
    Origin,
}

impl Refusal {
    pub(super) fn into_response(self) -> Response<Body> {
        let status = match self {
            Self::NotAnUpgrade | Self::Key => StatusCode::BAD_REQUEST,
            Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::Origin => StatusCode::FORBIDDEN,
        };
        let mut response = text(status, &self.to_string());
        if self == Self::Version {
            response.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        response
    }
}

/// Whether a request asks for a websocket, well or badly.
pub fn is_upgrade(headers: &HeaderMap) -> bool {
    has_token(headers, &UPGRADE, "websocket") || headers.contains_key(SEC_WEBSOCKET_KEY)
}

/// The answer to the key of a request that may become a websocket.
pub(super) fn check(request: &Request<Body>, allowed_origins: &[String]) -> Result<HeaderValue, Refusal> {
    let headers = request.headers();
    let is_upgrade = request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && has_token(headers, &CONNECTION, "upgrade")
        && has_token(headers, &UPGRADE, "websocket");
    if !is_upgrade {
        return Err(Refusal::NotAnUpgrade);
    }
    if only(headers, &SEC_WEBSOCKET_VERSION) != Some(b"13") {
        return Err(Refusal::Version);
    }
    let key = only(headers, &SEC_WEBSOCKET_KEY).ok_or(Refusal::Key)?;
    if STANDARD.decode(key).map_or(0, |bytes| bytes.len()) != 16 {
        return Err(Refusal::Key);
    }
    if !origin_may_call(headers, allowed_origins) {
        return Err(Refusal::Origin);
    }
    HeaderValue::from_str(&derive_accept_key(key)).map_err(|_| Refusal::Key)
}

pub(super) fn accepted(accept: HeaderValue) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    response
}

/// Whether whoever asks is no web page, or one that may call. A browser sends `Origin` with every websocket, and asks for no permission before.
fn origin_may_call(headers: &HeaderMap, allowed: &[String]) -> bool {
    if !headers.contains_key(ORIGIN) {
        return true;
    }
    let Some(origin) = only(headers, &ORIGIN).and_then(|origin| std::str::from_utf8(origin).ok()) else {
        return false;
    };
    let is_allowed =
        allowed.iter().any(|one| one == "*" || one.trim_end_matches('/').eq_ignore_ascii_case(origin));
    is_allowed || is_own(origin, headers)
}

/// Whether an origin is the very host and port that was called.
fn is_own(origin: &str, headers: &HeaderMap) -> bool {
    let host = only(headers, &HOST).and_then(|host| std::str::from_utf8(host).ok());
    let origin = origin.parse::<Uri>().ok();
    match (host, origin.as_ref().and_then(Uri::authority)) {
        (Some(host), Some(origin)) => origin.as_str().eq_ignore_ascii_case(host),
        _ => false,
    }
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|one| one.trim().eq_ignore_ascii_case(token))
}

/// The value of a header that stands there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value.as_bytes()),
        _ => None,
    }
}

/// An answer in words.
pub(super) fn text(status: StatusCode, message: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(message.to_owned()));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6455's own example, with one thing changed, added or left out.
    fn checked(change: (&'static str, Option<&str>), allowed: &[&str]) -> Result<String, Refusal> {
        let mut request = Request::builder().uri("/").version(Version::HTTP_11);
        if change.0 == "method" {
            request = request.method("POST");
        }
        if change.0 == "http/1.0" {
            request = request.version(Version::HTTP_10);
        }
        let mut request = request.body(Body::empty()).unwrap();
        let headers = request.headers_mut();
        for (name, value) in [
            ("host", "localhost:18545"),
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        match change {
            ("method" | "http/1.0", _) => {}
            (name, None) => drop(headers.remove(name)),
            (name, Some("twice")) => drop(headers.append(name, headers[name].clone())),
            (name, Some(value)) => drop(headers.insert(name, value.parse().unwrap())),
        }
        let allowed: Vec<String> = allowed.iter().map(|one| (*one).to_owned()).collect();
        check(&request, &allowed).map(|accept| accept.to_str().unwrap().to_owned())
    }

    #[test]
    fn upgrades_are_checked_as_the_rfc_says() {
        assert_eq!(checked(("x", None), &[]).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        for (change, want) in [
            (("method", None), Refusal::NotAnUpgrade),
            (("http/1.0", None), Refusal::NotAnUpgrade),
            (("connection", Some("keep-alive")), Refusal::NotAnUpgrade),
            (("upgrade", None), Refusal::NotAnUpgrade),
            (("sec-websocket-version", None), Refusal::Version),
            (("sec-websocket-version", Some("8")), Refusal::Version),
            (("sec-websocket-key", None), Refusal::Key),
            (("sec-websocket-key", Some("twice")), Refusal::Key),
            (("sec-websocket-key", Some("c2hvcnQ=")), Refusal::Key),
            (("sec-websocket-key", Some("not base64")), Refusal::Key),
        ] {
            assert_eq!(checked(change, &[]), Err(want), "{change:?}");
        }
    }

    #[test]
    fn web_pages_call_only_where_they_may() {
        for (origin, allowed, may) in [
            ("https://app.example", &[][..], false),
            ("null", &[], false),
            ("null", &["*"], true),
            ("https://app.example", &["https://app.example/"], true),
            ("https://app.example", &["HTTPS://APP.example"], true),
            ("https://app.example.evil", &["https://app.example"], false),
            ("https://app.example", &["*"], true),
            ("http://localhost:18545", &[], true),
            ("http://localhost:3000", &[], false),
        ] {
            assert_eq!(checked(("origin", Some(origin)), allowed).is_ok(), may, "{origin} {allowed:?}");
        }
    }
}
