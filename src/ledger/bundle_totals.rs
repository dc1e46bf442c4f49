//! What bundles came to, all together.
//!
//! A bundle that is done never changes: those up to the first that is not are summed once a process, so that a page or a builder's client that
//! asks for everything reads what is new, and not a year.

use std::{collections::BTreeMap, sync::Arc};

use alloy_primitives::{I256, U256};
use futures_util::TryStreamExt;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Mutex;

use super::{Ledger, LedgerError, bundle_state::BundleState, row::from_row};
use crate::{
    events::Confidence,
    types::{Label, Wei},
};

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

/// What the done bundles up to some number came to.
#[derive(Clone, Debug, Default)]
pub(super) struct DoneBundles(Arc<Mutex<Done>>);

#[derive(Debug, Default)]
struct Done {
    /// All up to this number are done and in the sums.
    up_to: i64,
    sums: Sums,
}

/// Which bundles are summed.
#[derive(Clone, Copy, Debug)]
enum Span {
    /// Above a number, up to another.
    Numbers(i64, i64),
    /// Those that came from a time on and before another, in Unix milliseconds.
    Times(i64, i64),
}

/// Sums of some bundles.
#[derive(Clone, Debug, Default)]
struct Sums {
    by_state: BTreeMap<String, u64>,
    booked: Booked,
}

/// The money of bundles that are done.
#[derive(Clone, Copy, Debug, Default)]
struct Booked {
    profit: I256,
    lowest: Option<Confidence>,
    unbooked: u64,
    simulated: u64,
    expected: U256,
    actual: U256,
    below: u64,
}

/// The columns of a booked bundle that are summed, of those that a condition names.
macro_rules! booked_where {
    ($condition:literal) => {
        concat!(
            "SELECT state, profit_wei, profit_confidence, paid_to_builder_wei, simulation FROM bundles \
             WHERE is_final AND state IN ('included', 'partly_included', 'unbundled') AND ",
            $condition
        )
    };
}

impl Span {
    /// The question for the counts of states, that for the money, and what they are asked with.
    const fn questions(self) -> (&'static str, &'static str, i64, i64) {
        match self {
            Self::Numbers(above, up_to) => (
                "SELECT state, COUNT(*) AS n FROM bundles WHERE id > $1 AND id <= $2 GROUP BY state",
                booked_where!("id > $1 AND id <= $2"),
                above,
                up_to,
            ),
            Self::Times(since, until) => (
                "SELECT state, COUNT(*) AS n FROM bundles WHERE received_at >= $1 AND received_at < $2 GROUP BY state",
                booked_where!("received_at >= $1 AND received_at < $2"),
                since,
                until,
            ),
        }
    }
}

impl Ledger {
    /// What the bundles came to that came from `since` on and before `until` (Unix milliseconds); all of them from 0 to the end of time.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn bundle_totals(&self, since: i64, until: i64) -> Result<BundleTotals, LedgerError> {
        let sums = if since <= 0 && until == i64::MAX {
            self.all_bundles().await?
        } else {
            self.bundle_sums(Span::Times(since, until)).await?
        };
        Ok(sums.totals())
    }

    async fn all_bundles(&self) -> Result<Sums, LedgerError> {
        let mut done = self.done_bundles.0.lock().await;
        let up_to = sqlx::query_scalar(
            "SELECT COALESCE((SELECT MIN(id) - 1 FROM bundles WHERE NOT is_final), (SELECT MAX(id) FROM bundles), 0)",
        );
        let up_to: i64 = up_to.fetch_one(self.pool()).await?;
        if up_to > done.up_to {
            let more = self.bundle_sums(Span::Numbers(done.up_to, up_to)).await?;
            done.sums.add(&more);
            done.up_to = up_to;
        }
        let (from, mut all) = (done.up_to, done.sums.clone());
        drop(done);
        all.add(&self.bundle_sums(Span::Numbers(from, i64::MAX)).await?);
        Ok(all)
    }

    async fn bundle_sums(&self, span: Span) -> Result<Sums, LedgerError> {
        let (states, booked, from, to) = span.questions();
        let states: Vec<(String, i64)> =
            sqlx::query_as(states).bind(from).bind(to).fetch_all(self.pool()).await?;
        let by_state = states.into_iter().map(|(state, count)| (state, count.cast_unsigned())).collect();
        let mut sums = Sums { by_state, booked: Booked::default() };
        let mut rows = sqlx::query_as(booked).bind(from).bind(to).fetch(self.pool());
        while let Some(row) = rows.try_next().await? {
            sums.booked.count(row);
        }
        Ok(sums)
    }
}

impl Sums {
    fn add(&mut self, more: &Self) {
        for (state, count) in &more.by_state {
            *self.by_state.entry(state.clone()).or_default() += count;
        }
        self.booked.add(&more.booked);
    }

