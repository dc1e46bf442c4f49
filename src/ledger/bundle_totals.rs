//! What bundles came to, all together.
//!
//! A bundle that is done never changes: those up to the first that is not are summed once a process, so that a page or a builder's client that
//! asks for everything reads what is new, and not a year.

use futures_util::TryStreamExt;

use super::{
    Ledger, LedgerError,
    bundle_sums::{Booked, BundleTotals, Sums},
};

/// Which bundles are summed.
#[derive(Clone, Copy, Debug)]
enum Span {
    /// Above a number, up to another.
    Numbers(i64, i64),
    /// Those that came from a time on and before another, in Unix milliseconds.
    Times(i64, i64),
}

/// The columns of a booked bundle that are summed, of those that a condition names.
macro_rules! booked_where {
    ($condition:literal) => {
        concat!(
            "SELECT state, profit_wei, profit_confidence, paid_to_builder_wei, simulation FROM bundles \
             WHERE is_final AND state IN ('included', 'partly_included', 'unbundled') AND ",
            $condition
        )
    };
}

impl Span {
    /// The question for the counts of states, that for the money, and what they are asked with.
    const fn questions(self) -> (&'static str, &'static str, i64, i64) {
        match self {
            Self::Numbers(above, up_to) => (
                "SELECT state, COUNT(*) AS n FROM bundles WHERE id > $1 AND id <= $2 GROUP BY state",
                booked_where!("id > $1 AND id <= $2"),
                above,
                up_to,
            ),
            Self::Times(since, until) => (
                "SELECT state, COUNT(*) AS n FROM bundles WHERE received_at >= $1 AND received_at < $2 GROUP BY state",
                booked_where!("received_at >= $1 AND received_at < $2"),
                since,
                until,
            ),
        }
    }
}

impl Ledger {
    /// What the bundles came to that came from `since` on and before `until` (Unix milliseconds); all of them from 0 to the end of time.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn bundle_totals(&self, since: i64, until: i64) -> Result<BundleTotals, LedgerError> {
        let sums = if since <= 0 && until == i64::MAX {
            self.all_bundles().await?
        } else {
            self.bundle_sums(Span::Times(since, until)).await?
        };
        Ok(sums.totals())
    }

    async fn all_bundles(&self) -> Result<Sums, LedgerError> {
        let mut done = self.done_bundles.0.lock().await;
        let up_to = sqlx::query_scalar(
            "SELECT COALESCE((SELECT MIN(id) - 1 FROM bundles WHERE NOT is_final), (SELECT MAX(id) FROM bundles), 0)",
        );
        let up_to: i64 = up_to.fetch_one(self.pool()).await?;
        if up_to > done.up_to {
            let more = self.bundle_sums(Span::Numbers(done.up_to, up_to)).await?;
            done.sums.add(&more);
            done.up_to = up_to;
        }
        let (from, mut all) = (done.up_to, done.sums.clone());
        drop(done);
        all.add(&self.bundle_sums(Span::Numbers(from, i64::MAX)).await?);
        Ok(all)
    }

    async fn bundle_sums(&self, span: Span) -> Result<Sums, LedgerError> {
        let (states, booked, from, to) = span.questions();
        let states: Vec<(String, i64)> =
            sqlx::query_as(states).bind(from).bind(to).fetch_all(self.pool()).await?;
        let by_state = states.into_iter().map(|(state, count)| (state, count.cast_unsigned())).collect();
        let mut sums = Sums { by_state, booked: Booked::default() };
        let mut rows = sqlx::query_as(booked).bind(from).bind(to).fetch(self.pool());
        while let Some(row) = rows.try_next().await? {
            sums.booked.count(row);
        }
        Ok(sums)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        events::Confidence,
        ledger::{BundleDecision, BundleKind, BundleProfit, BundleReceived, BundleState, BundleWrite},
    };

    fn came(id: i64) -> BundleWrite {
        let came =
            BundleReceived { id, kind: BundleKind::Bundle, received_at: id, ..BundleReceived::default() };
        BundleWrite::Received(Box::new(came))
    }

    fn ended(id: i64, profit: &str) -> [BundleWrite; 2] {
        let decision = BundleDecision {
            id,
            state: BundleState::Included,
            reason: String::new(),
            block_number: 1,
            block_hash: "0x1".to_owned(),
            block_builder: String::new(),
        };
        let profit =
            BundleProfit { profit: profit.to_owned(), is_traced: id != 1, ..BundleProfit::default() };
        [BundleWrite::Decided(Box::new(decision)), BundleWrite::Booked(id, Some(Box::new(profit)))]
    }

    /// All are asked for again and again, while bundles come and end in any order: the same as all of a span of time that has them all.
    #[tokio::test]
    async fn what_is_remembered_of_done_bundles_is_what_the_file_has() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        let mut expected = Vec::new();
        let steps = [
            vec![],
            vec![came(1), came(2), came(3)],
            ended(2, "-5").to_vec(),
            ended(1, "7").to_vec(),
            vec![came(4)],
            ended(3, "100").to_vec(),
            ended(4, "1").to_vec(),
            vec![came(5)],
        ];
        for step in steps {
            ledger.save_bundles(&step).await.unwrap();
            let all = ledger.bundle_totals(0, i64::MAX).await.unwrap();
            assert_eq!(all, ledger.bundle_totals(0, i64::MAX - 1).await.unwrap());
            expected.push((all.submitted, all.included, all.profit_wei));
        }
        assert_eq!(expected.last(), Some(&(5, 4, "103".to_owned())));
        assert_eq!(ledger.done_bundles.0.lock().await.up_to, 4);
        let all = ledger.bundle_totals(0, i64::MAX).await.unwrap();
        assert_eq!(all.profit_confidence, Some(Confidence::Medium), "that of the least sure");
    }

    #[tokio::test]
    async fn bundles_of_a_span_of_time_or_a_block_are_found_by_an_index() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        let (states, booked, ..) = Span::Times(0, 1).questions();
        for sql in [states, booked, super::super::bundles::TO_BOOK, super::super::bundle_views::BETWEEN] {
            let plan = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
            let plan = sqlx::query(plan).bind(1).bind(2).bind(3).fetch_all(ledger.pool()).await.unwrap();
            let plan: Vec<String> =
                plan.iter().map(|row| sqlx::Row::try_get(row, "detail").unwrap()).collect();
            assert!(plan.iter().any(|line| line.starts_with("SEARCH bundles USING")), "{sql}\n{plan:#?}");
            assert!(!plan.iter().any(|line| line.starts_with("SCAN")), "{sql}\n{plan:#?}");
        }
    }
}
