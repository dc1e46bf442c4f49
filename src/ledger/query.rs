//! The ledger file: opening it, reading the journal back into it, and the questions people ask it.

use std::{path::Path, sync::Arc};

use sqlx::{Row, Sqlite, SqliteExecutor, SqlitePool, Transaction, sqlite::SqliteRow};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::{
    AnswerView, AuctionView, BidView, Journal, LedgerError, ModeView, PollView, SlotSummary, SlotView,
    SubmissionView,
    database::{Durability, Step, open, open_in_memory, open_to_read},
    journal::split_ids,
    missed_requests::missed_request,
    remembered::RememberedValidator,
    stores::KeepAlive,
    write_state::{WriteLog, WriteState},
};
use crate::{
    events::{ModeReason, RegistrationFacts},
    types::{Slot, Wei},
};

const STEPS: &[Step] = &[
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
];

/// Most memory that a ledger without a file takes: some ten days of every slot with 8 relays. Beyond it, writes fail and are told.
const MAX_MEMORY_BYTES: u64 = 256 << 20;

/// The newest slots, from as few entries of each table's index: a union of whole tables would read a year to find fifty.
pub(super) const NEWEST_SLOTS: &str = "SELECT slot FROM (\
     SELECT slot FROM (SELECT DISTINCT slot FROM auctions ORDER BY slot DESC LIMIT $1) AS of_auctions UNION \
     SELECT slot FROM (SELECT DISTINCT slot FROM submissions ORDER BY slot DESC LIMIT $1) AS of_submissions UNION \
     SELECT slot FROM (SELECT DISTINCT slot FROM missed_requests ORDER BY slot DESC LIMIT $1) AS of_missed) AS seen \
     ORDER BY slot DESC LIMIT $1";

/// A transaction that nobody of this process competes with.
pub(super) struct WriteTransaction {
    pub(super) tx: Transaction<'static, Sqlite>,
    _turn: OwnedMutexGuard<()>,
}

impl WriteTransaction {
    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        self.tx.commit().await
    }
}

/// The ledger file. Clones share one pool.
#[derive(Clone, Debug)]
pub struct Ledger {
    pool: SqlitePool,
    /// Only where the database is in memory.
    _keep_alive: Option<KeepAlive>,
    /// Who writes: SQLite lets one at a time, and lets the others try their luck; here they queue.
    turn: Arc<Mutex<()>>,
    writes: WriteLog,
}

impl Ledger {
    /// Opens or makes `ledger.db` in a folder.
    ///
    /// # Errors
    /// When the file cannot be opened or is of a newer version.
    pub async fn open(data_dir: &Path) -> Result<Self, LedgerError> {
        let pool = open(&data_dir.join("ledger.db"), Durability::Process, 4, STEPS).await?;
        Ok(Self { pool, _keep_alive: None, turn: Arc::default(), writes: WriteLog::default() })
    }

