//! Sums: what a day's slots come to, for all and by relay, validator and builder. Pure, save for the projector that keeps the ledger's sums up to date.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::U256;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::{
    consensus::SlotClock,
    events::{PaymentVerdict, SlotOutcome, SlotStatus},
    ledger::{DayFacts, Ledger, LedgerError, OutcomeCount, Settled, SumRow},
    types::{Slot, UnixMillis, UtcDay},
};

/// Counts and amounts (wei) of some slots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Tally {
    /// Slots with an auction or a submission.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) slots: u64,
    /// Of them, those whose header was delivered to the consensus client.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) headers: u64,
    /// Those that were answered with no bid.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) no_bid: u64,
    /// Blocks that were the promised one.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) ours: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) local: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) missed: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) not_delivered: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) orphaned: u64,
    /// Not looked at yet.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) open: u64,
    /// Given up: the node has pruned their blocks.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) unknowable: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) exact: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) over: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) under: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) unpaid: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) unknown: u64,
    /// Promised for blocks that were the promised one.
    #[serde(with = "decimal", skip_serializing_if = "U256::is_zero")]
    pub(super) claimed: U256,
    /// What arrived for them.
    #[serde(with = "decimal", skip_serializing_if = "U256::is_zero")]
    pub(super) received: U256,
    /// Promised beyond what arrived.
    #[serde(with = "decimal", skip_serializing_if = "U256::is_zero")]
    pub(super) short: U256,
    /// Arrived beyond what was promised.
    #[serde(with = "decimal", skip_serializing_if = "U256::is_zero")]
    pub(super) beyond: U256,
    /// What local blocks paid.
    #[serde(with = "decimal", skip_serializing_if = "U256::is_zero")]
    pub(super) local_value: U256,
    /// Best bid in time, less what arrived.
    #[serde(with = "decimal", skip_serializing_if = "U256::is_zero")]
    pub(super) missed_value: U256,
    /// Winning bids, less the first of their relays.
    #[serde(with = "decimal", skip_serializing_if = "U256::is_zero")]
    pub(super) timing_value: U256,
    /// Promised for slots that had no block in the end.
    #[serde(with = "decimal", skip_serializing_if = "U256::is_zero")]
    pub(super) cost_of_misses: U256,
    /// By the consensus layer.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) consensus_gwei: u64,
    /// How relays' answers ended: outcome and count.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) outcomes: BTreeMap<String, u64>,
    /// The same in auctions that nobody won.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) no_bid_reasons: BTreeMap<String, u64>,
}

/// What is nothing is not written: a year of a thousand validators is read in a second for it.
fn is_zero(count: &u64) -> bool {
    *count == 0
}

mod decimal {
    use alloy_primitives::U256;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &U256, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<U256, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        U256::from_str_radix(&text, 10).map_err(D::Error::custom)
    }
}

fn wei(text: Option<&String>) -> U256 {
    text.and_then(|text| U256::from_str_radix(text, 10).ok()).unwrap_or_default()
}

impl Tally {
    /// What was written down. It was by this very code: another's is nothing.
    pub(super) fn read(row: &SumRow) -> Self {
        serde_json::from_str(&row.tally).unwrap_or_default()
    }

    /// Adds one slot.
    pub(super) fn count(&mut self, row: &Settled) {
        let (promised, received) = (wei(row.promised_wei.as_ref()), wei(row.received_wei.as_ref()));
        self.slots += 1;
        if row.promised_block.is_some() {
            self.headers += 1;
        } else if row.outcome.is_some() {
            self.no_bid += 1;
        }
        let without_block = match row.known_outcome() {
            Some(SlotOutcome::Ours) => {
                self.ours += 1;
                self.claimed = self.claimed.saturating_add(promised);
                self.received = self.received.saturating_add(received);
                self.count_payment(row.known_payment(), promised, received);
                false
            }
            Some(SlotOutcome::Local) => {
                self.local += 1;
                self.local_value = self.local_value.saturating_add(received);
                false
            }
            Some(SlotOutcome::Missed) => {
                self.missed += 1;
                true
            }
            Some(SlotOutcome::NotDelivered) => {
                self.not_delivered += 1;
                true
            }
            Some(SlotOutcome::Orphaned) => {
                self.orphaned += 1;
                true
            }
            // What a newer version found is not known here.
            None if row.status == SlotStatus::Unknowable => {
                self.unknowable += 1;
                false
            }
            None => {
                self.open += 1;
                false
            }
        };
        if without_block {
            self.cost_of_misses = self.cost_of_misses.saturating_add(promised);
        }
        self.missed_value = self.missed_value.saturating_add(wei(row.missed_value_wei.as_ref()));
        self.timing_value = self.timing_value.saturating_add(wei(row.timing_wei.as_ref()));
        let reward = row.consensus_reward_gwei.unwrap_or_default();
        self.consensus_gwei = self.consensus_gwei.saturating_add(reward.max(0).unsigned_abs());
    }

