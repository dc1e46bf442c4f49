//! Slots of ours in which no header was asked for, and when this service ran.

use serde::Serialize;
use sqlx::{Row, Sqlite, Transaction};

use super::{Ledger, LedgerError};
use crate::{
    events::MissedRequest,
    types::{BlsPublicKey, Slot},
};

/// A slot of ours without request, as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MissedRequestView {
    /// Whose slot it was.
    pub proposer: String,
    /// `not_running`, `beacon_node_away`, `beacon_node_syncing`, `client_silent` or `client_did_not_ask`.
    pub reason: String,
    /// The same for people.
    pub message: String,
    /// When the client last asked for anything, Unix milliseconds.
    pub last_request_at: Option<i64>,
    /// When it was found, Unix milliseconds.
    pub found_at: i64,
}

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
        let row = sqlx::query(
            "SELECT EXISTS (SELECT 1 FROM auctions WHERE slot = $1 AND proposer = $2) \
             OR EXISTS (SELECT 1 FROM submissions WHERE slot = $1) AS asked",
        );
        let row = row.bind(slot.as_u64().cast_signed()).bind(proposer.to_string());
        Ok(row.fetch_one(self.pool()).await?.try_get("asked")?)
    }

    /// Writes down that no header was asked for, unless it was, or this is known already. Whether it is news. What the slot paid is then
    /// looked for as for any other of ours.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn save_missed_request(&self, missed: &MissedRequest) -> Result<bool, LedgerError> {
        let mut write = self.write().await?;
        let done = sqlx::query(
            "INSERT INTO missed_requests (slot, proposer, reason, message, last_request_at, found_at) \
             SELECT $1, $2, $3, $4, $5, $6 WHERE NOT EXISTS (SELECT 1 FROM auctions WHERE slot = $1 AND proposer = $2) \
             AND NOT EXISTS (SELECT 1 FROM submissions WHERE slot = $1) ON CONFLICT DO NOTHING",
        )
        .bind(missed.slot.as_u64().cast_signed())
        .bind(missed.proposer.to_string())
        .bind(missed.reason.label())
        .bind(&missed.message)
        .bind(missed.last_request_at)
        .bind(missed.at)
        .execute(&mut *write.tx)
        .await?;
        let is_news = done.rows_affected() > 0;
        if is_news {
            sqlx::query("INSERT INTO settlements (slot, proposer) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                .bind(missed.slot.as_u64().cast_signed())
                .bind(missed.proposer.to_string())
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
        let last = sqlx::query("SELECT seen_at, stopped_at FROM service_runs ORDER BY seen_at DESC LIMIT 1");
        let last = last.fetch_optional(self.pool()).await?;
        let last = last
            .map(|row| {
                let stopped: Option<i64> = row.try_get("stopped_at")?;
                Ok::<_, sqlx::Error>(LastRun {
                    seen_at: row.try_get("seen_at")?,
                    was_stopped: stopped.is_some(),
                })
            })
            .transpose()?;
        // One row is enough: of older runs nobody asks.
        let mut write = self.write().await?;
        sqlx::query("DELETE FROM service_runs").execute(&mut *write.tx).await?;
        sqlx::query("INSERT INTO service_runs (started_at, seen_at) VALUES ($1, $1)")
            .bind(now)
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
        sqlx::query("UPDATE service_runs SET seen_at = $1, stopped_at = $2")
            .bind(now)
            .bind(is_stopped.then_some(now))
            .execute(self.pool())
            .await?;
        Ok(())
    }
}

/// The missed request of a slot. One whose request came after all is none: a late request leaves its auction.
pub(super) async fn missed_request(
    tx: &mut Transaction<'_, Sqlite>,
    slot: i64,
) -> Result<Option<MissedRequestView>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT * FROM missed_requests m WHERE slot = $1 \
         AND NOT EXISTS (SELECT 1 FROM auctions a WHERE a.slot = m.slot AND a.proposer = m.proposer) \
         AND NOT EXISTS (SELECT 1 FROM submissions s WHERE s.slot = m.slot) LIMIT 1",
    );
    let row = row.bind(slot).fetch_optional(&mut **tx).await?;
    row.map(|row| {
        Ok(MissedRequestView {
            proposer: row.try_get("proposer")?,
            reason: row.try_get("reason")?,
            message: row.try_get("message")?,
            last_request_at: row.try_get("last_request_at")?,
            found_at: row.try_get("found_at")?,
        })
    })
    .transpose()
}
