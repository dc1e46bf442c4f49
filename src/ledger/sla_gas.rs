//! What gas cost, minute by minute and, of old, hour by hour. In wei; a price above 9.2 ether for a gas is kept as that.

use serde::Serialize;

use super::{Ledger, LedgerError, row::from_row};

/// What gas cost in a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct GasRow {
    /// Minutes since 1970-01-01 UTC.
    pub minute: i64,
    /// Height of the block whose base fee it is.
    pub block_number: u64,
    /// What the node proposes to pay for a gas, tip included, in wei.
    pub gas_price_wei: u64,
    /// What is burnt for a gas, in wei.
    pub base_fee_wei: u64,
    /// What a blob gas costs, in wei; none where the node does not say.
    pub blob_base_fee_wei: Option<u64>,
}

from_row!(|row| GasRow { minute, block_number, gas_price_wei, base_fee_wei, blob_base_fee_wei });

/// What gas cost in an hour, in wei.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct GasHour {
    /// Hours since 1970-01-01 UTC.
    pub hour: i64,
    /// Minutes that were looked at.
    pub minutes: u64,
    /// Mean of what the node proposed to pay.
    pub gas_price_mean_wei: u64,
    /// The highest.
    pub gas_price_max_wei: u64,
    /// Mean of what was burnt.
    pub base_fee_mean_wei: u64,
    /// The highest.
    pub base_fee_max_wei: u64,
    /// Mean of what a blob gas cost.
    pub blob_base_fee_mean_wei: Option<u64>,
    /// The highest.
    pub blob_base_fee_max_wei: Option<u64>,
}

from_row!(|row| GasHour {
    hour,
    minutes,
    gas_price_mean_wei,
    gas_price_max_wei,
    base_fee_mean_wei,
    base_fee_max_wei,
    blob_base_fee_mean_wei,
    blob_base_fee_max_wei
});

/// What gas cost over a span of time, in wei.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GasSums {
    /// Minutes that were looked at.
    pub minutes: u64,
    /// Lowest that the node proposed to pay.
    pub gas_price_min_wei: Option<u64>,
    /// Mean.
    pub gas_price_mean_wei: Option<u64>,
    /// Highest.
    pub gas_price_max_wei: Option<u64>,
    /// Mean of what was burnt.
    pub base_fee_mean_wei: Option<u64>,
    /// Mean of what a blob gas cost.
    pub blob_base_fee_mean_wei: Option<u64>,
}

from_row!(|row| GasSums {
    minutes,
    gas_price_min_wei,
    gas_price_mean_wei,
    gas_price_max_wei,
    base_fee_mean_wei,
    blob_base_fee_mean_wei
});

/// Hours that are kept, and those whose minutes are.
const HOURS: &str = "SELECT hour, minutes, gas_price_mean_wei, gas_price_max_wei, base_fee_mean_wei, base_fee_max_wei, \
     blob_base_fee_mean_wei, blob_base_fee_max_wei FROM gas_hours WHERE hour >= $1 AND hour < $2 UNION ALL \
     SELECT minute / 60, COUNT(*), CAST(AVG(gas_price_wei) AS BIGINT), MAX(gas_price_wei), CAST(AVG(base_fee_wei) AS BIGINT), \
     MAX(base_fee_wei), CAST(AVG(blob_base_fee_wei) AS BIGINT), MAX(blob_base_fee_wei) FROM gas_minutes \
     WHERE minute >= $3 AND minute < $4 AND NOT EXISTS (SELECT 1 FROM gas_hours h WHERE h.hour = minute / 60) \
     GROUP BY minute / 60 ORDER BY 1";

const TO_HOURS: &str = "INSERT INTO gas_hours (hour, minutes, gas_price_mean_wei, gas_price_max_wei, base_fee_mean_wei, \
     base_fee_max_wei, blob_base_fee_mean_wei, blob_base_fee_max_wei, instance) \
     SELECT minute / 60, COUNT(*), CAST(AVG(gas_price_wei) AS BIGINT), MAX(gas_price_wei), CAST(AVG(base_fee_wei) AS BIGINT), \
     MAX(base_fee_wei), CAST(AVG(blob_base_fee_wei) AS BIGINT), MAX(blob_base_fee_wei), MIN(instance) FROM gas_minutes \
     WHERE minute < $1 GROUP BY minute / 60 ON CONFLICT (hour) DO NOTHING";

