//! The journal of signed blocks: durable before the first relay sees them.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use alloy_primitives::B256;
use tokio::sync::Mutex;
use tracing::warn;

use super::{
    LedgerError,
    database::{Durability, Executor, KeepAlive, Pool, Query, Row, Step, open, open_in_memory, open_to_read},
    row::get,
};
use crate::{
    events::{BlockReceived, SubmissionAnswer, SubmissionClosed},
    types::{DAY_MS, RelayId, Slot, UnixMillis, parse_hash},
};

pub(super) const STEPS: [Step; 2] = [
    Step { version: 1, name: "blocks", sql: include_str!("../../migrations/journal/0001_blocks.sql") },
    Step { version: 2, name: "undecoded", sql: include_str!("../../migrations/journal/0002_undecoded.sql") },
];

/// Most memory that a journal without a file takes: hundreds of blocks. Beyond it, blocks leave without being in it.
const MAX_MEMORY_BYTES: u64 = 64 << 20;

/// How long the journal keeps blocks that have a fate, unless it is told otherwise: a month, in milliseconds.
const KEPT_MS: i64 = 30 * DAY_MS;
/// The same in memory, where there is room for hundreds: an hour.
const KEPT_IN_MEMORY_MS: i64 = 3_600_000;

/// Inserts a relay's answer into a table, or overwrites what was no success. The ledger's table says whose it is, too.
macro_rules! upsert_answer {
    ("answers") => {
        upsert_answer!("answers", "", "")
    };
    ("submission_answers") => {
        upsert_answer!("submission_answers", ", instance", ", $10")
    };
    ($table:literal, $more_columns:literal, $more_values:literal) => {
        concat!(
            "INSERT INTO ",
            $table,
            " (slot, block_hash, counterparty, outcome, detail, http_status, latency_us, attempts, answered_at",
            $more_columns,
            ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9",
            $more_values,
            ") ON CONFLICT (slot, block_hash, counterparty) DO UPDATE SET outcome = excluded.outcome, \
             detail = excluded.detail, http_status = excluded.http_status, latency_us = excluded.latency_us, \
             attempts = excluded.attempts, answered_at = excluded.answered_at WHERE ",
            $table,
            ".outcome NOT IN ('accepted', 'payload_delivered')"
        )
    };
}
pub(super) use upsert_answer;

/// The journal file.
#[derive(Clone, Debug)]
pub struct Journal {
    pool: Pool,
    /// Only where the database is in memory.
    keep_alive: Option<KeepAlive>,
    forgetting: Arc<Forgetting>,
}

/// When blocks that have a fate are forgotten. Times are Unix milliseconds.
#[derive(Debug)]
struct Forgetting {
    /// How long they are kept.
    kept_ms: AtomicI64,
    /// When it was last done; 0 before the first time.
    done_at: AtomicI64,
}

impl Forgetting {
    fn after(kept_ms: i64) -> Arc<Self> {
        Arc::new(Self { kept_ms: AtomicI64::new(kept_ms), done_at: AtomicI64::new(0) })
    }

    /// What is older is to be forgotten now; nothing more than once in a while.
    fn due(&self, now: UnixMillis) -> Option<UnixMillis> {
        let kept = self.kept_ms.load(Ordering::Relaxed);
        let done_at = self.done_at.load(Ordering::Relaxed);
        if now.saturating_sub(done_at) < kept.min(DAY_MS) {
            return None;
        }
        self.done_at.store(now, Ordering::Relaxed);
        Some(now.saturating_sub(kept))
    }
}

/// How a client labelled a block that our decoder refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournaledLabels {
    /// `Content-Type`.
    pub content_type: String,
    /// `Eth-Consensus-Version`, where it sent one.
    pub consensus_version: Option<String>,
}

/// A block whose fate nobody knows: the process ended between journal and answer.
#[derive(Clone, Debug)]
pub struct UnsettledBlock {
    /// The slot that the block is for.
    pub slot: Slot,
    /// Hash of its execution block.
    pub block_hash: B256,
    /// The proposer's validator index.
    pub proposer_index: u64,
    /// `blinded_blocks` version the client called.
    pub version: u8,
    /// The block in SSZ; as it came where it has labels.
    pub bytes: Vec<u8>,
    /// The client's labels, where the block does not decode.
    pub labels: Option<JournaledLabels>,
    /// Relays that had offered it when it came: they can settle it by their word.
    pub offered_by: Vec<RelayId>,
}

impl Journal {
    /// Opens or makes `journal.db` in a folder. Copies of it that are old by `now` are removed.
    ///
    /// # Errors
    /// When the file cannot be opened or is of a newer version.
    pub async fn open(data_dir: &Path, now: UnixMillis) -> Result<Self, LedgerError> {
        let pool = open(&data_dir.join("journal.db"), Durability::PowerCut, 1, &STEPS, now).await?;
        Ok(Self { pool, keep_alive: None, forgetting: Forgetting::after(KEPT_MS) })
    }

