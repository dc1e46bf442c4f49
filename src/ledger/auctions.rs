//! Writing down an auction: its row, what each relay answered, every single request of timing games, and the slot that is to be settled.
//!
//! An auction comes with every header, on the cores that serve headers: rows of one kind go in by one statement, however many relays there are.

use metrics::counter;
use sqlx::QueryBuilder;

use super::{database::Db, journal::join_ids, query::WriteTransaction, relay_stats::count_offers};
use crate::{
    events::{AuctionRecord, Winner},
    types::{DAY_MS, RelayId, Slot},
};

/// A slot is written down from a month before it starts until a month after: a client that is set up wrong, or whoever else reaches the builder's
/// port, may ask for any number, and one absurd slot would decide where every report begins or ends. The width allows for any clock,
/// and for whoever tries a slot of some days ahead.
pub(super) const WRITTEN_FROM_MS: i64 = -30 * DAY_MS;
pub(super) const WRITTEN_UNTIL_MS: i64 = 30 * DAY_MS;

/// Whether something that came so far into its slot (in milliseconds, negative before it) is of a slot that is about now.
pub(super) const fn is_about_now(ms_into_slot: i64) -> bool {
    WRITTEN_FROM_MS <= ms_into_slot && ms_into_slot <= WRITTEN_UNTIL_MS
}

/// Rows of one statement. Databases bound what one statement binds: SQLite to 32,766 values.
const MAX_ROWS: usize = 500;

type Result<T> = std::result::Result<T, sqlx::Error>;

/// Writes an auction down, whole; one of another time is only counted.
pub(super) async fn auction_ended(write: &mut WriteTransaction, record: &AuctionRecord) -> Result<()> {
    if !is_about_now(record.ms_into_slot) {
        counter!("relaymux_ledger_auctions_of_other_times_total").increment(1);
        return Ok(());
    }
    let id = auction(write, record).await?;
    open_settlement(write, record.slot, record.winner.as_deref().map(|winner| (record, winner))).await?;
    answers(write, id, record).await?;
    polls(write, id, record).await?;
    count_offers(write, id).await
}

async fn auction(write: &mut WriteTransaction, record: &AuctionRecord) -> Result<i64> {
    let winner = record.winner.as_ref();
    sqlx::query_scalar(
        "INSERT INTO auctions (slot, parent_hash, proposer, fork, requested_at, ms_into_slot, budget_ms, \
         answered_in_us, user_agent, winner_block_hash, winner_value_wei, winner_counterparties, why_no_bid, \
         policy, fee_recipient, winner_builder, winner_fork, winner_bid_ssz, race, instance) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20) RETURNING id",
    )
    .bind(record.slot.as_u64().cast_signed())
    .bind(record.parent_hash.to_string())
    .bind(record.proposer.to_string())
    .bind(record.fork.name())
    .bind(record.requested_at)
    .bind(record.ms_into_slot)
    .bind(record.budget_ms.cast_signed())
    .bind(record.answered_in_us.cast_signed())
    .bind(&record.user_agent)
    .bind(winner.map(|w| w.block_hash.to_string()))
    .bind(winner.map(|w| w.value.to_string()))
    .bind(winner.map(|w| join_ids(&w.relays)))
    .bind(&record.no_bid_reason)
    .bind(record.policy.as_deref().unwrap_or_default())
    .bind(record.fee_recipient.map(|address| address.to_string()))
    .bind(winner.map(|w| w.builder.as_str()))
    .bind(winner.map(|_| record.fork.name()))
    .bind(winner.map(|w| w.signed_bid.to_vec()))
    .bind(record.race.label())
    .bind(write.instance)
    .fetch_one(&mut *write.tx)
    .await
}

async fn answers(write: &mut WriteTransaction, auction: i64, record: &AuctionRecord) -> Result<()> {
    for answers in record.answers.chunks(MAX_ROWS) {
        let mut insert = QueryBuilder::<Db>::new(
            "INSERT INTO offers (auction_id, counterparty, outcome, detail, http_status, latency_us, value_wei, \
             block_hash, verified, requested_at, score_wei, instance) ",
        );
        insert.push_values(answers, |mut row, answer| {
            row.push_bind(auction)
                .push_bind(answer.relay.as_str())
                .push_bind(answer.outcome.label())
                .push_bind(&answer.message)
                .push_bind(answer.http_status.map(i64::from))
                .push_bind(answer.latency_us.cast_signed())
                .push_bind(answer.value.map(|value| value.to_string()))
                .push_bind(answer.block_hash.map(|hash| hash.to_string()))
                .push_bind(answer.verified)
                .push_bind(record.requested_at)
                .push_bind(answer.score.map(|score| score.to_string()))
                .push_bind(write.instance);
        });
        insert.push(" ON CONFLICT DO NOTHING");
        insert.build().execute(&mut *write.tx).await?;
    }
    Ok(())
}

