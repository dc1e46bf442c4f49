//! Signatures found good lately, so that the same bid is not checked twice.
//!
//! Several beacon nodes behind one sidecar, distributed validators and repeated polls get the very same signed bid again within a slot;
//! a check costs a millisecond of CPU. Only good ones are kept, under the root, the signature and the key: nothing else can match.

use std::collections::{HashSet, VecDeque};

use alloy_primitives::B256;
use parking_lot::Mutex;

use crate::types::{BlsPublicKey, BlsSignature};

/// Signatures kept. Arbitrary: some slots' worth.
const KEPT: usize = 256;

type Key = (B256, BlsSignature, BlsPublicKey);

/// The memory. Locked for nanoseconds, never across an await.
#[derive(Debug, Default)]
pub(super) struct VerifiedCache {
    kept: Mutex<(HashSet<Key>, VecDeque<Key>)>,
}

impl VerifiedCache {
    /// Whether this signature was found good.
    pub(super) fn knows(&self, key: &Key) -> bool {
        self.kept.lock().0.contains(key)
    }

    /// This signature was found good.
    pub(super) fn keep(&self, key: Key) {
        let mut kept = self.kept.lock();
        let (set, order) = &mut *kept;
        if set.insert(key) {
            order.push_back(key);
            if order.len() > KEPT
                && let Some(oldest) = order.pop_front()
            {
                set.remove(&oldest);
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
        let key = |n: u8| (B256::repeat_byte(n), BlsSignature::ZERO, BlsPublicKey::default());
        cache.keep(key(1));
        cache.keep(key(1));
        assert!(cache.knows(&key(1)));
        assert!(!cache.knows(&(B256::repeat_byte(1), BlsSignature::repeat_byte(1), BlsPublicKey::default())));
        for n in 0..KEPT {
            cache.keep((
                B256::left_padding_from(&n.to_be_bytes()),
                BlsSignature::ZERO,
                BlsPublicKey::default(),
            ));
        }
        assert!(!cache.knows(&key(1)));
    }
}
