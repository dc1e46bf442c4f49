//! Which bid wins: highest score (its value, unless the operator weighs it), then highest value, ties to the lowest block hash (as
//! mev-boost), then to the first relay in the configuration.
//!
//! Signatures are checked lazily. [`Candidates`] keeps every usable bid in that order, says whose signature is worth checking next
//! (the best that could still win), and which bid wins of those whose signature held. No clock, no network: the same bids and
//! verdicts give the same winner whatever the order they came in. A relay may have several bids in hand, or withdraw its own.
//! A relay with a bad signature in this auction ranks behind all others with what it has not proven yet, and a bid that the other
//! relays contradict is left out for as long as they do.

use std::{cmp::Reverse, collections::BTreeMap};

use alloy_primitives::B256;

use crate::types::Wei;

/// Whether a bid's relay is taken at its word in this auction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trust {
    /// It is.
    Ordinary,
    /// It sent a bid that it did not sign: its other bids are tried when nobody else has one.
    HasForged,
}

/// Place of a bid: the smallest wins. The last two are the relay's index in the configuration and the bid's number.
type Rank = (Trust, Reverse<Wei>, Reverse<Wei>, B256, usize, usize);

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
    /// What it counts in the ranking: its value by the weights of relay and builder.
    pub score: Wei,
    /// Wei that it promises, which breaks ties of the score.
    pub value: Wei,
    /// Hash of the execution block that it offers.
    pub block_hash: B256,
    /// Index of its relay in the configuration.
    pub relay: usize,
}

/// A bid in hand.
#[derive(Debug)]
struct Entry<T> {
    bid: T,
    verdict: Verdict,
    /// Whether the others contradict it: it neither leads nor wins.
    is_left_out: bool,
}