    /// Adds how a promise was kept.
    fn count_payment(&mut self, verdict: Option<PaymentVerdict>, promised: U256, received: U256) {
        match verdict {
            Some(PaymentVerdict::Exact) => self.exact += 1,
            Some(PaymentVerdict::Over) => {
                self.over += 1;
                self.beyond = self.beyond.saturating_add(received.saturating_sub(promised));
            }
            Some(PaymentVerdict::Under) => {
                self.under += 1;
                self.short = self.short.saturating_add(promised.saturating_sub(received));
            }
            Some(PaymentVerdict::Unpaid) => {
                self.unpaid += 1;
                self.short = self.short.saturating_add(promised.saturating_sub(received));
            }
            Some(PaymentVerdict::Unknown) | None => self.unknown += 1,
        }
    }

    /// Adds another's sums.
    pub(super) fn add(&mut self, other: &Self) {
        let counts = [
            (&mut self.slots, other.slots),
            (&mut self.headers, other.headers),
            (&mut self.no_bid, other.no_bid),
            (&mut self.ours, other.ours),
            (&mut self.local, other.local),
            (&mut self.missed, other.missed),
            (&mut self.not_delivered, other.not_delivered),
            (&mut self.orphaned, other.orphaned),
            (&mut self.open, other.open),
            (&mut self.unknowable, other.unknowable),
            (&mut self.exact, other.exact),
            (&mut self.over, other.over),
            (&mut self.under, other.under),
            (&mut self.unpaid, other.unpaid),
            (&mut self.unknown, other.unknown),
            (&mut self.consensus_gwei, other.consensus_gwei),
        ];
        for (mine, theirs) in counts {
            *mine = mine.saturating_add(theirs);
        }
        let amounts = [
            (&mut self.claimed, other.claimed),
            (&mut self.received, other.received),
            (&mut self.short, other.short),
            (&mut self.beyond, other.beyond),
            (&mut self.local_value, other.local_value),
            (&mut self.missed_value, other.missed_value),
            (&mut self.timing_value, other.timing_value),
            (&mut self.cost_of_misses, other.cost_of_misses),
        ];
        for (mine, theirs) in amounts {
            *mine = mine.saturating_add(theirs);
        }
        for (mine, theirs) in
            [(&mut self.outcomes, &other.outcomes), (&mut self.no_bid_reasons, &other.no_bid_reasons)]
        {
            for (name, count) in theirs {
                *mine.entry(name.clone()).or_default() += count;
            }
        }
    }
}

/// A day's sums along every dimension.
pub(super) fn tally_day(day: i64, facts: &DayFacts) -> Vec<SumRow> {
    let mut sums: BTreeMap<(&str, String), Tally> = BTreeMap::new();
    let mut at = |dimension: &'static str, name: &str, change: &dyn Fn(&mut Tally)| {
        change(sums.entry((dimension, name.to_owned())).or_default());
    };
    for row in &facts.rows {
        at("all", "", &|tally| tally.count(row));
        if let Some(proposer) = &row.proposer {
            at("validator", proposer, &|tally| tally.count(row));
        }
        // Whose header the client got: a slot without one belongs to no relay and no builder.
        if let (Some(relay), true) = (&row.relay, row.promised_block.is_some()) {
            at("relay", relay, &|tally| tally.count(row));
            at("builder", row.builder.as_deref().unwrap_or("unknown"), &|tally| tally.count(row));
        }
    }
    for OutcomeCount { relay, outcome, count, without_bid } in &facts.outcomes {
        let change = |tally: &mut Tally| {
            *tally.outcomes.entry(outcome.to_string()).or_default() += count;
            if *without_bid > 0 {
                *tally.no_bid_reasons.entry(outcome.to_string()).or_default() += without_bid;
            }
        };
        at("all", "", &change);
        at("relay", relay, &change);
    }
    sums.into_iter()
        .map(|((dimension, name), tally)| SumRow {
            at: day,
            dimension: dimension.to_owned(),
            name,
            // Serializing to memory cannot fail: every key is a string.
            tally: serde_json::to_string(&tally).unwrap_or_default(),
        })
        .collect()
}

