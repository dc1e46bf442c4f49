//! The task that settles slots: asks the execution node what came of each, writes it down, and tells who has to know.
//!
//! A slot is looked at once the chain is past it, again whenever the canonical block of its height is another, and a last time when that
//! height is final. All state is in the ledger: a `kill -9` or a node that is away for an hour costs nothing but time.

use std::{sync::Arc, time::Duration};

use alloy_primitives::{Address, B256, U256};
use futures_util::{StreamExt, stream};
use metrics::counter;
use reqwest::Client;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    ProfitSettings,
    payment::{Payment, PaymentFacts, TransactionFacts, judge},
    settle::{Income, Sight, SlotOutcome, SlotStatus, compare, decide, missed_value, put_off},
    tally::project_sums,
};
use crate::{
    consensus::{SlotClock, WallClock},
    ethereum::{BeaconNode, Block, BlockId, ChainNews, ExecutionNode, NodeError, Receipt, delivered_in},
    events::{Confidence, DataApiVerdict, Event, PaymentVerdict, Spine},
    ledger::{Ledger, LedgerError, Settled, SlotCase},
    relay::SharedRelays,
    types::{DAY_MS, Slot, Wei, parse_hash},
};

/// Blocks below the head that count as final where the node does not say what is: two epochs.
const FINAL_DEPTH: u64 = 64;
/// Slots settled in one transaction.
const PAGE: u32 = 256;
/// Slots asked about at once while catching up. The node is the operator's own; more would only queue there.
const AT_ONCE: usize = 4;
/// Blocks within which a payment that was not seen well is looked at again every round. Arbitrary: a node has its receipts and traces by then.
const LOOKED_AT_AGAIN: u64 = 8;
/// How often the chain is looked at after a block of ours was handed in, until it is there: a relay that pays too little is to rest before the
/// next slot's auction.
const LOOK_EAGERLY: Duration = Duration::from_secs(1);
/// Slots whose outcome is published again at a start, in milliseconds of their age: a process that died between writing an outcome and
/// publishing it owes it to the relays' reputations. Beyond any usual finality.
const PUBLISHED_AGAIN_MS: i64 = DAY_MS;
/// Between two lines about how far catching up is.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// What the watcher works with.
#[derive(Clone, Debug)]
pub struct WatcherParts {
    /// Where it is written down.
    pub ledger: Ledger,
    /// Who is told.
    pub spine: Spine,
    /// Where the blocks are.
    pub execution: ExecutionNode,
    /// Knows proposers and their rewards, where there is one.
    pub beacon: Option<BeaconNode>,
    /// The relays, for their public records.
    pub relays: Arc<SharedRelays>,
    /// For the public records.
    pub http: Client,
    /// The chain's time.
    pub slots: SlotClock,
    /// `[profit]`
    pub settings: ProfitSettings,
}

