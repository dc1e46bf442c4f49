//! Tells the operator of something that lasts, once when it begins and once when it is over: log, ledger and event.

use std::collections::BTreeMap;

use tracing::{info, warn};

use crate::{
    events::{NoticeRule, Severity},
    ledger::{Ledger, NoticeBook},
    types::UnixMillis,
};

/// Rules about a process: what one was told of is over with it.
const OF_A_PROCESS: [NoticeRule; 3] =
    [NoticeRule::JournalFailed, NoticeRule::MachinePressure, NoticeRule::TaskFailed];

/// Resolves what an earlier process, which may not have ended in good order, has left open of itself.
pub(super) async fn resolve_of_earlier_processes(ledger: &Ledger, now: UnixMillis) {
    for rule in OF_A_PROCESS {
        match ledger.resolve_all(rule, now).await {
            Ok(0) => {}
            Ok(count) => info!(%rule, count, "over with the process that told of it"),
            Err(error) => warn!(%error, %rule, "notices of an earlier process stay open in the ledger"),
        }
    }
}

/// What the operator was told by this process, by rule and subject.
#[derive(Debug)]
pub(super) struct Notices {
    book: NoticeBook,
    /// Whether it was open when this process last said something of it. Nothing where it has said nothing yet: then an earlier process may
    /// have left it open.
    said: BTreeMap<(NoticeRule, &'static str), bool>,
}

impl Notices {
    pub(super) fn new(book: NoticeBook) -> Self {
        Self { book, said: BTreeMap::new() }
    }

    /// Something is amiss. Logged once in each process, told as an event once until it is over.
    pub(super) async fn raise(
        &mut self,
        rule: NoticeRule,
        subject: &'static str,
        severity: Severity,
        message: &str,
    ) {
        if self.said.insert((rule, subject), true) == Some(true) {
            return;
        }
        warn!(rule = rule.label(), subject, severity = severity.label(), "{message}");
        if let Err(error) = self.book.raise(rule, subject, severity, message).await {
            warn!(%error, %rule, "the notice is not in the ledger");
            self.book.publish(rule, subject, severity, message);
        }
    }

    /// It is over, or never was.
    pub(super) async fn resolve(&mut self, rule: NoticeRule, subject: &'static str, message: &str) {
        if self.said.insert((rule, subject), false) == Some(false) {
            return;
        }
        match self.book.resolve(rule, subject, message).await {
            Ok(false) => {}
            Ok(true) => info!(rule = rule.label(), subject, "over: {message}"),
            Err(error) => warn!(%error, %rule, "the end of the notice is not in the ledger"),
        }
    }
}
