//! What reports ask of the ledger.

use std::collections::BTreeMap;

use super::{Ledger, LedgerError, row::from_row};

/// One answer of a relay in a past auction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PollFact {
    /// Number of the auction in the ledger.
    pub auction: i64,
    /// When it was sent, in milliseconds into the slot.
    pub sent_ms: i64,
    /// How long it took, in microseconds.
    pub latency_us: i64,
    /// Offered value in wei, where the bid was usable.
    pub value_wei: Option<String>,
}

/// Newest answers looked at for one relay. Arbitrary: a day of polling every slot three times.
const MAX_POLLS: i64 = 20_000;

impl Ledger {
    /// Every answer of each relay in auctions between two times (Unix milliseconds), newest first and not more than it takes to judge:
    /// polls where there were several, the one answer else.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn polls(
        &self,
        since: i64,
        until: i64,
    ) -> Result<BTreeMap<String, Vec<PollFact>>, LedgerError> {
        let rows = sqlx::query_as(
            "SELECT p.counterparty AS counterparty, p.auction_id AS auction, p.sent_ms_into_slot AS sent, \
             p.latency_us AS latency_us, CASE WHEN p.outcome = 'bid' THEN p.value_wei END AS value_wei \
             FROM polls p JOIN auctions a ON a.id = p.auction_id WHERE a.requested_at >= $1 AND a.requested_at < $2 \
             UNION ALL \
             SELECT o.counterparty, o.auction_id, a.ms_into_slot, o.latency_us, \
             CASE WHEN o.outcome = 'bid' THEN o.value_wei END \
             FROM offers o JOIN auctions a ON a.id = o.auction_id \
             WHERE a.requested_at >= $1 AND a.requested_at < $2 AND o.outcome <> 'not_asked' AND NOT EXISTS \
             (SELECT 1 FROM polls p WHERE p.auction_id = o.auction_id AND p.counterparty = o.counterparty) \
             ORDER BY auction DESC LIMIT $3",
        )
        .bind(since)
        .bind(until)
        .bind(MAX_POLLS)
        .fetch_all(self.pool())
        .await?;
        let mut polls: BTreeMap<String, Vec<PollFact>> = BTreeMap::new();
        for RelayPoll { relay, poll } in rows {
            polls.entry(relay).or_default().push(poll);
        }
        Ok(polls)
    }

    /// When auctions between two times began in their slots and how long they had: medians, in milliseconds; `None` without any.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn race_times(&self, since: i64, until: i64) -> Result<Option<(i64, i64)>, LedgerError> {
        let rows: Vec<(i64, i64)> = sqlx::query_as(
            "SELECT ms_into_slot, budget_ms FROM auctions WHERE requested_at >= $1 AND requested_at < $2 \
             AND budget_ms > 0 ORDER BY id DESC LIMIT $3",
        )
        .bind(since)
        .bind(until)
        .bind(MAX_POLLS)
        .fetch_all(self.pool())
        .await?;
        let (mut asked, mut budgets): (Vec<i64>, Vec<i64>) = rows.into_iter().unzip();
        asked.sort_unstable();
        budgets.sort_unstable();
        let median = |values: &[i64]| values.get(values.len() / 2).copied();
        Ok(median(&asked).zip(median(&budgets)))
    }
}

/// A poll, and whose it was.
struct RelayPoll {
    relay: String,
    poll: PollFact,
}

from_row!(|row| PollFact { auction, sent_ms: "sent", latency_us, value_wei });
from_row!(|row| RelayPoll { relay: "counterparty"; poll = sqlx::FromRow::from_row(row)? });
