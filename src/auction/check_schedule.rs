//! When the leader's signature is checked while relays are still awaited, and how many checks run at once. Pure.
//!
//! A check costs a millisecond of a core, and the next bid may make it worthless; a check that is not made before the last relay has
//! answered is made then, and the client waits for it. So a leader is checked early when it is likely to stay: when those who have not
//! answered hardly ever win, or usually answer sooner than this and so have nothing, or when only one is left. Until then it waits, but
//! not for ever: a relay that sends a higher bid every few milliseconds, or one that never answers, would keep everything unproven
//! until the end, and what is then left of the budget can be filled with forgeries.

use std::time::Duration;

use tokio::time::Instant;

use crate::relay::health::RaceStats;

/// How long a bid must have led before its signature is checked while relays are still awaited: bids often come in bursts. A winner
/// that came later than this before the end is checked at the end and costs that millisecond once. Measured with `scripts/bench`, see
/// docs/performance.md.
const LEAD_BEFORE_CHECK: Duration = Duration::from_millis(5);
/// Probability that the leader is outbid which is taken for its check: one worthless check in seven.
const RISK: f64 = 0.15;
/// Longest time that leaders may follow each other unchecked while no bid is proven, and the part of the budget which that may be.
/// Arbitrary: seven eighths of the time is left for whatever does not hold.
const MAX_UNPROVEN: Duration = Duration::from_millis(100);
const UNPROVEN_SHARE: u32 = 8;
/// The same while a proven bid is in hand: only the difference to it is at stake.
const MAX_UNPROVEN_WITH_ANOTHER: Duration = Duration::from_millis(400);
const UNPROVEN_SHARE_WITH_ANOTHER: u32 = 3;
/// Percentile of a relay's latencies after which it is taken for one that will not answer any more.
const USUALLY: usize = 90;
/// With less time than this and nothing proven, a second core is worth its millisecond.
const PRESSED: Duration = Duration::from_millis(50);

/// What a relay that may still bid is expected to do, by its record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chance {
    /// Share of races it wins.
    pub win_rate: f64,
    /// Time from the race's begin within which it usually answers; `None` where nothing is known.
    pub usually_within: Option<Duration>,
}

impl Chance {
    /// By a relay's record.
    pub fn of(record: &RaceStats) -> Self {
        let usually_within = record.latency_us(USUALLY).map(Duration::from_micros);
        Self { win_rate: record.win_rate(), usually_within }
    }
}

/// After how long into the race the leader is likely to stay the leader, given who may still bid: when those who usually need longer
/// win too seldom to wait for. Zero where one relay at most is left, [`Duration::MAX`] where nobody knows.
pub fn leader_stays_after(may_bid: impl Iterator<Item = Chance>) -> Duration {
    let mut may_bid: Vec<Chance> = may_bid.collect();
    if may_bid.len() <= 1 {
        return Duration::ZERO;
    }
    let latest = |chance: &Chance| chance.usually_within.unwrap_or(Duration::MAX);
    may_bid.sort_unstable_by_key(|chance| std::cmp::Reverse(latest(chance)));
    let mut risk = 0.0;
    for chance in &may_bid {
        risk += chance.win_rate;
        if risk > RISK {
            return latest(chance);
        }
    }
    Duration::ZERO
}

/// How long a leader is likely to lead.
#[derive(Clone, Copy, Debug)]
pub struct Outlook {
    /// When the relays were first asked.
    pub started: Instant,
    /// What [`leader_stays_after`] says.
    pub stays_after: Duration,
    /// Time that relays have in all.
    pub budget: Duration,
}

/// What the checks of an auction have come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Nothing was checked yet.
    None,
    /// A signature did not hold, and none has.
    OnlyForgeries,
    /// A bid that holds is in hand.
    InHand,
}

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

    /// When the leader's check is due; `None` is at once. Where somebody forges and nothing is proven, everything is: who forges is found
    /// out by its first check, so that this costs no more checks than there are relays.
    pub fn due(&self, proof: Proof, outlook: &Outlook) -> Option<Instant> {
        let Outlook { started, stays_after, budget } = *outlook;
        let longest = match proof {
            Proof::None => MAX_UNPROVEN.min(budget / UNPROVEN_SHARE),
            Proof::OnlyForgeries => return None,
            Proof::InHand => MAX_UNPROVEN_WITH_ANOTHER.min(budget / UNPROVEN_SHARE_WITH_ANOTHER),
        };
        let (since, leads) = (self.unchecked_since?, self.leads_since?);
        let latest = since + longest;
        let stays_at = started.checked_add(stays_after).unwrap_or(latest);
        Some((leads + LEAD_BEFORE_CHECK).max(stays_at).min(latest))
    }
}

