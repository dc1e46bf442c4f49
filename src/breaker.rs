//! The circuit breaker: whether somebody whom we call is there at all. Relays have one, and so has whoever else is called again and again.
//!
//! Pure: the end of each call goes in with its time, in Unix milliseconds because a breaker outlives the process. A few failures in a row open it;
//! after a pause it is probed, and good probes close it again. It never calls anybody, and says nothing of anybody's honesty.

use serde::{Deserialize, Serialize};

use crate::types::UnixMillis;

/// What a call said about somebody's being there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pulse {
    /// It answered as an API does.
    Alive,
    /// It did not: no connection, no answer in time, a server error, nonsense.
    Failed,
    /// Nothing can be said.
    Unknown,
}

/// When the breaker opens and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// Failures in a row that open it.
    pub failures: u32,
    /// Good probes in a row that close it.
    pub successes: u32,
    /// How long it stays open at first, in milliseconds; doubles each time until it has proved itself.
    pub open_ms: i64,
    /// Longest time it stays open, in milliseconds.
    pub open_max_ms: i64,
}

impl Default for BreakerPolicy {
    /// Three failures, two good probes, half a minute doubling to ten minutes: arbitrary, in the range of a few slots to an epoch.
    fn default() -> Self {
        Self { failures: 3, successes: 2, open_ms: 30_000, open_max_ms: 600_000 }
    }
}

/// Good answers in a row after which earlier trouble is forgotten. Arbitrary; with it a relay that flaps stays out longer each time.
const PROVED: u32 = 10;

/// The breaker of one callee: a relay, a node, an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Breaker {
    /// It is asked.
    Closed {
        /// Failures in a row.
        failures: u32,
        /// Good answers in a row.
        good: u32,
        /// How often it has opened without having proved itself since.
        times: u32,
    },
    /// It is not asked, and not probed before `until`.
    Open {
        /// When probing begins, Unix milliseconds.
        until: UnixMillis,
        /// How often it has opened without having proved itself since.
        times: u32,
    },
    /// It is probed, and not asked.
    HalfOpen {
        /// Good probes in a row.
        successes: u32,
        /// How often it has opened without having proved itself since.
        times: u32,
    },
}

impl Default for Breaker {
    fn default() -> Self {
        Self::Closed { failures: 0, good: 0, times: 0 }
    }
}

impl Breaker {
    /// Takes in a call's end.
    #[must_use]
    pub fn step(self, pulse: Pulse, now: UnixMillis, policy: &BreakerPolicy) -> Self {
        match (self, pulse) {
            // ## Closed => Open
            (Self::Closed { failures, times, .. }, Pulse::Failed) if failures + 1 >= policy.failures => {
                Self::opened(times, now, policy)
            }
            (Self::Closed { failures, times, .. }, Pulse::Failed) => {
                Self::Closed { failures: failures + 1, good: 0, times }
            }
            (Self::Closed { good, times, .. }, Pulse::Alive) => {
                let good = good.saturating_add(1);
                Self::Closed { failures: 0, good, times: if good >= PROVED { 0 } else { times } }
            }
            // ## Open => HalfOpen: only once its time is over, whatever answers straggle in before
            (Self::Open { until, times }, Pulse::Alive) if now >= until => Self::half_open(1, times, policy),
            (Self::Open { until, times }, Pulse::Failed) if now >= until => Self::opened(times, now, policy),
            // ## HalfOpen => Closed | Open
            (Self::HalfOpen { successes, times }, Pulse::Alive) => {
                Self::half_open(successes + 1, times, policy)
            }
            (Self::HalfOpen { times, .. }, Pulse::Failed) => Self::opened(times, now, policy),
            (Self::Open { .. }, Pulse::Alive | Pulse::Failed) | (_, Pulse::Unknown) => self,
        }
    }

    /// Whether it may be asked.
    pub fn is_closed(self) -> bool {
        matches!(self, Self::Closed { .. })
    }

    /// Whether a probe is wanted now.
    pub fn wants_probe(self, now: UnixMillis) -> bool {
        match self {
            Self::Closed { .. } => false,
            Self::Open { until, .. } => now >= until,
            Self::HalfOpen { .. } => true,
        }
    }

