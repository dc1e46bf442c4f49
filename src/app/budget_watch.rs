//! Raises a signal for each error budget that burns too fast, and resolves it when it no longer does.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    consensus::WallClock,
    events::Severity,
    ledger::{LedgerError, SignalBook},
    sla::{SlaReader, rules::ERROR_BUDGET_BURNS},
};

/// How often budgets are looked at: a minute is the grain of what they are made of.
const EVERY: Duration = Duration::from_secs(60);

/// What this watch works with.
#[derive(Clone, Debug)]
pub(super) struct BudgetWatchParts {
    pub(super) reader: SlaReader,
    pub(super) signals: SignalBook,
    pub(super) clock: WallClock,
}

/// Looks until told to stop.
pub(super) async fn watch_budgets(parts: BudgetWatchParts, stop: CancellationToken) {
    let mut burning = BTreeMap::new();
    loop {
        tokio::select! {
            () = sleep(EVERY) => {}
            () = stop.cancelled() => return,
        }
        if let Err(error) = look(&parts, &mut burning).await {
            warn!(%error, "error budgets are not known");
        }
    }
}

/// `burning`: what was raised, with its severity. One that gets graver is raised anew, as a signal keeps the severity that it began with.
async fn look(parts: &BudgetWatchParts, burning: &mut BTreeMap<String, Severity>) -> Result<(), LedgerError> {
    let BudgetWatchParts { reader, signals, clock } = parts;
    let found: BTreeMap<String, (Severity, String)> = reader
        .burning(clock.now())
        .await?
        .into_iter()
        .map(|alert| (alert.indicator.to_string(), (alert.severity, alert.message)))
        .collect();
    let over: Vec<String> = burning.keys().filter(|name| !found.contains_key(*name)).cloned().collect();
    for name in over {
        signals.resolve(&ERROR_BUDGET_BURNS, &name, "the budget no longer burns too fast").await?;
        burning.remove(&name);
    }
    for (name, (severity, message)) in found {
        match burning.get(&name) {
            Some(before) if *before <= severity => continue,
            Some(_) => {
                signals.resolve(&ERROR_BUDGET_BURNS, &name, "it burns faster").await?;
            }
            None => {}
        }
        signals.raise_as(&ERROR_BUDGET_BURNS, severity, &name, &message).await?;
        burning.insert(name, severity);
    }
    Ok(())
}
