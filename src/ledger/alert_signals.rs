//! What rooms said is wrong, and that it is over.
//!
//! Rooms that must know whether a signal is news write it themselves, and then tell of it; rooms that know no ledger only tell. So the
//! writer of the ledger takes in what was told and not written, in the order in which it was told. No time decides which end belongs to which
//! beginning: a clock may be set back between the two.

use serde::Serialize;

use super::{Ledger, LedgerError, query::WriteTransaction, row::from_row};
use crate::{
    events::{AlertRule, AlertSignal, Severity, SignalKeeper},
    types::{Label, UnixMillis},
};

/// Most signals that are forgotten in one transaction: others want to write, too.
const FORGOTTEN_AT_ONCE: i64 = 10_000;

/// Something the operator should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SignalRow {
    /// Name of the rule that found it. Stable: alerts and filters go by it.
    pub rule: String,
    /// What it is about: a slot, a relay, a validator.
    pub subject: String,
    /// How soon somebody should look at it, P1 first.
    pub severity: Label<Severity>,
    /// What happened, as a sentence for people. Nothing is decided by it.
    #[serde(rename = "words")]
    pub message: String,
    /// When it was raised, in Unix milliseconds.
    pub raised_at: i64,
    /// When it was over, Unix milliseconds; none while it lasts.
    pub resolved_at: Option<i64>,
}

from_row!(|row| SignalRow { rule, subject, severity, message: "words", raised_at, resolved_at });

impl Ledger {
    /// Raises a signal, unless it is open already. Whether it is news.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub async fn raise_signal(&self, signal: &AlertSignal) -> Result<bool, LedgerError> {
        let mut write = self.write().await?;
        let done = sqlx::query(
            "INSERT INTO notices (rule, subject, severity, words, raised_at, instance) SELECT $1, $2, $3, $4, $5, $6 \
             WHERE NOT EXISTS (SELECT 1 FROM notices WHERE rule = $1 AND subject = $2 AND resolved_at IS NULL)",
        )
        .bind(&*signal.rule.name)
        .bind(&signal.subject)
        .bind(signal.severity.map_or("", Severity::label))
        .bind(&signal.message)
        .bind(signal.at)
        .bind(write.instance)
        .execute(&mut *write.tx)
        .await?;
        write.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    /// Resolves a signal. Whether it was open.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn resolve_signal(
        &self,
        rule: &AlertRule,
        subject: &str,
        now: UnixMillis,
    ) -> Result<bool, LedgerError> {
        let mut write = self.write().await?;
        let done = sqlx::query(
            "UPDATE notices SET resolved_at = CASE WHEN raised_at > $3 THEN raised_at ELSE $3 END \
             WHERE rule = $1 AND subject = $2 AND resolved_at IS NULL",
        )
        .bind(&*rule.name)
        .bind(subject)
        .bind(now)
        .execute(&mut *write.tx)
        .await?;
        write.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    /// Resolves whatever is open by a rule; how many were.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn resolve_all(&self, rule: &AlertRule, now: UnixMillis) -> Result<u64, LedgerError> {
        let mut write = self.write().await?;
        let done = sqlx::query(
            "UPDATE notices SET resolved_at = CASE WHEN raised_at > $2 THEN raised_at ELSE $2 END WHERE rule = $1 AND resolved_at IS NULL",
        );
        let done = done.bind(&*rule.name).bind(now).execute(&mut *write.tx).await?;
        write.commit().await?;
        Ok(done.rows_affected())
    }

    /// Forgets signals that were over before a time, a bounded number of them at once. How many.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn forget_signals(&self, before: UnixMillis) -> Result<u64, LedgerError> {
        let mut write = self.write().await?;
        let done = sqlx::query(
            "DELETE FROM notices WHERE id IN (SELECT id FROM notices WHERE raised_at < $1 AND resolved_at < $1 LIMIT $2)",
        );
        let done = done.bind(before).bind(FORGOTTEN_AT_ONCE).execute(&mut *write.tx).await?;
        write.commit().await?;
        Ok(done.rows_affected())
    }

    /// The newest signals, open ones first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn signals(&self, limit: u32) -> Result<Vec<SignalRow>, LedgerError> {
        let newest = sqlx::query_as(
            "SELECT * FROM notices ORDER BY resolved_at IS NOT NULL, raised_at DESC, id DESC LIMIT $1",
        );
        Ok(newest.bind(i64::from(limit)).fetch_all(self.pool()).await?)
    }
}

