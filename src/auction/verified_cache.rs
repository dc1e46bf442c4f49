//! Signatures found good lately, so that the same bid is not checked twice.
//!
//! Several beacon nodes behind one sidecar, distributed validators and repeated polls get the very same signed bid again within a slot;
//! a check costs a millisecond of CPU. Only good ones are kept, under the root, the signature and the key: nothing else can match.

use std::collections::{HashMap, VecDeque};

use alloy_primitives::B256;
use parking_lot::Mutex;

use crate::types::{BlsPublicKey, BlsSignature};

/// Signatures kept. Arbitrary: some slots' worth.
const KEPT: usize = 256;

/// A root that was signed, its signature, and whose it is.
type Signed = (B256, BlsSignature, BlsPublicKey);

#[derive(Debug, Default)]
struct Kept {
    of_signature: HashMap<BlsSignature, (B256, BlsPublicKey)>,
    order: VecDeque<BlsSignature>,
}

/// The memory. Locked for nanoseconds, never across an await.
#[derive(Debug, Default)]
pub(super) struct VerifiedCache {
    kept: Mutex<Kept>,
}

impl VerifiedCache {
    /// Whether a signature was found good for any root: if it was not, the root need not be worked out.
    pub(super) fn has_seen(&self, signature: &BlsSignature) -> bool {
        self.kept.lock().of_signature.contains_key(signature)
    }

    /// Whether this signature was found good.
    pub(super) fn knows(&self, (root, signature, key): &Signed) -> bool {
        self.kept.lock().of_signature.get(signature).is_some_and(|known| *known == (*root, *key))
    }

    /// This signature was found good.
    pub(super) fn keep(&self, (root, signature, key): Signed) {
        let mut kept = self.kept.lock();
        if kept.of_signature.insert(signature, (root, key)).is_none() {
            kept.order.push_back(signature);
            if kept.order.len() > KEPT
                && let Some(oldest) = kept.order.pop_front()
            {
                kept.of_signature.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_are_kept_and_every_part_counts() {
        let cache = VerifiedCache::default();
        let part = |n: usize| {
            (B256::left_padding_from(&n.to_be_bytes()), BlsSignature::left_padding_from(&n.to_be_bytes()))
        };
        let signed = |n: usize| (part(n).0, part(n).1, BlsPublicKey::default());
        cache.keep(signed(1));
        cache.keep(signed(1));
        assert!(cache.knows(&signed(1)) && cache.has_seen(&part(1).1));
        for other in [
            (part(2).0, part(1).1, BlsPublicKey::default()),
            (part(1).0, part(2).1, BlsPublicKey::default()),
            (part(1).0, part(1).1, BlsPublicKey(alloy_primitives::FixedBytes::repeat_byte(1))),
        ] {
            assert!(!cache.knows(&other), "{other:?}");
        }
        for n in 2..KEPT + 2 {
            cache.keep(signed(n));
        }
        assert!(!cache.knows(&signed(1)) && cache.knows(&signed(2)));
        assert_eq!(cache.kept.lock().of_signature.len(), KEPT);
    }
}
