//! How a relay does in races: whether it bids, how often its bid is the best, how quick it is.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// How it did in races lately.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RaceStats {
    races: f64,
    tops: f64,
    /// Races since it last bid, 0 for the latest; none while it never did.
    #[serde(default)]
    since_bid: Option<u32>,
    /// Newest last, in microseconds.
    latencies_us: VecDeque<u32>,
}

/// A relay that bid in one of so many of its latest races lately bid. Arbitrary: a relay may have nothing for one slot, not for several.
const LATELY: u32 = 4;
/// Latencies kept for quantiles.
const LATENCIES: usize = 64;
/// What a race keeps of its weight with each further one: 200 races halve it.
const RACE_FADE: f64 = 0.996_54;

impl RaceStats {
    /// Takes in a race in which it took part.
    pub fn raced(&mut self, has_bid: bool, had_top_bid: bool, latency_us: Option<u64>) {
        self.since_bid = if has_bid { Some(0) } else { self.since_bid.map(|races| races.saturating_add(1)) };
        self.races = self.races * RACE_FADE + 1.0;
        self.tops = self.tops * RACE_FADE + if had_top_bid { 1.0 } else { 0.0 };
        if let Some(us) = latency_us {
            while self.latencies_us.len() >= LATENCIES {
                self.latencies_us.pop_front();
            }
            self.latencies_us.push_back(u32::try_from(us).unwrap_or(u32::MAX));
        }
    }

    /// Whether it lately had a usable bid: only such a relay is an alternative to another. One that was never asked may have one.
    pub fn bids_lately(&self) -> bool {
        self.since_bid.map_or(self.races <= 0.0, |races| races < LATELY)
    }

    /// Share of races in which its bid was the best, one in ten assumed at first.
    pub fn win_rate(&self) -> f64 {
        (self.tops + 1.0) / (self.races + 10.0)
    }

    /// Nearest-rank quantile of its latest latencies, in microseconds.
    pub fn latency_us(&self, percent: usize) -> Option<u64> {
        let mut sorted: Vec<u32> = self.latencies_us.iter().copied().collect();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        sorted.get(rank).copied().map(u64::from)
    }

    /// Share of its latest answers that took at most this long; `None` without any.
    #[expect(clippy::cast_precision_loss, reason = "64 at most")]
    pub fn share_within(&self, us: u64) -> Option<f64> {
        let within = self.latencies_us.iter().filter(|latency| u64::from(**latency) <= us).count();
        (!self.latencies_us.is_empty()).then(|| within as f64 / self.latencies_us.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_relay_that_lately_bid_is_an_alternative() {
        let mut record = RaceStats::default();
        assert!(record.bids_lately());
        record.raced(false, false, None);
        assert!(!record.bids_lately());
        record.raced(true, false, None);
        for _ in 0..LATELY - 1 {
            record.raced(false, false, Some(5));
            assert!(record.bids_lately());
        }
        record.raced(false, false, Some(5));
        assert!(!record.bids_lately());
    }
}
