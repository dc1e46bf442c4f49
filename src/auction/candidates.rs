//! Which bid wins: highest score (its value, unless the operator weighs it), then highest value, ties to the lowest block hash (as
//! mev-boost), then to the first relay in the configuration.
//!
//! Signatures are checked lazily. [`Candidates`] keeps every usable bid in that order, says whose signature is worth checking next
//! (the best that could still win), and which bid wins of those whose signature held. No clock, no network: the same bids and
//! verdicts give the same winner whatever the order they came in. A relay may have several bids in hand, or withdraw its own.

use std::{cmp::Reverse, collections::BTreeMap};

use alloy_primitives::B256;

use crate::types::Wei;

/// Place of a bid: the smallest wins. The last two are the relay's index in the configuration and the bid's number.
type Rank = (Reverse<Wei>, Reverse<Wei>, B256, usize, usize);

/// What is known of a bid's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not looked at.
    Unknown,
    /// Being checked.
    Checking,
    /// The relay's.
    Good,
}

/// A usable bid's claim to the win.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// What it counts.
    pub score: Wei,
    /// What it pays.
    pub value: Wei,
    /// Its block.
    pub block_hash: B256,
    /// Index of its relay in the configuration.
    pub relay: usize,
}

/// The bids in hand, best first. `T` is whatever a bid carries along.
#[derive(Debug)]
pub struct Candidates<T> {
    bids: BTreeMap<Rank, (T, Verdict)>,
    /// Bids that a later one of the same relay took the place of, and its number: they come back if that does not hold.
    withdrawn: Vec<(usize, Rank, (T, Verdict))>,
    next: usize,
}

impl<T> Default for Candidates<T> {
    fn default() -> Self {
        Self { bids: BTreeMap::new(), withdrawn: Vec::new(), next: 0 }
    }
}

impl<T> Candidates<T> {
    /// Adds a usable bid and gives it a number.
    ///
    /// # Errors
    /// The number of this relay's same bid, if it is in hand already.
    pub fn add(&mut self, claim: Claim, bid: T) -> Result<usize, usize> {
        let Claim { score, value, block_hash, relay } = claim;
        let (score, value) = (Reverse(score), Reverse(value));
        let same = (score, value, block_hash, relay, 0)..=(score, value, block_hash, relay, usize::MAX);
        if let Some(((_, _, _, _, number), _)) = self.bids.range(same).next() {
            return Err(*number);
        }
        let number = self.next;
        self.next += 1;
        self.bids.insert((score, value, block_hash, relay, number), (bid, Verdict::Unknown));
        Ok(number)
    }

    /// Takes back all bids of a relay but one, as long as that one holds.
    pub fn withdraw_others(&mut self, relay: usize, kept: usize) {
        let is_other = |(_, _, _, of, number): &Rank| *of == relay && *number != kept;
        let others: Vec<Rank> = self.bids.keys().filter(|rank| is_other(rank)).copied().collect();
        for rank in others {
            if let Some(bid) = self.bids.remove(&rank) {
                self.withdrawn.push((kept, rank, bid));
            }
        }
    }

    /// The bid whose signature is worth checking next, marked as being checked: the best of all, if nothing is known of it. A bid
    /// below one that holds is never worth it.
    pub fn next_to_verify(&mut self) -> Option<(usize, usize, &T)> {
        let ((_, _, _, relay, number), (bid, verdict)) = self.bids.iter_mut().next()?;
        if *verdict != Verdict::Unknown {
            return None;
        }
        *verdict = Verdict::Checking;
        Some((*number, *relay, bid))
    }

    /// Whether the leader's signature is not known, and not being checked.
    pub fn has_unknown_leader(&self) -> bool {
        self.bids.values().next().is_some_and(|(_, verdict)| *verdict == Verdict::Unknown)
    }

    /// Whether there is a bid at all.
    pub fn is_empty(&self) -> bool {
        self.bids.is_empty()
    }

