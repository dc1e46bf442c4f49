//! Profit reports: the days' sums put together for people, spreadsheets and scripts. They read the ledger and write nothing, and list what
//! they cannot know.

use std::collections::BTreeMap;

use alloy_primitives::U256;
use futures_util::{Stream, stream};
use jiff::{Timestamp, civil::Date};
use serde::Serialize;

use super::{
    ProfitSettings, csv,
    settle::difference,
    tally::{FreshSums, Tally, slots_of, sums},
};
use crate::{
    consensus::SlotClock,
    ledger::{BundleTotals, Ledger, LedgerError, NoticeRow, Settled},
    types::{DAY_MS, Slot, UtcDay, Wei},
};

/// Days looked back when none is given.
const DAYS: i64 = 30;
/// Notices shown in a report.
const NOTICES: u32 = 50;
/// Rows of a CSV read at once.
const CSV_PAGE: u32 = 1000;

/// What the lines are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A line a day.
    Day,
    /// A line a week, by its Monday.
    Week,
    /// A line a month.
    Month,
    /// A line a relay.
    Relay,
    /// A line a validator.
    Validator,
    /// A line a builder.
    Builder,
}

impl By {
    /// Every one, by its name in queries and flags.
    pub const ALL: [(&'static str, Self); 6] = [
        ("day", Self::Day),
        ("week", Self::Week),
        ("month", Self::Month),
        ("relay", Self::Relay),
        ("validator", Self::Validator),
        ("builder", Self::Builder),
    ];

    /// The one of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, by)| by)
    }

    const fn dimension(self) -> &'static str {
        match self {
            Self::Day | Self::Week | Self::Month => "all",
            Self::Relay => "relay",
            Self::Validator => "validator",
            Self::Builder => "builder",
        }
    }

    /// The line's period, where the lines are about periods.
    fn period(self, day: Date) -> Option<String> {
        match self {
            Self::Day => Some(day.to_string()),
            Self::Week => {
                let monday =
                    day.saturating_sub(jiff::Span::new().days(day.weekday().to_monday_zero_offset()));
                Some(monday.to_string())
            }
            Self::Month => Some(format!("{:04}-{:02}", day.year(), day.month())),
            Self::Relay | Self::Validator | Self::Builder => None,
        }
    }
}

/// What is asked for. Days are UTC, both included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportQuery {
    /// First day; default: 30 days ago.
    pub from: Option<Date>,
    /// Last day; default: today.
    pub to: Option<Date>,
    /// What the lines are about; default: days.
    pub by: Option<By>,
    /// Periods that relays', validators' or builders' lines are divided into; default: one, the whole time.
    pub period: Option<By>,
}

/// One line: counts, and amounts in wei and ETH.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ReportLine {
    /// What it is about: the day, week (its Monday), month, relay, validator or builder; empty for the total.
    pub name: String,
    /// Its period, where a relay's, validator's or builder's lines are divided by time.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub period: String,
    /// Slots with an auction or a submission.
    pub slots: u64,
    /// Slots whose header was delivered to the consensus client.
    pub wins: u64,
    /// Slots answered with no bid.
    pub no_bid: u64,
    /// Why: how relays' answers ended in those.
    pub no_bid_reasons: BTreeMap<String, u64>,
    /// Answers of relays that came too late to count.
    pub late: u64,
    /// Blocks on chain that were the promised one.
    pub delivered: u64,
    /// Built locally.
    pub local: u64,
    /// No block, and none was signed here.
    pub missed: u64,
    /// Signed and handed in, and never on chain.
    pub not_delivered: u64,
    /// Published, and the chain went on without it.
    pub orphaned: u64,
    /// Not looked at yet.
    pub open: u64,
    /// Given up: no node here has the blocks that would prove them.
    pub unknowable: u64,
    /// Own proposals with a known end: delivered, local, missed, not delivered, orphaned.
    pub proposals: u64,
    /// Of them, those whose block paid what a relay had promised, or more or less of it, and not nothing.
    pub relay_paid: u64,
    /// See `estimators`; none without a proposal.
    pub mev_success_rate: Option<f64>,
    /// Delivered ones by payment.
    pub exact: u64,
    /// More than promised.
    pub over: u64,
    /// Less than promised.
    pub under: u64,
    /// Nothing at all.
    pub unpaid: u64,
    /// Not to be known with this node.
    pub unknown: u64,
    /// Promised for delivered blocks.
    pub claimed_wei: String,
    /// The same in ETH, as an exact decimal.
    pub claimed_eth: String,
    /// What arrived for them.
    pub received_wei: String,
    /// The same in ETH, as an exact decimal.
    pub received_eth: String,
    /// Promised beyond what arrived.
    pub short_eth: String,
    /// Arrived beyond what was promised.
    pub over_eth: String,
    /// What locally built blocks paid.
    pub local_value_eth: String,
    /// See `estimators`.
    pub missed_value_eth: String,
    /// See `estimators`.
    pub timing_value_eth: String,
    /// See `estimators`.
    pub cost_of_misses_eth: String,
    /// By the consensus layer, where the beacon node told.
    pub consensus_reward_eth: String,
    /// Delivered of those wins that have an end; none without any.
    pub success_rate: Option<f64>,
}

