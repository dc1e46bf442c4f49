//! The ledger file: opening it, reading the journal back into it, and the questions people ask it.

use std::{path::Path, sync::Arc};

use tokio::sync::{Mutex, OwnedMutexGuard};

use super::{
    LedgerError,
    bundle_sums::DoneBundles,
    database::{
        Durability, Executor, KeepAlive, Pool, Step, Tx, begin_write, damages, free_bytes, made_at,
        open_in_memory, open_to_read, open_with_writer,
    },
    instance::instance_of,
    remembered::RememberedValidator,
    row::get,
    write_state::{WriteLog, WriteState},
};
use crate::{events::RegistrationFacts, types::UnixMillis};

pub(super) const STEPS: &[Step] = &[
    Step { version: 1, name: "slots", sql: include_str!("../../migrations/ledger/0001_slots.sql") },
    Step { version: 2, name: "standings", sql: include_str!("../../migrations/ledger/0002_standings.sql") },
    Step { version: 3, name: "profit", sql: include_str!("../../migrations/ledger/0003_profit.sql") },
    Step { version: 4, name: "bundles", sql: include_str!("../../migrations/ledger/0004_bundles.sql") },
    Step {
        version: 5,
        name: "block_records",
        sql: include_str!("../../migrations/ledger/0005_block_records.sql"),
    },
    Step { version: 7, name: "unknowable", sql: include_str!("../../migrations/ledger/0007_unknowable.sql") },
    Step {
        version: 8,
        name: "relay hours",
        sql: include_str!("../../migrations/ledger/0008_relay_hours.sql"),
    },
    Step {
        version: 9,
        name: "missed requests",
        sql: include_str!("../../migrations/ledger/0009_missed_requests.sql"),
    },
    Step {
        version: 11,
        name: "undecoded blocks",
        sql: include_str!("../../migrations/ledger/0011_undecoded_blocks.sql"),
    },
    Step {
        version: 12,
        name: "shared auctions",
        sql: include_str!("../../migrations/ledger/0012_shared_auctions.sql"),
    },
    Step {
        version: 13,
        name: "bundle delivery",
        sql: include_str!("../../migrations/ledger/0013_bundle_delivery.sql"),
    },
    Step {
        version: 14,
        name: "mode reason",
        sql: include_str!("../../migrations/ledger/0014_mode_reason.sql"),
    },
    Step {
        version: 15,
        name: "heard validators",
        sql: include_str!("../../migrations/ledger/0015_heard_validators.sql"),
    },
    Step { version: 16, name: "instances", sql: include_str!("../../migrations/ledger/0016_instances.sql") },
    Step {
        version: 17,
        name: "projection",
        sql: include_str!("../../migrations/ledger/0017_projection.sql"),
    },
    Step {
        version: 18,
        name: "slots of other times",
        sql: include_str!("../../migrations/ledger/0018_slots_of_other_times.sql"),
    },
    Step {
        version: 19,
        name: "bundle indexes",
        sql: include_str!("../../migrations/ledger/0019_bundle_indexes.sql"),
    },
    Step {
        version: 20,
        name: "notice index",
        sql: include_str!("../../migrations/ledger/0020_notice_index.sql"),
    },
    Step { version: 21, name: "alerts", sql: include_str!("../../migrations/ledger/0021_alerts.sql") },
    Step { version: 22, name: "sla", sql: include_str!("../../migrations/ledger/0022_sla.sql") },
    Step {
        version: 23,
        name: "foreign alerts",
        sql: include_str!("../../migrations/ledger/0023_alert_foreign.sql"),
    },
    Step {
        version: 25,
        name: "notice times",
        sql: include_str!("../../migrations/ledger/0025_notice_times.sql"),
    },
    Step { version: 26, name: "nodes", sql: include_str!("../../migrations/ledger/0026_nodes.sql") },
    Step {
        version: 27,
        name: "removals of nodes",
        sql: include_str!("../../migrations/ledger/0027_node_removals.sql"),
    },
    Step { version: 28, name: "disk", sql: include_str!("../../migrations/ledger/0028_disk.sql") },
    Step {
        version: 29,
        name: "maintenance",
        sql: include_str!("../../migrations/ledger/0029_maintenance.sql"),
    },
    Step { version: 30, name: "backups", sql: include_str!("../../migrations/ledger/0030_backups.sql") },
    Step { version: 31, name: "retention", sql: include_str!("../../migrations/ledger/0031_retention.sql") },
];

