//! All that is known of one relay, and what each observation changes in it.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{
    Breaker, BreakerPolicy, FaultClass, Observation, Pulse, Trust,
    observation::{class_of, pulse_of},
    stake,
};
use crate::{consensus::UnixMillis, events::Outcome};

/// How observations are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustPolicy {
    /// In what time a observation loses half its weight, in milliseconds. Default 14 days.
    pub half_life_ms: i64,
    /// How long a first offence quarantines, in milliseconds; doubles with each further. Default 6 hours.
    pub quarantine_ms: i64,
    /// Longest quarantine, in milliseconds. Default 30 days.
    pub quarantine_max_ms: i64,
    /// The circuit breaker.
    pub breaker: BreakerPolicy,
}

impl Default for TrustPolicy {
    fn default() -> Self {
        const HOUR: i64 = 3_600_000;
        Self {
            half_life_ms: 14 * 24 * HOUR,
            quarantine_ms: 6 * HOUR,
            quarantine_max_ms: 30 * 24 * HOUR,
            breaker: BreakerPolicy::default(),
        }
    }
}

/// Punishment for an offence that cost, or could have cost, a slot or its payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// Offences counted: 1 is a suspect, 2 and more a proven thief.
    pub level: u32,
    /// Until when.
    pub until: UnixMillis,
    /// When it last offended.
    pub since: UnixMillis,
    /// What it did, in words.
    pub why: String,
}

/// What the operator set by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperatorSetting {
    /// Always asked.
    Pinned,
    /// Never asked.
    Disabled,
}

/// How it did in races lately.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RaceStats {
    races: f64,
    tops: f64,
    /// Newest last, in microseconds.
    latencies_us: VecDeque<u32>,
}

/// Latencies kept for quantiles.
const LATENCIES: usize = 64;
/// Weight of one delivery of a public record, in ordinary observations.
const PUBLIC_WEIGHT: f64 = 0.2;
/// What a race keeps of its weight with each further one: 200 races halve it.
const RACE_FADE: f64 = 0.996_54;

impl RaceStats {
    /// Takes in a race in which it took part.
    pub fn raced(&mut self, had_top_bid: bool, latency_us: Option<u64>) {
        self.races = self.races * RACE_FADE + 1.0;
        self.tops = self.tops * RACE_FADE + if had_top_bid { 1.0 } else { 0.0 };
        if let Some(us) = latency_us {
            while self.latencies_us.len() >= LATENCIES {
                self.latencies_us.pop_front();
            }
            self.latencies_us.push_back(u32::try_from(us).unwrap_or(u32::MAX));
        }
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

/// What is known of one relay.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reputation {
    /// Whether it is there.
    pub breaker: Breaker,
    /// What the breaker was last moved by.
    pub breaker_why: String,
    /// Whether it is honest.
    pub trust: Trust,
    /// What it is being punished for, or was last.
    pub quarantine: Option<Quarantine>,
    /// The operator's word.
    pub hand: Option<OperatorSetting>,
    /// How it does in races.
    pub record: RaceStats,
    /// Deeds before this are forgiven.
    pub pardoned_at: UnixMillis,
    /// When its public record was taken in; 0 for never.
    pub seeded_at: UnixMillis,
}

impl Reputation {
    /// Takes in a observation.
    pub fn step(&mut self, observation: &Observation, policy: &TrustPolicy) {
        if observation.at < self.pardoned_at {
            return;
        }
        if let Some((class, is_good)) = class_of(observation.outcome) {
            let weight = match class {
                FaultClass::Reveals | FaultClass::Payments => stake(observation.value),
                FaultClass::Answers | FaultClass::Bids => 1.0,
            };
            self.trust.add(class, is_good, weight, observation.at, policy.half_life_ms);
        }
        // A bid, good or bad, is an answer.
        if observation.outcome == Outcome::Bid {
            self.trust.add(FaultClass::Answers, true, 1.0, observation.at, policy.half_life_ms);
        }
        self.pulse(
            pulse_of(observation.outcome, observation.http_status),
            &observation.detail,
            observation.at,
            policy,
        );
        if is_offence(observation.outcome) {
            self.offend(observation, policy);
        }
    }

    /// Takes in a sign of life, or of none.
    pub fn pulse(&mut self, pulse: Pulse, why: &str, now: UnixMillis, policy: &TrustPolicy) {
        let before = self.breaker;
        self.breaker = before.step(pulse, now, &policy.breaker);
        if pulse == Pulse::Failed {
            self.breaker_why = why.to_owned();
        }
    }

    fn offend(&mut self, observation: &Observation, policy: &TrustPolicy) {
        let level = self.level(observation.at, policy).saturating_add(1);
        let length = policy.quarantine_ms.saturating_mul(1 << (level - 1).min(30));
        self.quarantine = Some(Quarantine {
            level,
            until: observation.at.saturating_add(length.min(policy.quarantine_max_ms)),
            since: observation.at,
            why: observation.detail.clone(),
        });
    }

    /// Takes in a public record, once: what others were delivered weighs a fifth of an ordinary observation of ours, and quarantines nobody.
    pub fn seed(&mut self, good: u32, bad: u32, now: UnixMillis, policy: &TrustPolicy) -> bool {
        if self.seeded_at > 0 {
            return false;
        }
        self.seeded_at = now.max(1);
        for (count, is_good) in [(good, true), (bad, false)] {
            let weight = f64::from(count) * PUBLIC_WEIGHT;
            self.trust.add(FaultClass::Reveals, is_good, weight, now, policy.half_life_ms);
        }
        true
    }

