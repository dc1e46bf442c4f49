//! Validator registrations in bulk: read one by one, never as a tree, so that 100,000 of them cost their own bytes and little more.
//!
//! In: the body a consensus client sent. Out: each registration's facts, the other encoding, or cuts at item boundaries.
//! Signatures are not checked here: each relay does, and the auction does before it believes what is new.

use std::fmt;

use alloy_primitives::Address;
use serde::{
    Deserializer as _,
    de::{SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use ssz::{Decode, Encode};

use super::containers::SignedValidatorRegistration;
use crate::types::BlsPublicKey;

/// Size of a `SignedValidatorRegistrationV1` in SSZ.
pub const REGISTRATION_SSZ_BYTES: usize = 180;

/// Typical size of a registration in JSON; only sizes buffers.
const REGISTRATION_JSON_BYTES: usize = 460;

/// What a validator asked builders for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The validator's key, which signed this.
    pub pubkey: BlsPublicKey,
    /// The address that the validator wants its blocks to pay.
    pub fee_recipient: Address,
    /// The gas limit the proposer votes for.
    pub gas_limit: u64,
    /// When it was signed, Unix seconds.
    pub timestamp: u64,
}

/// Why a body is not a list of registrations.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    /// SSZ items are 180 bytes each.
    #[error("{bytes} bytes of SSZ are not a whole number of 180-byte registrations")]
    Length {
        /// Length of the body.
        bytes: usize,
    },
    /// Not a JSON array of signed registrations.
    #[error("not a JSON array of signed validator registrations: {0}")]
    Json(String),
}

impl From<&SignedValidatorRegistration> for Registration {
    fn from(signed: &SignedValidatorRegistration) -> Self {
        let message = &signed.message;
        Self {
            pubkey: BlsPublicKey(message.pubkey),
            fee_recipient: message.fee_recipient,
            gas_limit: message.gas_limit,
            timestamp: message.timestamp,
        }
    }
}

/// Number of registrations in an SSZ body.
///
/// # Errors
/// When the length does not fit.
pub fn count_ssz(body: &[u8]) -> Result<usize, RegistrationError> {
    if body.len().is_multiple_of(REGISTRATION_SSZ_BYTES) {
        Ok(body.len() / REGISTRATION_SSZ_BYTES)
    } else {
        Err(RegistrationError::Length { bytes: body.len() })
    }
}

/// Shows each registration of an SSZ body to `see`; returns how many there were.
///
/// # Errors
/// When the body is not whole registrations.
pub fn visit_ssz(
    body: &[u8],
    mut see: impl FnMut(&SignedValidatorRegistration),
) -> Result<usize, RegistrationError> {
    let count = count_ssz(body)?;
    for item in body.chunks_exact(REGISTRATION_SSZ_BYTES) {
        let signed = SignedValidatorRegistration::from_ssz_bytes(item)
            .map_err(|_| RegistrationError::Length { bytes: body.len() })?;
        see(&signed);
    }
    Ok(count)
}

/// Shows each registration of a JSON body to `see`; returns how many there were.
///
/// # Errors
/// When the body is not a JSON array of registrations. Those before the mistake have been shown.
pub fn visit_json(
    body: &[u8],
    see: impl FnMut(&SignedValidatorRegistration),
) -> Result<usize, RegistrationError> {
    struct Items<F>(F);

    impl<'de, F: FnMut(&SignedValidatorRegistration)> Visitor<'de> for Items<F> {
        type Value = usize;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array of signed validator registrations")
        }

        fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<usize, A::Error> {
            let mut count = 0;
            while let Some(signed) = items.next_element::<SignedValidatorRegistration>()? {
                (self.0)(&signed);
                count += 1;
            }
            Ok(count)
        }
    }

    // JSON is UTF-8 (RFC 8259), also in what nobody reads: otherwise a body would be taken here that cannot be cut for relays.
    let text = std::str::from_utf8(body).map_err(|e| RegistrationError::Json(e.to_string()))?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let count = deserializer.deserialize_seq(Items(see)).map_err(|e| json_error(&e))?;
    deserializer.end().map_err(|e| json_error(&e))?;
    Ok(count)
}

/// The SSZ body of a JSON body.
///
/// # Errors
/// As [`visit_json`].
pub fn ssz_from_json(body: &[u8]) -> Result<Vec<u8>, RegistrationError> {
    let mut out = Vec::with_capacity(body.len() / REGISTRATION_JSON_BYTES * REGISTRATION_SSZ_BYTES);
    visit_json(body, |signed| signed.ssz_append(&mut out))?;
    Ok(out)
}

