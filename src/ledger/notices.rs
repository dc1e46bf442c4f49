//! What the operator was told to look at, and what relays have registered otherwise than we do.
//!
//! Rooms that must know whether a notice is news write it themselves, and then tell of it; rooms that know no ledger only tell. So the
//! writer of the ledger takes in what was told, once, whoever wrote it before, and however late it hears of it.

use serde::Serialize;

use super::{Ledger, LedgerError, query::WriteTransaction, row::from_row};
use crate::{
    events::{Notice, NoticeRule, Severity},
    types::{BlsPublicKey, Label, UnixMillis},
};

/// Something the operator should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NoticeRow {
    /// Name of the rule that found it. Stable: alerts and filters go by it.
    pub rule: Label<NoticeRule>,
    /// What it is about: a slot, a relay, a validator.
    pub subject: String,
    /// How soon somebody should look at it, P1 first.
    pub severity: Label<Severity>,
    /// What happened, as a sentence for people. Nothing is decided by it.
    #[serde(rename = "words")]
    pub message: String,
    /// When it was raised, in Unix milliseconds.
    pub raised_at: i64,
    /// When it was over, Unix milliseconds; none while it lasts.
    pub resolved_at: Option<i64>,
}

from_row!(|row| NoticeRow { rule, subject, severity, message: "words", raised_at, resolved_at });

impl Ledger {
    /// Raises a notice, unless it is open already. Whether it is news.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub async fn raise_notice(&self, notice: &Notice) -> Result<bool, LedgerError> {
        let mut write = self.write().await?;
        let done = sqlx::query(
            "INSERT INTO notices (rule, subject, severity, words, raised_at, instance) SELECT $1, $2, $3, $4, $5, $6 \
             WHERE NOT EXISTS (SELECT 1 FROM notices WHERE rule = $1 AND subject = $2 AND resolved_at IS NULL)",
        )
        .bind(notice.rule.label())
        .bind(&notice.subject)
        .bind(notice.severity.map_or("", Severity::label))
        .bind(&notice.message)
        .bind(notice.at)
        .bind(write.instance)
        .execute(&mut *write.tx)
        .await?;
        write.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    /// Resolves a notice. Whether it was open.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn resolve_notice(
        &self,
        rule: NoticeRule,
        subject: &str,
        now: UnixMillis,
    ) -> Result<bool, LedgerError> {
        let mut write = self.write().await?;
        let done = sqlx::query(
            "UPDATE notices SET resolved_at = $3 WHERE rule = $1 AND subject = $2 AND resolved_at IS NULL",
        )
        .bind(rule.label())
        .bind(subject)
        .bind(now)
        .execute(&mut *write.tx)
        .await?;
        write.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    /// Resolves whatever is open by a rule; how many were.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn resolve_all(&self, rule: NoticeRule, now: UnixMillis) -> Result<u64, LedgerError> {
        let mut write = self.write().await?;
        let done = sqlx::query("UPDATE notices SET resolved_at = $2 WHERE rule = $1 AND resolved_at IS NULL");
        let done = done.bind(rule.label()).bind(now).execute(&mut *write.tx).await?;
        write.commit().await?;
        Ok(done.rows_affected())
    }

    /// The newest notices, open ones first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn notices(&self, limit: u32) -> Result<Vec<NoticeRow>, LedgerError> {
        let newest = sqlx::query_as(
            "SELECT * FROM notices ORDER BY resolved_at IS NOT NULL, raised_at DESC, id DESC LIMIT $1",
        );
        Ok(newest.bind(i64::from(limit)).fetch_all(self.pool()).await?)
    }

    /// Writes down what is wrong with a relay's registration of a validator; an empty text is nothing. Whether that is news.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub async fn save_drift(
        &self,
        relay: &str,
        pubkey: &BlsPublicKey,
        drift: &str,
        now: i64,
    ) -> Result<bool, LedgerError> {
        let mut write = self.write().await?;
        let before = sqlx::query_scalar(
            "SELECT drift FROM registration_drifts WHERE counterparty = $1 AND pubkey = $2",
        );
        let before = before.bind(relay).bind(pubkey.to_string()).fetch_optional(&mut *write.tx).await?;
        let before: String = before.unwrap_or_default();
        sqlx::query(
            "INSERT INTO registration_drifts (counterparty, pubkey, looked_at, drift, instance) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (counterparty, pubkey) DO UPDATE SET looked_at = excluded.looked_at, drift = excluded.drift, \
             instance = excluded.instance",
        )
        .bind(relay)
        .bind(pubkey.to_string())
        .bind(now)
        .bind(drift)
        .bind(write.instance)
        .execute(&mut *write.tx)
        .await?;
        write.commit().await?;
        Ok(before != drift)
    }

    /// Every registration that a relay has otherwise than we do: relay, validator, what is wrong.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn drifts(&self) -> Result<Vec<(String, String, String)>, LedgerError> {
        let drifts = sqlx::query_as(
            "SELECT counterparty, pubkey, drift FROM registration_drifts WHERE drift <> '' ORDER BY counterparty, pubkey",
        );
        Ok(drifts.fetch_all(self.pool()).await?)
    }
}

