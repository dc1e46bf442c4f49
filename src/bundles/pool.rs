//! Bundles whose fate is open: in memory, found by number, by transaction and by the searcher's own name. No network, no clock.

use std::collections::{BTreeMap, HashMap, HashSet};

use alloy_primitives::{Address, B256};

use super::{
    bundle::Bundle,
    inclusion::{Presence, presence},
};

/// Most open bundles. Beyond it new ones are refused: 30,000 of 3 transactions are some 30 MB.
pub(super) const MAX_POOLED: usize = 30_000;

/// What became of a bundle, by some block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    /// Its state in the ledger.
    pub(super) state: &'static str,
    /// Why.
    pub(super) reason: String,
    /// The block that decided it: height and hash.
    pub(super) block: Option<(u64, B256)>,
    /// Places of its transactions in that block, where it is included.
    pub(super) places: Vec<usize>,
}

/// An open bundle.
#[derive(Clone, Debug)]
pub(super) struct PooledBundle {
    pub(super) id: i64,
    pub(super) bundle: Bundle,
    pub(super) searcher: Address,
    pub(super) hash: B256,
    /// Which one of its name.
    pub(super) sequence: u64,
    /// Names of the builders it goes to.
    pub(super) builders: Vec<String>,
    /// Blocks it was sent for.
    pub(super) sent_for: HashSet<u64>,
    /// Builders that took it.
    pub(super) taken_by: HashSet<String>,
    /// Words of those that did not.
    pub(super) refused: BTreeMap<String, String>,
    /// It was taken back.
    pub(super) cancel_requested: bool,
    /// A block had some of it, or all of it otherwise than asked for.
    pub(super) seen: Option<(&'static str, String, (u64, B256))>,
    /// Why a trial failed.
    pub(super) failed_trial: Option<String>,
    /// What became of it; may change while the block is not final.
    pub(super) decision: Option<Decision>,
}

impl PooledBundle {
    /// First and last block.
    pub(super) fn blocks(&self) -> (u64, u64) {
        self.bundle.blocks.unwrap_or_default()
    }

