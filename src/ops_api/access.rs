//! Who may read, and who may change something.
//!
//! On an address that only this machine reaches, everybody reads. On any other, reading needs the admin token or the read token; probes
//! stay open, the two paths that a signed token opens, and the metrics where the operator says so. What changes something needs the admin token everywhere, and as a bearer: a browser
//! sends a password that it knows by itself, which is good for reading and nothing else.

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use subtle::ConstantTimeEq;

use super::OpsSettings;
use crate::serve::ApiError;

/// Paths that load balancers and orchestrators ask, which have no token: neither tokens nor the rate limit are for them.
pub(super) const PROBES: [&str; 2] = ["/healthz", "/readyz"];

/// The page behind links in messages that acknowledge, and where its button sends to.
pub(super) const ACKNOWLEDGE_PAGE: &str = "/alerts/acknowledge";
pub(super) const ACKNOWLEDGE: &str = "/api/v1/alerts/acknowledge";
/// Paths whose permission is a signed token in the address or the body, which they check themselves: what people tap on a phone.
const SIGNED: [&str; 2] = [ACKNOWLEDGE_PAGE, ACKNOWLEDGE];

const READ_REFUSED: &str = "other machines reach this address, so reading needs a token: send `Authorization: Bearer <token>`; a browser \
     asks for it, any user name will do. The token is in admin.token of data_dir, or in [ops] read_token_file. For Prometheus, \
     give the scrape job `authorization: {credentials_file: …}`, or set [ops] metrics_without_token = true";
const CHANGE_REFUSED: &str = "needs `Authorization: Bearer <token>`; the token is in admin.token of data_dir";

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// Whoever sent one of the tokens, needed or not.
    Known,
    /// Whoever may read without one.
    Anybody,
}

/// The tokens, and what they are needed for.
#[derive(Debug)]
pub(super) struct Access {
    admin: String,
    read: Option<String>,
    reads_need_token: bool,
    metrics_are_open: bool,
}

impl Access {
    pub(super) fn new(settings: &OpsSettings, admin: String) -> Self {
        Self {
            admin,
            read: settings.read_token.as_ref().map(|token| token.0.clone()),
            reads_need_token: settings.reads_need_token(),
            metrics_are_open: settings.metrics_without_token,
        }
    }

    /// Whether a path may be read, and by whom.
    ///
    /// # Errors
    /// 401 in words, with what makes a browser ask.
    pub(super) fn check_read(&self, path: &str, headers: &HeaderMap) -> Result<Reader, Box<Response>> {
        let is_open = !self.reads_need_token
            || PROBES.contains(&path)
            || SIGNED.contains(&path)
            || (self.metrics_are_open && path == "/metrics");
        let token = || bearer(headers).map(str::to_owned).or_else(|| password(headers));
        if token().is_some_and(|token| self.reads(&token)) {
            return Ok(Reader::Known);
        }
        if is_open {
            return Ok(Reader::Anybody);
        }
        let mut response = ApiError::new(StatusCode::UNAUTHORIZED, READ_REFUSED).into_response();
        for way in ["Bearer realm=\"relaymux\"", "Basic realm=\"relaymux\", charset=\"UTF-8\""] {
            response.headers_mut().append(header::WWW_AUTHENTICATE, HeaderValue::from_static(way));
        }
        Err(Box::new(response))
    }

    fn reads(&self, token: &str) -> bool {
        let read = self.read.as_ref().is_some_and(|read| is_same(token.as_bytes(), read.as_bytes()));
        is_same(token.as_bytes(), self.admin.as_bytes()) || read
    }

    /// Whether something may be changed.
    ///
    /// # Errors
    /// 401, which says where the token is.
    pub(super) fn check_change(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let given = bearer(headers).unwrap_or_default();
        if is_same(given.as_bytes(), self.admin.as_bytes()) {
            return Ok(());
        }
        Err(ApiError::new(StatusCode::UNAUTHORIZED, CHANGE_REFUSED))
    }
}

fn credentials<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let (given, rest) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    given.eq_ignore_ascii_case(scheme).then(|| rest.trim())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    credentials(headers, "bearer")
}