/// Takes in a signal that was told, in the order of telling: one that is open is raised no second time, and what is open ends.
pub(super) async fn signal_told(
    write: &mut WriteTransaction,
    signal: &AlertSignal,
) -> Result<(), sqlx::Error> {
    match signal.keeper {
        // It is there, and what came after it may be, too.
        SignalKeeper::Teller => return Ok(()),
        SignalKeeper::Writer => {}
    }
    let query = if signal.resolved {
        sqlx::query(
            "UPDATE notices SET resolved_at = CASE WHEN raised_at > $3 THEN raised_at ELSE $3 END \
             WHERE rule = $1 AND subject = $2 AND resolved_at IS NULL",
        )
        .bind(&*signal.rule.name)
        .bind(&signal.subject)
        .bind(signal.at)
    } else {
        sqlx::query(
            "INSERT INTO notices (rule, subject, raised_at, severity, words, instance) SELECT $1, $2, $3, $4, $5, $6 \
             WHERE NOT EXISTS (SELECT 1 FROM notices WHERE rule = $1 AND subject = $2 AND resolved_at IS NULL)",
        )
        .bind(&*signal.rule.name)
        .bind(&signal.subject)
        .bind(signal.at)
        .bind(signal.severity.map_or("", Severity::label))
        .bind(&signal.message)
        .bind(write.instance)
    };
    query.execute(&mut *write.tx).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::for_tests::TOO_HOT;

    fn told(resolved: bool, at: i64) -> AlertSignal {
        AlertSignal { resolved, ..AlertSignal::raised(&TOO_HOT, "attic", format!("at {at}"), at) }
    }

    /// When each signal was raised and resolved, oldest first, after the writer has heard of these.
    async fn after(ledger: &Ledger, told: &[AlertSignal]) -> Vec<(i64, Option<i64>)> {
        let mut write = ledger.write().await.unwrap();
        for signal in told {
            signal_told(&mut write, signal).await.unwrap();
        }
        write.commit().await.unwrap();
        let mut kept: Vec<_> =
            ledger.signals(10).await.unwrap().iter().map(|row| (row.raised_at, row.resolved_at)).collect();
        kept.sort_unstable();
        kept
    }

    #[tokio::test]
    async fn what_is_told_is_kept_once() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        assert_eq!(after(&ledger, &[told(true, 5)]).await, []);
        assert_eq!(after(&ledger, &[told(false, 10), told(false, 11)]).await, [(10, None)]);
        assert_eq!(after(&ledger, &[told(true, 20)]).await, [(10, Some(20))]);
        assert_eq!(after(&ledger, &[told(false, 30)]).await, [(10, Some(20)), (30, None)]);
        assert_eq!(ledger.resolve_all(&TOO_HOT, 40).await.unwrap(), 1);
        assert_eq!(after(&ledger, &[]).await, [(10, Some(20)), (30, Some(40))]);
    }

    /// The room wrote it all down long before the writer hears of it.
    #[tokio::test]
    async fn what_the_writer_hears_late_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        for raised_at in [10, 30] {
            assert!(ledger.raise_signal(&AlertSignal { at: raised_at, ..told(false, 10) }).await.unwrap());
            if raised_at == 10 {
                assert!(ledger.resolve_signal(&TOO_HOT, "attic", 20).await.unwrap());
            }
        }
        let late = [told(false, 10), told(true, 20), told(false, 30)].map(AlertSignal::written);
        assert_eq!(after(&ledger, &late[..1]).await, [(10, Some(20)), (30, None)]);
        assert_eq!(after(&ledger, &late[1..]).await, [(10, Some(20)), (30, None)]);
        ledger.resolve_signal(&TOO_HOT, "attic", 40).await.unwrap();
        assert_eq!(after(&ledger, &late).await, [(10, Some(20)), (30, Some(40))]);
    }

    /// Told at 100; then the clock is set back by 95.
    #[tokio::test]
    async fn an_end_finds_its_beginning_and_the_next_is_news_whatever_the_clock_says() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        assert_eq!(after(&ledger, &[told(false, 100), told(true, 5)]).await, [(100, Some(100))]);
        assert_eq!(after(&ledger, &[told(false, 6)]).await, [(6, None), (100, Some(100))]);
        // By the room itself it is the same.
        assert!(ledger.resolve_signal(&TOO_HOT, "attic", 3).await.unwrap());
        assert_eq!(after(&ledger, &[]).await, [(6, Some(6)), (100, Some(100))]);
        assert_eq!(after(&ledger, &[told(false, 50)]).await.len(), 3);
        assert_eq!(ledger.resolve_all(&TOO_HOT, 4).await.unwrap(), 1);
        assert_eq!(after(&ledger, &[]).await[1], (50, Some(50)));
    }

    #[tokio::test]
    async fn what_was_over_long_ago_is_forgotten_and_what_is_open_never() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        let of = |subject: &str, told| AlertSignal { subject: subject.to_owned(), ..told };
        let all = [
            of("a", told(false, 10)),
            of("a", told(true, 20)),
            of("b", told(false, 10)),
            of("b", told(true, 60)),
            of("c", told(false, 10)),
            of("d", told(false, 70)),
            of("d", told(true, 80)),
        ];
        after(&ledger, &all).await;
        assert_eq!(ledger.forget_signals(50).await.unwrap(), 1);
        assert_eq!(ledger.forget_signals(50).await.unwrap(), 0);
        assert_eq!(after(&ledger, &[]).await, [(10, None), (10, Some(60)), (70, Some(80))]);
        let plan = sqlx::query_as("EXPLAIN QUERY PLAN SELECT rule FROM notices WHERE raised_at >= 5");
        let plan: Vec<(i64, i64, i64, String)> = plan.fetch_all(ledger.pool()).await.unwrap();
        assert!(plan.iter().all(|(.., step)| step.contains("notices_by_time")), "{plan:?}");
    }
}
