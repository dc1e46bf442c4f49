//! The task that follows the chain for bundles: sends them again for each block they may be in, finds them in blocks, goes back when the
//! chain does, and has them booked when a block is final.
//!
//! Open bundles are in the pool; what a block decided is in the ledger, and is read from there when the chain goes back or becomes final.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, atomic::Ordering},
};

use alloy_primitives::B256;
use metrics::{counter, gauge};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    booking::Bookkeeper,
    intake::{BundleIntake, HeadView},
    pool::{Decision, PooledBundle, SeenBlock},
    reason::Reason,
    stored::stored_bundle,
};
use crate::{
    ethereum::{Block, BlockId, NodeError, Tries},
    ledger::{BundleDecision, BundleState, BundleWrite, Delivery, Ledger, LedgerError, StoredBundle},
};

/// Blocks that are all looked at after being away, and remembered for reorganisations.
const CATCH_UP: u64 = 256;
/// Most bundles taken up at once after a restart or a reorganisation.
const RESUMED: u32 = 30_000;

/// Follows the chain.
pub(super) struct Tracker {
    intake: Arc<BundleIntake>,
    ledger: Ledger,
    bookkeeper: Bookkeeper,
    head: watch::Sender<HeadView>,
    /// Hashes of the blocks looked at, by height: to see when the chain went back.
    seen: BTreeMap<u64, B256>,
    /// Decisions of blocks above this height count no more, and are still to be read back from the ledger.
    reopen_above: Option<u64>,
    /// Blocks that decided something before the process started, to be compared with the chain once.
    unchecked: Vec<(u64, B256)>,
    /// Blocks whose receipts could not be had.
    without_receipts: Tries<B256>,
}

impl Tracker {
    pub(super) fn new(intake: Arc<BundleIntake>, ledger: Ledger, head: watch::Sender<HeadView>) -> Self {
        let bookkeeper = Bookkeeper::new(Arc::clone(&intake), ledger.clone());
        Self {
            intake,
            ledger,
            bookkeeper,
            head,
            seen: BTreeMap::new(),
            reopen_above: None,
            unchecked: Vec::new(),
            without_receipts: Tries::default(),
        }
    }

    /// Takes up what was open when the process ended.
    pub(super) async fn resume(&mut self) -> Result<usize, LedgerError> {
        let open = self.ledger.open_bundles(RESUMED).await?;
        let mut earliest = u64::MAX;
        let mut count = 0;
        for row in &open {
            match taken_up(row, &self.intake) {
                Some(pooled) => {
                    earliest = earliest.min(pooled.blocks().0);
                    self.intake.pool.take_up(pooled).await;
                    count += 1;
                }
                None => warn!(id = row.id, "an open bundle of an earlier process cannot be read"),
            }
        }
        // Its blocks may have come while nobody looked: begin before the first.
        if count > 0 {
            self.seen.insert(earliest.saturating_sub(1), B256::ZERO);
        }
        // The chain may have gone back while nobody looked, too.
        let deciding = self.ledger.deciding_blocks(u32::MAX).await?;
        self.unchecked = deciding
            .iter()
            .filter_map(|(number, hash)| Some((u64::try_from(*number).ok()?, hash.parse().ok()?)))
            .collect();
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
        self.check_earlier_process().await?;
        if self.seen.last_key_value() == Some((&number, &head.hash)) && self.reopen_above.is_none() {
            return self.bookkeeper.settle(number).await;
        }
        // The head first: whoever sends now means the block after it.
        self.head.send_replace(HeadView { number, timestamp: head.timestamp.to() });
        gauge!("relaymux_bundles_head").set(f64::from(u32::try_from(number).unwrap_or(u32::MAX)));
        self.go_back(&head).await?;
        self.reopen().await;
        let from = self.seen.last_key_value().map_or(number, |(at, _)| at + 1);
        for at in from..=number {
            // After a long absence: of the old blocks only those that an open bundle may be in.
            if at + CATCH_UP < number && !self.intake.pool.waits_for(at).await.unwrap_or(true) {
                continue;
            }
            let Some(block) = node.block(BlockId::Number(at), true).await? else { break };
            self.look(&block).await?;
            self.seen.insert(at, block.hash);
        }
        while self.seen.len() > usize::try_from(CATCH_UP).unwrap_or(usize::MAX) {
            self.seen.pop_first();
        }
        let held = u32::try_from(self.intake.budget.used() >> 10).unwrap_or(u32::MAX);
        gauge!("relaymux_bundles_open_bytes").set(f64::from(held) * 1024.0);
        // Now that those which the head has are known: they are not sent again.
        self.send_due(number, head.timestamp.to()).await;
        self.bookkeeper.settle(number).await
    }