    /// A journal that ends with the process, where the file cannot be used.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub async fn open_in_memory() -> Result<Self, LedgerError> {
        let (pool, keep_alive) = open_in_memory(&STEPS, MAX_MEMORY_BYTES).await?;
        let keep_alive = Some(Arc::new(Mutex::new(keep_alive)));
        Ok(Self { pool, keep_alive, forgetting: Forgetting::after(KEPT_IN_MEMORY_MS) })
    }

    /// Opens the journal to read it beside the service: nothing is made, changed or brought up to date.
    ///
    /// # Errors
    /// When the file cannot be read, or is of another version.
    pub async fn open_to_read(data_dir: &Path) -> Result<Self, LedgerError> {
        let pool = open_to_read(&data_dir.join("journal.db"), 1, &STEPS).await?;
        Ok(Self { pool, keep_alive: None, forgetting: Forgetting::after(KEPT_MS) })
    }

    /// The pool, for the ledger to read back from.
    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Writes a signed block in SSZ, or as it came with its labels; on the disk when this returns. A block that is there already
    /// stays as it is.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn append(
        &self,
        block: &BlockReceived,
        bytes: &[u8],
        labels: Option<&JournaledLabels>,
    ) -> Result<(), LedgerError> {
        sqlx::query(
            "INSERT INTO blocks (slot, block_hash, parent_hash, proposer_index, fork, version, received_at, \
             ms_into_slot, offered_by, ssz, undecoded, content_type, consensus_version) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
             ON CONFLICT (slot, block_hash) DO NOTHING",
        )
        .bind(block.slot.as_u64().cast_signed())
        .bind(block.block_hash.to_string())
        .bind(block.parent_hash.to_string())
        .bind(block.proposer_index.cast_signed())
        .bind(block.fork.name())
        .bind(i64::from(block.version))
        .bind(block.at)
        .bind(block.ms_into_slot)
        .bind(join_ids(&block.offered_by))
        .bind(bytes)
        .bind(&block.undecoded)
        .bind(labels.map(|labels| labels.content_type.as_str()))
        .bind(labels.and_then(|labels| labels.consensus_version.as_deref()))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// A signed block in SSZ, while it is kept; none of a block that does not decode.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn signed_block(&self, slot: Slot, block_hash: &str) -> Result<Option<Vec<u8>>, LedgerError> {
        let ssz = sqlx::query_scalar(
            "SELECT ssz FROM blocks WHERE slot = $1 AND block_hash = $2 AND undecoded IS NULL",
        );
        Ok(ssz.bind(slot.as_u64().cast_signed()).bind(block_hash).fetch_optional(&self.pool).await?)
    }

    /// Adds a relay's answer. A success is never overwritten by a later failure (relays refuse a second call).
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn answer(&self, answer: &SubmissionAnswer) -> Result<(), LedgerError> {
        bind_answer(sqlx::query(upsert_answer!("answers")), answer).execute(&self.pool).await?;
        Ok(())
    }

    /// Writes a block's fate. `delivered` and `accepted` stay.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn close(&self, closed: &SubmissionClosed) -> Result<(), LedgerError> {
        sqlx::query(
            "UPDATE blocks SET fate = $3, decided_by = $4, decided_in_us = $5, decided_at = $6 \
             WHERE slot = $1 AND block_hash = $2 AND fate NOT IN ('delivered', 'accepted')",
        )
        .bind(closed.slot.as_u64().cast_signed())
        .bind(closed.block_hash.to_string())
        .bind(closed.fate.label())
        .bind(closed.by.as_ref().map(RelayId::as_str))
        .bind(closed.latency_us.cast_signed())
        .bind(closed.at)
        .execute(&self.pool)
        .await?;
        // Whoever waits for this has no client waiting.
        if let Some(time) = self.forgetting.due(closed.at)
            && let Err(error) = self.forget_before(time).await
        {
            warn!(%error, "blocks of long ago are still in the journal");
        }
        Ok(())
    }

    /// Keeps blocks that have a fate for so long (in milliseconds), beginning now; in memory for as long as there is room for. Looked at once a
    /// day, with a block that comes to its end.
    pub(super) fn keep_for(&self, kept_ms: i64, now: UnixMillis) {
        if self.keep_alive.is_none() {
            self.forgetting.kept_ms.store(kept_ms, Ordering::Relaxed);
        }
        self.forgetting.done_at.store(now, Ordering::Relaxed);
    }

    /// Blocks without a fate: the process died with them in flight.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn unsettled(&self) -> Result<Vec<UnsettledBlock>, LedgerError> {
        read_unsettled(&self.pool).await
    }

    /// Forgets blocks received before a time (Unix milliseconds) that have a fate; the ledger keeps what became of them.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn forget_before(&self, time: i64) -> Result<(), LedgerError> {
        sqlx::query(
            "DELETE FROM answers WHERE EXISTS (SELECT 1 FROM blocks WHERE blocks.slot = answers.slot \
             AND blocks.block_hash = answers.block_hash AND blocks.received_at < $1 AND blocks.fate <> 'pending')",
        )
        .bind(time)
        .execute(&self.pool)
        .await?;
        sqlx::query("DELETE FROM blocks WHERE received_at < $1 AND fate <> 'pending'")
            .bind(time)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Finishes writing and closes the file.
    pub async fn shut(&self) {
        self.pool.close().await;
    }
}