impl ReportLine {
    fn new(name: String, period: String, tally: &Tally) -> Self {
        let eth = |amount: U256| Wei::new(amount).to_eth();
        let ended = tally.ours + tally.not_delivered + tally.orphaned;
        let late = ["late", "timed_out"].iter().filter_map(|name| tally.outcomes.get(*name)).sum();
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let success_rate = (ended > 0).then(|| tally.ours as f64 / ended as f64);
        let proposals = ended + tally.local + tally.missed;
        let relay_paid = tally.exact + tally.over + tally.under;
        let judged = proposals.saturating_sub(tally.unknown);
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let mev_success_rate = (judged > 0).then(|| relay_paid as f64 / judged as f64);
        Self {
            name,
            period,
            slots: tally.slots,
            wins: tally.headers,
            no_bid: tally.no_bid,
            no_bid_reasons: tally.no_bid_reasons.clone(),
            late,
            delivered: tally.ours,
            local: tally.local,
            missed: tally.missed,
            not_delivered: tally.not_delivered,
            orphaned: tally.orphaned,
            open: tally.open,
            unknowable: tally.unknowable,
            proposals,
            relay_paid,
            mev_success_rate,
            exact: tally.exact,
            over: tally.over,
            under: tally.under,
            unpaid: tally.unpaid,
            unknown: tally.unknown,
            claimed_wei: tally.claimed.to_string(),
            claimed_eth: eth(tally.claimed),
            received_wei: tally.received.to_string(),
            received_eth: eth(tally.received),
            short_eth: eth(tally.short),
            over_eth: eth(tally.beyond),
            local_value_eth: eth(tally.local_value),
            missed_value_eth: eth(tally.missed_value),
            timing_value_eth: eth(tally.timing_value),
            cost_of_misses_eth: eth(tally.cost_of_misses),
            consensus_reward_eth: eth(
                U256::from(tally.consensus_gwei).saturating_mul(U256::from(1_000_000_000))
            ),
            success_rate,
        }
    }
}

/// How numbers that are judgements were come by.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Estimators {
    missed_value: &'static str,
    timing_value: &'static str,
    cost_of_misses: &'static str,
    success_rate: &'static str,
    mev_success_rate: &'static str,
    eth_per_day: &'static str,
}

const ESTIMATORS: Estimators = Estimators {
    missed_value: "best usable bid that this sidecar had before it answered, less what arrived (bids that came later do not count)",
    timing_value: "the returned bid, less the first bid of the same relay in the same race",
    cost_of_misses: "the returned bid of slots that have no block in the end (missed, not delivered, orphaned)",
    success_rate: "delivered / (delivered + not_delivered + orphaned): headers whose block was signed or seen; local blocks do not count",
    mev_success_rate: "relay_paid / proposals: own slots whose block paid by a relay's bid, of all own slots that have an end (local, missed and lost ones too); payments that cannot be known are in neither",
    eth_per_day: "received and built locally, over the time asked for, or since the ledger was made where that is shorter; days without a proposal count",
};