    /// Whether it is to be sent for a block that is to come at a time.
    pub(super) fn is_due(&self, block: u64, timestamp: u64) -> bool {
        let (first, last) = self.blocks();
        self.decision.is_none()
            && !self.cancel_requested
            && (first..=last).contains(&block)
            && !self.sent_for.contains(&block)
            && self.bundle.fits_time(timestamp)
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
#[derive(Debug, Default)]
pub(super) struct BundlePool {
    by_id: BTreeMap<i64, PooledBundle>,
    by_transaction: HashMap<B256, HashSet<i64>>,
    by_name: HashMap<(Address, String), i64>,
}

impl BundlePool {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn get(&self, id: i64) -> Option<&PooledBundle> {
        self.by_id.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: i64) -> Option<&mut PooledBundle> {
        self.by_id.get_mut(&id)
    }

    /// The open, undecided bundle of a searcher's name.
    pub(super) fn named(&self, searcher: Address, uuid: &str) -> Option<&PooledBundle> {
        let pooled = self.by_id.get(self.by_name.get(&(searcher, uuid.to_owned()))?)?;
        Some(pooled).filter(|pooled| pooled.decision.is_none())
    }

    /// The same bundle of the same searcher for the same blocks, if it is open.
    pub(super) fn same(&self, searcher: Address, bundle: &Bundle) -> Option<i64> {
        let first = bundle.transactions.first()?.hash;
        let is_same = |pooled: &&PooledBundle| {
            pooled.searcher == searcher
                && pooled.decision.is_none()
                && !pooled.cancel_requested
                && pooled.bundle == *bundle
        };
        let ids = self.by_transaction.get(&first)?;
        ids.iter().filter_map(|id| self.by_id.get(id)).find(is_same).map(|pooled| pooled.id)
    }

    pub(super) fn add(&mut self, pooled: PooledBundle) {
        for tx in &pooled.bundle.transactions {
            self.by_transaction.entry(tx.hash).or_default().insert(pooled.id);
        }
        if let Some(uuid) = &pooled.bundle.uuid {
            self.by_name.insert((pooled.searcher, uuid.clone()), pooled.id);
        }
        self.by_id.insert(pooled.id, pooled);
    }

    pub(super) fn remove(&mut self, id: i64) {
        let Some(pooled) = self.by_id.remove(&id) else { return };
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
    }

    /// Bundles to be sent for a block.
    pub(super) fn due(&self, block: u64, timestamp: u64) -> Vec<i64> {
        self.by_id.values().filter(|pooled| pooled.is_due(block, timestamp)).map(|pooled| pooled.id).collect()
    }

    /// Whether a bundle without a decision may be in a block.
    pub(super) fn waits_for(&self, block: u64) -> bool {
        let may_be_in = |pooled: &PooledBundle| {
            let (first, last) = pooled.blocks();
            pooled.decision.is_none() && (first..=last).contains(&block)
        };
        self.by_id.values().any(may_be_in)
    }

    /// Whether any open bundle has a transaction in a list.
    pub(super) fn touches(&self, hashes: impl IntoIterator<Item = B256>) -> bool {
        hashes.into_iter().any(|hash| self.by_transaction.contains_key(&hash))
    }

    /// What a block decides: the numbers of those that have a decision now.
    pub(super) fn see(&mut self, block: &SeenBlock) -> Vec<i64> {
        let hit: HashSet<i64> = block
            .transactions
            .iter()
            .filter_map(|(hash, _)| self.by_transaction.get(hash))
            .flatten()
            .copied()
            .collect();
        let at = (block.number, block.hash);
        let mut decided = Vec::new();
        for pooled in self.by_id.values_mut().filter(|pooled| pooled.decision.is_none()) {
            let (first, last) = pooled.blocks();
            let presence = if hit.contains(&pooled.id) {
                presence(&pooled.bundle, &block.transactions)
            } else {
                Presence::Absent
            };
            let in_range = (first..=last).contains(&block.number);
            match presence {
                Presence::Included { from, dropped, reverted } if in_range => {
                    let count = pooled.bundle.transactions.len().saturating_sub(dropped);
                    let reason = match (dropped, reverted) {
                        (0, 0) => String::new(),
                        _ => format!("{dropped} left out and {reverted} reverted, as they may"),
                    };
                    let places = (from..from.saturating_add(count)).collect();
                    pooled.decision = Some(Decision { state: "included", reason, block: Some(at), places });
                }
                Presence::Included { .. } => {
                    let words = format!("block {} has it, which was not asked for", block.number);
                    pooled.seen = Some(("unbundled", words, at));
                }
                Presence::Partly(hashes) => {
                    let hashes: Vec<String> = hashes.iter().map(ToString::to_string).collect();
                    pooled.seen =
                        Some(("partly_included", format!("only {} is in the block", hashes.join(", ")), at));
                }
                Presence::Unbundled(how) => {
                    pooled.seen = Some(("unbundled", format!("its transactions are in the block {how}"), at));
                }
                Presence::Absent => {}
            }
            let is_past =
                block.number >= last || pooled.bundle.max_timestamp.is_some_and(|max| block.timestamp > max);
            if pooled.decision.is_none() && (is_past || (pooled.seen.is_some() && in_range)) {
                pooled.decision = Some(end_of(pooled, block));
            }
            if pooled.decision.is_some() {
                decided.push(pooled.id);
            }
        }
        decided
    }

    /// The chain has gone back to a height: decisions above it count no more. The numbers of those that are open again.
    pub(super) fn go_back(&mut self, to: u64) -> Vec<i64> {
        let mut reopened = Vec::new();
        for pooled in self.by_id.values_mut() {
            pooled.seen.take_if(|(_, _, (number, _))| *number > to);
            let above = |decision: &mut Decision| decision.block.is_some_and(|(number, _)| number > to);
            if pooled.decision.take_if(above).is_some() {
                reopened.push(pooled.id);
            }
        }
        reopened
    }

    /// Bundles whose decision is final at a height.
    pub(super) fn settled(&self, final_number: u64) -> Vec<i64> {
        let is_final = |pooled: &&PooledBundle| {
            pooled.decision.as_ref().is_some_and(|d| d.block.is_none_or(|(number, _)| number <= final_number))
        };
        self.by_id.values().filter(is_final).map(|pooled| pooled.id).collect()
    }
}

/// Why a bundle is not in any of its blocks: the best-known reason, the surest first.
fn end_of(pooled: &PooledBundle, block: &SeenBlock) -> Decision {
    let at = Some((block.number, block.hash));
    let decision =
        |state: &'static str, reason: String| Decision { state, reason, block: at, places: Vec::new() };
    if let Some((state, words, block)) = &pooled.seen {
        return Decision { block: Some(*block), ..decision(state, words.clone()) };
    }
    if pooled.cancel_requested {
        return decision("cancelled", "taken back, and no block had it".to_owned());
    }
    let transactions = &pooled.bundle.transactions;
    for tx in transactions {
        if let Some(other) = block.nonces.get(&(tx.sender, tx.nonce)).filter(|other| **other != tx.hash) {
            let words =
                format!("nonce {} of {} was used by {other} in block {}", tx.nonce, tx.sender, block.number);
            return decision("missed", format!("conflicting nonce: {words}"));
        }
    }
    if let Some(tx) = transactions.iter().find(|tx| tx.max_fee < block.base_fee) {
        let words = format!(
            "base fee {} of block {} is above {} of {}",
            block.base_fee, block.number, tx.max_fee, tx.hash
        );
        return decision("missed", words);
    }
    if let Some(words) = &pooled.failed_trial {
        return decision("missed", format!("reverted in simulation: {words}"));
    }
    if pooled.sent_for.is_empty() {
        return decision("missed", "never sent: its time had not come before its last block".to_owned());
    }
    if pooled.taken_by.is_empty() {
        let words: Vec<String> =
            pooled.refused.iter().map(|(builder, words)| format!("{builder}: {words}")).collect();
        return match words.is_empty() {
            true => decision("missed", "sent too late: no builder had answered".to_owned()),
            false => decision("failed", format!("no builder took it: {}", words.join("; "))),
        };
    }
    if pooled.bundle.max_timestamp.is_some_and(|max| block.timestamp > max) {
        return decision("missed", "expired: its time ended before a block had it".to_owned());
    }
    let mut names: Vec<&str> = pooled.taken_by.iter().map(String::as_str).collect();
    names.sort_unstable();
    let words = format!(
        "outbid or left out: {} took it, block {} is by {}",
        names.join(", "),
        block.number,
        if block.builder.is_empty() { "an unnamed builder" } else { &block.builder }
    );
    decision("missed", words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundles::bundle::BundleTx;

    const SEARCHER: Address = Address::repeat_byte(5);

    fn hash(n: u8) -> B256 {
        B256::repeat_byte(n)
    }

    fn pooled(id: i64, transactions: &[u8], blocks: (u64, u64), uuid: Option<&str>) -> PooledBundle {
        let tx = |n: &u8| BundleTx {
            hash: hash(*n),
            sender: SEARCHER,
            nonce: u64::from(*n),
            max_fee: 100,
            ..BundleTx::default()
        };
        PooledBundle {
            id,
            bundle: Bundle {
                transactions: transactions.iter().map(tx).collect(),
                blocks: Some(blocks),
                uuid: uuid.map(str::to_owned),
                ..Bundle::default()
            },
            searcher: SEARCHER,
            hash: B256::ZERO,
            sequence: 0,
            builders: vec!["b".to_owned()],
            sent_for: HashSet::from([9]),
            taken_by: HashSet::from(["b".to_owned()]),
            refused: BTreeMap::new(),
            cancel_requested: false,
            seen: None,
            failed_trial: None,
            decision: None,
        }
    }

    fn block(number: u64, transactions: &[u8]) -> SeenBlock {
        SeenBlock {
            number,
            hash: B256::from(alloy_primitives::U256::from(number)),
            timestamp: number * 12,
            base_fee: 50,
            builder: "someone".to_owned(),
            transactions: transactions.iter().map(|n| (hash(*n), true)).collect(),
            nonces: HashMap::new(),
        }
    }

    fn state(pool: &BundlePool, id: i64) -> Option<(&'static str, String)> {
        let decision = pool.get(id)?.decision.clone()?;
        Some((decision.state, decision.reason))
    }

    #[test]
    fn a_bundle_is_found_in_its_blocks_and_again_after_a_reorganisation() {
        let mut pool = BundlePool::default();
        pool.add(pooled(1, &[1, 2], (10, 12), None));
        assert_eq!(pool.due(10, 120), [1]);
        assert_eq!(pool.see(&block(10, &[9])), Vec::<i64>::new());
        assert_eq!(pool.see(&block(11, &[9, 1, 2])), [1]);
        assert_eq!(pool.get(1).unwrap().decision.as_ref().unwrap().places, [1, 2]);
        assert!(pool.due(12, 144).is_empty());
        // Block 11 is gone: open again, and due for the next.
        assert_eq!(pool.go_back(10), [1]);
        assert_eq!(pool.due(11, 132), [1]);
        assert_eq!(pool.see(&block(11, &[9])), Vec::<i64>::new());
        assert_eq!(pool.see(&block(12, &[9])), [1]);
        assert!(
            state(&pool, 1).unwrap().1.starts_with("outbid or left out: b took it, block 12 is by someone")
        );
        assert!(pool.settled(11).is_empty());
        assert_eq!(pool.settled(12), [1]);
        pool.remove(1);
        assert_eq!((pool.len(), pool.touches([hash(1)])), (0, false));
    }

    #[test]
    fn the_best_known_reason_is_given() {
        let last = |change: &dyn Fn(&mut PooledBundle), block: SeenBlock| {
            let mut pool = BundlePool::default();
            let mut bundle = pooled(1, &[1, 2], (10, 10), None);
            change(&mut bundle);
            pool.add(bundle);
            pool.see(&block);
            state(&pool, 1).unwrap()
        };
        let none = |_: &mut PooledBundle| {};
        let used = SeenBlock { nonces: HashMap::from([((SEARCHER, 2), hash(77))]), ..block(10, &[]) };
        assert!(last(&none, used).1.starts_with("conflicting nonce: nonce 2"));
        assert!(last(&none, SeenBlock { base_fee: 101, ..block(10, &[]) }).1.starts_with("base fee 101"));
        assert!(
            last(&|l| l.failed_trial = Some("x".to_owned()), block(10, &[]))
                .1
                .contains("reverted in simulation: x")
        );
        let refuse = |l: &mut PooledBundle| {
            l.taken_by.clear();
            l.refused.insert("b".to_owned(), "too many txs".to_owned());
        };
        assert_eq!(
            last(&refuse, block(10, &[])),
            ("failed", "no builder took it: b: too many txs".to_owned())
        );
        assert!(last(&|l| l.taken_by.clear(), block(10, &[])).1.starts_with("sent too late"));
        assert!(last(&|l| l.sent_for.clear(), block(10, &[])).1.starts_with("never sent"));
        assert_eq!(last(&|l| l.cancel_requested = true, block(10, &[])).0, "cancelled");
        assert_eq!(last(&|l| l.cancel_requested = true, block(10, &[1, 2])).0, "included");
        assert_eq!(last(&none, block(10, &[2])).0, "partly_included");
        assert_eq!(last(&none, block(10, &[2, 1])).0, "unbundled");
        assert!(last(&none, block(11, &[1, 2])).1.contains("was not asked for"));
        assert!(
            last(
                &|l| {
                    l.bundle.blocks = Some((10, 20));
                    l.bundle.max_timestamp = Some(110)
                },
                block(10, &[])
            )
            .1
            .starts_with("expired")
        );
    }

    #[test]
    fn names_are_the_searchers_own() {
        let mut pool = BundlePool::default();
        pool.add(pooled(1, &[1], (10, 10), Some("u")));
        assert_eq!(pool.named(SEARCHER, "u").map(|l| l.id), Some(1));
        assert!(pool.named(Address::ZERO, "u").is_none());
        let same = pool.get(1).unwrap().bundle.clone();
        assert_eq!(pool.same(SEARCHER, &same), Some(1));
        assert_eq!(pool.same(SEARCHER, &Bundle { min_timestamp: Some(1), ..same }), None);
        pool.add(pooled(2, &[1], (10, 10), Some("u")));
        assert_eq!(pool.named(SEARCHER, "u").map(|l| l.id), Some(2));
        pool.remove(1);
        assert_eq!(pool.named(SEARCHER, "u").map(|l| l.id), Some(2));
    }

    #[test]
    fn windows_of_time_are_kept_here() {
        let mut bundle = pooled(1, &[1], (10, 12), None);
        bundle.bundle.min_timestamp = Some(130);
        bundle.bundle.max_timestamp = Some(140);
        assert_eq!([120, 132, 144].map(|time| bundle.is_due(11, time)), [false, true, false]);
        bundle.sent_for.insert(11);
        assert!(!bundle.is_due(11, 132) && !bundle.is_due(9, 132));
    }
}