/// The slots of a day (since 1970-01-01 UTC): from the first on, before the second.
pub(super) fn slots_of(day: i64, slots: SlotClock) -> (Slot, Slot) {
    // The first slot that starts within the day: a slot belongs to the day it starts in.
    let first = |day: UtcDay| {
        let start = day.start_ms();
        let slot = slots.slot_at(start);
        let starts_before = slots.start_of(slot) < start;
        Slot::new(slot.as_u64().saturating_add(u64::from(starts_before)))
    };
    let day = UtcDay::new(day);
    (first(day), first(day.next()))
}

/// Dimensions that are summed along.
const DIMENSIONS: [&str; 4] = ["all", "relay", "validator", "builder"];

/// Takes into the sums what changed since: days with slots that changed, then their months, and months that are over and have no sums. How
/// many days that were. Which months are over, `now` says.
///
/// # Errors
/// When the ledger does not answer. What was done is not lost; it is done again.
pub async fn project_sums(ledger: &Ledger, slots: SlotClock, now: UnixMillis) -> Result<usize, LedgerError> {
    let changed = ledger.changed_days(slots).await?;
    for day in &changed.days {
        let sum = |facts: &DayFacts| tally_day(*day, facts);
        ledger.sum_day(*day, slots_of(*day, slots), sum).await?;
    }
    let of = |rows: Vec<SumRow>, month: fn(&SumRow) -> i64| rows.iter().map(month).collect::<BTreeSet<i64>>();
    let has_days = of(ledger.days("all", 0, i64::MAX).await?, |row| month_of(row.at));
    let has_sums = of(ledger.months("all", 0, i64::MAX).await?, |row| row.at);
    let mut months: BTreeSet<i64> = changed.days.iter().map(|day| month_of(*day)).collect();
    months.extend(has_days.difference(&has_sums));
    let today = UtcDay::of(now).number();
    for month in months {
        let range = days_of(month);
        // A month that goes on is read by its days: every slot of today would make it anew.
        if range.1 <= today {
            let sum = |dimension: &str, days: &[SumRow]| sum_of(month, dimension, days);
            ledger.sum_month(month, range, &DIMENSIONS, sum).await?;
        }
    }
    ledger.took_in(&changed).await?;
    Ok(changed.days.len())
}

/// Sums of days that changed since theirs were written down: made for one report, and written nowhere.
#[derive(Debug, Default)]
pub(super) struct FreshSums {
    /// Every day whose stored sums are wrong.
    stale: BTreeSet<i64>,
    rows: Vec<SumRow>,
}

impl FreshSums {
    /// Sums the stale days from `from` on and before `until`, one day's slots in memory at a time.
    pub(super) async fn of(
        ledger: &Ledger,
        slots: SlotClock,
        (from, until): (i64, i64),
    ) -> Result<Self, LedgerError> {
        let mut fresh = Self { stale: ledger.changed_days(slots).await?.days, rows: Vec::new() };
        for day in fresh.stale.clone() {
            if (from..until).contains(&day) {
                let (first, end) = slots_of(day, slots);
                fresh.rows.extend(tally_day(day, &ledger.day_facts(first, end).await?));
            }
        }
        Ok(fresh)
    }

    /// The sums of days along a dimension, in the days' order.
    pub(super) async fn days(
        &self,
        ledger: &Ledger,
        dimension: &str,
        (from, until): (i64, i64),
    ) -> Result<Vec<SumRow>, LedgerError> {
        let mut rows = ledger.days(dimension, from, until).await?;
        rows.retain(|row| !self.stale.contains(&row.at));
        let fresh =
            self.rows.iter().filter(|row| row.dimension == dimension && (from..until).contains(&row.at));
        rows.extend(fresh.cloned());
        rows.sort_by_key(|row| row.at);
        Ok(rows)
    }
}

/// The sums of rows along a dimension, by name.
fn sum_of(at: i64, dimension: &str, rows: &[SumRow]) -> Vec<SumRow> {
    let mut sums: BTreeMap<&str, Tally> = BTreeMap::new();
    for row in rows {
        sums.entry(&row.name).or_default().add(&Tally::read(row));
    }
    let row = |(name, tally): (&str, Tally)| SumRow {
        at,
        dimension: dimension.to_owned(),
        name: name.to_owned(),
        tally: serde_json::to_string(&tally).unwrap_or_default(),
    };
    sums.into_iter().map(row).collect()
}

