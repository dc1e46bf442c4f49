//! The chain as subscribers were told it, made of what several upstreams show. Pure: it fetches nothing and knows no clock.
//!
//! What is told hangs together: each block is the child of the one told before it, or a reorganisation says which blocks are none any more.
//! Which blocks are told, when upstreams differ:
//!
//! - A child of the block told last is told at once, whoever shows it first.
//! - A block further on is told once the blocks between are there, linked by their parents' hashes ([`Step::Gap`]).
//! - Another branch is followed when it wins against the one told. Each upstream votes by its newest block, if that is on one of the two
//!   and not before they part. A branch that is [`STANDS_STILL`] blocks longer wins: who votes for the other does not move. Else
//!   the one with more votes wins, and with as many on both sides the one of the upstream that the board asks first. So an upstream on a fork of
//!   its own makes nobody flap, and an upstream that lags, whose block was told long since, has no vote. With as many votes, a branch that was
//!   told and left is taken up again only once it is the longer one: an upstream that is late with a reorganisation shows what all have left.
//!   And who votes for another branch must be known to show it later than what was told, not from before (`claims`); where that is all that
//!   is against it, upstreams are asked for their newest blocks first ([`Step::Ask`]).
//! - A block that cannot be linked, too far from the told ones or of an unknown parent, begins the chain anew ([`Step::Jump`]) only
//!   once most upstreams show such blocks, or half of them with the preferred one, or when all upstreams fell back to before the
//!   first told block. Until then it is passed over.
//! - A block whose time lies in the future is refused.
//!
//! An upstream votes from its first block until it is gone.

mod claims;
mod votes;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use alloy_primitives::B256;

use self::claims::{Claim, Claims};
use super::block::Block;

/// Told blocks that are remembered: how deep a reorganisation may go, and how many blocks are fetched to close a gap. No chain that is served
/// here reorganises deeper than its finality, which is 64 blocks on mainnet.
pub const RING: usize = 256;
/// A branch that is so many blocks longer is followed whatever the votes.
pub const STANDS_STILL: u64 = 3;
/// Most blocks that are known and not told: forks, and blocks beyond a gap.
const MAX_POOL: usize = 1024;

/// What follows from a block that was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It was told already.
    Known,
    /// It is from the future.
    Future,
    /// The next block.
    New(Arc<Block>),
    /// Blocks are none any more, and others have taken their place.
    Reorg {
        /// The newest first.
        removed: Vec<Arc<Block>>,
        /// The oldest first.
        added: Vec<Arc<Block>>,
    },
    /// The chain begins anew here: whatever lies between was not told and will not be.
    Jump(Arc<Block>),
    /// Blocks are wanted before anything further can be told.
    Gap(Gap),
    /// Upstreams are to be asked for their newest blocks ([`Chain::question`]) before another branch may be told.
    Ask,
}

/// Blocks that are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Gap {
    /// The first number.
    pub from: u64,
    /// The last number.
    pub to: u64,
    /// Hash of the last.
    pub hash: B256,
}

/// The chain as it was told.
#[derive(Clone, Debug)]
pub struct Chain {
    told: VecDeque<Arc<Block>>,
    pool: HashMap<B256, Arc<Block>>,
    /// In the order in which they came into the pool.
    pooled: VecDeque<B256>,
    /// Those of the pool that were told, until a reorganisation.
    left: HashSet<B256>,
    claims: Claims,
    /// The highest number that each upstream showed since the chain began, whether it is gone or not.
    highest: BTreeMap<usize, u64>,
    /// Blocks that nobody could give.
    lost: HashSet<B256>,
    max_future_s: u64,
}

/// How a block hangs together with what was told.
#[derive(Debug)]
enum Path {
    /// It was told.
    Told,
    /// By these blocks, the oldest first, onto the told block at a place.
    Linked(usize, Vec<Arc<Block>>),
    /// It would by a block that is not known.
    Missing(Gap),
    /// In no way.
    Beyond,
}

/// Whether another branch is told.
#[derive(Debug)]
enum Finding {
    /// What was told goes on.
    Stay,
    /// This one, from the place of the told block that it grows from.
    Follow(usize, Vec<Arc<Block>>),
    /// One would win by the votes of these upstreams, which may show it late: later than the told block of this number, they would count.
    Doubt(Vec<usize>, u64),
}

impl Chain {
    /// Nothing was told yet. Blocks may be so many seconds in the future.
    pub fn new(max_future_s: u64) -> Self {
        Self {
            told: VecDeque::new(),
            pool: HashMap::new(),
            pooled: VecDeque::new(),
            left: HashSet::new(),
            claims: Claims::default(),
            highest: BTreeMap::new(),
            lost: HashSet::new(),
            max_future_s,
        }
    }

    /// The block that was told last.
    pub fn tip(&self) -> Option<&Arc<Block>> {
        self.told.back()
    }

    /// An upstream's word counts no more, from the next step on that anybody's block or absence makes: what follows from both is found at once.
    pub fn withdraw(&mut self, place: usize) {
        self.claims.remove(place);
    }

