//! The records by which relays are judged, over restarts. Opaque here: the relay room reads and writes them.

use super::{Ledger, LedgerError, query::WriteTransaction};
use crate::events::BlockRecordSaved;

/// Records of blocks older than this are forgotten, in milliseconds: a week, beyond which no chain is without finality for reasons that
/// a relay could be blamed for.
const KEPT_MS: i64 = 7 * 86_400_000;
/// Records taken up at a start, at most. Arbitrary: as many as are kept in memory.
const MAX_RESTORED: i64 = 256;

impl Ledger {
    /// The newest records of blocks, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn block_records(&self) -> Result<Vec<String>, LedgerError> {
        let newest =
            sqlx::query_scalar("SELECT record FROM block_records ORDER BY slot DESC, saved_at DESC LIMIT $1");
        let mut records: Vec<String> = newest.bind(MAX_RESTORED).fetch_all(self.pool()).await?;
        records.reverse();
        Ok(records)
    }
}

pub(super) async fn block_record_saved(
    write: &mut WriteTransaction,
    saved: &BlockRecordSaved,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO block_records (slot, block_hash, record, saved_at, instance) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (slot, block_hash) DO UPDATE SET record = excluded.record, saved_at = excluded.saved_at, \
         instance = excluded.instance",
    )
    .bind(saved.slot.as_u64().cast_signed())
    .bind(saved.block_hash.to_string())
    .bind(&saved.record)
    .bind(saved.at)
    .bind(write.instance)
    .execute(&mut *write.tx)
    .await?;
    sqlx::query("DELETE FROM block_records WHERE saved_at < $1")
        .bind(saved.at.saturating_sub(KEPT_MS))
        .execute(&mut *write.tx)
        .await?;
    Ok(())
}
