//! `relaymux report`: what the ledger knows, as a table, JSON or CSV. Reads only, also beside a running service.

mod bundles;
mod digest;
mod profit;
mod relays;
mod sla;

use std::{
    io::{self, Write},
    pin::pin,
    process::ExitCode,
};

use futures_util::StreamExt;
use jiff::civil::Date;

use super::{
    arguments::{ReportArguments, ReportFormat, ReportSubject},
    exit::{FAILED, MISUSED},
    loading::load,
    progress::Progress,
    terminal::{self, complain},
};
use crate::{
    config::Config,
    consensus::WallClock,
    ledger::{Journal, Ledger, LedgerError},
    ops_api::money_facts,
    profit::{ReportQuery, evidence},
    sla::{Period, ReadinessFacts, SlaReader},
    types::{DAY_MS, Slot, UtcDay},
};

/// Days looked back when none is given.
const DAYS: i64 = 30;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
enum ReportError {
    #[error("{0}")]
    Ledger(#[from] LedgerError),
    #[error("evidence of which slot? Write relaymux report evidence SLOT")]
    NoSlot,
    #[error("nothing happened in slot {0} here")]
    NothingThere(u64),
    #[error("--from {0} is after --to {1}")]
    Backwards(Date, Date),
    #[error("cannot write the report: {0}")]
    Output(#[from] io::Error),
}

pub(super) async fn report(arguments: ReportArguments) -> ExitCode {
    let config = match load(&arguments.config) {
        Ok(config) => config,
        Err(misused) => return misused,
    };
    if !config.data_dir.join("ledger.db").exists() {
        complain(format_args!(
            "{}: there is no ledger yet; the service makes it when it first runs",
            config.data_dir.display()
        ));
        return ExitCode::from(FAILED);
    }
    match write(&config, &arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has seen enough.
        Err(ReportError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            let is_misuse = matches!(error, ReportError::NoSlot | ReportError::Backwards(..));
            ExitCode::from(if is_misuse { MISUSED } else { FAILED })
        }
    }
}

/// Writes the report to standard output. The ledger is read as it is: bringing it up to date is the service's.
async fn write(config: &Config, arguments: &ReportArguments) -> Result<(), ReportError> {
    if let (Some(from), Some(to)) = (arguments.from, arguments.to)
        && from > to
    {
        return Err(ReportError::Backwards(from, to));
    }
    let now = WallClock::system().now();
    let progress = Progress::beside_output("reading the ledger");
    let ledger = Ledger::open_to_read(&config.data_dir).await?;
    let mut out = io::stdout().lock();
    let text = match arguments.subject {
        ReportSubject::Relays => {
            let since = arguments.from.map_or(now - DAYS * DAY_MS, start_of);
            let until = arguments.to.map_or(i64::MAX, |day| start_of(day).saturating_add(DAY_MS));
            relays::shown(&relays::relays(&ledger, config, since, until).await?, arguments.format)
        }
        ReportSubject::Sla => {
            let period = arguments.window.unwrap_or(Period::THIRTY_DAYS);
            let known = money_facts(&sla::reporter(&ledger, config), period, now).await?;
            let report = SlaReader { ledger: ledger.clone(), objective: config.sla }
                .report(period, known.mev, now)
                .await?;
            sla::shown(&report, arguments.format)
        }
        ReportSubject::Readiness => {
            let known = money_facts(&sla::reporter(&ledger, config), Period::THIRTY_DAYS, now).await?;
            let relays = config.relays.iter().filter(|relay| relay.enabled).count();
            let facts = ReadinessFacts { relays, usable_relays: None, profit: known.profit };
            let readiness =
                SlaReader { ledger: ledger.clone(), objective: config.sla }.readiness(facts, now).await?;
            sla::readiness(&readiness, arguments.format)
        }
        ReportSubject::Digest => {
            let period = arguments.window.unwrap_or(Period::Days(7));
            digest::shown(&digest::digest(&ledger, config, period, now).await?, arguments.format)
        }
        ReportSubject::Profit => {
            let reporter = sla::reporter(&ledger, config);
            let (from, to) = (arguments.from, arguments.to);
            let query = ReportQuery { from, to, by: arguments.by, period: arguments.period };
            match (arguments.format, arguments.by) {
                (ReportFormat::Csv, None) => {
                    let mut pages = pin!(reporter.proposals_csv(query, now));
                    while let Some(page) = pages.next().await {
                        let page = page?;
                        progress.step(page.lines().count());
                        out.write_all(page.as_bytes())?;
                    }
                    String::new()
                }
                (ReportFormat::Csv, Some(_)) => reporter.report(query, now).await?.csv(),
                (ReportFormat::Json, _) => terminal::json(&reporter.report(query, now).await?),
                (ReportFormat::Table, _) => profit::table(&reporter.report(query, now).await?),
            }
        }
        ReportSubject::Bundles => {
            let since = arguments.from.map_or(now - DAYS * DAY_MS, start_of);
            let until = arguments.to.map_or(i64::MAX, |day| start_of(day).saturating_add(DAY_MS));
            bundles::shown(&bundles::bundles(&ledger, since, until).await?, arguments.format)
        }
        ReportSubject::Evidence => {
            let slot = arguments.slot.ok_or(ReportError::NoSlot)?;
            let journal = Journal::open_to_read(&config.data_dir).await?;
            let found = evidence(&ledger, &journal, &config.spec, Slot::new(slot)).await?;
            journal.shut().await;
            terminal::json(&found.ok_or(ReportError::NothingThere(slot))?)
        }
    };
    ledger.shut().await;
    drop(progress);
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

fn start_of(day: Date) -> i64 {
    UtcDay::from(day).start_ms()
}
