//! How full a filesystem is, in bytes and inodes, and what that amounts to.

use rustix::fs::{StatVfs, StatVfsMountFlags};
use serde::Serialize;

use super::settings::Thresholds;
use crate::types::labelled;

/// Room of a filesystem, as one look found it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Space {
    /// All of it, in bytes.
    pub total_bytes: u64,
    /// What is in use, in bytes.
    pub used_bytes: u64,
    /// What everybody may still use, in bytes: without what the filesystem keeps for root.
    pub available_bytes: u64,
    /// Inodes that there are; 0 where the filesystem makes them as it needs them.
    pub inodes: u64,
    /// Inodes that are left.
    pub inodes_free: u64,
    /// Whether nothing can be written.
    pub read_only: bool,
}

impl Space {
    /// As the kernel says it.
    pub fn of(stat: &StatVfs) -> Self {
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Self {
            total_bytes: bytes(stat.f_blocks),
            used_bytes: bytes(stat.f_blocks.saturating_sub(stat.f_bfree)),
            available_bytes: bytes(stat.f_bavail),
            inodes: stat.f_files,
            inodes_free: stat.f_favail,
            read_only: stat.f_flag.contains(StatVfsMountFlags::RDONLY),
        }
    }

    /// The share in use of what everybody may use, in thousandths and rounded up, as `df` has it in percent.
    pub fn used_permille(&self) -> u32 {
        permille(self.used_bytes, self.used_bytes.saturating_add(self.available_bytes))
    }

    /// The share of inodes in use, in thousandths and rounded up; 0 where there is no bound.
    pub fn inodes_used_permille(&self) -> u32 {
        permille(self.inodes.saturating_sub(self.inodes_free), self.inodes)
    }

    /// Bytes that must go until no more than a share, in percent, is in use.
    pub fn bytes_above(&self, percent: u8) -> u64 {
        let whole = u128::from(self.used_bytes) + u128::from(self.available_bytes);
        let wanted = whole * u128::from(percent) / 100;
        u64::try_from(u128::from(self.used_bytes).saturating_sub(wanted)).unwrap_or(u64::MAX)
    }

    /// What it amounts to.
    pub fn level(&self, thresholds: &Thresholds) -> Level {
        let is_at = |percent: u8| self.used_permille() >= u32::from(percent) * 10;
        if is_at(thresholds.emergency_percent) || self.available_bytes < thresholds.min_free_bytes {
            Level::Emergency
        } else if is_at(thresholds.high_percent) {
            Level::High
        } else if is_at(thresholds.warn_percent) {
            Level::Warn
        } else {
            Level::Ok
        }
    }

    /// Whether inodes are few.
    pub fn lacks_inodes(&self, thresholds: &Thresholds) -> bool {
        let limit = 1000_u32.saturating_sub(u32::from(thresholds.min_free_inodes_percent) * 10);
        self.inodes > 0 && self.inodes_used_permille() > limit
    }
}

/// A share in thousandths, rounded up; 0 of nothing.
fn permille(part: u64, whole: u64) -> u32 {
    if whole == 0 {
        return 0;
    }
    let share = (u128::from(part) * 1000).div_ceil(u128::from(whole));
    u32::try_from(share).unwrap_or(u32::MAX).min(1000)
}

/// Thousandths as people read them: `61.5 %`.
pub(super) fn percent(permille: u32) -> String {
    match permille % 10 {
        0 => format!("{} %", permille / 10),
        tenth => format!("{}.{tenth} %", permille / 10),
    }
}

labelled! {
    /// How full a filesystem is, by its thresholds.
    pub enum Level {
        /// There is room.
        Ok = "ok",
        /// To be looked at.
        Warn = "warn",
        /// Soon there is none.
        High = "high",
        /// There is hardly any.
        Emergency = "emergency",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn space(used: u64, available: u64) -> Space {
        Space {
            total_bytes: used + available,
            used_bytes: used,
            available_bytes: available,
            ..Space::default()
        }
    }

    #[test]
    fn a_level_is_reached_at_its_percent_or_with_few_bytes() {
        let thresholds = Thresholds { min_free_bytes: 50, ..Thresholds::default() };
        for (used, available, want) in [
            (0, 0, Level::Emergency),
            (0, 1000, Level::Ok),
            (749, 251, Level::Ok),
            (750, 250, Level::Warn),
            (800, 200, Level::High),
            (899, 101, Level::High),
            (900, 100, Level::Emergency),
            (10, 49, Level::Emergency),
        ] {
            assert_eq!(space(used, available).level(&thresholds), want, "{used} of {}", used + available);
        }
    }

    #[test]
    fn inodes_are_few_where_there_is_a_bound() {
        let with = |inodes, inodes_free| Space { inodes, inodes_free, ..Space::default() };
        let thresholds = Thresholds::default();
        for (space, want) in
            [(with(0, 0), false), (with(1000, 51), false), (with(1000, 50), false), (with(1000, 49), true)]
        {
            assert_eq!(space.lacks_inodes(&thresholds), want, "{space:?}");
        }
    }

    #[test]
    fn shares_are_shown_as_df_does() {
        for (permille, shown) in [(0, "0 %"), (5, "0.5 %"), (600, "60 %"), (999, "99.9 %")] {
            assert_eq!(percent(permille), shown);
        }
    }

    proptest! {
        #[test]
        fn once_the_bytes_above_are_gone_no_more_than_the_share_is_in_use(
            used in 0_u64..1 << 50, available in 0_u64..1 << 50, share in 1_u8..100,
        ) {
            let above = space(used, available).bytes_above(share);
            prop_assert!(above <= used);
            let after = space(used - above, available + above);
            prop_assert!(after.used_permille() <= u32::from(share) * 10);
        }
    }
}
