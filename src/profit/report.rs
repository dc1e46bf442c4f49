//! Profit reports: the days' sums put together for people, spreadsheets and scripts. They read the ledger and write nothing, and list what
//! they cannot know.

mod line;
mod proposals;

use std::collections::BTreeMap;

use alloy_primitives::U256;
use jiff::civil::Date;
use serde::Serialize;

use super::{
    ProfitSettings, csv,
    tally::{FreshSums, Tally, sums},
};
use crate::{
    consensus::SlotClock,
    ledger::{BundleTotals, Ledger, LedgerError, SignalRow},
    types::{DAY_MS, Slot, UtcDay, Wei, labelled},
};
pub use line::ReportLine;
use line::{ESTIMATORS, Estimators};

/// Days looked back when none is given.
const DAYS: i64 = 30;
/// Signals shown in a report.
const NOTICES: u32 = 50;

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

/// A registration that a relay has otherwise than we do.
#[derive(Clone, Debug, Serialize)]
pub struct Drift {
    relay: String,
    validator: String,
    drift: String,
}

labelled! {
    /// Whether the operator's target is reached.
    pub enum TargetVerdict {
        /// It is.
        Met = "met",
        /// It is not.
        NotMet = "not_met",
        /// Nobody looked, or there was no time.
        NoData = "no_data",
    }
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
    /// One line for each day, relay, validator or builder, as was asked for.
    pub groups: Vec<ReportLine>,
    /// Received and built locally, in ETH a day, over the time asked for or since the ledger was made.
    pub eth_per_day: String,
    /// The operator's target.
    pub target_eth_per_day: String,
    /// Whether that reaches it.
    pub target: TargetVerdict,
    /// What searchers' bundles of that time came to: beside what slots paid, and no part of it.
    pub bundles: BundleTotals,
    /// How judgements were come by.
    pub estimators: Estimators,
    /// What to look at, open ones first.
    pub notices: Vec<SignalRow>,
    /// Registrations that relays have otherwise than we do.
    pub registration_drifts: Vec<Drift>,
    /// What could not be known, and why.
    pub not_known: Vec<String>,
}

/// What a report is made from.
#[derive(Clone, Debug)]
pub struct Reporter {
    /// Where slots, sums and notices are read.
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

/// Nothing earned is nothing earned; there is no data only where nobody looked, or there was no time.
fn target(total: &Tally, has_execution: bool, window_ms: i64, is_met: bool) -> TargetVerdict {
    let is_known = if total.slots == 0 {
        has_execution && window_ms >= DAY_MS
    } else {
        total.slots > total.open + total.unknowable
    };
    match (is_known, is_met) {
        (false, _) => TargetVerdict::NoData,
        (true, true) => TargetVerdict::Met,
        (true, false) => TargetVerdict::NotMet,
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
            notices: self.ledger.signals(NOTICES).await?,
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
            gaps.push(format!("{} payments: the slots say why", total.unknown));
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
}

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
            (tally(0, 0), true, 30, false, TargetVerdict::NotMet),
            (tally(0, 0), false, 30, false, TargetVerdict::NoData),
            (tally(0, 0), true, 0, false, TargetVerdict::NoData),
            (tally(3, 3), true, 30, false, TargetVerdict::NoData),
            (tally(3, 1), true, 30, false, TargetVerdict::NotMet),
            (tally(3, 0), true, 30, true, TargetVerdict::Met),
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