/// The bids in hand, best first. `T` is whatever a bid carries along.
#[derive(Debug)]
pub struct Candidates<T> {
    bids: BTreeMap<Rank, Entry<T>>,
    /// Bids that a later one of the same relay took the place of, and its number: they come back if that does not hold.
    withdrawn: Vec<(usize, Rank, Entry<T>)>,
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
        let rank = |number| (Trust::Ordinary, Reverse(score), Reverse(value), block_hash, relay, number);
        if let Some(((_, _, _, _, _, number), _)) = self.bids.range(rank(0)..=rank(usize::MAX)).next() {
            return Err(*number);
        }
        let number = self.next;
        self.next += 1;
        self.bids.insert(rank(number), Entry { bid, verdict: Verdict::Unknown, is_left_out: false });
        Ok(number)
    }

    /// Takes back all bids of a relay but one, as long as that one holds.
    pub fn withdraw_others(&mut self, relay: usize, kept: usize) {
        let is_other = |(_, _, _, _, of, number): &Rank| *of == relay && *number != kept;
        let others: Vec<Rank> = self.bids.keys().filter(|rank| is_other(rank)).copied().collect();
        for rank in others {
            if let Some(entry) = self.bids.remove(&rank) {
                self.withdrawn.push((kept, rank, entry));
            }
        }
    }

    /// The bid whose signature is worth checking next, marked as being checked: the best of all, if nothing is known of it; while
    /// checks are under way, the best of another relay. A bid below one that holds is never worth it.
    pub fn next_to_verify(&mut self) -> Option<(usize, usize, &T)> {
        let checking = |(_, entry): &(&Rank, &Entry<T>)| entry.verdict == Verdict::Checking;
        let busy: Vec<usize> =
            self.bids.iter().filter(checking).map(|((_, _, _, _, relay, _), _)| *relay).collect();
        let mut in_order = self.bids.iter_mut().filter(|(_, entry)| !entry.is_left_out);
        let ((_, _, _, _, relay, number), entry) = in_order.find(|((_, _, _, _, relay, _), entry)| {
            entry.verdict == Verdict::Good || (entry.verdict == Verdict::Unknown && !busy.contains(relay))
        })?;
        if entry.verdict == Verdict::Good {
            return None;
        }
        entry.verdict = Verdict::Checking;
        Some((*number, *relay, &entry.bid))
    }

    /// The bids that may lead, best first.
    fn standing(&self) -> impl Iterator<Item = (&Rank, &Entry<T>)> {
        self.bids.iter().filter(|(_, entry)| !entry.is_left_out)
    }

    /// Whether the leader's signature is not known, and not being checked.
    pub fn has_unknown_leader(&self) -> bool {
        self.standing().next().is_some_and(|(_, entry)| entry.verdict == Verdict::Unknown)
    }

    /// Whether the leader's signature held: nothing in hand can win any more but it.
    pub fn is_leader_proven(&self) -> bool {
        self.standing().next().is_some_and(|(_, entry)| entry.verdict == Verdict::Good)
    }

    /// Whether there is no bid that could win.
    pub fn is_empty(&self) -> bool {
        self.standing().next().is_none()
    }

    /// A bid holds.
    pub fn holds(&mut self, number: usize) {
        self.judge(number, Verdict::Good);
    }

    /// A bid was to be checked and was not: nothing is known of it, as before.
    pub fn not_checked(&mut self, number: usize) {
        self.judge(number, Verdict::Unknown);
    }

    fn judge(&mut self, number: usize, verdict: Verdict) {
        let withdrawn = self.withdrawn.iter_mut().map(|(_, rank, entry)| (&*rank, entry));
        for ((_, _, _, _, _, of), entry) in self.bids.iter_mut().chain(withdrawn) {
            if *of == number {
                entry.verdict = verdict;
            }
        }
    }

    /// A bid does not hold: it is gone, what it had taken the place of is back, and the next best leads.
    pub fn fails(&mut self, number: usize) {
        self.bids.retain(|(_, _, _, _, _, of), _| *of != number);
        self.withdrawn.retain(|(_, (_, _, _, _, _, of), _)| *of != number);
        for (by, rank, entry) in std::mem::take(&mut self.withdrawn) {
            if by == number {
                self.bids.insert(rank, entry);
            } else {
                self.withdrawn.push((by, rank, entry));
            }
        }
    }

    /// A relay sent a bid that it did not sign: what else it has in hand is tried last, save what is proven to be its own.
    pub fn rank_last(&mut self, relay: usize) {
        let falls = |(trust, _, _, _, of, _): &Rank, entry: &Entry<T>| {
            *of == relay && *trust == Trust::Ordinary && entry.verdict != Verdict::Good
        };
        let ranks: Vec<Rank> =
            self.bids.iter().filter(|(rank, entry)| falls(rank, entry)).map(|(rank, _)| *rank).collect();
        for rank in ranks {
            if let Some(entry) = self.bids.remove(&rank) {
                self.bids.insert(last(rank), entry);
            }
        }
        for (_, rank, entry) in &mut self.withdrawn {
            if falls(rank, entry) {
                *rank = last(*rank);
            }
        }
    }

    /// Drops what a relay has in hand, save what is proven to be its own.
    pub fn drop_unproven(&mut self, relay: usize) {
        self.bids.retain(|(_, _, _, _, of, _), entry| *of != relay || entry.verdict == Verdict::Good);
        self.withdrawn
            .retain(|(_, (_, _, _, _, of, _), entry)| *of != relay || entry.verdict == Verdict::Good);
    }

    /// Drops every bid that pays less.
    pub fn drop_below(&mut self, least: Wei) {
        self.bids.retain(|(_, _, Reverse(value), _, _, _), _| *value >= least);
        self.withdrawn.retain(|(_, (_, _, Reverse(value), _, _, _), _)| *value >= least);
    }

    /// Says of every bid anew whether it is left out.
    pub fn leave_out(&mut self, is_left_out: impl Fn(&T) -> bool) {
        let withdrawn = self.withdrawn.iter_mut().map(|(_, _, entry)| entry);
        for entry in self.bids.values_mut().chain(withdrawn) {
            entry.is_left_out = is_left_out(&entry.bid);
        }
    }

    /// The best bid that holds: its number, its relay and itself. One that was withdrawn for a later bid of its relay wins only where nothing
    /// else holds: that later bid may never be proven.
    pub fn winner(&self) -> Option<(usize, usize, &T)> {
        let is_good = |entry: &Entry<T>| entry.verdict == Verdict::Good && !entry.is_left_out;
        let withdrawn = self.withdrawn.iter().map(|(_, rank, entry)| (rank, entry));
        let good = self
            .bids
            .iter()
            .find(|(_, entry)| is_good(entry))
            .or_else(|| withdrawn.filter(|(_, entry)| is_good(entry)).min_by_key(|(rank, _)| **rank));
        good.map(|((_, _, _, _, relay, number), entry)| (*number, *relay, &entry.bid))
    }

    /// Every relay that has a bid for this block in hand.
    pub fn relays_of(&self, block_hash: B256) -> impl Iterator<Item = usize> + '_ {
        let of = self.bids.keys().filter(move |(_, _, _, hash, _, _)| *hash == block_hash);
        of.map(|(_, _, _, _, relay, _)| *relay)
    }
}

