//! Which bid wins: highest value, ties to the lowest block hash (as mev-boost), then to the first relay in the configuration.
//!
//! Signatures are checked lazily. [`Candidates`] keeps every usable bid in that order, says whose signature is worth checking next
//! (the best that could still win), and which bid wins of those whose signature held. No clock, no network: the same bids and
//! verdicts give the same winner whatever the order they came in.

use std::{cmp::Reverse, collections::BTreeMap};

use alloy_primitives::B256;

use crate::types::Wei;

/// Place of a bid: the smallest wins. The index is the relay's in the configuration.
type Rank = (Reverse<Wei>, B256, usize);

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

/// The bids in hand, best first. `T` is whatever a bid carries along.
#[derive(Debug)]
pub struct Candidates<T> {
    bids: BTreeMap<Rank, (T, Verdict)>,
}

impl<T> Default for Candidates<T> {
    fn default() -> Self {
        Self { bids: BTreeMap::new() }
    }
}

impl<T> Candidates<T> {
    /// Adds a usable bid of a relay.
    pub fn add(&mut self, value: Wei, block_hash: B256, relay: usize, bid: T) {
        self.bids.insert((Reverse(value), block_hash, relay), (bid, Verdict::Unknown));
    }

    /// The bid whose signature is worth checking next, marked as being checked: the best of all, if nothing is known of it. A bid
    /// below one that holds is never worth it.
    pub fn next_to_verify(&mut self) -> Option<(usize, &T)> {
        let ((_, _, relay), (bid, verdict)) = self.bids.iter_mut().next()?;
        if *verdict != Verdict::Unknown {
            return None;
        }
        *verdict = Verdict::Checking;
        Some((*relay, bid))
    }

    /// Whether the leader's signature is not known, and not being checked.
    pub fn has_unknown_leader(&self) -> bool {
        self.bids.values().next().is_some_and(|(_, verdict)| *verdict == Verdict::Unknown)
    }

    /// A relay's bid holds.
    pub fn holds(&mut self, relay: usize) {
        for ((_, _, of), (_, verdict)) in &mut self.bids {
            if *of == relay && *verdict == Verdict::Checking {
                *verdict = Verdict::Good;
            }
        }
    }

    /// A relay's bid does not hold: it is gone, and the next best leads.
    pub fn fails(&mut self, relay: usize) {
        self.bids.retain(|(_, _, of), (_, verdict)| *of != relay || *verdict != Verdict::Checking);
    }

    /// The best bid that holds.
    pub fn winner(&self) -> Option<(usize, &T)> {
        let good = self.bids.iter().find(|(_, (_, verdict))| *verdict == Verdict::Good);
        good.map(|((_, _, relay), (bid, _))| (*relay, bid))
    }

    /// Every relay whose bid is for this block.
    pub fn relays_of(&self, block_hash: B256) -> impl Iterator<Item = usize> + '_ {
        self.bids.keys().filter(move |(_, hash, _)| *hash == block_hash).map(|(_, _, relay)| *relay)
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

    /// Runs an auction to its end: verifies until the leader holds or nothing is left.
    fn run(bids: &[Bid]) -> (Option<usize>, usize) {
        let mut candidates = Candidates::default();
        let mut verifications = 0;
        for bid in bids {
            candidates.add(
                Wei::new(U256::from(bid.value)),
                B256::repeat_byte(bid.hash),
                bid.relay,
                bid.honest,
            );
        }
        while let Some((relay, &honest)) = candidates.next_to_verify() {
            verifications += 1;
            if honest { candidates.holds(relay) } else { candidates.fails(relay) }
        }
        (candidates.winner().map(|(relay, _)| relay), verifications)
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
        candidates.add(Wei::new(U256::from(1)), B256::ZERO, 0, ());
        assert_eq!(candidates.next_to_verify().map(|(relay, ())| relay), Some(0));
        assert!(candidates.next_to_verify().is_none());
        candidates.add(Wei::new(U256::from(2)), B256::ZERO, 1, ());
        candidates.holds(0);
        assert_eq!(candidates.winner().map(|(relay, ())| relay), Some(0));
        assert_eq!(candidates.next_to_verify().map(|(relay, ())| relay), Some(1));
        candidates.fails(1);
        assert!(candidates.next_to_verify().is_none());
        assert_eq!(candidates.winner().map(|(relay, ())| relay), Some(0));
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
