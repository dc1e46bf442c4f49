//! `relaymux report profit` for the terminal; the figures are made in `profit`.

use super::terminal;
use crate::profit::{ProfitReport, ReportLine};

/// The report as a table with a total, and what is to be said about it.
pub(super) fn table(report: &ProfitReport) -> String {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for line in &report.groups {
        let names = [line.period.as_str(), line.name.as_str()];
        let names: Vec<&str> = names.into_iter().filter(|name| !name.is_empty()).collect();
        rows.push(cells(names.join(" "), line));
    }
    rows.push(cells("total".to_owned(), &report.total));
    let mut text = format!("{}\n{} to {} (UTC)\n", terminal::fitting(&HEADS, &rows), report.from, report.to);
    for remark in remarks(report) {
        text.push_str(&remark);
        text.push('\n');
    }
    text
}

const HEADS: [&str; 14] = [
    "",
    "slots",
    "headers",
    "no bid",
    "delivered",
    "local",
    "missed / not delivered / orphaned",
    "claimed ETH",
    "received ETH",
    "under / unpaid / unknown",
    "short by ETH",
    "local ETH",
    "missed value ETH",
    "timing ETH",
];

fn cells(name: String, line: &ReportLine) -> Vec<String> {
    vec![
        name,
        line.slots.to_string(),
        line.wins.to_string(),
        line.no_bid.to_string(),
        line.delivered.to_string(),
        line.local.to_string(),
        format!("{} / {} / {}", line.missed, line.not_delivered, line.orphaned),
        line.claimed_eth.clone(),
        line.received_eth.clone(),
        format!("{} / {} / {}", line.under, line.unpaid, line.unknown),
        line.short_eth.clone(),
        line.local_value_eth.clone(),
        line.missed_value_eth.clone(),
        line.timing_value_eth.clone(),
    ]
}

/// What is to be said about the table, a line each.
fn remarks(report: &ProfitReport) -> Vec<String> {
    let (total, bundles) = (&report.total, &report.bundles);
    let target = report.target.label().replace('_', " ");
    let mut remarks =
        vec![format!("{} ETH a day, target {}: {target}", report.eth_per_day, report.target_eth_per_day)];
    if total.success_rate.is_some() {
        remarks.push(format!(
            "{} of {} headers whose block was signed are on chain; consensus layer {} ETH",
            total.delivered,
            total.delivered + total.not_delivered + total.orphaned,
            total.consensus_reward_eth
        ));
    }
    if let Some(rate) = total.mev_success_rate {
        remarks.push(format!(
            "{} of {} own proposals were paid by a relay's bid ({:.1} % of those that can be known)",
            total.relay_paid,
            total.proposals,
            rate * 100.0
        ));
    }
    if bundles.submitted > 0 {
        let confidence = bundles.profit_confidence.map_or("none", |confidence| confidence.label());
        remarks.push(format!(
            "beside it, bundles: {} ETH from {} of {} included (confidence {confidence}); {} of {} simulated ones paid less than simulated",
            bundles.profit_eth, bundles.included, bundles.submitted, bundles.below_simulation, bundles.simulated
        ));
    }
    let open = report.notices.iter().filter(|notice| notice.resolved_at.is_none());
    remarks.extend(open.map(|notice| format!("{} {}", notice.severity, notice.message)));
    remarks.extend(report.not_known.iter().map(|gap| format!("not known: {gap}")));
    remarks
}
