//! `relaymux report digest`: what a day or a week came to, from what the ledger knows.

use super::{ReportFormat, relays, sla::reporter, terminal};
use crate::{
    config::Config,
    ledger::{Ledger, LedgerError},
    ops_api::DigestMaker,
    profit::csv,
    sla::{Digest, Period, SlaReader},
    types::UnixMillis,
};

/// The digest of a period, as the service makes it; timing advice comes on top, for which every poll of the time is read.
pub(super) async fn digest(
    ledger: &Ledger,
    config: &Config,
    period: Period,
    now: UnixMillis,
) -> Result<Digest, LedgerError> {
    let since = period.window(now).from.saturating_mul(60_000);
    let lines = relays::relays(ledger, config, since, now).await?;
    let maker = DigestMaker {
        ledger: ledger.clone(),
        reporter: reporter(ledger, config),
        sla: SlaReader { ledger: ledger.clone(), objective: config.sla },
        source: config.alerts.settings.source.clone(),
    };
    maker.make_of(period, lines.iter().map(relays::RelayLine::facts).collect(), now).await
}

/// The digest for people or programs; as CSV, its targets.
pub(super) fn shown(digest: &Digest, format: ReportFormat) -> String {
    match format {
        ReportFormat::Json => terminal::json(digest),
        ReportFormat::Csv => csv::table(&digest.report.targets),
        ReportFormat::Table => digest.text(),
    }
}