/// Damages that are named: where there is one, a person looks at the file.
const MOST_DAMAGES: u8 = 5;

/// Most memory that a ledger without a file takes: some ten days of every slot with 8 relays. Beyond it, writes fail and are told.
const MAX_MEMORY_BYTES: u64 = 256 << 20;

/// A transaction that nobody of this process competes with.
pub(super) struct WriteTransaction {
    pub(super) tx: Tx<'static>,
    /// Number of this sidecar in `instances`, which every row that it writes has.
    pub(super) instance: i64,
    revision: Option<i64>,
    _turn: OwnedMutexGuard<()>,
}

impl WriteTransaction {
    /// The revision of every slot that this transaction changes: above that of all others, and of all that sums were made from.
    pub(super) async fn revision(&mut self) -> Result<i64, sqlx::Error> {
        if let Some(revision) = self.revision {
            return Ok(revision);
        }
        let last = sqlx::query_scalar(
            "SELECT COALESCE(MAX(last), 0) FROM (SELECT MAX(revision) AS last FROM settlements WHERE revision > 0 \
             UNION ALL SELECT MAX(position) FROM projections) AS known",
        );
        let last: i64 = last.fetch_one(&mut *self.tx).await?;
        Ok(*self.revision.insert(last.saturating_add(1)))
    }

    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        self.tx.commit().await
    }
}

/// The ledger file. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// For questions.
    pool: Pool,
    /// The connection that writes: however many people read long reports, the writer does not wait for one of theirs.
    writer: Pool,
    /// What bundles came to that are done.
    pub(super) done_bundles: DoneBundles,
    /// Only where the database is in memory.
    _keep_alive: Option<KeepAlive>,
    /// Whose the rows are that it writes.
    instance: i64,
    /// Who writes: SQLite lets one at a time, and lets the others try their luck; here they queue.
    turn: Arc<Mutex<()>>,
    writes: WriteLog,
}

impl Ledger {
    /// Opens or makes `ledger.db` in a folder, to write down what happens on a chain. Copies of it that are old by `now` are removed.
    ///
    /// # Errors
    /// When the file cannot be opened or is of a newer version.
    pub async fn open(data_dir: &Path, chain: &str, now: UnixMillis) -> Result<Self, LedgerError> {
        let path = data_dir.join("ledger.db");
        let (pool, writer) = open_with_writer(&path, Durability::Process, 4, STEPS, now).await?;
        let instance = instance_of(&writer, &path.display().to_string(), chain).await?;
        Ok(Self::new((pool, writer), None, instance))
    }

