//! The task that follows the chain for bundles: sends them again for each block they may be in, finds them in blocks, goes back when the
//! chain does, and books their profit when a block is final.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, atomic::Ordering},
};

use alloy_primitives::{Address, B256};
use metrics::{counter, gauge};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    bundle::Bundle,
    intake::{BundleIntake, HeadView},
    pool::{Decision, PooledBundle, SeenBlock},
    profit::bundle_profit,
    wire::{BundleCommand, read},
};
use crate::{
    consensus::WallClock,
    ethereum::{Block, BlockId, NodeError},
    jsonrpc::Request,
    ledger::{BundleFate, BundleWrite, Ledger, LedgerError, OpenBundle},
};

/// Blocks below the head that count as final where the node does not say what is: two epochs.
const FINAL_DEPTH: u64 = 64;
/// Blocks that are all looked at after being away, and remembered for reorganisations.
const CATCH_UP: u64 = 256;
/// Most bundles taken up after a restart.
const RESUMED: u32 = 30_000;

/// Follows the chain.
pub(super) struct Tracker {
    intake: Arc<BundleIntake>,
    tell: watch::Sender<HeadView>,
    /// Hashes of the blocks looked at, by height: to see when the chain went back.
    seen: BTreeMap<u64, B256>,
}

impl Tracker {
    pub(super) fn new(intake: Arc<BundleIntake>, tell: watch::Sender<HeadView>) -> Self {
        Self { intake, tell, seen: BTreeMap::new() }
    }

    /// Takes up what was open when the process ended.
    pub(super) async fn resume(&mut self, ledger: &Ledger) -> Result<usize, LedgerError> {
        let open = ledger.open_bundles(RESUMED).await?;
        let mut earliest = u64::MAX;
        let mut count = 0;
        for row in &open {
            match resumed(row, &self.intake) {
                Some(pooled) => {
                    earliest = earliest.min(pooled.blocks().0);
                    self.intake.pool.lock().add(pooled);
                    count += 1;
                }
                None => warn!(id = row.id, "an open bundle of an earlier process cannot be read"),
            }
        }
        // Its blocks may have come while nobody looked: begin before the first.
        if count > 0 {
            self.seen.insert(earliest.saturating_sub(1), B256::ZERO);
        }
        Ok(count)
    }

