//! Where an upstream is, and the headers that each call to it has: made once.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Uri,
    header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, PROXY_AUTHORIZATION, USER_AGENT},
    uri::Scheme,
};
use http_body_util::Full;
use url::Url;

use crate::gateway::{HOP, Hops, UpstreamSettings};

/// An address, and the headers of each call. Both may hold a key.
pub(super) struct Target {
    uri: Uri,
    headers: HeaderMap,
}

impl Target {
    /// By the configuration; `proxy_authorization` is for a proxy that is told calls in clear.
    ///
    /// # Errors
    /// When the address is none that HTTP can ask. The words hold nothing of it.
    pub(super) fn new(
        settings: &UpstreamSettings,
        proxy_authorization: Option<&HeaderValue>,
    ) -> Result<Self, &'static str> {
        let uri = uri_of(&settings.url)?;
        let mut headers = HeaderMap::with_capacity(8 + settings.headers.len());
        let json = HeaderValue::from_static("application/json");
        headers.insert(CONTENT_TYPE, json.clone());
        headers.insert(ACCEPT, json);
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        // Some providers refuse who has none.
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("relaymux/", env!("CARGO_PKG_VERSION"))));
        if let Some(authorization) = basic_auth(&settings.url) {
            headers.insert(AUTHORIZATION, authorization);
        }
        if uri.scheme() == Some(&Scheme::HTTP)
            && let Some(authorization) = proxy_authorization
        {
            headers.insert(PROXY_AUTHORIZATION, authorization.clone());
        }
        // The operator's own words win.
        for name in settings.headers.keys() {
            headers.remove(name);
            for value in settings.headers.get_all(name) {
                headers.append(name.clone(), value.clone());
            }
        }
        Ok(Self { uri, headers })
    }

    /// A call with a body, which has come through these gateways.
    pub(super) fn request(&self, body: Bytes, hops: &Hops) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        request.uri_mut().clone_from(&self.uri);
        request.headers_mut().clone_from(&self.headers);
        if let Some(hops) = hops.before(self.headers.get(HOP)) {
            request.headers_mut().insert(HOP, hops);
        }
        request
    }
}

/// The address without user name and password, which go into a header.
fn uri_of(url: &Url) -> Result<Uri, &'static str> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err("its URL cannot be asked: its scheme is neither http nor https");
    }
    let mut bare = url.clone();
    bare.set_fragment(None);
    let is_bare = bare.set_username("").and_then(|()| bare.set_password(None)).is_ok();
    let uri = is_bare.then(|| Uri::try_from(bare.as_str()).ok()).flatten();
    uri.filter(|uri| uri.host().is_some()).ok_or("its URL cannot be asked: HTTP does not allow it")
}

fn basic_auth(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut words = decoded(url.username());
    words.push(b':');
    words.extend(decoded(url.password().unwrap_or_default()));
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(words))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The bytes that a part of a URL stands for.
fn decoded(text: &str) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|&byte| char::from(byte).to_digit(16)?.try_into().ok());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let pair: (Option<u8>, Option<u8>) = (digit(after.first()), digit(after.get(1)));
        match (byte, pair) {
            (b'%', (Some(high), Some(low))) => {
                bytes.push(high << 4 | low);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::transport::tests::settings;

    #[test]
    fn what_stands_in_the_url_is_told_to_the_upstream_and_to_nobody_else() {
        for (url, uri, authorization) in [
            ("http://node:8545", "http://node:8545/", None),
            ("https://rpc.example.org/v3/KEY?x=%20y#z", "https://rpc.example.org/v3/KEY?x=%20y", None),
            ("http://[::1]:8545/", "http://[::1]:8545/", None),
            ("http://me:p%40ss%zz@node/", "http://node/", Some("Basic bWU6cEBzcyV6eg==")),
            ("http://me@node/", "http://node/", Some("Basic bWU6")),
            ("http://pröxy.example/", "http://xn--prxy-6qa.example/", None),
        ] {
            let target = Target::new(&settings(url), Some(&HeaderValue::from_static("proxy"))).unwrap();
            let request = target.request(Bytes::from_static(b"{}"), &Hops::default());
            assert_eq!(request.uri(), uri, "{url}");
            let sent = request.headers();
            assert_eq!(sent.get(AUTHORIZATION).map(|value| value.to_str().unwrap()), authorization, "{url}");
            assert_eq!(sent.contains_key(PROXY_AUTHORIZATION), uri.starts_with("http:"), "{url}");
        }
        for url in ["ws://me:s3cret@node/", "ftp://node/s3cret"] {
            let error = Target::new(&settings(url), None).err().unwrap();
            assert!(error.starts_with("its URL cannot be asked") && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_call_says_which_gateways_it_has_come_through() {
        let mut settings = settings("http://node/");
        settings.headers.insert(HOP, HeaderValue::from_static("own"));
        let target = Target::new(&settings, None).unwrap();
        let sent = |hops: &Hops| target.request(Bytes::new(), hops).headers()[HOP].clone();
        assert_eq!(sent(&Hops::default()), "own");
        let came = HeaderMap::from_iter([(HOP, HeaderValue::from_static("a, b"))]);
        assert_eq!(sent(&Hops::read(&came).unwrap()), "a, b, own");
    }

    #[test]
    fn the_operators_headers_win() {
        let mut settings = settings("http://me:secret@node/");
        settings.headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer token"));
        settings.headers.append("x-own", HeaderValue::from_static("1"));
        settings.headers.append("x-own", HeaderValue::from_static("2"));
        let request = Target::new(&settings, None).unwrap().request(Bytes::new(), &Hops::default());
        assert_eq!(request.headers()[AUTHORIZATION], "Bearer token");
        assert_eq!(request.headers().get_all("x-own").iter().count(), 2);
        assert_eq!(
            (request.method(), &request.headers()[CONTENT_TYPE]),
            (&Method::POST, &"application/json".parse().unwrap())
        );
    }
}
