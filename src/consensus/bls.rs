//! BLS12-381 signatures as Ethereum uses them: public keys in G1, proof-of-possession ciphersuite.
//!
//! Verification runs on the calling thread, about a millisecond of CPU: callers on the runtime hand it to a blocking thread. A
//! public key that is verified against often is decompressed and checked once ([`ValidatedKey`]).

use std::num::NonZeroU64;

use alloy_primitives::B256;
use blst::{
    BLST_ERROR, blst_scalar,
    min_pk::{PublicKey, SecretKey, Signature},
};

use crate::types::{BlsPublicKey, BlsSignature};

/// Source: consensus-specs `BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_`.
const DST: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

/// Bits of the random numbers by which signatures are told apart when they are checked together: one in 2^64 wrong ones passes.
const FACTOR_BITS: usize = 64;

/// A public key known to be a point of the right subgroup, and not infinity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatedKey {
    bytes: BlsPublicKey,
    point: PublicKey,
}

/// The bytes are not a usable public key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid BLS public key: it is not a point of the curve's subgroup, or is infinity")]
pub struct InvalidKey;

/// A signature that somebody claims to have made.
#[derive(Clone, Debug)]
pub struct ClaimedSignature {
    /// Whose it is said to be.
    pub key: BlsPublicKey,
    /// What it is said to be over.
    pub root: B256,
    /// What is checked against both.
    pub signature: BlsSignature,
}

/// A secret key: of the simulation, and of those who sign requests.
#[derive(Clone)]
pub struct SigningKey(SecretKey);

impl ValidatedKey {
    /// Decompresses and checks a key, about 50 µs.
    ///
    /// # Errors
    /// When it is off the curve, outside the subgroup, or infinity.
    pub fn new(bytes: BlsPublicKey) -> Result<Self, InvalidKey> {
        let point = PublicKey::key_validate(bytes.0.as_slice()).map_err(|_| InvalidKey)?;
        Ok(Self { bytes, point })
    }

    /// The compressed key.
    pub fn bytes(&self) -> BlsPublicKey {
        self.bytes
    }

    /// Whether `signature` is this key's over `root`. Checks the signature's subgroup too.
    pub fn has_signed(&self, root: B256, signature: &BlsSignature) -> bool {
        let Ok(signature) = Signature::from_bytes(signature.as_slice()) else { return false };
        signature.verify(true, root.as_slice(), DST, &[], &self.point, false) == BLST_ERROR::BLST_SUCCESS
    }
}

/// Which of many signatures are good, in their order. Good ones are checked together, each multiplied by a random number, so that wrong ones
/// cannot make up for each other: half the work of checking each alone. Where one is wrong, halves are checked, until it is found.
///
/// Source: "Fast verification of multiple BLS signatures" (Buterin, 2019), which consensus clients follow for attestations.
pub fn which_are_signed(claims: &[ClaimedSignature]) -> Vec<bool> {
    let points = |claim: &ClaimedSignature| {
        let key = PublicKey::from_bytes(claim.key.0.as_slice()).ok()?;
        Some((key, Signature::from_bytes(claim.signature.as_slice()).ok()?))
    };
    let readable: Vec<(usize, PublicKey, Signature, B256)> = claims
        .iter()
        .enumerate()
        .filter_map(|(place, claim)| {
            points(claim).map(|(key, signature)| (place, key, signature, claim.root))
        })
        .collect();
    let mut good = vec![false; claims.len()];
    let mut parts = vec![readable.as_slice()];
    while let Some(part) = parts.pop() {
        if part.is_empty() {
        } else if all_are_signed(part) {
            for place in part.iter().map(|(place, ..)| *place) {
                if let Some(good) = good.get_mut(place) {
                    *good = true;
                }
            }
        } else if part.len() > 1 {
            let (first, second) = part.split_at(part.len() / 2);
            parts.extend([first, second]);
        }
    }
    good
}

