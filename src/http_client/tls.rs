//! Whom to believe in TLS: the authorities, and a rustls configuration by them.

use std::{path::PathBuf, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

/// Which certificate authorities the far side is checked against.
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

/// What a client that knows HTTP/2 offers in the handshake.
pub(super) const HTTP1_AND_2: &[&[u8]] = &[b"h2", b"http/1.1"];
/// What one offers that does not.
pub(super) const HTTP1: &[&[u8]] = &[b"http/1.1"];

/// The authorities, read once for any number of clients.
#[derive(Clone, Debug)]
pub(super) struct Tls(Arc<RootCertStore>);

impl Tls {
    /// Reads them. Costs milliseconds.
    ///
    /// # Errors
    /// When the file cannot be read, or has no certificate or a damaged one.
    pub(super) fn new(roots: &TlsRoots) -> Result<Self, HttpClientError> {
        let mut store = RootCertStore::empty();
        match roots {
            TlsRoots::Bundled => {
                for der in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
                    store.add(der.clone()).map_err(|error| HttpClientError::Tls(error.to_string()))?;
                }
            }
            TlsRoots::File(path) => {
                let wrong = |what: String| HttpClientError::Tls(format!("{}: {what}", path.display()));
                let pem = std::fs::read(path)
                    .map_err(|error| HttpClientError::Read { path: path.clone(), error })?;
                for der in CertificateDer::pem_slice_iter(&pem) {
                    let der = der.map_err(|error| wrong(error.to_string()))?;
                    store.add(der).map_err(|error| wrong(error.to_string()))?;
                }
                if store.is_empty() {
                    return Err(wrong("there is no certificate in it".to_owned()));
                }
            }
        }
        Ok(Self(Arc::new(store)))
    }

    /// A configuration that offers these protocols, with sessions of its own.
    ///
    /// # Errors
    /// When the library refuses the set-up.
    pub(super) fn config(&self, protocols: &[&[u8]]) -> Result<ClientConfig, HttpClientError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| HttpClientError::Tls(error.to_string()))?;
        let mut config = builder.with_root_certificates(Arc::clone(&self.0)).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_list_and_a_file_of_certificates_are_taken() {
        let bundled = Tls::new(&TlsRoots::Bundled).unwrap();
        assert!(bundled.0.len() > 100);
        assert_eq!(bundled.config(HTTP1_AND_2).unwrap().alpn_protocols, [&b"h2"[..], b"http/1.1"]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("roots.pem");
        let made = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let (first, second) = (made("a").cert.pem(), made("b").cert.pem());
        std::fs::write(
            &path,
            format!("words before it\n{first}{}{second}", made("c").signing_key.serialize_pem()),
        )
        .unwrap();
        assert_eq!(Tls::new(&TlsRoots::File(path)).unwrap().0.len(), 2, "a key is no certificate");
    }

    #[test]
    fn a_file_that_is_none_is_refused_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("roots.pem");
        let said = || Tls::new(&TlsRoots::File(path.clone())).unwrap_err().to_string();
        let missing = said();
        assert!(
            missing.starts_with("cannot read the TLS roots ") && missing.contains("roots.pem"),
            "{missing}"
        );
        for (text, words) in [
            ("", "there is no certificate in it"),
            ("not PEM at all\n", "there is no certificate in it"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "BadEncoding"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n", "section end"),
        ] {
            std::fs::write(&path, text).unwrap();
            let said = said();
            assert!(said.starts_with("cannot set up TLS: ") && said.contains("roots.pem"), "{said}");
            assert!(said.contains(words), "{text}: {said}");
        }
    }
}
