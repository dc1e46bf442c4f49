//! Who asks: by a bearer token, by its address where none is needed.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use axum::http::{HeaderMap, header};
use base64::{Engine, engine::general_purpose::STANDARD};
use subtle::ConstantTimeEq;

use crate::{gateway::ClientId, types::Secret};

/// Who asks, and whether limits are for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) client: ClientId,
    /// The service itself, which reads the chain through its own gateway.
    pub(super) is_own: bool,
}

/// The tokens.
#[derive(Debug)]
pub(super) struct Access {
    tokens: Vec<(Arc<str>, Secret)>,
    own: Option<Secret>,
}

impl Access {
    /// `own`: the token that the service itself sends.
    pub(super) fn new(tokens: &[(String, Secret)], own: Option<Secret>) -> Self {
        let tokens = tokens.iter().map(|(name, token)| (Arc::from(name.as_str()), token.clone())).collect();
        Self { tokens, own }
    }

    /// Who asks; none: a token is needed, and there is none or a wrong one.
    pub(super) fn identify(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> Option<Caller> {
        let given = credentials(headers);
        let given = given.as_deref().unwrap_or_default();
        if self.own.as_ref().is_some_and(|own| is_same(given, &own.0)) {
            return Some(Caller { client: ClientId::Own, is_own: true });
        }
        // All are compared, whichever is right.
        let mut found = None;
        for (name, token) in &self.tokens {
            if is_same(given, &token.0) {
                found = Some(Caller { client: ClientId::Token(Arc::clone(name)), is_own: false });
            }
        }
        if self.tokens.is_empty() {
            let address = counted_address(peer.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED)));
            return Some(Caller { client: ClientId::Address(address), is_own: false });
        }
        found
    }
}

/// The address that a client is counted by. Whoever has one address of IPv6 has a network of them.
fn counted_address(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
    }
}

/// The token of `Bearer`, or the password of `Basic`, which is how an address with a token in it arrives: `http://any:TOKEN@host:18545`.
fn credentials(headers: &HeaderMap) -> Option<String> {
    let (scheme, rest) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
    text.split_once(':').map(|(_, password)| password.to_owned())
}

/// Compares in a time that depends on the lengths alone. An empty token is nobody's.
fn is_same(a: &str, b: &str) -> bool {
    !a.is_empty() && bool::from(a.as_bytes().ct_eq(b.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if !value.is_empty() {
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        }
        headers
    }

    fn name(caller: Option<Caller>) -> Option<String> {
        caller.map(|caller| match caller.client {
            ClientId::Own => "relaymux".to_owned(),
            ClientId::Token(name) => name.to_string(),
            ClientId::Address(address) => address.to_string(),
        })
    }

    #[test]
    fn a_token_is_needed_once_there_are_any() {
        let secret = |text: &str| Secret(text.to_owned());
        let tokens = [("wallet".to_owned(), secret("w-token")), ("l2".to_owned(), secret("l2-token"))];
        let access = Access::new(&tokens, Some(secret("own-token")));
        let peer = Some("10.0.0.1".parse().unwrap());
        let basic = format!("Basic {}", STANDARD.encode("any:l2-token"));
        for (value, want) in [
            ("Bearer w-token", Some("wallet")),
            ("bearer l2-token", Some("l2")),
            (basic.as_str(), Some("l2")),
            ("Bearer own-token", Some("relaymux")),
            ("Bearer w-toke", None),
            ("Bearer ", None),
            ("w-token", None),
            ("Digest w-token", None),
            ("", None),
        ] {
            assert_eq!(name(access.identify(&with(value), peer)).as_deref(), want, "{value}");
        }
        let open = Access::new(&[], Some(secret("own-token")));
        assert_eq!(name(open.identify(&with(""), peer)).as_deref(), Some("10.0.0.1"));
        assert_eq!(name(open.identify(&with("Bearer any"), peer)).as_deref(), Some("10.0.0.1"));
        assert!(open.identify(&with("Bearer own-token"), peer).unwrap().is_own);
        assert!(!Access::new(&[], None).identify(&with("Bearer "), peer).unwrap().is_own);
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        for (address, want) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ] {
            assert_eq!(counted_address(address.parse().unwrap()).to_string(), want);
        }
    }
}
