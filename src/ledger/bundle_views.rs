//! Bundles as people and reports see them.

use std::collections::BTreeMap;

use alloy_primitives::{I256, U256};
use futures_util::TryStreamExt;
use serde::Serialize;
use serde_json::Value;
use sqlx::{Row, sqlite::SqliteRow};

use super::{
    Ledger, LedgerError,
    bundle_state::{BundleState, SendOutcome, parsed},
    bundles::BundleSend,
};
use crate::events::Confidence;

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
    /// How sure the profit is: that of the least sure of them; none without any. Without call traces only plain transfers are seen.
    pub profit_confidence: Option<Confidence>,
    /// Included ones that are final and whose payment could not be had from the node: they are not in the profit.
    pub unbooked: u64,
    /// Booked ones that were tried on the own node before they were sent.
    pub simulated: u64,
    /// What those were to pay their block's builder, as they were tried.
    pub simulated_to_builder_wei: String,
    /// What they paid it.
    pub actual_to_builder_wei: String,
    /// How many of them paid less than as they were tried.
    pub below_simulation: u64,
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
        self.with_sends(&rows).await
    }

    /// The newest bundles of those that came from `since` on and before `until` (Unix milliseconds); newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn bundles_between(
        &self,
        since: i64,
        until: i64,
        limit: u32,
    ) -> Result<Vec<BundleView>, LedgerError> {
        let rows = sqlx::query(
            "SELECT * FROM bundles WHERE received_at >= $1 AND received_at < $2 ORDER BY id DESC LIMIT $3",
        );
        let rows = rows.bind(since).bind(until).bind(i64::from(limit)).fetch_all(self.pool()).await?;
        self.with_sends(&rows).await
    }

    async fn with_sends(&self, rows: &[SqliteRow]) -> Result<Vec<BundleView>, LedgerError> {
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

    /// What the bundles came to that came from `since` on and before `until` (Unix milliseconds).
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn bundle_totals(&self, since: i64, until: i64) -> Result<BundleTotals, LedgerError> {
        let mut totals = BundleTotals::default();
        let rows = sqlx::query(
            "SELECT state, COUNT(*) AS n FROM bundles WHERE received_at >= $1 AND received_at < $2 GROUP BY state",
        );
        for row in rows.bind(since).bind(until).fetch_all(self.pool()).await? {
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
        let (mut tried, mut paid) = (U256::ZERO, U256::ZERO);
        let query = sqlx::query(
            "SELECT state, profit_wei, profit_confidence, paid_to_builder_wei, simulation FROM bundles \
             WHERE is_final AND state IN ('included', 'partly_included', 'unbundled') AND received_at >= $1 AND received_at < $2",
        );
        let mut rows = query.bind(since).bind(until).fetch(self.pool());
        while let Some(row) = rows.try_next().await? {
            let Some(wei) = row.try_get::<Option<String>, _>("profit_wei")? else {
                totals.unbooked += 1;
                continue;
            };
            profit = profit.saturating_add(I256::from_dec_str(&wei).unwrap_or_default());
            // Rows of earlier versions do not say whether the node had call traces.
            let confidence: Option<String> = row.try_get("profit_confidence")?;
            let confidence =
                confidence.and_then(|label| Confidence::parse(&label)).unwrap_or(Confidence::Medium);
            totals.profit_confidence =
                Some(totals.profit_confidence.map_or(confidence, |lowest| lowest.min(confidence)));
            let is_whole = row.try_get::<String, _>("state")? == BundleState::Included.label();
            let simulation: Option<String> = row.try_get("simulation")?;
            let actual: Option<String> = row.try_get("paid_to_builder_wei")?;
            let actual = actual.and_then(|wei| U256::from_str_radix(&wei, 10).ok());
            if let (true, Some(expected), Some(actual)) =
                (is_whole, simulation.and_then(|text| simulated_payment(&text)), actual)
            {
                totals.simulated += 1;
                tried = tried.saturating_add(expected);
                paid = paid.saturating_add(actual);
                totals.below_simulation += u64::from(actual < expected);
            }
        }
        drop(rows);
        let eth = crate::types::Wei::new(profit.unsigned_abs()).to_eth();
        Ok(BundleTotals {
            included,
            pending,
            missed,
            failed,
            success_rate,
            profit_wei: profit.to_string(),
            simulated_to_builder_wei: tried.to_string(),
            actual_to_builder_wei: paid.to_string(),
            profit_eth: if profit.is_negative() { format!("-{eth}") } else { eth },
            ..totals
        })
    }
}

/// What a bundle was to pay the block's builder, by the answer of trying it (`mev_simBundle`); none where that failed.
fn simulated_payment(simulation: &str) -> Option<U256> {
    let trial: Value = serde_json::from_str(simulation).ok()?;
    let succeeded = trial.get("success").and_then(Value::as_bool)?;
    trial.get("profit").and_then(Value::as_str).filter(|_| succeeded)?.parse().ok()
}

fn send_from(row: &SqliteRow) -> Result<BundleSend, LedgerError> {
    Ok(BundleSend {
        id: row.try_get("bundle_id")?,
        builder: row.try_get("builder")?,
        block: row.try_get("block")?,
        outcome: parsed(row, "outcome", SendOutcome::parse)?,
        message: row.try_get("detail")?,
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
