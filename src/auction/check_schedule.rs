//! When the leader's signature is checked while relays are still awaited, and how many checks run at once. Pure.
//!
//! Bids often come in bursts, and a check costs a millisecond of a core that the next bid would make worthless: so a bid must lead
//! for a moment before it is checked. That moment may not be put off for ever: a relay that sends a higher bid every few
//! milliseconds would keep everything unproven until the end, and what is then left of the budget can be filled with forgeries.

use std::time::Duration;

use tokio::time::Instant;

/// How long a bid must have led before its signature is checked while relays are still awaited. A winner that came later than this
/// before the end is checked at the end and costs that millisecond once. Measured with `scripts/bench`, see docs/performance.md.
const LEAD_BEFORE_CHECK: Duration = Duration::from_millis(5);
/// Longest time that leaders may follow each other unchecked while no bid is proven. Arbitrary: some checks' worth, and far below
/// any budget.
const MAX_UNPROVEN: Duration = Duration::from_millis(20);
/// The same while a proven bid is in hand: only the difference to it is at stake, and each check costs a millisecond of CPU.
const MAX_UNPROVEN_WITH_ANOTHER: Duration = Duration::from_millis(100);
/// With less time than this and nothing proven, a second core is worth its millisecond.
const PRESSED: Duration = Duration::from_millis(50);

/// When the leader's signature is due to be checked.
#[derive(Clone, Copy, Debug, Default)]
pub struct CheckSchedule {
    /// Since when leaders have been unchecked.
    unchecked_since: Option<Instant>,
    /// Since when the present one leads.
    leads_since: Option<Instant>,
}

impl CheckSchedule {
    /// A bid leads that nobody has checked.
    pub fn new_leader(&mut self, now: Instant) {
        self.unchecked_since.get_or_insert(now);
        self.leads_since = Some(now);
    }

    /// The leader's check has begun, or failed: whoever leads next without being new is due at once.
    pub fn restart(&mut self) {
        *self = Self::default();
    }

    /// When the leader's check is due; `None` is at once.
    pub fn due(&self, has_proven: bool) -> Option<Instant> {
        let longest = if has_proven { MAX_UNPROVEN_WITH_ANOTHER } else { MAX_UNPROVEN };
        let (since, leads) = (self.unchecked_since?, self.leads_since?);
        Some((leads + LEAD_BEFORE_CHECK).min(since + longest))
    }
}

