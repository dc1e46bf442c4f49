//! What upstreams are held against, and what follows from a chain's pace.

use std::time::Duration;

use crate::{
    breaker::BreakerPolicy,
    gateway::{Head, HealthPolicy, RpcSettings},
    types::UnixMillis,
};

/// The block time that the ages of a policy are meant for.
const USUAL_BLOCK: Duration = Duration::from_secs(12);
/// However short blocks are, a head of this age is no lag yet, and of the second no outage: nodes of fast chains pause that long.
const SHORTEST_LAG: Duration = Duration::from_secs(30);
const SHORTEST_DOWN: Duration = Duration::from_secs(120);
/// Blocks beyond what time allows that a head may be ahead of another's. Arbitrary: chains catch up in bursts.
const BURST: u64 = 16;
/// Calls in a row that must fail until traffic alone takes an upstream out. Of a thousand calls a second, one in a hundred failing would do so
/// every few minutes with three.
const TRAFFIC_FAILURES: u32 = 5;
/// A new block reaches nodes within this time of each other: that much behind is no lag.
const PROPAGATION: Duration = Duration::from_secs(2);

/// What all upstreams are held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthRules {
    /// The operator's limits.
    pub policy: HealthPolicy,
    /// The chain that upstreams must be of.
    pub chain_id: u64,
    /// Usual time between two blocks.
    pub block_time: Duration,
}

impl HealthRules {
    /// The rules that the settings have.
    pub fn of(settings: &RpcSettings) -> Self {
        Self { policy: settings.health, chain_id: settings.chain_id, block_time: settings.block_time }
    }

    /// Age of a head from which its upstream lags.
    pub(super) fn lag_age(&self) -> Duration {
        self.paced(self.policy.lag_age, SHORTEST_LAG).max(self.block_time * 3)
    }

    /// Age of a head from which its upstream is down.
    pub(super) fn down_age(&self) -> Duration {
        self.paced(self.policy.down_age, SHORTEST_DOWN).max(self.block_time * 6)
    }

    /// Shorter where blocks are shorter.
    fn paced(&self, age: Duration, shortest: Duration) -> Duration {
        if self.block_time >= USUAL_BLOCK {
            return age;
        }
        let paced = age.mul_f64(self.block_time.as_secs_f64() / USUAL_BLOCK.as_secs_f64());
        paced.max(shortest.min(age))
    }

    /// Whether a block's time lies too far in the future to be true.
    pub(super) fn is_from_the_future(&self, timestamp: u64, now: UnixMillis) -> bool {
        let now_ms = u64::try_from(now).unwrap_or(0);
        let limit = now_ms.saturating_add(millis(self.policy.max_future));
        timestamp.saturating_mul(1000) > limit
    }

    /// Most blocks that a chain can have made between two times, in seconds: twice the usual pace, and a burst.
    pub(super) fn most_blocks(&self, from: u64, to: u64) -> u64 {
        let elapsed = u128::from(to.saturating_sub(from)) * 1000;
        let block = u128::from(millis(self.block_time).max(1));
        u64::try_from(elapsed * 2 / block).unwrap_or(u64::MAX).saturating_add(BURST)
    }

    /// The highest block that an upstream can be believed to have by now, when the chain's tip is this one: for whoever asks by what upstreams show. What
    /// is above it is made up, or of another chain.
    pub fn highest_believed(&self, tip: &Head, now: UnixMillis) -> u64 {
        let now_secs = u64::try_from(now).unwrap_or(0) / 1000;
        tip.number.saturating_add(self.most_blocks(tip.timestamp, now_secs))
    }

    /// Blocks behind the tip that are none: those that the chain makes while a block reaches all nodes.
    pub(super) fn in_step_blocks(&self) -> u64 {
        millis(PROPAGATION) / millis(self.block_time).max(1)
    }

    /// How long an upstream must be in step until it is asked first again, in milliseconds.
    pub(super) fn failback_ms(&self) -> i64 {
        i64::try_from(millis(self.policy.failback_after)).unwrap_or(i64::MAX)
    }

    /// The breaker of probes: no pause, as probing is what finds out.
    pub(super) fn probe_breaker(&self) -> BreakerPolicy {
        let (failures, successes) = (self.policy.fail.max(1), self.policy.rise.max(1));
        BreakerPolicy { failures, successes, open_ms: 0, open_max_ms: 0 }
    }

    /// The breaker of traffic. The first time a good probe lifts it at once; while calls go on to fail although probes do not, each pause is
    /// longer.
    pub(super) fn traffic_breaker(&self, times: u32) -> BreakerPolicy {
        let open_ms = if times == 0 { 0 } else { 1_000 };
        BreakerPolicy { failures: TRAFFIC_FAILURES, successes: 1, open_ms, open_max_ms: 60_000 }
    }
}

/// In whole milliseconds.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_follow_the_chains_pace() {
        for (block_ms, lag, down) in
            [(12_000, 60, 300), (6_000, 30, 150), (2_000, 30, 120), (250, 30, 120), (30_000, 90, 300)]
        {
            let rules = HealthRules {
                policy: HealthPolicy::default(),
                chain_id: 1,
                block_time: Duration::from_millis(block_ms),
            };
            assert_eq!((rules.lag_age().as_secs(), rules.down_age().as_secs()), (lag, down), "{block_ms} ms");
        }
        // What an operator wants shorter than any of that stays as short.
        let policy = HealthPolicy { lag_age: Duration::from_secs(5), ..HealthPolicy::default() };
        let rules = HealthRules { policy, chain_id: 1, block_time: Duration::from_secs(1) };
        assert_eq!(rules.lag_age(), Duration::from_secs(5));
    }

    #[test]
    fn a_chain_makes_no_more_blocks_than_time_allows() {
        let rules =
            HealthRules { policy: HealthPolicy::default(), chain_id: 1, block_time: Duration::from_secs(12) };
        assert_eq!(rules.most_blocks(1_000, 1_060), 10 + BURST);
        assert_eq!(rules.most_blocks(1_000, 900), BURST);
        assert_eq!(rules.most_blocks(0, u64::MAX), 3_074_457_345_618_258_602 + BURST);
        let tip = Head {
            number: 100,
            hash: alloy_primitives::B256::ZERO,
            parent_hash: alloy_primitives::B256::ZERO,
            timestamp: 1_000,
        };
        assert_eq!(rules.highest_believed(&tip, 1_060_999), 100 + 10 + BURST);
        assert_eq!(
            rules.highest_believed(&tip, -1),
            100 + BURST,
            "a clock that is behind takes nothing away"
        );
        assert_eq!(rules.highest_believed(&Head { number: u64::MAX, ..tip }, i64::MAX), u64::MAX);
        assert_eq!(rules.in_step_blocks(), 0);
        assert!(rules.is_from_the_future(1_016, 1_000_000) && !rules.is_from_the_future(1_015, 1_000_000));
        assert!(rules.is_from_the_future(u64::MAX, 1_000_000));
    }
}
