//! Sums of bundles: counts of states and the money of those that are done. Pure; what is summed, `bundle_totals` asks the file.

use std::{collections::BTreeMap, sync::Arc};

use alloy_primitives::{I256, U256};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Mutex;

use super::{bundle_state::BundleState, row::from_row};
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
pub(super) struct DoneBundles(pub(super) Arc<Mutex<Done>>);

/// The same, and how far it goes.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// All up to this number are done and in the sums.
    pub(super) up_to: i64,
    pub(super) sums: Sums,
}

/// Sums of some bundles.
#[derive(Clone, Debug, Default)]
pub(super) struct Sums {
    pub(super) by_state: BTreeMap<String, u64>,
    pub(super) booked: Booked,
}

/// The money of bundles that are done.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Booked {
    profit: I256,
    lowest: Option<Confidence>,
    unbooked: u64,
    simulated: u64,
    expected: U256,
    actual: U256,
    below: u64,
}

impl Sums {
    pub(super) fn add(&mut self, more: &Self) {
        for (state, count) in &more.by_state {
            *self.by_state.entry(state.clone()).or_default() += count;
        }
        self.booked.add(&more.booked);
    }

    pub(super) fn totals(self) -> BundleTotals {
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
    pub(super) fn count(&mut self, row: BookedRow) {
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
pub(super) struct BookedRow {
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
