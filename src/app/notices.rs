//! Tells the operator of something that lasts, once when it begins and once when it is over: log, ledger and event.

use std::collections::BTreeMap;

use tracing::{info, warn};

use crate::{
    consensus::WallClock,
    events::{Event, Notice, Spine, count_notice},
    ledger::{Ledger, NoticeRow},
};

/// Rules about a process: what one was told of is over with it.
const OF_A_PROCESS: [&str; 3] = ["journal_failed", "machine_pressure", "task_failed"];

/// Resolves what an earlier process, which may not have ended in good order, has left open of itself.
pub(super) async fn resolve_of_earlier_processes(ledger: &Ledger) {
    for rule in OF_A_PROCESS {
        match ledger.resolve_all(rule, WallClock.now()).await {
            Ok(0) => {}
            Ok(count) => info!(rule, count, "over with the process that told of it"),
            Err(error) => warn!(%error, rule, "notices of an earlier process stay open in the ledger"),
        }
    }
}

/// How grave it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    /// Money is being lost, or soon will be.
    P2,
    /// To be looked at.
    P3,
}

impl Severity {
    const fn label(self) -> &'static str {
        match self {
            Self::P2 => "P2",
            Self::P3 => "P3",
        }
    }
}

/// What the operator was told, by rule and subject.
#[derive(Debug)]
pub(super) struct Notices {
    ledger: Ledger,
    spine: Spine,
    /// Whether it was open when this process last said something of it. Nothing where it has said nothing yet: then an earlier process may
    /// have left it open.
    said: BTreeMap<(&'static str, &'static str), bool>,
}

impl Notices {
    pub(super) fn new(ledger: Ledger, spine: Spine) -> Self {
        Self { ledger, spine, said: BTreeMap::new() }
    }

    /// Something is amiss. Logged once in each process, told as an event once until it is over.
    pub(super) async fn raise(
        &mut self,
        rule: &'static str,
        subject: &'static str,
        severity: Severity,
        message: &str,
    ) {
        if self.said.insert((rule, subject), true) == Some(true) {
            return;
        }
        warn!(rule, subject, severity = severity.label(), "{message}");
        let at = WallClock.now();
        let (rule, subject, message) = (rule.to_owned(), subject.to_owned(), message.to_owned());
        let severity = severity.label().to_owned();
        let row = NoticeRow { rule, subject, severity, message, raised_at: at, resolved_at: None };
        let is_news = match self.ledger.raise_notice(&row).await {
            Ok(is_news) => is_news,
            Err(error) => {
                warn!(%error, rule = row.rule, "the notice is not in the ledger");
                true
            }
        };
        if is_news {
            count_notice(&row.rule);
            let NoticeRow { rule, subject, severity, message, .. } = row;
            self.spine.publish(Event::Notice(Notice {
                rule,
                subject,
                severity,
                message,
                resolved: false,
                at,
            }));
        }
    }

    /// It is over, or never was.
    pub(super) async fn resolve(&mut self, rule: &'static str, subject: &'static str, message: &str) {
        if self.said.insert((rule, subject), false) == Some(false) {
            return;
        }
        let at = WallClock.now();
        match self.ledger.resolve_notice(rule, subject, at).await {
            Ok(false) => {}
            Ok(true) => {
                info!(rule, subject, "over: {message}");
                let (rule, subject, message) = (rule.to_owned(), subject.to_owned(), message.to_owned());
                let severity = String::new();
                self.spine.publish(Event::Notice(Notice {
                    rule,
                    subject,
                    severity,
                    message,
                    resolved: true,
                    at,
                }));
            }
            Err(error) => warn!(%error, rule, "the end of the notice is not in the ledger"),
        }
    }
}
