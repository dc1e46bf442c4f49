//! What happened in each slot, put together from its tables for people.

use super::{
    AnswerView, AuctionView, BidView, Ledger, LedgerError, PollView, SlotSummary, SlotView, SubmissionView,
    database::{DbConnection, Row},
    journal::split_ids,
    missed_requests::missed_request,
    row::{from_row, get},
};
use crate::{
    events::{Fate, SlotStatus},
    types::{Slot, Wei},
};

/// The newest slots, from as few entries of each table's index: a union of whole tables would read a year to find fifty.
pub(super) const NEWEST_SLOTS: &str = "SELECT slot FROM (\
     SELECT slot FROM (SELECT DISTINCT slot FROM auctions ORDER BY slot DESC LIMIT $1) AS of_auctions UNION \
     SELECT slot FROM (SELECT DISTINCT slot FROM submissions ORDER BY slot DESC LIMIT $1) AS of_submissions UNION \
     SELECT slot FROM (SELECT DISTINCT slot FROM missed_requests ORDER BY slot DESC LIMIT $1) AS of_missed) AS seen \
     ORDER BY slot DESC LIMIT $1";

impl Ledger {
    /// Whether every signed block of a slot was refused by all relays when it was handed in; `false` where none was handed in.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn was_refused_by_all(&self, slot: u64) -> Result<bool, LedgerError> {
        let failed = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM submissions WHERE slot = $1 AND fate = $2) \
             AND NOT EXISTS (SELECT 1 FROM submissions WHERE slot = $1 AND fate <> $2)",
        );
        let failed = failed.bind(slot.cast_signed()).bind(Fate::Failed.label());
        Ok(failed.fetch_one(self.pool()).await?)
    }

    /// The newest slots that something happened in, newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn slots(&self, limit: u32) -> Result<Vec<SlotSummary>, LedgerError> {
        let newest = sqlx::query_scalar(NEWEST_SLOTS).bind(i64::from(limit));
        let newest: Vec<i64> = newest.fetch_all(self.pool()).await?;
        let mut slots = Vec::with_capacity(newest.len());
        for slot in newest {
            let slot = Slot::new(slot.cast_unsigned());
            slots.extend(self.slot(slot).await?.map(|view| SlotSummary { view }));
        }
        Ok(slots)
    }

    /// Everything about one slot; `None` when nothing happened in it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn slot(&self, slot: Slot) -> Result<Option<SlotView>, LedgerError> {
        let number = slot.as_u64().cast_signed();
        // One snapshot for all of it: a submission is never shown with answers that are newer than its fate.
        let mut tx = self.pool().begin().await?;
        let auctions = auctions_of(&mut tx, number).await?;
        let submissions = submissions_of(&mut tx, number).await?;
        let missed_request = missed_request(&mut tx, number).await?;
        drop(tx);
        if auctions.is_empty() && submissions.is_empty() && missed_request.is_none() {
            return Ok(None);
        }
        let payment = self.settlement(slot).await?;
        let payment = payment.filter(|row| row.outcome.is_some() || row.status == SlotStatus::Unknowable);
        let trimmed = self.trimmed_of(slot).await?;
        Ok(Some(SlotView { slot: slot.as_u64(), auctions, submissions, missed_request, payment, trimmed }))
    }
}

async fn auctions_of(tx: &mut DbConnection, slot: i64) -> Result<Vec<AuctionView>, sqlx::Error> {
    let auctions = sqlx::query_as("SELECT * FROM auctions WHERE slot = $1 ORDER BY id");
    let mut auctions: Vec<AuctionView> = auctions.bind(slot).fetch_all(&mut *tx).await?;
    for auction in &mut auctions {
        let bids = sqlx::query_as("SELECT * FROM offers WHERE auction_id = $1 ORDER BY counterparty");
        auction.bids = bids.bind(auction.id).fetch_all(&mut *tx).await?;
        let polls = sqlx::query_as("SELECT * FROM polls WHERE auction_id = $1 ORDER BY counterparty, number");
        let polls: Vec<RelayPoll> = polls.bind(auction.id).fetch_all(&mut *tx).await?;
        for RelayPoll { relay, poll } in polls {
            if let Some(bid) = auction.bids.iter_mut().find(|bid| bid.relay == relay) {
                bid.polls.push(poll);
            }
        }
    }
    Ok(auctions)
}

async fn submissions_of(tx: &mut DbConnection, slot: i64) -> Result<Vec<SubmissionView>, sqlx::Error> {
    let submissions = sqlx::query_as("SELECT * FROM submissions WHERE slot = $1 ORDER BY received_at");
    let mut submissions: Vec<SubmissionView> = submissions.bind(slot).fetch_all(&mut *tx).await?;
    for submission in &mut submissions {
        let answers = sqlx::query_as(
            "SELECT * FROM submission_answers WHERE slot = $1 AND block_hash = $2 ORDER BY counterparty",
        );
        submission.answers = answers.bind(slot).bind(&submission.block_hash).fetch_all(&mut *tx).await?;
    }
    Ok(submissions)
}

/// A poll, and whose it was.
struct RelayPoll {
    relay: String,
    poll: PollView,
}

from_row!(|row| RelayPoll { relay: "counterparty"; poll = sqlx::FromRow::from_row(row)? });

/// A value in ETH, of a column that has it in wei.
fn eth(row: &Row, column: &str) -> Result<Option<String>, sqlx::Error> {
    let text: Option<String> = get(row, column)?;
    Ok(text.and_then(|text| Wei::parse_wei(&text).ok()).map(Wei::to_eth))
}

/// Ids by commas.
fn ids(row: &Row, column: &str) -> Result<Vec<String>, sqlx::Error> {
    Ok(split_ids(&get::<Option<String>>(row, column)?.unwrap_or_default()))
}

from_row!(|row| AuctionView {
    id, slot, parent_hash, proposer, fork, requested_at, ms_into_slot, budget_ms, answered_in_us, user_agent, policy, race,
    winner_block_hash, winner_value_wei, no_bid_reason: "why_no_bid";
    winner_value_eth = eth(row, "winner_value_wei")?,
    winner_relays = ids(row, "winner_counterparties")?,
    bids = Vec::new(),
});

from_row!(|row| BidView {
    relay: "counterparty", outcome, message: "detail", http_status, latency_us, value_wei, block_hash, verified;
    value_eth = eth(row, "value_wei")?,
    score_eth = eth(row, "score_wei")?,
    polls = Vec::new(),
});

from_row!(|row| PollView {
    number, sent_ms_into_slot, latency_us, outcome;
    value_eth = eth(row, "value_wei")?,
});

from_row!(|row| SubmissionView {
    slot, block_hash, parent_hash, proposer_index, fork, version, received_at, ms_into_slot, undecoded, fate, decided_by, decided_in_us;
    offered_by = ids(row, "offered_by")?,
    answers = Vec::new(),
});

from_row!(|row| AnswerView {
    relay: "counterparty",
    outcome,
    message: "detail",
    http_status,
    latency_us,
    attempts
});
