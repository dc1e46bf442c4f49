//! BLS12-381 signatures as Ethereum uses them: public keys in G1, proof-of-possession ciphersuite.
//!
//! Verification runs on the calling thread, about a millisecond of CPU: callers on the runtime hand it to a blocking thread. A
//! public key that is verified against often is decompressed and checked once ([`ValidatedKey`]).

use alloy_primitives::B256;
use blst::{
    BLST_ERROR,
    min_pk::{PublicKey, SecretKey, Signature},
};

use crate::types::{BlsPublicKey, BlsSignature};

/// Source: consensus-specs `BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_`.
const DST: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

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
    fn infinity_and_points_off_the_curve_are_no_keys() {
        let mut infinity = [0u8; 48];
        infinity[0] = 0xc0;
        for bytes in [infinity, [0; 48], [0xff; 48], [0x8a; 48]] {
            assert_eq!(ValidatedKey::new(BlsPublicKey(bytes.into())).unwrap_err(), InvalidKey);
        }
    }
}
