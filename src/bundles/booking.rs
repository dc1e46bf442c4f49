//! What bundles cost and brought, booked when the block that decided them is final: read from the ledger, compared with the chain, written
//! back. A bundle of which a block has only a part is booked, too: its transactions cost what they cost.

use std::{collections::HashSet, sync::Arc};

use alloy_primitives::{Address, B256};
use tracing::warn;

use super::{
    bundle::Bundle, inclusion::presence, intake::BundleIntake, profit::bundle_profit, stored::stored_bundle,
};
use crate::{
    ethereum::{Block, BlockId, NodeError, Receipt, Transfer, Tries},
    ledger::{BundleProfit, BundleState, BundleWrite, Ledger, LedgerError, UnbookedBundle},
};

/// Blocks below the head that count as final where the node does not say what is: two epochs.
const FINAL_DEPTH: u64 = 64;
/// Blocks booked at one look at the head: what waits after a long absence is worked off in turns.
const BLOCKS_AT_ONCE: u32 = 64;

/// Books final blocks.
pub(super) struct Bookkeeper {
    intake: Arc<BundleIntake>,
    ledger: Ledger,
    /// The lowest block that may have something to book; none where nothing is waiting.
    waits_from: Option<u64>,
    was_well: bool,
    /// Blocks of which the node does not tell receipts or transfers in time.
    in_vain: Tries<B256>,
}

/// A final block with what is needed to book its bundles.
struct FinalBlock {
    block: Block,
    receipts: Vec<Receipt>,
    transfers: Option<Vec<Transfer>>,
}

impl Bookkeeper {
    pub(super) fn new(intake: Arc<BundleIntake>, ledger: Ledger) -> Self {
        // What an earlier process left is looked for at once.
        Self { intake, ledger, waits_from: Some(0), was_well: true, in_vain: Tries::default() }
    }

    /// A block decided something that is to be booked.
    pub(super) fn expect(&mut self, number: u64) {
        self.waits_from = Some(self.waits_from.map_or(number, |from| from.min(number)));
    }

    /// Books what is final with this head.
    pub(super) async fn settle(&mut self, head: u64) -> Result<(), NodeError> {
        let Some(waits_from) = self.waits_from else { return Ok(()) };
        let finalized = match self.intake.node.block(BlockId::Finalized, false).await {
            Ok(block) => block.map(|block| block.number.to::<u64>()).filter(|number| *number > 0),
            Err(error) if error.is_answer() => None,
            Err(error) => return Err(error),
        };
        let final_number = finalized.unwrap_or_else(|| head.saturating_sub(FINAL_DEPTH));
        if final_number < waits_from {
            return Ok(());
        }
        if !self.intake.recorder.is_written().await {
            return Ok(());
        }
        let deciding = match self.ledger.deciding_blocks(BLOCKS_AT_ONCE).await {
            Ok(deciding) => deciding,
            Err(error) => {
                self.ledger_failed(&error);
                return Ok(());
            }
        };
        self.waits_from = None;
        for (number, hash) in deciding {
            let number = u64::try_from(number).unwrap_or_default();
            // Whatever ends this round early, it begins here again.
            self.waits_from = Some(number);
            if number > final_number {
                return Ok(());
            }
            if let Err(error) = self.settle_block(number, &hash).await? {
                self.ledger_failed(&error);
                return Ok(());
            }
            self.was_well = true;
            self.waits_from = Some(number.saturating_add(1));
        }
        Ok(())
    }

    fn ledger_failed(&mut self, error: &LedgerError) {
        if self.was_well {
            warn!(%error, "bundles of final blocks cannot be booked in the ledger, will be tried again");
        }
        self.was_well = false;
    }

    async fn settle_block(&self, number: u64, hash: &str) -> Result<Result<(), LedgerError>, NodeError> {
        let rows = match self.ledger.bundles_to_book(hash).await {
            Ok(rows) => rows,
            Err(error) => return Ok(Err(error)),
        };
        let block = match hash.parse::<B256>() {
            Ok(hash) if !rows.is_empty() => self.final_block(hash).await?,
            Ok(_) | Err(_) => None,
        };
        if block.is_none() && !rows.is_empty() {
            warn!(
                number,
                "the node has no receipts of a final block: its bundles are final without their profit"
            );
        }
        let bookings = self.book(rows, block.as_ref());
        if !bookings.is_empty()
            && let Err(error) = self.ledger.save_bundles(&bookings).await
        {
            return Ok(Err(error));
        }
        Ok(self.ledger.close_missed_bundles(hash).await)
    }

    async fn final_block(&self, hash: B256) -> Result<Option<FinalBlock>, NodeError> {
        let node = &self.intake.node;
        let Some(block) = node.block(BlockId::Hash(hash), true).await? else { return Ok(None) };
        let Some(receipts) = self.told(hash, node.receipts(&block).await)? else { return Ok(None) };
        // A block whose trace takes too long is booked without: the blocks after it wait for it.
        let transfers = self.told(hash, node.transfers(&block).await)?.flatten();
        self.in_vain.forget(&hash);
        Ok(Some(FinalBlock { block, receipts, transfers }))
    }

    /// What the node told of a block; none where it never will, by its own words or after some tries.
    fn told<T>(&self, hash: B256, answer: Result<T, NodeError>) -> Result<Option<T>, NodeError> {
        match answer {
            Ok(told) => Ok(Some(told)),
            Err(error) if error.is_answer() || self.in_vain.failed(hash) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The money of a block's bundles. A transaction of several bundles is booked once for the same watched addresses: for one that was
    /// included before one that was not, for the newest first.
    fn book(&self, mut rows: Vec<UnbookedBundle>, block: Option<&FinalBlock>) -> Vec<BundleWrite> {
        rows.sort_by_key(|row| (row.state != BundleState::Included, std::cmp::Reverse(row.id)));
        let mut booked: HashSet<(usize, Vec<Address>)> = HashSet::new();
        let mut profit_of = |row: &UnbookedBundle| {
            let (block, bundle) = (block?, stored_bundle(&row.request, row.first_block)?);
            Some(Box::new(self.profit(&bundle, block, &mut booked)))
        };
        rows.iter().map(|row| BundleWrite::Booked(row.id, profit_of(row))).collect()
    }

    fn profit(
        &self,
        bundle: &Bundle,
        of: &FinalBlock,
        booked: &mut HashSet<(usize, Vec<Address>)>,
    ) -> BundleProfit {
        let FinalBlock { block, receipts, transfers } = of;
        let transactions: Vec<(B256, bool)> = block
            .transactions
            .iter()
            .zip(receipts)
            .map(|(tx, receipt)| (tx.hash, !receipt.status.is_zero()))
            .collect();
        let sighting = presence(bundle, &transactions);
        let settings = &self.intake.settings;
        let default: Vec<Address> = bundle.transactions.last().map(|tx| tx.sender).into_iter().collect();
        let watched = if settings.watch.is_empty() { &default } else { &settings.watch };
        let mut places = sighting.places;
        places.retain(|place| booked.insert((*place, watched.clone())));
        let profit = bundle_profit(block, receipts, transfers.as_deref(), &places, watched, settings.weth);
        BundleProfit {
            gas_cost: profit.gas_cost.to_string(),
            paid_to_builder: profit.priority.saturating_add(profit.direct).to_string(),
            eth: profit.eth.to_string(),
            weth: profit.weth.to_string(),
            profit: profit.profit.to_string(),
            is_traced: profit.traced,
        }
    }
}
