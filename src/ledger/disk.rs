//! Disks: how full they were, what cleanings came to, and what was done when there was hardly any room.

use serde::Serialize;

use super::{Ledger, LedgerError, row::from_row};
use crate::{
    events::DiskRung,
    types::{DAY_MS, Label, UnixMillis},
};

/// How long usage is kept.
const USAGE_KEPT_MS: i64 = 400 * DAY_MS;
/// Cleanings and acts that are kept.
const KEPT: i64 = 1000;

/// How full a filesystem was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DiskUsageRow {
    /// The folder that the configuration names.
    #[serde(skip)]
    pub filesystem: String,
    /// When, in Unix milliseconds.
    pub at: UnixMillis,
    /// In use, in bytes.
    pub used_bytes: u64,
    /// Left, in bytes.
    pub available_bytes: u64,
    /// All of it, in bytes.
    pub total_bytes: u64,
    /// Inodes that there are.
    pub inodes: u64,
    /// Inodes that are left.
    pub inodes_free: u64,
    /// Whether something was deleted since the row before: 1, else 0.
    pub cleaned: i64,
}

from_row!(|row| DiskUsageRow {
    filesystem,
    at,
    used_bytes,
    available_bytes,
    total_bytes,
    inodes,
    inodes_free,
    cleaned,
});

/// A cleaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskCleaningRow {
    /// Its number.
    pub run: u64,
    /// When it began, in Unix milliseconds.
    pub began_at: UnixMillis,
    /// When it ended, in Unix milliseconds.
    pub ended_at: UnixMillis,
    /// Why it was done.
    pub reason: String,
    /// Files that were deleted.
    pub files: u64,
    /// Room that they took, in bytes.
    pub bytes: u64,
    /// All that came of it, as JSON.
    pub report: String,
}

from_row!(|row| DiskCleaningRow { run, began_at, ended_at, reason, files, bytes, report });

/// Something that was done about a filesystem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DiskActRow {
    /// The folder that the configuration names.
    pub filesystem: String,
    /// When, in Unix milliseconds.
    pub at: UnixMillis,
    /// What was done.
    pub rung: Label<DiskRung>,
    /// To which node; empty where it was to none.
    pub node: String,
    /// Why, as sentences for people.
    pub why: String,
    /// Why it could not be done; empty when it was.
    pub error: String,
}

from_row!(|row| DiskActRow { filesystem, at, rung, node, why, error });

