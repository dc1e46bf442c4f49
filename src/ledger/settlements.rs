//! What each slot paid: rows of `settlements`, and what the settlement of a slot needs to know of it.

use alloy_primitives::{Address, B256};
use serde::Serialize;

use super::{
    Ledger, LedgerError,
    journal::split_ids,
    query::WriteTransaction,
    row::{from_row, get},
};
use crate::{
    events::{Confidence, DataApiVerdict, Evidence, Method, PaymentVerdict, SlotOutcome, SlotStatus},
    types::{Label, Slot, Wei, parse_hash},
};

/// No chain has slots beyond this one: at a second each they are 136 years. A row that has one all the same is nobody's slot, and its time would
/// be beyond what numbers hold.
pub(super) const LAST_SLOT: i64 = u32::MAX as i64;

/// What came of a slot: one row of the ledger, ready to be shown. Amounts in wei, decimal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Settled {
    /// The slot that this is about.
    pub slot: u64,
    /// Whether a later look may change what is said here.
    pub status: Label<SlotStatus>,
    /// What came of it; none while it is not looked at.
    pub outcome: Option<Label<SlotOutcome>>,
    /// Whether the relay's promise was kept; none where there was none to keep.
    pub payment: Option<Label<PaymentVerdict>>,
    /// The proposer's BLS public key.
    pub proposer: Option<String>,
    /// Proposer's index.
    pub proposer_index: Option<i64>,
    /// The address that the validator had registered.
    pub fee_recipient: Option<String>,
    /// The relay whose signed bid was returned; none for a local block.
    pub relay: Option<String>,
    /// Who built the block, as far as the bid or block tells.
    pub builder: Option<String>,
    /// The block that was promised.
    pub promised_block: Option<String>,
    /// Wei that the returned bid promised.
    pub promised_wei: Option<String>,
    /// Best bid that was there in time, less what arrived.
    pub missed_value_wei: Option<String>,
    /// The winning bid, less its relay's first.
    pub timing_wei: Option<String>,
    /// The slot's block on the execution chain.
    pub block_hash: Option<String>,
    /// Height of the execution block that is on chain.
    pub block_number: Option<i64>,
    /// Fee recipient of the block that is on chain.
    pub coinbase: Option<String>,
    /// Wei that reached the recipient for the block, as far as it is proven.
    pub received_wei: Option<String>,
    /// How that was found out.
    pub method: Option<Label<Method>>,
    /// How sure that is. Nobody is blamed on `low` or `none`.
    pub confidence: Option<Label<Confidence>>,
    /// Hashes of the transactions that paid, by commas.
    pub transactions: Option<String>,
    /// What else reached the recipient.
    pub other_inflows_wei: Option<String>,
    /// Withdrawals to the recipient in the block, never part of `received_wei`.
    pub withdrawals_gwei: Option<i64>,
    /// What the consensus layer paid the proposer.
    pub consensus_reward_gwei: Option<i64>,
    /// What the relay's own public record says.
    pub data_api: Option<Label<DataApiVerdict>>,
    /// What happened, as a sentence for people. Nothing is decided by it.
    #[serde(rename = "words")]
    pub message: String,
    /// When it was last looked at, Unix milliseconds.
    pub looked_at: i64,
    /// How often in a row the node could not tell.
    pub refusals: i64,
    /// Not looked at before, Unix milliseconds.
    #[serde(skip)]
    pub look_after: i64,
}

from_row!(|row| Settled {
    slot,
    status,
    outcome,
    payment,
    proposer,
    proposer_index,
    fee_recipient,
    relay,
    builder,
    promised_block,
    promised_wei,
    missed_value_wei,
    timing_wei,
    block_hash,
    block_number,
    coinbase,
    received_wei,
    method,
    confidence,
    transactions,
    other_inflows_wei,
    withdrawals_gwei,
    consensus_reward_gwei,
    data_api,
    message: "words",
    looked_at,
    refusals,
    look_after,
});

impl Settled {
    /// What came of the slot, where that is known to this version.
    pub fn known_outcome(&self) -> Option<SlotOutcome> {
        self.outcome.as_ref().and_then(Label::known)
    }

