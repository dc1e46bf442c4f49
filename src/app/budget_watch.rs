//! Raises a signal for each error budget that burns too fast, and resolves it when it no longer does.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

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
/// Most open signals that are read at the beginning.
const MAX_OPEN: u32 = 25_000;

/// What this watch works with.
#[derive(Clone, Debug)]
pub(super) struct BudgetWatchParts {
    pub(super) reader: SlaReader,
    pub(super) signals: SignalBook,
    pub(super) clock: WallClock,
}

/// Looks until told to stop.
pub(super) async fn watch_budgets(parts: BudgetWatchParts, stop: CancellationToken) {
    let mut burning = None;
    loop {
        tokio::select! {
            () = sleep(EVERY) => {}
            () = stop.cancelled() => return,
        }
        let looked = async {
            // What an earlier process or an earlier turn of this task left open goes on from there.
            let known = match burning.take() {
                Some(known) => known,
                None => left_open(&parts).await?,
            };
            look(&parts, burning.insert(known)).await
        };
        if let Err(error) = looked.await {
            warn!(%error, "error budgets are not known");
        }
    }
}

/// What is open in the ledger, by subject.
async fn left_open(parts: &BudgetWatchParts) -> Result<BTreeSet<String>, LedgerError> {
    let open = parts.reader.ledger.open_signals(MAX_OPEN).await?;
    let ours = open.into_iter().filter(|signal| signal.rule == ERROR_BUDGET_BURNS.name);
    Ok(ours.map(|signal| signal.subject).collect())
}

/// `burning`: what was raised. A part that burns slower than it did is another subject: the graver one is over then.
async fn look(parts: &BudgetWatchParts, burning: &mut BTreeSet<String>) -> Result<(), LedgerError> {
    let BudgetWatchParts { reader, signals, clock } = parts;
    let found: BTreeMap<String, (Severity, String)> = reader
        .burning(clock.now())
        .await?
        .into_iter()
        .map(|alert| (format!("{} {}", alert.indicator, alert.rate), (alert.severity, alert.message)))
        .collect();
    let over: Vec<String> = burning.iter().filter(|name| !found.contains_key(*name)).cloned().collect();
    for name in over {
        signals.resolve(&ERROR_BUDGET_BURNS, &name, "the budget no longer burns so fast").await?;
        burning.remove(&name);
    }
    for (name, (severity, message)) in found {
        if !burning.contains(&name) {
            signals.raise_as(&ERROR_BUDGET_BURNS, severity, &name, &message).await?;
            burning.insert(name);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{events::Spine, ledger::Ledger};

    /// Also of one that an earlier process left open, which this one never raised.
    #[tokio::test]
    async fn what_no_longer_burns_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        let clock = WallClock::manual(1_800_000_000_000).0;
        let signals = SignalBook::new(ledger.clone(), Spine::new(), clock.clone());
        let parts =
            BudgetWatchParts { reader: SlaReader::new(ledger.clone()), signals: signals.clone(), clock };
        let name = "builder_api fast";
        assert!(signals.raise_as(&ERROR_BUDGET_BURNS, Severity::P1, name, "it burns").await.unwrap());
        let mut burning = left_open(&parts).await.unwrap();
        assert_eq!(burning, BTreeSet::from([name.to_owned()]));
        look(&parts, &mut burning).await.unwrap();
        assert!(burning.is_empty());
        assert!(ledger.open_signals(10).await.unwrap().is_empty());
    }
}
