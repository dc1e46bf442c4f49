//! A blob, kept on the heap and never looked into: 128 KiB that only travel.

use std::fmt;

use alloy_primitives::hex;
use bytes::Bytes;
use serde::{Deserializer, Serializer, de};

/// Size of a blob in bytes: 4096 field elements of 32 bytes. Source: consensus-specs, deneb.
pub const BLOB_BYTES: usize = 131_072;

/// A blob: [`BLOB_BYTES`] bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Blob(Bytes);

impl Blob {
    /// A blob of zeros.
    pub fn zero() -> Self {
        Self::filled(0)
    }

    /// A blob that has `byte` everywhere.
    pub fn filled(byte: u8) -> Self {
        Self(Bytes::from(vec![byte; BLOB_BYTES]))
    }

    /// Its [`BLOB_BYTES`] bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Blob(..)")
    }
}

impl ssz::Encode for Blob {
    fn is_ssz_fixed_len() -> bool {
        true
    }

    fn ssz_fixed_len() -> usize {
        BLOB_BYTES
    }

    fn ssz_bytes_len(&self) -> usize {
        BLOB_BYTES
    }

    fn ssz_append(&self, buf: &mut Vec<u8>) {
        buf.extend_from_slice(&self.0);
    }
}

impl ssz::Decode for Blob {
    fn is_ssz_fixed_len() -> bool {
        true
    }

    fn ssz_fixed_len() -> usize {
        BLOB_BYTES
    }

    fn from_ssz_bytes(bytes: &[u8]) -> Result<Self, ssz::DecodeError> {
        if bytes.len() == BLOB_BYTES {
            Ok(Self(Bytes::copy_from_slice(bytes)))
        } else {
            Err(ssz::DecodeError::InvalidByteLength { len: bytes.len(), expected: BLOB_BYTES })
        }
    }
}

impl serde::Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode_prefixed(&self.0))
    }
}

impl<'de> serde::Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Hex;

        impl de::Visitor<'_> for Hex {
            type Value = Blob;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("0x and 262144 hex digits")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Blob, E> {
                let bytes = text.strip_prefix("0x").and_then(|digits| hex::decode(digits).ok());
                match bytes {
                    Some(bytes) if bytes.len() == BLOB_BYTES => Ok(Blob(bytes.into())),
                    Some(_) | None => Err(E::invalid_length(text.len(), &self)),
                }
            }
        }

        deserializer.deserialize_str(Hex)
    }
}
