//! Reading the journal back into the ledger at a start: blocks, answers and fates that a crash kept from it.
//!
//! Labels are copied as they are: what a newer version wrote is not known here, and is not lost either.

use super::{Journal, Ledger, LedgerError, query::WriteTransaction, row::from_row};

impl Ledger {
    /// Copies what the journal knows into the ledger.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub async fn read_back(&self, journal: &Journal) -> Result<(), LedgerError> {
        let blocks: Vec<JournaledBlock> =
            sqlx::query_as("SELECT * FROM blocks").fetch_all(journal.pool()).await?;
        let answers: Vec<JournaledAnswer> =
            sqlx::query_as("SELECT * FROM answers").fetch_all(journal.pool()).await?;
        let mut write = self.write().await?;
        for block in &blocks {
            copy_block(&mut write, block).await?;
        }
        open_missing_settlements(&mut write).await?;
        for answer in &answers {
            copy_answer(&mut write, answer).await?;
        }
        write.commit().await?;
        Ok(())
    }
}

/// A row of the journal's `blocks`, but for its bytes.
struct JournaledBlock {
    slot: i64,
    block_hash: String,
    parent_hash: String,
    proposer_index: i64,
    fork: String,
    version: i64,
    received_at: i64,
    ms_into_slot: i64,
    offered_by: String,
    fate: String,
    decided_by: Option<String>,
    decided_in_us: Option<i64>,
    decided_at: Option<i64>,
    undecoded: Option<String>,
}

from_row!(|row| JournaledBlock {
    slot,
    block_hash,
    parent_hash,
    proposer_index,
    fork,
    version,
    received_at,
    ms_into_slot,
    offered_by,
    fate,
    decided_by,
    decided_in_us,
    decided_at,
    undecoded,
});

/// A row of the journal's `answers`.
struct JournaledAnswer {
    slot: i64,
    block_hash: String,
    counterparty: String,
    outcome: String,
    detail: String,
    http_status: Option<i64>,
    latency_us: i64,
    attempts: i64,
    answered_at: i64,
}

from_row!(|row| JournaledAnswer {
    slot,
    block_hash,
    counterparty,
    outcome,
    detail,
    http_status,
    latency_us,
    attempts,
    answered_at
});

async fn copy_block(write: &mut WriteTransaction, block: &JournaledBlock) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO submissions (slot, block_hash, parent_hash, proposer_index, fork, version, received_at, \
         ms_into_slot, offered_by, fate, decided_by, decided_in_us, decided_at, undecoded, instance) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) \
         ON CONFLICT (slot, block_hash) DO UPDATE SET fate = excluded.fate, decided_by = excluded.decided_by, \
         decided_in_us = excluded.decided_in_us, decided_at = excluded.decided_at",
    )
    .bind(block.slot)
    .bind(&block.block_hash)
    .bind(&block.parent_hash)
    .bind(block.proposer_index)
    .bind(&block.fork)
    .bind(block.version)
    .bind(block.received_at)
    .bind(block.ms_into_slot)
    .bind(&block.offered_by)
    .bind(&block.fate)
    .bind(&block.decided_by)
    .bind(block.decided_in_us)
    .bind(block.decided_at)
    .bind(&block.undecoded)
    .bind(write.instance)
    .execute(&mut *write.tx)
    .await?;
    Ok(())
}

async fn copy_answer(write: &mut WriteTransaction, answer: &JournaledAnswer) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO submission_answers (slot, block_hash, counterparty, outcome, detail, http_status, latency_us, \
         attempts, answered_at, instance) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING",
    )
    .bind(answer.slot)
    .bind(&answer.block_hash)
    .bind(&answer.counterparty)
    .bind(&answer.outcome)
    .bind(&answer.detail)
    .bind(answer.http_status)
    .bind(answer.latency_us)
    .bind(answer.attempts)
    .bind(answer.answered_at)
    .bind(write.instance)
    .execute(&mut *write.tx)
    .await?;
    Ok(())
}

/// Every slot of a submission is to be settled.
async fn open_missing_settlements(write: &mut WriteTransaction) -> Result<(), sqlx::Error> {
    let revision = write.revision().await?;
    sqlx::query(
        "INSERT INTO settlements (slot, revision, instance) SELECT DISTINCT slot, CAST($1 AS BIGINT), CAST($2 AS BIGINT) \
         FROM submissions WHERE TRUE ON CONFLICT DO NOTHING",
    )
    .bind(revision)
    .bind(write.instance)
    .execute(&mut *write.tx)
    .await?;
    Ok(())
}