    /// Follows until told to stop.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut was_well = true;
        loop {
            let round = tokio::select! {
                round = self.round() => round,
                () = stop.cancelled() => return,
            };
            match round {
                Ok(()) => {
                    if !was_well {
                        info!("bundles are followed again");
                    }
                    was_well = true;
                }
                Err(error) => {
                    if was_well {
                        warn!(%error, "bundles cannot be followed, will be caught up with later");
                    }
                    was_well = false;
                }
            }
            let due = Instant::now() + self.intake.settings.poll;
            tokio::select! {
                () = sleep_until(due) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn round(&mut self) -> Result<(), NodeError> {
        let node = self.intake.node.clone();
        // Before the first head: without it nobody is served.
        if self.intake.chain.load(Ordering::Relaxed) == 0 {
            self.intake.chain.store(node.chain_id().await?, Ordering::Relaxed);
        }
        let Some(head) = node.block(BlockId::Latest, false).await? else { return Ok(()) };
        let number = head.number.to::<u64>();
        if self.seen.last_key_value() == Some((&number, &head.hash)) {
            return self.settle(number).await;
        }
        // The head first: whoever sends now means the block after it.
        self.tell.send_replace(HeadView { number, timestamp: head.timestamp.to() });
        gauge!("relaymux_bundles_head").set(f64::from(u32::try_from(number).unwrap_or(u32::MAX)));
        // How far what was looked at still holds.
        let mut from = None;
        while let Some((at, hash)) = self.seen.last_key_value().map(|(at, hash)| (*at, *hash)) {
            let canonical = if at == number {
                Some(head.hash)
            } else {
                node.block(BlockId::Number(at), false).await?.map(|b| b.hash)
            };
            // The mark of a restart knows no hash.
            if canonical == Some(hash) || (hash.is_zero() && at <= number) {
                from = Some(at);
                break;
            }
            self.seen.remove(&at);
            let reopened = self.intake.pool.lock().go_back(at.saturating_sub(1));
            for id in reopened {
                counter!("relaymux_bundles_reorged_total").increment(1);
                self.intake.write_fate(
                    id,
                    "pending",
                    format!("block {at} was reorganised out of the chain"),
                    None,
                    false,
                );
            }
        }
        for at in from.map_or(number, |at| at + 1)..=number {
            // After a long absence: of the old blocks only those that an open bundle may be in.
            if at + CATCH_UP < number && !self.intake.pool.lock().waits_for(at) {
                continue;
            }
            let Some(block) = node.block(BlockId::Number(at), true).await? else { break };
            self.look(&block).await?;
            self.seen.insert(at, block.hash);
        }
        while self.seen.len() > usize::try_from(CATCH_UP).unwrap_or(usize::MAX) {
            self.seen.pop_first();
        }
        // Now that those which the head has are known: they are not sent again.
        self.send_due(number, head.timestamp.to());
        self.settle(number).await
    }

    /// Sends what is due for the next block.
    fn send_due(&self, number: u64, timestamp: u64) {
        let (next, time) = (number + 1, timestamp + self.intake.slot_secs);
        let due: Vec<PooledBundle> = {
            let pool = self.intake.pool.lock();
            pool.due(next, time).into_iter().filter_map(|id| pool.get(id).cloned()).collect()
        };
        for pooled in due {
            self.intake.dispatch_alone(&pooled, next);
        }
    }

    /// Looks for open bundles in a block.
    async fn look(&self, block: &Block) -> Result<(), NodeError> {
        let touched = self.intake.pool.lock().touches(block.transactions.iter().map(|tx| tx.hash));
        let statuses: Vec<bool> = if touched {
            self.intake.node.receipts(block).await?.iter().map(|receipt| !receipt.status.is_zero()).collect()
        } else {
            vec![true; block.transactions.len()]
        };
        let seen = SeenBlock {
            number: block.number.to(),
            hash: block.hash,
            timestamp: block.timestamp.to(),
            base_fee: u128::try_from(block.base_fee_per_gas).unwrap_or(u128::MAX),
            builder: builder_of(block),
            transactions: block.transactions.iter().map(|tx| tx.hash).zip(statuses).collect(),
            nonces: block
                .transactions
                .iter()
                .map(|tx| ((tx.from, tx.nonce.to()), tx.hash))
                .collect::<HashMap<_, _>>(),
        };
        let decided: Vec<(i64, Decision)> = {
            let mut pool = self.intake.pool.lock();
            let ids = pool.see(&seen);
            ids.into_iter().filter_map(|id| Some((id, pool.get(id)?.decision.clone()?))).collect()
        };
        for (id, mut decision) in decided {
            if decision.state == "missed" && decision.reason.starts_with("outbid") {
                decision = self.better_reason(id, decision, seen.number).await;
            }
            counter!("relaymux_bundles_decided_total", "state" => decision.state).increment(1);
            let block = decision.block.map(|(number, hash)| (number, hash, seen.builder.clone()));
            self.intake.write_fate(id, decision.state, decision.reason, block, false);
        }
        Ok(())
    }

    /// A nonce that was used before this block is the better reason: the counter tells.
    async fn better_reason(&self, id: i64, decision: Decision, number: u64) -> Decision {
        let Some(pooled) = self.intake.pool.lock().get(id).cloned() else { return decision };
        let mut asked = HashSet::new();
        for tx in &pooled.bundle.transactions {
            if !asked.insert(tx.sender) {
                continue;
            }
            let Ok(counter) = self.intake.node.nonce(tx.sender, number).await else { continue };
            if counter > tx.nonce {
                let reason = format!(
                    "conflicting nonce: nonce {} of {} was used by another transaction",
                    tx.nonce, tx.sender
                );
                let better = Decision { reason, ..decision };
                if let Some(pooled) = self.intake.pool.lock().get_mut(id) {
                    pooled.decision = Some(better.clone());
                }
                return better;
            }
        }
        decision
    }

    /// Books what is final, and forgets it.
    async fn settle(&self, number: u64) -> Result<(), NodeError> {
        let node = &self.intake.node;
        let finalized = match node.block(BlockId::Finalized, false).await {
            Ok(block) => block.map(|block| block.number.to::<u64>()).filter(|number| *number > 0),
            Err(error) if error.is_answer() => None,
            Err(error) => return Err(error),
        };
        let final_number = finalized.unwrap_or_else(|| number.saturating_sub(FINAL_DEPTH));
        let settled = self.intake.pool.lock().settled(final_number);
        let mut blocks: HashMap<B256, Option<Booked>> = HashMap::new();
        for id in settled {
            let Some(pooled) = self.intake.pool.lock().get(id).cloned() else { continue };
            let Some(decision) = pooled.decision.clone() else { continue };
            let mut fate = BundleFate {
                id,
                state: decision.state,
                reason: decision.reason.clone(),
                block_number: decision.block.map(|(number, _)| number.cast_signed()),
                block_hash: decision.block.map(|(_, hash)| hash.to_string()),
                block_builder: None,
                is_final: true,
                money: None,
            };
            if let Some((_, hash)) = decision.block {
                if let std::collections::hash_map::Entry::Vacant(slot) = blocks.entry(hash) {
                    slot.insert(self.book_of(hash).await?);
                }
                if let Some(Some(booked)) = blocks.get(&hash) {
                    fate.block_builder = Some(booked.builder.clone());
                    if decision.state == "included" {
                        fate.money = Some(self.money(&pooled, &decision, booked));
                    }
                }
            }
            self.intake.write(BundleWrite::Fate(Box::new(fate)));
            self.intake.pool.lock().remove(id);
        }
        gauge!("relaymux_bundles_open")
            .set(f64::from(u32::try_from(self.intake.pool.lock().len()).unwrap_or(u32::MAX)));
        Ok(())
    }

    async fn book_of(&self, hash: B256) -> Result<Option<Booked>, NodeError> {
        let node = &self.intake.node;
        let Some(block) = node.block(BlockId::Hash(hash), true).await? else { return Ok(None) };
        let receipts = match node.receipts(&block).await {
            Ok(receipts) => receipts,
            Err(error) if error.is_answer() => return Ok(None),
            Err(error) => return Err(error),
        };
        let transfers = match node.transfers(&block).await {
            Ok(transfers) => transfers,
            Err(error) if error.is_answer() => None,
            Err(error) => return Err(error),
        };
        let builder = builder_of(&block);
        Ok(Some(Booked { block, receipts, transfers, builder }))
    }

    fn money(&self, pooled: &PooledBundle, decision: &Decision, booked: &Booked) -> [String; 5] {
        let settings = &self.intake.settings;
        let default: Vec<Address> =
            pooled.bundle.transactions.last().map(|tx| tx.sender).into_iter().collect();
        let watched = if settings.watch.is_empty() { &default } else { &settings.watch };
        let transfers = booked.transfers.as_deref();
        let profit = bundle_profit(
            &booked.block,
            &booked.receipts,
            transfers,
            &decision.places,
            watched,
            settings.weth,
        );
        [
            profit.gas_cost.to_string(),
            profit.priority.saturating_add(profit.direct).to_string(),
            profit.eth.to_string(),
            profit.weth.to_string(),
            profit.profit.to_string(),
        ]
    }
}

/// Who built a block: the printable part of what it says, else its fee recipient.
fn builder_of(block: &Block) -> String {
    let text = String::from_utf8_lossy(&block.extra_data);
    let printable: String = text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').collect();
    let name = printable.trim();
    if name.is_empty() { block.coinbase.to_string() } else { name.to_owned() }
}

/// A final block with what is needed to pool its bundles.
struct Booked {
    block: Block,
    receipts: Vec<crate::ethereum::Receipt>,
    transfers: Option<Vec<crate::ethereum::Transfer>>,
    builder: String,
}

/// An open bundle of an earlier process. For a block that no builder had taken it for it is sent again.
fn resumed(row: &OpenBundle, intake: &BundleIntake) -> Option<PooledBundle> {
    let request: Request<'_> = serde_json::from_str(&row.request).ok()?;
    let first = u64::try_from(row.first_block).ok()?;
    let Ok(BundleCommand::Send(bundle)) = read(&request, first) else { return None };
    let bundle: Bundle = *bundle;
    let hash = bundle.hash();
    let named = |id: &str| bundle.builders.is_empty() || bundle.builders.contains(id);
    let builders =
        intake.settings.builders.iter().filter(|endpoint| named(&endpoint.id) && !endpoint.on_request);
    Some(PooledBundle {
        id: row.id,
        searcher: row.searcher.parse().ok()?,
        hash,
        sequence: u64::try_from(row.sequence).ok()?,
        builders: builders.map(|endpoint| endpoint.id.clone()).collect(),
        sent_for: row.taken.iter().filter_map(|(_, block)| u64::try_from(*block).ok()).collect(),
        taken_by: row.taken.iter().map(|(builder, _)| builder.clone()).collect(),
        refused: BTreeMap::new(),
        cancel_requested: row.state == "cancel_requested",
        seen: None,
        failed_trial: None,
        decision: None,
        bundle,
    })
}

/// Writes bundles' records in batches until the channel ends.
pub(super) async fn write_bundles(ledger: Ledger, mut writes: tokio::sync::mpsc::Receiver<BundleWrite>) {
    /// Records in one transaction.
    const BATCH: usize = 1024;
    let mut batch = Vec::with_capacity(BATCH);
    while writes.recv_many(&mut batch, BATCH).await > 0 {
        let started = WallClock.now();
        if let Err(error) = ledger.save_bundles(&batch).await {
            warn!(%error, records = batch.len(), "ledger write of bundles failed, records lost");
        }
        metrics::histogram!("relaymux_bundle_write_seconds")
            .record((WallClock.now() - started) as f64 / 1000.0);
        batch.clear();
    }
}