/// The sums along a dimension of days from `from` on and before `until`, as few rows as will do: whole months where there are any, unless
/// every day is wanted. Each with its first day.
///
/// # Errors
/// When the ledger does not answer.
pub(super) async fn sums(
    ledger: &Ledger,
    fresh: &FreshSums,
    dimension: &str,
    (from, until): (i64, i64),
    every_day: bool,
) -> Result<Vec<SumRow>, LedgerError> {
    if every_day {
        return fresh.days(ledger, dimension, (from, until)).await;
    }
    let mut months = ledger.months(dimension, month_of(from), month_of(until).saturating_add(1)).await?;
    // Only months that lie within, and are still right.
    months.retain(|row| {
        let (first, end) = days_of(row.at);
        from <= first && end <= until && fresh.stale.range(first..end).next().is_none()
    });
    let whole: BTreeSet<i64> = months.iter().map(|row| row.at).collect();
    let mut at = from;
    let mut rows = Vec::new();
    while at < until {
        // A day beyond the calendar is in no month that has it.
        let end = Some(days_of(month_of(at)).1).filter(|end| *end > at).map_or(until, |end| end.min(until));
        if !whole.contains(&month_of(at)) {
            rows.extend(fresh.days(ledger, dimension, (at, end)).await?);
        }
        at = end;
    }
    rows.extend(months.into_iter().map(|row| SumRow { at: days_of(row.at).0, ..row }));
    Ok(rows)
}

/// The month of a day: year * 12 + month - 1.
pub(super) fn month_of(day: i64) -> i64 {
    let date = UtcDay::new(day).date();
    i64::from(date.year()) * 12 + i64::from(date.month()) - 1
}