    /// Offences that still count: one is forgotten with each half-life without another.
    pub fn level(&self, now: UnixMillis, policy: &TrustPolicy) -> u32 {
        let Some(quarantine) = &self.quarantine else { return 0 };
        let quiet = now.saturating_sub(quarantine.since).max(0) / policy.half_life_ms.max(1);
        quarantine.level.saturating_sub(u32::try_from(quiet).unwrap_or(u32::MAX))
    }

    /// The quarantine it is in, if any.
    pub fn quarantined(&self, now: UnixMillis) -> Option<&Quarantine> {
        self.quarantine.as_ref().filter(|quarantine| now < quarantine.until)
    }

    /// Forgives everything before `now`.
    pub fn pardon(&mut self, now: UnixMillis) {
        *self = Self {
            hand: self.hand,
            record: std::mem::take(&mut self.record),
            pardoned_at: now,
            ..Self::default()
        };
    }

    /// Its rank among relays: score × win rate × latency, where half a second halves the last.
    #[expect(clippy::cast_precision_loss, reason = "microseconds of a latency")]
    pub fn rank(&self, now: UnixMillis, policy: &TrustPolicy) -> f64 {
        let latency_s = self.record.latency_us(50).unwrap_or(100_000) as f64 / 1e6;
        self.trust.score(now, policy.half_life_ms) * self.record.win_rate() * (0.5 / (0.5 + latency_s))
    }
}

/// Whether a observation is an offence that quarantines: it costs the slot, or its payment.
fn is_offence(outcome: Outcome) -> bool {
    matches!(
        outcome,
        Outcome::PayloadWithheld | Outcome::PayloadMismatched | Outcome::NotOnChain | Outcome::PaidLess
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Wei;

    const DAY: i64 = 86_400_000;
    const HOUR: i64 = 3_600_000;

    fn observation(outcome: Outcome, at: i64) -> Observation {
        Observation {
            outcome,
            http_status: None,
            value: Wei::parse_eth("0.05").unwrap(),
            detail: format!("did {outcome}"),
            at,
        }
    }

    #[test]
    fn quarantine_doubles_and_is_forgotten_in_time() {
        let policy = TrustPolicy::default();
        let mut reputation = Reputation::default();
        let mut offend = |at: i64| {
            reputation.step(&observation(Outcome::PayloadWithheld, at), &policy);
            let quarantine = reputation.quarantine.clone().unwrap();
            (quarantine.level, (quarantine.until - at) / HOUR)
        };
        assert_eq!(offend(0), (1, 6));
        assert_eq!(offend(DAY), (2, 12));
        assert_eq!(offend(2 * DAY), (3, 24));
        // Two half-lives of peace forgive two of three.
        assert_eq!(offend(31 * DAY), (2, 12));
        for day in 32..60 {
            offend(day * DAY);
        }
        assert_eq!(reputation.quarantine.as_ref().unwrap().until, 59 * DAY + 30 * DAY);
        assert!(reputation.quarantined(59 * DAY).is_some());
        assert!(reputation.quarantined(90 * DAY).is_none());
    }

    #[test]
    fn a_pardon_forgives_what_was_and_not_what_comes() {
        let policy = TrustPolicy::default();
        let mut reputation = Reputation::default();
        reputation.step(&observation(Outcome::PaidLess, 10), &policy);
        reputation.pardon(20);
        assert_eq!(reputation.quarantined(21), None);
        reputation.step(&observation(Outcome::PaidLess, 15), &policy);
        assert_eq!(reputation.quarantined(21), None);
        reputation.step(&observation(Outcome::PaidLess, 25), &policy);
        assert_eq!(reputation.quarantined(26).map(|q| q.level), Some(1));
    }

    #[test]
    fn every_outcome_is_judged_and_only_four_quarantine() {
        let policy = TrustPolicy::default();
        let quarantining: Vec<_> = Outcome::ALL
            .into_iter()
            .filter(|outcome| {
                let mut reputation = Reputation::default();
                reputation.step(&observation(*outcome, 1), &policy);
                reputation.quarantine.is_some()
            })
            .collect();
        assert_eq!(
            quarantining,
            [Outcome::PayloadWithheld, Outcome::PayloadMismatched, Outcome::NotOnChain, Outcome::PaidLess]
        );
    }

    #[test]
    fn it_survives_the_ledger() {
        let policy = TrustPolicy::default();
        let mut reputation = Reputation::default();
        reputation.record.raced(true, Some(12_345));
        reputation.step(&observation(Outcome::PayloadMismatched, 77), &policy);
        reputation.hand = Some(OperatorSetting::Pinned);
        let json = serde_json::to_string(&reputation).unwrap();
        assert_eq!(serde_json::from_str::<Reputation>(&json).unwrap(), reputation);
        // A later version may know more, an earlier one less.
        assert_eq!(serde_json::from_str::<Reputation>("{\"new\": 1}").unwrap(), Reputation::default());
    }

    #[test]
    fn quick_relays_that_win_rank_first() {
        let policy = TrustPolicy::default();
        let with = |tops: usize, latency_us: u64| {
            let mut reputation = Reputation::default();
            for n in 0..20 {
                reputation.record.raced(n < tops, Some(latency_us));
            }
            reputation.rank(0, &policy)
        };
        assert!(with(10, 50_000) > with(2, 50_000));
        assert!(with(10, 50_000) > with(10, 400_000));
        assert!(with(5, 50_000) > Reputation::default().rank(0, &policy));
    }
}