fn all_are_signed(part: &[(usize, PublicKey, Signature, B256)]) -> bool {
    let roots: Vec<&[u8]> = part.iter().map(|(_, _, _, root)| root.as_slice()).collect();
    let keys: Vec<&PublicKey> = part.iter().map(|(_, key, _, _)| key).collect();
    let signatures: Vec<&Signature> = part.iter().map(|(_, _, signature, _)| signature).collect();
    let factors: Vec<blst_scalar> = part.iter().map(|_| random_factor()).collect();
    let result = Signature::verify_multiple_aggregate_signatures(
        &roots,
        DST,
        &keys,
        true,
        &signatures,
        true,
        &factors,
        FACTOR_BITS,
    );
    result == BLST_ERROR::BLST_SUCCESS
}

/// A random number that is not 0.
fn random_factor() -> blst_scalar {
    let mut factor = blst_scalar::default();
    let random = rand::random::<NonZeroU64>().get().to_le_bytes();
    for (to, from) in factor.b.iter_mut().zip(random) {
        *to = from;
    }
    factor
}

impl SigningKey {
    /// Derives a key from 32 bytes or more of seed; the same seed gives the same key. `None` for a shorter seed.
    pub fn from_seed(seed: &[u8]) -> Option<Self> {
        SecretKey::key_gen(seed, &[]).ok().map(Self)
    }

    /// The public key.
    pub fn public_key(&self) -> BlsPublicKey {
        BlsPublicKey(self.0.sk_to_pk().compress().into())
    }

    /// Signs a root.
    pub fn sign(&self, root: B256) -> BlsSignature {
        self.0.sign(root.as_slice(), DST, &[]).compress().into()
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::FixedBytes;

    use super::*;

    #[test]
    fn a_signature_is_good_for_one_key_and_one_root() {
        let key = SigningKey::from_seed(&[7; 32]).unwrap();
        let other = SigningKey::from_seed(&[8; 32]).unwrap();
        let root = B256::repeat_byte(3);
        let signature = key.sign(root);
        let valid = |key: &SigningKey| ValidatedKey::new(key.public_key()).unwrap();
        assert!(valid(&key).has_signed(root, &signature));
        assert!(!valid(&other).has_signed(root, &signature));
        assert!(!valid(&key).has_signed(B256::ZERO, &signature));
        assert!(!valid(&key).has_signed(root, &FixedBytes::ZERO));
    }

    #[test]
    fn of_many_signatures_just_the_wrong_ones_are_found() {
        let claim = |n: u8| {
            let key = SigningKey::from_seed(&[n; 32]).unwrap();
            let root = B256::repeat_byte(n);
            ClaimedSignature { key: key.public_key(), root, signature: key.sign(root) }
        };
        let mut claims: Vec<_> = (1..=13).map(claim).collect();
        assert_eq!(which_are_signed(&claims), [true; 13]);
        assert_eq!(which_are_signed(&[]), [false; 0]);
        // Exchanged: as a sum they are what they were.
        let first = claims[0].signature;
        claims[0].signature = claims[1].signature;
        claims[1].signature = first;
        claims[5].root = B256::ZERO;
        claims[7].signature = FixedBytes::ZERO;
        claims[9].key = BlsPublicKey([0xff; 48].into());
        claims[12].key = claims[11].key;
        let wrong = [0, 1, 5, 7, 9, 12];
        let expected: Vec<bool> = (0..13).map(|place| !wrong.contains(&place)).collect();
        assert_eq!(which_are_signed(&claims), expected);
        let alone: Vec<bool> = claims
            .iter()
            .map(|claim| {
                ValidatedKey::new(claim.key).is_ok_and(|key| key.has_signed(claim.root, &claim.signature))
            })
            .collect();
        assert_eq!(alone, expected, "as one by one");
    }

    #[test]
    fn infinity_and_points_off_the_curve_are_no_keys() {
        let mut infinity = [0u8; 48];
        infinity[0] = 0xc0;
        for bytes in [infinity, [0; 48], [0xff; 48], [0x8a; 48]] {
            assert_eq!(ValidatedKey::new(BlsPublicKey(bytes.into())).unwrap_err(), InvalidKey);
        }
    }
}
