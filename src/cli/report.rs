//! `relaymux report`

mod bundles;
mod profit;
mod relays;

use std::process::ExitCode;

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::{
    FAILED, MISUSED,
    arguments::{ReportArguments, ReportFormat, ReportSubject},
    load,
    terminal::{self, complain, write},
};
use crate::{
    config::Config,
    consensus::WallClock,
    ledger::{Journal, Ledger, LedgerError},
    profit::{ReportQuery, Reporter, evidence},
    types::Slot,
};

/// Days looked back when none is given.
const DAYS: i64 = 30;
const DAY_MS: i64 = 86_400_000;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
enum ReportError {
    #[error("{0}")]
    Ledger(#[from] LedgerError),
    #[error("evidence of which slot? Write relaymux report evidence SLOT")]
    NoSlot,
    #[error("nothing happened in slot {0} here")]
    NothingThere(u64),
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
    match text_of(&config, &arguments).await {
        Ok(text) => {
            write(text);
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&error);
            ExitCode::from(if matches!(error, ReportError::NoSlot) { MISUSED } else { FAILED })
        }
    }
}

async fn text_of(config: &Config, arguments: &ReportArguments) -> Result<String, ReportError> {
    let ledger = Ledger::open(&config.data_dir).await?;
    let text = match arguments.subject {
        ReportSubject::Relays => {
            let since = arguments.from.map_or(WallClock.now() - DAYS * DAY_MS, start_of);
            let until = arguments.to.map_or(i64::MAX, |day| start_of(day).saturating_add(DAY_MS));
            relays::shown(&relays::relays(&ledger, config, since, until).await?, arguments.format)
        }
        ReportSubject::Profit => {
            let reporter = Reporter {
                ledger: ledger.clone(),
                slots: config.spec.clock(),
                settings: config.profit.clone(),
                has_execution: config.execution.is_some(),
                has_beacon: config.beacon.is_some(),
            };
            let (from, to) = (arguments.from, arguments.to);
            let query = ReportQuery { from, to, by: arguments.by, period: arguments.period };
            let now = WallClock.now();
            match (arguments.format, arguments.by) {
                (ReportFormat::Csv, None) => reporter.proposals_csv(query, now).await?,
                (ReportFormat::Csv, Some(_)) => reporter.report(query, now).await?.csv(),
                (ReportFormat::Json, _) => json(&reporter.report(query, now).await?),
                (ReportFormat::Table, _) => profit::table(&reporter.report(query, now).await?),
            }
        }
        ReportSubject::Bundles => {
            let since = arguments.from.map_or(WallClock.now() - DAYS * DAY_MS, start_of);
            let until = arguments.to.map_or(i64::MAX, |day| start_of(day).saturating_add(DAY_MS));
            bundles::shown(&bundles::bundles(&ledger, since, until).await?, arguments.format)
        }
        ReportSubject::Evidence => {
            let slot = arguments.slot.ok_or(ReportError::NoSlot)?;
            let journal = Journal::open(&config.data_dir).await?;
            let found = evidence(&ledger, &journal, &config.spec, Slot::new(slot)).await?;
            journal.shut().await;
            json(&found.ok_or(ReportError::NothingThere(slot))?)
        }
    };
    ledger.shut().await;
    Ok(text)
}

fn json<T: serde::Serialize>(value: &T) -> String {
    format!("{}\n", serde_json::to_string_pretty(value).unwrap_or_default())
}

fn start_of(day: Date) -> i64 {
    day.to_zoned(TimeZone::UTC).map_or(0, |start| Timestamp::from(start).as_millisecond())
}