    /// A ledger that ends with the process, where the file cannot be used.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub async fn open_in_memory(chain: &str) -> Result<Self, LedgerError> {
        let (pool, keep_alive) = open_in_memory(STEPS, MAX_MEMORY_BYTES).await?;
        let instance = instance_of(&pool, "memory", chain).await?;
        // More connections than one would lock each other out of tables.
        Ok(Self::new((pool.clone(), pool), Some(Arc::new(Mutex::new(keep_alive))), instance))
    }

    /// Opens the ledger to read it beside the service: nothing is made, changed or brought up to date.
    ///
    /// # Errors
    /// When the file cannot be read, or is of another version.
    pub async fn open_to_read(data_dir: &Path) -> Result<Self, LedgerError> {
        let pool = open_to_read(&data_dir.join("ledger.db"), 2, STEPS).await?;
        // Nothing is written: nobody's rows.
        Ok(Self::new((pool.clone(), pool), None, 0))
    }

    fn new((pool, writer): (Pool, Pool), keep_alive: Option<KeepAlive>, instance: i64) -> Self {
        Self {
            pool,
            writer,
            done_bundles: DoneBundles::default(),
            _keep_alive: keep_alive,
            instance,
            turn: Arc::default(),
            writes: WriteLog::default(),
        }
    }

    /// When this ledger was made, in Unix milliseconds: at its first schema.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn made_at(&self) -> Result<Option<UnixMillis>, LedgerError> {
        Ok(made_at(&self.pool).await?)
    }

    /// A transaction that writes, in its turn.
    pub(super) async fn write(&self) -> Result<WriteTransaction, sqlx::Error> {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let tx = begin_write(&self.writer).await?;
        Ok(WriteTransaction { tx, instance: self.instance, revision: None, _turn: turn })
    }

    /// How writing what happens goes, for health checks.
    pub fn write_state(&self) -> WriteState {
        self.writes.state()
    }

    pub(crate) fn note_write(&self, now: i64, error: Option<String>) {
        self.writes.note(now, error);
    }

    pub(super) fn note_backlog(&self, waiting: usize, dropped: u64, skipped: u64) {
        self.writes.note_backlog(waiting, dropped, skipped);
    }

    /// Number of this sidecar in `instances`.
    pub(super) const fn instance(&self) -> i64 {
        self.instance
    }

    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Every registration known, also of validators that moved away, for the auction's memory at start.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn registrations(&self) -> Result<Vec<RememberedValidator>, LedgerError> {
        read_registrations(&self.pool).await
    }

    /// Every relay's reputation as it was saved last: name and JSON.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn reputations(&self) -> Result<Vec<(String, String)>, LedgerError> {
        read_reputations(&self.pool).await
    }

    /// Whether the file answers.
    pub async fn is_well(&self) -> bool {
        sqlx::query("SELECT 1").execute(&self.pool).await.is_ok()
    }

    /// What is damaged in the file: a few words for each, none where all is well. Reads the whole file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn damages(&self) -> Result<Vec<String>, LedgerError> {
        Ok(damages(&self.pool, MOST_DAMAGES).await?)
    }

    /// Changes the file by other means than its own, for tests of rooms that write no SQL.
    #[cfg(test)]
    pub(crate) async fn change_for_test(&self, sql: &'static str) {
        sqlx::query(sql).execute(&self.writer).await.unwrap();
    }

    /// Keeps everybody else from writing until it is dropped, as a disk does that hangs.
    #[cfg(test)]
    pub(crate) async fn hold_for_test(&self) -> impl Drop + use<> {
        self.writer.begin().await.unwrap()
    }

    /// Room in the file that is used again before it grows, in bytes.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn free_bytes(&self) -> Result<u64, LedgerError> {
        Ok(free_bytes(&self.pool).await?)
    }

    /// Finishes writing and closes the file.
    pub async fn shut(&self) {
        self.pool.close().await;
        self.writer.close().await;
    }
}

/// What validators registered, from whatever has the table: in a file of an earlier version nothing says when they were heard.
pub(super) async fn read_registrations(
    database: impl Executor<'_>,
) -> Result<Vec<RememberedValidator>, LedgerError> {
    let rows = sqlx::query("SELECT * FROM registrations").fetch_all(database).await?;
    let mut known = Vec::with_capacity(rows.len());
    for row in &rows {
        let (pubkey, fee_recipient): (String, String) = (get(row, "pubkey")?, get(row, "fee_recipient")?);
        let (Ok(pubkey), Ok(fee_recipient)) = (pubkey.parse(), fee_recipient.parse()) else { continue };
        let (gas_limit, timestamp) = (get(row, "gas_limit")?, get(row, "signed_at")?);
        let facts = RegistrationFacts { pubkey, fee_recipient, gas_limit, timestamp };
        known.push(RememberedValidator { facts, heard_at: get(row, "heard_at").unwrap_or_default() });
    }
    Ok(known)
}

