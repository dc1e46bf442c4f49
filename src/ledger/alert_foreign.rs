//! Others' alerts as they are written down: what lasts by their word. What it means, `alerts` knows.

use super::{Ledger, LedgerError, row::from_row};
use crate::{
    events::Severity,
    types::{Label, UnixMillis},
};

/// An alert that somebody else found, and that lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignRow {
    /// Names it for ever.
    pub fingerprint: String,
    /// How grave it is.
    pub severity: Label<Severity>,
    /// All that is kept of it, as JSON.
    pub alert: String,
    /// When it was sent last, in Unix milliseconds.
    pub heard_at: UnixMillis,
}

from_row!(|row| ForeignRow { fingerprint, severity, alert, heard_at });

impl Ledger {
    /// Writes down what was sent, and forgets what is over by its fingerprint, in one transaction.
    ///
    /// # Errors
    /// When the file cannot be written; nothing of it was, then.
    pub async fn save_foreign_alerts(
        &self,
        firing: &[ForeignRow],
        over: &[String],
    ) -> Result<(), LedgerError> {
        if firing.is_empty() && over.is_empty() {
            return Ok(());
        }
        let mut write = self.write().await?;
        for fingerprint in over {
            sqlx::query("DELETE FROM alert_foreign WHERE instance = $1 AND fingerprint = $2")
                .bind(write.instance)
                .bind(fingerprint)
                .execute(&mut *write.tx)
                .await?;
        }
        for row in firing {
            sqlx::query(
                "INSERT INTO alert_foreign (fingerprint, severity, alert, heard_at, instance) VALUES ($1, $2, $3, $4, $5) \
                 ON CONFLICT (instance, fingerprint) DO UPDATE SET severity = excluded.severity, alert = excluded.alert, \
                 heard_at = excluded.heard_at",
            )
            .bind(&row.fingerprint)
            .bind(row.severity.as_str())
            .bind(&row.alert)
            .bind(row.heard_at)
            .bind(write.instance)
            .execute(&mut *write.tx)
            .await?;
        }
        write.commit().await?;
        Ok(())
    }

    /// Others' alerts that last, the gravest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn foreign_alerts(&self, limit: u32) -> Result<Vec<ForeignRow>, LedgerError> {
        let rows = sqlx::query_as(
            "SELECT fingerprint, severity, alert, heard_at FROM alert_foreign WHERE instance = $1 \
             ORDER BY severity, heard_at DESC, fingerprint LIMIT $2",
        );
        Ok(rows.bind(self.instance()).bind(i64::from(limit)).fetch_all(self.pool()).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_sent_is_kept_until_it_is_over_and_over_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        let row = |name: &str, severity: Severity, heard_at| ForeignRow {
            fingerprint: name.to_owned(),
            severity: severity.into(),
            alert: format!("{{\"{heard_at}\": 1}}"),
            heard_at,
        };
        let (disk, node) = (row("disk", Severity::P3, 5), row("node", Severity::P1, 6));
        ledger.save_foreign_alerts(&[disk.clone(), node.clone()], &[]).await.unwrap();
        ledger.shut().await;
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        assert_eq!(ledger.foreign_alerts(9).await.unwrap(), [node.clone(), disk]);
        let again = row("disk", Severity::P2, 9);
        ledger.save_foreign_alerts(std::slice::from_ref(&again), &[node.fingerprint]).await.unwrap();
        assert_eq!(ledger.foreign_alerts(9).await.unwrap(), [again]);
        assert_eq!(ledger.foreign_alerts(0).await.unwrap(), []);
    }
}