/// The days of a month: from the first on, before the second. Whatever is before or after the calendar counts as one month: there is always a
/// day in it.
pub(super) fn days_of(month: i64) -> (i64, i64) {
    let first = |month: i64| {
        let year = i16::try_from(month.div_euclid(12)).ok()?;
        let number = i8::try_from(month.rem_euclid(12) + 1).ok()?;
        Date::new(year, number, 1).ok().map(|date| UtcDay::from(date).number())
    };
    let (calendars_first, calendars_end) =
        (UtcDay::from(Date::MIN).number(), UtcDay::from(Date::MAX).next().number());
    match (first(month), first(month.saturating_add(1))) {
        (Some(start), Some(end)) => (start, end),
        (Some(start), None) => (start, calendars_end),
        (None, _) if month < 0 => (i64::MIN, calendars_first),
        (None, _) => (calendars_end, i64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::events::BidOutcome;

    fn row(
        outcome: SlotOutcome,
        payment: Option<PaymentVerdict>,
        promised: u64,
        received: u64,
        relay: &str,
    ) -> Settled {
        Settled {
            outcome: Some(outcome.into()),
            payment: payment.map(Into::into),
            promised_block: Some("0x1".to_owned()),
            promised_wei: Some(promised.to_string()),
            received_wei: Some(received.to_string()),
            relay: Some(relay.to_owned()),
            proposer: Some("0xaa".to_owned()),
            builder: Some("b".to_owned()),
            ..Settled::default()
        }
    }

    fn read(rows: &[SumRow], dimension: &str, name: &str) -> Tally {
        let row = rows.iter().find(|row| row.dimension == dimension && row.name == name).unwrap();
        serde_json::from_str(&row.tally).unwrap()
    }

    proptest! {
        /// Whatever the month: it has a day, ends where the next one begins, and its days are its own.
        #[test]
        fn every_month_has_a_day_in_it(month in prop_oneof![any::<i64>(), -125_000_i64..125_000]) {
            let (start, end) = days_of(month);
            prop_assert!(start < end, "{}: {} to {}", month, start, end);
            if (1970 * 12..9999 * 12).contains(&month) {
                prop_assert_eq!(days_of(month + 1).0, end);
                prop_assert_eq!((month_of(start), month_of(end - 1)), (month, month));
            }
        }
    }

    #[tokio::test]
    async fn a_report_to_the_end_of_the_calendar_and_beyond_ends() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        let last = UtcDay::from(Date::MAX).number();
        assert_eq!(days_of(month_of(last)), (last - 30, last + 1));
        for range in [(last - 40, last + 1), (last - 1, i64::MAX), (last + 5, i64::MAX)] {
            let rows = sums(&ledger, &FreshSums::default(), "relay", range, false).await.unwrap();
            assert_eq!(rows, []);
        }
    }

    #[test]
    fn a_days_money_adds_up() {
        let rows = [
            row(SlotOutcome::Ours, Some(PaymentVerdict::Exact), 500, 500, "a"),
            row(SlotOutcome::Ours, Some(PaymentVerdict::Under), 500, 499, "b"),
            row(SlotOutcome::Ours, Some(PaymentVerdict::Over), 500, 510, "a"),
            row(SlotOutcome::NotDelivered, None, 700, 0, "b"),
            Settled { promised_block: None, promised_wei: None, ..row(SlotOutcome::Local, None, 0, 30, "a") },
        ];
        let outcome = OutcomeCount {
            relay: "a".to_owned(),
            outcome: BidOutcome::NoBid.into(),
            count: 2,
            without_bid: 1,
        };
        let days = tally_day(3, &DayFacts { rows: rows.to_vec(), outcomes: vec![outcome] });
        let all = read(&days, "all", "");
        assert_eq!((all.slots, all.headers, all.no_bid, all.ours, all.local), (5, 4, 1, 3, 1));
        assert_eq!((all.claimed, all.received), (U256::from(1500), U256::from(1509)));
        assert_eq!(
            (all.short, all.beyond, all.cost_of_misses),
            (U256::from(1), U256::from(10), U256::from(700))
        );
        assert_eq!(all.local_value, U256::from(30));
        assert_eq!((all.no_bid_reasons["no_bid"], all.outcomes["no_bid"]), (1, 2));
        // The relay's shares are the whole.
        let mut both = read(&days, "relay", "a");
        both.add(&read(&days, "relay", "b"));
        assert_eq!((both.claimed, both.received, both.headers), (all.claimed, all.received, all.headers));
        assert_eq!(read(&days, "relay", "b").not_delivered, 1);
    }

    #[test]
    fn months_have_their_days() {
        // 2026-11-23 is day 20,780.
        assert_eq!(month_of(20_780), 2026 * 12 + 10);
        let (first, end) = days_of(2026 * 12 + 10);
        assert_eq!((first, end - first), (20_758, 30));
        assert_eq!((month_of(first), month_of(end), month_of(end - 1)), (24_322, 24_323, 24_322));
        assert_eq!(days_of(2028 * 12 + 1).1 - days_of(2028 * 12 + 1).0, 29);
    }

    #[tokio::test]
    async fn a_report_reads_whole_months_and_single_days_to_the_same_sum() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        let slots = SlotClock::new(1_600_000_000, 3_600_000);
        // A year of hours that is over, each paying its number.
        let now = UtcDay::new(20_100).start_ms();
        let first = slots.slot_at(UtcDay::new(19_700).start_ms()).as_u64();
        let settled = |slot| Settled {
            slot,
            status: SlotStatus::Final.into(),
            ..row(SlotOutcome::Ours, Some(PaymentVerdict::Exact), slot, slot, "a")
        };
        let rows: Vec<Settled> = (first..first + 365 * 24).map(settled).collect();
        ledger.save_settlements(&rows).await.unwrap();
        project_sums(&ledger, slots, now).await.unwrap();
        assert!(ledger.months("relay", 0, i64::MAX).await.unwrap().len() >= 12);
        let total = async |range: (i64, i64), every_day: bool| {
            let mut sum = Tally::default();
            let fresh = FreshSums::of(&ledger, slots, range).await.unwrap();
            for row in sums(&ledger, &fresh, "relay", range, every_day).await.unwrap() {
                sum.add(&Tally::read(&row));
            }
            sum
        };
        for range in [(19_700, 20_065), (19_710, 20_000), (19_750, 19_751), (19_750, 19_750), (0, 30_000)] {
            assert_eq!(total(range, false).await, total(range, true).await, "{range:?}");
        }
        // A slot that changes changes its month.
        let before = total((0, 30_000), false).await;
        let changed = Settled {
            received_wei: Some("0".to_owned()),
            payment: Some(PaymentVerdict::Unpaid.into()),
            ..rows[100].clone()
        };
        ledger.save_settlements(&[changed]).await.unwrap();
        let unwritten = total((0, 30_000), false).await;
        project_sums(&ledger, slots, now).await.unwrap();
        let after = total((0, 30_000), false).await;
        assert_eq!(unwritten, after, "a report is right before the sums are written");
        assert_eq!((after.unpaid, before.received - after.received), (1, U256::from(first + 100)));
    }

    proptest! {
        /// Every slot is in one day, and days are without gap.
        #[test]
        fn days_divide_the_slots(day in 19_000i64..22_000, genesis in 1_500_000_000u64..1_700_000_000, secs in 1u64..13) {
            let slots = SlotClock::new(genesis, secs * 1000);
            prop_assume!(day * 86_400 > i64::try_from(genesis).unwrap() + 86_400);
            let (from, until) = slots_of(day, slots);
            prop_assert_eq!(until, slots_of(day + 1, slots).0);
            prop_assert_eq!(UtcDay::of(slots.start_of(from)).number(), day);
            prop_assert_eq!(UtcDay::of(slots.start_of(Slot::new(until.as_u64() - 1))).number(), day);
        }
    }
}
