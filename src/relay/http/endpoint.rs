//! What every call to one relay has in common, made once: where it goes, and the headers that do not change.

use std::fmt::{self, Write};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Uri,
    header::{ACCEPT, ACCEPT_ENCODING, PROXY_AUTHORIZATION},
    uri::{Authority, PathAndQuery, Scheme},
};
use http_body_util::Full;

use crate::relay::{CallFailure, RelaySettings};

/// A relay's builder API.
#[derive(Debug)]
pub(in crate::relay) struct Endpoint {
    /// Why it cannot be asked, in words, for a URL that is none in HTTP.
    base: Result<Base, String>,
    /// Sent with each call.
    headers: HeaderMap,
    /// The operator's part of them, which wins over what a call says itself.
    own: HeaderMap,
}

/// The parts of its URL.
#[derive(Debug)]
struct Base {
    scheme: Scheme,
    authority: Authority,
    /// Before an API path, without a slash at its end.
    prefix: String,
    /// Behind it, its question mark included.
    query: String,
}

/// A call that is not made yet.
#[derive(Debug)]
pub(in crate::relay) struct Call<'a> {
    endpoint: &'a Endpoint,
    method: Method,
    target: Result<Uri, CallFailure>,
    headers: HeaderMap,
    body: Bytes,
}

impl Endpoint {
    /// By the configuration; `proxy_authorization` is for a proxy that is told calls in clear.
    pub(in crate::relay) fn new(settings: &RelaySettings, proxy_authorization: Option<&HeaderValue>) -> Self {
        let base = Base::new(settings);
        // Room for a call's own: what is cloned with every call does not grow in every call.
        let mut headers = HeaderMap::with_capacity(16);
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        if base.as_ref().is_ok_and(|base| base.scheme == Scheme::HTTP)
            && let Some(authorization) = proxy_authorization
        {
            headers.insert(PROXY_AUTHORIZATION, authorization.clone());
        }
        let own = settings.headers.clone();
        for name in own.keys() {
            headers.remove(name);
            for value in own.get_all(name) {
                headers.append(name.clone(), value.clone());
            }
        }
        Self { base, headers, own }
    }

    /// A `GET` of an API path.
    pub(in crate::relay) fn get(&self, path: fmt::Arguments<'_>) -> Call<'_> {
        self.call(Method::GET, path, Bytes::new())
    }

    /// A `POST` to an API path.
    pub(in crate::relay) fn post(&self, path: &str, body: Bytes) -> Call<'_> {
        self.call(Method::POST, format_args!("{path}"), body)
    }

    fn call(&self, method: Method, path: fmt::Arguments<'_>, body: Bytes) -> Call<'_> {
        let target = match &self.base {
            Ok(base) => base.uri_of(path),
            Err(reason) => Err(reason.clone()),
        };
        let target = target.map_err(CallFailure::Transport);
        Call { endpoint: self, method, target, headers: self.headers.clone(), body }
    }
}

impl Base {
    fn new(settings: &RelaySettings) -> Result<Self, String> {
        let mut url = settings.url.clone();
        if !settings.get_params.is_empty() {
            url.query_pairs_mut().extend_pairs(&settings.get_params);
        }
        let unusable = |what: &str| format!("the relay's URL cannot be asked: {what}");
        let scheme = match url.scheme() {
            "http" => Scheme::HTTP,
            "https" => Scheme::HTTPS,
            _ => return Err(unusable("its scheme is neither http nor https")),
        };
        // Host and port alone: whatever stands before them never leaves as a credential.
        let mut host = url.host_str().unwrap_or_default().to_owned();
        if let Some(port) = url.port() {
            let _ = write!(host, ":{port}");
        }
        let authority = Authority::try_from(host).map_err(|error| unusable(&error.to_string()))?;
        let base = Self {
            scheme,
            authority,
            prefix: url.path().trim_end_matches('/').to_owned(),
            query: url.query().map_or_else(String::new, |query| format!("?{query}")),
        };
        base.uri_of(format_args!("/")).map_err(|error| unusable(&error))?;
        Ok(base)
    }