    /// A bid holds.
    pub fn holds(&mut self, number: usize) {
        let withdrawn = self.withdrawn.iter_mut().map(|(_, rank, bid)| (&*rank, bid));
        for ((_, _, _, _, of), (_, verdict)) in self.bids.iter_mut().chain(withdrawn) {
            if *of == number {
                *verdict = Verdict::Good;
            }
        }
    }

    /// A bid does not hold: it is gone, what it had taken the place of is back, and the next best leads.
    pub fn fails(&mut self, number: usize) {
        self.bids.retain(|(_, _, _, _, of), _| *of != number);
        self.withdrawn.retain(|(_, (_, _, _, _, of), _)| *of != number);
        for (by, rank, bid) in std::mem::take(&mut self.withdrawn) {
            if by == number {
                self.bids.insert(rank, bid);
            } else {
                self.withdrawn.push((by, rank, bid));
            }
        }
    }

    /// The best bid that holds: its number, its relay and itself.
    pub fn winner(&self) -> Option<(usize, usize, &T)> {
        let good = self.bids.iter().find(|(_, (_, verdict))| *verdict == Verdict::Good);
        good.map(|((_, _, _, relay, number), (bid, _))| (*number, *relay, bid))
    }

    /// Every relay that has a bid for this block in hand.
    pub fn relays_of(&self, block_hash: B256) -> impl Iterator<Item = usize> + '_ {
        self.bids
            .keys()
            .filter(move |(_, _, hash, _, _)| *hash == block_hash)
            .map(|(_, _, _, relay, _)| *relay)
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::U256;
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    struct Bid {
        value: u64,
        hash: u8,
        relay: usize,
        honest: bool,
    }

    fn claim(value: u64, hash: u8, relay: usize) -> Claim {
        let value = Wei::new(U256::from(value));
        Claim { score: value, value, block_hash: B256::repeat_byte(hash), relay }
    }

    /// Runs an auction to its end: verifies until the leader holds or nothing is left.
    fn run(bids: &[Bid]) -> (Option<usize>, usize) {
        let mut candidates = Candidates::default();
        let mut verifications = 0;
        for bid in bids {
            candidates.add(claim(bid.value, bid.hash, bid.relay), bid.honest).unwrap();
        }
        while let Some((number, _, &honest)) = candidates.next_to_verify() {
            verifications += 1;
            if honest { candidates.holds(number) } else { candidates.fails(number) }
        }
        (candidates.winner().map(|(_, relay, _)| relay), verifications)
    }

    fn bid(value: u64, hash: u8, relay: usize, honest: bool) -> Bid {
        Bid { value, hash, relay, honest }
    }

    #[test]
    fn the_highest_value_wins_with_one_verification() {
        assert_eq!(run(&[bid(1, 1, 0, true), bid(3, 2, 1, true), bid(2, 3, 2, true)]), (Some(1), 1));
    }

    #[test]
    fn a_bad_bid_never_hides_the_next_best() {
        assert_eq!(
            run(&[bid(9, 1, 0, false), bid(8, 1, 1, false), bid(2, 3, 2, true), bid(1, 4, 3, true)]),
            (Some(2), 3)
        );
        assert_eq!(run(&[bid(9, 1, 0, false)]), (None, 1));
    }

    #[test]
    fn equal_values_go_to_the_lowest_block_hash() {
        assert_eq!(run(&[bid(5, 9, 0, true), bid(5, 2, 1, true), bid(5, 4, 2, true)]).0, Some(1));
        assert_eq!(run(&[bid(5, 2, 1, true), bid(5, 2, 0, true)]).0, Some(0));
    }

    #[test]
    fn a_leader_that_comes_during_a_check_is_checked_next() {
        let mut candidates = Candidates::default();
        let first = candidates.add(claim(1, 0, 0), ()).unwrap();
        assert_eq!(candidates.next_to_verify().map(|(number, _, ())| number), Some(first));
        assert!(candidates.next_to_verify().is_none());
        let second = candidates.add(claim(2, 0, 1), ()).unwrap();
        candidates.holds(first);
        assert_eq!(candidates.winner().map(|(number, _, ())| number), Some(first));
        assert_eq!(candidates.next_to_verify().map(|(number, _, ())| number), Some(second));
        candidates.fails(second);
        assert!(candidates.next_to_verify().is_none());
        assert_eq!(candidates.winner().map(|(number, _, ())| number), Some(first));
    }

