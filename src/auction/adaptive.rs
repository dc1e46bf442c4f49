//! What timing earned with one relay, and when to ask it: from what was seen. Pure.
//!
//! In: every request of past races with its time, latency and value. Out: what the best bid kept paid above the first, and a
//! proposal. The proposal asks as late as the relay's latency leaves room for, and a few times before, so that a slow answer costs
//! little; it proposes nothing where values do not rise.

use alloy_primitives::U256;

use crate::types::Wei;

/// One answered request of a past race.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenPoll {
    /// The auction's number in the ledger.
    pub auction: i64,
    /// When it was sent, in milliseconds into the slot.
    pub sent_ms: i64,
    /// How long it took, in microseconds.
    pub latency_us: i64,
    /// What it offered, if anything usable.
    pub value: Option<Wei>,
}

/// What is known of the races themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenRaces {
    /// When the client usually asks, in milliseconds into the slot.
    pub asked_ms: i64,
    /// Time a race usually has.
    pub budget_ms: i64,
}

/// What timing earned, and what it could.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TimingReport {
    /// Races with more than one answer of this relay.
    pub played: usize,
    /// What the best bid paid above the first, summed.
    pub earned: Wei,
    /// Median rise of its bids, in gwei per 100 ms; negative where they fall.
    pub gwei_per_100_ms: Option<i64>,
    /// When to ask first and how often, in milliseconds; none where asking once at once is best.
    pub propose: Option<(i64, i64)>,
    /// Why, in words.
    pub reason: String,
}

/// Fewest rises seen before anything is proposed. Arbitrary.
const ENOUGH: usize = 20;
/// Kept between the last request's usual answer and the end of the budget.
const MARGIN_MS: i64 = 30;
/// Requests proposed per race.
const REQUESTS: i64 = 3;

/// Reports on one relay's requests, in any order.
pub fn report_timing(polls: &[SeenPoll], races: Option<SeenRaces>) -> TimingReport {
    let mut polls = polls.to_vec();
    polls.sort_by_key(|poll| (poll.auction, poll.sent_ms));
    let (mut rises, mut earned, mut played) = (Vec::new(), Wei::ZERO, 0);
    for race in polls.chunk_by(|a, b| a.auction == b.auction) {
        let values: Vec<(i64, Wei)> =
            race.iter().filter_map(|poll| Some((poll.sent_ms, poll.value?))).collect();
        played += usize::from(race.len() > 1);
        if let (Some((_, first)), Some(best)) = (values.first(), values.iter().map(|(_, value)| *value).max())
        {
            let gain = best.as_u256().saturating_sub(first.as_u256());
            earned = earned.saturating_add(Wei::new(gain));
        }
        rises.extend(values.windows(2).filter_map(|pair| match pair {
            [(from, low), (to, high)] if to > from => Some((gwei(*high) - gwei(*low)) * 100 / (to - from)),
            _ => None,
        }));
    }
    rises.sort_unstable();
    let slope = rises.get(rises.len() / 2).copied();
    let mut latencies: Vec<i64> = polls.iter().map(|poll| poll.latency_us / 1000).collect();
    latencies.sort_unstable();
    let quantile = |percent: usize| {
        latencies.get((latencies.len() * percent / 100).min(latencies.len().saturating_sub(1)))
    };
    let (propose, reason) = match (slope, races, quantile(50), quantile(95)) {
        (None, ..) => (None, "it was never asked twice for one header: play to learn".to_owned()),
        (Some(_), ..) if rises.len() < ENOUGH => {
            (None, format!("only {} rises seen, {ENOUGH} are wanted", rises.len()))
        }
        (Some(slope), ..) if slope <= 0 => (None, "its bids do not rise while the slot goes on".to_owned()),
        (Some(_), Some(races), Some(p50), Some(p95)) => propose_times(races, *p50, *p95),
        (Some(_), ..) => (None, "there were no header requests".to_owned()),
    };
    TimingReport { played, earned, gwei_per_100_ms: slope, propose, reason }
}

fn propose_times(races: SeenRaces, p50_ms: i64, p95_ms: i64) -> (Option<(i64, i64)>, String) {
    let last = races.asked_ms + races.budget_ms - p95_ms - MARGIN_MS;
    let every = (p50_ms * 3 / 2).max(50);
    let first = (last - (REQUESTS - 1) * every).max(0);
    if last <= races.asked_ms {
        return (None, format!("it takes {p95_ms} ms (p95), which leaves no time to ask later"));
    }
    let reason = format!(
        "the last of {REQUESTS} requests leaves at {last} ms and its answer's p95 of {p95_ms} ms fits the budget"
    );
    (Some((first, every)), reason)
}

/// Whole gwei as a signed number: differences of bids.
fn gwei(value: Wei) -> i64 {
    i64::try_from(value.as_u256() / U256::from(1_000_000_000_u64)).unwrap_or(i64::MAX / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn races(count: i64, values: &[u64]) -> Vec<SeenPoll> {
        let milli = |n: u64| Wei::new(U256::from(n) * U256::from(1_000_000_000_000_000_u64));
        let poll = |auction: i64, n: usize, value: u64| SeenPoll {
            auction,
            sent_ms: 100 * i64::try_from(n).unwrap(),
            latency_us: 80_000,
            value: (value > 0).then(|| milli(value)),
        };
        (0..count)
            .flat_map(|auction| values.iter().enumerate().map(move |(n, value)| poll(auction, n, *value)))
            .collect()
    }

    const RACES: Option<SeenRaces> = Some(SeenRaces { asked_ms: 20, budget_ms: 950 });

    #[test]
    fn rising_bids_are_asked_for_as_late_as_latency_allows() {
        let report = report_timing(&races(20, &[20, 25, 30]), RACES);
        assert_eq!((report.played, report.gwei_per_100_ms), (20, Some(5_000_000)));
        assert_eq!(report.earned.to_eth(), "0.2");
        // 20 + 950 - 80 - 30 = 860 is the last of three, 120 ms apart.
        assert_eq!(report.propose, Some((620, 120)), "{}", report.reason);
    }

    #[test]
    fn nothing_is_proposed_without_reason() {
        for (name, polls, said) in [
            ("nothing seen", Vec::new(), "never asked twice"),
            ("asked once a race", races(50, &[20]), "never asked twice"),
            ("falling", races(50, &[30, 20]), "do not rise"),
            ("flat", races(50, &[30, 30]), "do not rise"),
            ("too few", races(5, &[20, 30]), "only 5 rises"),
            ("no bids at all", races(50, &[0, 0]), "never asked twice"),
        ] {
            let report = report_timing(&polls, RACES);
            assert_eq!(report.propose, None, "{name}");
            assert!(report.reason.contains(said), "{name}: {}", report.reason);
        }
        let slow = report_timing(&races(50, &[20, 30]), Some(SeenRaces { asked_ms: 20, budget_ms: 100 }));
        assert!(slow.propose.is_none() && slow.reason.contains("no time"), "{}", slow.reason);
    }

    #[test]
    fn the_best_bid_is_what_was_kept() {
        let report = report_timing(&races(10, &[20, 50, 30]), RACES);
        assert_eq!(report.earned.to_eth(), "0.3");
    }
}