    /// Whether the blocks that decided bundles before this process started are still in the chain. The newest tells for those below it.
    async fn check_earlier_process(&mut self) -> Result<(), NodeError> {
        while let Some((number, hash)) = self.unchecked.last().copied() {
            let canonical = self.intake.node.block(BlockId::Number(number), false).await?;
            if canonical.is_some_and(|block| block.hash == hash) {
                self.unchecked.clear();
                return Ok(());
            }
            self.unchecked.pop();
            self.forget_above(number.saturating_sub(1)).await;
        }
        Ok(())
    }

    /// Forgets the blocks looked at that are not in the chain any more.
    async fn go_back(&mut self, head: &Block) -> Result<(), NodeError> {
        let number = head.number.to::<u64>();
        while let Some((at, hash)) = self.seen.last_key_value().map(|(at, hash)| (*at, *hash)) {
            let canonical = if at == number {
                Some(head.hash)
            } else {
                self.intake.node.block(BlockId::Number(at), false).await?.map(|b| b.hash)
            };
            // The mark of a restart knows no hash.
            if canonical == Some(hash) || (hash.is_zero() && at <= number) {
                break;
            }
            self.forget_above(at.saturating_sub(1)).await;
        }
        Ok(())
    }

    async fn forget_above(&mut self, to: u64) {
        self.seen.retain(|at, _| *at <= to);
        if self.seen.is_empty() {
            // Where to begin again; what that block is, is not known.
            self.seen.insert(to, B256::ZERO);
        }
        self.intake.pool.go_back(to).await;
        self.reopen_above = Some(self.reopen_above.map_or(to, |above| above.min(to)));
    }

    /// Takes bundles that a block decided, which is not in the chain any more, back from the ledger. While the ledger cannot be read, the
    /// rest goes on, and it is tried again with the next look at the head.
    async fn reopen(&mut self) {
        let Some(above) = self.reopen_above else { return };
        if !self.intake.recorder.is_written().await {
            warn!("the ledger is behind: bundles of blocks that left the chain are taken up again later");
            return;
        }
        let rows = match self.ledger.bundles_decided_above(above.cast_signed(), RESUMED).await {
            Ok(rows) => rows,
            Err(error) => {
                warn!(%error, "the ledger cannot be read: bundles of blocks that left the chain are taken up again later");
                return;
            }
        };
        for row in &rows {
            let Some(pooled) = taken_up(row, &self.intake) else {
                warn!(id = row.id, "a bundle of a block that left the chain cannot be read");
                continue;
            };
            counter!("relaymux_bundles_reorged_total").increment(1);
            let reason =
                format!("the block above height {above} that decided it was reorganised out of the chain");
            let write = BundleWrite::Reopened { id: row.id, delivery: row.delivery, reason };
            self.intake.recorder.write_surely(write).await;
            self.intake.pool.take_up(pooled).await;
        }
        // Blocks that came since the first try were looked at without them.
        self.seen.retain(|at, _| *at <= above);
        self.reopen_above = None;
    }

    /// Sends what is due for the next block.
    async fn send_due(&self, number: u64, timestamp: u64) {
        let (next, time) = (number + 1, timestamp + self.intake.slot_secs);
        // Without a pool there is nothing to send: the process ends.
        for pooled in self.intake.pool.due(next, time).await.unwrap_or_default() {
            self.intake.dispatch_alone(&pooled, next);
        }
    }

    /// Looks for open bundles in a block.
    async fn look(&mut self, block: &Block) -> Result<(), NodeError> {
        let hashes = block.transactions.iter().map(|tx| tx.hash).collect();
        let touched = self.intake.pool.touches(hashes).await.unwrap_or(false);
        let statuses =
            if touched { self.statuses(block).await? } else { vec![true; block.transactions.len()] };
        let seen = SeenBlock {
            number: block.number.to(),
            hash: block.hash,
            timestamp: block.timestamp.to(),
            base_fee: u128::try_from(block.base_fee_per_gas).unwrap_or(u128::MAX),
            builder: block_builder(block),
            transactions: block.transactions.iter().map(|tx| tx.hash).zip(statuses).collect(),
            nonces: block
                .transactions
                .iter()
                .map(|tx| ((tx.from, tx.nonce.to()), tx.hash))
                .collect::<HashMap<_, _>>(),
        };
        let (number, builder) = (seen.number, seen.builder.clone());
        for (pooled, decision) in self.intake.pool.see(seen).await.unwrap_or_default() {
            let reason = match &decision.reason {
                Reason::Outbid { .. } => self.used_nonce(&pooled, number).await,
                _ => None,
            };
            self.decided(&pooled, decision, reason, &builder).await;
        }
        Ok(())
    }

