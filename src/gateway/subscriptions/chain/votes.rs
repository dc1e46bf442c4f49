//! Which of two branches wins, and when the chain begins anew.

use std::sync::Arc;

use super::{Chain, Claim, Finding, Path, RING, STANDS_STILL};
use crate::gateway::subscriptions::block::Block;

/// Who is for one of two branches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Side {
    votes: usize,
    /// The highest block that is shown of it.
    height: u64,
    /// The best place in the order of any that votes for it.
    rank: Option<usize>,
}

impl Side {
    fn add(&mut self, rank: usize, number: u64) {
        self.votes += 1;
        self.height = self.height.max(number);
        self.rank = Some(self.rank.map_or(rank, |best| best.min(rank)));
    }

    /// Whether it wins against another. Never do both win.
    fn wins(&self, other: &Self) -> bool {
        let longer_by = |a: &Self, b: &Self| a.height >= b.height.saturating_add(STANDS_STILL);
        if longer_by(self, other) || longer_by(other, self) {
            return longer_by(self, other);
        }
        if self.votes != other.votes {
            return self.votes > other.votes;
        }
        match (self.rank, other.rank) {
            (Some(own), Some(others)) => own < others,
            (own, _) => own.is_some(),
        }
    }
}

impl Chain {
    /// The branch that wins against the one told.
    pub(super) fn find(&self, order: &[usize]) -> Finding {
        let claims: Vec<(usize, &Claim, Path)> = self
            .by_preference(order)
            .into_iter()
            .map(|(place, claim)| (place, claim, self.path(&claim.block)))
            .collect();
        let candidates = claims.iter().filter_map(|(_, _, path)| match path {
            Path::Linked(fork, branch) => Some((*fork, branch)),
            Path::Told | Path::Missing(_) | Path::Beyond => None,
        });
        let mut best: Option<(Side, usize, &Vec<Arc<Block>>)> = None;
        let (mut doubted, mut later_than) = (Vec::new(), 0);
        for (fork, branch) in candidates {
            let Some(root) = branch.first() else { continue };
            let parts_at = root.number();
            // Those for the other one, and those of them who are not late.
            let (mut told, mut other, mut sure) = (Side::default(), Side::default(), Side::default());
            let mut late = Vec::new();
            for (rank, (place, claim, path)) in claims.iter().enumerate() {
                let number = claim.block.number();
                match path {
                    Path::Told if number >= parts_at => told.add(rank, number),
                    Path::Linked(from, _) if *from > fork => told.add(rank, number),
                    Path::Linked(from, blocks)
                        if *from == fork
                            && blocks.first().is_some_and(|first| first.hash() == root.hash()) =>
                    {
                        other.add(rank, number);
                        if claim.is_later_than(parts_at, self.left.contains(&claim.block.hash())) {
                            sure.add(rank, number);
                        } else {
                            late.push(*place);
                        }
                    }
                    Path::Told | Path::Linked(..) | Path::Missing(_) | Path::Beyond => {}
                }
            }
            // With as many votes, who shows what all have left gives no reason to return to it.
            let returns = self.left.contains(&root.hash());
            let wins = |side: &Side| {
                side.wins(&told) && !(returns && side.votes == told.votes && side.height <= told.height)
            };
            if wins(&sure) {
                if best.as_ref().is_none_or(|(side, _, _)| sure.wins(side)) {
                    best = Some((sure, fork, branch));
                }
            } else if wins(&other) {
                doubted.append(&mut late);
                later_than = later_than.max(parts_at);
            }
        }
        match best {
            Some((_, fork, branch)) => Finding::Follow(fork, branch.clone()),
            None if doubted.is_empty() => Finding::Stay,
            None => Finding::Doubt(doubted, later_than),
        }
    }

    /// Where the chain begins anew, when most show what cannot be linked with what was told.
    pub(super) fn new_beginning(&self, order: &[usize]) -> Option<Arc<Block>> {
        let oldest = self.told.front()?.number();
        let claims = self.by_preference(order);
        let links: Vec<Link> =
            claims.iter().map(|(place, claim)| self.link(*place, &claim.block, oldest)).collect();
        let apart = links.iter().filter(|link| **link == Link::Apart).count().saturating_mul(2);
        let leads = links.first() == Some(&Link::Apart);
        let has_most = apart > claims.len() || (apart == claims.len() && apart > 0 && leads);
        // A chain that was reset goes on below what was told, and nobody has what was told any more.
        let was_reset = links.iter().all(|link| matches!(link, Link::Reset | Link::Apart));
        if !has_most && !was_reset {
            return None;
        }
        let wanted = if has_most { Link::Apart } else { *links.first()? };
        claims
            .iter()
            .zip(&links)
            .find(|(_, link)| **link == wanted)
            .map(|((_, claim), _)| Arc::clone(&claim.block))
    }

    fn link(&self, place: usize, block: &Arc<Block>, oldest: u64) -> Link {
        let ring = u64::try_from(RING).unwrap_or(u64::MAX);
        let had_told_ones = self.highest.get(&place).is_some_and(|highest| *highest >= oldest);
        match self.path(block) {
            Path::Told | Path::Linked(..) | Path::Missing(_) => Link::Linked,
            Path::Beyond if block.number() >= oldest => Link::Apart,
            Path::Beyond if block.number().saturating_add(ring) < oldest => Link::Apart,
            Path::Beyond if had_told_ones => Link::Reset,
            Path::Beyond => Link::Late,
        }
    }
}

/// How an upstream's newest block stands to what was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    /// It hangs together with it, or may.
    Linked,
    /// It is older than what was told first: its upstream is late.
    Late,
    /// The same of an upstream that was not late before.
    Reset,
    /// It cannot be of one chain with what was told.
    Apart,
}
