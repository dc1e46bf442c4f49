//! Which backups are not needed any more.
//!
//! The newest that were proven are kept, and whatever nobody has looked at yet as long as there is nothing better. What turned out to be of no use goes once
//! something newer was proven. The newest proven one never goes, however old it is.

use std::{path::Path, time::Duration};

use tracing::{info, warn};

use super::{Backup, VerdictKind, disk::Disk, unpack::read_manifest, verdict};
use crate::types::UnixMillis;

/// Why one goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Surplus {
    /// There are as many newer ones that were proven as are to be kept.
    Enough,
    /// It is older than any is to be.
    Old,
    /// It is of no use, and a newer one is.
    Failed,
}

/// Says which of a folder's backups go, and why. `backups`: in any order.
pub(super) fn surplus(
    backups: &[Backup],
    keep: usize,
    max_age: Option<Duration>,
    now: UnixMillis,
) -> Vec<(&Backup, Surplus)> {
    let mut newest_first: Vec<&Backup> = backups.iter().collect();
    newest_first.sort_by_key(|backup| std::cmp::Reverse(backup.made_at));
    let is_old = |backup: &Backup| {
        let age = now.saturating_sub(backup.made_at);
        max_age.is_some_and(|most| age > i64::try_from(most.as_millis()).unwrap_or(i64::MAX))
    };
    let mut verified = 0_usize;
    let mut others = 0_usize;
    let mut gone = Vec::new();
    let has_verified = newest_first.iter().any(|backup| backup.known() == Some(VerdictKind::Verified));
    for backup in newest_first {
        let why = match backup.known() {
            Some(VerdictKind::Verified) => {
                verified += 1;
                match verified {
                    // The last that was proven stays, whatever else is said.
                    1 => None,
                    _ if verified > keep.max(1) => Some(Surplus::Enough),
                    _ => is_old(backup).then_some(Surplus::Old),
                }
            }
            Some(VerdictKind::Failed) => (verified > 0).then_some(Surplus::Failed),
            // It may be all there is.
            None if !has_verified => None,
            None => {
                others += 1;
                if others.saturating_add(verified) > keep.max(1) {
                    Some(Surplus::Enough)
                } else {
                    is_old(backup).then_some(Surplus::Old)
                }
            }
        };
        gone.extend(why.map(|why| (backup, why)));
    }
    gone
}

/// Removes what is not needed; the names of what is gone. What cannot be told to be a backup of ours stays.
pub(super) fn remove_surplus(
    backups: &[Backup],
    (keep, max_age): (usize, Option<Duration>),
    now: UnixMillis,
    disk: &Disk,
) -> Vec<String> {
    let mut gone = Vec::new();
    for (backup, why) in surplus(backups, keep, max_age, now) {
        if let Err(error) = is_ours(&backup.path, backup.known()) {
            warn!(backup = %backup.path.display(), %error, "an old backup is not removed: it is not known to be one of ours");
            continue;
        }
        let removed = disk.remove(&backup.path).and_then(|()| disk.remove(&verdict::path_of(&backup.path)));
        match removed {
            Ok(()) => {
                info!(backup = %backup.path.display(), why = ?why, "backup removed");
                gone.push(backup.file.clone());
            }
            Err(error) => warn!(%error, "an old backup cannot be removed"),
        }
    }
    gone
}

/// Its manifest says so; of one that cannot be read, a verdict of ours.
fn is_ours(path: &Path, known: Option<VerdictKind>) -> Result<(), super::BackupError> {
    match known {
        Some(VerdictKind::Failed) => Ok(()),
        Some(VerdictKind::Verified) | None => read_manifest(path).map(|_| ()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{backup::Verdict, types::DAY_MS};

    fn backup(day: i64, known: Option<VerdictKind>) -> Backup {
        let verdict = known.map(|verdict| Verdict {
            verdict,
            at: 0,
            version: String::new(),
            bytes: 1,
            sha256: String::new(),
            message: String::new(),
        });
        Backup {
            file: day.to_string(),
            path: day.to_string().into(),
            made_at: day * DAY_MS,
            bytes: 1,
            verdict,
        }
    }

    /// `v`: proven; `f`: failed; `?`: not looked at. The oldest first, a day each.
    fn of(states: &str) -> Vec<Backup> {
        let known = |state| match state {
            'v' => Some(VerdictKind::Verified),
            'f' => Some(VerdictKind::Failed),
            _ => None,
        };
        states.chars().zip(0..).map(|(state, day)| backup(day, known(state))).collect()
    }

    fn gone(backups: &[Backup], keep: usize, days: Option<u64>) -> Vec<i64> {
        let now = i64::try_from(backups.len()).unwrap() * DAY_MS;
        let max_age = days.map(|days| Duration::from_secs(days * 86_400));
        let mut gone: Vec<i64> =
            surplus(backups, keep, max_age, now).iter().map(|(backup, _)| backup.made_at / DAY_MS).collect();
        gone.sort_unstable();
        gone
    }

    #[test]
    fn what_is_kept() {
        for (name, states, keep, days, want) in [
            ("the newest proven", "vvvvv", 2, None, vec![0, 1, 2]),
            ("none is too many", "vv", 7, None, vec![]),
            ("the last that was proven, however old", "v????", 7, Some(2), vec![1, 2]),
            ("old ones, but for the last", "vvvvv", 9, Some(2), vec![0, 1, 2]),
            ("all, while none was proven", "?????", 2, Some(1), vec![]),
            ("failed ones while nothing newer was proven", "vff", 1, None, vec![]),
            ("failed ones once something newer was proven", "ffv", 1, None, vec![0, 1]),
            ("those that nobody looked at, before newer proven ones", "??vv", 2, None, vec![0, 1]),
            ("the newest that nobody looked at", "v???", 2, None, vec![1]),
            ("nought keeps one", "vvv", 0, None, vec![0, 1]),
            ("nothing of nothing", "", 3, None, vec![]),
        ] {
            assert_eq!(gone(&of(states), keep, days), want, "{name}: {states}");
        }
    }

    proptest! {
        #[test]
        fn the_newest_proven_one_is_never_removed_nor_the_only_ones(
            states in "[vf?]{0,30}", keep in 0_usize..10, days in proptest::option::of(0_u64..20),
        ) {
            let backups = of(&states);
            let gone = gone(&backups, keep, days);
            if let Some(newest) = states.rfind('v') {
                prop_assert!(!gone.contains(&i64::try_from(newest).unwrap()));
            } else {
                prop_assert!(gone.is_empty());
            }
        }
    }
}
