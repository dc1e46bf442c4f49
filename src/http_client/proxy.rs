//! The operator's proxy: where it is, and what opens it.

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use url::Url;

use super::HttpClientError;

/// A proxy for every call.
#[derive(Clone, Debug)]
pub(super) struct Proxy {
    /// Scheme, host and port.
    pub(super) uri: Uri,
    /// `Proxy-Authorization`, from the URL's user name and password.
    pub(super) authorization: Option<HeaderValue>,
}

impl Proxy {
    /// Reads a URL: `http` or `https`.
    ///
    /// # Errors
    /// When it is no such URL. It is not repeated, as it may hold a password.
    pub(super) fn parse(url: &str) -> Result<Self, HttpClientError> {
        let unusable = || HttpClientError::Proxy("it is no http or https URL".to_owned());
        let url = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        // In the URL's own writing: passwords and hosts may have letters that HTTP has not. By this builder neither the environment nor
        // exceptions have a say.
        let matcher = Matcher::builder().all(String::from(url.ok_or_else(unusable)?)).build();
        // A proxy that is not understood here would be passed by.
        let found = matcher.intercept(&Uri::from_static("http://host.example.org/")).ok_or_else(unusable)?;
        Ok(Self { uri: found.uri().clone(), authorization: found.basic_auth().cloned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_with_and_without_credentials() {
        for (url, uri, authorization) in [
            ("http://proxy.example.org:3128", "http://proxy.example.org:3128/", None),
            ("https://proxy.example.org/", "https://proxy.example.org/", None),
            ("http://pröxy.example", "http://xn--prxy-6qa.example/", None),
            ("http://[::1]:3128", "http://[::1]:3128/", None),
            ("http://me:p%40ss@proxy:1", "http://proxy:1/", Some("Basic bWU6cEBzcw==")),
            ("http://me@proxy:1", "http://proxy:1/", Some("Basic bWU6")),
            ("http://me:p{ {s@proxy:1/x?y", "http://proxy:1/", Some("Basic bWU6cHsge3M=")),
        ] {
            let proxy = Proxy::parse(url).unwrap();
            assert_eq!(proxy.uri, uri, "{url}");
            assert_eq!(
                proxy.authorization.as_ref().map(|value| value.to_str().unwrap()),
                authorization,
                "{url}"
            );
            assert!(!format!("{proxy:?}").contains("bWU6"), "{proxy:?}");
        }
        for url in ["socks5://me:s3cret@proxy:1", "http://me:s3cret@{proxy}", "proxy:1", "http://", ""] {
            let error = Proxy::parse(url).unwrap_err().to_string();
            assert_eq!(error, "cannot use the proxy: it is no http or https URL", "{url}");
        }
    }
}
