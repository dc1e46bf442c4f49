//! The newest blocks of one upstream's chain, so that two upstreams can be compared at a height that both know.

use std::collections::VecDeque;

use alloy_primitives::B256;

use crate::gateway::Head;

/// Blocks that are kept: two epochs of mainnet. Arbitrary, more than any reorganisation that heals by itself.
const KEPT: usize = 64;

/// Numbers and hashes without a gap, the oldest first, each the parent of the next. What an upstream showed before a gap is not kept: it may have
/// been reorganised away unseen, and an old hash would accuse an honest upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Recent(VecDeque<(u64, B256)>);

impl Recent {
    /// Takes in a head.
    pub(super) fn note(&mut self, head: &Head) {
        while self.0.back().is_some_and(|(number, _)| *number >= head.number) {
            self.0.pop_back();
        }
        let parent = head.number.checked_sub(1).map(|number| (number, head.parent_hash));
        if self.0.back().copied() != parent {
            self.0.clear();
            self.0.extend(parent);
        }
        self.0.push_back((head.number, head.hash));
        while self.0.len() > KEPT {
            self.0.pop_front();
        }
    }

    /// The highest block below the newest of either that both know: its number, and its hash here and there. The newest blocks are left out, as
    /// two nodes may differ about them for a moment without a fault.
    pub(super) fn compared(&self, other: &Self) -> Option<(u64, B256, B256)> {
        let height = self.newest()?.min(other.newest()?).checked_sub(1)?;
        Some((height, self.hash(height)?, other.hash(height)?))
    }

    fn newest(&self) -> Option<u64> {
        self.0.back().map(|(number, _)| *number)
    }

    fn hash(&self, number: u64) -> Option<B256> {
        let (first, _) = self.0.front()?;
        let place = usize::try_from(number.checked_sub(*first)?).ok()?;
        self.0.get(place).map(|(_, hash)| *hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block of a chain that has the name `fork` from a height on.
    fn head(number: u64, fork: u8, since: u64) -> Head {
        let hash = |number: u64| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&number.to_be_bytes());
            bytes[31] = if number >= since { fork } else { 0 };
            B256::from(bytes)
        };
        Head {
            number,
            hash: hash(number),
            parent_hash: hash(number.saturating_sub(1)),
            timestamp: number * 12,
        }
    }

    fn after(heads: &[Head]) -> Recent {
        let mut recent = Recent::default();
        heads.iter().for_each(|head| recent.note(head));
        recent
    }

    #[test]
    fn chains_are_compared_below_both_newest_blocks() {
        let ours = after(&[head(9, 0, 0), head(10, 0, 0), head(11, 0, 0), head(12, 0, 0)]);
        for (name, other, want) in [
            ("the same chain", after(&[head(11, 0, 0)]), Some((10, true))),
            ("another since 10", after(&[head(11, 1, 10)]), Some((10, false))),
            ("another newest block alone", after(&[head(11, 1, 11)]), Some((10, true))),
            ("far ahead", after(&[head(1_000_000, 1, 0)]), None),
            ("far behind", after(&[head(3, 0, 0)]), None),
            ("at its first block", after(&[head(0, 0, 0)]), None),
            ("nothing", Recent::default(), None),
        ] {
            let got = ours.compared(&other).map(|(height, here, there)| (height, here == there));
            assert_eq!(got, want, "{name}");
        }
    }

    #[test]
    fn what_was_reorganised_away_or_may_have_been_is_forgotten() {
        let fork = after(&[head(9, 0, 0), head(10, 1, 10), head(11, 1, 10), head(11, 2, 10)]);
        assert_eq!(fork.0.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [10, 11]);
        assert_eq!(fork.hash(10), Some(head(10, 2, 10).hash));
        let gap = after(&[head(9, 0, 0), head(20, 0, 0)]);
        assert_eq!(gap.0.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [19, 20]);
        let back = after(&[head(9, 0, 0), head(10, 0, 0), head(9, 0, 0)]);
        assert_eq!(back, after(&[head(9, 0, 0)]));
        let long = after(&(0..200).map(|number| head(number, 0, 0)).collect::<Vec<_>>());
        assert_eq!(
            (long.0.len(), long.newest(), long.hash(136)),
            (KEPT, Some(199), Some(head(136, 0, 0).hash))
        );
    }
}
