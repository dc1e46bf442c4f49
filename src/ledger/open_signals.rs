//! Signals that last: what alerts are made of.

use super::{Ledger, LedgerError, SignalRow};

impl Ledger {
    /// What rooms of this sidecar said is wrong, and not over; the gravest first, then the oldest: whoever reads a part reads the same
    /// part again.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn open_signals(&self, limit: u32) -> Result<Vec<SignalRow>, LedgerError> {
        let open = sqlx::query_as(
            "SELECT * FROM notices WHERE resolved_at IS NULL AND instance = $1 ORDER BY severity, raised_at, id LIMIT $2",
        );
        Ok(open.bind(self.instance()).bind(i64::from(limit)).fetch_all(self.pool()).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{AlertSignal, Severity, for_tests::TOO_HOT};

    #[tokio::test]
    async fn what_is_over_is_not_open() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        for (subject, severity) in [("attic", Severity::P3), ("cellar", Severity::P1), ("hall", Severity::P2)]
        {
            let signal = AlertSignal::raised(&TOO_HOT, subject, "why".to_owned(), 5).as_grave_as(severity);
            ledger.raise_signal(&signal).await.unwrap();
        }
        ledger.resolve_signal(&TOO_HOT, "hall", 6).await.unwrap();
        let open = ledger.open_signals(10).await.unwrap();
        assert_eq!(open.iter().map(|row| row.subject.as_str()).collect::<Vec<_>>(), ["cellar", "attic"]);
        assert_eq!(ledger.open_signals(1).await.unwrap().len(), 1);
    }
}
