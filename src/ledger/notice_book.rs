//! Raising and resolving notices: the one way by which rooms tell the operator of something that lasts. A notice is written down, counted and
//! published once, however often it is found, also over restarts.
//!
//! A room `alerts` with rules, routing and delivery takes this over: it gets what goes through here.

use super::{Ledger, LedgerError};
use crate::{
    consensus::WallClock,
    events::{Event, Notice, NoticeRule, Severity, Spine, count_notice},
};

/// Raises and resolves notices. Clones write into the same book.
#[derive(Clone, Debug)]
pub struct NoticeBook {
    ledger: Ledger,
    spine: Spine,
    clock: WallClock,
}

impl NoticeBook {
    /// A book kept in a ledger, told on a spine and dated by a clock.
    pub fn new(ledger: Ledger, spine: Spine, clock: WallClock) -> Self {
        Self { ledger, spine, clock }
    }

    /// Raises a notice, unless it is open. Whether it is news: then it was counted and published.
    ///
    /// # Errors
    /// When the ledger cannot be read or written; nothing was published then, see [`NoticeBook::publish`].
    pub async fn raise(
        &self,
        rule: NoticeRule,
        subject: &str,
        severity: Severity,
        message: &str,
    ) -> Result<bool, LedgerError> {
        let notice = self.raised(rule, subject, severity, message);
        let is_news = self.ledger.raise_notice(&notice).await?;
        if is_news {
            count_notice(rule);
            self.spine.publish(Event::Notice(notice));
        }
        Ok(is_news)
    }

    /// Counts and publishes a notice whatever the ledger says of it.
    pub fn publish(&self, rule: NoticeRule, subject: &str, severity: Severity, message: &str) {
        count_notice(rule);
        self.spine.publish(Event::Notice(self.raised(rule, subject, severity, message)));
    }

    /// Resolves a notice. Whether it was open: then its end was published, with the message.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub async fn resolve(&self, rule: NoticeRule, subject: &str, message: &str) -> Result<bool, LedgerError> {
        let at = self.clock.now();
        let was_open = self.ledger.resolve_notice(rule, subject, at).await?;
        if was_open {
            let (subject, message) = (subject.to_owned(), message.to_owned());
            let notice = Notice { rule, subject, severity: None, message, resolved: true, at };
            self.spine.publish(Event::Notice(notice));
        }
        Ok(was_open)
    }

    fn raised(&self, rule: NoticeRule, subject: &str, severity: Severity, message: &str) -> Notice {
        let (subject, message) = (subject.to_owned(), message.to_owned());
        Notice { rule, subject, severity: Some(severity), message, resolved: false, at: self.clock.now() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_lasts_is_told_once_until_it_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let (ledger, spine) = (Ledger::open(folder.path(), "mainnet", 0).await.unwrap(), Spine::new());
        let mut events = spine.subscribe();
        let (clock, hand) = WallClock::manual(1_000);
        let book = NoticeBook::new(ledger, spine, clock);
        let mut told = move || match &*events.try_next()? {
            Event::Notice(notice) => Some((notice.message.clone(), notice.resolved, notice.at)),
            other => panic!("{other:?}"),
        };
        let rule = NoticeRule::ClockWrong;
        assert!(!book.resolve(rule, "a", "it never was").await.unwrap());
        assert!(book.raise(rule, "a", Severity::P2, "late").await.unwrap());
        assert!(!book.raise(rule, "a", Severity::P2, "later").await.unwrap());
        assert!(book.raise(rule, "b", Severity::P2, "early").await.unwrap());
        hand.set(2_000);
        assert!(book.resolve(rule, "a", "right").await.unwrap());
        assert!(!book.resolve(rule, "a", "right").await.unwrap());
        hand.set(3_000);
        assert!(book.raise(rule, "a", Severity::P2, "late again").await.unwrap());
        book.publish(rule, "a", Severity::P2, "whatever the ledger says");
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