    /// Which of a block's transactions succeeded. Right after a block a node may not have its receipts yet, and one that has pruned them never
    /// has: after some tries all count as successes, so that one block does not hold up all that come after it.
    async fn statuses(&self, block: &Block) -> Result<Vec<bool>, NodeError> {
        match self.intake.node.receipts(block).await {
            Ok(receipts) => {
                self.without_receipts.forget(&block.hash);
                Ok(receipts.iter().map(|receipt| !receipt.status.is_zero()).collect())
            }
            Err(error) if !self.without_receipts.failed(block.hash) => Err(error),
            Err(error) => {
                warn!(
                    number = %block.number, %error,
                    "the node has no receipts of a block with bundles: their transactions count as successes"
                );
                Ok(vec![true; block.transactions.len()])
            }
        }
    }

    async fn decided(
        &mut self,
        pooled: &PooledBundle,
        decision: Decision,
        better: Option<Reason>,
        builder: &str,
    ) {
        let Decision { state, reason, block: (number, hash) } = decision;
        counter!("relaymux_bundles_decided_total", "state" => state.label()).increment(1);
        if state == BundleState::Included && pooled.delivery != Delivery::Active {
            warn!(id = pooled.id, block = number, %reason, "a bundle landed that its searcher no longer wanted");
        }
        let decision = BundleDecision {
            id: pooled.id,
            state,
            reason: better.unwrap_or(reason).to_string(),
            block_number: number.cast_signed(),
            block_hash: hash.to_string(),
            block_builder: builder.to_owned(),
        };
        self.intake.recorder.write_surely(BundleWrite::Decided(Box::new(decision))).await;
        self.bookkeeper.expect(number);
    }

    /// A nonce that was used before this block is the better reason: the counter tells.
    async fn used_nonce(&self, pooled: &PooledBundle, number: u64) -> Option<Reason> {
        let mut asked = HashSet::new();
        for tx in &pooled.bundle.transactions {
            if !asked.insert(tx.sender) {
                continue;
            }
            let Ok(counter) = self.intake.node.nonce(tx.sender, number).await else { continue };
            if counter > tx.nonce {
                return Some(Reason::NonceUsed { nonce: tx.nonce, sender: tx.sender, by: None });
            }
        }
        None
    }
}

/// Who built a block: the printable part of what it says, else its fee recipient.
pub(super) fn block_builder(block: &Block) -> String {
    let text = String::from_utf8_lossy(&block.extra_data);
    let printable: String = text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').collect();
    let name = printable.trim();
    if name.is_empty() { block.coinbase.to_string() } else { name.to_owned() }
}

/// A bundle of the ledger's as it was left: for the builders that were chosen when it came and no others, whatever the configuration says
/// now. For a block that no builder had taken it for it is sent again.
fn taken_up(row: &StoredBundle, intake: &BundleIntake) -> Option<PooledBundle> {
    let bundle = stored_bundle(&row.request, row.first_block)?;
    let withdrawn = CancellationToken::new();
    if row.delivery != Delivery::Active {
        withdrawn.cancel();
    }
    Some(PooledBundle {
        id: row.id,
        searcher: row.searcher.parse().ok()?,
        hash: bundle.hash(),
        sequence: u64::try_from(row.sequence).ok()?,
        builders: row.builders.clone(),
        sent_for: row.taken.iter().filter_map(|(_, block)| u64::try_from(*block).ok()).collect(),
        taken_by: row.taken.iter().map(|(builder, _)| builder.clone()).collect(),
        refused: BTreeMap::new(),
        delivery: row.delivery,
        withdrawn,
        seen: None,
        failed_trial: None,
        held: Arc::new(intake.budget.take_back(bundle.held_bytes())),
        bundle: Arc::new(bundle),
    })
}