/// Why a round did not end.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The execution node does not answer.
    #[error("execution node: {0}")]
    Node(#[from] NodeError),
    /// The ledger does not.
    #[error("ledger: {0}")]
    Ledger(#[from] LedgerError),
    /// The node has no head.
    #[error("the execution node has no block yet")]
    NoHead,
}

/// How far the chain is.
#[derive(Clone, Copy, Debug)]
struct Head {
    number: u64,
    timestamp: u64,
    final_number: u64,
    final_timestamp: Option<u64>,
}

/// A slot as found.
pub(super) struct Finding {
    pub(super) row: Settled,
    pub(super) outcome: SlotOutcome,
}

/// Settles slots.
#[derive(Clone, Debug)]
pub struct Watcher {
    pub(super) parts: WatcherParts,
}

impl Watcher {
    /// A watcher.
    pub fn new(parts: WatcherParts) -> Self {
        Self { parts }
    }

    /// Settles until told to stop: every slot's length, when `news` come, and every second between a block's handing in and its being seen.
    pub async fn run(self, mut news: mpsc::Receiver<ChainNews>, stop: CancellationToken) {
        let every = Duration::from_millis(self.parts.slots.slot_ms().max(200));
        let mut was_well = true;
        // Perhaps with another node than the last time.
        if let Err(error) = self.parts.ledger.reopen_unknowable().await {
            warn!(%error, "slots that were given up are not looked at again");
        }
        let mut sums_due = Instant::now();
        let mut events = self.parts.spine.subscribe();
        // The last slot in which a block was handed in, while it is not looked at.
        let mut awaited = None;
        if let Err(error) = self.publish_again().await {
            warn!(%error, "what came of the last slots is not published again");
        }
        loop {
            let round = tokio::select! {
                round = self.round() => round,
                () = stop.cancelled() => return,
            };
            match round {
                Ok(settled) => {
                    if !was_well {
                        info!(settled, "payments are watched again");
                    }
                    was_well = true;
                }
                Err(error) => {
                    if was_well {
                        warn!(%error, "payments cannot be watched, will be caught up with later");
                    }
                    was_well = false;
                    counter!("relaymux_profit_rounds_failed_total").increment(1);
                }
            }
            if Instant::now() >= sums_due {
                if let Err(error) = project_sums(&self.parts.ledger, self.parts.slots).await {
                    warn!(%error, "the days' sums cannot be made");
                }
                sums_due = Instant::now() + self.parts.settings.check_every;
            }
            awaited = self.still_awaited(awaited).await;
            let pause = if awaited.is_some() { LOOK_EAGERLY.min(every) } else { every };
            let mut due = Instant::now() + pause;
            loop {
                tokio::select! {
                    () = sleep_until(due) => break,
                    Some(_) = news.recv() => {
                        // News come in bunches; one look serves them all.
                        while news.try_recv().is_ok() {}
                        break;
                    }
                    Some(event) = events.next() => {
                        if let Event::BlockReceived(block) = &*event {
                            awaited = awaited.max(Some(block.slot));
                            due = due.min(Instant::now() + LOOK_EAGERLY);
                        }
                    }
                    () = stop.cancelled() => return,
                }
            }
        }
    }

    /// A slot whose block was handed in and is not seen, until the slot after it is over.
    async fn still_awaited(&self, awaited: Option<Slot>) -> Option<Slot> {
        let slot = awaited?;
        let end = self.parts.slots.start_of(Slot::new(slot.as_u64().saturating_add(2)));
        if WallClock.now() >= end {
            return None;
        }
        let row = self.parts.ledger.settlement(slot).await.ok()?;
        let is_seen = row.is_some_and(|row| row.status != SlotStatus::Open);
        (!is_seen).then_some(slot)
    }

    /// Publishes what is known of the last day's slots, for whom an earlier process may not have told.
    async fn publish_again(&self) -> Result<(), WatchError> {
        let now = WallClock.now();
        let from = self.parts.slots.slot_at(now.saturating_sub(PUBLISHED_AGAIN_MS));
        let until = Slot::new(self.parts.slots.slot_at(now).as_u64().saturating_add(1));
        for row in self.parts.ledger.settlements(from, until).await? {
            if let Some(outcome) = row.known_outcome() {
                self.publish_outcome(&row, outcome);
            }
        }
        Ok(())
    }

    /// One pass over all that is not final; how many slots changed.
    ///
    /// # Errors
    /// When the node or the ledger does not answer: what was found before is kept.
    pub async fn round(&self) -> Result<usize, WatchError> {
        self.parts.execution.chain_id().await?;
        let head = self.head().await?;
        let before = self.slot_of(head.timestamp);
        let before = Slot::new(before.as_u64().saturating_add(1));
        let mut after = None;
        let mut changed = 0;
        let mut said = Instant::now();
        loop {
            // Slot 0 has no proposal: genesis.
            let now = WallClock.now();
            let slots = self.parts.ledger.unsettled(after.unwrap_or(Slot::new(0)), before, now, PAGE).await?;
            let Some(last) = slots.last().copied() else { return Ok(changed) };
            after = Some(last);
            let asked = slots.clone();
            let looks = slots.into_iter().map(|slot| self.look(slot, head));
            let found: Vec<Result<Option<Finding>, WatchError>> =
                stream::iter(looks).buffered(AT_ONCE).collect().await;
            let mut findings = Vec::new();
            let mut refused = Vec::new();
            let mut failure = None;
            for (slot, one) in asked.into_iter().zip(found) {
                match one {
                    Ok(Some(finding)) => findings.push(finding),
                    Ok(None) => {}
                    // The node answers, and does not have it: history that it has pruned. The others do not wait for that slot.
                    Err(WatchError::Node(error)) if error.is_answer() => {
                        tracing::debug!(%slot, %error, "a slot cannot be settled with this node");
                        refused.push(self.put_off(slot, &error, now).await?);
                    }
                    Err(error) => failure = Some(error),
                }
            }
            for finding in &findings {
                self.notify(finding).await?;
            }
            let rows = findings.iter().map(|finding| finding.row.clone()).chain(refused);
            let rows: Vec<Settled> = rows.collect();
            self.parts.ledger.save_settlements(&rows).await?;
            findings.iter().for_each(|finding| self.publish(finding));
            changed += findings.len();
            if said.elapsed() >= SAID_EVERY {
                said = Instant::now();
                info!(settled = changed, at = %last, head = %before, "catching up with slots that are not settled");
            }
            if let Some(failure) = failure {
                return Err(failure);
            }
        }
    }

    /// The row of a slot that the node could not tell: looked at later again, or given up.
    async fn put_off(&self, slot: Slot, error: &NodeError, now: i64) -> Result<Settled, WatchError> {
        let mut row = self.parts.ledger.slot_case(slot).await?.row;
        if put_off(&mut row, &error.to_string(), now) {
            warn!(%slot, %error, "a slot cannot be proven with this execution node and is given up; a restart looks once more");
            counter!("relaymux_slots_unknowable_total").increment(1);
        }
        Ok(row)
    }

    async fn head(&self) -> Result<Head, WatchError> {
        let latest = self.parts.execution.block(BlockId::Latest, false).await?.ok_or(WatchError::NoHead)?;
        let number = latest.number.to::<u64>();
        // A node that is not told what is final (a development chain, one without consensus client) says null or an error.
        let finalized = match self.parts.execution.block(BlockId::Finalized, false).await {
            Ok(block) => block.filter(|block| !block.number.is_zero()),
            Err(error) if error.is_answer() => None,
            Err(error) => return Err(error.into()),
        };
        Ok(Head {
            number,
            timestamp: latest.timestamp.to(),
            final_number: finalized
                .as_ref()
                .map_or(number.saturating_sub(FINAL_DEPTH), |block| block.number.to()),
            final_timestamp: finalized.map(|block| block.timestamp.to()),
        })
    }

    fn slot_of(&self, timestamp: u64) -> Slot {
        self.parts.slots.slot_at(i64::try_from(timestamp.saturating_mul(1000)).unwrap_or(i64::MAX))
    }

    /// Looks at one slot; `None` if nothing changed.
    async fn look(&self, slot: Slot, head: Head) -> Result<Option<Finding>, WatchError> {
        let case = self.parts.ledger.slot_case(slot).await?;
        let number = case.row.block_number.and_then(|number| u64::try_from(number).ok());
        let known = case.row.block_hash.as_deref().and_then(|text| parse_hash(text).ok());
        let mut is_same = false;
        if let (Some(number), Some(known)) = (number, known) {
            let now =
                self.parts.execution.block(BlockId::Number(number), false).await?.map(|block| block.hash);
            is_same = now == Some(known);
            // The payment in a block is what it is; only whether the block counts may change. What was seen badly right after the block came
            // may be seen better a moment later.
            let is_unclear = case.row.payment.is_some() && !case.row.evidence().confidence.convicts();
            let is_young = head.number.saturating_sub(number) < LOOKED_AT_AGAIN;
            if is_same && number > head.final_number && !(is_unclear && is_young) {
                return Ok(None);
            }
        }
        let (block, sight) = self.sight(slot, &case, head).await?;
        let outcome = decide(&case, sight);
        let is_final = match &block {
            Some(block) => block.number.to::<u64>() <= head.final_number,
            None => self.is_past_final(slot, head),
        };
        let state = |row: &Settled| {
            (
                row.status.clone(),
                row.outcome.clone(),
                row.block_hash.clone(),
                row.received_wei.clone(),
                row.evidence(),
            )
        };
        let was = state(&case.row);
        let mut row = case.row.clone();
        row.status = if is_final { SlotStatus::Final } else { SlotStatus::Provisional }.into();
        (row.refusals, row.look_after) = (0, 0);
        row.outcome = Some(outcome.into());
        row.looked_at = WallClock.now();
        row.block_hash = block.as_ref().map(|block| block.hash.to_string());
        row.fee_recipient = case.fee_recipient.map(|address| address.to_string());
        if let Some((hash, value)) = case.promised {
            row.promised_block = Some(hash.to_string());
            row.promised_wei = Some(value.to_string());
            row.timing_wei = case
                .first_value
                .map(|first| Wei::new(value.as_u256().saturating_sub(first.as_u256())).to_string());
        }
        let confidence = |row: &Settled| row.evidence().confidence;
        if !(is_same && confidence(&row) == Confidence::High) {
            // The same block, not seen well the first time: a node may lack receipts or traces for a moment right after a block came, and
            // may have forgotten more by the end. The better sight of the two counts.
            let mut again = row.clone();
            self.pay(&mut again, &case, outcome, block.as_ref()).await?;
            if !is_same || confidence(&again) > confidence(&row) {
                row = again;
            }
        }
        if was == state(&row) {
            return Ok(None);
        }
        if is_final {
            self.ask_others(&mut row, &case, outcome).await;
        }
        // Whoever keeps the relays' reputations is told whatever changed, and makes of it what follows.
        row.told = true;
        Ok(Some(Finding { row, outcome }))
    }

    /// Whether a slot without block can get none any more.
    fn is_past_final(&self, slot: Slot, head: Head) -> bool {
        let timestamp = self.parts.slots.payload_timestamp(slot);
        match head.final_timestamp {
            Some(last) => last > timestamp,
            None => {
                let slots = self.slot_of(head.timestamp).as_u64().saturating_sub(slot.as_u64());
                slots > FINAL_DEPTH && head.final_number > 0
            }
        }
    }

    /// The canonical block of a slot, and whether the promised one is known.
    async fn sight(
        &self,
        slot: Slot,
        case: &SlotCase,
        head: Head,
    ) -> Result<(Option<Block>, Sight), WatchError> {
        let node = &self.parts.execution;
        let timestamp = self.parts.slots.payload_timestamp(slot);
        let signed = case.row.promised_block.as_deref().and_then(|text| parse_hash(text).ok());
        let wanted: Option<B256> = case.promised.map(|(hash, _)| hash).or(signed);
        let mut sight = Sight::default();
        if let Some(wanted) = wanted
            && let Some(block) = node.block(BlockId::Hash(wanted), false).await?
        {
            sight.knows_promised = true;
            let canonical = node.block(BlockId::Number(block.number.to()), false).await?;
            if canonical.as_ref().is_some_and(|canonical| canonical.hash == wanted) {
                sight.canonical = Some(wanted);
                return Ok((Some(block), sight));
            }
        }
        let block = self.block_at(timestamp, case.parent_hash, head).await?;
        sight.canonical = block.as_ref().map(|block| block.hash);
        Ok((block, sight))
    }

    /// The canonical block with a timestamp: behind the parent, where that is canonical; else by halving.
    async fn block_at(
        &self,
        timestamp: u64,
        parent: Option<B256>,
        head: Head,
    ) -> Result<Option<Block>, WatchError> {
        let node = &self.parts.execution;
        if let Some(parent) = parent
            && let Some(parent) = node.block(BlockId::Hash(parent), false).await?
            && let Some(next) =
                node.block(BlockId::Number(parent.number.to::<u64>().saturating_add(1)), false).await?
            && next.parent_hash == parent.hash
        {
            // A later block on the same parent: the slot has none.
            return Ok(Some(next).filter(|next| next.timestamp.to::<u64>() == timestamp));
        }
        let slot_secs = (self.parts.slots.slot_ms() / 1000).max(1);
        let behind = head.timestamp.saturating_sub(timestamp) / slot_secs;
        let (mut low, mut high) = (head.number.saturating_sub(behind.saturating_add(1)), head.number);
        while low <= high {
            let middle = low + (high - low) / 2;
            // Below the head there is a block at every height. A node that has none has pruned it: that says nothing of the slot.
            let Some(block) = node.block(BlockId::Number(middle), false).await? else {
                return Err(NodeError::Rpc {
                    host: "execution node".to_owned(),
                    code: 4444,
                    message: format!("no block {middle}: pruned history"),
                }
                .into());
            };
            match block.timestamp.to::<u64>().cmp(&timestamp) {
                std::cmp::Ordering::Equal => return Ok(Some(block)),
                std::cmp::Ordering::Less => low = middle.saturating_add(1),
                std::cmp::Ordering::Greater if middle == 0 => return Ok(None),
                std::cmp::Ordering::Greater => high = middle - 1,
            }
        }
        Ok(None)
    }

    /// Fills in what a slot's block paid.
    async fn pay(
        &self,
        row: &mut Settled,
        case: &SlotCase,
        outcome: SlotOutcome,
        block: Option<&Block>,
    ) -> Result<(), WatchError> {
        row.payment = None;
        row.received_wei = None;
        row.method = None;
        row.confidence = None;
        row.transactions = None;
        row.other_inflows_wei = None;
        row.withdrawals_gwei = None;
        row.block_number = block.and_then(|block| i64::try_from(block.number.to::<u64>()).ok());
        row.coinbase = block.map(|block| block.coinbase.to_string());
        let is_ours_or_local = matches!(outcome, SlotOutcome::Ours | SlotOutcome::Local);
        let Some(block) = block.filter(|_| is_ours_or_local) else {
            row.missed_value_wei = missed_value(case, Income::NoBlock).map(|value| value.to_string());
            row.message = match outcome {
                SlotOutcome::NotDelivered => {
                    format!(
                        "the block was signed and handed in, {} took it, and it is not on chain",
                        listed(&case.took_it)
                    )
                }
                SlotOutcome::Orphaned => "there was a block, and the chain went on without it".to_owned(),
                SlotOutcome::Missed | SlotOutcome::Ours | SlotOutcome::Local => {
                    "no block, and none was signed through this sidecar".to_owned()
                }
            };
            return Ok(());
        };
        let promised = case.promised.filter(|_| outcome == SlotOutcome::Ours).map(|(_, value)| value);
        // A local block without a known registration pays whoever it names.
        let recipient = case.fee_recipient.or((outcome == SlotOutcome::Local).then_some(block.coinbase));
        let (payment, withdrawals) = match recipient {
            Some(recipient) => self.payment(block, recipient, promised).await?,
            None => {
                (Payment::unknown("the validator's fee recipient is not known: it never registered here"), 0)
            }
        };
        row.withdrawals_gwei = Some(withdrawals.cast_signed());
        row.received_wei = payment.received.map(|wei| wei.to_string());
        row.method = Some(payment.method.into());
        row.confidence = Some(payment.confidence.into());
        let hashes: Vec<String> = payment.transactions.iter().map(ToString::to_string).collect();
        row.transactions = Some(hashes.join(","));
        row.other_inflows_wei = Some(payment.other_inflows.to_string());
        let income = payment.received.map_or(Income::Unknown, Income::Paid);
        row.missed_value_wei = missed_value(case, income).map(|value| value.to_string());
        if outcome == SlotOutcome::Ours {
            row.payment =
                Some(promised.map_or(PaymentVerdict::Unknown, |promised| compare(promised, &payment)).into());
        }
        row.message = payment.message;
        Ok(())
    }

    /// What a block paid a recipient; and the withdrawals to it, in gwei.
    async fn payment(
        &self,
        head: &Block,
        recipient: Address,
        promised: Option<Wei>,
    ) -> Result<(Payment, u64), WatchError> {
        let node = &self.parts.execution;
        let Some(block) = node.block(BlockId::Hash(head.hash), true).await? else {
            return Ok((Payment::unknown("the node has forgotten the block's transactions"), 0));
        };
        let ours = block.withdrawals.iter().filter(|withdrawal| withdrawal.address == recipient);
        let withdrawals_gwei = ours.fold(0_u64, |sum, w| sum.saturating_add(w.amount.to()));
        let receipts = match node.receipts(&block).await {
            Ok(receipts) => receipts,
            Err(error) if error.is_answer() => {
                return Ok((Payment::unknown(format!("no receipts: {error}")), withdrawals_gwei));
            }
            Err(error) => return Err(error.into()),
        };
        let mut facts = payment_facts(&block, &receipts, recipient, withdrawals_gwei, promised);
        facts.transfers = match node.transfers(&block).await {
            Ok(transfers) => transfers,
            Err(error) if error.is_answer() => None,
            Err(error) => return Err(error.into()),
        };
        if facts.transfers.is_none() {
            let number = block.number.to::<u64>();
            let balances = async {
                let before = node.balance(recipient, number.saturating_sub(1)).await?;
                Ok((before, node.balance(recipient, number).await?))
            };
            facts.balances = match balances.await {
                Ok(both) => Some(both),
                Err(error) if NodeError::is_answer(&error) => None,
                Err(error) => return Err(error.into()),
            };
        }
        Ok((judge(&facts), withdrawals_gwei))
    }

    /// What only others know, once the slot is final: the beacon node's rewards, the relay's public record. None of it is needed.
    async fn ask_others(&self, row: &mut Settled, case: &SlotCase, outcome: SlotOutcome) {
        let slot = Slot::new(row.slot);
        if let Some(beacon) = &self.parts.beacon
            && let Ok(Some(block)) = beacon.block_in(slot).await
        {
            row.proposer_index = Some(block.proposer_index.cast_signed());
            row.consensus_reward_gwei = beacon.block_reward(block.root).await.ok().map(u64::cast_signed);
        }
        let relays = self.parts.relays.all();
        let relay = relays.iter().find(|relay| Some(relay.id().as_str()) == row.relay.as_deref());
        let is_asked = self.parts.settings.data_api && case.submitted;
        if let (Some(relay), true, Some(promised)) = (relay, is_asked, &row.promised_block) {
            let list = delivered_in(&self.parts.http, &relay.settings().url, slot).await;
            row.data_api = Some(
                match (list, outcome) {
                    (Err(_), _) => DataApiVerdict::Unknown,
                    (Ok(list), SlotOutcome::Ours) => {
                        match list.iter().find(|trace| trace.block_hash.to_string() == *promised) {
                            None => DataApiVerdict::Missing,
                            Some(trace) if Some(trace.value.to_string()) == row.promised_wei => {
                                DataApiVerdict::Agrees
                            }
                            Some(_) => DataApiVerdict::Differs,
                        }
                    }
                    (
                        Ok(list),
                        SlotOutcome::Local
                        | SlotOutcome::Missed
                        | SlotOutcome::NotDelivered
                        | SlotOutcome::Orphaned,
                    ) => {
                        // It says that it delivered what is not there.
                        if list.iter().any(|trace| trace.block_hash.to_string() == *promised) {
                            DataApiVerdict::Differs
                        } else {
                            DataApiVerdict::Agrees
                        }
                    }
                }
                .into(),
            );
        }
    }
}

/// Keeps the beacon node's event stream open and passes its news on; without them the watcher looks every slot.
pub async fn follow_chain(beacon: BeaconNode, news: mpsc::Sender<ChainNews>, stop: CancellationToken) {
    loop {
        let end = tokio::select! {
            end = beacon.follow(&news) => end,
            () = stop.cancelled() => return,
        };
        if let Err(error) = end {
            tracing::debug!(%error, "the beacon node's event stream ended");
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(5)) => {}
            () = stop.cancelled() => return,
        }
    }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "no relay".to_owned() } else { names.join(", ") }
}

fn payment_facts(
    block: &Block,
    receipts: &[Receipt],
    recipient: Address,
    withdrawals_gwei: u64,
    promised: Option<Wei>,
) -> PaymentFacts {
    let transactions = block.transactions.iter().zip(receipts).map(|(tx, receipt)| {
        let gas = U256::from(receipt.gas_used);
        let blobs = U256::from(receipt.blob_gas_used.unwrap_or_default())
            .saturating_mul(receipt.blob_gas_price.unwrap_or_default());
        TransactionFacts {
            hash: tx.hash,
            from: tx.from,
            to: tx.to,
            value: tx.value,
            succeeded: !receipt.status.is_zero(),
            tip: gas.saturating_mul(receipt.effective_gas_price.saturating_sub(block.base_fee_per_gas)),
            cost: gas.saturating_mul(receipt.effective_gas_price).saturating_add(blobs),
        }
    });
    PaymentFacts {
        coinbase: block.coinbase,
        recipient,
        transactions: transactions.collect(),
        withdrawals_gwei,
        transfers: None,
        balances: None,
        promised: promised.map(Wei::as_u256),
    }
}
