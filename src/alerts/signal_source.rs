//! Troubles that rooms said by signals: whatever is open in the ledger.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use futures_util::{FutureExt, future::BoxFuture};
use tracing::warn;

use super::{
    alert::Alert,
    engine::Absence,
    moment::Moment,
    source::{Collected, TroubleSource},
    trouble::Trouble,
};
use crate::{
    events::AlertRule,
    ledger::{Ledger, SignalBook},
};

/// Most open signals that are read. What is beyond is less grave than all of them, or younger; and while there is such, nothing is over for
/// not being read.
const MAX_OPEN: u32 = 25_000;

/// Open signals of known rules. Those of rules that this version does not have belong to nobody, and are left out.
#[derive(Clone, Debug)]
pub struct SignalSource {
    ledger: Ledger,
    book: SignalBook,
    rules: HashMap<&'static str, (&'static AlertRule, Arc<AlertRule>)>,
    most: u32,
}

impl SignalSource {
    /// What is open in a ledger. `rules`: those of all rooms. `book` resolves occurrences that are over.
    pub fn new(ledger: Ledger, book: SignalBook, rules: &[&'static AlertRule]) -> Self {
        let rules = rules.iter().map(|rule| (&*rule.name, (*rule, Arc::new((*rule).clone())))).collect();
        Self { ledger, book, rules, most: MAX_OPEN }
    }
}

impl TroubleSource for SignalSource {
    fn name(&self) -> &'static str {
        "signals"
    }

    fn collect(&self, _: Moment) -> BoxFuture<'_, Result<Collected, String>> {
        async move {
            // One more than is kept says whether there are more.
            let read = self.ledger.open_signals(self.most.saturating_add(1)).await;
            let mut open = read.map_err(|error| error.to_string())?;
            let most = usize::try_from(self.most).unwrap_or(usize::MAX);
            let absence = if open.len() > most { Absence::Unknown } else { Absence::Over };
            open.truncate(most);
            let troubles = open.into_iter().filter_map(|row| {
                let (_, rule) = self.rules.get(row.rule.as_str())?;
                Some(Trouble {
                    rule: Arc::clone(rule),
                    subject: row.subject,
                    labels: BTreeMap::new(),
                    severity: row.severity.known(),
                    message: row.message,
                    since: row.raised_at,
                })
            });
            Ok(Collected { troubles: troubles.collect(), absence })
        }
        .boxed()
    }

    fn end<'a>(&'a self, alert: &'a Alert) -> BoxFuture<'a, ()> {
        async move {
            let Some((rule, _)) = self.rules.get(&*alert.rule.name) else { return };
            let message = match &alert.acknowledged {
                Some(acknowledged) => format!("Acknowledged by {}.", acknowledged.by),
                None => "Its time has passed.".to_owned(),
            };
            if let Err(error) = self.book.resolve(rule, &alert.subject, &message).await {
                warn!(%error, rule = %rule.name, "a signal that is over cannot be resolved; tried again with the next look");
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        alerts::alert::made,
        consensus::WallClock,
        events::{Severity, Spine, for_tests::TOO_HOT},
    };

    #[tokio::test]
    async fn open_signals_are_troubles_until_they_are_ended() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        let book = SignalBook::new(ledger.clone(), Spine::new(), WallClock::manual(7).0);
        let source = SignalSource::new(ledger, book.clone(), &[&TOO_HOT]);
        assert!(book.raise_as(&TOO_HOT, Severity::P1, "attic", "It is hot.").await.unwrap());
        let found = source.collect(Moment::default()).await.unwrap();
        assert_eq!(found.absence, Absence::Over);
        let trouble = &found.troubles[0];
        assert_eq!((trouble.severity(), trouble.subject.as_str(), trouble.since), (Severity::P1, "attic", 7));
        let alert = made::firing((*trouble.rule).clone(), "attic");
        source.end(&alert).await;
        assert_eq!(source.collect(Moment::default()).await.unwrap().troubles, []);
        // The next one is news.
        assert!(book.raise(&TOO_HOT, "attic", "It is hot again.").await.unwrap());
    }

    /// Where more is open than is read, what is not read may well last.
    #[tokio::test]
    async fn what_is_not_read_is_over_only_where_all_is_read() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        let (clock, hand) = WallClock::manual(0);
        let book = SignalBook::new(ledger.clone(), Spine::new(), clock);
        let source = SignalSource { most: 3, ..SignalSource::new(ledger, book.clone(), &[&TOO_HOT]) };
        let mut seen = Vec::new();
        for number in 1..=5 {
            hand.set(number);
            book.raise(&TOO_HOT, &number.to_string(), "It is hot.").await.unwrap();
            let found = source.collect(Moment::default()).await.unwrap();
            let subjects: String = found.troubles.iter().map(|trouble| trouble.subject.as_str()).collect();
            seen.push((subjects, found.absence));
        }
        // Those that are known stay, whatever comes after them.
        let want = [("1", Absence::Over), ("12", Absence::Over), ("123", Absence::Over)];
        let more = ("123", Absence::Unknown);
        let want = want.into_iter().chain([more.clone(), more]);
        assert_eq!(seen, want.map(|(subjects, absence)| (subjects.to_owned(), absence)).collect::<Vec<_>>());
    }
}
