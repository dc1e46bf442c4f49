//! Whether the backups that there are will do.

use std::time::Duration;

use super::{Backup, BackupSettings, VerdictKind};
use crate::types::UnixMillis;

/// How old the newest are, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ages {
    pub(super) newest_ms: Option<i64>,
    pub(super) verified_ms: Option<i64>,
    /// Size of the newest.
    pub(super) bytes: Option<u64>,
    pub(super) count: usize,
}

impl Ages {
    /// Of a folder's backups, in any order.
    pub(super) fn of(backups: &[Backup], now: UnixMillis) -> Self {
        let newest = backups.iter().max_by_key(|backup| backup.made_at);
        let verified = backups.iter().filter(|backup| backup.known() == Some(VerdictKind::Verified));
        Self {
            newest_ms: newest.map(|backup| now.saturating_sub(backup.made_at)),
            verified_ms: verified.map(|backup| now.saturating_sub(backup.made_at)).min(),
            bytes: newest.map(|backup| backup.bytes),
            count: backups.len(),
        }
    }
}

/// What is wrong, in words; none: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    pub(super) stale: Option<String>,
    pub(super) unverified: Option<String>,
    pub(super) damaged: Option<String>,
}

/// Judges a folder's backups. `since`: when there began to be something to back up; the first backup has as long as any other.
pub(super) fn judge(
    backups: &[Backup],
    settings: &BackupSettings,
    since: UnixMillis,
    now: UnixMillis,
) -> Findings {
    let ages = Ages::of(backups, now);
    let beyond = |age: Option<i64>, most: Duration, what: &str| {
        let limit = i64::try_from(most.as_millis()).unwrap_or(i64::MAX);
        match age {
            Some(age) if age > limit => Some(format!("the newest {what} is {} old", days(age))),
            None if now.saturating_sub(since) > limit => {
                Some(format!("there is no {what} in {}", settings.directory.display()))
            }
            Some(_) | None => None,
        }
    };
    let newest = backups.iter().max_by_key(|backup| backup.made_at);
    let damaged = newest.filter(|backup| backup.known() == Some(VerdictKind::Failed)).map(|backup| {
        let words = backup.verdict.as_ref().map_or("", |verdict| verdict.message.as_str());
        format!("{}: {words}", backup.file)
    });
    Findings {
        stale: beyond(ages.newest_ms, settings.stale_after, "backup"),
        unverified: beyond(ages.verified_ms, settings.unverified_after, "backup that was restored on trial"),
        damaged,
    }
}

fn days(ms: i64) -> String {
    let hours = ms / 3_600_000;
    if hours < 48 { format!("{hours} hours") } else { format!("{} days", hours / 24) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{backup::Verdict, types::DAY_MS};

    fn backup(made_at: i64, known: Option<VerdictKind>) -> Backup {
        let verdict = known.map(|verdict| Verdict {
            verdict,
            at: 0,
            version: String::new(),
            bytes: 1,
            sha256: String::new(),
            message: "cut off".to_owned(),
        });
        Backup { file: "b".to_owned(), path: "b".into(), made_at, bytes: 7, verdict }
    }

    #[test]
    fn what_is_wrong_with_backups() {
        let settings = BackupSettings {
            stale_after: Duration::from_secs(2 * 86_400),
            unverified_after: Duration::from_secs(8 * 86_400),
            ..BackupSettings::into_directory("/b".into())
        };
        let (verified, failed) = (Some(VerdictKind::Verified), Some(VerdictKind::Failed));
        let now = 100 * DAY_MS;
        for (name, backups, since, want) in [
            ("nothing yet, and not for long", vec![], now - DAY_MS, [false, false, false]),
            ("nothing", vec![], 0, [true, true, false]),
            ("fresh and proven", vec![backup(now - DAY_MS, verified)], 0, [false, false, false]),
            ("fresh and not proven", vec![backup(now - DAY_MS, None)], 0, [false, true, false]),
            ("old", vec![backup(now - 3 * DAY_MS, verified)], 0, [true, false, false]),
            ("very old", vec![backup(now - 9 * DAY_MS, verified)], 0, [true, true, false]),
            (
                "the newest damaged",
                vec![backup(now - 2 * DAY_MS, verified), backup(now - DAY_MS, failed)],
                0,
                [false, false, true],
            ),
            (
                "an older one damaged",
                vec![backup(now - 2 * DAY_MS, failed), backup(now - DAY_MS, verified)],
                0,
                [false, false, false],
            ),
            (
                "made in the future, by a clock that was wrong",
                vec![backup(now + DAY_MS, verified)],
                0,
                [false; 3],
            ),
        ] {
            let found = judge(&backups, &settings, since, now);
            let got = [found.stale.is_some(), found.unverified.is_some(), found.damaged.is_some()];
            assert_eq!(got, want, "{name}: {found:?}");
        }
        let found = judge(&[backup(now - 3 * DAY_MS, failed)], &settings, 0, now);
        assert_eq!(found.stale.as_deref(), Some("the newest backup is 3 days old"));
        assert_eq!(found.damaged.as_deref(), Some("b: cut off"));
    }
}
