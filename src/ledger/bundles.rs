//! Bundles and their fate.

use std::collections::BTreeMap;

use alloy_primitives::I256;
use serde::Serialize;
use serde_json::Value;
use sqlx::{Row, Sqlite, Transaction, sqlite::SqliteRow};

use super::{Ledger, LedgerError};

/// A bundle that came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BundleReceived {
    /// Number in the ledger.
    pub id: i64,
    /// Its hash.
    pub hash: String,
    /// Who signed it.
    pub searcher: String,
    /// `bundle`, `mev_share` or `private`.
    pub kind: &'static str,
    /// The searcher's name for it.
    pub uuid: Option<String>,
    /// The name that BuilderNet's builders know it by.
    pub canonical_uuid: String,
    /// Which one of that name.
    pub sequence: i64,
    /// Its transactions' hashes, senders and nonces, as JSON.
    pub transactions: String,
    /// The request, as JSON.
    pub request: String,
    /// First block it may be in.
    pub first_block: i64,
    /// Last.
    pub last_block: i64,
    /// Unix milliseconds.
    pub received_at: i64,
}

/// A builder's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BundleSend {
    /// Which bundle.
    #[serde(skip)]
    pub id: i64,
    /// Who.
    pub builder: String,
    /// For which block.
    pub block: i64,
    /// `accepted`, `refused`, `unsupported`, `queue_full`, `rate_limited`, `timed_out`, `transport`, `cancel_accepted`, `cancel_refused`.
    pub outcome: String,
    /// In words.
    pub detail: String,
    /// Calls made.
    pub attempts: i64,
    /// Until the answer, in microseconds.
    pub latency_us: i64,
    /// Unix milliseconds.
    pub sent_at: i64,
}

/// What became of a bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BundleFate {
    /// Which bundle.
    pub id: i64,
    /// Its state.
    pub state: &'static str,
    /// In words.
    pub reason: String,
    /// The block that decided it.
    pub block_number: Option<i64>,
    /// Its hash.
    pub block_hash: Option<String>,
    /// Who built it.
    pub block_builder: Option<String>,
    /// Whether it may still change.
    pub is_final: bool,
    /// Gas, to the builder, ether, WETH, profit: in wei.
    pub money: Option<[String; 5]>,
}

/// Something to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BundleWrite {
    /// A bundle came.
    Received(Box<BundleReceived>),
    /// A builder answered.
    Sent(BundleSend),
    /// Its fate.
    Fate(Box<BundleFate>),
    /// What trying it gave, as JSON.
    Simulated(i64, String),
}

/// A bundle as it is shown.
#[derive(Clone, Debug, Serialize)]
pub struct BundleView {
    /// Number in the ledger.
    pub id: i64,
    /// Its hash.
    pub hash: String,
    /// Who signed it.
    pub searcher: String,
    /// `bundle`, `mev_share` or `private`.
    pub kind: String,
    /// The searcher's name for it.
    pub uuid: Option<String>,
    /// The name that BuilderNet's builders know it by (version 2), for its first block.
    pub canonical_uuid: String,
    /// Which one of that name.
    pub sequence: i64,
    /// Hashes, senders and nonces.
    pub transactions: Value,
    /// First block it may be in.
    pub first_block: i64,
    /// Last.
    pub last_block: i64,
    /// Unix milliseconds.
    pub received_at: i64,
    /// `pending`, `cancel_requested`, `included`, `missed`, `failed`, `cancelled`, `replaced`, `partly_included` or `unbundled`.
    pub state: String,
    /// In words.
    pub reason: String,
    /// The block that decided it.
    pub block_number: Option<i64>,
    /// Its hash.
    pub block_hash: Option<String>,
    /// Who built it.
    pub block_builder: Option<String>,
    /// Whether that is final.
    pub is_final: bool,
    /// What trying it gave.
    pub simulation: Value,
    /// What its gas cost, once it is final.
    pub gas_cost_wei: Option<String>,
    /// What the block's builder got of it.
    pub paid_to_builder_wei: Option<String>,
    /// Change of the watched addresses' ether.
    pub eth_wei: Option<String>,
    /// Change of their WETH.
    pub weth_wei: Option<String>,
    /// Both.
    pub profit_wei: Option<String>,
    /// Each builder's answer.
    pub sends: Vec<BundleSend>,
}

/// What all bundles came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct BundleTotals {
    /// In a block, whole.
    pub included: u64,
    /// All that came.
    pub submitted: u64,
    /// Not decided.
    pub pending: u64,
    /// Not in a block, though a builder took them.
    pub missed: u64,
    /// No builder took them.
    pub failed: u64,
    /// Included of those that were included, missed, failed, partly included or taken apart.
    pub success_rate: f64,
    /// Of final ones.
    pub profit_wei: String,
    /// The same in ETH.
    pub profit_eth: String,
    /// Every state's count.
    pub by_state: BTreeMap<String, u64>,
}