/// A registration that a relay has otherwise than we do.
#[derive(Clone, Debug, Serialize)]
pub struct Drift {
    relay: String,
    validator: String,
    drift: String,
}

/// A profit report.
#[derive(Clone, Debug, Serialize)]
pub struct ProfitReport {
    /// First day.
    pub from: String,
    /// Last day.
    pub to: String,
    /// Everything together.
    pub total: ReportLine,
    /// The lines.
    pub groups: Vec<ReportLine>,
    /// Received and built locally, in ETH a day, over the time asked for or since the ledger was made.
    pub eth_per_day: String,
    /// The operator's target.
    pub target_eth_per_day: String,
    /// `met`, `not_met` or `no_data`.
    pub target: &'static str,
    /// What searchers' bundles of that time came to: beside what slots paid, and no part of it.
    pub bundles: BundleTotals,
    /// How judgements were come by.
    pub estimators: Estimators,
    /// What to look at, open ones first.
    pub notices: Vec<NoticeRow>,
    /// Registrations that relays have otherwise than we do.
    pub registration_drifts: Vec<Drift>,
    /// What could not be known, and why.
    pub not_known: Vec<String>,
}

/// What a report is made from.
#[derive(Clone, Debug)]
pub struct Reporter {
    /// The ledger.
    pub ledger: Ledger,
    /// The chain's time.
    pub slots: SlotClock,
    /// `[profit]`
    pub settings: ProfitSettings,
    /// Whether there is an execution node.
    pub has_execution: bool,
    /// Whether there is a beacon node.
    pub has_beacon: bool,
}

/// How long the days from `from` on and before `until` are, as far as they are over and the ledger was there; nothing where it was not.
fn window_ms((from, until): (i64, i64), began: i64, now: i64) -> i64 {
    let start = UtcDay::new(from).start_ms().max(began);
    let end = UtcDay::new(until).start_ms().min(now);
    end.saturating_sub(start).max(0)
}

/// An amount of that time, a day. Less than a day counts as one.
fn per_day(earned: U256, window_ms: i64) -> U256 {
    let day = U256::from(DAY_MS.unsigned_abs());
    let window = U256::from(window_ms.max(DAY_MS).unsigned_abs());
    earned.saturating_mul(day).checked_div(window).unwrap_or_default()
}

/// `met`, `not_met` or `no_data`. Nothing earned is nothing earned; there is no data only where nobody looked, or there was no time.
fn target(total: &Tally, has_execution: bool, window_ms: i64, is_met: bool) -> &'static str {
    let is_known = if total.slots == 0 {
        has_execution && window_ms >= DAY_MS
    } else {
        total.slots > total.open + total.unknowable
    };
    match (is_known, is_met) {
        (false, _) => "no_data",
        (true, true) => "met",
        (true, false) => "not_met",
    }
}

impl Reporter {
    fn range(&self, query: ReportQuery, now: i64) -> (i64, i64) {
        let today = UtcDay::of(now).number();
        let number_of = |date| UtcDay::from(date).number();
        let from = query.from.map_or(today - DAYS, number_of);
        let to = query.to.map_or(today, number_of);
        (from, to.saturating_add(1))
    }

    /// The days of a range that the ledger has slots in: nobody's report walks through ten thousand empty years.
    async fn clamped(&self, (from, until): (i64, i64)) -> Result<(i64, i64), LedgerError> {
        let ends = self.ledger.first_slot().await?.zip(self.ledger.last_slot().await?);
        let Some((first, last)) = ends else { return Ok((from, from)) };
        let day = |slot: Slot| UtcDay::of(self.slots.start_of(slot)).number();
        let from = from.max(day(first));
        Ok((from, until.min(day(last).saturating_add(1)).max(from)))
    }