/// Every relay's reputation, from whatever has the table.
pub(super) async fn read_reputations(
    database: impl Executor<'_>,
) -> Result<Vec<(String, String)>, LedgerError> {
    let rows = sqlx::query_as("SELECT counterparty, standing FROM counterparty_standings");
    Ok(rows.fetch_all(database).await?)
}

#[cfg(test)]
mod tests {
    use super::{super::database::open, *};
    use crate::{consensus::SlotClock, events::SlotStatus, ledger::Settled, types::Slot};

    /// Reports that take every connection for questions do not keep what happens out of the ledger.
    #[tokio::test]
    async fn the_writer_waits_for_no_reader() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        let mut reports = Vec::new();
        for _ in 0..4 {
            let mut report = ledger.pool().begin().await.unwrap();
            sqlx::query("SELECT COUNT(*) FROM settlements").execute(&mut *report).await.unwrap();
            reports.push(report);
        }
        let row = Settled { slot: 5, status: SlotStatus::Final.into(), ..Settled::default() };
        ledger.save_settlements(&[row]).await.unwrap();
        drop(reports);
        assert_eq!(ledger.last_slot().await.unwrap(), Some(Slot::new(5)));
    }

    /// A file as it was before a step.
    async fn file_before(folder: &Path, version: i64) -> Pool {
        let older: Vec<Step> = STEPS
            .iter()
            .filter(|step| step.version < version)
            .map(|step| Step { version: step.version, name: step.name, sql: step.sql })
            .collect();
        open(&folder.join("ledger.db"), Durability::Process, 1, &older, 0).await.unwrap()
    }

    /// Earlier versions wrote down whatever slot was asked for.
    #[tokio::test]
    async fn absurd_slots_of_an_earlier_version_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let pool = file_before(folder.path(), 18).await;
        let (past, future) = (i64::MAX, i64::MIN);
        let asked = [(-1, future), (5, past), (1000, 100), (2000, -40), (9000, future), (i64::MAX, future)];
        for (slot, ms_into_slot) in asked {
            sqlx::query(
                "INSERT INTO auctions (id, slot, parent_hash, proposer, fork, requested_at, ms_into_slot, budget_ms, answered_in_us, \
                 user_agent, why_no_bid) VALUES ($1, $1, '', '', '', 5, $2, 0, 0, '', '')",
            )
            .bind(slot)
            .bind(ms_into_slot)
            .execute(&pool)
            .await
            .unwrap();
            sqlx::query("INSERT INTO settlements (slot, revision) VALUES ($1, 3)")
                .bind(slot)
                .execute(&pool)
                .await
                .unwrap();
        }
        pool.close().await;
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        for table in ["auctions", "settlements"] {
            let slots = sqlx::AssertSqlSafe(format!("SELECT slot FROM {table} ORDER BY slot"));
            let slots: Vec<i64> = sqlx::query_scalar(slots).fetch_all(ledger.pool()).await.unwrap();
            assert_eq!(slots, [1000, 2000], "{table}");
        }
    }

    #[tokio::test]
    async fn an_older_files_rows_are_its_first_instances_and_need_no_new_sums() {
        let folder = tempfile::tempdir().unwrap();
        let pool = file_before(folder.path(), 16).await;
        sqlx::query("INSERT INTO settlements (slot) VALUES (5)").execute(&pool).await.unwrap();
        pool.close().await;
        let ledger = Ledger::open(folder.path(), "hoodi", 0).await.unwrap();
        let whose = sqlx::query_as(
            "SELECT i.id, i.chain FROM settlements s JOIN instances i ON i.id = s.instance WHERE s.slot = 5",
        );
        let (instance, chain): (i64, String) = whose.fetch_one(ledger.pool()).await.unwrap();
        assert_eq!((instance, chain.as_str()), (1, "hoodi"));
        assert!(ledger.changed_days(SlotClock::new(0, 12_000)).await.unwrap().days.is_empty());
    }
}