    /// Whether the promise was kept, where that is known to this version.
    pub fn known_payment(&self) -> Option<PaymentVerdict> {
        self.payment.as_ref().and_then(Label::known)
    }

    /// How the payment was found out, and how sure that is.
    pub fn evidence(&self) -> Evidence {
        Evidence::of_record(self.method.as_ref(), self.confidence.as_ref())
    }
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
    /// The slot that this is about.
    pub slot: u64,
    /// What came of it; none while it is not looked at.
    pub outcome: Option<Label<SlotOutcome>>,
    /// Whether the promise was kept; none where there was none.
    pub payment: Option<Label<PaymentVerdict>>,
    /// The relay whose header was returned; none for a local block.
    pub relay: Option<String>,
    /// Value of the returned bid in ETH; none where no bid was returned.
    pub claimed_eth: Option<String>,
    /// What the fee recipient got for it, in ETH; none where that is not known.
    pub received_eth: Option<String>,
    /// When the header was asked for, in milliseconds into the slot.
    pub ms_into_slot: Option<i64>,
}

from_row!(|row| ProposalPoint {
    slot, outcome, payment, ms_into_slot: "ms";
    relay = get::<Option<String>>(row, "relays")?.and_then(|relays| split_ids(&relays).into_iter().next()),
    claimed_eth = wei(get(row, "claimed")?).map(Wei::to_eth),
    received_eth = wei(get(row, "received")?).map(Wei::to_eth),
});

/// The auction that a slot's promise is from.
struct PromisingAuction {
    id: i64,
    parent_hash: Option<B256>,
    proposer: String,
    fee_recipient: Option<Address>,
    block_hash: Option<B256>,
    value: Option<Wei>,
    relays: Vec<String>,
    builder: Option<String>,
}

from_row!(|row| PromisingAuction {
    id, proposer, builder: "winner_builder";
    parent_hash = hash(get(row, "parent_hash")?),
    fee_recipient = get::<Option<String>>(row, "fee_recipient")?.and_then(|text| text.parse().ok()),
    block_hash = hash(get(row, "winner_block_hash")?),
    value = wei(get(row, "winner_value_wei")?),
    relays = split_ids(&get::<Option<String>>(row, "winner_counterparties")?.unwrap_or_default()),
});

fn slot_of(number: i64) -> Slot {
    Slot::new(number.cast_unsigned())
}