    #[test]
    fn the_score_decides_before_the_value() {
        let mut candidates = Candidates::default();
        let weighed = Claim { score: Wei::new(U256::from(20)), ..claim(10, 1, 0) };
        candidates.add(weighed, "weighed").unwrap();
        candidates.add(claim(15, 2, 1), "plain").unwrap();
        assert_eq!(candidates.next_to_verify().map(|(_, _, bid)| *bid), Some("weighed"));
    }

    #[test]
    fn a_relay_may_have_several_bids_and_the_same_one_only_once() {
        let mut candidates = Candidates::default();
        let low = candidates.add(claim(1, 1, 0), ()).unwrap();
        let high = candidates.add(claim(3, 2, 0), ()).unwrap();
        assert_eq!(candidates.add(claim(3, 2, 0), ()), Err(high));
        assert_eq!(candidates.next_to_verify().map(|(number, _, ())| number), Some(high));
        candidates.fails(high);
        assert_eq!(candidates.next_to_verify().map(|(number, _, ())| number), Some(low));
        candidates.holds(low);
        // A lower bid that cancels: the higher one of before is gone.
        candidates.add(claim(9, 1, 0), ()).unwrap();
        candidates.withdraw_others(0, low);
        assert_eq!(candidates.winner().map(|(number, _, ())| number), Some(low));
    }

    #[test]
    fn a_forged_bid_takes_nobodys_place() {
        let mut candidates = Candidates::default();
        let good = candidates.add(claim(5, 1, 0), ()).unwrap();
        let check =
            |candidates: &mut Candidates<()>| candidates.next_to_verify().map(|(number, _, ())| number);
        assert_eq!(check(&mut candidates), Some(good));
        candidates.holds(good);
        let later = candidates.add(claim(4, 2, 0), ()).unwrap();
        candidates.withdraw_others(0, later);
        let latest = candidates.add(claim(9, 3, 0), ()).unwrap();
        candidates.withdraw_others(0, latest);
        assert_eq!(check(&mut candidates), Some(latest));
        candidates.fails(latest);
        // The one it had replaced is back, and still replaces the first.
        assert_eq!(check(&mut candidates), Some(later));
        assert!(candidates.winner().is_none());
        candidates.fails(later);
        assert_eq!(candidates.winner().map(|(number, _, ())| number), Some(good));
    }

    fn bids_and_a_shuffle() -> impl Strategy<Value = (Vec<Bid>, Vec<Bid>)> {
        let bids = proptest::collection::vec((0u64..5, 0u8..4, any::<bool>()), 0..10).prop_map(|bids| {
            bids.into_iter()
                .enumerate()
                .map(|(relay, (value, hash, honest))| bid(value, hash, relay, honest))
                .collect()
        });
        bids.prop_flat_map(|bids: Vec<Bid>| (Just(bids.clone()), Just(bids).prop_shuffle()))
    }

    proptest! {
        #[test]
        fn order_of_arrival_never_matters((bids, shuffled) in bids_and_a_shuffle()) {
            prop_assert_eq!(run(&bids).0, run(&shuffled).0);
        }

        #[test]
        fn the_winner_is_never_worth_less_than_another_valid_bid((bids, _) in bids_and_a_shuffle()) {
            let best = bids.iter().filter(|bid| bid.honest).map(|bid| bid.value).max();
            let won = run(&bids).0.map(|relay| bids[relay].value);
            prop_assert_eq!(won, best);
        }

        #[test]
        fn only_the_winner_and_liars_above_it_are_verified((bids, _) in bids_and_a_shuffle()) {
            let (winner, verifications) = run(&bids);
            let worth = winner.map_or(0, |relay| bids[relay].value);
            let liars = bids.iter().filter(|bid| !bid.honest && bid.value >= worth).count();
            prop_assert!(verifications <= liars + usize::from(winner.is_some()));
        }
    }
}
