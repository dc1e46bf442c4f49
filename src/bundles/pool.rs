//! Bundles that no block has decided: in memory, found by number, by transaction and by the searcher's own name. No network, no clock.
//!
//! It holds all that searchers' requests and the chain's blocks change together: numbers, quotas, what builders answered, what is sent no
//! more; one task owns it (`task`). A bundle that a block decides leaves it at once; from there on it is in the ledger alone. One that was
//! taken back, replaced or refused stays until its last block, because builders may land it all the same.

mod names;
mod task;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use alloy_primitives::{Address, B256};
use tokio_util::sync::CancellationToken;

use super::{
    budget::{ByteBudget, HeldBytes},
    bundle::Bundle,
    inclusion::{Presence, presence},
    reason::Reason,
};
use crate::ledger::{BundleState, Delivery, SendOutcome};
use names::LastOfNames;

pub(super) use task::{PoolEnded, PoolHandle, pool_task};

/// Most open bundles of all searchers, whatever they weigh.
pub(super) const MAX_POOLED: usize = 30_000;

/// What became of a bundle, by some block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) state: BundleState,
    pub(super) reason: Reason,
    /// The block that decided it: height and hash.
    pub(super) block: (u64, B256),
}

/// An open bundle. Clones share the bundle itself.
#[derive(Clone, Debug)]
pub(super) struct PooledBundle {
    pub(super) id: i64,
    pub(super) bundle: Arc<Bundle>,
    pub(super) searcher: Address,
    pub(super) hash: B256,
    /// Counts the bundles of its searcher under one replacement name; a later one replaces an earlier one.
    pub(super) sequence: u64,
    /// Names of the builders it goes to. Nobody is ever added.
    pub(super) builders: Vec<String>,
    /// Blocks it was sent for.
    pub(super) sent_for: HashSet<u64>,
    /// Builders that took it.
    pub(super) taken_by: HashSet<String>,
    /// Words of those that did not.
    pub(super) refused: BTreeMap<String, String>,
    /// Whether it is still sent.
    pub(super) delivery: Delivery,
    /// Cancelled once it is not: looked at before each request leaves.
    pub(super) withdrawn: CancellationToken,
    /// A block that it was not for had some of it, or all.
    pub(super) seen: Option<Decision>,
    /// Why a trial failed.
    pub(super) failed_trial: Option<String>,
    /// Its share of the budget for open bundles.
    pub(super) held: Arc<HeldBytes>,
}

/// A bundle that asks to be taken in.
#[derive(Clone, Debug)]
pub(super) struct NewBundle {
    pub(super) bundle: Arc<Bundle>,
    pub(super) searcher: Address,
    pub(super) hash: B256,
    pub(super) builders: Vec<String>,
    /// What its searcher asked, for the ledger.
    pub(super) request: String,
    /// What it weighs, with its request.
    pub(super) bytes: usize,
}

/// A bundle that was taken in, and the one whose place it took, as that was before.
#[derive(Clone, Debug)]
pub(super) struct Admitted {
    pub(super) pooled: PooledBundle,
    pub(super) replaced: Option<PooledBundle>,
}

/// Why a bundle is not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotAdmitted {
    /// The very same bundle is open already: it is on its way.
    #[error("it is open already")]
    SameAgain,
    #[error(
        "{limit} of your bundles are open, which is the most for one searcher (bundles.max_open_per_searcher): \
         send more when the next block has decided some"
    )]
    SearcherIsFull { limit: usize },
    #[error("{limit} bundles are open, which is the most: send more when the next block has decided some")]
    PoolIsFull { limit: usize },
    #[error(
        "the open bundles hold {limit_mib} MiB, which is the most (bundles.max_open_mib): send more when the next block has decided some"
    )]
    MemoryIsFull { limit_mib: usize },
}

impl PooledBundle {
    /// First and last block.
    pub(super) fn blocks(&self) -> (u64, u64) {
        self.bundle.blocks.unwrap_or_default()
    }

