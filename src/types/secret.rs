//! Texts and addresses that nobody may see: neither a log, an error, a metric, JSON nor `Debug` shows anything of them.

use std::fmt;

use url::Url;

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// An address that is itself a key, as those of chat webhooks are: whoever knows it may write there.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(Url);

/// Why a text is no address that can be called. Says nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretUrlError {
    /// It cannot be parsed.
    #[error("not a URL")]
    NotAUrl,
    /// Another scheme than those of the web.
    #[error("must begin with https:// or http://")]
    OtherScheme,
    /// It names no host.
    #[error("names no host")]
    NoHost,
}

impl SecretUrl {
    /// Reads an address of the web. White space around it, as files have it, is left out.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, SecretUrlError> {
        let url = Url::parse(text.trim()).map_err(|_| SecretUrlError::NotAUrl)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(SecretUrlError::OtherScheme);
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(SecretUrlError::NoHost);
        }
        Ok(Self(url))
    }

    /// The address, for the one who calls it.
    pub const fn expose(&self) -> &Url {
        &self.0
    }

    /// The address with more segments at the end of its path.
    pub fn join(&self, segments: &[&str]) -> Self {
        let mut url = self.0.clone();
        // Cannot fail: addresses of the web have a path.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        Self(url)
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretUrl(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_secret_is_shown() {
        let url = SecretUrl::parse("https://user:pass@hooks.example/T0/B0/xyz\n").unwrap();
        assert_eq!(format!("{url:?} {:?}", Secret("hunter2".to_owned())), "SecretUrl(…) Secret(…)");
    }

    #[test]
    fn only_addresses_of_the_web_are_taken() {
        let cases = [
            ("", SecretUrlError::NotAUrl),
            ("hooks.example/x", SecretUrlError::NotAUrl),
            ("file:///etc/passwd", SecretUrlError::OtherScheme),
            ("mailto:me@example.org", SecretUrlError::OtherScheme),
            ("unix:/run/docker.sock", SecretUrlError::OtherScheme),
        ];
        for (text, want) in cases {
            assert_eq!(SecretUrl::parse(text), Err(want), "{text}");
        }
    }

    #[test]
    fn a_path_grows_at_its_end_and_keeps_its_query() {
        for (base, want) in [
            ("https://hc.example/ping/uuid", "https://hc.example/ping/uuid/fail"),
            ("https://hc.example/ping/uuid/", "https://hc.example/ping/uuid/fail"),
            ("https://hc.example/uuid?create=1", "https://hc.example/uuid/fail?create=1"),
            ("https://hc.example", "https://hc.example/fail"),
        ] {
            assert_eq!(SecretUrl::parse(base).unwrap().join(&["fail"]).expose().as_str(), want);
        }
    }
}
