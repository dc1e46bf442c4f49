//! What each slot paid: rows of `settlements`, and what the settlement of a slot needs to know of it.

use std::collections::BTreeSet;

use alloy_primitives::{Address, B256};
use serde::Serialize;
use sqlx::{Row, Sqlite, Transaction, sqlite::SqliteRow};

use super::{Ledger, LedgerError, journal::split_ids};
use crate::types::{Slot, Wei, parse_hash};

/// What came of a slot: one row of the ledger, ready to be shown. Amounts in wei, decimal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Settled {
    /// Which slot.
    pub slot: u64,
    /// `open`, `provisional`, `final` or `unknowable`.
    pub status: String,
    /// `ours`, `local`, `missed`, `not_delivered` or `orphaned`.
    pub outcome: Option<String>,
    /// `exact`, `over`, `under`, `unpaid`, `unknown`; none where no relay's promise was to be kept.
    pub payment: Option<String>,
    /// Proposer's key.
    pub proposer: Option<String>,
    /// Proposer's index.
    pub proposer_index: Option<i64>,
    /// Who was to be paid.
    pub fee_recipient: Option<String>,
    /// Whose signed bid was returned.
    pub relay: Option<String>,
    /// Who built the block, as far as the bid or block tells.
    pub builder: Option<String>,
    /// The block that was promised.
    pub promised_block: Option<String>,
    /// What it was to pay.
    pub promised_wei: Option<String>,
    /// Best bid that was there in time, less what arrived.
    pub missed_value_wei: Option<String>,
    /// The winning bid, less its relay's first.
    pub timing_wei: Option<String>,
    /// The slot's block on the execution chain.
    pub block_hash: Option<String>,
    /// Its height.
    pub block_number: Option<i64>,
    /// Its fee recipient.
    pub coinbase: Option<String>,
    /// What reached the recipient.
    pub received_wei: Option<String>,
    /// `trace`, `transactions`, `balance` or `none`.
    pub method: Option<String>,
    /// `high`, `medium`, `low` or `none`.
    pub confidence: Option<String>,
    /// Hashes of the transactions that paid, by commas.
    pub transactions: Option<String>,
    /// What else reached the recipient.
    pub other_inflows_wei: Option<String>,
    /// Withdrawals to the recipient in the block, never part of `received_wei`.
    pub withdrawals_gwei: Option<i64>,
    /// What the consensus layer paid the proposer.
    pub consensus_reward_gwei: Option<i64>,
    /// `agrees`, `differs`, `missing` or `unknown`: the relay's own public record.
    pub data_api: Option<String>,
    /// In words.
    #[serde(rename = "words")]
    pub message: String,
    /// Whether the relays' trust has been told.
    #[serde(skip)]
    pub told: bool,
    /// When it was last looked at, Unix milliseconds.
    pub looked_at: i64,
    /// How often in a row the node could not tell.
    pub refusals: i64,
    /// Not looked at before, Unix milliseconds.
    #[serde(skip)]
    pub look_after: i64,
}

/// What is known of a slot before the chain is asked.
#[derive(Clone, Debug, Default)]
pub struct SlotCase {
    /// Its row as it stands.
    pub row: Settled,
    /// Execution parent of the header or block.
    pub parent_hash: Option<B256>,
    /// Who was to be paid, by the registration of then, else of now.
    pub fee_recipient: Option<Address>,
    /// The block that was promised, and its value.
    pub promised: Option<(B256, Wei)>,
    /// Every relay that promised it.
    pub relays: Vec<String>,
    /// Whether the block was signed and handed in to us.
    pub submitted: bool,
    /// Relays that took the signed block.
    pub took_it: Vec<String>,
    /// Highest usable bid that was there in time.
    pub best_bid: Option<Wei>,
    /// First value of the winner's relay, where it was asked more than once.
    pub first_value: Option<Wei>,
}