/// How many signatures are checked at once. A second check is mostly wasted, as the leader's mostly holds: it is worth its
/// millisecond of CPU when a forgery was seen in this auction, or the time is short, and nothing is proven.
pub fn checks_at_once(cores: usize, proof: Proof, left: Duration) -> usize {
    let is_worth_two = match proof {
        Proof::None => left < PRESSED,
        Proof::OnlyForgeries => true,
        Proof::InHand => false,
    };
    if cores > 1 && is_worth_two { 2 } else { 1 }
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

    fn outlook(started: Instant, stays_after: Duration) -> Outlook {
        Outlook { started, stays_after, budget: ms(950) }
    }

    #[test]
    fn a_leader_stays_when_those_who_usually_come_later_hardly_win() {
        let relay = |win_rate: f64, within: u64| Chance { win_rate, usually_within: Some(ms(within)) };
        let unknown = |win_rate: f64| Chance { win_rate, usually_within: None };
        for (name, may_bid, want) in [
            ("nobody is left", vec![], ms(0)),
            ("one is left: no better moment will come", vec![relay(0.9, 100)], ms(0)),
            ("two that win", vec![relay(0.5, 40), relay(0.4, 90)], ms(90)),
            ("the later one hardly wins", vec![relay(0.5, 40), relay(0.1, 90)], ms(40)),
            ("none of them wins", vec![relay(0.05, 40), relay(0.05, 90), relay(0.04, 950)], ms(0)),
            ("eight alike", (1..=8).map(|n| relay(0.125, 10 * n)).collect(), ms(70)),
            ("nobody knows them", vec![unknown(0.1), unknown(0.1), relay(0.5, 40)], Duration::MAX),
            ("one that nobody knows", vec![unknown(0.1), relay(0.5, 40)], ms(40)),
        ] {
            assert_eq!(leader_stays_after(may_bid.into_iter()), want, "{name}");
        }
    }

    #[test]
    fn a_check_waits_for_the_burst_and_for_who_may_win_but_not_for_ever() {
        let start = Instant::now();
        let mut schedule = CheckSchedule::default();
        let soon = outlook(start, ms(0));
        assert_eq!(schedule.due(Proof::None, &soon), None);
        for at in 0..10 {
            schedule.new_leader(start + ms(3 * at));
        }
        assert_eq!(schedule.due(Proof::None, &soon), Some(start + ms(32)));
        assert_eq!(schedule.due(Proof::None, &outlook(start, ms(60))), Some(start + ms(60)));
        assert_eq!(schedule.due(Proof::None, &outlook(start, Duration::MAX)), Some(start + ms(100)));
        assert_eq!(schedule.due(Proof::InHand, &outlook(start, Duration::MAX)), Some(start + ms(950) / 3));
        let short = Outlook { budget: ms(80), ..outlook(start, ms(60)) };
        assert_eq!(schedule.due(Proof::None, &short), Some(start + ms(10)));
        assert_eq!(schedule.due(Proof::OnlyForgeries, &outlook(start, Duration::MAX)), None);
        schedule.restart();
        schedule.new_leader(start + ms(70));
        assert_eq!(schedule.due(Proof::None, &outlook(start, ms(60))), Some(start + ms(75)));
    }

    #[test]
    fn a_second_core_is_used_when_it_matters() {
        for (cores, proof, left, want) in [
            (8, Proof::None, 900, 1),
            (8, Proof::OnlyForgeries, 900, 2),
            (8, Proof::None, 10, 2),
            (8, Proof::InHand, 10, 1),
            (1, Proof::OnlyForgeries, 10, 1),
        ] {
            assert_eq!(checks_at_once(cores, proof, ms(left)), want);
        }
    }

    /// A bid of a race that is simulated: when it comes, whose it is, what it pays, whether it is signed.
    type Bid = (u64, usize, u64, bool);

    /// Plays a race of `deadline` ms by the rules of `gather`, a check taking `check_ms` and nobody knowing who may still bid; returns
    /// the value of the winner.
    fn play(mut bids: Vec<Bid>, deadline: u64, check_ms: u64) -> Option<u64> {
        bids.sort_by_key(|bid| bid.0);
        let start = Instant::now();
        let (mut candidates, mut schedule) = (Candidates::default(), CheckSchedule::default());
        let outlook = Outlook { started: start, stays_after: Duration::MAX, budget: ms(deadline) };
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
            let proof = match (candidates.winner(), forged.iter().any(|count| *count > 0)) {
                (Some(_), _) => Proof::InHand,
                (None, true) => Proof::OnlyForgeries,
                (None, false) => Proof::None,
            };
            let width = checks_at_once(2, proof, ms(deadline - now));
            while checks.len() < width
                && schedule.due(proof, &outlook).is_none_or(|due| due <= start + ms(now))
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
        fn no_sequence_of_leaders_puts_a_check_off(
            gaps in proptest::collection::vec((0u64..50, 0u64..10_000), 1..100),
        ) {
            let start = Instant::now();
            let (mut schedule, mut at) = (CheckSchedule::default(), start);
            schedule.new_leader(start);
            for (gap, stays_after) in gaps {
                at += ms(gap);
                schedule.new_leader(at);
                let outlook = outlook(start, ms(stays_after));
                prop_assert!(schedule.due(Proof::None, &outlook).unwrap() <= start + MAX_UNPROVEN);
                prop_assert!(schedule.due(Proof::InHand, &outlook).unwrap() <= start + MAX_UNPROVEN_WITH_ANOTHER);
            }
        }
    }
}