    /// When the ledger began, in Unix milliseconds: when it was made, or with an older slot that it was given.
    ///
    /// # Errors
    /// When the ledger does not answer.
    pub async fn began(&self, now: i64) -> Result<i64, LedgerError> {
        let first = self.ledger.first_slot().await?.map(|slot| self.slots.start_of(slot));
        let made = self.ledger.made_at().await?;
        Ok(first.into_iter().chain(made).min().unwrap_or(now))
    }

    /// The report. Reads the ledger and writes nothing.
    ///
    /// # Errors
    /// When the ledger does not answer.
    pub async fn report(&self, query: ReportQuery, now: i64) -> Result<ProfitReport, LedgerError> {
        let (from, until) = self.range(query, now);
        let days = self.clamped((from, until)).await?;
        let fresh = FreshSums::of(&self.ledger, self.slots, days).await?;
        let by = query.by.unwrap_or(By::Day);
        let all = fresh.days(&self.ledger, "all", days).await?;
        let mut total = Tally::default();
        all.iter().for_each(|row| total.add(&Tally::read(row)));
        let rows = if by.dimension() == "all" {
            all
        } else {
            let every_day = matches!(query.period, Some(By::Day | By::Week));
            sums(&self.ledger, &fresh, by.dimension(), days, every_day).await?
        };
        let mut groups: BTreeMap<(String, String), Tally> = BTreeMap::new();
        for row in rows {
            let day = UtcDay::new(row.at).date();
            let tally = Tally::read(&row);
            let key = match by.period(day) {
                Some(period) => (String::new(), period),
                None => (query.period.and_then(|p| p.period(day)).unwrap_or_default(), row.name),
            };
            groups.entry(key).or_default().add(&tally);
        }
        let groups: Vec<ReportLine> = groups
            .iter()
            .map(|((period, name), tally)| ReportLine::new(name.clone(), period.clone(), tally))
            .collect();
        let window = window_ms((from, until), self.began(now).await?, now);
        let per_day = per_day(total.received.saturating_add(total.local_value), window);
        let target =
            target(&total, self.has_execution, window, per_day >= self.settings.target_per_day.as_u256());
        let drifts = self.ledger.drifts().await?;
        Ok(ProfitReport {
            from: UtcDay::new(from).date().to_string(),
            to: UtcDay::new(until - 1).date().to_string(),
            total: ReportLine::new(String::new(), String::new(), &total),
            groups,
            eth_per_day: Wei::new(per_day).to_eth(),
            target_eth_per_day: self.settings.target_per_day.to_eth(),
            target,
            bundles: self
                .ledger
                .bundle_totals(UtcDay::new(from).start_ms(), UtcDay::new(until).start_ms())
                .await?,
            estimators: ESTIMATORS,
            notices: self.ledger.notices(NOTICES).await?,
            registration_drifts: drifts
                .into_iter()
                .map(|(relay, validator, drift)| Drift { relay, validator, drift })
                .collect(),
            not_known: self.not_known(&total),
        })
    }

