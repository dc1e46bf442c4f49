//! Reading the journal back into the ledger at a start: blocks, answers and fates that a crash kept from it.
//!
//! Labels are copied as they are: what a newer version wrote is not known here, and is not lost either.

use super::{
    Journal, Ledger, LedgerError,
    auctions::{WRITTEN_FROM_MS, WRITTEN_UNTIL_MS},
    query::WriteTransaction,
    row::from_row,
};

/// All but the blocks themselves, which are megabytes.
const BLOCKS: &str = "SELECT slot, block_hash, parent_hash, proposer_index, fork, version, received_at, ms_into_slot, \
     offered_by, fate, decided_by, decided_in_us, decided_at, undecoded FROM blocks";

impl Ledger {
    /// Copies what the journal knows into the ledger.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub async fn read_back(&self, journal: &Journal) -> Result<(), LedgerError> {
        let blocks: Vec<JournaledBlock> = sqlx::query_as(BLOCKS).fetch_all(journal.pool()).await?;
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

/// A fate that the ledger has is kept where it is one for good: the journal may have failed to write it.
async fn copy_block(write: &mut WriteTransaction, block: &JournaledBlock) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO submissions (slot, block_hash, parent_hash, proposer_index, fork, version, received_at, \
         ms_into_slot, offered_by, fate, decided_by, decided_in_us, decided_at, undecoded, instance) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) \
         ON CONFLICT (slot, block_hash) DO UPDATE SET fate = excluded.fate, decided_by = excluded.decided_by, \
         decided_in_us = excluded.decided_in_us, decided_at = excluded.decided_at \
         WHERE submissions.fate NOT IN ('delivered', 'accepted')",
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

/// Every slot of a submission is to be settled, unless it is of another time.
async fn open_missing_settlements(write: &mut WriteTransaction) -> Result<(), sqlx::Error> {
    let revision = write.revision().await?;
    sqlx::query(
        "INSERT INTO settlements (slot, revision, instance) SELECT DISTINCT slot, CAST($1 AS BIGINT), CAST($2 AS BIGINT) \
         FROM submissions WHERE ms_into_slot >= $3 AND ms_into_slot <= $4 ON CONFLICT DO NOTHING",
    )
    .bind(revision)
    .bind(write.instance)
    .bind(WRITTEN_FROM_MS)
    .bind(WRITTEN_UNTIL_MS)
    .execute(&mut *write.tx)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use alloy_primitives::B256;

    use super::*;
    use crate::{
        events::BlockReceived,
        types::{Fork, Slot},
    };

    fn block(slot: u64, ms_into_slot: i64) -> BlockReceived {
        BlockReceived {
            slot: Slot::new(slot),
            block_hash: B256::repeat_byte(1),
            parent_hash: B256::ZERO,
            proposer_index: 1,
            fork: Fork::Electra,
            version: 2,
            at: 1,
            ms_into_slot,
            offered_by: Vec::new(),
            undecoded: None,
        }
    }

    #[tokio::test]
    async fn a_fate_for_good_outlives_a_journal_that_could_not_be_written() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        let journal = Journal::open_in_memory().await.unwrap();
        for (slot, ms_into_slot) in [(7, 100), (8, 100), (9, i64::MIN)] {
            journal.append(&block(slot, ms_into_slot), b"ssz", None).await.unwrap();
        }
        ledger.read_back(&journal).await.unwrap();
        sqlx::query("UPDATE submissions SET fate = 'accepted', decided_by = 'a' WHERE slot = 7")
            .execute(ledger.pool())
            .await
            .unwrap();
        sqlx::query("UPDATE blocks SET fate = 'failed' WHERE slot = 8")
            .execute(journal.pool())
            .await
            .unwrap();
        ledger.read_back(&journal).await.unwrap();
        let fates = sqlx::query_as("SELECT fate, decided_by FROM submissions ORDER BY slot");
        let fates: Vec<(String, Option<String>)> = fates.fetch_all(ledger.pool()).await.unwrap();
        let known = |fate: &str, by: Option<&str>| (fate.to_owned(), by.map(str::to_owned));
        assert_eq!(fates, [known("accepted", Some("a")), known("failed", None), known("pending", None)]);
        assert_eq!(
            ledger.last_slot().await.unwrap(),
            Some(Slot::new(8)),
            "a slot of another time is not settled"
        );
    }
}
