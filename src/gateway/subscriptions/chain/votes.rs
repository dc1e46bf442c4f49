//! Which of two branches wins, and when the chain begins anew.

use std::sync::Arc;

use super::{Block, Chain, Path, STANDS_STILL};

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
    /// The branch that wins against the one told, with the place of the told block that it grows from.
    pub(super) fn winner(&self, order: &[usize]) -> Option<(usize, Vec<Arc<Block>>)> {
        let claims: Vec<(u64, Path)> =
            self.by_preference(order).iter().map(|(_, block)| (block.number(), self.path(block))).collect();
        let candidates = claims.iter().filter_map(|(_, path)| match path {
            Path::Linked(fork, branch) => Some((*fork, branch)),
            Path::Told | Path::Missing(_) | Path::Beyond => None,
        });
        let mut best: Option<(Side, usize, &Vec<Arc<Block>>)> = None;
        for (fork, branch) in candidates {
            let Some(root) = branch.first() else { continue };
            let parts_at = root.number();
            let (mut told, mut other) = (Side::default(), Side::default());
            for (rank, (number, path)) in claims.iter().enumerate() {
                match path {
                    Path::Told if *number >= parts_at => told.add(rank, *number),
                    Path::Linked(place, _) if *place > fork => told.add(rank, *number),
                    Path::Linked(place, blocks)
                        if *place == fork && blocks.first().is_some_and(|first| first.hash() == root.hash()) =>
                    {
                        other.add(rank, *number);
                    }
                    Path::Told | Path::Linked(..) | Path::Missing(_) | Path::Beyond => {}
                }
            }
            if other.wins(&told) && best.as_ref().is_none_or(|(side, _, _)| other.wins(side)) {
                best = Some((other, fork, branch));
            }
        }
        best.map(|(_, fork, branch)| (fork, branch.clone()))
    }

    /// Where the chain begins anew, when most show what cannot be linked with what was told.
    pub(super) fn new_beginning(&self, order: &[usize]) -> Option<Arc<Block>> {
        let claims = self.by_preference(order);
        let is_beyond = |block: &Arc<Block>| matches!(self.path(block), Path::Beyond);
        let mut beyond = claims.iter().filter(|(_, block)| is_beyond(block)).peekable();
        let preferred = beyond.peek().map(|(place, _)| *place);
        let leads = preferred.is_some() && preferred == claims.first().map(|(place, _)| *place);
        let first = beyond.peek().map(|(_, block)| Arc::clone(block))?;
        let doubled = beyond.count().saturating_mul(2);
        (doubled > claims.len() || (doubled == claims.len() && leads)).then_some(first)
    }
}
