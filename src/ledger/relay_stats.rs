//! What each relay did in a span of time, and how its mode changed. Counts come from hourly sums that are written with each auction, so that a week's answer does not
//! grow with the ledger; latencies come from the newest answers.

use std::collections::BTreeMap;

use super::{
    Ledger, LedgerError, ModeView, RelayStats,
    query::WriteTransaction,
    row::{from_row, get},
};
use crate::events::{BidOutcome, ModeReason, RevealOutcome};

const HOUR_MS: i64 = 3_600_000;
/// Latencies looked at for a relay's quantiles: its newest this many offers.
const QUANTILE_SAMPLE: i64 = 1000;

const OUTCOMES: &str = "SELECT counterparty, outcome, CAST(SUM(calls) AS BIGINT) AS calls, \
     CAST(SUM(bids) AS BIGINT) AS bids, CAST(SUM(wins) AS BIGINT) AS wins \
     FROM relay_hours WHERE hour >= $1 AND hour < $2 AND outcome <> 'not_asked' GROUP BY counterparty, outcome";

/// `had_offered`: whether the relay is in the list of those that had offered the block (ids by commas, which no id has).
const ANSWERS: &str = "SELECT a.counterparty AS relay, a.outcome AS outcome, COUNT(*) AS n, \
     CASE WHEN LENGTH(REPLACE(',' || s.offered_by || ',', ',' || a.counterparty || ',', '')) \
     < LENGTH(',' || s.offered_by || ',') THEN 1 ELSE 0 END AS had_offered, \
     CASE WHEN s.offered_by = '' THEN 1 ELSE 0 END AS is_nobodys \
     FROM submission_answers a JOIN submissions s ON s.slot = a.slot AND s.block_hash = a.block_hash \
     WHERE a.answered_at >= $1 AND a.answered_at < $2 GROUP BY 1, 2, 4, 5";

/// Nearest-rank quantiles of the newest offers. One row, not a thousand, leaves the database.
const LATENCIES: &str = "SELECT MAX(CASE WHEN position = (n * 50 + 99) / 100 THEN latency_us END) AS p50, \
     MAX(CASE WHEN position = (n * 95 + 99) / 100 THEN latency_us END) AS p95, \
     MAX(CASE WHEN position = (n * 99 + 99) / 100 THEN latency_us END) AS p99 \
     FROM (SELECT latency_us, ROW_NUMBER() OVER (ORDER BY latency_us) AS position, COUNT(*) OVER () AS n \
     FROM (SELECT latency_us FROM offers WHERE counterparty = $1 AND requested_at >= $2 AND requested_at < $3 \
     AND outcome NOT IN ('rate_limited', 'not_asked') ORDER BY requested_at DESC LIMIT $4) AS newest) AS ranked";