/// The highest bid that was there in time. Above the returned bid's value one counts only if its signature was checked: anybody can claim any
/// value, and what was still to be checked at the deadline may be forged.
fn best_bid(bids: Vec<(String, bool)>, returned: Option<Wei>) -> Option<Wei> {
    let bids = bids.into_iter().filter_map(|(value, verified)| Some((wei(Some(value))?, verified)));
    bids.filter(|(value, verified)| *verified || returned.is_some_and(|returned| *value <= returned))
        .map(|(value, _)| value)
        .max()
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
        let slots = sqlx::query_scalar(
            "SELECT slot FROM settlements WHERE status <> 'final' AND status <> 'unknowable' AND slot > $1 AND slot < $2 \
             AND look_after <= $3 ORDER BY slot LIMIT $4",
        )
        .bind(after.as_u64().cast_signed())
        .bind(before.as_u64().cast_signed())
        .bind(now)
        .bind(i64::from(limit))
        .fetch_all(self.pool())
        .await?;
        Ok(slots.into_iter().map(slot_of).collect())
    }

    /// All that is known of a slot.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn slot_case(&self, slot: Slot) -> Result<SlotCase, LedgerError> {
        let row = self.settlement(slot).await?.unwrap_or_default();
        let mut case = SlotCase { row: Settled { slot: slot.as_u64(), ..row }, ..SlotCase::default() };
        let submitted = self.submitted_block(slot, &mut case).await?;
        self.promised_block(slot, submitted, &mut case).await?;
        // A block of an auction that this ledger never saw promises nothing that could be checked.
        if let Some(signed) = submitted
            && case.promised.is_none_or(|(promised, _)| promised != signed)
        {
            case.promised = None;
            case.row.promised_block = Some(signed.to_string());
        }
        Ok(case)
    }

    /// Fills in what is known of the slot's signed block, and who took it. The block, where one was signed and shows its hash.
    async fn submitted_block(&self, slot: Slot, case: &mut SlotCase) -> Result<Option<B256>, LedgerError> {
        let number = slot.as_u64().cast_signed();
        let newest = sqlx::query_as(
            "SELECT block_hash, parent_hash, proposer_index FROM submissions WHERE slot = $1 ORDER BY received_at DESC LIMIT 1",
        );
        let newest: Option<(String, String, i64)> = newest.bind(number).fetch_optional(self.pool()).await?;
        let Some((block_hash, parent_hash, proposer_index)) = newest else { return Ok(None) };
        case.submitted = true;
        // Zero where a block that does not decode did not even show them.
        let shown = |text: String| hash(Some(text)).filter(|hash| !hash.is_zero());
        case.parent_hash = shown(parent_hash);
        case.row.proposer_index = Some(proposer_index);
        let takers = sqlx::query_scalar(
            "SELECT counterparty FROM submission_answers WHERE slot = $1 AND outcome IN ('accepted', 'payload_delivered')",
        );
        case.took_it = takers.bind(number).fetch_all(self.pool()).await?;
        Ok(shown(block_hash))
    }

    /// Fills in what was promised: by the auction whose block was signed; else by the last that ended with a bid; else by the last. Of
    /// several requests that shared one auction, by the one that has its bids.
    async fn promised_block(
        &self,
        slot: Slot,
        submitted: Option<B256>,
        case: &mut SlotCase,
    ) -> Result<(), LedgerError> {
        let auction = sqlx::query_as(
            "SELECT id, parent_hash, proposer, fee_recipient, winner_block_hash, winner_value_wei, winner_counterparties, \
             winner_builder FROM auctions WHERE slot = $1 \
             ORDER BY COALESCE(winner_block_hash = $2, FALSE) DESC, winner_block_hash IS NOT NULL DESC, \
             race = 'own' DESC, id DESC LIMIT 1",
        )
        .bind(slot.as_u64().cast_signed())
        .bind(submitted.map(|hash| hash.to_string()));
        let Some(auction) = auction.fetch_optional(self.pool()).await? else { return Ok(()) };
        let PromisingAuction { id, parent_hash, proposer, fee_recipient, block_hash, value, relays, builder } =
            auction;
        case.parent_hash = case.parent_hash.or(parent_hash);
        case.fee_recipient = match fee_recipient {
            Some(recipient) => Some(recipient),
            None => self.fee_recipient_of(&proposer).await?,
        };
        case.row.proposer = Some(proposer);
        case.promised = block_hash.zip(value);
        case.row.relay = relays.first().cloned();
        case.relays = relays;
        case.row.builder = builder;
        let bids = sqlx::query_as(
            "SELECT value_wei, verified FROM offers WHERE auction_id = $1 AND outcome = 'bid' AND value_wei IS NOT NULL",
        );
        let bids: Vec<(String, bool)> = bids.bind(id).fetch_all(self.pool()).await?;
        case.best_bid = best_bid(bids, value);
        let first = sqlx::query_scalar(
            "SELECT value_wei FROM polls WHERE auction_id = $1 AND counterparty = $2 AND value_wei IS NOT NULL \
             ORDER BY number LIMIT 1",
        );
        case.first_value =
            wei(first.bind(id).bind(case.row.relay.as_deref()).fetch_optional(self.pool()).await?);
        Ok(())
    }

    async fn fee_recipient_of(&self, proposer: &str) -> Result<Option<Address>, LedgerError> {
        let row = sqlx::query_scalar("SELECT fee_recipient FROM registrations WHERE pubkey = $1");
        let text: Option<String> = row.bind(proposer).fetch_optional(self.pool()).await?;
        Ok(text.and_then(|text| text.parse().ok()))
    }

    /// What came of a slot, as far as it is known.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn settlement(&self, slot: Slot) -> Result<Option<Settled>, LedgerError> {
        let row = sqlx::query_as("SELECT * FROM settlements WHERE slot = $1");
        Ok(row.bind(slot.as_u64().cast_signed()).fetch_optional(self.pool()).await?)
    }

    /// What came of the slots from `from` on and before `until`, in their order; only those that were looked at.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn settlements(&self, from: Slot, until: Slot) -> Result<Vec<Settled>, LedgerError> {
        let rows = sqlx::query_as("SELECT * FROM settlements WHERE slot >= $1 AND slot < $2 ORDER BY slot")
            .bind(from.as_u64().cast_signed())
            .bind(until.as_u64().cast_signed());
        Ok(rows.fetch_all(self.pool()).await?)
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
            sqlx::query_as("SELECT * FROM settlements WHERE slot >= $1 AND slot < $2 ORDER BY slot LIMIT $3")
                .bind(from.as_u64().cast_signed())
                .bind(until.as_u64().cast_signed())
                .bind(i64::from(limit));
        Ok(rows.fetch_all(self.pool()).await?)
    }

    /// Writes what was found, all or nothing. The sums of their days follow.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn save_settlements(&self, rows: &[Settled]) -> Result<(), LedgerError> {
        let mut write = self.write().await?;
        for row in rows {
            save_settlement(&mut write, row).await?;
        }
        write.commit().await?;
        Ok(())
    }

    /// Adds what the consensus layer paid for a slot's block, told after the slot was final.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn save_reward(
        &self,
        slot: Slot,
        proposer_index: i64,
        reward_gwei: i64,
    ) -> Result<(), LedgerError> {
        let mut write = self.write().await?;
        let revision = write.revision().await?;
        let update = sqlx::query(
            "UPDATE settlements SET proposer_index = $2, consensus_reward_gwei = $3, revision = $4 WHERE slot = $1",
        );
        update
            .bind(slot.as_u64().cast_signed())
            .bind(proposer_index)
            .bind(reward_gwei)
            .bind(revision)
            .execute(&mut *write.tx)
            .await?;
        write.commit().await?;
        Ok(())
    }

    /// The newest slots that had a header or a block, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn proposal_points(&self, limit: u32) -> Result<Vec<ProposalPoint>, LedgerError> {
        let points = sqlx::query_as(
            "SELECT s.slot AS slot, s.outcome AS outcome, s.payment AS payment, s.received_wei AS received, \
             a.winner_value_wei AS claimed, a.winner_counterparties AS relays, a.ms_into_slot AS ms \
             FROM (SELECT * FROM settlements ORDER BY slot DESC LIMIT $1) s \
             LEFT JOIN auctions a ON a.id = (SELECT id FROM auctions WHERE slot = s.slot \
             ORDER BY winner_block_hash IS NOT NULL DESC, race = 'own' DESC, id DESC LIMIT 1) ORDER BY s.slot",
        );
        Ok(points.bind(i64::from(limit)).fetch_all(self.pool()).await?)
    }

    /// How many slots before `before` were never looked at.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn unlooked(&self, before: Slot) -> Result<i64, LedgerError> {
        let count = sqlx::query_scalar(
            "SELECT COUNT(*) FROM settlements WHERE status <> 'final' AND status <> 'unknowable' AND status = 'open' \
             AND slot >= 0 AND slot < $1",
        );
        Ok(count.bind(before.as_u64().cast_signed()).fetch_one(self.pool()).await?)
    }

    /// How many slots were given up.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn unknowable(&self) -> Result<i64, LedgerError> {
        let count = sqlx::query_scalar("SELECT COUNT(*) FROM settlements WHERE status = 'unknowable'");
        Ok(count.fetch_one(self.pool()).await?)
    }

    /// Gives slots that were given up one more look; how many. With another node they may be knowable.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn reopen_unknowable(&self) -> Result<u64, LedgerError> {
        let mut write = self.write().await?;
        let revision = write.revision().await?;
        let done = sqlx::query(
            "UPDATE settlements SET look_after = 0, status = CASE WHEN outcome IS NULL THEN 'open' ELSE 'provisional' END, \
             revision = $1 WHERE status = 'unknowable'",
        )
        .bind(revision)
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
        let slot = sqlx::query_scalar("SELECT MAX(slot) FROM settlements WHERE slot >= 0 AND slot <= $1");
        let slot: Option<i64> = slot.bind(LAST_SLOT).fetch_one(self.pool()).await?;
        Ok(slot.map(slot_of))
    }

    /// The first slot in the ledger.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn first_slot(&self) -> Result<Option<Slot>, LedgerError> {
        let slot = sqlx::query_scalar("SELECT MIN(slot) FROM settlements WHERE slot >= 0 AND slot <= $1");
        let slot: Option<i64> = slot.bind(LAST_SLOT).fetch_one(self.pool()).await?;
        Ok(slot.map(slot_of))
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
        let bid = sqlx::query_as(
            "SELECT winner_fork, winner_bid_ssz FROM auctions WHERE slot = $1 AND winner_block_hash = $2 \
             AND winner_bid_ssz IS NOT NULL ORDER BY id DESC LIMIT 1",
        );
        Ok(bid.bind(slot.as_u64().cast_signed()).bind(block).fetch_optional(self.pool()).await?)
    }
}