    /// A ledger that ends with the process, where the file cannot be used.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub async fn open_in_memory() -> Result<Self, LedgerError> {
        let (pool, keep_alive) = open_in_memory(STEPS, MAX_MEMORY_BYTES).await?;
        let keep_alive = Some(Arc::new(Mutex::new(keep_alive)));
        Ok(Self { pool, _keep_alive: keep_alive, turn: Arc::default(), writes: WriteLog::default() })
    }

    /// Opens the ledger to read it beside the service: nothing is made, changed or brought up to date.
    ///
    /// # Errors
    /// When the file cannot be read, or is of another version.
    pub async fn open_to_read(data_dir: &Path) -> Result<Self, LedgerError> {
        let pool = open_to_read(&data_dir.join("ledger.db"), 2, STEPS).await?;
        Ok(Self { pool, _keep_alive: None, turn: Arc::default(), writes: WriteLog::default() })
    }

    /// When this ledger was made, in Unix milliseconds: at its first schema.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn made_at(&self) -> Result<Option<i64>, LedgerError> {
        let row = sqlx::query("SELECT CAST(MIN(installed_on) AS TEXT) AS at FROM _sqlx_migrations");
        let text: Option<String> = row.fetch_one(&self.pool).await?.try_get("at")?;
        // SQLite's CURRENT_TIMESTAMP: `2026-11-24 20:17:01`, UTC.
        let time = text.and_then(|text| text.parse::<jiff::civil::DateTime>().ok());
        let time = time.and_then(|time| time.to_zoned(jiff::tz::TimeZone::UTC).ok());
        Ok(time.map(|time| time.timestamp().as_millisecond()))
    }

    /// A transaction that writes, in its turn.
    pub(super) async fn write(&self) -> Result<WriteTransaction, sqlx::Error> {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        Ok(WriteTransaction { tx: self.pool.begin_with("BEGIN IMMEDIATE").await?, _turn: turn })
    }

    /// How writing what happens goes, for health checks.
    pub fn write_state(&self) -> WriteState {
        self.writes.state()
    }

    pub(super) fn note_write(&self, now: i64, error: Option<String>) {
        self.writes.note(now, error);
    }

    pub(super) fn note_backlog(&self, waiting: usize, dropped: u64, skipped: u64) {
        self.writes.note_backlog(waiting, dropped, skipped);
    }

    pub(super) fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// Copies what the journal knows into the ledger: blocks, answers and fates that a crash kept from it.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub async fn read_back(&self, journal: &Journal) -> Result<(), LedgerError> {
        let mut tx = self.pool.begin().await?;
        for row in sqlx::query("SELECT * FROM blocks").fetch_all(journal.pool()).await? {
            sqlx::query(
                "INSERT INTO submissions (slot, block_hash, parent_hash, proposer_index, fork, version, received_at, \
                 ms_into_slot, offered_by, fate, decided_by, decided_in_us, decided_at, undecoded) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
                 ON CONFLICT (slot, block_hash) DO UPDATE SET fate = excluded.fate, decided_by = excluded.decided_by, \
                 decided_in_us = excluded.decided_in_us, decided_at = excluded.decided_at",
            )
            .bind(row.try_get::<i64, _>("slot")?)
            .bind(row.try_get::<String, _>("block_hash")?)
            .bind(row.try_get::<String, _>("parent_hash")?)
            .bind(row.try_get::<i64, _>("proposer_index")?)
            .bind(row.try_get::<String, _>("fork")?)
            .bind(row.try_get::<i64, _>("version")?)
            .bind(row.try_get::<i64, _>("received_at")?)
            .bind(row.try_get::<i64, _>("ms_into_slot")?)
            .bind(row.try_get::<String, _>("offered_by")?)
            .bind(row.try_get::<String, _>("fate")?)
            .bind(row.try_get::<Option<String>, _>("decided_by")?)
            .bind(row.try_get::<Option<i64>, _>("decided_in_us")?)
            .bind(row.try_get::<Option<i64>, _>("decided_at")?)
            .bind(row.try_get::<Option<String>, _>("undecoded")?)
            .execute(&mut *tx)
            .await?;
        }
        sqlx::query("INSERT INTO settlements (slot) SELECT DISTINCT slot FROM submissions WHERE TRUE ON CONFLICT DO NOTHING")
            .execute(&mut *tx)
            .await?;
        for row in sqlx::query("SELECT * FROM answers").fetch_all(journal.pool()).await? {
            sqlx::query(
                "INSERT INTO submission_answers (slot, block_hash, counterparty, outcome, detail, http_status, \
                 latency_us, attempts, answered_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
                 ON CONFLICT DO NOTHING",
            )
            .bind(row.try_get::<i64, _>("slot")?)
            .bind(row.try_get::<String, _>("block_hash")?)
            .bind(row.try_get::<String, _>("counterparty")?)
            .bind(row.try_get::<String, _>("outcome")?)
            .bind(row.try_get::<String, _>("detail")?)
            .bind(row.try_get::<Option<i64>, _>("http_status")?)
            .bind(row.try_get::<i64, _>("latency_us")?)
            .bind(row.try_get::<i64, _>("attempts")?)
            .bind(row.try_get::<i64, _>("answered_at")?)
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// The newest slots that something happened in, newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn slots(&self, limit: u32) -> Result<Vec<SlotSummary>, LedgerError> {
        let rows = sqlx::query(NEWEST_SLOTS).bind(i64::from(limit)).fetch_all(&self.pool).await?;
        let mut slots = Vec::with_capacity(rows.len());
        for row in rows {
            let slot = Slot::new(row.try_get::<i64, _>("slot")?.cast_unsigned());
            slots.extend(self.slot(slot).await?.map(|view| SlotSummary { view }));
        }
        Ok(slots)
    }

    /// Everything about one slot; `None` when nothing happened in it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn slot(&self, slot: Slot) -> Result<Option<SlotView>, LedgerError> {
        let number = slot.as_u64().cast_signed();
        // One snapshot for all of it: a submission is never shown with answers that are newer than its fate.
        let mut tx = self.pool.begin().await?;
        let mut auctions: Vec<AuctionView> =
            sqlx::query("SELECT * FROM auctions WHERE slot = $1 ORDER BY id")
                .bind(number)
                .fetch_all(&mut *tx)
                .await?
                .iter()
                .map(auction_from)
                .collect::<Result<_, _>>()?;
        for auction in &mut auctions {
            auction.bids = sqlx::query("SELECT * FROM offers WHERE auction_id = $1 ORDER BY counterparty")
                .bind(auction.id)
                .fetch_all(&mut *tx)
                .await?
                .iter()
                .map(bid_from)
                .collect::<Result<_, _>>()?;
            let polls =
                sqlx::query("SELECT * FROM polls WHERE auction_id = $1 ORDER BY counterparty, number")
                    .bind(auction.id)
                    .fetch_all(&mut *tx)
                    .await?;
            for row in &polls {
                let relay: String = row.try_get("counterparty")?;
                let Some(bid) = auction.bids.iter_mut().find(|bid| bid.relay == relay) else { continue };
                bid.polls.push(PollView {
                    number: row.try_get("number")?,
                    sent_ms_into_slot: row.try_get("sent_ms_into_slot")?,
                    latency_us: row.try_get("latency_us")?,
                    outcome: row.try_get("outcome")?,
                    value_eth: eth(row.try_get::<Option<String>, _>("value_wei")?.as_ref()),
                });
            }
        }
        let mut submissions: Vec<SubmissionView> =
            sqlx::query("SELECT * FROM submissions WHERE slot = $1 ORDER BY received_at")
                .bind(number)
                .fetch_all(&mut *tx)
                .await?
                .iter()
                .map(submission_from)
                .collect::<Result<_, _>>()?;
        for submission in &mut submissions {
            submission.answers = sqlx::query(
                "SELECT * FROM submission_answers WHERE slot = $1 AND block_hash = $2 ORDER BY counterparty",
            )
            .bind(number)
            .bind(&submission.block_hash)
            .fetch_all(&mut *tx)
            .await?
            .iter()
            .map(answer_from)
            .collect::<Result<_, _>>()?;
        }
        let missed_request = missed_request(&mut tx, number).await?;
        let nothing = auctions.is_empty() && submissions.is_empty() && missed_request.is_none();
        drop(tx);
        let payment =
            self.settlement(slot).await?.filter(|row| row.outcome.is_some() || row.status == "unknowable");
        Ok((!nothing).then_some(SlotView {
            slot: slot.as_u64(),
            auctions,
            submissions,
            missed_request,
            payment,
        }))
    }

    /// Every registration known, also of validators that moved away, for the auction's memory at start.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn registrations(&self) -> Result<Vec<RememberedValidator>, LedgerError> {
        read_registrations(&self.pool).await
    }

    /// Every relay's standing as it was saved last: name and JSON.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn reputations(&self) -> Result<Vec<(String, String)>, LedgerError> {
        read_reputations(&self.pool).await
    }

    /// A relay's last changes of place, newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn mode_history(&self, relay: &str, limit: u32) -> Result<Vec<ModeView>, LedgerError> {
        let rows = sqlx::query(
            "SELECT since, place, before, reason, why, score FROM counterparty_places WHERE counterparty = $1 \
             ORDER BY since DESC LIMIT $2",
        )
        .bind(relay)
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        let views = rows.iter().map(|row| {
            Ok(ModeView {
                since: row.try_get("since")?,
                state: row.try_get("place")?,
                reason: ModeReason::parse(row.try_get("reason")?),
                before: row.try_get("before")?,
                message: row.try_get("why")?,
                score: row.try_get("score")?,
            })
        });
        views.collect::<Result<_, sqlx::Error>>().map_err(LedgerError::from)
    }

    /// Whether the file answers.
    pub async fn is_well(&self) -> bool {
        sqlx::query("SELECT 1").execute(&self.pool).await.is_ok()
    }

    /// Finishes writing and closes the file.
    pub async fn shut(&self) {
        self.pool.close().await;
    }
}

