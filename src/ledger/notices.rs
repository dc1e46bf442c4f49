//! What the operator was told to look at, and what relays have registered otherwise than we do.

use serde::Serialize;
use sqlx::{Row, sqlite::SqliteRow};

use super::{Ledger, LedgerError};
use crate::types::BlsPublicKey;

/// Something the operator should look at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NoticeRow {
    /// Which rule found it.
    pub rule: String,
    /// What it is about: a slot, a relay, a validator.
    pub subject: String,
    /// `P1` to `P4`.
    pub severity: String,
    /// In words.
    #[serde(rename = "words")]
    pub message: String,
    /// Unix milliseconds.
    pub raised_at: i64,
    /// When it was over.
    pub resolved_at: Option<i64>,
}

impl Ledger {
    /// Raises a notice, unless it is open already. Whether it is news.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub async fn raise_notice(&self, notice: &NoticeRow) -> Result<bool, LedgerError> {
        let done = sqlx::query(
            "INSERT INTO notices (rule, subject, severity, words, raised_at) SELECT $1, $2, $3, $4, $5 \
             WHERE NOT EXISTS (SELECT 1 FROM notices WHERE rule = $1 AND subject = $2 AND resolved_at IS NULL)",
        )
        .bind(&notice.rule)
        .bind(&notice.subject)
        .bind(&notice.severity)
        .bind(&notice.message)
        .bind(notice.raised_at)
        .execute(self.pool())
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Resolves a notice. Whether it was open.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn resolve_notice(&self, rule: &str, subject: &str, now: i64) -> Result<bool, LedgerError> {
        let done = sqlx::query(
            "UPDATE notices SET resolved_at = $3 WHERE rule = $1 AND subject = $2 AND resolved_at IS NULL",
        )
        .bind(rule)
        .bind(subject)
        .bind(now)
        .execute(self.pool())
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// The newest notices, open ones first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn notices(&self, limit: u32) -> Result<Vec<NoticeRow>, LedgerError> {
        let rows = sqlx::query(
            "SELECT * FROM notices ORDER BY resolved_at IS NOT NULL, raised_at DESC, id DESC LIMIT $1",
        );
        let rows = rows.bind(i64::from(limit)).fetch_all(self.pool()).await?;
        let notice = |row: &SqliteRow| {
            Ok(NoticeRow {
                rule: row.try_get("rule")?,
                subject: row.try_get("subject")?,
                severity: row.try_get("severity")?,
                message: row.try_get("words")?,
                raised_at: row.try_get("raised_at")?,
                resolved_at: row.try_get("resolved_at")?,
            })
        };
        rows.iter().map(notice).collect()
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
        let before =
            sqlx::query("SELECT drift FROM registration_drifts WHERE counterparty = $1 AND pubkey = $2");
        let before = before.bind(relay).bind(pubkey.to_string()).fetch_optional(self.pool()).await?;
        let before = before.map(|row| row.try_get::<String, _>("drift")).transpose()?.unwrap_or_default();
        sqlx::query(
            "INSERT INTO registration_drifts (counterparty, pubkey, looked_at, drift) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (counterparty, pubkey) DO UPDATE SET looked_at = excluded.looked_at, drift = excluded.drift",
        )
        .bind(relay)
        .bind(pubkey.to_string())
        .bind(now)
        .bind(drift)
        .execute(self.pool())
        .await?;
        Ok(before != drift)
    }

    /// Every registration that a relay has otherwise than we do: relay, validator, what is wrong.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn drifts(&self) -> Result<Vec<(String, String, String)>, LedgerError> {
        let rows = sqlx::query(
            "SELECT counterparty, pubkey, drift FROM registration_drifts WHERE drift <> '' ORDER BY counterparty, pubkey",
        );
        let rows = rows.fetch_all(self.pool()).await?;
        rows.iter()
            .map(|row| Ok((row.try_get("counterparty")?, row.try_get("pubkey")?, row.try_get("drift")?)))
            .collect()
    }
}