/// The JSON body of an SSZ body.
///
/// # Errors
/// As [`visit_ssz`].
pub fn json_from_ssz(body: &[u8]) -> Result<Vec<u8>, RegistrationError> {
    let mut out = Vec::with_capacity(count_ssz(body)?.saturating_mul(REGISTRATION_JSON_BYTES) + 2);
    out.push(b'[');
    visit_ssz(body, |signed| {
        if out.len() > 1 {
            out.push(b',');
        }
        // Writing to memory cannot fail: every key is a string and no field refuses.
        let _ = serde_json::to_writer(&mut out, signed);
    })?;
    out.push(b']');
    Ok(out)
}

/// Cuts a JSON body into bodies of at most `items` registrations each, at item boundaries, texts unchanged.
///
/// # Errors
/// When the body is not a JSON array.
pub fn split_json(body: &[u8], items: usize) -> Result<Vec<Vec<u8>>, RegistrationError> {
    let all: Vec<&RawValue> = serde_json::from_slice(body).map_err(|e| json_error(&e))?;
    let join = |part: &[&RawValue]| {
        let texts: Vec<&str> = part.iter().map(|item| item.get()).collect();
        format!("[{}]", texts.join(",")).into_bytes()
    };
    Ok(all.chunks(items.max(1)).map(join).collect())
}

fn json_error(error: &serde_json::Error) -> RegistrationError {
    RegistrationError::Json(error.to_string().chars().take(160).collect())
}

#[cfg(test)]
mod tests {
    use alloy_primitives::FixedBytes;

    use super::*;
    use crate::consensus::containers::ValidatorRegistration;

    fn bodies(count: u8) -> (Vec<u8>, Vec<u8>) {
        let items: Vec<_> = (0..count)
            .map(|n| SignedValidatorRegistration {
                message: ValidatorRegistration {
                    fee_recipient: Address::repeat_byte(n),
                    gas_limit: 60_000_000 + u64::from(n),
                    timestamp: 1_700_000_000,
                    pubkey: FixedBytes::repeat_byte(n),
                },
                signature: FixedBytes::repeat_byte(0xee),
            })
            .collect();
        (serde_json::to_vec(&items).unwrap(), items.iter().flat_map(Encode::as_ssz_bytes).collect())
    }

    /// Found by fuzzing: such a body was taken, and then could not be cut for a relay that wants smaller ones.
    #[test]
    fn what_is_no_utf_8_is_refused_also_where_nobody_reads_it() {
        let (json, _) = bodies(2);
        let text =
            String::from_utf8(json).unwrap().replacen("{\"message\"", "{\"other\":\"?\",\"message\"", 1);
        assert_eq!(ssz_from_json(text.as_bytes()).map(|ssz| ssz.len()), Ok(360));
        let broken: Vec<u8> = text.bytes().map(|byte| if byte == b'?' { 0xff } else { byte }).collect();
        assert!(matches!(ssz_from_json(&broken), Err(RegistrationError::Json(_))));
        assert!(split_json(&broken, 1).is_err());
    }

    #[test]
    fn both_encodings_say_the_same() {
        let (json, ssz) = bodies(5);
        assert_eq!(ssz_from_json(&json).unwrap(), ssz);
        assert_eq!(json_from_ssz(&ssz).unwrap(), json);
        let (mut a, mut b) = (Vec::new(), Vec::new());
        assert_eq!(visit_json(&json, |r| a.push(r.clone())), Ok(5));
        assert_eq!(visit_ssz(&ssz, |r| b.push(r.clone())), Ok(5));
        assert_eq!(a, b);
        assert_eq!(visit_json(b"[]", |_| ()), Ok(0));
        assert_eq!(json_from_ssz(b"").unwrap(), b"[]");
    }

    #[test]
    fn cuts_fall_between_items() {
        let (json, _) = bodies(5);
        let parts = split_json(&json, 2).unwrap();
        assert_eq!(parts.iter().map(|p| visit_json(p, |_| ()).unwrap()).collect::<Vec<_>>(), [2, 2, 1]);
        let texts = |part: &Vec<u8>| String::from_utf8(part[1..part.len() - 1].to_vec()).unwrap();
        let joined: Vec<String> = parts.iter().map(texts).collect();
        assert_eq!(format!("[{}]", joined.join(",")).into_bytes(), json);
    }

    #[test]
    fn other_bodies_are_refused_with_a_reason() {
        let (json, ssz) = bodies(2);
        assert!(visit_ssz(&ssz[1..], |_| ()).is_err());
        for bad in [&b"{}"[..], b"", b"[{}]", b"null", &json[..json.len() - 1], &[&json[..], b"x"].concat()] {
            assert!(matches!(visit_json(bad, |_| ()), Err(RegistrationError::Json(_))));
        }
    }
}