/// A bundle that was not decided when the process ended.
#[derive(Clone, Debug)]
pub struct OpenBundle {
    /// Number in the ledger.
    pub id: i64,
    /// Who signed it.
    pub searcher: String,
    /// Which one of its name.
    pub sequence: i64,
    /// The request, as JSON.
    pub request: String,
    /// First block it may be in.
    pub first_block: i64,
    /// Its state.
    pub state: String,
    /// Builders that took it, and for which block.
    pub taken: Vec<(String, i64)>,
}

type Sql<T> = Result<T, sqlx::Error>;

impl Ledger {
    /// Writes a batch, all or nothing.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn save_bundles(&self, writes: &[BundleWrite]) -> Result<(), LedgerError> {
        let mut write = self.write().await?;
        let tx = &mut write.tx;
        for write in writes {
            match write {
                BundleWrite::Received(row) => received(tx, row).await?,
                BundleWrite::Sent(row) => sent(tx, row).await?,
                BundleWrite::Fate(row) => fate(tx, row).await?,
                BundleWrite::Simulated(id, text) => {
                    let update = sqlx::query("UPDATE bundles SET simulation = $2 WHERE id = $1");
                    update.bind(id).bind(text).execute(&mut **tx).await?;
                }
            }
        }
        write.commit().await?;
        Ok(())
    }

    /// The newest number of a bundle.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn last_bundle(&self) -> Result<i64, LedgerError> {
        let row =
            sqlx::query("SELECT COALESCE(MAX(id), 0) AS id FROM bundles").fetch_one(self.pool()).await?;
        Ok(row.try_get("id")?)
    }

    /// Bundles whose fate may still change, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn open_bundles(&self, limit: u32) -> Result<Vec<OpenBundle>, LedgerError> {
        let rows = sqlx::query(
            "SELECT id, searcher, sequence, request, first_block, state FROM bundles \
             WHERE NOT is_final ORDER BY id LIMIT $1",
        );
        let rows = rows.bind(i64::from(limit)).fetch_all(self.pool()).await?;
        let mut open = Vec::with_capacity(rows.len());
        for row in &rows {
            open.push(OpenBundle {
                id: row.try_get("id")?,
                searcher: row.try_get("searcher")?,
                sequence: row.try_get("sequence")?,
                request: row.try_get("request")?,
                first_block: row.try_get("first_block")?,
                state: row.try_get("state")?,
                taken: Vec::new(),
            });
        }
        let takers = sqlx::query(
            "SELECT s.bundle_id AS id, s.builder AS builder, s.block AS block FROM bundle_sends s \
             JOIN bundles b ON b.id = s.bundle_id WHERE NOT b.is_final AND s.outcome = 'accepted'",
        );
        let mut taken: BTreeMap<i64, Vec<(String, i64)>> = BTreeMap::new();
        for row in takers.fetch_all(self.pool()).await? {
            let by = (row.try_get("builder")?, row.try_get("block")?);
            taken.entry(row.try_get("id")?).or_default().push(by);
        }
        for bundle in &mut open {
            bundle.taken = taken.remove(&bundle.id).unwrap_or_default();
        }
        Ok(open)
    }

    /// The newest bundles, or all of a hash; newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn bundles(&self, hash: Option<&str>, limit: u32) -> Result<Vec<BundleView>, LedgerError> {
        let rows =
            sqlx::query("SELECT * FROM bundles WHERE $1 IS NULL OR hash = $1 ORDER BY id DESC LIMIT $2");
        let rows = rows.bind(hash).bind(i64::from(limit)).fetch_all(self.pool()).await?;
        let mut views: Vec<BundleView> = rows.iter().map(view_from).collect::<Result<_, _>>()?;
        for view in &mut views {
            let sends =
                sqlx::query("SELECT * FROM bundle_sends WHERE bundle_id = $1 ORDER BY block, builder");
            view.sends = sends
                .bind(view.id)
                .fetch_all(self.pool())
                .await?
                .iter()
                .map(send_from)
                .collect::<Result<_, _>>()?;
        }
        Ok(views)
    }

    /// What all bundles came to.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn bundle_totals(&self) -> Result<BundleTotals, LedgerError> {
        let mut totals = BundleTotals::default();
        let rows = sqlx::query("SELECT state, COUNT(*) AS n FROM bundles GROUP BY state")
            .fetch_all(self.pool())
            .await?;
        for row in rows {
            let (state, count): (String, u64) =
                (row.try_get("state")?, row.try_get::<i64, _>("n")?.cast_unsigned());
            totals.submitted += count;
            totals.by_state.insert(state, count);
        }
        let of = |states: &[&str]| states.iter().filter_map(|state| totals.by_state.get(*state)).sum::<u64>();
        let (included, pending) = (of(&["included"]), of(&["pending", "cancel_requested"]));
        let (missed, failed) = (of(&["missed"]), of(&["failed"]));
        let decided = included + missed + failed + of(&["partly_included", "unbundled"]);
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let success_rate = if decided == 0 { 0.0 } else { included as f64 / decided as f64 };
        let mut profit = I256::ZERO;
        let rows =
            sqlx::query("SELECT profit_wei FROM bundles WHERE state = 'included' AND profit_wei IS NOT NULL");
        for row in rows.fetch_all(self.pool()).await? {
            let wei: String = row.try_get("profit_wei")?;
            profit = profit.saturating_add(I256::from_dec_str(&wei).unwrap_or_default());
        }
        let eth = crate::types::Wei::new(profit.unsigned_abs()).to_eth();
        Ok(BundleTotals {
            included,
            pending,
            missed,
            failed,
            success_rate,
            profit_wei: profit.to_string(),
            profit_eth: if profit.is_negative() { format!("-{eth}") } else { eth },
            ..totals
        })
    }
}