    fn not_known(&self, total: &Tally) -> Vec<String> {
        let mut gaps = Vec::new();
        if !self.has_execution {
            gaps.push("no [execution] url: what slots paid, and what came of them, is not known".to_owned());
        }
        if !self.has_beacon {
            gaps.push("no [beacon] url: rewards of the consensus layer are not known".to_owned());
        }
        if total.unknown > 0 {
            gaps.push(format!("{} payments: see the slots' words for why", total.unknown));
        }
        if total.open > 0 && self.has_execution {
            gaps.push(format!("{} slots are not settled yet", total.open));
        }
        if total.unknowable > 0 {
            gaps.push(format!(
                "{} slots can never be known with this execution node: it has pruned their blocks",
                total.unknowable
            ));
        }
        gaps
    }

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
        let paid_by_promise = promised.zip(received).filter(|_| row.outcome.as_deref() == Some("ours"));
        let diff = paid_by_promise.map_or_else(String::new, |(promised, received)| {
            let diff = difference(promised, received);
            let sign = if diff.is_negative() { "-" } else { "" };
            format!("{sign}{}", Wei::new(diff.unsigned_abs()).to_eth())
        });
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
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
            text(&row.outcome),
            row.status.clone(),
            text(&row.payment),
            eth(&row.promised_wei),
            eth(&row.received_wei),
            diff,
            text(&row.promised_wei),
            text(&row.received_wei),
            text(&row.method),
            text(&row.confidence),
            text(&row.transactions),
            gwei(row.consensus_reward_gwei),
            gwei(row.withdrawals_gwei),
            eth(&row.other_inflows_wei),
            eth(&row.missed_value_wei),
            text(&row.data_api),
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

impl ProfitReport {
    /// The lines as CSV: one row a line, one column a field.
    pub fn csv(&self) -> String {
        csv::table(&self.groups)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_have_their_names() {
        let day: Date = "2026-11-25".parse().unwrap();
        assert_eq!(By::Day.period(day).unwrap(), "2026-11-25");
        assert_eq!(By::Week.period(day).unwrap(), "2026-11-23");
        assert_eq!(By::Month.period(day).unwrap(), "2026-11");
        assert_eq!(By::Relay.period(day), None);
        for (name, by) in By::ALL {
            assert_eq!(By::named(name), Some(by));
        }
    }

    #[test]
    fn the_rate_is_over_the_window_and_not_over_the_luckiest_days_in_it() {
        let today = 20_000;
        let now = today * DAY_MS + DAY_MS / 2;
        let eth = U256::from(50_000_000_000_000_000_u64);
        let rate = |days: i64, began: i64| per_day(eth, window_ms((today + 1 - days, today + 1), began, now));
        // 0.05 ETH in a year, whenever in it the one proposal was: far below 0.01 a day.
        assert_eq!(rate(366, 0), eth * U256::from(2) / U256::from(731));
        assert!(rate(366, 0) < U256::from(137_000_000_000_000_u64));
        // A ledger of ten days, asked for a year.
        assert_eq!(rate(366, now - 10 * DAY_MS), eth / U256::from(10));
        // One of an hour: at least a day.
        assert_eq!(rate(366, now - DAY_MS / 24), eth);
        // Days to come, and days before the ledger, are none.
        assert_eq!(window_ms((today - 1, today + 300), 0, now), DAY_MS + DAY_MS / 2);
        assert_eq!(window_ms((today - 10, today - 8), now - DAY_MS, now), 0);
    }

    #[test]
    fn nothing_earned_is_not_met_and_nothing_looked_at_is_no_data() {
        let tally = |slots, open| Tally { slots, open, ..Tally::default() };
        for (total, has_execution, days, is_met, expected) in [
            (tally(0, 0), true, 30, false, "not_met"),
            (tally(0, 0), false, 30, false, "no_data"),
            (tally(0, 0), true, 0, false, "no_data"),
            (tally(3, 3), true, 30, false, "no_data"),
            (tally(3, 1), true, 30, false, "not_met"),
            (tally(3, 0), true, 30, true, "met"),
        ] {
            assert_eq!(target(&total, has_execution, days * DAY_MS, is_met), expected, "{total:?} {days}");
        }
    }

    #[test]
    fn mev_success_is_relay_paid_blocks_over_all_own_proposals() {
        let total = Tally {
            ours: 6,
            exact: 3,
            under: 1,
            unpaid: 1,
            unknown: 1,
            local: 2,
            missed: 1,
            not_delivered: 1,
            ..Tally::default()
        };
        let line = ReportLine::new(String::new(), String::new(), &total);
        assert_eq!((line.proposals, line.relay_paid), (10, 4));
        assert_eq!(line.mev_success_rate, Some(4.0 / 9.0));
        assert_eq!(ReportLine::new(String::new(), String::new(), &Tally::default()).mev_success_rate, None);
    }
}
