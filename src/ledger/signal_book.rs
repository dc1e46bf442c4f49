//! Raising and resolving signals: the one way by which rooms say that something lasts. A signal is written down, counted and published once,
//! however often it is found, also over restarts. `alerts` makes of it what people are told.

use super::{Ledger, LedgerError, SignalRow};
use crate::{
    consensus::WallClock,
    events::{AlertRule, AlertSignal, Event, Severity, Spine, count_signal},
};

/// Raises and resolves signals. Clones write into the same book.
#[derive(Clone, Debug)]
pub struct SignalBook {
    ledger: Ledger,
    spine: Spine,
    clock: WallClock,
}

impl SignalBook {
    /// A book kept in a ledger, told on a spine and dated by a clock.
    pub fn new(ledger: Ledger, spine: Spine, clock: WallClock) -> Self {
        Self { ledger, spine, clock }
    }

    /// What is open, the gravest first.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn open(&self, limit: u32) -> Result<Vec<SignalRow>, LedgerError> {
        self.ledger.open_signals(limit).await
    }

    /// Forgets what a relay had registered for a validator, as nobody asks it any more.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub async fn forget_drift(&self, relay: &str, pubkey: &str) -> Result<(), LedgerError> {
        self.ledger.forget_drift(relay, pubkey).await
    }

    /// Raises a signal, unless it is open. Whether it is news: then it was counted and published.
    ///
    /// # Errors
    /// When the ledger cannot be read or written; nothing was published then, see [`SignalBook::publish`].
    pub async fn raise(
        &self,
        rule: &'static AlertRule,
        subject: &str,
        message: &str,
    ) -> Result<bool, LedgerError> {
        self.raise_as(rule, rule.severity, subject, message).await
    }

    /// The same, as grave as whoever found it knows.
    ///
    /// # Errors
    /// As [`SignalBook::raise`].
    pub async fn raise_as(
        &self,
        rule: &'static AlertRule,
        severity: Severity,
        subject: &str,
        message: &str,
    ) -> Result<bool, LedgerError> {
        let signal = self.raised(rule, severity, subject, message);
        let is_news = self.ledger.raise_signal(&signal).await?;
        if is_news {
            count_signal(rule);
            self.spine.publish(Event::AlertSignal(signal.written()));
        }
        Ok(is_news)
    }

    /// Counts and publishes a signal whatever the ledger says of it.
    pub fn publish(&self, rule: &'static AlertRule, severity: Severity, subject: &str, message: &str) {
        count_signal(rule);
        self.spine.publish(Event::AlertSignal(self.raised(rule, severity, subject, message)));
    }

    /// Resolves a signal. Whether it was open: then its end was published, with the message.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub async fn resolve(
        &self,
        rule: &'static AlertRule,
        subject: &str,
        message: &str,
    ) -> Result<bool, LedgerError> {
        let at = self.clock.now();
        let was_open = self.ledger.resolve_signal(rule, subject, at).await?;
        if was_open {
            let over = AlertSignal::over(rule, subject, message.to_owned(), at).written();
            self.spine.publish(Event::AlertSignal(over));
        }
        Ok(was_open)
    }

    /// Publishes an end whatever the ledger says of it: its writer takes it in when it can.
    pub fn publish_end(&self, rule: &'static AlertRule, subject: &str, message: &str) {
        let over = AlertSignal::over(rule, subject, message.to_owned(), self.clock.now());
        self.spine.publish(Event::AlertSignal(over));
    }

    fn raised(
        &self,
        rule: &'static AlertRule,
        severity: Severity,
        subject: &str,
        message: &str,
    ) -> AlertSignal {
        AlertSignal::raised(rule, subject, message.to_owned(), self.clock.now()).as_grave_as(severity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::for_tests::TOO_HOT;

    #[tokio::test]
    async fn what_lasts_is_told_once_until_it_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let (ledger, spine) = (Ledger::open(folder.path(), "mainnet", 0).await.unwrap(), Spine::new());
        let mut events = spine.subscribe();
        let (clock, hand) = WallClock::manual(1_000);
        let book = SignalBook::new(ledger, spine, clock);
        let mut told = move || match &*events.try_next()? {
            Event::AlertSignal(signal) => Some((signal.message.clone(), signal.resolved, signal.at)),
            other => panic!("{other:?}"),
        };
        let rule = &TOO_HOT;
        assert!(!book.resolve(rule, "a", "it never was").await.unwrap());
        assert!(book.raise(rule, "a", "late").await.unwrap());
        assert!(!book.raise(rule, "a", "later").await.unwrap());
        assert!(book.raise(rule, "b", "early").await.unwrap());
        hand.set(2_000);
        assert!(book.resolve(rule, "a", "right").await.unwrap());
        assert!(!book.resolve(rule, "a", "right").await.unwrap());
        hand.set(3_000);
        assert!(book.raise(rule, "a", "late again").await.unwrap());
        book.publish(rule, Severity::P4, "a", "whatever the ledger says");
        let expected = [
            ("late", false, 1_000),
            ("early", false, 1_000),
            ("right", true, 2_000),
            ("late again", false, 3_000),
            ("whatever the ledger says", false, 3_000),
        ];
        for (message, resolved, at) in expected {
            assert_eq!(told(), Some((message.to_owned(), resolved, at)));
        }
        assert_eq!(told(), None);
    }
}
