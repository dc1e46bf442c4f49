//! `relaymux report relays`: each relay's state, what it did, what timing games earned, and when to ask it.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{ReportFormat, terminal};
use crate::{
    auction::{SeenPoll, SeenRaces, report_timing},
    config::Config,
    events::{ModeReason, RelayMode},
    ledger::{Ledger, LedgerError},
    profit::csv,
    sla::RelayFacts,
    types::{Label, Wei},
};

/// One relay's line.
#[derive(Debug, Serialize)]
pub(super) struct RelayLine {
    relay: String,
    races: i64,
    bids: i64,
    wins: i64,
    deliveries: i64,
    faults: String,
    latency_p50_ms: Option<f64>,
    latency_p95_ms: Option<f64>,
    #[serde(rename = "place")]
    mode: Label<RelayMode>,
    score: Option<f64>,
    #[serde(rename = "why")]
    message: String,
    timing_races: usize,
    timing_earned_eth: String,
    gwei_per_100_ms: Option<i64>,
    target_first_request_ms: Option<i64>,
    frequency_get_header_ms: Option<i64>,
    #[serde(rename = "timing_why")]
    timing_reason: String,
    /// Why it is where it is, as a kind; none of a relay that never moved.
    reason: Option<ModeReason>,
    /// `place`, but a relay that is merely away is `unreachable`.
    #[serde(skip)]
    shown: String,
    /// All of `faults`.
    #[serde(skip)]
    fault_count: i64,
}

impl RelayLine {
    /// The same for a digest.
    pub(super) fn facts(&self) -> RelayFacts {
        let count = |n: i64| n.max(0).unsigned_abs();
        let propose = self.target_first_request_ms.zip(self.frequency_get_header_ms);
        RelayFacts {
            relay: self.relay.clone(),
            asked: count(self.races),
            bids: count(self.bids),
            wins: count(self.wins),
            faults: count(self.fault_count),
            latency_p50_ms: self.latency_p50_ms,
            timing_advice: propose.map(|(first, every)| {
                format!("ask first at {first} ms into the slot, then every {every} ms")
            }),
        }
    }
}

pub(super) async fn relays(
    ledger: &Ledger,
    config: &Config,
    since: i64,
    until: i64,
) -> Result<Vec<RelayLine>, LedgerError> {
    let mut stats = ledger.relay_stats(since, until).await?;
    let mut polls = ledger.polls(since, until).await?;
    let races = ledger.race_times(since, until).await?;
    let races = races.map(|(asked_ms, budget_ms)| SeenRaces { asked_ms, budget_ms });
    // The configured ones in their order, then those of earlier configurations.
    let mut names: Vec<String> = config.relays.iter().map(|relay| relay.id.to_string()).collect();
    let others: BTreeSet<String> = stats.keys().filter(|name| !names.contains(name)).cloned().collect();
    names.extend(others);
    let mut lines = Vec::with_capacity(names.len());
    for relay in names {
        let seen: Vec<SeenPoll> = polls
            .remove(&relay)
            .unwrap_or_default()
            .into_iter()
            .map(|poll| SeenPoll {
                auction: poll.auction,
                sent_ms: poll.sent_ms,
                latency_us: poll.latency_us,
                value: poll.value_wei.and_then(|text| Wei::parse_wei(&text).ok()),
            })
            .collect();
        let timing = report_timing(&seen, races);
        let last = ledger.mode_history(&relay, 1).await?.into_iter().next();
        let stats = stats.remove(&relay).unwrap_or_default();
        let faults: Vec<String> =
            stats.faults.iter().map(|(fault, count)| format!("{fault} × {count}")).collect();
        lines.push(RelayLine {
            fault_count: stats.faults.values().sum(),
            races: stats.auctions,
            bids: stats.bids,
            wins: stats.wins,
            deliveries: stats.deliveries,
            faults: faults.join(", "),
            latency_p50_ms: stats.latency_p50_ms,
            latency_p95_ms: stats.latency_p95_ms,
            // A relay that never moved is where it began.
            mode: last.as_ref().map_or(RelayMode::Active.into(), |change| change.state.clone()),
            shown: last.as_ref().map_or("active", |change| change.shown()).to_owned(),
            reason: last.as_ref().and_then(|change| change.reason),
            score: last.as_ref().map(|change| change.score),
            message: last.map_or_else(String::new, |change| change.message),
            timing_races: timing.played,
            timing_earned_eth: timing.earned.to_eth(),
            gwei_per_100_ms: timing.gwei_per_100_ms,
            target_first_request_ms: timing.propose.map(|(first, _)| first),
            frequency_get_header_ms: timing.propose.map(|(_, every)| every),
            timing_reason: timing.reason,
            relay,
        });
    }
    Ok(lines)
}

pub(super) fn shown(lines: &[RelayLine], format: ReportFormat) -> String {
    match format {
        ReportFormat::Json => format!("{}\n", serde_json::to_string_pretty(lines).unwrap_or_default()),
        ReportFormat::Csv => as_csv(lines),
        ReportFormat::Table => {
            let mut table = terminal::table([
                "relay",
                "state",
                "asked",
                "bids",
                "wins",
                "published",
                "p50 ms",
                "p95 ms",
                "timing earned ETH",
                "ask at / every ms",
                "faults",
            ]);
            let number = |n: Option<f64>| n.map_or_else(String::new, |n| format!("{n:.0}"));
            for line in lines {
                let propose = line.target_first_request_ms.zip(line.frequency_get_header_ms);
                table.add_row([
                    line.relay.clone(),
                    line.shown.clone(),
                    line.races.to_string(),
                    line.bids.to_string(),
                    line.wins.to_string(),
                    line.deliveries.to_string(),
                    number(line.latency_p50_ms),
                    number(line.latency_p95_ms),
                    format!("{} in {} auctions", line.timing_earned_eth, line.timing_races),
                    propose.map_or_else(
                        || format!("once: {}", line.timing_reason),
                        |(first, every)| format!("{first} / {every}"),
                    ),
                    line.faults.clone(),
                ]);
            }
            format!("{table}\n")
        }
    }
}

/// Columns of the CSV, in order: the fields of [`RelayLine`].
const COLUMNS: [&str; 18] = [
    "relay",
    "place",
    "score",
    "why",
    "races",
    "bids",
    "wins",
    "deliveries",
    "faults",
    "latency_p50_ms",
    "latency_p95_ms",
    "timing_races",
    "timing_earned_eth",
    "gwei_per_100_ms",
    "target_first_request_ms",
    "frequency_get_header_ms",
    "timing_why",
    "reason",
];

/// One row a relay, one column a field.
fn as_csv(lines: &[RelayLine]) -> String {
    let mut text = csv::line(COLUMNS.into_iter());
    for line in lines {
        let fields = serde_json::to_value(line).unwrap_or_default();
        let cells = COLUMNS.map(|column| match fields.get(column) {
            None | Some(serde_json::Value::Null) => String::new(),
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        });
        text.push_str(&csv::line(cells.iter().map(String::as_str)));
    }
    text
}
