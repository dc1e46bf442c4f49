//! Sums of days and months, so that a year's report reads hundreds of rows and not millions.
//!
//! The sums follow the slots by a position. Every change of a slot has a revision above all before it; days with slots above the position are
//! made anew, then their months, then the position moves to the last change that was seen at the beginning. What changes meanwhile is above it
//! and comes next; a process that dies in between does some of it again. Nobody who writes a slot has to think of sums. What a sum is, the
//! profit room decides.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{
    Ledger, LedgerError, Settled, database::DbConnection, retention::summed_from, row::from_row,
    settlements::LAST_SLOT,
};
use crate::{
    consensus::SlotClock,
    events::BidOutcome,
    types::{Label, Slot},
};

/// A count of how a relay's answers ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutcomeCount {
    /// The relay that this is about.
    pub relay: String,
    /// How it ended.
    pub outcome: Label<BidOutcome>,
    /// How many answers ended in this way.
    pub count: u64,
    /// How often in auctions that nobody won.
    pub without_bid: u64,
}

/// A day's or month's sums under one name, as JSON that the profit room reads and writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SumRow {
    /// Days since 1970-01-01 UTC; or year * 12 + month - 1.
    pub at: i64,
    /// `all`, `relay`, `validator` or `builder`.
    pub dimension: String,
    /// The relay, validator or builder; empty for `all`.
    pub name: String,
    /// The sums as JSON of the profit room's own.
    pub tally: String,
}

from_row!(|row| OutcomeCount { relay, outcome, count: "n", without_bid });

/// What a day's sums are made from.
#[derive(Clone, Debug, Default)]
pub struct DayFacts {
    /// What came of its slots, in their order.
    pub rows: Vec<Settled>,
    /// How relays' answers ended in their auctions.
    pub outcomes: Vec<OutcomeCount>,
}

/// What the sums have not taken in yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangedDays {
    /// Days (since 1970-01-01 UTC) with a slot that changed.
    pub days: BTreeSet<i64>,
    /// The last change among them.
    position: i64,
}