/// The password of `Basic`, whatever the user name. Source: RFC 7617.
fn password(headers: &HeaderMap) -> Option<String> {
    let decoded = STANDARD.decode(credentials(headers, "basic")?).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    text.split_once(':').map(|(_, password)| password.to_owned())
}

/// Compares in a time that depends on the lengths alone, so that a guess learns nothing. An empty token is nobody's.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    !a.is_empty() && bool::from(a.ct_eq(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops_api::Secret;

    fn access(listen: &str, metrics_without_token: bool) -> Access {
        let settings = OpsSettings {
            listen: listen.parse().unwrap(),
            read_token: Some(Secret("reader".to_owned())),
            metrics_without_token,
            ..OpsSettings::default()
        };
        Access::new(&settings, "secret".to_owned())
    }

    fn with(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if !value.is_empty() {
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        }
        headers
    }

    fn basic(text: &str) -> String {
        format!("Basic {}", STANDARD.encode(text))
    }

    #[test]
    fn only_the_very_admin_token_changes_something() {
        let access = access("127.0.0.1:1", false);
        assert!(access.check_change(&with("Bearer secret")).is_ok());
        let wrong = ["Bearer secre", "Bearer secret2", "secret", "Bearer ", "", "Bearer reader"];
        for wrong in wrong.map(str::to_owned).into_iter().chain([basic("x:secret")]) {
            assert!(access.check_change(&with(&wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn reading_needs_a_token_where_others_can_reach_it() {
        let table = [
            // authorization, path, open metrics, reads on a public address
            (String::new(), "/api/v1/slots", false, false),
            (String::new(), "/", false, false),
            (String::new(), "/healthz", false, true),
            (String::new(), "/readyz", false, true),
            (String::new(), "/metrics", false, false),
            (String::new(), "/metrics", true, true),
            (String::new(), "/metrics/x", true, false),
            (String::new(), "/api/v1/slots", true, false),
            (String::new(), "/alerts/acknowledge", false, true),
            (String::new(), "/api/v1/alerts/acknowledge", false, true),
            (String::new(), "/alerts/acknowledge/", false, false),
            (String::new(), "/alerts/acknowledge/x", false, false),
            (String::new(), "/ALERTS/acknowledge", false, false),
            (String::new(), "//alerts/acknowledge", false, false),
            (String::new(), "/alerts", false, false),
            (String::new(), "/api/v1/alerts", false, false),
            (String::new(), "/api/v1/alerts/hook", false, false),
            (String::new(), "/api/v1/alerts/acknowledge/ack", false, false),
            ("Bearer secret".to_owned(), "/api/v1/slots", false, true),
            ("bearer reader".to_owned(), "/metrics", false, true),
            ("Bearer guess".to_owned(), "/metrics", false, false),
            (basic("anybody:reader"), "/", false, true),
            (basic(":secret"), "/", false, true),
            (basic("secret:"), "/", false, false),
            ("Basic ???".to_owned(), "/", false, false),
        ];
        for (authorization, path, open, want) in table {
            let public = access("0.0.0.0:1", open);
            let reader = public.check_read(path, &with(&authorization)).ok();
            assert_eq!(reader.is_some(), want, "{authorization} {path} {open}");
            // Who has a bucket of his own: only whoever sent a token that is one.
            let has_token = authorization.contains("secret") || authorization.contains("reader");
            let is_known =
                !authorization.is_empty() && want && (has_token || authorization.starts_with("Basic"));
            assert_eq!(reader == Some(Reader::Known), is_known, "{authorization} {path} {open}");
            assert!(access("[::1]:1", open).check_read(path, &with(&authorization)).is_ok());
        }
    }

    #[test]
    fn no_token_is_no_empty_token() {
        let settings = OpsSettings { listen: "0.0.0.0:1".parse().unwrap(), ..OpsSettings::default() };
        let access = Access::new(&settings, String::new());
        assert!(access.check_read("/", &with("Bearer ")).is_err());
        assert!(access.check_change(&with("Bearer ")).is_err());
    }
}