/// What validators registered, from whatever has the table: in a file of an earlier version nothing says when they were heard.
pub(super) async fn read_registrations(
    database: impl SqliteExecutor<'_>,
) -> Result<Vec<RememberedValidator>, LedgerError> {
    let rows = sqlx::query("SELECT * FROM registrations").fetch_all(database).await?;
    let mut known = Vec::with_capacity(rows.len());
    for row in rows {
        let (pubkey, fee_recipient): (String, String) =
            (row.try_get("pubkey")?, row.try_get("fee_recipient")?);
        let (Ok(pubkey), Ok(fee_recipient)) = (pubkey.parse(), fee_recipient.parse()) else { continue };
        let facts = RegistrationFacts {
            pubkey,
            fee_recipient,
            gas_limit: row.try_get::<i64, _>("gas_limit")?.cast_unsigned(),
            timestamp: row.try_get::<i64, _>("signed_at")?.cast_unsigned(),
        };
        known.push(RememberedValidator { facts, heard_at: row.try_get("heard_at").unwrap_or_default() });
    }
    Ok(known)
}

/// Every relay's standing, from whatever has the table.
pub(super) async fn read_reputations(
    database: impl SqliteExecutor<'_>,
) -> Result<Vec<(String, String)>, LedgerError> {
    let rows =
        sqlx::query("SELECT counterparty, standing FROM counterparty_standings").fetch_all(database).await?;
    let pairs = rows.iter().map(|row| Ok((row.try_get("counterparty")?, row.try_get("standing")?)));
    pairs.collect::<Result<_, sqlx::Error>>().map_err(LedgerError::from)
}

