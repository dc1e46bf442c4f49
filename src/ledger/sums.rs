//! Sums of days and months, so that a year's report reads hundreds of rows and not millions.
//!
//! A day is made anew from the slots in it, in one transaction: a slot that changes meanwhile waits for its end and marks the day as stale
//! again, so that no change is lost. What a sum is, the profit room decides.

use serde::Serialize;
use sqlx::{
    Row, Sqlite, SqliteConnection,
    sqlite::{SqliteArguments, SqliteRow},
};

use super::{Ledger, LedgerError, Settled, settlements::settled_from};
use crate::types::Slot;

/// A count of how a relay's answers ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutcomeCount {
    /// Which relay.
    pub relay: String,
    /// The outcome's name.
    pub outcome: String,
    /// How often.
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
    /// Which of them.
    pub name: String,
    /// The sums.
    pub tally: String,
}

/// What a day's sums are made from.
#[derive(Clone, Debug, Default)]
pub struct DayFacts {
    /// What came of its slots, in their order.
    pub rows: Vec<Settled>,
    /// How relays' answers ended in their auctions.
    pub outcomes: Vec<OutcomeCount>,
}

impl Ledger {
    /// Days whose sums are to be made anew.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn stale_days(&self) -> Result<Vec<i64>, LedgerError> {
        let rows =
            sqlx::query("SELECT day FROM profit_stale_days ORDER BY day").fetch_all(self.pool()).await?;
        rows.iter().map(|row| Ok(row.try_get("day")?)).collect()
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
    /// writer interferes. Its month's sums are wrong from then on, and gone.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub async fn rebuild_day(
        &self,
        (day, month): (i64, i64),
        (from, until): (Slot, Slot),
        sum: impl Fn(&DayFacts) -> Vec<SumRow> + Send,
    ) -> Result<(), LedgerError> {
        let mut write = self.write().await?;
        let rows = sum(&facts_of(&mut write.tx, from, until).await?);
        let tx = &mut write.tx;
        sqlx::query("DELETE FROM profit_months WHERE month = $1").bind(month).execute(&mut **tx).await?;
        sqlx::query("DELETE FROM profit_days WHERE day = $1").bind(day).execute(&mut **tx).await?;
        for row in &rows {
            sqlx::query("INSERT INTO profit_days (day, dimension, name, tally) VALUES ($1, $2, $3, $4)")
                .bind(day)
                .bind(&row.dimension)
                .bind(&row.name)
                .bind(&row.tally)
                .execute(&mut **tx)
                .await?;
        }
        sqlx::query("DELETE FROM profit_stale_days WHERE day = $1").bind(day).execute(&mut **tx).await?;
        write.commit().await?;
        Ok(())
    }

    /// Makes the sums of a month anew from those of its days (from `from` on and before `until`), dimension by dimension, in one
    /// transaction. A month with a day that is stale has none.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub async fn rebuild_month(
        &self,
        month: i64,
        (from, until): (i64, i64),
        dimensions: &[&str],
        sum: impl Fn(&str, &[SumRow]) -> Vec<SumRow> + Send,
    ) -> Result<(), LedgerError> {
        let mut write = self.write().await?;
        let tx = &mut write.tx;
        let stale = sqlx::query("SELECT 1 FROM profit_stale_days WHERE day >= $1 AND day < $2 LIMIT 1");
        if stale.bind(from).bind(until).fetch_optional(&mut **tx).await?.is_some() {
            return Ok(());
        }
        sqlx::query("DELETE FROM profit_months WHERE month = $1").bind(month).execute(&mut **tx).await?;
        for dimension in dimensions {
            let days = days_query().bind(*dimension).bind(from).bind(until).fetch_all(&mut **tx).await?;
            let days: Vec<SumRow> =
                days.iter().map(|row| sum_from(row, dimension)).collect::<Result<_, _>>()?;
            for row in sum(dimension, &days) {
                sqlx::query(
                    "INSERT INTO profit_months (month, dimension, name, tally) VALUES ($1, $2, $3, $4)",
                )
                .bind(month)
                .bind(&row.dimension)
                .bind(&row.name)
                .bind(&row.tally)
                .execute(&mut **tx)
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
        let rows = days_query().bind(dimension).bind(from).bind(until).fetch_all(self.pool()).await?;
        rows.iter().map(|row| sum_from(row, dimension)).collect()
    }

    /// The sums of months from `from` on and before `until` along one dimension, where they are made.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn months(&self, dimension: &str, from: i64, until: i64) -> Result<Vec<SumRow>, LedgerError> {
        let rows = sqlx::query(
            "SELECT month AS at, name, tally FROM profit_months WHERE dimension = $1 AND month >= $2 AND month < $3 \
             ORDER BY month",
        );
        let rows = rows.bind(dimension).bind(from).bind(until).fetch_all(self.pool()).await?;
        rows.iter().map(|row| sum_from(row, dimension)).collect()
    }
}

