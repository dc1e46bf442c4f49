//! Which web pages may call (CORS). What is not allowed, the listener's gate has refused before.
//!
//! Source: the Fetch standard's CORS protocol, and Private Network Access for pages that call an address in a private network.

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

const ALLOWED_METHODS: HeaderValue = HeaderValue::from_static("POST, GET");
const ALLOWED_HEADERS: HeaderValue =
    HeaderValue::from_static("content-type, authorization, x-flashbots-signature, x-buildernet-signature");
const SHOWN_HEADERS: HeaderValue =
    HeaderValue::from_static("x-relaymux-upstream, server-timing, retry-after");
/// How long a browser remembers: ten minutes, as geth has it.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");
const ASKS_PRIVATE: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOWS_PRIVATE: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// The origins that may call.
#[derive(Clone, Debug)]
pub(super) struct Cors {
    origins: Vec<String>,
}

impl Cors {
    pub(super) fn new(origins: &[String]) -> Self {
        Self { origins: origins.to_vec() }
    }

    /// What a page's browser is told of who may read answers; none: nothing.
    fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        if self.origins.iter().any(|open| open == "*") {
            return Some(HeaderValue::from_static("*"));
        }
        let is_open = self.origins.iter().any(|open| open.as_bytes().eq_ignore_ascii_case(origin.as_bytes()));
        is_open.then(|| origin.clone())
    }

    /// Whether anything is put onto answers.
    pub(super) const fn marks(&self) -> bool {
        !self.origins.is_empty()
    }

    /// Puts what belongs there onto an answer.
    pub(super) fn mark(&self, asked: &HeaderMap, answer: &mut Response) {
        if !self.marks() {
            return;
        }
        let headers = answer.headers_mut();
        // Without it a cache on the way would give one page the answer for another.
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        if let Some(allowed) = self.allowed(asked) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, SHOWN_HEADERS);
        }
    }

    /// Answers a browser that asks before it calls.
    pub(super) fn preflight(&self, asked: &HeaderMap) -> Response {
        let mut answer = StatusCode::NO_CONTENT.into_response();
        let headers = answer.headers_mut();
        headers.insert(header::ALLOW, HeaderValue::from_static("GET, POST, OPTIONS"));
        if self.allowed(asked).is_some() {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS);
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS);
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
            if asked.contains_key(&ASKS_PRIVATE) {
                headers.insert(ALLOWS_PRIVATE, HeaderValue::from_static("true"));
            }
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(origins: &[&str], origin: &'static str) -> (Option<String>, bool) {
        let cors = Cors::new(&origins.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        let mut asked = HeaderMap::new();
        asked.insert(header::ORIGIN, HeaderValue::from_static(origin));
        let mut answer = cors.preflight(&asked);
        cors.mark(&asked, &mut answer);
        let allowed = answer.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN);
        let text = allowed.map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(text.is_some(), answer.headers().contains_key(header::ACCESS_CONTROL_ALLOW_METHODS));
        (text, answer.headers().contains_key(header::VARY))
    }

    #[test]
    fn only_what_is_allowed_is_told_so() {
        assert_eq!(told(&[], "https://a.example"), (None, false));
        assert_eq!(told(&["*"], "https://a.example"), (Some("*".to_owned()), true));
        assert_eq!(told(&["https://a.example"], "https://b.example"), (None, true));
        let own = (Some("https://a.example".to_owned()), true);
        assert_eq!(told(&["https://b.example", "https://A.example"], "https://a.example"), own);
    }
}