impl Ledger {
    /// Writes down how full a filesystem is. Forgets what is older than 400 days.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn add_disk_usage(&self, row: &DiskUsageRow) -> Result<(), LedgerError> {
        let mut write = self.write().await?;
        sqlx::query(
            "INSERT INTO disk_usage (filesystem, at, used_bytes, available_bytes, total_bytes, inodes, inodes_free, cleaned, instance) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (instance, filesystem, at) DO NOTHING",
        )
        .bind(&row.filesystem)
        .bind(row.at)
        .bind(row.used_bytes.cast_signed())
        .bind(row.available_bytes.cast_signed())
        .bind(row.total_bytes.cast_signed())
        .bind(row.inodes.cast_signed())
        .bind(row.inodes_free.cast_signed())
        .bind(row.cleaned)
        .bind(write.instance)
        .execute(&mut *write.tx)
        .await?;
        sqlx::query("DELETE FROM disk_usage WHERE instance = $1 AND filesystem = $2 AND at < $3")
            .bind(write.instance)
            .bind(&row.filesystem)
            .bind(row.at.saturating_sub(USAGE_KEPT_MS))
            .execute(&mut *write.tx)
            .await?;
        write.commit().await?;
        Ok(())
    }

    /// How full a filesystem was since a time, oldest first; of more than `limit` rows the newest.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn disk_usage(
        &self,
        filesystem: &str,
        since: UnixMillis,
        limit: u32,
    ) -> Result<Vec<DiskUsageRow>, LedgerError> {
        let rows = sqlx::query_as(
            "SELECT filesystem, at, used_bytes, available_bytes, total_bytes, inodes, inodes_free, cleaned FROM disk_usage \
             WHERE instance = $1 AND filesystem = $2 AND at >= $3 ORDER BY at DESC LIMIT $4",
        );
        let rows = rows.bind(self.instance()).bind(filesystem).bind(since).bind(i64::from(limit));
        let mut rows: Vec<DiskUsageRow> = rows.fetch_all(self.pool()).await?;
        rows.reverse();
        Ok(rows)
    }

    /// Writes down what a cleaning came to. One that is known already is not written again. Forgets what is beyond the newest thousand.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn add_disk_cleaning(&self, row: &DiskCleaningRow) -> Result<(), LedgerError> {
        let mut write = self.write().await?;
        sqlx::query(
            "INSERT INTO disk_cleanings (run, began_at, ended_at, reason, files, bytes, report, instance) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (instance, run) DO NOTHING",
        )
        .bind(row.run.cast_signed())
        .bind(row.began_at)
        .bind(row.ended_at)
        .bind(&row.reason)
        .bind(row.files.cast_signed())
        .bind(row.bytes.cast_signed())
        .bind(&row.report)
        .bind(write.instance)
        .execute(&mut *write.tx)
        .await?;
        sqlx::query(
            "DELETE FROM disk_cleanings WHERE instance = $1 AND run < COALESCE((SELECT MIN(run) FROM (SELECT run FROM disk_cleanings \
             WHERE instance = $1 ORDER BY run DESC LIMIT $2) AS newest), 0)",
        )
        .bind(write.instance)
        .bind(KEPT)
        .execute(&mut *write.tx)
        .await?;
        write.commit().await?;
        Ok(())
    }

    /// Cleanings, the newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn disk_cleanings(&self, limit: u32) -> Result<Vec<DiskCleaningRow>, LedgerError> {
        let rows = sqlx::query_as(
            "SELECT run, began_at, ended_at, reason, files, bytes, report FROM disk_cleanings WHERE instance = $1 \
             ORDER BY run DESC LIMIT $2",
        );
        Ok(rows.bind(self.instance()).bind(i64::from(limit)).fetch_all(self.pool()).await?)
    }

    /// Writes down what was done about a filesystem. Forgets what is beyond the newest thousand.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn add_disk_act(&self, row: &DiskActRow) -> Result<(), LedgerError> {
        let mut write = self.write().await?;
        let last = sqlx::query_scalar("SELECT COALESCE(MAX(number), 0) FROM disk_acts WHERE instance = $1");
        let last: i64 = last.bind(write.instance).fetch_one(&mut *write.tx).await?;
        let number = last.saturating_add(1);
        sqlx::query(
            "INSERT INTO disk_acts (number, filesystem, at, rung, node, why, error, instance) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(number)
        .bind(&row.filesystem)
        .bind(row.at)
        .bind(row.rung.as_str())
        .bind(&row.node)
        .bind(&row.why)
        .bind(&row.error)
        .bind(write.instance)
        .execute(&mut *write.tx)
        .await?;
        sqlx::query("DELETE FROM disk_acts WHERE instance = $1 AND number <= $2")
            .bind(write.instance)
            .bind(number.saturating_sub(KEPT))
            .execute(&mut *write.tx)
            .await?;
        write.commit().await?;
        Ok(())
    }

    /// What was done about filesystems, the newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn disk_acts(&self, limit: u32) -> Result<Vec<DiskActRow>, LedgerError> {
        let rows = sqlx::query_as(
            "SELECT filesystem, at, rung, node, why, error FROM disk_acts WHERE instance = $1 ORDER BY number DESC LIMIT $2",
        );
        Ok(rows.bind(self.instance()).bind(i64::from(limit)).fetch_all(self.pool()).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(at: UnixMillis) -> DiskUsageRow {
        DiskUsageRow {
            filesystem: "/data".to_owned(),
            at,
            used_bytes: 1 << 50,
            available_bytes: 7,
            total_bytes: u64::MAX >> 1,
            inodes: 5,
            inodes_free: 4,
            cleaned: 1,
        }
    }

    #[tokio::test]
    async fn usage_is_kept_for_four_hundred_days_of_each_filesystem() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        for at in [0, DAY_MS, 2 * DAY_MS] {
            ledger.add_disk_usage(&usage(at)).await.unwrap();
        }
        let other = DiskUsageRow { filesystem: "/".to_owned(), ..usage(0) };
        ledger.add_disk_usage(&other).await.unwrap();
        // The same hour twice, after a restart.
        ledger.add_disk_usage(&usage(DAY_MS)).await.unwrap();
        assert_eq!(ledger.disk_usage("/data", DAY_MS, 10).await.unwrap(), [usage(DAY_MS), usage(2 * DAY_MS)]);
        assert_eq!(ledger.disk_usage("/data", 0, 1).await.unwrap(), [usage(2 * DAY_MS)]);
        ledger.add_disk_usage(&usage(USAGE_KEPT_MS + DAY_MS + 1)).await.unwrap();
        assert_eq!(ledger.disk_usage("/data", 0, 10).await.unwrap().len(), 2);
        assert_eq!(ledger.disk_usage("/", 0, 10).await.unwrap(), [other]);
    }

    #[tokio::test]
    async fn cleanings_and_acts_are_the_newest_thousand() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        let cleaning = |run: u64| DiskCleaningRow {
            run,
            began_at: 1,
            ended_at: 2,
            reason: "By hand.".to_owned(),
            files: 3,
            bytes: 4,
            report: "{}".to_owned(),
        };
        for run in 1..=1002 {
            ledger.add_disk_cleaning(&cleaning(run)).await.unwrap();
        }
        ledger.add_disk_cleaning(&cleaning(1002)).await.unwrap();
        let kept = ledger.disk_cleanings(5000).await.unwrap();
        assert_eq!((kept.len(), kept[0].clone(), kept[999].run), (1000, cleaning(1002), 3));
        let act = |at| DiskActRow {
            filesystem: "/data".to_owned(),
            at,
            rung: DiskRung::StopWorkload.into(),
            node: "solana".to_owned(),
            why: "It is full.".to_owned(),
            error: String::new(),
        };
        for at in 1..=1002 {
            ledger.add_disk_act(&act(at)).await.unwrap();
        }
        let kept = ledger.disk_acts(5000).await.unwrap();
        assert_eq!((kept.len(), kept[0].clone(), kept[999].at), (1000, act(1002), 3));
    }
}