fn eth(wei: Option<&String>) -> Option<String> {
    wei.and_then(|text| Wei::parse_wei(text).ok()).map(Wei::to_eth)
}

fn auction_from(row: &SqliteRow) -> Result<AuctionView, LedgerError> {
    let value: Option<String> = row.try_get("winner_value_wei")?;
    Ok(AuctionView {
        id: row.try_get("id")?,
        slot: row.try_get::<i64, _>("slot")?.cast_unsigned(),
        parent_hash: row.try_get("parent_hash")?,
        proposer: row.try_get("proposer")?,
        fork: row.try_get("fork")?,
        requested_at: row.try_get("requested_at")?,
        ms_into_slot: row.try_get("ms_into_slot")?,
        budget_ms: row.try_get("budget_ms")?,
        answered_in_us: row.try_get("answered_in_us")?,
        user_agent: row.try_get("user_agent")?,
        policy: row.try_get("policy")?,
        race: row.try_get("race")?,
        winner_block_hash: row.try_get("winner_block_hash")?,
        winner_value_eth: eth(value.as_ref()),
        winner_value_wei: value,
        winner_relays: split_ids(
            &row.try_get::<Option<String>, _>("winner_counterparties")?.unwrap_or_default(),
        ),
        no_bid_reason: row.try_get("why_no_bid")?,
        bids: Vec::new(),
    })
}

fn bid_from(row: &SqliteRow) -> Result<BidView, LedgerError> {
    let value: Option<String> = row.try_get("value_wei")?;
    Ok(BidView {
        relay: row.try_get("counterparty")?,
        outcome: row.try_get("outcome")?,
        message: row.try_get("detail")?,
        http_status: row.try_get("http_status")?,
        latency_us: row.try_get("latency_us")?,
        value_eth: eth(value.as_ref()),
        value_wei: value,
        block_hash: row.try_get("block_hash")?,
        verified: row.try_get("verified")?,
        score_eth: eth(row.try_get::<Option<String>, _>("score_wei")?.as_ref()),
        polls: Vec::new(),
    })
}

fn submission_from(row: &SqliteRow) -> Result<SubmissionView, LedgerError> {
    Ok(SubmissionView {
        slot: row.try_get::<i64, _>("slot")?.cast_unsigned(),
        block_hash: row.try_get("block_hash")?,
        parent_hash: row.try_get("parent_hash")?,
        proposer_index: row.try_get::<i64, _>("proposer_index")?.cast_unsigned(),
        fork: row.try_get("fork")?,
        version: row.try_get("version")?,
        received_at: row.try_get("received_at")?,
        ms_into_slot: row.try_get("ms_into_slot")?,
        offered_by: split_ids(&row.try_get::<String, _>("offered_by")?),
        undecoded: row.try_get("undecoded")?,
        fate: row.try_get("fate")?,
        decided_by: row.try_get("decided_by")?,
        decided_in_us: row.try_get("decided_in_us")?,
        answers: Vec::new(),
    })
}

fn answer_from(row: &SqliteRow) -> Result<AnswerView, LedgerError> {
    Ok(AnswerView {
        relay: row.try_get("counterparty")?,
        outcome: row.try_get("outcome")?,
        message: row.try_get("detail")?,
        http_status: row.try_get("http_status")?,
        latency_us: row.try_get("latency_us")?,
        attempts: row.try_get("attempts")?,
    })
}
