//! What relays have registered otherwise than we do.

use super::{Ledger, LedgerError};
use crate::types::BlsPublicKey;

impl Ledger {
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

    /// Forgets what a relay had registered for a validator: what it has next is news.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn forget_drift(&self, relay: &str, pubkey: &str) -> Result<(), LedgerError> {
        let mut write = self.write().await?;
        sqlx::query("DELETE FROM registration_drifts WHERE counterparty = $1 AND pubkey = $2")
            .bind(relay)
            .bind(pubkey)
            .execute(&mut *write.tx)
            .await?;
        write.commit().await?;
        Ok(())
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
