//! The one task that writes the ledger, fed by the spine.

use sqlx::{Sqlite, Transaction};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{
    Ledger,
    journal::{bind_answer, join_ids, upsert_answer},
};
use crate::{
    events::{
        AuctionRecord, BlockReceived, Event, ProbeResult, RegistrationAnswer, RegistrationRound,
        RelayModeChanged, ReputationSaved, SubmissionAnswer, SubmissionClosed, Subscription, Winner,
    },
    types::{RelayId, Slot},
};

/// Events written in one transaction, at most. Arbitrary: bounds the time readers see an old state.
const BATCH: usize = 512;

const DAY_MS: i64 = 86_400_000;
/// A slot starts at most this long before or after something happens in it.
const MIDNIGHT_MS: i64 = 60_000;

type Result<T> = std::result::Result<T, sqlx::Error>;

/// Writes events until told to stop, then writes what is waiting and ends.
pub async fn run_writer(ledger: Ledger, mut events: Subscription, stop: CancellationToken) {
    loop {
        let first = tokio::select! {
            event = events.next() => event,
            () = stop.cancelled() => events.try_next(),
        };
        let Some(first) = first else { return };
        let mut batch = vec![first];
        while batch.len() < BATCH
            && let Some(event) = events.try_next()
        {
            batch.push(event);
        }
        // A disk that refuses costs the ledger these events, never the auction its answer.
        if let Err(error) = write_batch(&ledger, &batch).await {
            warn!(%error, events = batch.len(), "ledger write failed, events lost");
        }
    }
}

async fn write_batch(ledger: &Ledger, batch: &[std::sync::Arc<Event>]) -> Result<()> {
    let mut write = ledger.write().await?;
    let tx = &mut write.tx;
    for event in batch {
        match &**event {
            Event::Auction(record) => auction(tx, record).await?,
            Event::BlockReceived(block) => block_received(tx, block).await?,
            Event::SubmissionAnswer(answer) => submission_answer(tx, answer).await?,
            Event::SubmissionClosed(closed) => submission_closed(tx, closed).await?,
            Event::Registrations(round) => registrations(tx, round).await?,
            Event::RegistrationAnswer(answer) => registration_answer(tx, answer).await?,
            Event::Relay(state) => relay_state(tx, state).await?,
            Event::RelayModeChanged(placed) => relay_placed(tx, placed).await?,
            Event::ReputationSaved(saved) => standing_saved(tx, saved).await?,
            // The room that watches payments writes them down itself.
            Event::Settlement(_) | Event::SlotSettled(_) | Event::Notice(_) => {}
        }
    }
    write.commit().await
}

async fn auction(tx: &mut Transaction<'_, Sqlite>, record: &AuctionRecord) -> Result<()> {
    let winner = record.winner.as_ref();
    let id = sqlx::query(
        "INSERT INTO auctions (slot, parent_hash, proposer, fork, requested_at, ms_into_slot, budget_ms, \
         answered_in_us, user_agent, winner_block_hash, winner_value_wei, winner_counterparties, why_no_bid, \
         policy, fee_recipient, winner_builder, winner_fork, winner_bid_ssz) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
    )
    .bind(record.slot.as_u64().cast_signed())
    .bind(record.parent_hash.to_string())
    .bind(record.proposer.to_string())
    .bind(record.fork)
    .bind(record.requested_at)
    .bind(record.ms_into_slot)
    .bind(record.budget_ms.cast_signed())
    .bind(record.answered_in_us.cast_signed())
    .bind(&record.user_agent)
    .bind(winner.map(|w| w.block_hash.to_string()))
    .bind(winner.map(|w| w.value.to_string()))
    .bind(winner.map(|w| join_ids(&w.relays)))
    .bind(&record.why_no_bid)
    .bind(record.policy.as_deref().unwrap_or_default())
    .bind(record.fee_recipient.map(|address| address.to_string()))
    .bind(winner.map(|w| w.builder.as_str()))
    .bind(winner.map(|_| record.fork))
    .bind(winner.map(|w| w.signed_bid.to_vec()))
    .execute(&mut **tx)
    .await?
    .last_insert_rowid();
    open_settlement(tx, record.slot, record.requested_at, winner.map(|winner| (record, &**winner))).await?;
    for offer in &record.offers {
        sqlx::query(
            "INSERT INTO offers (auction_id, counterparty, outcome, detail, http_status, latency_us, value_wei, \
             block_hash, verified, requested_at, score_wei) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
             ON CONFLICT DO NOTHING",
        )
        .bind(id)
        .bind(offer.relay.as_str())
        .bind(offer.outcome.label())
        .bind(&offer.detail)
        .bind(offer.http_status.map(i64::from))
        .bind(offer.latency_us.cast_signed())
        .bind(offer.value.map(|value| value.to_string()))
        .bind(offer.block_hash.map(|hash| hash.to_string()))
        .bind(offer.verified)
        .bind(record.requested_at)
        .bind(offer.score.map(|score| score.to_string()))
        .execute(&mut **tx)
        .await?;
        for poll in &offer.polls {
            sqlx::query(
                "INSERT INTO polls (auction_id, counterparty, number, sent_ms_into_slot, latency_us, outcome, value_wei) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
            )
            .bind(id)
            .bind(offer.relay.as_str())
            .bind(i64::from(poll.number))
            .bind(poll.sent_ms_into_slot)
            .bind(poll.latency_us.cast_signed())
            .bind(poll.outcome.label())
            .bind(poll.value.map(|value| value.to_string()))
            .execute(&mut **tx)
            .await?;
        }
    }
    Ok(())
}

