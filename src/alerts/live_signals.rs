//! Troubles that rooms said just now, heard from the spine: what is not in the ledger yet, and may never be while the disk refuses.
//!
//! The ledger is where signals last. But a signal gets there by a task behind many others, and a full disk is itself a thing to be paged
//! about: so what was raised is taken from the spine, too, until the ledger surely has it.

use std::collections::{BTreeMap, VecDeque};

use futures_util::{FutureExt, future::BoxFuture};
use parking_lot::Mutex;

use super::{
    alert::Alert,
    engine::Absence,
    moment::Moment,
    source::{Collected, TroubleSource},
    trouble::{Trouble, fingerprint},
};
use crate::{
    consensus::WallClock,
    events::{AlertSignal, Severity},
    ledger::Ledger,
    types::UnixMillis,
};

/// How long the ledger has to take a signal in, in milliseconds, as long as it can be written.
const WRITTEN_WITHIN_MS: i64 = 60_000;
/// Most signals that are held.
const MAX_HELD: usize = 5_000;

type Key = (&'static str, String);

/// What was raised and is perhaps not written down.
#[derive(Debug)]
pub struct LiveSignals {
    ledger: Ledger,
    clock: WallClock,
    held: Mutex<BTreeMap<Key, Trouble>>,
    /// Ends that were said and not asked for yet, oldest first.
    ends: Mutex<VecDeque<(String, String)>>,
}

impl LiveSignals {
    /// Holds nothing yet. `ledger` says whether it can be written.
    pub fn new(ledger: Ledger, clock: WallClock) -> Self {
        Self { ledger, clock, held: Mutex::default(), ends: Mutex::default() }
    }

    /// Takes in a signal.
    pub fn hear(&self, signal: &AlertSignal) {
        let key = (&*signal.rule.name, signal.subject.clone());
        let mut held = self.held.lock();
        if signal.resolved {
            held.remove(&key);
            drop(held);
            self.note_end(signal);
            return;
        }
        // The gravest have a place whatever else there is.
        if held.len() >= MAX_HELD && signal.severity != Some(Severity::P1) {
            return;
        }
        held.entry(key).or_insert_with(|| Trouble {
            rule: std::sync::Arc::new(signal.rule.clone()),
            subject: signal.subject.clone(),
            labels: BTreeMap::new(),
            severity: signal.severity,
            message: signal.message.clone(),
            since: signal.at,
        });
    }

    fn note_end(&self, signal: &AlertSignal) {
        if signal.message.is_empty() {
            return;
        }
        let name = fingerprint(&signal.rule.name, &signal.subject, &BTreeMap::new());
        let mut ends = self.ends.lock();
        if ends.len() >= MAX_HELD {
            ends.pop_front();
        }
        ends.push_back((name, signal.message.clone()));
    }

    fn forget_written(&self, now: UnixMillis) {
        let state = self.ledger.write_state();
        // A writer that is behind has not got there either.
        if state.failing_since.is_none() && state.waiting == 0 {
            self.held.lock().retain(|_, trouble| now.saturating_sub(trouble.since) < WRITTEN_WITHIN_MS);
        }
    }
}

impl TroubleSource for LiveSignals {
    fn name(&self) -> &'static str {
        "spine"
    }

    fn collect(&self, _: Moment) -> BoxFuture<'_, Result<Collected, String>> {
        self.forget_written(self.clock.now());
        let troubles = self.held.lock().values().cloned().collect();
        std::future::ready(Ok(Collected { troubles, absence: Absence::Over })).boxed()
    }

    fn ends(&self) -> Vec<(String, String)> {
        self.ends.lock().drain(..).collect()
    }

    fn end<'a>(&'a self, alert: &'a Alert) -> BoxFuture<'a, ()> {
        self.held.lock().retain(|(rule, subject), _| *rule != alert.rule.name || *subject != alert.subject);
        std::future::ready(()).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::for_tests::TOO_HOT;

    #[tokio::test]
    async fn what_is_raised_is_held_until_the_ledger_surely_has_it_or_it_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        let (clock, hand) = WallClock::manual(1_000);
        let live = LiveSignals::new(ledger.clone(), clock);
        let raised = |subject: &str, at| AlertSignal::raised(&TOO_HOT, subject, "hot".to_owned(), at);
        let held = async || {
            let found = live.collect(Moment::default()).await.unwrap();
            found.troubles.into_iter().map(|trouble| (trouble.subject, trouble.since)).collect::<Vec<_>>()
        };
        live.hear(&raised("attic", 1_000));
        live.hear(&raised("attic", 2_000));
        live.hear(&raised("cellar", 3_000));
        assert_eq!(held().await, [("attic".to_owned(), 1_000), ("cellar".to_owned(), 3_000)]);
        live.hear(&AlertSignal::over(&TOO_HOT, "cellar", String::new(), 4_000));
        assert_eq!(held().await, [("attic".to_owned(), 1_000)]);
        ledger.note_write(1_000, Some("the disk is full".to_owned()));
        hand.set(1_000 + WRITTEN_WITHIN_MS);
        assert_eq!(held().await, [("attic".to_owned(), 1_000)], "the ledger cannot have it");
        ledger.note_write(1_000 + WRITTEN_WITHIN_MS, None);
        assert!(held().await.is_empty(), "the ledger has it");
    }

    /// For the message that tells the end.
    #[tokio::test]
    async fn how_it_ended_is_said_once() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        let live = LiveSignals::new(ledger, WallClock::manual(0).0);
        let over = |message: &str| AlertSignal::over(&TOO_HOT, "attic", message.to_owned(), 5);
        live.hear(&over(""));
        live.hear(&over("Nobody watches this any more."));
        let name = fingerprint(&TOO_HOT.name, "attic", &BTreeMap::new());
        assert_eq!(live.ends(), [(name, "Nobody watches this any more.".to_owned())]);
        assert_eq!(live.ends(), []);
    }
}
