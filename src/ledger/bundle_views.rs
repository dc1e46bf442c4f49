//! Bundles as people and reports see them.

use std::collections::BTreeMap;

use alloy_primitives::{I256, U256};
use futures_util::TryStreamExt;
use serde::Serialize;
use serde_json::Value;

use super::{
    Ledger, LedgerError,
    bundle_state::{BundleState, SendOutcome},
    database::Row,
    row::{from_row, get},
};
use crate::{events::Confidence, types::Label};

/// A bundle as it is shown.
#[derive(Clone, Debug, Serialize)]
pub struct BundleView {
    /// Its number in the ledger, which no other bundle has.
    pub id: i64,
    /// Its hash.
    pub hash: String,
    /// Address that signed the request: the searcher's identity.
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
    /// Last block that it may be in.
    pub last_block: i64,
    /// When it came, in Unix milliseconds.
    pub received_at: i64,
    /// What became of it.
    pub state: Label<BundleState>,
    /// Why it is in this state, as a sentence for people.
    pub reason: String,
    /// The block that decided it.
    pub block_number: Option<i64>,
    /// Its hash.
    pub block_hash: Option<String>,
    /// Who built it.
    pub block_builder: Option<String>,
    /// Whether the chain can no longer change it.
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
    pub sends: Vec<SendView>,
}

/// A builder's answer as it is shown.
#[derive(Clone, Debug, Serialize)]
pub struct SendView {
    /// Id of the builder that the request went to.
    pub builder: String,
    /// For which block.
    pub block: i64,
    /// What came of it.
    pub outcome: Label<SendOutcome>,
    /// A sentence for people.
    #[serde(rename = "detail")]
    pub message: String,
    /// How often it was called, the first call included.
    pub attempts: i64,
    /// Until the answer, in microseconds.
    pub latency_us: i64,
    /// When the first call left, in Unix milliseconds.
    pub sent_at: i64,
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
    /// The same in ETH, as an exact decimal.
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
        let newest = match hash {
            Some(hash) => sqlx::query_as("SELECT * FROM bundles WHERE hash = $2 ORDER BY id DESC LIMIT $1")
                .bind(i64::from(limit))
                .bind(hash),
            None => sqlx::query_as("SELECT * FROM bundles ORDER BY id DESC LIMIT $1").bind(i64::from(limit)),
        };
        self.with_sends(newest.fetch_all(self.pool()).await?).await
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
        let newest = sqlx::query_as(
            "SELECT * FROM bundles WHERE received_at >= $1 AND received_at < $2 ORDER BY id DESC LIMIT $3",
        );
        let newest = newest.bind(since).bind(until).bind(i64::from(limit));
        self.with_sends(newest.fetch_all(self.pool()).await?).await
    }

    async fn with_sends(&self, mut views: Vec<BundleView>) -> Result<Vec<BundleView>, LedgerError> {
        for view in &mut views {
            let sends =
                sqlx::query_as("SELECT * FROM bundle_sends WHERE bundle_id = $1 ORDER BY block, builder");
            view.sends = sends.bind(view.id).fetch_all(self.pool()).await?;
        }
        Ok(views)
    }

    /// What the bundles came to that came from `since` on and before `until` (Unix milliseconds).
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn bundle_totals(&self, since: i64, until: i64) -> Result<BundleTotals, LedgerError> {
        let mut totals = BundleTotals::default();
        let states = sqlx::query_as(
            "SELECT state, COUNT(*) AS n FROM bundles WHERE received_at >= $1 AND received_at < $2 GROUP BY state",
        );
        let states: Vec<(String, i64)> = states.bind(since).bind(until).fetch_all(self.pool()).await?;
        for (state, count) in states {
            totals.submitted += count.cast_unsigned();
            totals.by_state.insert(state, count.cast_unsigned());
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
        let (mut tried, mut paid_to_builders) = (U256::ZERO, U256::ZERO);
        let query = sqlx::query_as(
            "SELECT state, profit_wei, profit_confidence, paid_to_builder_wei, simulation FROM bundles \
             WHERE is_final AND state IN ('included', 'partly_included', 'unbundled') AND received_at >= $1 AND received_at < $2",
        );
        let mut rows = query.bind(since).bind(until).fetch(self.pool());
        while let Some(BookedRow { state, profit: wei, confidence, paid, simulation }) =
            rows.try_next().await?
        {
            let Some(wei) = wei else {
                totals.unbooked += 1;
                continue;
            };
            profit = profit.saturating_add(I256::from_dec_str(&wei).unwrap_or_default());
            // Rows of earlier versions do not say whether the node had call traces.
            let confidence = confidence.and_then(|label| label.known()).unwrap_or(Confidence::Medium);
            totals.profit_confidence =
                Some(totals.profit_confidence.map_or(confidence, |lowest| lowest.min(confidence)));
            let actual = paid.and_then(|wei| U256::from_str_radix(&wei, 10).ok());
            if let (true, Some(expected), Some(actual)) =
                (state == BundleState::Included, simulation.and_then(|text| simulated_payment(&text)), actual)
            {
                totals.simulated += 1;
                tried = tried.saturating_add(expected);
                paid_to_builders = paid_to_builders.saturating_add(actual);
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
            actual_to_builder_wei: paid_to_builders.to_string(),
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

/// What a booked bundle came to.
struct BookedRow {
    state: Label<BundleState>,
    profit: Option<String>,
    confidence: Option<Label<Confidence>>,
    paid: Option<String>,
    simulation: Option<String>,
}

from_row!(|row| BookedRow {
    state,
    profit: "profit_wei",
    confidence: "profit_confidence",
    paid: "paid_to_builder_wei",
    simulation
});

from_row!(|row| SendView { builder, block, outcome, message: "detail", attempts, latency_us, sent_at });

from_row!(|row| BundleView {
    id, hash, searcher, kind, uuid, canonical_uuid, sequence, first_block, last_block, received_at, state, reason, block_number,
    block_hash, block_builder, is_final, gas_cost_wei, paid_to_builder_wei, eth_wei, weth_wei, profit_wei;
    transactions = json(row, "transactions")?,
    simulation = json(row, "simulation")?,
    sends = Vec::new(),
});

/// JSON; null where there is none, or none that can be read.
fn json(row: &Row, column: &str) -> Result<Value, sqlx::Error> {
    let text: Option<String> = get(row, column)?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}
