//! Gas limits of blocks that were bid lately: what the block on top of one may have follows from it.
//!
//! Learned from bids that their relay signed, and from nothing else: a forged bid that names the next parent with a wrong limit would
//! make every honest bid on it look wrong.

use std::collections::VecDeque;

use alloy_primitives::B256;
use parking_lot::Mutex;

use crate::consensus::BidFacts;

/// Blocks remembered. Arbitrary: some slots' worth, a few signed bids each.
const KEPT: usize = 256;

/// The memory. Locked for microseconds, never across an await.
#[derive(Debug, Default)]
pub(super) struct GasLimits {
    kept: Mutex<VecDeque<(B256, u64)>>,
}

impl GasLimits {
    /// A relay signed a bid.
    pub(super) fn learn(&self, bid: &BidFacts) {
        self.keep(bid.block_hash, bid.gas_limit);
    }

    fn keep(&self, block_hash: B256, gas_limit: u64) {
        let mut kept = self.kept.lock();
        // The first word counts: a relay that signs a block twice changes nothing that another one signed.
        if kept.iter().any(|(hash, _)| *hash == block_hash) {
            return;
        }
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back((block_hash, gas_limit));
    }

    /// The gas limit of a block, if it was bid lately.
    pub(super) fn of(&self, block_hash: B256) -> Option<u64> {
        self.kept.lock().iter().rev().find(|(hash, _)| *hash == block_hash).map(|(_, limit)| *limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_and_the_first_word_counts() {
        let limits = GasLimits::default();
        let hash = |n: usize| B256::left_padding_from(&n.to_be_bytes());
        for n in 0..1000 {
            limits.keep(hash(n), 30);
            limits.keep(hash(n), 60);
        }
        assert_eq!((limits.of(hash(999)), limits.of(hash(0))), (Some(30), None));
        assert_eq!(limits.kept.lock().len(), KEPT);
    }
}