async fn save_settlement(write: &mut WriteTransaction, row: &Settled) -> Result<(), sqlx::Error> {
    let revision = write.revision().await?;
    sqlx::query("DELETE FROM settlements WHERE slot = $1")
        .bind(row.slot.cast_signed())
        .execute(&mut *write.tx)
        .await?;
    sqlx::query(
        "INSERT INTO settlements (slot, status, outcome, payment, proposer, proposer_index, fee_recipient, relay, \
         builder, promised_block, promised_wei, missed_value_wei, timing_wei, block_hash, block_number, coinbase, \
         received_wei, method, confidence, transactions, other_inflows_wei, withdrawals_gwei, consensus_reward_gwei, \
         data_api, words, looked_at, refusals, look_after, revision, instance) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, \
         $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30)",
    )
    .bind(row.slot.cast_signed())
    .bind(row.status.as_str())
    .bind(row.outcome.as_ref().map(Label::as_str))
    .bind(row.payment.as_ref().map(Label::as_str))
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
    .bind(row.method.as_ref().map(Label::as_str))
    .bind(row.confidence.as_ref().map(Label::as_str))
    .bind(&row.transactions)
    .bind(&row.other_inflows_wei)
    .bind(row.withdrawals_gwei)
    .bind(row.consensus_reward_gwei)
    .bind(row.data_api.as_ref().map(Label::as_str))
    .bind(&row.message)
    .bind(row.looked_at)
    .bind(row.refusals)
    .bind(row.look_after)
    .bind(revision)
    .bind(write.instance)
    .execute(&mut *write.tx)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bid_that_nobody_checked_is_no_missed_value() {
        let bids = |bids: &[(u64, bool)]| bids.iter().map(|(value, ok)| (value.to_string(), *ok)).collect();
        let wei = |value: u64| Wei::parse_wei(&value.to_string()).ok();
        for (bid, returned, best) in [
            (bids(&[(5, true), (1000, false), (4, false)]), wei(5), wei(5)),
            (bids(&[(5, true), (7, true)]), wei(5), wei(7)),
            // The block was signed through another sidecar, so that nothing was checked here.
            (bids(&[(5, false)]), wei(5), wei(5)),
            (bids(&[(1000, false)]), None, None),
            (bids(&[(1000, false), (3, true)]), None, wei(3)),
        ] {
            assert_eq!(best_bid(bid, returned), best);
        }
    }

    #[tokio::test]
    async fn labels_of_a_newer_version_are_shown_and_decide_nothing() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        let row = Settled { slot: 7, outcome: Some(SlotOutcome::Ours.into()), ..Settled::default() };
        ledger.save_settlements(&[row]).await.unwrap();
        sqlx::query("UPDATE settlements SET status = 'disputed', outcome = 'split', method = 'oracle'")
            .execute(ledger.pool())
            .await
            .unwrap();
        let row = ledger.settlement(Slot::new(7)).await.unwrap().unwrap();
        assert_eq!(
            (row.status.as_str(), row.known_outcome(), row.evidence()),
            ("disputed", None, Evidence::NONE)
        );
        let json = serde_json::to_value(&row).unwrap();
        assert_eq!(
            (&json["status"], &json["outcome"], &json["method"]),
            (&"disputed".into(), &"split".into(), &"oracle".into())
        );
        // What is written back is what was read.
        ledger.save_settlements(std::slice::from_ref(&row)).await.unwrap();
        assert_eq!(ledger.settlement(Slot::new(7)).await.unwrap().unwrap(), row);
    }
}