    fn uri_of(&self, path: fmt::Arguments<'_>) -> Result<Uri, String> {
        // A header's path has some 200 bytes.
        let mut whole = String::with_capacity(self.prefix.len() + 208 + self.query.len());
        let _ = write!(whole, "{}{path}{}", self.prefix, self.query);
        let path = PathAndQuery::from_maybe_shared(Bytes::from(whole)).map_err(|error| error.to_string())?;
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path);
        Uri::from_parts(parts).map_err(|error| error.to_string())
    }
}

impl Call<'_> {
    /// Adds a header, unless the operator has one of that name.
    #[must_use]
    pub(in crate::relay) fn header(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        if !self.endpoint.own.contains_key(&name) {
            self.headers.insert(name, value.into());
        }
        self
    }

    /// As it is sent.
    ///
    /// # Errors
    /// When the relay's URL is none in HTTP.
    pub(in crate::relay) fn into_request(self) -> Result<Request<Full<Bytes>>, CallFailure> {
        let mut request = Request::new(Full::new(self.body));
        *request.method_mut() = self.method;
        *request.uri_mut() = self.target?;
        *request.headers_mut() = self.headers;
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::parse_relay_url;
    use crate::types::RelayId;

    const KEY: &str =
        "0xac6e77dfe25ecd6110b8e780608cce0dab71fdd5ebea22a16c0205200f2f8e2e3ad3b71d3499c54ad14d6c21b41a37ae";

    fn settings(scheme: &str, rest: &str) -> RelaySettings {
        let (url, pubkey) = parse_relay_url(&format!("{scheme}://{KEY}@{rest}")).unwrap();
        RelaySettings::new(RelayId::parse("a").unwrap(), url, pubkey)
    }

    #[test]
    fn query_and_params_stay_on_every_call() {
        let mut settings = settings("https", "foo.com/base?id=me");
        settings.get_params.push(("a".into(), "b c".into()));
        let endpoint = Endpoint::new(&settings, None);
        let request = endpoint.get(format_args!("/eth/v1/builder/status")).into_request().unwrap();
        assert_eq!(*request.uri(), "https://foo.com/base/eth/v1/builder/status?id=me&a=b+c");
    }

    #[test]
    fn hosts_are_kept_and_user_names_are_not() {
        for (rest, want) in [
            ("foo.com", "http://foo.com/x"),
            ("foo.com:80", "http://foo.com/x"),
            ("FOO.com:8080//a//", "http://foo.com:8080//a/x"),
            ("[::1]:1/?", "http://[::1]:1/x?"),
            ("münchen.example/ü?ü", "http://xn--mnchen-3ya.example/%C3%BC/x?%C3%BC"),
        ] {
            let request = Endpoint::new(&settings("http", rest), None).get(format_args!("/x")).into_request();
            assert_eq!(request.unwrap().uri().to_string(), want, "{rest}");
        }
        let mut named = settings("http", "foo.com");
        named.url.set_username("me").unwrap();
        let request = Endpoint::new(&named, None).get(format_args!("/x")).into_request().unwrap();
        assert_eq!(*request.uri(), "http://foo.com/x");
    }

    #[test]
    fn a_url_that_is_none_in_http_is_told_with_every_call() {
        let endpoint = Endpoint::new(&settings("https", "{{host}}/?id=s3cret"), None);
        let failure = endpoint.post("/x", Bytes::new()).into_request().unwrap_err();
        let words = failure.to_string();
        assert!(words.starts_with("transport: the relay's URL cannot be asked: "), "{words}");
        assert!(!words.contains("s3cret"));
    }

    #[test]
    fn a_proxy_is_opened_in_clear_only_for_calls_in_clear() {
        let authorization = HeaderValue::from_static("Basic bWU6");
        for (scheme, is_sent) in [("http", true), ("https", false)] {
            let endpoint = Endpoint::new(&settings(scheme, "foo.com"), Some(&authorization));
            let request = endpoint.get(format_args!("/x")).into_request().unwrap();
            assert_eq!(request.headers().contains_key(PROXY_AUTHORIZATION), is_sent, "{scheme}");
        }
    }
}