/// A slot in a chart. Amounts in ETH, decimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProposalPoint {
    /// Which slot.
    pub slot: u64,
    /// What came of it; none while it is not looked at.
    pub outcome: Option<String>,
    /// How the payment compares.
    pub payment: Option<String>,
    /// Whose header it was.
    pub relay: Option<String>,
    /// What was promised.
    pub claimed_eth: Option<String>,
    /// What arrived.
    pub received_eth: Option<String>,
    /// When the header was asked for, in milliseconds into the slot.
    pub ms_into_slot: Option<i64>,
}

fn wei(text: Option<String>) -> Option<Wei> {
    text.and_then(|text| Wei::parse_wei(&text).ok())
}

fn hash(text: Option<String>) -> Option<B256> {
    text.and_then(|text| parse_hash(&text).ok())
}

impl Ledger {
    /// Slots that are to be looked at `now` (Unix milliseconds), oldest first, after `after` and before `before`: they are neither final
    /// nor given up, nor is the next look at them later.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn unsettled(
        &self,
        after: Slot,
        before: Slot,
        now: i64,
        limit: u32,
    ) -> Result<Vec<Slot>, LedgerError> {
        let rows = sqlx::query(
            "SELECT slot FROM settlements WHERE status <> 'final' AND status <> 'unknowable' AND slot > $1 AND slot < $2 \
             AND look_after <= $3 ORDER BY slot LIMIT $4",
        )
        .bind(after.as_u64().cast_signed())
        .bind(before.as_u64().cast_signed())
        .bind(now)
        .bind(i64::from(limit))
        .fetch_all(self.pool())
        .await?;
        let slots = rows.iter().map(|row| Ok(Slot::new(row.try_get::<i64, _>("slot")?.cast_unsigned())));
        slots.collect()
    }

    /// All that is known of a slot.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn slot_case(&self, slot: Slot) -> Result<SlotCase, LedgerError> {
        let number = slot.as_u64().cast_signed();
        let mut case =
            SlotCase { row: self.settlement(slot).await?.unwrap_or_default(), ..SlotCase::default() };
        case.row.slot = slot.as_u64();
        let submission = sqlx::query(
            "SELECT block_hash, parent_hash, proposer_index FROM submissions WHERE slot = $1 ORDER BY received_at DESC LIMIT 1",
        )
        .bind(number)
        .fetch_optional(self.pool())
        .await?;
        let mut submitted = None;
        if let Some(row) = &submission {
            case.submitted = true;
            // Zero where a block that does not decode did not even show them.
            submitted = hash(row.try_get("block_hash")?).filter(|hash| !hash.is_zero());
            case.parent_hash = hash(row.try_get("parent_hash")?).filter(|hash| !hash.is_zero());
            case.row.proposer_index = Some(row.try_get("proposer_index")?);
            let answers = sqlx::query(
                "SELECT counterparty FROM submission_answers WHERE slot = $1 AND outcome IN ('accepted', 'payload_delivered')",
            );
            for row in answers.bind(number).fetch_all(self.pool()).await? {
                case.took_it.push(row.try_get("counterparty")?);
            }
        }
        // The auction whose block was signed; else the last that ended with a bid; else the last. Of several requests that shared
        // one auction, the one that has its bids.
        let auction = sqlx::query(
            "SELECT id, parent_hash, proposer, fee_recipient, winner_block_hash, winner_value_wei, winner_counterparties, \
             winner_builder FROM auctions WHERE slot = $1 \
             ORDER BY COALESCE(winner_block_hash = $2, FALSE) DESC, winner_block_hash IS NOT NULL DESC, \
             race = 'own' DESC, id DESC LIMIT 1",
        )
        .bind(number)
        .bind(submitted.map(|hash| hash.to_string()))
        .fetch_optional(self.pool())
        .await?;
        if let Some(row) = auction {
            let id: i64 = row.try_get("id")?;
            case.parent_hash = case.parent_hash.or(hash(row.try_get("parent_hash")?));
            let proposer: String = row.try_get("proposer")?;
            let recipient: Option<String> = row.try_get("fee_recipient")?;
            case.fee_recipient = match recipient.and_then(|text| text.parse().ok()) {
                Some(recipient) => Some(recipient),
                None => self.fee_recipient_of(&proposer).await?,
            };
            case.row.proposer = Some(proposer);
            case.promised =
                hash(row.try_get("winner_block_hash")?).zip(wei(row.try_get("winner_value_wei")?));
            let relays: Option<String> = row.try_get("winner_counterparties")?;
            case.relays = split_ids(&relays.unwrap_or_default());
            case.row.relay = case.relays.first().cloned();
            case.row.builder = row.try_get("winner_builder")?;
            let bids = sqlx::query("SELECT value_wei FROM offers WHERE auction_id = $1 AND outcome = 'bid'");
            for row in bids.bind(id).fetch_all(self.pool()).await? {
                case.best_bid = case.best_bid.max(wei(row.try_get("value_wei")?));
            }
            let first = sqlx::query(
                "SELECT value_wei FROM polls WHERE auction_id = $1 AND counterparty = $2 AND value_wei IS NOT NULL \
                 ORDER BY number LIMIT 1",
            );
            let first = first.bind(id).bind(case.row.relay.as_deref()).fetch_optional(self.pool()).await?;
            if let Some(row) = first {
                case.first_value = wei(row.try_get("value_wei")?);
            }
        }
        // A block of an auction that this ledger never saw promises nothing that could be checked.
        if let Some(signed) = submitted
            && case.promised.is_none_or(|(promised, _)| promised != signed)
        {
            case.promised = None;
            case.row.promised_block = Some(signed.to_string());
        }
        Ok(case)
    }

    async fn fee_recipient_of(&self, proposer: &str) -> Result<Option<Address>, LedgerError> {
        let row = sqlx::query("SELECT fee_recipient FROM registrations WHERE pubkey = $1");
        let row = row.bind(proposer).fetch_optional(self.pool()).await?;
        let text = row.map(|row| row.try_get::<String, _>("fee_recipient")).transpose()?;
        Ok(text.and_then(|text| text.parse().ok()))
    }

    /// What came of a slot, as far as it is known.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn settlement(&self, slot: Slot) -> Result<Option<Settled>, LedgerError> {
        let row = sqlx::query("SELECT * FROM settlements WHERE slot = $1");
        let row = row.bind(slot.as_u64().cast_signed()).fetch_optional(self.pool()).await?;
        row.as_ref().map(settled_from).transpose()
    }

    /// What came of the slots from `from` on and before `until`, in their order; only those that were looked at.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn settlements(&self, from: Slot, until: Slot) -> Result<Vec<Settled>, LedgerError> {
        let rows = sqlx::query("SELECT * FROM settlements WHERE slot >= $1 AND slot < $2 ORDER BY slot")
            .bind(from.as_u64().cast_signed())
            .bind(until.as_u64().cast_signed())
            .fetch_all(self.pool())
            .await?;
        rows.iter().map(settled_from).collect()
    }

    /// At most `limit` slots from `from` on and before `until`, in their order, and only those that something is known of.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn settlements_page(
        &self,
        from: Slot,
        until: Slot,
        limit: u32,
    ) -> Result<Vec<Settled>, LedgerError> {
        let rows =
            sqlx::query("SELECT * FROM settlements WHERE slot >= $1 AND slot < $2 ORDER BY slot LIMIT $3")
                .bind(from.as_u64().cast_signed())
                .bind(until.as_u64().cast_signed())
                .bind(i64::from(limit))
                .fetch_all(self.pool())
                .await?;
        rows.iter().map(settled_from).collect()
    }

    /// Writes what was found, all or nothing, and marks the days (since 1970-01-01) whose sums are no longer right.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn save_settlements(&self, rows: &[(Settled, i64)]) -> Result<(), LedgerError> {
        let mut write = self.write().await?;
        let tx = &mut write.tx;
        for (row, _) in rows {
            save_settlement(tx, row).await?;
        }
        let days: BTreeSet<i64> = rows.iter().map(|(_, day)| *day).collect();
        for day in days {
            sqlx::query("INSERT INTO profit_stale_days (day) VALUES ($1) ON CONFLICT DO NOTHING")
                .bind(day)
                .execute(&mut **tx)
                .await?;
        }
        write.commit().await?;
        Ok(())
    }

    /// The newest slots that had a header or a block, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn proposal_points(&self, limit: u32) -> Result<Vec<ProposalPoint>, LedgerError> {
        let rows = sqlx::query(
            "SELECT s.slot AS slot, s.outcome AS outcome, s.payment AS payment, s.received_wei AS received, \
             a.winner_value_wei AS claimed, a.winner_counterparties AS relays, a.ms_into_slot AS ms \
             FROM (SELECT * FROM settlements ORDER BY slot DESC LIMIT $1) s \
             LEFT JOIN auctions a ON a.id = (SELECT id FROM auctions WHERE slot = s.slot \
             ORDER BY winner_block_hash IS NOT NULL DESC, race = 'own' DESC, id DESC LIMIT 1) ORDER BY s.slot",
        );
        let rows = rows.bind(i64::from(limit)).fetch_all(self.pool()).await?;
        let point = |row: &SqliteRow| {
            let relays: Option<String> = row.try_get("relays")?;
            Ok(ProposalPoint {
                slot: row.try_get::<i64, _>("slot")?.cast_unsigned(),
                outcome: row.try_get("outcome")?,
                payment: row.try_get("payment")?,
                relay: relays.and_then(|relays| split_ids(&relays).into_iter().next()),
                claimed_eth: wei(row.try_get("claimed")?).map(Wei::to_eth),
                received_eth: wei(row.try_get("received")?).map(Wei::to_eth),
                ms_into_slot: row.try_get("ms")?,
            })
        };
        rows.iter().map(point).collect()
    }

    /// How many slots before `before` were never looked at.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn unlooked(&self, before: Slot) -> Result<i64, LedgerError> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS n FROM settlements WHERE status <> 'final' AND status <> 'unknowable' AND status = 'open' \
             AND slot < $1",
        );
        let row = row.bind(before.as_u64().cast_signed()).fetch_one(self.pool()).await?;
        Ok(row.try_get("n")?)
    }

    /// How many slots were given up.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn unknowable(&self) -> Result<i64, LedgerError> {
        let row = sqlx::query("SELECT COUNT(*) AS n FROM settlements WHERE status = 'unknowable'");
        Ok(row.fetch_one(self.pool()).await?.try_get("n")?)
    }

    /// Gives slots that were given up one more look; how many. With another node they may be knowable.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn reopen_unknowable(&self) -> Result<u64, LedgerError> {
        let mut write = self.write().await?;
        let done = sqlx::query(
            "UPDATE settlements SET look_after = 0, status = CASE WHEN outcome IS NULL THEN 'open' ELSE 'provisional' END \
             WHERE status = 'unknowable'",
        )
        .execute(&mut *write.tx)
        .await?;
        write.commit().await?;
        Ok(done.rows_affected())
    }

    /// The last slot in the ledger.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn last_slot(&self) -> Result<Option<Slot>, LedgerError> {
        let row = sqlx::query("SELECT MAX(slot) AS slot FROM settlements").fetch_one(self.pool()).await?;
        Ok(row.try_get::<Option<i64>, _>("slot")?.map(|slot| Slot::new(slot.cast_unsigned())))
    }

    /// The first slot in the ledger.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn first_slot(&self) -> Result<Option<Slot>, LedgerError> {
        let row = sqlx::query("SELECT MIN(slot) AS slot FROM settlements").fetch_one(self.pool()).await?;
        Ok(row.try_get::<Option<i64>, _>("slot")?.map(|slot| Slot::new(slot.cast_unsigned())))
    }

    /// The signed bid that was returned for a block: its fork and its SSZ.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn signed_bid(
        &self,
        slot: Slot,
        block: &str,
    ) -> Result<Option<(String, Vec<u8>)>, LedgerError> {
        let row = sqlx::query(
            "SELECT winner_fork, winner_bid_ssz FROM auctions WHERE slot = $1 AND winner_block_hash = $2 \
             AND winner_bid_ssz IS NOT NULL ORDER BY id DESC LIMIT 1",
        );
        let row = row.bind(slot.as_u64().cast_signed()).bind(block).fetch_optional(self.pool()).await?;
        row.map(|row| Ok((row.try_get("winner_fork")?, row.try_get("winner_bid_ssz")?))).transpose()
    }
}

