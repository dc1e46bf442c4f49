//! Whether a block has a bundle in it, and how. Pure.
//!
//! A bundle is in a block when all its transactions are, in order and one behind the other, save those that may be left out; and none
//! failed that may not. That its transactions are merely all in the block says less: they may have been taken apart.

use std::fmt;

use alloy_primitives::B256;

use super::bundle::Bundle;

/// How a block has a bundle otherwise than asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disorder {
    /// Its transactions are in another order.
    Reordered,
    /// Others' transactions are between them.
    TakenApart,
    /// One of them failed that may not.
    Failed,
}

impl fmt::Display for Disorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reordered => "in another order",
            Self::TakenApart => "with others' transactions between",
            Self::Failed => "with a transaction that failed and may not",
        })
    }
}

/// What became of a bundle in one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// None of it is there.
    Absent,
    /// All of it, in order, together. What may be left out, or may revert, did: how many.
    Included {
        /// Left out, as it may be.
        dropped: usize,
        /// Reverted, as it may.
        reverted: usize,
    },
    /// Only some of it, though all should be.
    Partly,
    /// All of it, but not together or in order, or with a failure that may not be: somebody else's doing.
    Unbundled(Disorder),
}

/// A bundle in a block: how, and at which places its transactions are, in the bundle's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Whether all of it is there in its order, only a part, or none.
    pub presence: Presence,
    /// Indices in the block of those transactions that it has.
    pub places: Vec<usize>,
}

/// Judges a block by its transactions: hash, and whether it succeeded.
pub fn presence(bundle: &Bundle, block: &[(B256, bool)]) -> Sighting {
    let place = |hash: &B256| block.iter().position(|(other, _)| other == hash);
    let mut places = Vec::new();
    let (mut missing, mut dropped, mut reverted) = (0, 0, 0);
    let mut has_failed = false;
    for tx in &bundle.transactions {
        match place(&tx.hash) {
            Some(index) => {
                places.push(index);
                if block.get(index).is_some_and(|(_, succeeded)| !succeeded) {
                    if bundle.reverting.contains(&tx.hash) { reverted += 1 } else { has_failed = true }
                }
            }
            // Some builders leave out what may revert, too (Titan: "or be discarded").
            None if bundle.dropping.contains(&tx.hash) || bundle.reverting.contains(&tx.hash) => dropped += 1,
            None => missing += 1,
        }
    }
    let in_order = places.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
    let together = places.windows(2).all(|pair| matches!(pair, [a, b] if a + 1 == *b));
    let presence = if places.is_empty() {
        Presence::Absent
    } else if missing > 0 {
        Presence::Partly
    } else if !in_order {
        Presence::Unbundled(Disorder::Reordered)
    } else if !together {
        Presence::Unbundled(Disorder::TakenApart)
    } else if has_failed {
        Presence::Unbundled(Disorder::Failed)
    } else {
        Presence::Included { dropped, reverted }
    };
    Sighting { presence, places }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundles::bundle::BundleTx;

    fn hash(n: u8) -> B256 {
        B256::repeat_byte(n)
    }

    fn bundle(hashes: &[u8], reverting: &[u8], dropping: &[u8]) -> Bundle {
        let hashes_of = |list: &[u8]| list.iter().map(|n| hash(*n)).collect();
        Bundle {
            transactions: hashes.iter().map(|n| BundleTx { hash: hash(*n), ..BundleTx::default() }).collect(),
            reverting: hashes_of(reverting),
            dropping: hashes_of(dropping),
            ..Bundle::default()
        }
    }

    #[test]
    fn every_presence_has_its_name() {
        let included = |dropped, reverted| Presence::Included { dropped, reverted };
        let unbundled = Presence::Unbundled;
        for (name, bundle, block, expected, places) in [
            ("together", bundle(&[1, 2], &[], &[]), vec![9, 1, 2, 8], included(0, 0), vec![1, 2]),
            ("absent", bundle(&[1, 2], &[], &[]), vec![9, 8], Presence::Absent, vec![]),
            ("partly", bundle(&[1, 2], &[], &[]), vec![9, 2], Presence::Partly, vec![1]),
            (
                "turned round",
                bundle(&[1, 2], &[], &[]),
                vec![2, 1],
                unbundled(Disorder::Reordered),
                vec![1, 0],
            ),
            ("apart", bundle(&[1, 2], &[], &[]), vec![1, 9, 2], unbundled(Disorder::TakenApart), vec![0, 2]),
            ("one dropped", bundle(&[1, 2, 3], &[], &[2]), vec![1, 3], included(1, 0), vec![0, 1]),
            ("discarded instead of reverted", bundle(&[1, 2], &[1], &[]), vec![2], included(1, 0), vec![0]),
            // 100 and above: the transaction of that number less 100, failed.
            ("reverted as it may", bundle(&[1, 2], &[2], &[]), vec![1, 102], included(0, 1), vec![0, 1]),
            (
                "failed as it may not",
                bundle(&[1, 2], &[], &[]),
                vec![1, 102],
                unbundled(Disorder::Failed),
                vec![0, 1],
            ),
            (
                "a dropping one that failed",
                bundle(&[1, 2], &[], &[2]),
                vec![1, 102],
                unbundled(Disorder::Failed),
                vec![0, 1],
            ),
        ] {
            let block: Vec<(B256, bool)> = block
                .into_iter()
                .map(|n| if n >= 100 { (hash(n - 100), false) } else { (hash(n), true) })
                .collect();
            let expected = Sighting { presence: expected, places };
            assert_eq!(presence(&bundle, &block), expected, "{name}");
        }
    }
}