    /// Whether it is to be sent for a block that is to come at a time.
    pub(super) fn is_due(&self, block: u64, timestamp: u64) -> bool {
        let (first, last) = self.blocks();
        self.delivery == Delivery::Active
            && (first..=last).contains(&block)
            && !self.sent_for.contains(&block)
            && self.bundle.fits_time(timestamp)
    }

    /// Each builder's refusal, in one line.
    pub(super) fn refusals(&self) -> String {
        let refusals: Vec<String> =
            self.refused.iter().map(|(builder, message)| format!("{builder}: {message}")).collect();
        refusals.join("; ")
    }
}

/// A block, as far as bundles are concerned.
#[derive(Clone, Debug)]
pub(super) struct SeenBlock {
    pub(super) number: u64,
    pub(super) hash: B256,
    pub(super) timestamp: u64,
    pub(super) base_fee: u128,
    pub(super) builder: String,
    /// Hash of each transaction, and whether it succeeded.
    pub(super) transactions: Vec<(B256, bool)>,
    /// Sender and nonce of each, and its hash.
    pub(super) nonces: HashMap<(Address, u64), B256>,
}

/// All open bundles.
#[derive(Debug)]
pub(super) struct BundlePool {
    by_id: BTreeMap<i64, PooledBundle>,
    by_transaction: HashMap<B256, HashSet<i64>>,
    by_name: HashMap<(Address, String), i64>,
    last_of_names: LastOfNames,
    by_searcher: HashMap<Address, usize>,
    budget: Arc<ByteBudget>,
    max_per_searcher: usize,
    last_id: i64,
}