impl Ledger {
    /// A relay's last changes of mode, newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn mode_history(&self, relay: &str, limit: u32) -> Result<Vec<ModeView>, LedgerError> {
        let newest = sqlx::query_as(
            "SELECT since, place, before, reason, why, score FROM counterparty_places WHERE counterparty = $1 \
             ORDER BY since DESC LIMIT $2",
        );
        Ok(newest.bind(relay).bind(i64::from(limit)).fetch_all(self.pool()).await?)
    }

    /// What is known of each relay between two times (Unix milliseconds), by relay. Auctions are counted by whole hours: the first and the last
    /// hour count as a whole when the span begins or ends within them.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn relay_stats(
        &self,
        since: i64,
        until: i64,
    ) -> Result<BTreeMap<String, RelayStats>, LedgerError> {
        let mut stats: BTreeMap<String, RelayStats> = BTreeMap::new();
        let end = until.saturating_add(HOUR_MS - 1).div_euclid(HOUR_MS);
        let outcomes = sqlx::query_as(OUTCOMES).bind(since.div_euclid(HOUR_MS)).bind(end);
        let outcomes: Vec<(String, String, i64, i64, i64)> = outcomes.fetch_all(self.pool()).await?;
        for (relay, outcome, calls, bids, wins) in outcomes {
            let entry = stats.entry(relay).or_default();
            entry.auctions += calls;
            entry.bids += bids;
            entry.wins += wins;
            // One of another version counts as what it is not known to be.
            if BidOutcome::parse(&outcome).is_none_or(is_fault) {
                *entry.faults.entry(outcome).or_default() += calls;
            }
        }
        let answers: Vec<(String, String, i64, bool, bool)> =
            sqlx::query_as(ANSWERS).bind(since).bind(until).fetch_all(self.pool()).await?;
        for (relay, outcome, count, had_offered, is_nobodys) in answers {
            let entry = stats.entry(relay).or_default();
            // A payload is proof; "I took it" is worth something from a relay that can have the block.
            let is_delivery = match RevealOutcome::parse(&outcome) {
                Some(RevealOutcome::PayloadDelivered) => true,
                Some(RevealOutcome::Accepted) => had_offered || is_nobodys,
                Some(
                    RevealOutcome::PayloadUnchecked
                    | RevealOutcome::PayloadMismatched
                    | RevealOutcome::Failed(_),
                )
                | None => false,
            };
            if is_delivery {
                entry.deliveries += count;
            } else if had_offered {
                // Those who did not offer the block rightly know nothing of it.
                *entry.faults.entry(format!("submission_{outcome}")).or_default() += count;
            }
        }
        for (relay, entry) in &mut stats {
            let quantiles =
                sqlx::query_as(LATENCIES).bind(relay).bind(since).bind(until).bind(QUANTILE_SAMPLE);
            let (p50, p95, p99) = quantiles.fetch_one(self.pool()).await?;
            entry.latency_p50_ms = ms(p50);
            entry.latency_p95_ms = ms(p95);
            entry.latency_p99_ms = ms(p99);
        }
        Ok(stats)
    }
}

/// Adds an auction's offers to their hours, once they are all written.
pub(super) async fn count_offers(write: &mut WriteTransaction, auction: i64) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO relay_hours (instance, hour, counterparty, outcome, calls, bids, wins) \
         SELECT o.instance, o.requested_at / 3600000, o.counterparty, o.outcome, 1, \
         CASE WHEN o.value_wei IS NULL THEN 0 ELSE 1 END, \
         CASE WHEN o.outcome = 'bid' AND o.block_hash = a.winner_block_hash THEN 1 ELSE 0 END \
         FROM offers o JOIN auctions a ON a.id = o.auction_id WHERE o.auction_id = $1 \
         ON CONFLICT (hour, counterparty, outcome) DO UPDATE SET calls = relay_hours.calls + 1, \
         bids = relay_hours.bids + excluded.bids, wins = relay_hours.wins + excluded.wins",
    )
    .bind(auction)
    .execute(&mut *write.tx)
    .await?;
    Ok(())
}

/// Whether an outcome is neither a bid nor an honest "none".
const fn is_fault(outcome: BidOutcome) -> bool {
    match outcome {
        BidOutcome::Bid
        | BidOutcome::NoBid
        | BidOutcome::BelowMinBid
        | BidOutcome::Excluded
        | BidOutcome::BelowLocal
        | BidOutcome::NotAsked
        | BidOutcome::Late => false,
        BidOutcome::Failed(_) | BidOutcome::Flawed(_) => true,
    }
}

fn ms(us: Option<i64>) -> Option<f64> {
    // Latencies, not money: a float is what people plot.
    us.map(|us| f64::from(u32::try_from(us).unwrap_or(u32::MAX)) / 1000.0)
}

from_row!(|row| ModeView {
    since, state: "place", before, message: "why", score;
    reason = ModeReason::parse(&get::<String>(row, "reason")?),
});

#[cfg(test)]
mod tests {
    use sqlx::Row;

    use super::*;
    use crate::ledger::slots::NEWEST_SLOTS;

