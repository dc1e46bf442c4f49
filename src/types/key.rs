//! BLS keys, signatures and hashes as bytes. Whether a key is a point of the curve is `consensus::bls`'s question.

use std::{fmt, str::FromStr};

use alloy_primitives::{B256, FixedBytes, hex};

/// A compressed BLS12-381 G1 public key: 48 bytes. Not checked to be on the curve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlsPublicKey(pub FixedBytes<48>);

/// A compressed BLS12-381 G2 signature: 96 bytes.
pub type BlsSignature = FixedBytes<96>;

/// Why a text is not bytes of the wanted length.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 0x and {expected_digits} hex digits, got {got_chars} characters that are not that")]
pub struct HexError {
    expected_digits: usize,
    got_chars: usize,
}

fn parse_fixed<const N: usize>(text: &str) -> Result<FixedBytes<N>, HexError> {
    let error = || HexError { expected_digits: N * 2, got_chars: text.chars().count() };
    let digits = text.strip_prefix("0x").ok_or_else(error)?;
    let mut bytes = [0u8; N];
    // `hex` would accept a second 0x, so the length is checked before it sees the digits.
    if digits.len() != N * 2 || digits.starts_with("0x") {
        return Err(error());
    }
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| error())?;
    Ok(FixedBytes(bytes))
}

/// Parses `0x` and 64 hex digits of any case.
///
/// # Errors
/// When the text is anything else.
pub fn parse_hash(text: &str) -> Result<B256, HexError> {
    parse_fixed::<32>(text)
}

impl FromStr for BlsPublicKey {
    type Err = HexError;

    fn from_str(text: &str) -> Result<Self, HexError> {
        parse_fixed::<48>(text).map(Self)
    }
}

impl fmt::Display for BlsPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&hex::encode_prefixed(self.0), f)
    }
}

impl serde::Serialize for BlsPublicKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_exactly_32_bytes_of_prefixed_hex_in_any_case() {
        assert!(parse_hash(&format!("0x{}", "aB".repeat(32))).is_ok());
        for text in [
            "",
            "0x",
            &"a".repeat(64),
            &format!("0x{}", "a".repeat(63)),
            &format!("0x{}", "g".repeat(64)),
            &format!("0x0x{}", "a".repeat(62)),
            &format!("0X{}", "a".repeat(64)),
            &format!("0x{}", "ä".repeat(32)),
        ] {
            assert!(parse_hash(text).is_err(), "{text}");
        }
    }
}