    fn totals(self) -> BundleTotals {
        let of = |states: &[BundleState]| {
            states.iter().filter_map(|state| self.by_state.get(state.label())).sum::<u64>()
        };
        let included = of(&[BundleState::Included]);
        let pending = of(&[BundleState::Pending, BundleState::CancelRequested]);
        let (missed, failed) = (of(&[BundleState::Missed]), of(&[BundleState::Failed]));
        let decided = included + missed + failed + of(&[BundleState::PartlyIncluded, BundleState::Unbundled]);
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let success_rate = if decided == 0 { 0.0 } else { included as f64 / decided as f64 };
        let Booked { profit, lowest, unbooked, simulated, expected, actual, below } = self.booked;
        let eth = Wei::new(profit.unsigned_abs()).to_eth();
        BundleTotals {
            included,
            submitted: self.by_state.values().sum(),
            pending,
            missed,
            failed,
            success_rate,
            profit_wei: profit.to_string(),
            profit_eth: if profit.is_negative() { format!("-{eth}") } else { eth },
            profit_confidence: lowest,
            unbooked,
            simulated,
            simulated_to_builder_wei: expected.to_string(),
            actual_to_builder_wei: actual.to_string(),
            below_simulation: below,
            by_state: self.by_state,
        }
    }
}

impl Booked {
    /// Adds a bundle that is done.
    fn count(&mut self, row: BookedRow) {
        let BookedRow { state, profit, confidence, paid, simulation } = row;
        let Some(wei) = profit else {
            self.unbooked += 1;
            return;
        };
        // Rows of earlier versions do not say whether the node had call traces.
        let confidence = confidence.and_then(|label| label.known()).unwrap_or(Confidence::Medium);
        let mut one = Self {
            profit: I256::from_dec_str(&wei).unwrap_or_default(),
            lowest: Some(confidence),
            ..Self::default()
        };
        let actual = paid.and_then(|wei| U256::from_str_radix(&wei, 10).ok());
        if let (true, Some(expected), Some(actual)) =
            (state == BundleState::Included, simulation.and_then(|text| simulated_payment(&text)), actual)
        {
            (one.simulated, one.expected, one.actual) = (1, expected, actual);
            one.below = u64::from(actual < expected);
        }
        self.add(&one);
    }

    fn add(&mut self, more: &Self) {
        self.profit = self.profit.saturating_add(more.profit);
        self.lowest = self.lowest.into_iter().chain(more.lowest).min();
        self.unbooked += more.unbooked;
        self.simulated += more.simulated;
        self.expected = self.expected.saturating_add(more.expected);
        self.actual = self.actual.saturating_add(more.actual);
        self.below += more.below;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{BundleDecision, BundleProfit, BundleReceived, BundleWrite};

    fn came(id: i64) -> BundleWrite {
        let came = BundleReceived { id, kind: "bundle", received_at: id, ..BundleReceived::default() };
        BundleWrite::Received(Box::new(came))
    }

    fn ended(id: i64, profit: &str) -> [BundleWrite; 2] {
        let decision = BundleDecision {
            id,
            state: BundleState::Included,
            reason: String::new(),
            block_number: 1,
            block_hash: "0x1".to_owned(),
            block_builder: String::new(),
        };
        let profit =
            BundleProfit { profit: profit.to_owned(), is_traced: id != 1, ..BundleProfit::default() };
        [BundleWrite::Decided(Box::new(decision)), BundleWrite::Booked(id, Some(Box::new(profit)))]
    }

    /// All are asked for again and again, while bundles come and end in any order: the same as all of a span of time that has them all.
    #[tokio::test]
    async fn what_is_remembered_of_done_bundles_is_what_the_file_has() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        let mut expected = Vec::new();
        let steps = [
            vec![],
            vec![came(1), came(2), came(3)],
            ended(2, "-5").to_vec(),
            ended(1, "7").to_vec(),
            vec![came(4)],
            ended(3, "100").to_vec(),
            ended(4, "1").to_vec(),
            vec![came(5)],
        ];
        for step in steps {
            ledger.save_bundles(&step).await.unwrap();
            let all = ledger.bundle_totals(0, i64::MAX).await.unwrap();
            assert_eq!(all, ledger.bundle_totals(0, i64::MAX - 1).await.unwrap());
            expected.push((all.submitted, all.included, all.profit_wei));
        }
        assert_eq!(expected.last(), Some(&(5, 4, "103".to_owned())));
        assert_eq!(ledger.done_bundles.0.lock().await.up_to, 4);
        let all = ledger.bundle_totals(0, i64::MAX).await.unwrap();
        assert_eq!(all.profit_confidence, Some(Confidence::Medium), "that of the least sure");
    }

    #[tokio::test]
    async fn bundles_of_a_span_of_time_or_a_block_are_found_by_an_index() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        let (states, booked, ..) = Span::Times(0, 1).questions();
        for sql in [states, booked, super::super::bundles::TO_BOOK, super::super::bundle_views::BETWEEN] {
            let plan = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
            let plan = sqlx::query(plan).bind(1).bind(2).bind(3).fetch_all(ledger.pool()).await.unwrap();
            let plan: Vec<String> =
                plan.iter().map(|row| sqlx::Row::try_get(row, "detail").unwrap()).collect();
            assert!(plan.iter().any(|line| line.starts_with("SEARCH bundles USING")), "{sql}\n{plan:#?}");
            assert!(!plan.iter().any(|line| line.starts_with("SCAN")), "{sql}\n{plan:#?}");
        }
    }
}