fn days_query<'q>() -> sqlx::query::Query<'q, Sqlite, SqliteArguments> {
    sqlx::query(
        "SELECT day AS at, name, tally FROM profit_days WHERE dimension = $1 AND day >= $2 AND day < $3 ORDER BY day",
    )
}

fn sum_from(row: &SqliteRow, dimension: &str) -> Result<SumRow, LedgerError> {
    Ok(SumRow {
        at: row.try_get("at")?,
        dimension: dimension.to_owned(),
        name: row.try_get("name")?,
        tally: row.try_get("tally")?,
    })
}

async fn facts_of(tx: &mut SqliteConnection, from: Slot, until: Slot) -> Result<DayFacts, LedgerError> {
    let rows = sqlx::query("SELECT * FROM settlements WHERE slot >= $1 AND slot < $2 ORDER BY slot")
        .bind(from.as_u64().cast_signed())
        .bind(until.as_u64().cast_signed())
        .fetch_all(&mut *tx)
        .await?;
    let outcomes = sqlx::query(
        "SELECT o.counterparty AS relay, o.outcome AS outcome, COUNT(*) AS n, \
         SUM(CASE WHEN a.winner_block_hash IS NULL THEN 1 ELSE 0 END) AS without_bid \
         FROM auctions a JOIN offers o ON o.auction_id = a.id WHERE a.slot >= $1 AND a.slot < $2 \
         GROUP BY o.counterparty, o.outcome",
    )
    .bind(from.as_u64().cast_signed())
    .bind(until.as_u64().cast_signed())
    .fetch_all(&mut *tx)
    .await?;
    let count = |row: &SqliteRow| {
        Ok(OutcomeCount {
            relay: row.try_get("relay")?,
            outcome: row.try_get("outcome")?,
            count: row.try_get::<i64, _>("n")?.cast_unsigned(),
            without_bid: row.try_get::<i64, _>("without_bid")?.cast_unsigned(),
        })
    };
    Ok(DayFacts {
        rows: rows.iter().map(settled_from).collect::<Result<_, _>>()?,
        outcomes: outcomes.iter().map(count).collect::<Result<_, LedgerError>>()?,
    })
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use super::*;

    /// A slot that changes while its day is summed is in the next sums: its mark is not wiped away with the old one.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_change_during_the_summing_is_not_lost() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).await.unwrap();
        let row = Settled { slot: 5, status: "final".to_owned(), ..Settled::default() };
        ledger.save_settlements(&[(row.clone(), 1)]).await.unwrap();
        let (done, changed) = mpsc::channel();
        let change = {
            let ledger = ledger.clone();
            move || {
                let (ledger, done, row) = (ledger.clone(), done.clone(), row.clone());
                tokio::spawn(async move {
                    let row = Settled { outcome: Some("ours".to_owned()), ..row };
                    ledger.save_settlements(&[(row, 1)]).await.unwrap();
                    done.send(()).unwrap();
                })
            }
        };
        let late = std::sync::Mutex::new(None);
        let changed = std::sync::Mutex::new(changed);
        ledger
            .rebuild_day((1, 0), (Slot::new(0), Slot::new(10)), |facts| {
                assert_eq!(facts.rows[0].outcome, None);
                *late.lock().unwrap() = Some(change());
                // It cannot come in between; where it can, it is over before the marks are wiped.
                let _ = changed.lock().unwrap().recv_timeout(Duration::from_millis(200));
                Vec::new()
            })
            .await
            .unwrap();
        let late = late.lock().unwrap().take().unwrap();
        late.await.unwrap();
        assert_eq!(ledger.stale_days().await.unwrap(), [1]);
        assert_eq!(
            ledger.day_facts(Slot::new(0), Slot::new(10)).await.unwrap().rows[0].outcome.as_deref(),
            Some("ours")
        );
    }
}
