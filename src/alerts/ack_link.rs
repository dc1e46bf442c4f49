//! Links in messages that acknowledge: signed, expiring, and good for one incident.
//!
//! A token says the incident and until when it can be used, and an HMAC-SHA256 of both. Whoever has it may acknowledge that incident, and
//! nothing else. A page behind it must ask before it acknowledges: services that show a link's preview open it.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use rand::RngCore;
use sha2::Sha256;

use crate::types::UnixMillis;

/// Longest token that is looked at, in bytes.
const MAX_TOKEN_BYTES: usize = 512;
/// What the signature is of, so that no other signature with the same key is one.
const PURPOSE: &[u8] = b"relaymux acknowledge v1";

/// What signs links. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct AckKey([u8; 32]);

impl AckKey {
    /// A key of these bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A new key.
    pub fn random() -> Self {
        let mut bytes = [0; 32];
        rand::rng().fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// Its bytes, to be kept in a file of mode 0600: links outlive a restart then.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for AckKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AckKey(..)")
    }
}

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum AckLinkError {
    /// It is none, or somebody else's.
    #[error(
        "this link is not one of this service's: open the alert in the dashboard and acknowledge it there"
    )]
    Invalid,
    /// Its time is over.
    #[error("this link has expired: open the alert in the dashboard and acknowledge it there")]
    Expired,
}

/// A token that acknowledges an incident until `expires_at`. Safe in a URL.
pub fn sign(key: &AckKey, incident: &str, expires_at: UnixMillis) -> String {
    let signature = mac(key, incident, expires_at).map(|mac| mac.finalize().into_bytes());
    // A key of any length is good for HMAC: there is always a signature.
    let signature = signature.map(|bytes| URL_SAFE_NO_PAD.encode(bytes)).unwrap_or_default();
    format!("{}.{expires_at}.{signature}", URL_SAFE_NO_PAD.encode(incident))
}

/// The incident that a token acknowledges.
///
/// # Errors
/// When it is none of ours, or has expired.
pub fn verify(key: &AckKey, token: &str, now: UnixMillis) -> Result<String, AckLinkError> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(AckLinkError::Invalid);
    }
    let mut parts = token.split('.');
    let (Some(incident), Some(expires_at), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(AckLinkError::Invalid);
    };
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| AckLinkError::Invalid);
    let incident = String::from_utf8(decode(incident)?).map_err(|_| AckLinkError::Invalid)?;
    let expires_at: UnixMillis = expires_at.parse().map_err(|_| AckLinkError::Invalid)?;
    let signature = decode(signature)?;
    let mac = mac(key, &incident, expires_at).ok_or(AckLinkError::Invalid)?;
    // Compares in constant time.
    mac.verify_slice(&signature).map_err(|_| AckLinkError::Invalid)?;
    if now < expires_at { Ok(incident) } else { Err(AckLinkError::Expired) }
}

fn mac(key: &AckKey, incident: &str, expires_at: UnixMillis) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.0).ok()?;
    mac.update(PURPOSE);
    mac.update(&expires_at.to_be_bytes());
    mac.update(incident.as_bytes());
    Some(mac)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: AckKey = AckKey::new([7; 32]);

    #[test]
    fn a_token_is_good_until_it_expires() {
        let token = sign(&KEY, "P1-relays-3-17", 1000);
        assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)), "{token}");
        assert_eq!(verify(&KEY, &token, 999).as_deref(), Ok("P1-relays-3-17"));
        assert_eq!(verify(&KEY, &token, 1000), Err(AckLinkError::Expired));
        assert_eq!(verify(&AckKey::new([8; 32]), &token, 999), Err(AckLinkError::Invalid));
        let later = token.replace(".1000.", ".9000.");
        assert_eq!(verify(&KEY, &later, 999), Err(AckLinkError::Invalid));
        let other =
            format!("{}{}", URL_SAFE_NO_PAD.encode("P1-relays-4-17"), &token[token.find('.').unwrap()..]);
        assert_eq!(verify(&KEY, &other, 999), Err(AckLinkError::Invalid));
    }

    #[test]
    fn a_key_is_never_shown() {
        assert_eq!(format!("{KEY:?}"), "AckKey(..)");
        assert_ne!(AckKey::random(), AckKey::random());
    }

    proptest! {
        #[test]
        fn whatever_is_no_token_is_refused(token in "[A-Za-z0-9._-]{0,600}") {
            prop_assert_eq!(verify(&KEY, &token, 0), Err(AckLinkError::Invalid));
        }

        #[test]
        fn any_incident_comes_back(incident in ".{0,80}") {
            prop_assert_eq!(verify(&KEY, &sign(&KEY, &incident, 10), 5), Ok(incident));
        }
    }
}
