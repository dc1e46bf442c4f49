//! What the machine was under, minute by minute and, of old, hour by hour.

use super::{Ledger, LedgerError, query::WriteTransaction, row::from_row};

/// The machine in a minute. Ratios from 0 to 1 of what there is; none where it could not be read.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HostRow {
    /// Minutes since 1970-01-01 UTC.
    pub minute: i64,
    /// CPU used, the mean of the minute's looks.
    pub cpu_mean: Option<f64>,
    /// The highest of them.
    pub cpu_max: Option<f64>,
    /// Memory used.
    pub memory_mean: Option<f64>,
    /// The highest.
    pub memory_max: Option<f64>,
    /// Space used of the filesystem that has the data.
    pub disk_mean: Option<f64>,
    /// The highest.
    pub disk_max: Option<f64>,
}

from_row!(|row| HostRow { minute, cpu_mean, cpu_max, memory_mean, memory_max, disk_mean, disk_max });

/// The machine over a span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HostSums {
    /// Minutes that somebody looked.
    pub minutes: u64,
    /// Mean of CPU used.
    pub cpu_mean: Option<f64>,
    /// Highest.
    pub cpu_max: Option<f64>,
    /// Mean of memory used.
    pub memory_mean: Option<f64>,
    /// 95 of 100 minutes had as much in the mean, or less.
    pub memory_p95: Option<f64>,
    /// Highest.
    pub memory_max: Option<f64>,
    /// Mean of space used.
    pub disk_mean: Option<f64>,
    /// Highest.
    pub disk_max: Option<f64>,
}

from_row!(|row| HostSums {
    minutes,
    cpu_mean,
    cpu_max,
    memory_mean,
    memory_p95,
    memory_max,
    disk_mean,
    disk_max
});

/// Nearest rank among the minutes that know it. Of hours, each counts as one minute of its mean.
const SUMS: &str = "SELECT COUNT(*) AS minutes, AVG(cpu_mean) AS cpu_mean, MAX(cpu_max) AS cpu_max, \
     AVG(memory_mean) AS memory_mean, MAX(CASE WHEN position = (known * 95 + 99) / 100 THEN memory_mean END) AS memory_p95, \
     MAX(memory_max) AS memory_max, AVG(disk_mean) AS disk_mean, MAX(disk_max) AS disk_max \
     FROM (SELECT cpu_mean, cpu_max, memory_mean, memory_max, disk_mean, disk_max, \
     ROW_NUMBER() OVER (ORDER BY CASE WHEN memory_mean IS NULL THEN 1 ELSE 0 END, memory_mean) AS position, \
     COUNT(memory_mean) OVER () AS known FROM host_minutes WHERE minute >= $1 AND minute < $2) AS ranked";

impl Ledger {
    /// The machine from the minute `from` on and before `until`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn host_sums(&self, from: i64, until: i64) -> Result<HostSums, LedgerError> {
        Ok(sqlx::query_as(SUMS).bind(from).bind(until).fetch_one(self.pool()).await?)
    }

    /// The machine in the newest minute before `until`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn newest_host(&self, until: i64) -> Result<Option<HostRow>, LedgerError> {
        let newest =
            sqlx::query_as("SELECT * FROM host_minutes WHERE minute < $1 ORDER BY minute DESC LIMIT 1");
        Ok(newest.bind(until).fetch_optional(self.pool()).await?)
    }

    /// Puts minutes before one together into hours, and forgets hours before another.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn forget_host(&self, minutes_before: i64, hours_before: i64) -> Result<(), LedgerError> {
        // Whole hours alone: half of one would be in its place for ever.
        let minutes_before = minutes_before.div_euclid(60).saturating_mul(60);
        let mut write = self.write().await?;
        sqlx::query(
            "INSERT INTO host_hours (hour, minutes, cpu_mean, cpu_max, memory_mean, memory_max, disk_mean, disk_max, instance) \
             SELECT minute / 60, COUNT(*), AVG(cpu_mean), MAX(cpu_max), AVG(memory_mean), MAX(memory_max), AVG(disk_mean), \
             MAX(disk_max), MIN(instance) FROM host_minutes WHERE minute < $1 GROUP BY minute / 60 ON CONFLICT (hour) DO NOTHING",
        )
        .bind(minutes_before)
        .execute(&mut *write.tx)
        .await?;
        sqlx::query("DELETE FROM host_minutes WHERE minute < $1")
            .bind(minutes_before)
            .execute(&mut *write.tx)
            .await?;
        sqlx::query("DELETE FROM host_hours WHERE hour < $1")
            .bind(hours_before)
            .execute(&mut *write.tx)
            .await?;
        write.commit().await?;
        Ok(())
    }
}

pub(super) async fn save_host(write: &mut WriteTransaction, row: &HostRow) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO host_minutes (minute, cpu_mean, cpu_max, memory_mean, memory_max, disk_mean, disk_max, instance) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (minute) DO NOTHING",
    )
    .bind(row.minute)
    .bind(row.cpu_mean)
    .bind(row.cpu_max)
    .bind(row.memory_mean)
    .bind(row.memory_max)
    .bind(row.disk_mean)
    .bind(row.disk_max)
    .bind(write.instance)
    .execute(&mut *write.tx)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn minutes_are_summed_and_of_old_become_hours() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        assert_eq!(ledger.host_sums(0, 1000).await.unwrap(), HostSums::default());
        for minute in 0..100 {
            let memory = (minute > 0).then(|| f64::from(minute) / 100.0);
            let row = HostRow {
                minute: i64::from(minute),
                memory_mean: memory,
                memory_max: memory,
                disk_max: Some(0.5),
                ..HostRow::default()
            };
            ledger.save_minutes(&[], Some(&row)).await.unwrap();
            // The first word on a minute stands.
            let again = HostRow { disk_max: Some(0.9), ..row };
            ledger.save_minutes(&[], Some(&again)).await.unwrap();
        }
        let sums = ledger.host_sums(0, 100).await.unwrap();
        assert_eq!((sums.minutes, sums.memory_p95, sums.memory_max), (100, Some(0.95), Some(0.99)));
        assert_eq!((sums.disk_max, sums.cpu_mean), (Some(0.5), None));
        assert_eq!(ledger.newest_host(100).await.unwrap().unwrap().minute, 99);
        ledger.forget_host(90, 0).await.unwrap();
        assert_eq!(ledger.host_sums(0, 100).await.unwrap().minutes, 40, "whole hours alone");
        let hours: i64 = sqlx::query_scalar("SELECT minutes FROM host_hours WHERE hour = 0")
            .fetch_one(ledger.pool())
            .await
            .unwrap();
        assert_eq!(hours, 60);
    }
}
