//! What `relays.toml` says about one relay, checked.

use http::HeaderMap;
use url::Url;

use crate::{
    consensus::bls::ValidatedKey,
    types::{BlsPublicKey, RelayId},
};

/// One relay as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelaySettings {
    /// The operator's name for it, in logs, records and metrics; no two are alike.
    pub id: RelayId,
    /// Base URL without user info; its query is kept on every call.
    pub url: Url,
    /// The key its bids must be signed with.
    pub pubkey: ValidatedKey,
    /// Whether it is used at all.
    pub enabled: bool,
    /// Whether it is asked only for proposers whose set names it.
    pub sets_only: bool,
    /// Whether it is asked come what may.
    pub pinned: bool,
    /// What was observed of it before this (Unix milliseconds) is forgiven.
    pub pardon_before: Option<i64>,
    /// Sent with each request.
    pub headers: HeaderMap,
    /// Added to each request's query, after the URL's own.
    pub get_params: Vec<(String, String)>,
    /// Whether headers are asked for by HTTP or followed on a stream.
    pub get_header: HeaderMode,
    /// Most calls a second, submissions not counted. 0: no limit.
    pub max_calls_per_second: u32,
    /// Most registrations in one body. 0: no limit.
    pub max_registrations_per_request: usize,
}

/// How headers are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderMode {
    /// One request, one answer.
    Http,
    /// The `header_stream` websocket.
    Stream,
}

/// Why a text is not a relay's URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelayUrlError {
    /// Not a URL at all.
    #[error("not a URL: {0}")]
    Url(String),
    /// Neither http nor https.
    #[error("scheme `{0}` is not http or https")]
    Scheme(String),
    /// No host.
    #[error("there is no host after the key")]
    Host,
    /// No key before the `@`.
    #[error("the relay's public key is missing: write https://0x<96 hex digits>@host")]
    NoKey,
    /// The key has the wrong length or other characters.
    #[error("the relay's public key: {0}")]
    Key(String),
    /// The key is no point of the curve.
    #[error("the relay's public key is {0}")]
    Point(#[from] crate::consensus::bls::InvalidKey),
    /// `key:password@`
    #[error("a password after the public key is not understood; use `headers` for credentials")]
    Password,
}

/// Parses `scheme://0xpubkey@host[:port][/path][?query]`; without a scheme it is `http://`, as in mev-boost.
///
/// # Errors
/// When the URL or its key is unusable.
pub fn parse_relay_url(text: &str) -> Result<(Url, ValidatedKey), RelayUrlError> {
    let text = text.trim();
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let mut url = Url::parse(&with_scheme).map_err(|e| RelayUrlError::Url(e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(RelayUrlError::Scheme(url.scheme().to_owned()));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(RelayUrlError::Host);
    }
    if url.username().is_empty() {
        return Err(RelayUrlError::NoKey);
    }
    if url.password().is_some() {
        return Err(RelayUrlError::Password);
    }
    let digits = url.username().trim_start_matches("0x");
    let key: BlsPublicKey = format!("0x{digits}").parse().map_err(|e| RelayUrlError::Key(format!("{e}")))?;
    let key = ValidatedKey::new(key)?;
    // The key identifies, it does not authenticate: as user info it would go out as HTTP Basic credentials.
    let _ = url.set_username("");
    url.set_fragment(None);
    Ok((url, key))
}

impl RelaySettings {
    /// An enabled relay without extras: no headers, parameters, limits or timing games.
    pub fn new(id: RelayId, url: Url, pubkey: ValidatedKey) -> Self {
        Self {
            id,
            url,
            pubkey,
            enabled: true,
            sets_only: false,
            pinned: false,
            pardon_before: None,
            headers: HeaderMap::new(),
            get_params: Vec::new(),
            get_header: HeaderMode::Http,
            max_calls_per_second: 0,
            max_registrations_per_request: 0,
        }
    }

    /// The URL for people: no user info, no query (which may hold an account's id).
    pub fn public_url(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        url.to_string().trim_end_matches('/').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "0xac6e77dfe25ecd6110b8e780608cce0dab71fdd5ebea22a16c0205200f2f8e2e3ad3b71d3499c54ad14d6c21b41a37ae";

    #[test]
    fn urls_that_rivals_take_are_taken() {
        for (text, url) in [
            (format!("https://{KEY}@boost-relay.flashbots.net"), "https://boost-relay.flashbots.net/"),
            (format!("{KEY}@foo.com"), "http://foo.com/"),
            (format!("http://{KEY}@12.22.44.14:8080"), "http://12.22.44.14:8080/"),
            (format!("https://{KEY}@foo.com?id=bar&x=y"), "https://foo.com/?id=bar&x=y"),
            (
                format!("https://{}@foo.com/some/path/", &KEY[2..].to_uppercase()),
                "https://foo.com/some/path/",
            ),
        ] {
            let (parsed, key) = parse_relay_url(&text).unwrap();
            assert_eq!(parsed.as_str(), url);
            assert_eq!(key.bytes().to_string(), KEY);
        }
    }

    #[test]
    fn urls_without_a_usable_key_are_refused() {
        let infinity = format!("0xc{}", "0".repeat(95));
        for (text, said) in [
            ("https://foo.com".to_owned(), "missing"),
            (format!("https://{}@foo.com", &KEY[..96]), "96 hex digits"),
            (format!("https://{KEY}00@foo.com"), "96 hex digits"),
            (format!("https://{}@foo.com", KEY.replace("ac6e", "ac6f")), "not a valid BLS public key"),
            (format!("https://{infinity}@foo.com"), "not a valid BLS public key"),
            (format!("https://0x{}@foo.com", "0".repeat(96)), "not a valid BLS public key"),
            (format!("ftp://{KEY}@foo.com"), "scheme"),
            (format!("https://{KEY}:secret@foo.com"), "password"),
            (format!("https://{KEY}@"), "URL"),
            (String::new(), "URL"),
        ] {
            let error = parse_relay_url(&text).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
            assert!(!error.contains("secret"));
        }
    }

    #[test]
    fn people_are_shown_no_query() {
        let (url, pubkey) = parse_relay_url(&format!("https://{KEY}@foo.com/base/?id=me")).unwrap();
        let settings = RelaySettings::new(RelayId::parse("foo").unwrap(), url, pubkey);
        assert_eq!(settings.public_url(), "https://foo.com/base");
    }
}