    /// An upstream shows a block. `order` has the upstreams' places, the preferred first; `now_s` is in Unix seconds.
    #[must_use = "what subscribers are not told of, they lose"]
    pub fn take_in(&mut self, place: usize, block: Block, now_s: u64, order: &[usize]) -> Vec<Step> {
        self.take(place, block, None, now_s, order)
    }

    /// An upstream answers a question by its newest block. Whatever it showed before came before that.
    #[must_use = "what subscribers are not told of, they lose"]
    pub fn take_answer(
        &mut self,
        place: usize,
        block: Block,
        question: u64,
        now_s: u64,
        order: &[usize],
    ) -> Vec<Step> {
        self.take(place, block, Some(question), now_s, order)
    }

    /// An upstream answers a question by an error: what it shows counts as the answer.
    #[must_use = "what subscribers are not told of, they lose"]
    pub fn take_refusal(&mut self, place: usize, question: u64, order: &[usize]) -> Vec<Step> {
        self.claims.answer_without_block(place, question);
        self.settle(order)
    }

    /// The question that is open: upstreams are asked for their newest blocks.
    pub fn question(&self) -> Option<u64> {
        self.claims.question()
    }

    /// Nobody else answers the open question: what upstreams show is believed to be their newest, but for blocks that were told and left.
    #[must_use = "what subscribers are not told of, they lose"]
    pub fn give_up_asking(&mut self, order: &[usize]) -> Vec<Step> {
        self.claims.give_up_asking();
        self.settle(order)
    }

    fn take(
        &mut self,
        place: usize,
        block: Block,
        answers: Option<u64>,
        now_s: u64,
        order: &[usize],
    ) -> Vec<Step> {
        if block.head.timestamp > now_s.saturating_add(self.max_future_s) {
            return vec![Step::Future];
        }
        let block = Arc::new(block);
        self.claims.show(place, Arc::clone(&block), answers);
        let highest = self.highest.entry(place).or_default();
        *highest = block.number().max(*highest);
        let known = self.is_told(&block);
        if !known {
            self.add_to_pool(block);
        }
        let mut steps = self.settle(order);
        if known && steps.is_empty() {
            steps.push(Step::Known);
        }
        steps
    }

    /// Blocks that were wanted have come.
    #[must_use = "what subscribers are not told of, they lose"]
    pub fn fill(&mut self, blocks: Vec<Block>, order: &[usize]) -> Vec<Step> {
        for block in blocks {
            self.lost.remove(&block.hash());
            self.add_to_pool(Arc::new(block));
        }
        self.settle(order)
    }

    /// Nobody could give the last block of a gap: what is beyond it cannot be linked.
    #[must_use = "what subscribers are not told of, they lose"]
    pub fn give_up(&mut self, gap: &Gap, order: &[usize]) -> Vec<Step> {
        // Arbitrary: liars alone make more than a handful.
        if self.lost.len() >= MAX_POOL {
            self.lost.clear();
        }
        self.lost.insert(gap.hash);
        self.settle(order)
    }

    /// An upstream shows nothing any more.
    #[must_use = "what subscribers are not told of, they lose"]
    pub fn gone(&mut self, place: usize, order: &[usize]) -> Vec<Step> {
        if self.claims.remove(place) { self.settle(order) } else { Vec::new() }
    }

