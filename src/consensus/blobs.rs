//! How many blobs a block may have, by epoch. Source: consensus-specs, `MAX_BLOBS_PER_BLOCK` (deneb), `MAX_BLOBS_PER_BLOCK_ELECTRA`
//! (electra) and `BLOB_SCHEDULE` (fulu).

use crate::types::Epoch;

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
}
