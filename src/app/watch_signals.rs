//! Tells the operator of something that lasts, once when it begins and once when it is over: log, ledger and event.

use std::collections::BTreeMap;

use tracing::{info, warn};

use super::rules::TASK_FAILED;
use crate::{
    auction::rules::{JOURNAL_FAILED, NO_BIDS},
    events::{AlertRule, Severity},
    gateway,
    ledger::{Ledger, SignalBook},
    relay::rules::{MACHINE_PRESSURE, RELAY_QUARANTINED, RELAY_UNREACHABLE},
    types::UnixMillis,
};

/// Rules about a process: what one was told of is over with it.
static OF_A_PROCESS: [&AlertRule; 6] =
    [&JOURNAL_FAILED, &NO_BIDS, &MACHINE_PRESSURE, &RELAY_QUARANTINED, &RELAY_UNREACHABLE, &TASK_FAILED];

/// Resolves what an earlier process, which may not have ended in good order, has left open of itself.
pub(super) async fn resolve_of_earlier_processes(ledger: &Ledger, now: UnixMillis) {
    // The gateway may be off now, or have other upstreams: what it finds wrong again, it raises again.
    for rule in OF_A_PROCESS.iter().chain(gateway::rules::RULES).copied() {
        match ledger.resolve_all(rule, now).await {
            Ok(0) => {}
            Ok(count) => info!(rule = &*rule.name, count, "over with the process that told of it"),
            Err(error) => {
                warn!(%error, rule = &*rule.name, "signals of an earlier process stay open in the ledger");
            }
        }
    }
}

/// What the operator was told by this process, by rule and subject.
#[derive(Debug)]
pub(super) struct WatchSignals {
    book: SignalBook,
    /// Whether it was open when this process last said something of it. Nothing where it has said nothing yet: then an earlier process may
    /// have left it open.
    said: BTreeMap<(&'static str, &'static str), bool>,
}

impl WatchSignals {
    pub(super) fn new(book: SignalBook) -> Self {
        Self { book, said: BTreeMap::new() }
    }

    /// Something is amiss. Logged once in each process, told as an event once until it is over.
    pub(super) async fn raise(&mut self, rule: &'static AlertRule, subject: &'static str, message: &str) {
        self.raise_as(rule, rule.severity, subject, message).await;
    }

    /// The same, as grave as whoever found it knows.
    pub(super) async fn raise_as(
        &mut self,
        rule: &'static AlertRule,
        severity: Severity,
        subject: &'static str,
        message: &str,
    ) {
        if self.said.insert((&rule.name, subject), true) == Some(true) {
            return;
        }
        warn!(rule = &*rule.name, subject, severity = severity.label(), "{message}");
        if let Err(error) = self.book.raise_as(rule, severity, subject, message).await {
            warn!(%error, rule = &*rule.name, "the signal is not in the ledger");
            self.book.publish(rule, severity, subject, message);
        }
    }

    /// It is over, or never was.
    pub(super) async fn resolve(&mut self, rule: &'static AlertRule, subject: &'static str, message: &str) {
        if self.said.insert((&rule.name, subject), false) == Some(false) {
            return;
        }
        match self.book.resolve(rule, subject, message).await {
            Ok(false) => {}
            Ok(true) => info!(rule = &*rule.name, subject, "over: {message}"),
            Err(error) => {
                warn!(%error, rule = &*rule.name, "the end of the signal is not in the ledger");
                self.book.publish_end(rule, subject, message);
            }
        }
    }
}