/// Takes in a notice that was told: unless it is open, or one as young is there already, and was resolved in the meantime.
pub(super) async fn notice_told(write: &mut WriteTransaction, notice: &Notice) -> Result<(), sqlx::Error> {
    let query = if notice.resolved {
        sqlx::query(
            "UPDATE notices SET resolved_at = $3 WHERE rule = $1 AND subject = $2 AND resolved_at IS NULL AND raised_at <= $3",
        )
        .bind(notice.rule.label())
        .bind(&notice.subject)
        .bind(notice.at)
    } else {
        sqlx::query(
            "INSERT INTO notices (rule, subject, raised_at, severity, words, instance) SELECT $1, $2, $3, $4, $5, $6 \
             WHERE NOT EXISTS (SELECT 1 FROM notices WHERE rule = $1 AND subject = $2 \
             AND (resolved_at IS NULL OR raised_at >= $3))",
        )
        .bind(notice.rule.label())
        .bind(&notice.subject)
        .bind(notice.at)
        .bind(notice.severity.map_or("", Severity::label))
        .bind(&notice.message)
        .bind(write.instance)
    };
    query.execute(&mut *write.tx).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(resolved: bool, at: i64) -> Notice {
        let (rule, subject) = (NoticeRule::MachinePressure, "relays".to_owned());
        Notice { rule, subject, severity: Some(Severity::P3), message: format!("at {at}"), resolved, at }
    }

    /// When each notice was raised and resolved, oldest first, after the writer has heard of these.
    async fn after(ledger: &Ledger, told: &[Notice]) -> Vec<(i64, Option<i64>)> {
        let mut write = ledger.write().await.unwrap();
        for notice in told {
            notice_told(&mut write, notice).await.unwrap();
        }
        write.commit().await.unwrap();
        let mut kept: Vec<_> =
            ledger.notices(10).await.unwrap().iter().map(|row| (row.raised_at, row.resolved_at)).collect();
        kept.sort_unstable();
        kept
    }

    #[tokio::test]
    async fn what_is_told_is_kept_once() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        assert_eq!(after(&ledger, &[told(true, 5)]).await, []);
        assert_eq!(after(&ledger, &[told(false, 10), told(false, 11)]).await, [(10, None)]);
        assert_eq!(after(&ledger, &[told(true, 20)]).await, [(10, Some(20))]);
        assert_eq!(after(&ledger, &[told(false, 30)]).await, [(10, Some(20)), (30, None)]);
        assert_eq!(ledger.resolve_all(NoticeRule::MachinePressure, 40).await.unwrap(), 1);
        assert_eq!(after(&ledger, &[]).await, [(10, Some(20)), (30, Some(40))]);
    }

    /// The room wrote it all down long before the writer hears of it.
    #[tokio::test]
    async fn what_the_writer_hears_late_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        for raised_at in [10, 30] {
            assert!(ledger.raise_notice(&Notice { at: raised_at, ..told(false, 10) }).await.unwrap());
            if raised_at == 10 {
                assert!(ledger.resolve_notice(NoticeRule::MachinePressure, "relays", 20).await.unwrap());
            }
        }
        let late = [told(false, 10), told(true, 20), told(false, 30)];
        assert_eq!(after(&ledger, &late[..1]).await, [(10, Some(20)), (30, None)]);
        assert_eq!(after(&ledger, &late[1..]).await, [(10, Some(20)), (30, None)]);
        ledger.resolve_notice(NoticeRule::MachinePressure, "relays", 40).await.unwrap();
        assert_eq!(after(&ledger, &late).await, [(10, Some(20)), (30, Some(40))]);
    }
}
