//! Bundles as people and reports see them.

use std::collections::BTreeMap;

use alloy_primitives::I256;
use serde::Serialize;
use serde_json::Value;
use sqlx::{Row, sqlite::SqliteRow};

use super::{
    Ledger, LedgerError,
    bundle_state::{BundleState, SendOutcome, parsed},
    bundles::BundleSend,
};

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
    /// What became of it.
    pub state: BundleState,
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
    /// Of all that are booked: included ones, and what those cost of which a block had only a part.
    pub profit_wei: String,
    /// The same in ETH.
    pub profit_eth: String,
    /// Every state's count.
    pub by_state: BTreeMap<String, u64>,
}

impl Ledger {
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
        let of = |states: &[BundleState]| {
            states.iter().filter_map(|state| totals.by_state.get(state.label())).sum::<u64>()
        };
        let included = of(&[BundleState::Included]);
        let pending = of(&[BundleState::Pending, BundleState::CancelRequested]);
        let (missed, failed) = (of(&[BundleState::Missed]), of(&[BundleState::Failed]));
        let decided = included + missed + failed + of(&[BundleState::PartlyIncluded, BundleState::Unbundled]);
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let success_rate = if decided == 0 { 0.0 } else { included as f64 / decided as f64 };
        let mut profit = I256::ZERO;
        let rows = sqlx::query("SELECT profit_wei FROM bundles WHERE profit_wei IS NOT NULL");
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

fn send_from(row: &SqliteRow) -> Result<BundleSend, LedgerError> {
    Ok(BundleSend {
        id: row.try_get("bundle_id")?,
        builder: row.try_get("builder")?,
        block: row.try_get("block")?,
        outcome: parsed(row, "outcome", SendOutcome::parse)?,
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
        state: parsed(row, "state", BundleState::parse)?,
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
