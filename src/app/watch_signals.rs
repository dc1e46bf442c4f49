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
    supervisor,
    types::UnixMillis,
};

/// Rules about a process: what one was told of is over with it.
static OF_A_PROCESS: [&AlertRule; 6] =
    [&JOURNAL_FAILED, &NO_BIDS, &MACHINE_PRESSURE, &RELAY_QUARANTINED, &RELAY_UNREACHABLE, &TASK_FAILED];

/// Resolves what an earlier process, which may not have ended in good order, has left open of itself. `has_nodes`, `has_disks`: whether somebody
/// looks after what was said of them.
pub(super) async fn resolve_of_earlier_processes(
    ledger: &Ledger,
    (has_nodes, has_disks): (bool, bool),
    now: UnixMillis,
) {
    let of_nodes = if has_nodes { &[] } else { supervisor::rules::RULES };
    let of_disks = if has_disks { &[] } else { supervisor::disk::rules::RULES };
    // The gateway may be off now, or have other upstreams: what it finds wrong again, it raises again.
    for rule in OF_A_PROCESS.iter().chain(gateway::rules::RULES).chain(of_nodes).chain(of_disks).copied() {
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
    /// What this process last said of it. Nothing where it has said nothing yet: then an earlier process may have left it open.
    said: BTreeMap<(&'static str, String), Said>,
}

/// What was said of something last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// It is amiss, and that is in the ledger.
    Raised,
    /// It is amiss, and the ledger's writer has to write it down when it can.
    Told,
    /// It is over.
    Over,
}

impl WatchSignals {
    pub(super) fn new(book: SignalBook) -> Self {
        Self { book, said: BTreeMap::new() }
    }

    /// Something is amiss. Logged once in each process, told as an event once until it is over.
    pub(super) async fn raise(&mut self, rule: &'static AlertRule, subject: &str, message: &str) {
        self.raise_as(rule, rule.severity, subject, message).await;
    }

    /// The same, as grave as whoever found it knows.
    pub(super) async fn raise_as(
        &mut self,
        rule: &'static AlertRule,
        severity: Severity,
        subject: &str,
        message: &str,
    ) {
        if matches!(self.said.get(&(&*rule.name, subject.to_owned())), Some(Said::Raised | Said::Told)) {
            return;
        }
        warn!(rule = &*rule.name, subject, severity = severity.label(), "{message}");
        let said = match self.book.raise_as(rule, severity, subject, message).await {
            Ok(_) => Said::Raised,
            Err(error) => {
                warn!(%error, rule = &*rule.name, "the signal is not in the ledger");
                self.book.publish(rule, severity, subject, message);
                Said::Told
            }
        };
        self.said.insert((&rule.name, subject.to_owned()), said);
    }

    /// It is over, or never was.
    pub(super) async fn resolve(&mut self, rule: &'static AlertRule, subject: &str, message: &str) {
        let before = self.said.insert((&rule.name, subject.to_owned()), Said::Over);
        if before == Some(Said::Over) {
            return;
        }
        match self.book.resolve(rule, subject, message).await {
            // The writer has yet to write down its beginning: it hears of the end after that.
            Ok(false) if before == Some(Said::Told) => self.book.publish_end(rule, subject, message),
            Ok(false) => {}
            Ok(true) => info!(rule = &*rule.name, subject, "over: {message}"),
            Err(error) => {
                warn!(%error, rule = &*rule.name, "the end of the signal is not in the ledger");
                self.book.publish_end(rule, subject, message);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        app::rules::CLOCK_WRONG,
        consensus::WallClock,
        events::{Event, Spine},
    };

    /// Told while the ledger refused, and over before its writer has written down the beginning.
    #[tokio::test]
    async fn the_end_of_what_could_not_be_written_is_told_after_its_beginning() {
        let (ledger, spine) = (Ledger::open_in_memory("mainnet").await.unwrap(), Spine::new());
        let mut events = spine.subscribe();
        let mut signals = WatchSignals::new(SignalBook::new(ledger.clone(), spine, WallClock::manual(5).0));
        ledger.change_for_test("ALTER TABLE notices RENAME TO notices_away").await;
        signals.raise(&CLOCK_WRONG, "this machine", "It is.").await;
        signals.raise(&CLOCK_WRONG, "this machine", "It is.").await;
        ledger.change_for_test("ALTER TABLE notices_away RENAME TO notices").await;
        signals.resolve(&CLOCK_WRONG, "this machine", "It is not.").await;
        signals.resolve(&CLOCK_WRONG, "this machine", "It is not.").await;
        let mut told = Vec::new();
        while let Some(event) = events.try_next() {
            if let Event::AlertSignal(signal) = &*event {
                told.push(signal.resolved);
            }
        }
        assert_eq!(told, [false, true]);
    }
}
