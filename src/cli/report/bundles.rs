//! `relaymux report bundles`: what became of searchers' bundles.

use serde::Serialize;

use super::{ReportFormat, terminal};
use crate::{
    ledger::{BundleTotals, BundleView, Ledger, LedgerError, SendOutcome},
    profit::csv,
};

/// Bundles in a report: the newest.
const SHOWN: u32 = 1000;

/// Of them, those in a table for the terminal.
const TABLED: usize = 50;

/// Totals of the days asked for, and the newest bundles in them.
#[derive(Debug, Serialize)]
pub(super) struct BundleReport {
    totals: BundleTotals,
    bundles: Vec<BundleView>,
}

pub(super) async fn bundles(ledger: &Ledger, since: i64, until: i64) -> Result<BundleReport, LedgerError> {
    let (totals, bundles) =
        (ledger.bundle_totals(since, until).await?, ledger.bundles_between(since, until, SHOWN).await?);
    Ok(BundleReport { totals, bundles })
}

/// The builders that took a bundle.
fn takers(bundle: &BundleView) -> String {
    let mut names: Vec<&str> = bundle
        .sends
        .iter()
        .filter(|send| send.outcome == SendOutcome::Accepted)
        .map(|send| send.builder.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    names.join(" ")
}

pub(super) fn shown(report: &BundleReport, format: ReportFormat) -> String {
    match format {
        ReportFormat::Json => terminal::json(report),
        ReportFormat::Csv => {
            let lines =
                report.bundles.iter().map(|bundle| csv::line(cells(bundle).iter().map(String::as_str)));
            std::iter::once(csv::line(HEADS.into_iter())).chain(lines).collect()
        }
        ReportFormat::Table => table(report),
    }
}

const HEADS: [&str; 18] = [
    "id",
    "received_at_ms",
    "hash",
    "searcher",
    "kind",
    "first_block",
    "last_block",
    "state",
    "reason",
    "taken_by",
    "block",
    "block_builder",
    "final",
    "gas_cost_wei",
    "paid_to_builder_wei",
    "eth_wei",
    "weth_wei",
    "profit_wei",
];

fn cells(bundle: &BundleView) -> [String; 18] {
    let cell = |text: &Option<String>| text.clone().unwrap_or_default();
    [
        bundle.id.to_string(),
        bundle.received_at.to_string(),
        bundle.hash.clone(),
        bundle.searcher.clone(),
        bundle.kind.to_string(),
        bundle.first_block.to_string(),
        bundle.last_block.to_string(),
        bundle.state.to_string(),
        bundle.reason.clone(),
        takers(bundle),
        bundle.block_number.map_or_else(String::new, |number| number.to_string()),
        cell(&bundle.block_builder),
        bundle.is_final.to_string(),
        cell(&bundle.gas_cost_wei),
        cell(&bundle.paid_to_builder_wei),
        cell(&bundle.eth_wei),
        cell(&bundle.weth_wei),
        cell(&bundle.profit_wei),
    ]
}

fn table(report: &BundleReport) -> String {
    let mut table = terminal::table(["bundle", "blocks", "state", "taken by", "profit wei", "why"]);
    for bundle in report.bundles.iter().take(TABLED) {
        table.add_row([
            bundle.hash.chars().take(14).collect::<String>(),
            format!("{}-{}", bundle.first_block, bundle.last_block),
            format!("{}{}", bundle.state, if bundle.is_final { "" } else { " (not final)" }),
            takers(bundle),
            bundle.profit_wei.clone().unwrap_or_default(),
            bundle.reason.clone(),
        ]);
    }
    let totals = &report.totals;
    format!(
        "{table}\n{} bundles: {} included, {} missed, {} failed, {} pending; {:.1} % of the decided ones included (target 25 %); \
         profit {} ETH\n",
        totals.submitted,
        totals.included,
        totals.missed,
        totals.failed,
        totals.pending,
        totals.success_rate * 100.0,
        totals.profit_eth
    )
}