/// How many signatures are checked at once. A second check is mostly wasted, as the leader's mostly holds: it is worth its
/// millisecond of CPU when a forgery was seen in this auction, or the time is short, and nothing is proven.
pub fn checks_at_once(cores: usize, has_proven: bool, has_seen_forgery: bool, left: Duration) -> usize {
    if cores > 1 && !has_proven && (has_seen_forgery || left < PRESSED) { 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{B256, U256};
    use proptest::prelude::*;

    use super::*;
    use crate::{
        auction::{Candidates, Claim},
        types::Wei,
    };

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_check_waits_for_the_burst_but_not_for_ever() {
        let start = Instant::now();
        let mut schedule = CheckSchedule::default();
        assert_eq!(schedule.due(false), None);
        for at in 0..10 {
            schedule.new_leader(start + ms(3 * at));
        }
        assert_eq!(schedule.due(false), Some(start + ms(20)));
        assert_eq!(schedule.due(true), Some(start + ms(32)));
        schedule.restart();
        schedule.new_leader(start + ms(40));
        assert_eq!(schedule.due(false), Some(start + ms(45)));
    }

    #[test]
    fn a_second_core_is_used_when_it_matters() {
        for (cores, proven, forgery, left, want) in [
            (8, false, false, 900, 1),
            (8, false, true, 900, 2),
            (8, false, false, 10, 2),
            (8, true, true, 10, 1),
            (1, false, true, 10, 1),
        ] {
            assert_eq!(checks_at_once(cores, proven, forgery, ms(left)), want);
        }
    }

    /// A bid of a race that is simulated: when it comes, whose it is, what it pays, whether it is signed.
    type Bid = (u64, usize, u64, bool);

    /// Plays a race of `deadline` ms by the rules of `gather`, a check taking `check_ms`; returns the value of the winner.
    fn play(mut bids: Vec<Bid>, deadline: u64, check_ms: u64) -> Option<u64> {
        bids.sort_by_key(|bid| bid.0);
        let start = Instant::now();
        let (mut candidates, mut schedule) = (Candidates::default(), CheckSchedule::default());
        let mut forged = [0u32; 16];
        let mut checks: Vec<(u64, usize, usize, bool)> = Vec::new();
        let mut bids = bids.into_iter().enumerate().peekable();
        for now in 0..=deadline {
            checks.retain(|&(until, number, relay, is_signed)| {
                if until > now {
                    return true;
                }
                if is_signed {
                    candidates.holds(number);
                } else {
                    candidates.fails(number);
                    candidates.rank_last(relay);
                    forged[relay] += 1;
                    schedule.restart();
                }
                false
            });
            while let Some((hash, (_, relay, value, is_signed))) = bids.next_if(|(_, bid)| bid.0 <= now) {
                if forged[relay] > 0 {
                    continue;
                }
                let value = Wei::new(U256::from(value));
                let block_hash = B256::left_padding_from(&hash.to_be_bytes());
                let _ = candidates.add(Claim { score: value, value, block_hash, relay }, (value, is_signed));
                if candidates.has_unknown_leader() {
                    schedule.new_leader(start + ms(now));
                }
            }
            let proven = candidates.winner().is_some();
            let width = checks_at_once(2, proven, forged.iter().any(|count| *count > 0), ms(deadline - now));
            while checks.len() < width
                && schedule.due(proven).is_none_or(|due| due <= start + ms(now))
                && let Some((number, relay, (_, is_signed))) = candidates.next_to_verify()
            {
                checks.push((now + check_ms, number, relay, *is_signed));
                schedule.restart();
            }
        }
        candidates.winner().map(|(_, _, (value, _))| u64::try_from(value.as_u256()).unwrap())
    }

    #[test]
    fn forgeries_every_three_milliseconds_do_not_hide_the_honest_bid() {
        let forger = |relay: usize| (0..300).map(move |n| (3 * n, relay, 1000 + n, false));
        let mut bids: Vec<Bid> = forger(0).chain(forger(1)).chain(forger(2)).collect();
        bids.push((40, 3, 50, true));
        assert_eq!(play(bids, 950, 2), Some(50));
    }

    proptest! {
        /// From the first honest bid on there is time for one check of each forger, and no more is needed.
        #[test]
        fn an_honest_bid_in_time_is_never_lost(
            forgers in proptest::collection::vec((0u64..600, 1u64..20, 1usize..200), 0..6),
            honest_at in 0u64..500, value in 1u64..2000, check_ms in 1u64..4,
        ) {
            let mut bids: Vec<Bid> = vec![(honest_at, 15, value, true)];
            for (relay, (first, every, count)) in forgers.into_iter().enumerate() {
                bids.extend((0..count as u64).map(|n| (first + every * n, relay, 1000 + n, false)));
            }
            let deadline = 600;
            prop_assert_eq!(play(bids, deadline, check_ms), Some(value));
        }

        /// However leaders follow each other, the check is due within the bound.
        #[test]
        fn no_sequence_of_leaders_puts_a_check_off(gaps in proptest::collection::vec(0u64..50, 1..100)) {
            let start = Instant::now();
            let (mut schedule, mut at) = (CheckSchedule::default(), start);
            schedule.new_leader(start);
            for gap in gaps {
                at += ms(gap);
                schedule.new_leader(at);
                prop_assert!(schedule.due(false).unwrap() <= start + MAX_UNPROVEN);
                prop_assert!(schedule.due(true).unwrap() <= start + MAX_UNPROVEN_WITH_ANOTHER);
            }
        }
    }
}