async fn save_settlement(tx: &mut Transaction<'_, Sqlite>, row: &Settled) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM settlements WHERE slot = $1")
        .bind(row.slot.cast_signed())
        .execute(&mut **tx)
        .await?;
    sqlx::query(
        "INSERT INTO settlements (slot, status, outcome, payment, proposer, proposer_index, fee_recipient, relay, \
         builder, promised_block, promised_wei, missed_value_wei, timing_wei, block_hash, block_number, coinbase, \
         received_wei, method, confidence, transactions, other_inflows_wei, withdrawals_gwei, consensus_reward_gwei, \
         data_api, words, told, looked_at, refusals, look_after) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, \
         $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29)",
    )
    .bind(row.slot.cast_signed())
    .bind(&row.status)
    .bind(&row.outcome)
    .bind(&row.payment)
    .bind(&row.proposer)
    .bind(row.proposer_index)
    .bind(&row.fee_recipient)
    .bind(&row.relay)
    .bind(&row.builder)
    .bind(&row.promised_block)
    .bind(&row.promised_wei)
    .bind(&row.missed_value_wei)
    .bind(&row.timing_wei)
    .bind(&row.block_hash)
    .bind(row.block_number)
    .bind(&row.coinbase)
    .bind(&row.received_wei)
    .bind(&row.method)
    .bind(&row.confidence)
    .bind(&row.transactions)
    .bind(&row.other_inflows_wei)
    .bind(row.withdrawals_gwei)
    .bind(row.consensus_reward_gwei)
    .bind(&row.data_api)
    .bind(&row.message)
    .bind(row.told)
    .bind(row.looked_at)
    .bind(row.refusals)
    .bind(row.look_after)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) fn settled_from(row: &SqliteRow) -> Result<Settled, LedgerError> {
    Ok(Settled {
        slot: row.try_get::<i64, _>("slot")?.cast_unsigned(),
        status: row.try_get("status")?,
        outcome: row.try_get("outcome")?,
        payment: row.try_get("payment")?,
        proposer: row.try_get("proposer")?,
        proposer_index: row.try_get("proposer_index")?,
        fee_recipient: row.try_get("fee_recipient")?,
        relay: row.try_get("relay")?,
        builder: row.try_get("builder")?,
        promised_block: row.try_get("promised_block")?,
        promised_wei: row.try_get("promised_wei")?,
        missed_value_wei: row.try_get("missed_value_wei")?,
        timing_wei: row.try_get("timing_wei")?,
        block_hash: row.try_get("block_hash")?,
        block_number: row.try_get("block_number")?,
        coinbase: row.try_get("coinbase")?,
        received_wei: row.try_get("received_wei")?,
        method: row.try_get("method")?,
        confidence: row.try_get("confidence")?,
        transactions: row.try_get("transactions")?,
        other_inflows_wei: row.try_get("other_inflows_wei")?,
        withdrawals_gwei: row.try_get("withdrawals_gwei")?,
        consensus_reward_gwei: row.try_get("consensus_reward_gwei")?,
        data_api: row.try_get("data_api")?,
        message: row.try_get("words")?,
        told: row.try_get("told")?,
        looked_at: row.try_get("looked_at")?,
        refusals: row.try_get("refusals")?,
        look_after: row.try_get("look_after")?,
    })
}