    fn opened(times: u32, now: UnixMillis, policy: &BreakerPolicy) -> Self {
        let length = policy.open_ms.saturating_mul(1 << times.min(20)).min(policy.open_max_ms);
        Self::Open { until: now.saturating_add(length), times: times.saturating_add(1) }
    }

    fn half_open(successes: u32, times: u32, policy: &BreakerPolicy) -> Self {
        if successes >= policy.successes {
            Self::Closed { failures: 0, good: 0, times }
        } else {
            Self::HalfOpen { successes, times }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: BreakerPolicy =
        BreakerPolicy { failures: 3, successes: 2, open_ms: 1000, open_max_ms: 4000 };

    fn after(pulses: &[(Pulse, i64)]) -> Breaker {
        pulses.iter().fold(Breaker::default(), |breaker, (pulse, now)| breaker.step(*pulse, *now, &POLICY))
    }

    #[test]
    fn three_failures_in_a_row_open_it() {
        use Pulse::{Alive, Failed, Unknown};
        assert!(after(&[(Failed, 1), (Failed, 2)]).is_closed());
        assert!(after(&[(Failed, 1), (Failed, 2), (Alive, 3), (Failed, 4), (Failed, 5)]).is_closed());
        assert!(after(&[(Failed, 1), (Failed, 2), (Unknown, 3)]).is_closed());
        assert_eq!(
            after(&[(Failed, 1), (Failed, 2), (Unknown, 3), (Failed, 4)]),
            Breaker::Open { until: 1004, times: 1 }
        );
    }

    #[test]
    fn two_good_probes_after_its_time_close_it() {
        use Pulse::{Alive, Failed};
        let open = [(Failed, 0), (Failed, 0), (Failed, 0)];
        let with = |more: &[(Pulse, i64)]| after(&[&open[..], more].concat());
        assert_eq!(with(&[(Alive, 999)]), Breaker::Open { until: 1000, times: 1 });
        assert!(!with(&[]).wants_probe(999));
        assert!(with(&[]).wants_probe(1000));
        assert_eq!(with(&[(Alive, 1000)]), Breaker::HalfOpen { successes: 1, times: 1 });
        assert!(with(&[(Alive, 1000), (Alive, 1100)]).is_closed());
        assert_eq!(with(&[(Alive, 1000), (Failed, 1100)]), Breaker::Open { until: 3100, times: 2 });
        assert_eq!(with(&[(Failed, 1500)]), Breaker::Open { until: 3500, times: 2 });
    }

    #[test]
    fn a_relay_that_flaps_stays_out_longer_until_it_has_proved_itself() {
        use Pulse::{Alive, Failed};
        let mut breaker = Breaker::default();
        let mut lengths = Vec::new();
        let mut now = 0;
        for round in 0..5 {
            for _ in 0..3 {
                breaker = breaker.step(Failed, now, &POLICY);
            }
            let Breaker::Open { until, .. } = breaker else { panic!("{breaker:?}") };
            lengths.push(until - now);
            now = until;
            // Two probes close it; in round 3 it then answers well for long.
            for _ in 0..if round == 3 { 2 + 10 } else { 2 } {
                breaker = breaker.step(Alive, now, &POLICY);
            }
        }
        assert_eq!(lengths, [1000, 2000, 4000, 4000, 1000]);
    }

    proptest! {
        #[test]
        fn it_never_closes_without_good_answers(pulses in proptest::collection::vec((0u8..3, 0i64..5000), 1..60)) {
            let mut breaker = Breaker::default();
            let mut now = 0;
            for (pulse, wait) in pulses {
                now += wait;
                let pulse = [Pulse::Alive, Pulse::Failed, Pulse::Unknown][usize::from(pulse)];
                let before = breaker;
                breaker = breaker.step(pulse, now, &POLICY);
                if breaker.is_closed() && !before.is_closed() {
                    prop_assert_eq!(pulse, Pulse::Alive);
                }
                if let Breaker::Open { until, .. } = breaker {
                    prop_assert!(until <= now + POLICY.open_max_ms);
                }
                if pulse == Pulse::Unknown {
                    prop_assert_eq!(breaker, before);
                }
            }
        }
    }
}
