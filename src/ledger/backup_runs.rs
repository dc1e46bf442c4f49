//! What was done about backups, and what came of it.

use serde::Serialize;

use super::{Ledger, LedgerError, row::from_row};
use crate::{
    events::{BackupAction, BackupResult},
    types::{Label, UnixMillis},
};

/// Most runs that are kept: two a day for years.
const KEPT: i64 = 2_000;

/// One run: a row of the ledger, ready to be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BackupRun {
    /// When it began, Unix milliseconds.
    pub started_at: UnixMillis,
    /// How long it took, in milliseconds.
    pub took_ms: i64,
    /// Whether a backup was made or tried.
    pub action: Label<BackupAction>,
    /// What came of it.
    pub result: Label<BackupResult>,
    /// The backup's file name; empty where there is none.
    pub file: String,
    /// Its size; 0 where there is none.
    pub bytes: i64,
    /// What came of it, as a sentence for people.
    pub message: String,
}

from_row!(|row| BackupRun { started_at, took_ms, action, result, file, bytes, message });

impl Ledger {
    /// Writes down a run, and forgets those of long ago.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn save_backup_run(&self, run: &BackupRun) -> Result<(), LedgerError> {
        let mut write = self.write().await?;
        sqlx::query(
            "INSERT INTO backup_runs (started_at, took_ms, action, result, file, bytes, message, instance) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (instance, started_at, action) DO NOTHING",
        )
        .bind(run.started_at)
        .bind(run.took_ms)
        .bind(run.action.as_str())
        .bind(run.result.as_str())
        .bind(&run.file)
        .bind(run.bytes)
        .bind(&run.message)
        .bind(write.instance)
        .execute(&mut *write.tx)
        .await?;
        sqlx::query(
            "DELETE FROM backup_runs WHERE instance = $1 AND started_at < (SELECT MIN(started_at) FROM \
             (SELECT started_at FROM backup_runs WHERE instance = $1 ORDER BY started_at DESC LIMIT $2) AS newest)",
        )
        .bind(write.instance)
        .bind(KEPT)
        .execute(&mut *write.tx)
        .await?;
        write.commit().await?;
        Ok(())
    }

    /// The last runs, the newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn backup_runs(&self, limit: u32) -> Result<Vec<BackupRun>, LedgerError> {
        let runs = sqlx::query_as("SELECT * FROM backup_runs ORDER BY started_at DESC, action LIMIT $1");
        Ok(runs.bind(i64::from(limit)).fetch_all(self.pool()).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_newest_run_comes_first() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        let run = |started_at, action: BackupAction, result: BackupResult| BackupRun {
            started_at,
            took_ms: 5,
            action: action.into(),
            result: result.into(),
            file: "a".to_owned(),
            bytes: 7,
            message: "made".to_owned(),
        };
        let runs = [
            run(10, BackupAction::Create, BackupResult::Ok),
            run(20, BackupAction::Verify, BackupResult::Failed),
        ];
        for run in &runs {
            ledger.save_backup_run(run).await.unwrap();
        }
        assert_eq!(ledger.backup_runs(9).await.unwrap(), [runs[1].clone(), runs[0].clone()]);
        assert_eq!(ledger.backup_runs(1).await.unwrap(), [runs[1].clone()]);
    }
}
