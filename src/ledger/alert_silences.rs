//! Silences as they are written down. What they mean, `alerts` knows.

use super::{Ledger, LedgerError, row::from_row};
use crate::types::UnixMillis;

/// Most silences that are read.
const MAX_READ: i64 = 2000;

/// A silence. Times in Unix milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SilenceRow {
    /// Its name in the API.
    pub id: String,
    /// Where it comes from: the name of its kind.
    pub kind: String,
    /// What it hides, as JSON.
    pub matchers: String,
    /// From when.
    pub starts_at: UnixMillis,
    /// Until when.
    pub ends_at: UnixMillis,
    /// Who made it.
    pub created_by: String,
    /// Why.
    pub comment: String,
    /// When it was made.
    pub made_at: UnixMillis,
}

from_row!(|row| SilenceRow { id, kind, matchers, starts_at, ends_at, created_by, comment, made_at });

impl Ledger {
    /// Writes a silence down, or changes the one of its id.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn save_silence(&self, silence: &SilenceRow) -> Result<(), LedgerError> {
        let mut write = self.write().await?;
        sqlx::query(
            "INSERT INTO alert_silences (id, kind, matchers, starts_at, ends_at, created_by, comment, made_at, instance) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (instance, id) DO UPDATE SET kind = excluded.kind, \
             matchers = excluded.matchers, starts_at = excluded.starts_at, ends_at = excluded.ends_at, \
             created_by = excluded.created_by, comment = excluded.comment",
        )
        .bind(&silence.id)
        .bind(&silence.kind)
        .bind(&silence.matchers)
        .bind(silence.starts_at)
        .bind(silence.ends_at)
        .bind(&silence.created_by)
        .bind(&silence.comment)
        .bind(silence.made_at)
        .bind(write.instance)
        .execute(&mut *write.tx)
        .await?;
        write.commit().await?;
        Ok(())
    }

    /// Ends a silence now; one that has not begun never does. Whether it was to last longer.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn end_silence(&self, id: &str, now: UnixMillis) -> Result<bool, LedgerError> {
        let mut write = self.write().await?;
        let done = sqlx::query(
            "UPDATE alert_silences SET ends_at = $3 WHERE instance = $1 AND id = $2 AND ends_at > $3",
        );
        let done = done.bind(write.instance).bind(id).bind(now).execute(&mut *write.tx).await?;
        write.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    /// Silences that hold or are to come at a time, the first to end first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn silences_after(&self, now: UnixMillis) -> Result<Vec<SilenceRow>, LedgerError> {
        let rows = sqlx::query_as(
            "SELECT * FROM alert_silences WHERE instance = $1 AND ends_at > $2 ORDER BY ends_at, id LIMIT $3",
        );
        Ok(rows.bind(self.instance()).bind(now).bind(MAX_READ).fetch_all(self.pool()).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn silences_are_kept_until_they_end() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        let silence = SilenceRow {
            id: "a".to_owned(),
            kind: "silence".to_owned(),
            matchers: "[]".to_owned(),
            starts_at: 10,
            ends_at: 20,
            created_by: "anna".to_owned(),
            comment: "disk is being replaced".to_owned(),
            made_at: 5,
        };
        ledger.save_silence(&silence).await.unwrap();
        let longer = SilenceRow { ends_at: 30, ..silence };
        ledger.save_silence(&longer).await.unwrap();
        assert_eq!(ledger.silences_after(29).await.unwrap(), std::slice::from_ref(&longer));
        assert_eq!(ledger.silences_after(30).await.unwrap(), []);
        assert!(ledger.end_silence("a", 15).await.unwrap());
        assert!(!ledger.end_silence("a", 16).await.unwrap());
        assert_eq!(ledger.silences_after(14).await.unwrap(), [SilenceRow { ends_at: 15, ..longer }]);
        assert_eq!(ledger.silences_after(15).await.unwrap(), []);
    }
}