/// The slot is to be settled, once the chain has it; until then its row says what was promised.
async fn open_settlement(
    tx: &mut Transaction<'_, Sqlite>,
    slot: Slot,
    at: i64,
    promise: Option<(&AuctionRecord, &Winner)>,
) -> Result<()> {
    sqlx::query("INSERT INTO settlements (slot) VALUES ($1) ON CONFLICT DO NOTHING")
        .bind(slot.as_u64().cast_signed())
        .execute(&mut **tx)
        .await?;
    if let Some((record, winner)) = promise {
        sqlx::query(
            "UPDATE settlements SET promised_block = $2, promised_wei = $3, relay = $4, builder = $5, proposer = $6 \
             WHERE slot = $1 AND status = 'open'",
        )
        .bind(slot.as_u64().cast_signed())
        .bind(winner.block_hash.to_string())
        .bind(winner.value.to_string())
        .bind(winner.relays.first().map(RelayId::as_str))
        .bind(&winner.builder)
        .bind(record.proposer.to_string())
        .execute(&mut **tx)
        .await?;
    }
    // The day the slot starts in is that of the moment, or its neighbour around midnight.
    for day in [(at - MIDNIGHT_MS).div_euclid(DAY_MS), (at + MIDNIGHT_MS).div_euclid(DAY_MS)] {
        sqlx::query("INSERT INTO profit_stale_days (day) VALUES ($1) ON CONFLICT DO NOTHING")
            .bind(day)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

async fn block_received(tx: &mut Transaction<'_, Sqlite>, block: &BlockReceived) -> Result<()> {
    sqlx::query(
        "INSERT INTO submissions (slot, block_hash, parent_hash, proposer_index, fork, version, received_at, \
         ms_into_slot, offered_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
    )
    .bind(block.slot.as_u64().cast_signed())
    .bind(block.block_hash.to_string())
    .bind(block.parent_hash.to_string())
    .bind(block.proposer_index.cast_signed())
    .bind(block.fork)
    .bind(i64::from(block.version))
    .bind(block.at)
    .bind(block.ms_into_slot)
    .bind(join_ids(&block.offered_by))
    .execute(&mut **tx)
    .await?;
    open_settlement(tx, block.slot, block.at, None).await
}

async fn submission_answer(tx: &mut Transaction<'_, Sqlite>, answer: &SubmissionAnswer) -> Result<()> {
    bind_answer(sqlx::query(upsert_answer!("submission_answers")), answer).execute(&mut **tx).await?;
    Ok(())
}

async fn submission_closed(tx: &mut Transaction<'_, Sqlite>, closed: &SubmissionClosed) -> Result<()> {
    sqlx::query(
        "UPDATE submissions SET fate = $3, decided_by = $4, decided_in_us = $5, decided_at = $6 \
         WHERE slot = $1 AND block_hash = $2 AND fate NOT IN ('delivered', 'accepted')",
    )
    .bind(closed.slot.as_u64().cast_signed())
    .bind(closed.block_hash.to_string())
    .bind(closed.fate)
    .bind(closed.by.as_ref().map(RelayId::as_str))
    .bind(closed.latency_us.cast_signed())
    .bind(closed.at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn registrations(tx: &mut Transaction<'_, Sqlite>, round: &RegistrationRound) -> Result<()> {
    for registration in &round.changed {
        sqlx::query(
            "INSERT INTO registrations (pubkey, fee_recipient, gas_limit, signed_at, received_at) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (pubkey) DO UPDATE SET fee_recipient = excluded.fee_recipient, \
             gas_limit = excluded.gas_limit, signed_at = excluded.signed_at, received_at = excluded.received_at",
        )
        .bind(registration.pubkey.to_string())
        .bind(registration.fee_recipient.to_string())
        .bind(registration.gas_limit.cast_signed())
        .bind(registration.timestamp.cast_signed())
        .bind(round.at)
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

async fn registration_answer(tx: &mut Transaction<'_, Sqlite>, answer: &RegistrationAnswer) -> Result<()> {
    sqlx::query(
        "INSERT INTO registration_answers (counterparty, answered_at, accepted, outcome, detail, http_status, \
         latency_us) VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(answer.relay.as_str())
    .bind(answer.at)
    .bind(answer.accepted)
    .bind(answer.outcome.label())
    .bind(&answer.detail)
    .bind(answer.http_status.map(i64::from))
    .bind(answer.latency_us.cast_signed())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn relay_state(tx: &mut Transaction<'_, Sqlite>, state: &ProbeResult) -> Result<()> {
    sqlx::query("INSERT INTO counterparty_states (counterparty, since, usable, why) VALUES ($1, $2, $3, $4)")
        .bind(state.relay.as_str())
        .bind(state.at)
        .bind(state.usable)
        .bind(&state.why)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn relay_placed(tx: &mut Transaction<'_, Sqlite>, placed: &RelayModeChanged) -> Result<()> {
    sqlx::query(
        "INSERT INTO counterparty_places (counterparty, since, place, before, why, score) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(placed.relay.as_str())
    .bind(placed.at)
    .bind(placed.state.label())
    .bind(placed.before.map(|before| before.label()))
    .bind(&placed.why)
    .bind(placed.score)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn standing_saved(tx: &mut Transaction<'_, Sqlite>, saved: &ReputationSaved) -> Result<()> {
    sqlx::query(
        "INSERT INTO counterparty_standings (counterparty, standing, saved_at) VALUES ($1, $2, $3) \
         ON CONFLICT (counterparty) DO UPDATE SET standing = excluded.standing, saved_at = excluded.saved_at",
    )
    .bind(saved.relay.as_str())
    .bind(&saved.reputation)
    .bind(saved.at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