impl BundlePool {
    /// An empty pool; `last_id` is the newest number that was ever given.
    pub(super) fn new(budget: Arc<ByteBudget>, max_per_searcher: usize, last_id: i64) -> Self {
        Self {
            by_id: BTreeMap::new(),
            by_transaction: HashMap::new(),
            by_name: HashMap::new(),
            last_of_names: LastOfNames::default(),
            by_searcher: HashMap::new(),
            budget,
            max_per_searcher,
            last_id,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn get(&self, id: i64) -> Option<&PooledBundle> {
        self.by_id.get(&id)
    }

    /// Takes a bundle in. One of the same searcher's name that was open is sent no more.
    pub(super) fn admit(&mut self, new: NewBundle) -> Result<Admitted, NotAdmitted> {
        let NewBundle { bundle, searcher, hash, builders, bytes, request: _ } = new;
        if self.has_same(searcher, &bundle) {
            return Err(NotAdmitted::SameAgain);
        }
        let open = self.by_searcher.get(&searcher).copied().unwrap_or_default();
        if self.max_per_searcher != 0 && open >= self.max_per_searcher {
            return Err(NotAdmitted::SearcherIsFull { limit: self.max_per_searcher });
        }
        if self.len() >= MAX_POOLED {
            return Err(NotAdmitted::PoolIsFull { limit: MAX_POOLED });
        }
        let held = self
            .budget
            .take(bytes)
            .ok_or(NotAdmitted::MemoryIsFull { limit_mib: self.budget.limit() >> 20 })?;
        self.last_id += 1;
        let id = self.last_id;
        let before = bundle.uuid.as_ref().and_then(|uuid| self.named(searcher, uuid)).cloned();
        if let Some(before) = &before {
            self.withdraw(before.id, Delivery::Replaced { by: id });
        }
        let uuid = bundle.uuid.as_deref();
        let sequence = uuid.map_or(0, |uuid| self.last_of_names.next(searcher, uuid));
        let pooled = PooledBundle {
            id,
            bundle,
            searcher,
            hash,
            sequence,
            builders,
            sent_for: HashSet::new(),
            taken_by: HashSet::new(),
            refused: BTreeMap::new(),
            delivery: Delivery::Active,
            withdrawn: CancellationToken::new(),
            seen: None,
            failed_trial: None,
            held: Arc::new(held),
        };
        self.add(pooled.clone());
        Ok(Admitted { pooled, replaced: before })
    }

    /// Remembers a number that an earlier process gave under a name.
    pub(super) fn note_name(&mut self, searcher: Address, name: &str, sequence: u64) {
        self.last_of_names.note(searcher, name, sequence);
    }

    /// Takes up a bundle that was open before; its number is its own.
    pub(super) fn take_up(&mut self, pooled: PooledBundle) {
        self.last_id = self.last_id.max(pooled.id);
        if let Some(uuid) = &pooled.bundle.uuid {
            // Its cancellation had the number after its own.
            let was_cancelled = pooled.delivery == Delivery::CancelRequested;
            let last = pooled.sequence.saturating_add(u64::from(was_cancelled));
            self.last_of_names.note(pooled.searcher, uuid, last);
        }
        self.remove(pooled.id);
        self.add(pooled);
    }

    /// Sends a bundle no more; it is watched on. The bundle as it was, unless it was withdrawn so before.
    pub(super) fn withdraw(&mut self, id: i64, delivery: Delivery) -> Option<PooledBundle> {
        let pooled = self.by_id.get_mut(&id)?;
        let before = pooled.clone();
        pooled.delivery = delivery;
        pooled.withdrawn.cancel();
        Some(before)
    }

    /// Takes the open bundle of a searcher's name back: the bundle as it was, and the number of the cancellation among all of that name.
    pub(super) fn cancel(&mut self, searcher: Address, uuid: &str) -> Option<(PooledBundle, u64)> {
        let id = self.named(searcher, uuid)?.id;
        let before = self.withdraw(id, Delivery::CancelRequested)?;
        Some((before, self.last_of_names.next(searcher, uuid)))
    }

    /// The open bundle of a searcher's name.
    pub(super) fn named(&self, searcher: Address, uuid: &str) -> Option<&PooledBundle> {
        let pooled = self.by_id.get(self.by_name.get(&(searcher, uuid.to_owned()))?)?;
        match pooled.delivery {
            Delivery::Active | Delivery::CancelRequested => Some(pooled),
            Delivery::Replaced { .. } | Delivery::Refused => None,
        }
    }

    /// Whether the same bundle of the same searcher for the same blocks is on its way.
    fn has_same(&self, searcher: Address, bundle: &Bundle) -> bool {
        let is_same = |pooled: &PooledBundle| {
            pooled.searcher == searcher && pooled.delivery == Delivery::Active && *pooled.bundle == *bundle
        };
        let first = bundle.transactions.first().and_then(|tx| self.by_transaction.get(&tx.hash));
        first.is_some_and(|ids| ids.iter().filter_map(|id| self.by_id.get(id)).any(is_same))
    }

    fn add(&mut self, pooled: PooledBundle) {
        for tx in &pooled.bundle.transactions {
            self.by_transaction.entry(tx.hash).or_default().insert(pooled.id);
        }
        if let Some(uuid) = &pooled.bundle.uuid {
            // A replaced one that is taken up again does not take its name back.
            let newest = self.by_name.entry((pooled.searcher, uuid.clone())).or_insert(pooled.id);
            *newest = (*newest).max(pooled.id);
        }
        *self.by_searcher.entry(pooled.searcher).or_default() += 1;
        self.by_id.insert(pooled.id, pooled);
    }

    fn remove(&mut self, id: i64) -> Option<PooledBundle> {
        let pooled = self.by_id.remove(&id)?;
        for tx in &pooled.bundle.transactions {
            if let Some(ids) = self.by_transaction.get_mut(&tx.hash) {
                ids.remove(&id);
                if ids.is_empty() {
                    self.by_transaction.remove(&tx.hash);
                }
            }
        }
        if let Some(uuid) = &pooled.bundle.uuid {
            let name = (pooled.searcher, uuid.clone());
            if self.by_name.get(&name) == Some(&id) {
                self.by_name.remove(&name);
            }
        }
        if let Some(count) = self.by_searcher.get_mut(&pooled.searcher) {
            *count -= 1;
            if *count == 0 {
                self.by_searcher.remove(&pooled.searcher);
            }
        }
        Some(pooled)
    }

    /// Bundles to be sent for a block.
    pub(super) fn due(&self, block: u64, timestamp: u64) -> Vec<PooledBundle> {
        self.by_id.values().filter(|pooled| pooled.is_due(block, timestamp)).cloned().collect()
    }

    /// Remembers that a bundle is sent for a block; `false` where it is not to be any more.
    pub(super) fn begin_sending(&mut self, id: i64, block: u64) -> bool {
        let Some(pooled) = self.by_id.get_mut(&id) else { return false };
        if pooled.delivery != Delivery::Active {
            return false;
        }
        pooled.sent_for.insert(block);
        true
    }

    /// Remembers a builder's answer.
    pub(super) fn note_answer(&mut self, id: i64, builder: &str, outcome: SendOutcome, message: &str) {
        let Some(pooled) = self.by_id.get_mut(&id) else { return };
        match outcome {
            SendOutcome::Accepted => {
                pooled.refused.remove(builder);
                pooled.taken_by.insert(builder.to_owned());
            }
            SendOutcome::Refused
            | SendOutcome::Unsupported
            | SendOutcome::QueueFull
            | SendOutcome::RateLimited
            | SendOutcome::TimedOut
            | SendOutcome::Transport => {
                let message = if message.is_empty() { outcome.label() } else { message };
                pooled.refused.insert(builder.to_owned(), message.to_owned());
            }
            // Our own doing, not the builder's.
            SendOutcome::Withdrawn | SendOutcome::CancelAccepted | SendOutcome::CancelRefused => {}
        }
    }

    /// Remembers what a trial gave.
    pub(super) fn note_trial(&mut self, id: i64, failure: Option<String>) {
        if let Some(pooled) = self.by_id.get_mut(&id) {
            pooled.failed_trial = failure;
        }
    }

    /// Whether a bundle may be in a block.
    pub(super) fn waits_for(&self, block: u64) -> bool {
        let may_be_in = |pooled: &PooledBundle| {
            let (first, last) = pooled.blocks();
            (first..=last).contains(&block)
        };
        self.by_id.values().any(may_be_in)
    }

    /// Whether any open bundle has a transaction in a list.
    pub(super) fn touches(&self, hashes: impl IntoIterator<Item = B256>) -> bool {
        hashes.into_iter().any(|hash| self.by_transaction.contains_key(&hash))
    }

    /// Lets a block decide; what it decided leaves the pool.
    pub(super) fn see(&mut self, block: &SeenBlock) -> Vec<(PooledBundle, Decision)> {
        let hit: HashSet<i64> = block
            .transactions
            .iter()
            .filter_map(|(hash, _)| self.by_transaction.get(hash))
            .flatten()
            .copied()
            .collect();
        // Those that are still sent first, then the newest: it is theirs if an older one of the searcher's has the same transactions.
        let mut order: Vec<i64> = self.by_id.keys().rev().copied().collect();
        order.sort_by_key(|id| self.by_id.get(id).is_none_or(|pooled| pooled.delivery != Delivery::Active));
        let mut landed: HashSet<(Address, B256)> = HashSet::new();
        let mut decisions = Vec::new();
        for id in order {
            let Some(pooled) = self.by_id.get_mut(&id) else { continue };
            let decision = decide(pooled, block, hit.contains(&id), &mut landed);
            if let Some(decision) = decision {
                decisions.push((id, decision));
            }
        }
        decisions.sort_by_key(|(id, _)| *id);
        decisions.into_iter().filter_map(|(id, decision)| Some((self.remove(id)?, decision))).collect()
    }

    /// The chain has gone back to a height: what was seen above it counts no more.
    pub(super) fn go_back(&mut self, to: u64) {
        for pooled in self.by_id.values_mut() {
            pooled.seen.take_if(|seen| seen.block.0 > to);
        }
    }
}

/// What a block decides about one bundle, if anything.
fn decide(
    pooled: &mut PooledBundle,
    block: &SeenBlock,
    is_hit: bool,
    landed: &mut HashSet<(Address, B256)>,
) -> Option<Decision> {
    let at = (block.number, block.hash);
    let (first, last) = pooled.blocks();
    let in_range = (first..=last).contains(&block.number);
    if is_hit {
        let sighting = presence(&pooled.bundle, &block.transactions);
        let found: Vec<B256> = sighting
            .places
            .iter()
            .filter_map(|place| block.transactions.get(*place).map(|(hash, _)| *hash))
            .collect();
        // Sent no more, and all that is there of it came with a later one of the searcher's: that one landed, not this one.
        let is_anothers = pooled.delivery != Delivery::Active
            && found.iter().all(|hash| landed.contains(&(pooled.searcher, *hash)));
        let seen = |state: BundleState, reason: Reason| Some(Decision { state, reason, block: at });
        let seen = match sighting.presence {
            Presence::Absent => None,
            _ if is_anothers => None,
            Presence::Included { dropped, reverted } if in_range => {
                landed.extend(found.into_iter().map(|hash| (pooled.searcher, hash)));
                let reason = Reason::AsAsked { dropped, reverted, withdrawn: pooled.delivery };
                return seen(BundleState::Included, reason);
            }
            Presence::Included { .. } => {
                seen(BundleState::Unbundled, Reason::NotAskedFor { block: block.number })
            }
            Presence::Partly => seen(BundleState::PartlyIncluded, Reason::OnlySome(found)),
            Presence::Unbundled(how) => seen(BundleState::Unbundled, Reason::Disordered(how)),
        };
        if seen.is_some() {
            pooled.seen = seen;
        }
    }
    let is_past =
        block.number >= last || pooled.bundle.max_timestamp.is_some_and(|max| block.timestamp > max);
    (is_past || (pooled.seen.is_some() && in_range)).then(|| end_of(pooled, block))
}

/// Why a bundle is not in any of its blocks: the best-known reason, the surest first.
fn end_of(pooled: &PooledBundle, block: &SeenBlock) -> Decision {
    let decision =
        |state: BundleState, reason: Reason| Decision { state, reason, block: (block.number, block.hash) };
    if let Some(seen) = &pooled.seen {
        return seen.clone();
    }
    match pooled.delivery {
        Delivery::CancelRequested => return decision(BundleState::Cancelled, Reason::TakenBack),
        Delivery::Replaced { by } => return decision(BundleState::Replaced, Reason::ReplacedBy(by)),
        Delivery::Refused => {
            return decision(BundleState::Failed, Reason::NobodyTookIt(pooled.refusals()));
        }
        Delivery::Active => {}
    }
    let missed = |reason: Reason| decision(BundleState::Missed, reason);
    let transactions = &pooled.bundle.transactions;
    for tx in transactions {
        if let Some(other) = block.nonces.get(&(tx.sender, tx.nonce)).filter(|other| **other != tx.hash) {
            let by = Some((*other, block.number));
            return missed(Reason::NonceUsed { nonce: tx.nonce, sender: tx.sender, by });
        }
    }
    if let Some(tx) = transactions.iter().find(|tx| tx.max_fee < block.base_fee) {
        return missed(Reason::BaseFee {
            base_fee: block.base_fee,
            block: block.number,
            max_fee: tx.max_fee,
            transaction: tx.hash,
        });
    }
    if let Some(error) = &pooled.failed_trial {
        return missed(Reason::FailedTrial(error.clone()));
    }
    if pooled.sent_for.is_empty() {
        return missed(Reason::NeverSent);
    }
    if pooled.taken_by.is_empty() {
        return match pooled.refused.is_empty() {
            true => missed(Reason::SentTooLate),
            false => decision(BundleState::Failed, Reason::NobodyTookIt(pooled.refusals())),
        };
    }
    if pooled.bundle.max_timestamp.is_some_and(|max| block.timestamp > max) {
        return missed(Reason::Expired);
    }
    let mut names: Vec<&str> = pooled.taken_by.iter().map(String::as_str).collect();
    names.sort_unstable();
    let builder =
        if block.builder.is_empty() { "an unnamed builder".to_owned() } else { block.builder.clone() };
    missed(Reason::Outbid { takers: names.join(", "), block: block.number, builder })
}

#[cfg(test)]
mod tests;
