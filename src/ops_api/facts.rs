//! What the profit room, relays and past alerts know, as the availability room wants to be told.

use std::collections::BTreeMap;

use crate::{
    ledger::{AlertRow, LedgerError, RelayStats},
    profit::{ReportQuery, Reporter, TargetVerdict},
    sla::{AlertFacts, MevFacts, Period, ProfitFacts, RelayFacts},
    types::{DAY_MS, UnixMillis, UtcDay, Wei},
};

/// What own slots came to in a window; nothing without a node that knows.
#[derive(Clone, Copy, Debug, Default)]
pub struct MoneyFacts {
    /// How many of the own proposals relays paid.
    pub mev: Option<MevFacts>,
    /// What was earned.
    pub profit: Option<ProfitFacts>,
}

/// Of the whole days that a period touches.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn money_facts(
    reporter: &Reporter,
    period: Period,
    now: UnixMillis,
) -> Result<MoneyFacts, LedgerError> {
    if !reporter.has_execution {
        return Ok(MoneyFacts::default());
    }
    let from = period.window(now).from.saturating_mul(60_000);
    let query = ReportQuery { from: Some(UtcDay::of(from).date()), ..ReportQuery::default() };
    let report = reporter.report(query, now).await?;
    let days = now.saturating_sub(reporter.began(now).await?.max(from)).max(0) / DAY_MS;
    let eth = |text: &str| Wei::parse_eth(text).unwrap_or(Wei::ZERO);
    let total = &report.total;
    let mev = MevFacts {
        proposals: total.proposals,
        judged: total.proposals.saturating_sub(total.unknown),
        relay_paid: total.relay_paid,
    };
    let profit = ProfitFacts {
        per_day: eth(&report.eth_per_day),
        days: days.unsigned_abs(),
        is_known: report.target != TargetVerdict::NoData,
        bundles: eth(&report.bundles.profit_eth),
    };
    Ok(MoneyFacts { mev: Some(mev), profit: Some(profit) })
}

/// What relays did, by name.
pub(super) fn relays(stats: impl IntoIterator<Item = (String, RelayStats)>) -> Vec<RelayFacts> {
    let count = |n: i64| n.max(0).unsigned_abs();
    let facts = stats.into_iter().map(|(relay, stats)| RelayFacts {
        relay,
        asked: count(stats.auctions),
        bids: count(stats.bids),
        wins: count(stats.wins),
        faults: count(stats.faults.values().sum()),
        latency_p50_ms: stats.latency_p50_ms,
        // `relaymux report relays` has it: it reads every poll of the time.
        timing_advice: None,
    });
    let mut facts: Vec<RelayFacts> = facts.collect();
    facts.sort_by(|a, b| a.relay.cmp(&b.relay));
    facts
}

/// How alerts went, by rule.
pub(super) fn alerts(rows: &[AlertRow]) -> Vec<AlertFacts> {
    let mut by_rule: BTreeMap<&str, Vec<&AlertRow>> = BTreeMap::new();
    for row in rows {
        by_rule.entry(&row.rule).or_default().push(row);
    }
    let facts = by_rule.into_iter().map(|(rule, rows)| {
        let mut waits: Vec<u64> = rows
            .iter()
            .filter_map(|row| {
                let from = row.told_at.or(row.firing_at).unwrap_or(row.pending_at);
                Some(row.acknowledged_at?.saturating_sub(from).max(0).unsigned_abs() / 1000)
            })
            .collect();
        waits.sort_unstable();
        AlertFacts {
            cause: rule.to_owned(),
            count: u64::try_from(rows.len()).unwrap_or(u64::MAX),
            acknowledged: Some(u64::try_from(waits.len()).unwrap_or(u64::MAX)),
            acknowledged_in_secs: waits.get(waits.len() / 2).copied(),
        }
    });
    facts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        events::{Component, Severity},
        ledger::AlertPhase,
    };

    fn row(rule: &str, told_at: Option<i64>, acknowledged_at: Option<i64>) -> AlertRow {
        AlertRow {
            id: 1,
            fingerprint: "f".to_owned(),
            rule: rule.to_owned(),
            subject: String::new(),
            severity: Severity::P2.into(),
            component: Component::Disk.into(),
            phase: AlertPhase::Resolved.into(),
            title: String::new(),
            message: String::new(),
            pending_at: 1000,
            firing_at: Some(2000),
            resolved_at: None,
            told_at,
            acknowledged_at,
            acknowledged_by: None,
            incident: None,
            live: false,
            state: String::new(),
        }
    }

    #[test]
    fn alerts_are_counted_by_rule_with_the_median_time_until_somebody_took_care() {
        let rows = [
            row("disk", Some(3000), Some(63_000)),
            row("disk", None, Some(12_000)),
            row("disk", Some(3000), Some(903_000)),
            row("disk", Some(3000), None),
            row("clock", None, None),
        ];
        let fact = |cause: &str, count, acknowledged, acknowledged_in_secs| AlertFacts {
            cause: cause.to_owned(),
            count,
            acknowledged: Some(acknowledged),
            acknowledged_in_secs,
        };
        assert_eq!(alerts(&rows), [fact("clock", 1, 0, None), fact("disk", 4, 3, Some(60))]);
        assert_eq!(alerts(&[]), []);
    }

    #[test]
    fn a_relays_faults_are_summed() {
        let stats = RelayStats {
            auctions: 5,
            faults: [("timeout".to_owned(), 2), ("http_500".to_owned(), 1)].into(),
            ..RelayStats::default()
        };
        let facts = relays([("b".to_owned(), stats), ("a".to_owned(), RelayStats::default())]);
        let short: Vec<_> = facts.iter().map(|relay| (&*relay.relay, relay.asked, relay.faults)).collect();
        assert_eq!(short, [("a", 0, 0), ("b", 5, 3)]);
    }
}
