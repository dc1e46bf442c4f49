//! `relaymux report digest`: what a day or a week came to, from what the ledger knows.

use std::collections::BTreeMap;

use super::{ReportFormat, relays, reporter, sla::Known, terminal};
use crate::{
    config::Config,
    ledger::{Ledger, LedgerError},
    profit::csv,
    sla::{AlertFacts, Cadence, Digest, DigestInputs, Period, RestartFacts, SlaReader, make_digest},
    types::UnixMillis,
};

/// The rule by which tasks that begin anew are told.
const TASK_FAILED: &str = "task_failed";

/// The digest of a period.
pub(super) async fn digest(
    ledger: &Ledger,
    config: &Config,
    period: Period,
    now: UnixMillis,
) -> Result<Digest, LedgerError> {
    let since = period.window(now).from.saturating_mul(60_000);
    let known = Known::read(&reporter(ledger, config), period, now).await?;
    let counts = ledger.notice_counts(since).await?;
    let (restarts, others): (Vec<_>, Vec<_>) =
        counts.into_iter().partition(|(rule, _, _)| rule == TASK_FAILED);
    let mut causes: BTreeMap<String, u64> = BTreeMap::new();
    for (rule, _, count) in others {
        *causes.entry(rule).or_default() += count;
    }
    let alert = |(cause, count)| AlertFacts { cause, count, acknowledged: None, acknowledged_in_secs: None };
    let inputs = DigestInputs {
        cadence: if period == Period::Days(1) { Cadence::Daily } else { Cadence::Weekly },
        source: config.spec.name.clone(),
        report: SlaReader { ledger: ledger.clone(), objective: config.sla }
            .report(period, known.mev, now)
            .await?,
        profit: known.profit,
        relays: relays::relays(ledger, config, since, now)
            .await?
            .iter()
            .map(relays::RelayLine::facts)
            .collect(),
        disk_forecast: None,
        restarts: restarts.into_iter().map(|(_, task, count)| RestartFacts { task, count }).collect(),
        alerts: causes.into_iter().map(alert).collect(),
        expiries: Vec::new(),
    };
    Ok(make_digest(inputs, now))
}

/// The digest for people or programs; as CSV, its targets.
pub(super) fn shown(digest: &Digest, format: ReportFormat) -> String {
    match format {
        ReportFormat::Json => terminal::json(digest),
        ReportFormat::Csv => csv::table(&digest.report.targets),
        ReportFormat::Table => digest.text(),
    }
}