    /// A year's ledger is millions of rows: what people and their scripts ask for all day must not read them all.
    #[tokio::test]
    async fn statistics_and_lists_read_no_table_whole() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        for (sql, binds) in [(OUTCOMES, 2), (ANSWERS, 2), (LATENCIES, 4), (NEWEST_SLOTS, 1)] {
            let mut query = sqlx::query(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")));
            for _ in 0..binds {
                query = query.bind(1_i64);
            }
            let plan: Vec<String> = query
                .fetch_all(ledger.pool())
                .await
                .unwrap()
                .iter()
                .map(|row| row.try_get("detail").unwrap())
                .collect();
            // A subquery is bounded by what it reads. A walk along an index for the newest distinct slots ends at its limit.
            let reads_all = |line: &&String| {
                line.starts_with("SCAN ")
                    && [
                        "auctions",
                        "offers",
                        "submissions",
                        "submission_answers",
                        "relay_hours",
                        "missed_requests",
                        "a",
                        "s",
                    ]
                    .contains(&line.split(' ').nth(1).unwrap_or_default())
                    && !(sql.contains("DISTINCT slot") && line.contains("USING COVERING INDEX"))
            };
            assert_eq!(plan.iter().find(reads_all), None, "{sql}\n{plan:#?}");
            // A walk in order needs no sorting of what it walks over.
            if sql == NEWEST_SLOTS {
                let sorts = plan.iter().filter(|line| line.contains("TEMP B-TREE FOR DISTINCT"));
                assert_eq!(sorts.count(), 0, "{plan:#?}");
            }
        }
    }

    #[tokio::test]
    async fn answers_are_counted_by_who_had_offered_the_block() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        for (slot, offered_by, relay, outcome) in [
            (1, "a_b,c", "a_b", "payload_delivered"),
            (2, "a_b", "a_b", "accepted"),
            (3, "axb", "a_b", "accepted"),
            (4, "", "a_b", "accepted"),
            (5, "a_b", "a_b", "timed_out"),
            (6, "c,a_b", "a_b", "timed_out"),
            (7, "a_b.c", "a_b", "timed_out"),
        ] {
            sqlx::query(
                "INSERT INTO submissions (slot, block_hash, parent_hash, proposer_index, fork, version, received_at, ms_into_slot, \
                 offered_by) VALUES ($1, '', '', 1, '', 2, 5, 0, $2)",
            )
            .bind(slot)
            .bind(offered_by)
            .execute(ledger.pool())
            .await
            .unwrap();
            sqlx::query(
                "INSERT INTO submission_answers (slot, block_hash, counterparty, outcome, detail, latency_us, attempts, answered_at) \
                 VALUES ($1, '', $2, $3, '', 1, 1, 5)",
            )
            .bind(slot)
            .bind(relay)
            .bind(outcome)
            .execute(ledger.pool())
            .await
            .unwrap();
        }
        let stats = ledger.relay_stats(0, 6).await.unwrap();
        let faults = BTreeMap::from([("submission_timed_out".to_owned(), 2)]);
        assert_eq!((stats["a_b"].deliveries, &stats["a_b"].faults), (3, &faults));
    }

    #[tokio::test]
    async fn quantiles_are_the_nearest_ranks() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        for (n, latency) in [40, 10, 30, 20].into_iter().enumerate() {
            sqlx::query(
                "INSERT INTO offers (auction_id, counterparty, outcome, detail, latency_us, verified, requested_at) \
                 VALUES ($1, 'a', 'no_bid', '', $2, FALSE, 5)",
            )
            .bind(i64::try_from(n).unwrap())
            .bind(latency * 1000)
            .execute(ledger.pool())
            .await
            .unwrap();
        }
        let mut write = ledger.write().await.unwrap();
        sqlx::query(
            "INSERT INTO auctions (id, slot, parent_hash, proposer, fork, requested_at, ms_into_slot, budget_ms, answered_in_us, \
             user_agent, why_no_bid) VALUES (0, 1, '', '', '', 5, 0, 0, 0, '', '')",
        )
        .execute(&mut *write.tx)
        .await
        .unwrap();
        count_offers(&mut write, 0).await.unwrap();
        count_offers(&mut write, 0).await.unwrap();
        write.commit().await.unwrap();
        let stats = ledger.relay_stats(0, 6).await.unwrap();
        let known = &stats["a"];
        assert_eq!(
            (known.latency_p50_ms, known.latency_p95_ms, known.latency_p99_ms),
            (Some(20.0), Some(40.0), Some(40.0))
        );
        assert_eq!((known.auctions, known.bids, known.wins), (2, 0, 0));
        assert!(ledger.relay_stats(HOUR_MS, i64::MAX).await.unwrap().is_empty());
    }
}
