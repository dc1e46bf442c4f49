//! Whether a block has a bundle in it, and how. Pure.
//!
//! A bundle is in a block when all its transactions are, in order and one behind the other, save those that may be left out; and none
//! failed that may not. That its transactions are merely all in the block says less: they may have been taken apart.

use alloy_primitives::B256;

use super::bundle::Bundle;

/// What became of a bundle in one block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// None of it is there.
    Absent,
    /// All of it, in order, together: from which index on. What may be left out, or may revert, did: how many.
    Included {
        /// Index of its first transaction in the block.
        from: usize,
        /// Left out, as it may be.
        dropped: usize,
        /// Reverted, as it may.
        reverted: usize,
    },
    /// Only some of it, though all should be.
    Partly(Vec<B256>),
    /// All of it, but not together or in order, or with a failure that may not be: somebody else's doing.
    Unbundled(&'static str),
}

/// Judges a block by its transactions: hash, and whether it succeeded.
pub fn presence(bundle: &Bundle, block: &[(B256, bool)]) -> Presence {
    let place = |hash: &B256| block.iter().position(|(other, _)| other == hash);
    let mut found = Vec::new();
    let (mut missing, mut dropped, mut reverted) = (0, 0, 0);
    let mut has_failed = false;
    for tx in &bundle.transactions {
        match place(&tx.hash) {
            Some(index) => {
                found.push((index, tx.hash));
                if block.get(index).is_some_and(|(_, succeeded)| !succeeded) {
                    if bundle.reverting.contains(&tx.hash) { reverted += 1 } else { has_failed = true }
                }
            }
            // Some builders leave out what may revert, too (Titan: "or be discarded").
            None if bundle.dropping.contains(&tx.hash) || bundle.reverting.contains(&tx.hash) => dropped += 1,
            None => missing += 1,
        }
    }
    let Some((from, _)) = found.first().copied() else { return Presence::Absent };
    if missing > 0 {
        return Presence::Partly(found.into_iter().map(|(_, hash)| hash).collect());
    }
    let in_order = found.windows(2).all(|pair| matches!(pair, [(a, _), (b, _)] if a < b));
    let together = found.windows(2).all(|pair| matches!(pair, [(a, _), (b, _)] if a + 1 == *b));
    if !in_order {
        Presence::Unbundled("in another order")
    } else if !together {
        Presence::Unbundled("with others' transactions between")
    } else if has_failed {
        Presence::Unbundled("with a transaction that failed and may not")
    } else {
        Presence::Included { from, dropped, reverted }
    }
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
        let included = |from, dropped, reverted| Presence::Included { from, dropped, reverted };
        for (name, bundle, block, expected) in [
            ("together", bundle(&[1, 2], &[], &[]), vec![9, 1, 2, 8], included(1, 0, 0)),
            ("absent", bundle(&[1, 2], &[], &[]), vec![9, 8], Presence::Absent),
            ("partly", bundle(&[1, 2], &[], &[]), vec![9, 2], Presence::Partly(vec![hash(2)])),
            ("turned round", bundle(&[1, 2], &[], &[]), vec![2, 1], Presence::Unbundled("in another order")),
            (
                "apart",
                bundle(&[1, 2], &[], &[]),
                vec![1, 9, 2],
                Presence::Unbundled("with others' transactions between"),
            ),
            ("one dropped", bundle(&[1, 2, 3], &[], &[2]), vec![1, 3], included(0, 1, 0)),
            ("discarded instead of reverted", bundle(&[1, 2], &[1], &[]), vec![2], included(0, 1, 0)),
            // 100 and above: the transaction of that number less 100, failed.
            ("reverted as it may", bundle(&[1, 2], &[2], &[]), vec![1, 102], included(0, 0, 1)),
            (
                "failed as it may not",
                bundle(&[1, 2], &[], &[]),
                vec![1, 102],
                Presence::Unbundled("with a transaction that failed and may not"),
            ),
            (
                "a dropping one that failed",
                bundle(&[1, 2], &[], &[2]),
                vec![1, 102],
                Presence::Unbundled("with a transaction that failed and may not"),
            ),
        ] {
            let block: Vec<(B256, bool)> = block
                .into_iter()
                .map(|n| if n >= 100 { (hash(n - 100), false) } else { (hash(n), true) })
                .collect();
            assert_eq!(presence(&bundle, &block), expected, "{name}");
        }
    }
}