    /// The upstreams that have shown a block and are not gone.
    pub fn claimants(&self) -> impl Iterator<Item = usize> + '_ {
        self.claims.iter().map(|(place, _)| place)
    }

    fn settle(&mut self, order: &[usize]) -> Vec<Step> {
        let mut steps = Vec::new();
        let first = self.by_preference(order).first().map(|(_, claim)| Arc::clone(&claim.block));
        if let Some(first) = first.filter(|_| self.told.is_empty()) {
            steps.push(self.jump(first));
        }
        self.extend(order, &mut steps);
        // One is enough: the winner against what was told is not lost against again, as each pair is judged by one rule for both.
        match self.find(order) {
            Finding::Follow(fork, branch) => {
                steps.push(self.switch(fork, branch));
                self.extend(order, &mut steps);
            }
            Finding::Doubt(doubted, parts_at) => {
                let tip = self.tip().map_or(0, |tip| tip.number());
                steps.extend(self.claims.ask(&doubted, parts_at, tip).map(|_| Step::Ask));
            }
            Finding::Stay => {
                self.claims.close();
                if let Some(anew) = self.new_beginning(order) {
                    steps.push(self.jump(anew));
                    self.extend(order, &mut steps);
                }
            }
        }
        let mut gaps: Vec<Gap> = Vec::new();
        for (_, claim) in self.by_preference(order) {
            if let Path::Missing(gap) = self.path(&claim.block)
                && !gaps.contains(&gap)
            {
                gaps.push(gap);
            }
        }
        steps.extend(gaps.into_iter().map(Step::Gap));
        let Self { claims, told, .. } = self;
        claims.note_told(|block| told_at(told, block.hash(), block.number()).is_some());
        self.forget();
        steps
    }

    /// Tells what hangs onto the tip.
    fn extend(&mut self, order: &[usize], steps: &mut Vec<Step>) {
        loop {
            let tip = self.told.len().wrapping_sub(1);
            let next =
                self.by_preference(order).into_iter().find_map(|(_, claim)| match self.path(&claim.block) {
                    Path::Linked(fork, branch) if fork == tip => Some(branch),
                    Path::Linked(..) | Path::Told | Path::Missing(_) | Path::Beyond => None,
                });
            let Some(branch) = next else { return };
            for block in branch {
                steps.push(Step::New(Arc::clone(&block)));
                self.tell(block);
            }
        }
    }

    fn switch(&mut self, fork: usize, added: Vec<Arc<Block>>) -> Step {
        let removed: Vec<_> = self.told.drain(fork.saturating_add(1)..).rev().collect();
        if let Some(first) = removed.last() {
            self.claims.note_left(first.number());
        }
        for block in removed.iter().rev() {
            self.left.insert(block.hash());
            self.add_to_pool(Arc::clone(block));
        }
        for block in &added {
            self.tell(Arc::clone(block));
        }
        Step::Reorg { removed, added }
    }

    fn jump(&mut self, to: Arc<Block>) -> Step {
        self.told.clear();
        self.claims.note_left(0);
        self.highest = self.claims.iter().map(|(place, claim)| (place, claim.block.number())).collect();
        self.tell(Arc::clone(&to));
        Step::Jump(to)
    }

    fn tell(&mut self, block: Arc<Block>) {
        self.pool.remove(&block.hash());
        self.told.push_back(block);
        if self.told.len() > RING {
            self.told.pop_front();
        }
    }

    fn add_to_pool(&mut self, block: Arc<Block>) {
        let hash = block.hash();
        if self.is_told(&block) || self.pool.insert(hash, block).is_some() {
            return;
        }
        self.pooled.push_back(hash);
    }

    /// Forgets what cannot be told any more, and the oldest of what is too much.
    fn forget(&mut self) {
        let lowest = self.told.front().map_or(0, |block| block.number());
        let is_claimed: HashSet<B256> = self.claims.iter().map(|(_, claim)| claim.block.hash()).collect();
        self.pool.retain(|hash, block| block.number() >= lowest || is_claimed.contains(hash));
        let Self { pool, pooled, left, .. } = self;
        pooled.retain(|hash| pool.contains_key(hash));
        while pooled.len() > MAX_POOL {
            if let Some(hash) = pooled.pop_front() {
                pool.remove(&hash);
            }
        }
        left.retain(|hash| pool.contains_key(hash));
    }

    /// Where a block was told.
    fn told_at(&self, hash: B256, number: u64) -> Option<usize> {
        told_at(&self.told, hash, number)
    }

    fn is_told(&self, block: &Block) -> bool {
        self.told_at(block.hash(), block.number()).is_some()
    }

    fn path(&self, block: &Arc<Block>) -> Path {
        let (Some(tip), Some(oldest)) = (self.told.back(), self.told.front()) else { return Path::Beyond };
        if self.is_told(block) {
            return Path::Told;
        }
        let ring = u64::try_from(RING).unwrap_or(u64::MAX);
        if block.number() > tip.number().saturating_add(ring) {
            return Path::Beyond;
        }
        let mut branch = vec![Arc::clone(block)];
        let mut child = block;
        while let Some(number) = child.number().checked_sub(1).filter(|number| *number >= oldest.number()) {
            let hash = child.head.parent_hash;
            if let Some(place) = self.told_at(hash, number) {
                branch.reverse();
                return Path::Linked(place, branch);
            }
            match self.pool.get(&hash) {
                Some(parent) if parent.number() == number => {
                    branch.push(Arc::clone(parent));
                    child = parent;
                }
                // A hash is of one number only.
                Some(_) => return Path::Beyond,
                None if self.lost.contains(&hash) => return Path::Beyond,
                None => {
                    let from = tip.number().saturating_add(1).min(number);
                    return Path::Missing(Gap { from, to: number, hash });
                }
            }
        }
        Path::Beyond
    }

    /// The upstreams that show something, the preferred first, and those that stand in no order last.
    fn by_preference(&self, order: &[usize]) -> Vec<(usize, &Claim)> {
        let mut claims: Vec<_> = self.claims.iter().collect();
        claims.sort_by_key(|(place, _)| order.iter().position(|one| one == place).unwrap_or(usize::MAX));
        claims
    }
}

fn told_at(told: &VecDeque<Arc<Block>>, hash: B256, number: u64) -> Option<usize> {
    let place = usize::try_from(number.checked_sub(told.front()?.number())?).ok()?;
    told.get(place).is_some_and(|block| block.hash() == hash).then_some(place)
}

#[cfg(test)]
mod merge_tests;
#[cfg(test)]
mod tests;
