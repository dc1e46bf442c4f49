//! What is held up beside the minutes: what was proven by doing it, announced maintenance, and how long nothing critical has happened.

use serde::{Deserialize, Serialize};

use super::{Ledger, LedgerError, row::from_row};
use crate::{
    events::Severity,
    types::{Label, UnixMillis, labelled},
};

labelled! {
    /// What is proven by doing it.
    pub enum EvidenceKind {
        /// So many requests a second were held.
        LoadTest = "load_test",
        /// Another node took over from one that was away.
        Failover = "failover_drill",
        /// A second node stands ready and is as far as the first.
        HighAvailability = "high_availability",
        /// A backup was put back into an empty folder and compared.
        Restore = "restore_drill",
        /// An alert reached a person who acknowledged it.
        Alert = "alert_drill",
        /// Rollup nodes are at their chains' heads.
        L2Sync = "l2_sync",
    }
}

/// What came of doing it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EvidenceRow {
    /// What was done.
    pub kind: Label<EvidenceKind>,
    /// When it was over, in Unix milliseconds.
    pub at: UnixMillis,
    /// Whether it held.
    pub ok: bool,
    /// What came of it, as a sentence for people.
    pub summary: String,
    /// The figures, as JSON of whoever did it.
    pub details: String,
}

from_row!(|row| EvidenceRow { kind, at, summary, details; ok = super::row::get::<i64>(row, "ok")? != 0 });

/// An announced time in which a part may be away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaintenanceRow {
    /// From when on, in Unix milliseconds.
    pub starts_at: UnixMillis,
    /// Until when.
    pub ends_at: UnixMillis,
    /// Name of the part; empty for all.
    pub indicator: String,
    /// Why.
    pub reason: String,
}

from_row!(|row| MaintenanceRow { starts_at, ends_at, indicator, reason });

/// What was critical in a span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Criticals {
    /// How many were raised in it, or were open at its beginning.
    pub count: u64,
    /// When the last of them was raised, in Unix milliseconds.
    pub last_at: Option<UnixMillis>,
}

from_row!(|row| Criticals { count: "n", last_at });

