//! `relaymux report sla` and `relaymux report readiness`: what was held, and how far the operator's box is. The figures are made in `sla`.

use std::iter;

use super::{ReportFormat, terminal};
use crate::{
    config::Config,
    ledger::Ledger,
    profit::{Reporter, csv},
    sla::{Readiness, SlaReport},
};

/// Makes reports of what slots paid.
pub(super) fn reporter(ledger: &Ledger, config: &Config) -> Reporter {
    Reporter {
        ledger: ledger.clone(),
        slots: config.spec.clock(),
        settings: config.profit.clone(),
        has_execution: config.execution.is_some(),
        has_beacon: config.beacon.is_some(),
    }
}

/// The report for people or programs.
pub(super) fn shown(report: &SlaReport, format: ReportFormat) -> String {
    match format {
        ReportFormat::Json => terminal::json(report),
        ReportFormat::Csv => csv::table(&report.targets),
        ReportFormat::Table => tables(report),
    }
}

fn tables(report: &SlaReport) -> String {
    let mut table = terminal::table(["", "target", "measured", "status", "of what, or why not"]);
    for target in &report.targets {
        table.add_row([
            words(target.name.label()),
            target.target.clone(),
            target.measured.clone(),
            words(target.status.label()),
            target.detail.clone(),
        ]);
    }
    let mut text = format!("{table}\n\n");
    let mut parts = terminal::table([
        "part",
        "available",
        "watched",
        "bad",
        "slow",
        "announced",
        "p95 ms",
        "error budget",
    ]);
    for part in &report.indicators {
        let percent = |share: f64| format!("{:.3} %", share * 100.0);
        let minutes = part.minutes;
        parts.add_row([
            part.indicator.to_string(),
            part.availability.map_or_else(|| "N/A".to_owned(), percent),
            percent(part.coverage),
            format!("{} m", minutes.bad.saturating_add(minutes.bad_unwatched)),
            format!("{} m", minutes.slow),
            format!("{} m", minutes.maintenance.saturating_add(minutes.maintenance_beyond_cap)),
            part.latency_p95_ms.map_or_else(String::new, |ms| format!("{ms:.1}")),
            part.budget.in_words.clone(),
        ]);
    }
    text.push_str(&format!("{parts}\nwindow {}\n", report.window));
    let burning = report.burning.iter().map(|alert| format!("{} {}", alert.severity, alert.message));
    let announced = report.maintenance.iter().map(|row| {
        let of = if row.indicator.is_empty() { "everything" } else { &row.indicator };
        format!("announced maintenance of {of}: {}", row.reason)
    });
    for remark in burning.chain(announced).chain(iter::once(report.gas.in_words.clone())) {
        text.push_str(&remark);
        text.push('\n');
    }
    text
}

/// How far the operator's box is.
pub(super) fn readiness(readiness: &Readiness, format: ReportFormat) -> String {
    let criteria = readiness.phases.iter().flat_map(|phase| &phase.criteria);
    match format {
        ReportFormat::Json => terminal::json(readiness),
        ReportFormat::Csv => csv::table(&criteria.collect::<Vec<_>>()),
        ReportFormat::Table => {
            let mut table = terminal::table(["phase", "criterion", "status", "evidence", "age"]);
            for criterion in criteria {
                table.add_row([
                    criterion.name.phase().to_string(),
                    words(criterion.name.label()),
                    words(criterion.status.label()),
                    criterion.evidence.clone(),
                    criterion.age.clone().unwrap_or_default(),
                ]);
            }
            let phases = readiness.phases.iter().map(|phase| {
                let of = phase.criteria.len();
                format!("phase {}: {}, {} of {of} met", phase.phase, words(phase.status.label()), phase.met)
            });
            let phases: Vec<String> = phases.collect();
            format!("{table}\n{}\n", phases.join("\n"))
        }
    }
}

/// A label for people.
fn words(label: &str) -> String {
    label.replace('_', " ")
}