async fn polls(write: &mut WriteTransaction, auction: i64, record: &AuctionRecord) -> Result<()> {
    let polls: Vec<_> = record
        .answers
        .iter()
        .flat_map(|answer| answer.polls.iter().map(move |poll| (answer, poll)))
        .collect();
    for polls in polls.chunks(MAX_ROWS) {
        let mut insert = QueryBuilder::<Db>::new(
            "INSERT INTO polls (auction_id, counterparty, number, sent_ms_into_slot, latency_us, outcome, value_wei, instance) ",
        );
        insert.push_values(polls, |mut row, (answer, poll)| {
            row.push_bind(auction)
                .push_bind(answer.relay.as_str())
                .push_bind(i64::from(poll.number))
                .push_bind(poll.sent_ms_into_slot)
                .push_bind(poll.latency_us.cast_signed())
                .push_bind(poll.outcome.label())
                .push_bind(poll.value.map(|value| value.to_string()))
                .push_bind(write.instance);
        });
        insert.push(" ON CONFLICT DO NOTHING");
        // As many texts as there are numbers of requests: not worth being kept ready.
        insert.build().persistent(false).execute(&mut *write.tx).await?;
    }
    Ok(())
}

/// The slot is to be settled, once the chain has it; until then its row says what was promised.
pub(super) async fn open_settlement(
    write: &mut WriteTransaction,
    slot: Slot,
    promise: Option<(&AuctionRecord, &Winner)>,
) -> Result<()> {
    let revision = write.revision().await?;
    sqlx::query(
        "INSERT INTO settlements (slot, revision, instance) VALUES ($1, $2, $3) \
         ON CONFLICT (slot) DO UPDATE SET revision = excluded.revision",
    )
    .bind(slot.as_u64().cast_signed())
    .bind(revision)
    .bind(write.instance)
    .execute(&mut *write.tx)
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
        .execute(&mut *write.tx)
        .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use alloy_primitives::B256;

    use super::*;
    use crate::{
        consensus::SlotClock,
        events::RaceShare,
        ledger::Ledger,
        types::{Fork, UnixMillis},
    };

    const NOW: UnixMillis = 1_800_000_000_000;

    fn asked_for(slot: u64) -> AuctionRecord {
        let clock = SlotClock::new(1_606_824_023, 12_000);
        let slot = Slot::new(slot);
        AuctionRecord {
            slot,
            parent_hash: B256::ZERO,
            proposer: Default::default(),
            fork: Fork::Electra,
            requested_at: NOW,
            ms_into_slot: clock.ms_into(slot, NOW),
            budget_ms: 950,
            answered_in_us: 1,
            user_agent: String::new(),
            policy: None,
            fee_recipient: None,
            race: RaceShare::Own,
            winner: None,
            no_bid_reason: String::new(),
            answers: Vec::new(),
        }
    }

    #[tokio::test]
    async fn a_slot_of_another_time_is_not_written_down() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        let present = SlotClock::new(1_606_824_023, 12_000).slot_at(NOW).as_u64();
        let absurd =
            [0, 1, present - 216_001, present + 216_001, 770_000_000_000_000, u64::MAX / 2, u64::MAX];
        let usual = [present - 215_999, present, present + 215_999];
        let mut write = ledger.write().await.unwrap();
        for slot in absurd.into_iter().chain(usual) {
            auction_ended(&mut write, &asked_for(slot)).await.unwrap();
        }
        write.commit().await.unwrap();
        for table in ["auctions", "settlements"] {
            let slots = sqlx::AssertSqlSafe(format!("SELECT slot FROM {table} ORDER BY slot"));
            let slots: Vec<i64> = sqlx::query_scalar(slots).fetch_all(ledger.pool()).await.unwrap();
            assert_eq!(slots, usual.map(u64::cast_signed), "{table}");
        }
    }
}