impl Ledger {
    /// Writes what gas costs; a minute that has its price already keeps it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn save_gas(&self, row: &GasRow) -> Result<(), LedgerError> {
        let mut write = self.write().await?;
        let signed = |wei: u64| i64::try_from(wei).unwrap_or(i64::MAX);
        sqlx::query(
            "INSERT INTO gas_minutes (minute, block_number, gas_price_wei, base_fee_wei, blob_base_fee_wei, instance) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (minute) DO NOTHING",
        )
        .bind(row.minute)
        .bind(signed(row.block_number))
        .bind(signed(row.gas_price_wei))
        .bind(signed(row.base_fee_wei))
        .bind(row.blob_base_fee_wei.map(signed))
        .bind(write.instance)
        .execute(&mut *write.tx)
        .await?;
        write.commit().await?;
        Ok(())
    }

    /// What gas cost last, before the minute `until`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn newest_gas(&self, until: i64) -> Result<Option<GasRow>, LedgerError> {
        let newest =
            sqlx::query_as("SELECT * FROM gas_minutes WHERE minute < $1 ORDER BY minute DESC LIMIT 1");
        Ok(newest.bind(until).fetch_optional(self.pool()).await?)
    }

    /// What gas cost from the minute `from` on and before `until`, as far as minutes are kept.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn gas_sums(&self, from: i64, until: i64) -> Result<GasSums, LedgerError> {
        let sums = sqlx::query_as(
            "SELECT COUNT(*) AS minutes, MIN(gas_price_wei) AS gas_price_min_wei, \
             CAST(AVG(gas_price_wei) AS BIGINT) AS gas_price_mean_wei, MAX(gas_price_wei) AS gas_price_max_wei, \
             CAST(AVG(base_fee_wei) AS BIGINT) AS base_fee_mean_wei, \
             CAST(AVG(blob_base_fee_wei) AS BIGINT) AS blob_base_fee_mean_wei \
             FROM gas_minutes WHERE minute >= $1 AND minute < $2",
        );
        Ok(sums.bind(from).bind(until).fetch_one(self.pool()).await?)
    }

    /// The hours from `from` on and before `until`, oldest first: of minutes, or as they were kept.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn gas_hours(&self, from: i64, until: i64) -> Result<Vec<GasHour>, LedgerError> {
        let rows = sqlx::query_as(HOURS).bind(from).bind(until);
        Ok(rows.bind(from.saturating_mul(60)).bind(until.saturating_mul(60)).fetch_all(self.pool()).await?)
    }

    /// Puts minutes before one together into hours, and forgets hours before another.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn forget_gas(&self, minutes_before: i64, hours_before: i64) -> Result<(), LedgerError> {
        let minutes_before = minutes_before.div_euclid(60).saturating_mul(60);
        let mut write = self.write().await?;
        sqlx::query(TO_HOURS).bind(minutes_before).execute(&mut *write.tx).await?;
        sqlx::query("DELETE FROM gas_minutes WHERE minute < $1")
            .bind(minutes_before)
            .execute(&mut *write.tx)
            .await?;
        sqlx::query("DELETE FROM gas_hours WHERE hour < $1")
            .bind(hours_before)
            .execute(&mut *write.tx)
            .await?;
        write.commit().await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn prices_are_kept_by_the_minute_and_of_old_by_the_hour() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        assert_eq!(ledger.gas_sums(0, 1000).await.unwrap(), GasSums::default());
        for minute in 0..120 {
            let row = GasRow {
                minute,
                block_number: 7,
                gas_price_wei: 1000 + minute.unsigned_abs(),
                base_fee_wei: 900,
                blob_base_fee_wei: (minute % 2 == 0).then_some(4),
            };
            ledger.save_gas(&row).await.unwrap();
            ledger.save_gas(&GasRow { gas_price_wei: u64::MAX, ..row }).await.unwrap();
        }
        assert_eq!(ledger.newest_gas(120).await.unwrap().unwrap().gas_price_wei, 1119);
        assert_eq!(ledger.newest_gas(50).await.unwrap().unwrap().minute, 49);
        let sums = ledger.gas_sums(0, 120).await.unwrap();
        assert_eq!(
            (sums.minutes, sums.gas_price_min_wei, sums.gas_price_max_wei),
            (120, Some(1000), Some(1119))
        );
        let before = ledger.gas_hours(0, 10).await.unwrap();
        assert_eq!(before.len(), 2);
        assert_eq!(
            (before[0].minutes, before[0].gas_price_mean_wei, before[0].gas_price_max_wei),
            (60, 1029, 1059)
        );
        ledger.forget_gas(70, 0).await.unwrap();
        assert_eq!(ledger.gas_sums(0, 120).await.unwrap().minutes, 60);
        assert_eq!(ledger.gas_hours(0, 10).await.unwrap(), before, "the same, wherever it is read");
        ledger.forget_gas(70, 1).await.unwrap();
        assert_eq!(ledger.gas_hours(0, 10).await.unwrap().len(), 1);
    }
}
