//! `relaymux report profit` for the terminal; the figures are made in `profit`.

use super::terminal;
use crate::profit::{ProfitReport, ReportLine};

/// The report as a table with a total, and what is to be said about it.
pub(super) fn table(report: &ProfitReport) -> String {
    let heads = [
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
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut row = |name: String, line: &ReportLine| {
        rows.push(vec![
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
        ]);
    };
    for line in &report.groups {
        let names = [line.period.as_str(), line.name.as_str()];
        let names: Vec<&str> = names.into_iter().filter(|name| !name.is_empty()).collect();
        row(names.join(" "), line);
    }
    row("total".to_owned(), &report.total);
    let mut text = format!("{}\n{} to {} (UTC)\n", terminal::fitting(&heads, &rows), report.from, report.to);
    text.push_str(&format!(
        "{} ETH a day, target {}: {}\n",
        report.eth_per_day,
        report.target_eth_per_day,
        report.target.label().replace('_', " ")
    ));
    if report.total.success_rate.is_some() {
        let total = &report.total;
        text.push_str(&format!(
            "{} of {} headers whose block was signed are on chain; consensus layer {} ETH\n",
            total.delivered,
            total.delivered + total.not_delivered + total.orphaned,
            total.consensus_reward_eth
        ));
    }
    if let Some(rate) = report.total.mev_success_rate {
        text.push_str(&format!(
            "{} of {} own proposals were paid by a relay's bid ({:.1} % of those that can be known)\n",
            report.total.relay_paid,
            report.total.proposals,
            rate * 100.0
        ));
    }
    let bundles = &report.bundles;
    if bundles.submitted > 0 {
        let confidence = bundles.profit_confidence.map_or("none", |confidence| confidence.label());
        text.push_str(&format!(
            "beside it, bundles: {} ETH from {} of {} included (confidence {confidence}); {} of {} simulated ones paid less than simulated\n",
            bundles.profit_eth, bundles.included, bundles.submitted, bundles.below_simulation, bundles.simulated
        ));
    }
    for notice in report.notices.iter().filter(|notice| notice.resolved_at.is_none()) {
        text.push_str(&format!("{} {}\n", notice.severity, notice.message));
    }
    for gap in &report.not_known {
        text.push_str(&format!("not known: {gap}\n"));
    }
    text
}
