//! How many blobs a block may have, by epoch. Source: consensus-specs, `MAX_BLOBS_PER_BLOCK` (deneb), `MAX_BLOBS_PER_BLOCK_ELECTRA`
//! (electra) and `BLOB_SCHEDULE` (fulu).

use crate::types::{Epoch, Fork};

/// The limits in the order of their epochs. Empty where nothing is known of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlobSchedule(Vec<(Epoch, u64)>);

impl BlobSchedule {
    /// A schedule of these steps: from when on, and how many. Steps that never come are left out.
    pub fn new(steps: impl IntoIterator<Item = (Epoch, u64)>) -> Self {
        let mut steps: Vec<_> = steps.into_iter().filter(|(epoch, _)| *epoch != Epoch::NEVER).collect();
        // Of two steps in one epoch the later one counts.
        steps.sort_by_key(|(epoch, _)| *epoch);
        Self(steps)
    }

    /// Most blobs of a block in an epoch; none where the schedule says nothing of it.
    pub fn max_at(&self, epoch: Epoch) -> Option<u64> {
        self.0.iter().rev().find(|(from, _)| *from <= epoch).map(|(_, max)| *max)
    }

    /// The same, or what a newer schedule of the chain says where that is more. Where this one says nothing, nothing is limited.
    pub fn max_raised_by(&self, newer: &Self, epoch: Epoch) -> Option<u64> {
        self.max_at(epoch).map(|max| max.max(newer.max_at(epoch).unwrap_or(0)))
    }
}

/// The limits as a chain's configuration has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlobLimits {
    /// `MAX_BLOBS_PER_BLOCK`: from Deneb on.
    pub deneb: Option<u64>,
    /// `MAX_BLOBS_PER_BLOCK_ELECTRA`: from Electra on.
    pub electra: Option<u64>,
    /// `BLOB_SCHEDULE`: from their epochs on, but not before Fulu.
    pub entries: Vec<(Epoch, u64)>,
}

impl BlobLimits {
    /// The schedule of a chain with these limits, and whose forks start in the epochs that `start` tells.
    pub fn schedule(self, start: impl Fn(Fork) -> Epoch) -> BlobSchedule {
        let of_fork = |fork, limit: Option<u64>| limit.map(|limit| (start(fork), limit));
        let steps = of_fork(Fork::Deneb, self.deneb).into_iter().chain(of_fork(Fork::Electra, self.electra));
        let mut entries = self.entries;
        entries.sort_by_key(|(epoch, _)| *epoch);
        let fulu = start(Fork::Fulu);
        BlobSchedule::new(steps.chain(entries.into_iter().map(|(epoch, limit)| (epoch.max(fulu), limit))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_counts_from_its_epoch_on() {
        let schedule = BlobSchedule::new([
            (Epoch::new(9), 15),
            (Epoch::new(3), 6),
            (Epoch::NEVER, 99),
            (Epoch::new(3), 7),
        ]);
        for (epoch, max) in
            [(0, None), (2, None), (3, Some(7)), (8, Some(7)), (9, Some(15)), (1 << 60, Some(15))]
        {
            assert_eq!(schedule.max_at(Epoch::new(epoch)), max, "{epoch}");
        }
        assert_eq!(BlobSchedule::default().max_at(Epoch::new(5)), None);
    }

    #[test]
    fn a_newer_schedule_raises_a_limit_and_never_lowers_one() {
        let of = |steps: &[(u64, u64)]| {
            BlobSchedule::new(steps.iter().map(|(epoch, max)| (Epoch::new(*epoch), *max)))
        };
        let ours = of(&[(3, 6), (9, 15)]);
        for (newer, epoch, max) in [
            (&[(9, 21)][..], 9, Some(21)),
            (&[(9, 21)], 8, Some(6)),
            (&[(3, 4), (9, 10)], 9, Some(15)),
            (&[], 9, Some(15)),
            // What is not limited here is not limited by a node either.
            (&[(0, 1)], 2, None),
        ] {
            assert_eq!(ours.max_raised_by(&of(newer), Epoch::new(epoch)), max, "{newer:?} {epoch}");
        }
    }
}
