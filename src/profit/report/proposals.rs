//! One row a proposal, for a spreadsheet or the tax office.

use alloy_primitives::U256;
use futures_util::{Stream, stream};
use jiff::Timestamp;

use super::{ReportQuery, Reporter};
use crate::{
    events::SlotOutcome,
    ledger::{LedgerError, Settled},
    profit::{csv, settle::difference, tally::slots_of},
    types::{Label, Labelled, Slot, UtcDay, Wei},
};

/// Rows of a CSV read at once.
const CSV_PAGE: u32 = 1000;

/// Columns of [`Reporter::proposals_csv`].
const COLUMNS: [&str; 27] = [
    "time_utc",
    "slot",
    "block",
    "block_hash",
    "validator",
    "validator_index",
    "fee_recipient",
    "block_fee_recipient",
    "relay",
    "builder",
    "outcome",
    "status",
    "payment",
    "claimed_eth",
    "received_eth",
    "difference_eth",
    "claimed_wei",
    "received_wei",
    "method",
    "confidence",
    "transactions",
    "consensus_reward_eth",
    "withdrawals_excluded_eth",
    "other_inflows_excluded_eth",
    "missed_value_eth",
    "relay_data_api",
    "words",
];

impl Reporter {
    /// One row a proposal, as CSV for a spreadsheet or the tax office: page by page, so that a year of slots is never in memory at once.
    ///
    /// Each item may be an error, when the ledger does not answer; nothing comes after it.
    pub fn proposals_csv(
        &self,
        query: ReportQuery,
        now: i64,
    ) -> impl Stream<Item = Result<String, LedgerError>> + Send + 'static {
        let reporter = self.clone();
        stream::try_unfold(None, move |at: Option<(Slot, Slot)>| {
            let reporter = reporter.clone();
            async move {
                let Some((from, end)) = at else {
                    let (first, until) = reporter.clamped(reporter.range(query, now)).await?;
                    let start = slots_of(first, reporter.slots).0;
                    let end = slots_of(until, reporter.slots).0;
                    return Ok(Some((reporter.proposals_head(), Some((start, end)))));
                };
                let rows = reporter.ledger.settlements_page(from, end, CSV_PAGE).await?;
                let Some(last) = rows.last() else { return Ok(None) };
                let next = Slot::new(last.slot.saturating_add(1));
                let text = rows.iter().map(|row| reporter.proposal_line(row)).collect::<String>();
                Ok(Some((text, Some((next, end)))))
            }
        })
    }

    fn proposals_head(&self) -> String {
        let currency = self.settings.prices.as_ref().map(|prices| prices.currency.to_lowercase());
        let value_column = currency.as_ref().map(|currency| format!("received_{currency}"));
        csv::line(COLUMNS.iter().copied().chain(value_column.as_deref()))
    }

    fn proposal_line(&self, row: &Settled) -> String {
        let wei = |text: &Option<String>| text.as_deref().and_then(|text| Wei::parse_wei(text).ok());
        let eth = |text: &Option<String>| wei(text).map_or_else(String::new, Wei::to_eth);
        let gwei = |amount: Option<i64>| {
            let wei =
                |gwei: i64| U256::from(gwei.max(0).unsigned_abs()).saturating_mul(U256::from(1_000_000_000));
            amount.map_or_else(String::new, |gwei| Wei::new(wei(gwei)).to_eth())
        };
        let start = self.slots.start_of(Slot::new(row.slot));
        let time = Timestamp::from_millisecond(start).unwrap_or(Timestamp::UNIX_EPOCH);
        let (promised, received) = (wei(&row.promised_wei), wei(&row.received_wei));
        let paid_by_promise =
            promised.zip(received).filter(|_| row.known_outcome() == Some(SlotOutcome::Ours));
        let diff = paid_by_promise.map_or_else(String::new, |(promised, received)| {
            let diff = difference(promised, received);
            let sign = if diff.is_negative() { "-" } else { "" };
            format!("{sign}{}", Wei::new(diff.unsigned_abs()).to_eth())
        });
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        fn label<T: Labelled>(label: &Option<Label<T>>) -> String {
            label.as_ref().map_or_else(String::new, ToString::to_string)
        }
        let number = |number: Option<i64>| number.map_or_else(String::new, |number| number.to_string());
        let mut cells = vec![
            time.to_string(),
            row.slot.to_string(),
            number(row.block_number),
            text(&row.block_hash),
            text(&row.proposer),
            number(row.proposer_index),
            text(&row.fee_recipient),
            text(&row.coinbase),
            text(&row.relay),
            text(&row.builder),
            label(&row.outcome),
            row.status.to_string(),
            label(&row.payment),
            eth(&row.promised_wei),
            eth(&row.received_wei),
            diff,
            text(&row.promised_wei),
            text(&row.received_wei),
            label(&row.method),
            label(&row.confidence),
            text(&row.transactions),
            gwei(row.consensus_reward_gwei),
            gwei(row.withdrawals_gwei),
            eth(&row.other_inflows_wei),
            eth(&row.missed_value_wei),
            label(&row.data_api),
            row.message.clone(),
        ];
        if let Some(prices) = &self.settings.prices {
            cells.push(
                received.and_then(|got| prices.value(UtcDay::of(start).date(), got)).unwrap_or_default(),
            );
        }
        csv::line(cells.iter().map(String::as_str))
    }
}