impl Ledger {
    /// Days with slots that changed since the sums were made. A slot is of the day it starts in.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn changed_days(&self, clock: SlotClock) -> Result<ChangedDays, LedgerError> {
        // Days that an earlier version had marked.
        let marked = sqlx::query_scalar("SELECT day FROM profit_stale_days").fetch_all(self.pool()).await?;
        let done = sqlx::query_scalar("SELECT position FROM projections WHERE name = $1");
        let done: i64 = done.bind(SUMS).fetch_optional(self.pool()).await?.unwrap_or(0);
        let changed = sqlx::query_as(
            "SELECT (slot * $1 + $2) / 86400000 AS day, MAX(revision) AS position FROM settlements WHERE revision > $3 \
             AND revision > 0 AND slot >= $5 AND slot <= $4 GROUP BY 1",
        )
        .bind(clock.slot_ms().cast_signed())
        .bind(clock.start_of(Slot::new(0)))
        .bind(done)
        .bind(LAST_SLOT)
        // Of days whose money was trimmed for its age there is nothing to sum.
        .bind(summed_from(self, clock).await?.max(0));
        let changed: Vec<(i64, i64)> = changed.fetch_all(self.pool()).await?;
        let position = changed.iter().map(|(_, position)| *position).max().unwrap_or(done);
        let days = changed.into_iter().map(|(day, _)| day).chain(marked).collect();
        Ok(ChangedDays { days, position })
    }

    /// The sums have taken in what had changed: only what changed since is still to come.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn took_in(&self, changed: &ChangedDays) -> Result<(), LedgerError> {
        let mut write = self.write().await?;
        sqlx::query(
            "INSERT INTO projections (name, position) VALUES ($1, $2) \
             ON CONFLICT (name) DO UPDATE SET position = excluded.position",
        )
        .bind(SUMS)
        .bind(changed.position)
        .execute(&mut *write.tx)
        .await?;
        sqlx::query("DELETE FROM profit_stale_days").execute(&mut *write.tx).await?;
        write.commit().await?;
        Ok(())
    }

    /// What the sums of slots from `from` on and before `until` are made from.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn day_facts(&self, from: Slot, until: Slot) -> Result<DayFacts, LedgerError> {
        // One snapshot for both questions.
        let mut tx = self.pool().begin().await?;
        facts_of(&mut tx, from, until).await
    }

    /// Makes the sums of a day anew, whose slots are those from `from` on and before `until`: all in one transaction, with which no other
    /// writer interferes.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub async fn sum_day(
        &self,
        day: i64,
        (from, until): (Slot, Slot),
        sum: impl Fn(&DayFacts) -> Vec<SumRow> + Send,
    ) -> Result<(), LedgerError> {
        let mut write = self.write().await?;
        let rows = sum(&facts_of(&mut write.tx, from, until).await?);
        sqlx::query("DELETE FROM profit_days WHERE day = $1").bind(day).execute(&mut *write.tx).await?;
        for row in &rows {
            sqlx::query(
                "INSERT INTO profit_days (day, dimension, name, tally, instance) VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(day)
            .bind(&row.dimension)
            .bind(&row.name)
            .bind(&row.tally)
            .bind(write.instance)
            .execute(&mut *write.tx)
            .await?;
        }
        write.commit().await?;
        Ok(())
    }

    /// Makes the sums of a month anew from those of its days (from `from` on and before `until`), dimension by dimension, in one
    /// transaction.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub async fn sum_month(
        &self,
        month: i64,
        (from, until): (i64, i64),
        dimensions: &[&str],
        sum: impl Fn(&str, &[SumRow]) -> Vec<SumRow> + Send,
    ) -> Result<(), LedgerError> {
        let mut write = self.write().await?;
        sqlx::query("DELETE FROM profit_months WHERE month = $1").bind(month).execute(&mut *write.tx).await?;
        for dimension in dimensions {
            let days = sqlx::query_as(DAYS).bind(*dimension).bind(from).bind(until);
            let days: Vec<SumRow> = days.fetch_all(&mut *write.tx).await?;
            for row in sum(dimension, &days) {
                sqlx::query(
                    "INSERT INTO profit_months (month, dimension, name, tally, instance) VALUES ($1, $2, $3, $4, $5)",
                )
                .bind(month)
                .bind(&row.dimension)
                .bind(&row.name)
                .bind(&row.tally)
                .bind(write.instance)
                .execute(&mut *write.tx)
                .await?;
            }
        }
        write.commit().await?;
        Ok(())
    }

    /// The sums of days from `from` on and before `until` along one dimension.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn days(&self, dimension: &str, from: i64, until: i64) -> Result<Vec<SumRow>, LedgerError> {
        let days = sqlx::query_as(DAYS).bind(dimension).bind(from).bind(until);
        Ok(days.fetch_all(self.pool()).await?)
    }

    /// The sums of months from `from` on and before `until` along one dimension, where they are made.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn months(&self, dimension: &str, from: i64, until: i64) -> Result<Vec<SumRow>, LedgerError> {
        let months = sqlx::query_as(
            "SELECT month AS at, dimension, name, tally FROM profit_months WHERE dimension = $1 AND month >= $2 AND month < $3 \
             ORDER BY month",
        );
        Ok(months.bind(dimension).bind(from).bind(until).fetch_all(self.pool()).await?)
    }
}

/// The name of the position up to which the sums have taken in what changed.
const SUMS: &str = "profit_sums";

const DAYS: &str = "SELECT day AS at, dimension, name, tally FROM profit_days \
     WHERE dimension = $1 AND day >= $2 AND day < $3 ORDER BY day";

from_row!(|row| SumRow { at, dimension, name, tally });