const fn last((_, score, value, hash, relay, number): Rank) -> Rank {
    (Trust::HasForged, score, value, hash, relay, number)
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
    fn a_proven_bid_stays_in_hand_until_the_one_that_replaces_it_is_proven() {
        let mut candidates = Candidates::default();
        let first = candidates.add(claim(5, 1, 0), ()).unwrap();
        candidates.next_to_verify();
        candidates.holds(first);
        let later = candidates.add(claim(3, 2, 0), ()).unwrap();
        candidates.withdraw_others(0, later);
        let winner = |candidates: &Candidates<()>| candidates.winner().map(|(number, _, ())| number);
        assert_eq!(winner(&candidates), Some(first), "better than nothing");
        let other = candidates.add(claim(1, 3, 1), ()).unwrap();
        candidates.holds(other);
        assert_eq!(winner(&candidates), Some(other), "and no better than what another relay still offers");
        candidates.holds(later);
        assert_eq!(winner(&candidates), Some(later));
        candidates.fails(later);
        assert_eq!(winner(&candidates), Some(first));
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
    fn what_was_not_checked_is_checked_again() {
        let mut candidates = Candidates::default();
        let bid = candidates.add(claim(1, 0, 0), ()).unwrap();
        assert!(candidates.has_unknown_leader());
        for _ in 0..2 {
            assert_eq!(candidates.next_to_verify().map(|(number, _, ())| number), Some(bid));
            assert!(!candidates.has_unknown_leader() && !candidates.is_leader_proven());
            candidates.not_checked(bid);
            assert!(candidates.has_unknown_leader() && candidates.winner().is_none());
        }
        candidates.holds(bid);
        assert!(candidates.is_leader_proven());
        candidates.add(claim(2, 0, 1), ()).unwrap();
        assert!(!candidates.is_leader_proven() && candidates.winner().is_some());
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
        assert_eq!(candidates.winner().map(|(number, _, ())| number), Some(good), "until it is proven");
        candidates.fails(later);
        assert_eq!(candidates.winner().map(|(number, _, ())| number), Some(good));
    }

    #[test]
    fn two_relays_are_checked_at_once_but_never_one_twice() {
        let mut candidates = Candidates::default();
        for (value, hash, relay) in [(9, 1, 0), (8, 2, 0), (7, 3, 1), (6, 4, 2)] {
            candidates.add(claim(value, hash, relay), value).unwrap();
        }
        let next = |candidates: &mut Candidates<u64>| candidates.next_to_verify().map(|(_, _, value)| *value);
        assert_eq!((next(&mut candidates), next(&mut candidates)), (Some(9), Some(7)));
        candidates.fails(0);
        candidates.holds(2);
        // The other bid of relay 0 is above the one that holds; that of relay 2 is not.
        assert_eq!((next(&mut candidates), next(&mut candidates)), (Some(8), None));
    }

    #[test]
    fn who_forged_comes_last_with_what_is_not_proven() {
        let mut candidates = Candidates::default();
        let numbers: Vec<_> = [(9, 1, 0), (8, 2, 0), (7, 3, 0), (2, 4, 1)]
            .into_iter()
            .map(|(value, hash, relay)| candidates.add(claim(value, hash, relay), value).unwrap())
            .collect();
        candidates.holds(numbers[2]);
        candidates.fails(numbers[0]);
        candidates.rank_last(0);
        // Its proven bid of 7 leads; its bid of 8 is behind the honest 2.
        assert_eq!(candidates.winner().map(|(_, _, value)| *value), Some(7));
        assert_eq!(candidates.next_to_verify().map(|(_, _, value)| *value), None);
        candidates.fails(numbers[2]);
        assert_eq!(candidates.next_to_verify().map(|(_, _, value)| *value), Some(2));
        candidates.fails(numbers[3]);
        assert_eq!(candidates.next_to_verify().map(|(_, _, value)| *value), Some(8));
        candidates.drop_unproven(0);
        assert!(candidates.is_empty());
    }

    #[test]
    fn what_is_left_out_neither_leads_nor_wins_until_it_is_let_in_again() {
        let mut candidates = Candidates::default();
        let high = candidates.add(claim(9, 1, 0), "contradicted").unwrap();
        candidates.add(claim(3, 2, 1), "agreed").unwrap();
        candidates.holds(high);
        candidates.leave_out(|bid| *bid == "contradicted");
        assert!(candidates.winner().is_none());
        assert_eq!(candidates.next_to_verify().map(|(_, _, bid)| *bid), Some("agreed"));
        candidates.leave_out(|_| false);
        assert_eq!(candidates.winner().map(|(_, _, bid)| *bid), Some("contradicted"));
        candidates.drop_below(Wei::new(U256::from(10)));
        assert!(candidates.is_empty());
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