impl Ledger {
    /// Writes down what was proven.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn save_evidence(&self, row: &EvidenceRow) -> Result<(), LedgerError> {
        let mut write = self.write().await?;
        sqlx::query(
            "INSERT INTO evidence (kind, at, ok, summary, details, instance) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (kind, at) DO UPDATE SET ok = excluded.ok, summary = excluded.summary, details = excluded.details",
        )
        .bind(row.kind.as_str())
        .bind(row.at)
        .bind(i64::from(row.ok))
        .bind(&row.summary)
        .bind(&row.details)
        .bind(write.instance)
        .execute(&mut *write.tx)
        .await?;
        write.commit().await?;
        Ok(())
    }

    /// The newest of each kind.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn newest_evidence(&self) -> Result<Vec<EvidenceRow>, LedgerError> {
        let newest = sqlx::query_as(
            "SELECT e.* FROM evidence e WHERE e.at = (SELECT MAX(o.at) FROM evidence o WHERE o.kind = e.kind) ORDER BY e.kind",
        );
        Ok(newest.fetch_all(self.pool()).await?)
    }

    /// Announces a time in which a part may be away. One that begins at the same moment takes the place of another of the part.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn save_maintenance(&self, row: &MaintenanceRow) -> Result<(), LedgerError> {
        let mut write = self.write().await?;
        sqlx::query(
            "INSERT INTO sla_maintenance (starts_at, ends_at, indicator, reason, instance) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (starts_at, indicator) DO UPDATE SET ends_at = excluded.ends_at, reason = excluded.reason",
        )
        .bind(row.starts_at)
        .bind(row.ends_at)
        .bind(&row.indicator)
        .bind(&row.reason)
        .bind(write.instance)
        .execute(&mut *write.tx)
        .await?;
        write.commit().await?;
        Ok(())
    }

    /// Announced times that overlap with a span, oldest first. Times are Unix milliseconds.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn maintenance(
        &self,
        from: UnixMillis,
        until: UnixMillis,
    ) -> Result<Vec<MaintenanceRow>, LedgerError> {
        let rows = sqlx::query_as(
            "SELECT * FROM sla_maintenance WHERE ends_at > $1 AND starts_at < $2 ORDER BY starts_at, indicator",
        );
        Ok(rows.bind(from).bind(until).fetch_all(self.pool()).await?)
    }

    /// How many notices were raised since a time in Unix milliseconds, by rule and subject, most first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn notice_counts(&self, since: UnixMillis) -> Result<Vec<(String, String, u64)>, LedgerError> {
        let counts = sqlx::query_as(
            "SELECT rule, subject, COUNT(*) AS n FROM notices WHERE raised_at >= $1 GROUP BY rule, subject ORDER BY n DESC, rule, subject",
        );
        let counts: Vec<(String, String, i64)> = counts.bind(since).fetch_all(self.pool()).await?;
        Ok(counts.into_iter().map(|(rule, subject, n)| (rule, subject, n.unsigned_abs())).collect())
    }

    /// Notices of the gravest kind that were raised since a time or were open at it, in Unix milliseconds.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn criticals_since(&self, since: UnixMillis) -> Result<Criticals, LedgerError> {
        let found = sqlx::query_as(
            "SELECT COUNT(*) AS n, MAX(raised_at) AS last_at FROM notices WHERE severity = $1 \
             AND (raised_at >= $2 OR resolved_at IS NULL OR resolved_at > $2)",
        );
        Ok(found.bind(Severity::P1.label()).bind(since).fetch_one(self.pool()).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{AlertSignal, for_tests::TOO_HOT};

    #[tokio::test]
    async fn the_newest_of_each_kind_is_what_counts() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        let row = |kind: EvidenceKind, at, ok| EvidenceRow {
            kind: kind.into(),
            at,
            ok,
            summary: "1,012 requests a second".to_owned(),
            details: "{}".to_owned(),
        };
        for (kind, at, ok) in [
            (EvidenceKind::LoadTest, 5, true),
            (EvidenceKind::LoadTest, 9, false),
            (EvidenceKind::Restore, 3, true),
        ] {
            ledger.save_evidence(&row(kind, at, ok)).await.unwrap();
        }
        let newest = ledger.newest_evidence().await.unwrap();
        assert_eq!(newest, [row(EvidenceKind::LoadTest, 9, false), row(EvidenceKind::Restore, 3, true)]);
    }

    #[tokio::test]
    async fn maintenance_is_found_by_the_time_it_covers() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        let row = MaintenanceRow {
            starts_at: 100,
            ends_at: 200,
            indicator: String::new(),
            reason: "new disk".to_owned(),
        };
        ledger.save_maintenance(&row).await.unwrap();
        for (from, until, is_in) in [(0, 100, false), (0, 101, true), (199, 300, true), (200, 300, false)] {
            assert_eq!(ledger.maintenance(from, until).await.unwrap().len(), usize::from(is_in), "{from}");
        }
    }

    #[tokio::test]
    async fn criticals_are_those_raised_since_and_those_still_open() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        let signal = |subject: &str, severity, at| {
            AlertSignal::raised(&TOO_HOT, subject, String::new(), at).as_grave_as(severity)
        };
        for (subject, severity, at) in
            [("1", Severity::P1, 10), ("2", Severity::P2, 60), ("3", Severity::P1, 50)]
        {
            ledger.raise_signal(&signal(subject, severity, at)).await.unwrap();
        }
        assert_eq!(
            ledger.criticals_since(40).await.unwrap(),
            Criticals { count: 2, last_at: Some(50) },
            "the first is open still"
        );
        let counts = ledger.notice_counts(50).await.unwrap();
        assert_eq!(counts.len(), 2);
        assert_eq!(counts[0], ("too_hot".to_owned(), "2".to_owned(), 1));
        ledger.resolve_signal(&TOO_HOT, "1", 20).await.unwrap();
        assert_eq!(ledger.criticals_since(40).await.unwrap().count, 1);
        assert_eq!(ledger.criticals_since(51).await.unwrap().count, 1, "the third is open still");
    }
}