async fn facts_of(tx: &mut DbConnection, from: Slot, until: Slot) -> Result<DayFacts, LedgerError> {
    let rows = sqlx::query_as("SELECT * FROM settlements WHERE slot >= $1 AND slot < $2 ORDER BY slot")
        .bind(from.as_u64().cast_signed())
        .bind(until.as_u64().cast_signed())
        .fetch_all(&mut *tx)
        .await?;
    let outcomes = sqlx::query_as(
        // With those that were trimmed for their age, as they were added up before.
        "SELECT relay, outcome, SUM(n) AS n, SUM(without_bid) AS without_bid FROM (\
         SELECT o.counterparty AS relay, o.outcome AS outcome, COUNT(*) AS n, \
         SUM(CASE WHEN a.winner_block_hash IS NULL THEN 1 ELSE 0 END) AS without_bid \
         FROM auctions a JOIN offers o ON o.auction_id = a.id WHERE a.slot >= $1 AND a.slot < $2 \
         GROUP BY o.counterparty, o.outcome UNION ALL \
         SELECT counterparty AS relay, outcome, n, without_bid FROM trimmed_bids \
         WHERE first_slot >= $1 AND first_slot < $2) AS known GROUP BY relay, outcome",
    )
    .bind(from.as_u64().cast_signed())
    .bind(until.as_u64().cast_signed())
    .fetch_all(&mut *tx)
    .await?;
    Ok(DayFacts { rows, outcomes })
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use super::*;
    use crate::events::{SlotOutcome, SlotStatus};

    /// A slot that changes while its day is summed is in the next sums: the position does not move past it.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_change_during_the_summing_is_not_lost() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        let clock = SlotClock::new(86_400, 12_000);
        let row = Settled { slot: 5, status: SlotStatus::Final.into(), ..Settled::default() };
        ledger.save_settlements(std::slice::from_ref(&row)).await.unwrap();
        let changed = ledger.changed_days(clock).await.unwrap();
        assert_eq!(changed.days, BTreeSet::from([1]));
        let (done, was_changed) = mpsc::channel();
        let change = {
            let ledger = ledger.clone();
            move || {
                let (ledger, done, row) = (ledger.clone(), done.clone(), row.clone());
                tokio::spawn(async move {
                    let row = Settled { outcome: Some(SlotOutcome::Ours.into()), ..row };
                    ledger.save_settlements(&[row]).await.unwrap();
                    done.send(()).unwrap();
                })
            }
        };
        let late = std::sync::Mutex::new(None);
        let was_changed = std::sync::Mutex::new(was_changed);
        ledger
            .sum_day(1, (Slot::new(0), Slot::new(10)), |facts| {
                assert_eq!(facts.rows[0].outcome, None);
                *late.lock().unwrap() = Some(change());
                // It cannot come in between; where it can, it is over before the sums are written.
                let _ = was_changed.lock().unwrap().recv_timeout(Duration::from_millis(200));
                Vec::new()
            })
            .await
            .unwrap();
        let late = late.lock().unwrap().take().unwrap();
        late.await.unwrap();
        ledger.took_in(&changed).await.unwrap();
        let again = ledger.changed_days(clock).await.unwrap();
        assert_eq!(again.days, BTreeSet::from([1]));
        ledger.took_in(&again).await.unwrap();
        assert!(ledger.changed_days(clock).await.unwrap().days.is_empty());
        assert_eq!(
            ledger.day_facts(Slot::new(0), Slot::new(10)).await.unwrap().rows[0].known_outcome(),
            Some(SlotOutcome::Ours)
        );
    }

    #[tokio::test]
    async fn days_that_an_earlier_version_had_marked_are_made_once_more() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        sqlx::query("INSERT INTO profit_stale_days (day) VALUES (7)").execute(ledger.pool()).await.unwrap();
        let clock = SlotClock::new(86_400, 12_000);
        let changed = ledger.changed_days(clock).await.unwrap();
        assert_eq!(changed.days, BTreeSet::from([7]));
        ledger.took_in(&changed).await.unwrap();
        assert!(ledger.changed_days(clock).await.unwrap().days.is_empty());
    }
}
