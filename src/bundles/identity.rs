//! Who sends a bundle: `X-Flashbots-Signature`, verified as an ingress and made anew for builders.
//!
//! `<address>:<signature>` over the hex text of the body's hash, as an Ethereum signed message. Source: flashbots-docs, go-utils `signature`.
//! Builders key reputation, refunds and replacements on the address: a searcher keeps its own where it has a key here.

use std::fmt;

use alloy_primitives::{Address, B256, Signature, U256, eip191_hash_message, hex, keccak256};
use secp256k1::{Message, SECP256K1, SecretKey};

/// The header's name.
pub const HEADER: &str = "x-flashbots-signature";
/// BuilderNet's own name for it, preferred where both are there.
pub const BUILDERNET_HEADER: &str = "x-buildernet-signature";
/// Bytes of a signature: r, s, v.
const SIGNATURE_BYTES: usize = 65;

/// What of the body is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signed {
    /// The hex text of its Keccak hash: everybody but the next.
    HashText,
    /// The body itself (Eureka's examples).
    Body,
}

/// Why a request has no identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// No header.
    #[error("X-Flashbots-Signature is missing: sign the body with the searcher's key")]
    Missing,
    /// Not `address:signature`.
    #[error("X-Flashbots-Signature is not 0x<address>:0x<65 bytes>")]
    Malformed,
    /// Signed by somebody else, or over another body.
    #[error("X-Flashbots-Signature is of another key or body: {recovered} signed this")]
    Wrong {
        /// The address whose key made the signature.
        recovered: Address,
    },
}

fn digest(signed: Signed, body: &[u8]) -> B256 {
    match signed {
        Signed::HashText => eip191_hash_message(hex::encode_prefixed(keccak256(body))),
        Signed::Body => eip191_hash_message(body),
    }
}

/// Who signed a body.
///
/// # Errors
/// When the header is not a signature of the address it names over this body.
pub fn verify(header: Option<&str>, body: &[u8]) -> Result<Address, IdentityError> {
    verify_as(Signed::HashText, header, body)
}

/// Who signed a body itself, as one builder wants it.
///
/// # Errors
/// As [`verify`].
pub fn verify_body(header: Option<&str>, body: &[u8]) -> Result<Address, IdentityError> {
    verify_as(Signed::Body, header, body)
}

fn verify_as(signed: Signed, header: Option<&str>, body: &[u8]) -> Result<Address, IdentityError> {
    let (address, signature) =
        header.ok_or(IdentityError::Missing)?.split_once(':').ok_or(IdentityError::Malformed)?;
    let address: Address = address.trim().parse().map_err(|_| IdentityError::Malformed)?;
    let bytes = hex::decode(signature.trim()).map_err(|_| IdentityError::Malformed)?;
    let bytes: [u8; SIGNATURE_BYTES] = bytes.try_into().map_err(|_| IdentityError::Malformed)?;
    let [rest @ .., v] = bytes;
    // 0, 1, 27 and 28 are in use.
    let v = if v >= 27 { v - 27 } else { v };
    if v > 1 {
        return Err(IdentityError::Malformed);
    }
    let (r, s) = rest.split_at(32);
    let signature = Signature::new(U256::from_be_slice(r), U256::from_be_slice(s), v == 1);
    let recovered = signature
        .recover_address_from_prehash(&digest(signed, body))
        .map_err(|_| IdentityError::Malformed)?;
    if recovered == address { Ok(address) } else { Err(IdentityError::Wrong { recovered }) }
}

/// A key that bundles are signed with towards builders. Never shown.
#[derive(Clone)]
pub struct BundleKey {
    key: SecretKey,
    address: Address,
}

impl fmt::Debug for BundleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BundleKey({})", self.address)
    }
}

impl PartialEq for BundleKey {
    fn eq(&self, other: &Self) -> bool {
        self.address == other.address
    }
}

impl Eq for BundleKey {}

impl BundleKey {
    /// Parses 32 bytes in hex, with or without 0x.
    ///
    /// # Errors
    /// In words that do not repeat the key.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let mut bytes = [0_u8; 32];
        hex::decode_to_slice(text.trim(), &mut bytes).map_err(|_| "expected 32 bytes in hex")?;
        let key = SecretKey::from_byte_array(bytes).map_err(|_| "these 32 bytes are no secp256k1 key")?;
        // The first of the bytes says that the key is not compressed.
        let [_, public @ ..] = key.public_key(SECP256K1).serialize_uncompressed();
        let address = Address::from_raw_public_key(&public);
        Ok(Self { key, address })
    }

    /// The address that builders and searchers know this key by.
    pub fn address(&self) -> Address {
        self.address
    }

    /// The header's value for a body.
    pub fn header(&self, signed: Signed, body: &[u8]) -> String {
        let message = Message::from_digest(digest(signed, body).0);
        let signature = Signature::from(SECP256K1.sign_ecdsa_recoverable(message, &self.key));
        format!("{}:{}", self.address, hex::encode_prefixed(signature.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// flashbots go-utils `signature`, body `Hello`.
    const ADDRESS: &str = "0x4bE0Cd2553356b4ABb8b6a1882325dAbC8d3013D";
    const SIGNATURE: &str = "0xbf36915334f8fa93894cd54d491c31a89dbf917e9a4402b2779b73d21ecf46e36ff07db2bef6d10e92c99a02c1c5ea700b0b674dfa5d3ce9220822a7ebcc17101b";

    #[test]
    fn the_published_vector_is_verified() {
        let header = format!("{ADDRESS}:{SIGNATURE}");
        assert_eq!(verify(Some(&header), b"Hello").unwrap().to_string(), ADDRESS);
        let lower = header.to_lowercase();
        assert!(verify(Some(&lower), b"Hello").is_ok());
        // v of 0 and 1 are taken too.
        let zero = format!("{}00", header.strip_suffix("1b").unwrap());
        assert!(verify(Some(&zero), b"Hello").is_ok());
    }

    #[test]
    fn another_body_key_or_shape_is_refused() {
        let header = format!("{ADDRESS}:{SIGNATURE}");
        assert!(matches!(verify(Some(&header), b"Hello!"), Err(IdentityError::Wrong { .. })));
        assert_eq!(verify(None, b"Hello"), Err(IdentityError::Missing));
        let fifth = format!("{}05", header.strip_suffix("1b").unwrap());
        for header in ["", ":", "0x12:0x34", ADDRESS, &format!("{ADDRESS}:0x00"), &fifth] {
            assert_eq!(verify(Some(header), b"Hello"), Err(IdentityError::Malformed), "{header}");
        }
    }

    #[test]
    fn what_we_sign_verifies_and_the_key_is_not_shown() {
        let key = BundleKey::parse(&"11".repeat(32)).unwrap();
        let header = key.header(Signed::HashText, b"body");
        assert_eq!(verify(Some(&header), b"body").unwrap(), key.address());
        assert_ne!(key.header(Signed::Body, b"body"), header);
        assert!(!format!("{key:?}").contains("1111"));
        assert!(BundleKey::parse("0x12").is_err() && BundleKey::parse(&"00".repeat(32)).is_err());
    }
}