async fn received(tx: &mut Transaction<'_, Sqlite>, row: &BundleReceived) -> Sql<()> {
    sqlx::query(
        "INSERT INTO bundles (id, hash, searcher, kind, uuid, canonical_uuid, sequence, transactions, request, first_block, last_block, \
         received_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING",
    )
    .bind(row.id)
    .bind(&row.hash)
    .bind(&row.searcher)
    .bind(row.kind)
    .bind(&row.uuid)
    .bind(&row.canonical_uuid)
    .bind(row.sequence)
    .bind(&row.transactions)
    .bind(&row.request)
    .bind(row.first_block)
    .bind(row.last_block)
    .bind(row.received_at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn sent(tx: &mut Transaction<'_, Sqlite>, row: &BundleSend) -> Sql<()> {
    sqlx::query(
        "INSERT INTO bundle_sends (bundle_id, builder, block, outcome, detail, attempts, latency_us, sent_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (bundle_id, builder, block) DO UPDATE SET \
         outcome = excluded.outcome, detail = excluded.detail, attempts = excluded.attempts, \
         latency_us = excluded.latency_us, sent_at = excluded.sent_at",
    )
    .bind(row.id)
    .bind(&row.builder)
    .bind(row.block)
    .bind(&row.outcome)
    .bind(&row.detail)
    .bind(row.attempts)
    .bind(row.latency_us)
    .bind(row.sent_at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn fate(tx: &mut Transaction<'_, Sqlite>, row: &BundleFate) -> Sql<()> {
    let money = |index: usize| row.money.as_ref().and_then(|money| money.get(index));
    sqlx::query(
        "UPDATE bundles SET state = $2, reason = $3, block_number = $4, block_hash = $5, block_builder = $6, is_final = $7, \
         gas_cost_wei = $8, paid_to_builder_wei = $9, eth_wei = $10, weth_wei = $11, profit_wei = $12 WHERE id = $1",
    )
    .bind(row.id)
    .bind(row.state)
    .bind(&row.reason)
    .bind(row.block_number)
    .bind(&row.block_hash)
    .bind(&row.block_builder)
    .bind(row.is_final)
    .bind(money(0))
    .bind(money(1))
    .bind(money(2))
    .bind(money(3))
    .bind(money(4))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn send_from(row: &SqliteRow) -> Result<BundleSend, LedgerError> {
    Ok(BundleSend {
        id: row.try_get("bundle_id")?,
        builder: row.try_get("builder")?,
        block: row.try_get("block")?,
        outcome: row.try_get("outcome")?,
        detail: row.try_get("detail")?,
        attempts: row.try_get("attempts")?,
        latency_us: row.try_get("latency_us")?,
        sent_at: row.try_get("sent_at")?,
    })
}

fn view_from(row: &SqliteRow) -> Result<BundleView, LedgerError> {
    let json =
        |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    Ok(BundleView {
        id: row.try_get("id")?,
        hash: row.try_get("hash")?,
        searcher: row.try_get("searcher")?,
        kind: row.try_get("kind")?,
        uuid: row.try_get("uuid")?,
        canonical_uuid: row.try_get("canonical_uuid")?,
        sequence: row.try_get("sequence")?,
        transactions: json(row.try_get("transactions")?),
        first_block: row.try_get("first_block")?,
        last_block: row.try_get("last_block")?,
        received_at: row.try_get("received_at")?,
        state: row.try_get("state")?,
        reason: row.try_get("reason")?,
        block_number: row.try_get("block_number")?,
        block_hash: row.try_get("block_hash")?,
        block_builder: row.try_get("block_builder")?,
        is_final: row.try_get("is_final")?,
        simulation: json(row.try_get("simulation")?),
        gas_cost_wei: row.try_get("gas_cost_wei")?,
        paid_to_builder_wei: row.try_get("paid_to_builder_wei")?,
        eth_wei: row.try_get("eth_wei")?,
        weth_wei: row.try_get("weth_wei")?,
        profit_wei: row.try_get("profit_wei")?,
        sends: Vec::new(),
    })
}
