//! Slots of ours in which no header was asked for, and when this service ran.

use super::{Ledger, LedgerError, MissedRequestView, database::DbConnection, row::from_row};
use crate::{
    events::MissedRequest,
    types::{BlsPublicKey, Slot},
};

/// The run of this service before the present one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastRun {
    /// Its last sign of life, Unix milliseconds.
    pub seen_at: i64,
    /// Whether it ended by a stop; else it was killed, or the machine went down.
    pub was_stopped: bool,
}

impl Ledger {
    /// Whether a header was asked for in a slot by this proposer, or a block of the slot was handed in.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn has_request(&self, slot: Slot, proposer: &BlsPublicKey) -> Result<bool, LedgerError> {
        let asked = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM auctions WHERE slot = $1 AND proposer = $2) \
             OR EXISTS (SELECT 1 FROM submissions WHERE slot = $1)",
        );
        let asked = asked.bind(slot.as_u64().cast_signed()).bind(proposer.to_string());
        Ok(asked.fetch_one(self.pool()).await?)
    }

    /// Writes down that no header was asked for, unless it was, or this is known already. Whether it is news. What the slot paid is then
    /// looked for as for any other of ours.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn save_missed_request(&self, missed: &MissedRequest) -> Result<bool, LedgerError> {
        let mut write = self.write().await?;
        let done = sqlx::query(
            "INSERT INTO missed_requests (slot, proposer, reason, message, last_request_at, found_at, instance) \
             SELECT $1, $2, $3, $4, $5, $6, $7 WHERE NOT EXISTS (SELECT 1 FROM auctions WHERE slot = $1 AND proposer = $2) \
             AND NOT EXISTS (SELECT 1 FROM submissions WHERE slot = $1) ON CONFLICT DO NOTHING",
        )
        .bind(missed.slot.as_u64().cast_signed())
        .bind(missed.proposer.to_string())
        .bind(missed.reason.label())
        .bind(&missed.message)
        .bind(missed.last_request_at)
        .bind(missed.at)
        .bind(write.instance)
        .execute(&mut *write.tx)
        .await?;
        let is_news = done.rows_affected() > 0;
        if is_news {
            let revision = write.revision().await?;
            sqlx::query(
                "INSERT INTO settlements (slot, proposer, revision, instance) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (slot) DO UPDATE SET revision = excluded.revision",
            )
            .bind(missed.slot.as_u64().cast_signed())
            .bind(missed.proposer.to_string())
            .bind(revision)
            .bind(write.instance)
            .execute(&mut *write.tx)
            .await?;
        }
        write.commit().await?;
        Ok(is_news)
    }

    /// Begins a run; what is known of the one before.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub async fn begin_run(&self, now: i64) -> Result<Option<LastRun>, LedgerError> {
        let last =
            sqlx::query_as("SELECT seen_at, stopped_at FROM service_runs ORDER BY seen_at DESC LIMIT 1");
        let last: Option<(i64, Option<i64>)> = last.fetch_optional(self.pool()).await?;
        let last = last.map(|(seen_at, stopped_at)| LastRun { seen_at, was_stopped: stopped_at.is_some() });
        // One row is enough: of older runs nobody asks.
        let mut write = self.write().await?;
        sqlx::query("DELETE FROM service_runs").execute(&mut *write.tx).await?;
        sqlx::query("INSERT INTO service_runs (started_at, seen_at, instance) VALUES ($1, $1, $2)")
            .bind(now)
            .bind(write.instance)
            .execute(&mut *write.tx)
            .await?;
        write.commit().await?;
        Ok(last)
    }

    /// A sign of life of the present run; its last where it is being stopped.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn note_run(&self, now: i64, is_stopped: bool) -> Result<(), LedgerError> {
        let mut write = self.write().await?;
        sqlx::query("UPDATE service_runs SET seen_at = $1, stopped_at = $2")
            .bind(now)
            .bind(is_stopped.then_some(now))
            .execute(&mut *write.tx)
            .await?;
        write.commit().await?;
        Ok(())
    }
}

/// The missed request of a slot. One whose request came after all is none: a late request leaves its auction.
pub(super) async fn missed_request(
    tx: &mut DbConnection,
    slot: i64,
) -> Result<Option<MissedRequestView>, sqlx::Error> {
    let found = sqlx::query_as(
        "SELECT * FROM missed_requests m WHERE slot = $1 \
         AND NOT EXISTS (SELECT 1 FROM auctions a WHERE a.slot = m.slot AND a.proposer = m.proposer) \
         AND NOT EXISTS (SELECT 1 FROM submissions s WHERE s.slot = m.slot) LIMIT 1",
    );
    found.bind(slot).fetch_optional(tx).await
}

from_row!(|row| MissedRequestView { proposer, reason, message, last_request_at, found_at });
