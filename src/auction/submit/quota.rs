//! Which blocks are written down.
//!
//! Every block goes to the relays: a false refusal costs a slot. But whoever reaches the builder port could fill the disk with blocks that nobody will
//! ever propose, some megabytes each. A block that an auction of this process offered is always written down; another one only for a slot that is
//! about now, and as long as such blocks do not become too many: another relaymux may have served the header, now and then.

use parking_lot::Mutex;

use crate::types::Slot;

/// Slots before the present one whose blocks are written down: an epoch. A client that is later than that has lost its slot.
const SLOTS_BEFORE: u64 = 32;
/// And after it: the next one, and one more for a clock that is behind.
const SLOTS_AFTER: u64 = 2;
/// Bytes of blocks that nobody here offered which are written down at once.
const BURST_BYTES: u64 = 64 << 20;
/// And how many more in a day: a thousand proposals a day, which is one slot in seven, have room.
const BYTES_A_DAY: u64 = 256 << 20;
/// What a small block counts: its rows cost room, too.
const MIN_BYTES: u64 = 16 << 10;

const DAY_MS: i64 = 86_400_000;

/// Why a block is not written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::auction) enum Unrecorded {
    /// Its slot is long past or far ahead.
    OtherTime,
    /// Too many that nobody here offered.
    TooMany,
}

impl Unrecorded {
    /// For a metric's label.
    pub(in crate::auction) const fn label(self) -> &'static str {
        match self {
            Self::OtherTime => "other_time",
            Self::TooMany => "too_many",
        }
    }
}

/// What is left to write.
#[derive(Debug)]
struct Bucket {
    bytes: u64,
    /// Unix milliseconds.
    at: i64,
}

/// The quota of blocks that were not offered here.
#[derive(Debug)]
pub(in crate::auction) struct RecordQuota(Mutex<Bucket>);

impl Default for RecordQuota {
    fn default() -> Self {
        Self(Mutex::new(Bucket { bytes: BURST_BYTES, at: i64::MIN }))
    }
}

impl RecordQuota {
    /// Whether a block of so many bytes is written down, at a time in Unix milliseconds.
    pub(super) fn admit(
        &self,
        slot: Slot,
        is_offered: bool,
        bytes: usize,
        present: Slot,
        now: i64,
    ) -> Result<(), Unrecorded> {
        if is_offered {
            return Ok(());
        }
        let (slot, present) = (slot.as_u64(), present.as_u64());
        if slot < present.saturating_sub(SLOTS_BEFORE) || slot > present.saturating_add(SLOTS_AFTER) {
            return Err(Unrecorded::OtherTime);
        }
        let mut bucket = self.0.lock();
        // A clock that was set back gives nothing and takes nothing.
        let elapsed = u64::try_from(now.saturating_sub(bucket.at).clamp(0, DAY_MS)).unwrap_or(0);
        let added = BYTES_A_DAY / DAY_MS.unsigned_abs() * elapsed;
        bucket.bytes = bucket.bytes.saturating_add(added).min(BURST_BYTES);
        bucket.at = now;
        let cost = u64::try_from(bytes).unwrap_or(u64::MAX).max(MIN_BYTES);
        bucket.bytes = bucket.bytes.checked_sub(cost).ok_or(Unrecorded::TooMany)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    #[test]
    fn blocks_of_another_time_are_not_written_down_unless_they_were_offered() {
        let quota = RecordQuota::default();
        let table = [
            (1000, true),
            (968, true),
            (967, false),
            (1002, true),
            (1003, false),
            (u64::MAX, false),
            (0, false),
        ];
        for (slot, want) in table {
            let admitted = |is_offered| quota.admit(Slot::new(slot), is_offered, 1, Slot::new(1000), NOW);
            assert_eq!(admitted(false).is_ok(), want, "{slot}");
            assert_eq!(admitted(true), Ok(()), "{slot}");
        }
        // Around genesis.
        assert_eq!(quota.admit(Slot::new(0), false, 1, Slot::new(5), NOW), Ok(()));
    }

    #[test]
    fn blocks_that_nobody_offered_are_bounded_and_offered_ones_are_not() {
        let quota = RecordQuota::default();
        let admit = |is_offered, bytes, now| quota.admit(Slot::new(1), is_offered, bytes, Slot::new(1), now);
        let large = 8 << 20;
        for _ in 0..8 {
            assert_eq!(admit(false, large, NOW), Ok(()));
        }
        assert_eq!(admit(false, 1, NOW), Err(Unrecorded::TooMany));
        assert_eq!(admit(true, large, NOW), Ok(()));
        assert_eq!(admit(false, 1, NOW - 5000), Err(Unrecorded::TooMany));
        // An hour later there is room for one large one.
        let later = NOW + 3_600_000;
        assert_eq!(admit(false, large, later), Ok(()));
        assert_eq!(admit(false, large, later), Err(Unrecorded::TooMany));
        // Small ones are not free.
        let quota = RecordQuota::default();
        let small = (0..10_000).filter(|_| quota.admit(Slot::new(1), false, 1, Slot::new(1), NOW).is_ok());
        assert_eq!(small.count(), 4096);
    }
}