/// Blocks without a fate, from whatever has the table.
pub(super) async fn read_unsettled(database: impl Executor<'_>) -> Result<Vec<UnsettledBlock>, LedgerError> {
    // All columns: an older file that cannot be brought up to date lacks some.
    let rows = sqlx::query("SELECT * FROM blocks WHERE fate = 'pending' ORDER BY slot");
    rows.fetch_all(database).await?.iter().map(unsettled_from).collect()
}

fn unsettled_from(row: &Row) -> Result<UnsettledBlock, LedgerError> {
    let (hash, offered_by): (String, String) = (get(row, "block_hash")?, get(row, "offered_by")?);
    Ok(UnsettledBlock {
        slot: get(row, "slot")?,
        block_hash: parse_hash(&hash).map_err(|e| sqlx::Error::Decode(Box::new(e)))?,
        proposer_index: get(row, "proposer_index")?,
        version: u8::try_from(get::<i64>(row, "version")?).unwrap_or(2),
        bytes: get(row, "ssz")?,
        labels: labels_from(row),
        offered_by: split_ids(&offered_by).iter().filter_map(|id| RelayId::parse(id).ok()).collect(),
    })
}

/// None where the block decodes, nor in a file that is older than the labels.
fn labels_from(row: &Row) -> Option<JournaledLabels> {
    let content_type: Option<String> = get(row, "content_type").ok()?;
    let consensus_version = get(row, "consensus_version").ok()?;
    content_type.map(|content_type| JournaledLabels { content_type, consensus_version })
}

/// Binds the nine values of [`upsert_answer`].
pub(super) fn bind_answer<'q>(query: Query<'q>, answer: &'q SubmissionAnswer) -> Query<'q> {
    query
        .bind(answer.slot.as_u64().cast_signed())
        .bind(answer.block_hash.to_string())
        .bind(answer.relay.as_str())
        .bind(answer.outcome.label())
        .bind(&answer.message)
        .bind(answer.http_status.map(i64::from))
        .bind(answer.latency_us.cast_signed())
        .bind(i64::from(answer.attempts))
        .bind(answer.at)
}

/// Relay ids have no comma.
pub(super) fn join_ids(ids: &[RelayId]) -> String {
    ids.iter().map(RelayId::as_str).collect::<Vec<_>>().join(",")
}

pub(super) fn split_ids(joined: &str) -> Vec<String> {
    joined.split(',').filter(|id| !id.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{events::Fate, types::Fork};

    /// Ends the block of a slot at a time, and says which slots the journal has then.
    async fn ended(journal: &Journal, slot: u64, at: i64) -> Vec<i64> {
        let (slot, block_hash) = (Slot::new(slot), B256::repeat_byte(1));
        let block = BlockReceived {
            slot,
            block_hash,
            parent_hash: B256::ZERO,
            proposer_index: 1,
            fork: Fork::Electra,
            version: 2,
            at,
            ms_into_slot: 0,
            offered_by: Vec::new(),
            undecoded: None,
        };
        journal.append(&block, b"ssz", None).await.unwrap();
        let closed = SubmissionClosed { slot, block_hash, fate: Fate::Failed, by: None, latency_us: 1, at };
        journal.close(&closed).await.unwrap();
        sqlx::query_scalar("SELECT slot FROM blocks ORDER BY slot").fetch_all(journal.pool()).await.unwrap()
    }

    #[tokio::test]
    async fn blocks_are_forgotten_once_a_day_and_not_only_at_a_start() {
        let folder = tempfile::tempdir().unwrap();
        let start = 1_800_000_000_000;
        let journal = Journal::open(folder.path(), start).await.unwrap();
        journal.keep_for(3 * DAY_MS, start);
        assert_eq!(ended(&journal, 1, start).await, [1]);
        assert_eq!(ended(&journal, 2, start + 3 * DAY_MS + 1).await, [2]);
        assert_eq!(ended(&journal, 3, start + 4 * DAY_MS).await, [2, 3], "not again on the same day");
        assert_eq!(ended(&journal, 4, start + 7 * DAY_MS).await, [3, 4]);
        // In memory there is room for hundreds.
        let journal = Journal::open_in_memory().await.unwrap();
        journal.keep_for(3 * DAY_MS, start);
        assert_eq!(ended(&journal, 1, start).await, [1]);
        assert_eq!(ended(&journal, 2, start + KEPT_IN_MEMORY_MS + 1).await, [2]);
    }
}
