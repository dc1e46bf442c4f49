//! All that is known of one relay, and what each observation changes in it.

use std::collections::VecDeque;

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

use super::{
    Accusation, BlockRecord, Breaker, BreakerPolicy, FaultClass, Observation, Pulse, Trust, Verdict,
    accusation::{MAX_ACCUSATIONS, class_of_conduct},
    stake,
};
use crate::{
    events::{BidOutcome, Conduct, Ruling, Stage},
    types::{Slot, UnixMillis},
};

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

/// What follows from the offences that count: each cost, or could have cost, a slot or its payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// Offences counted: after the first a relay is asked where there is no other that bids, after the second not at all.
    pub level: u32,
    /// Until when.
    pub until: UnixMillis,
    /// When it last offended.
    pub since: UnixMillis,
    /// What it did, in words.
    #[serde(rename = "why")]
    pub reason: String,
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
    /// Races since it last bid, 0 for the latest; none while it never did.
    #[serde(default)]
    since_bid: Option<u32>,
    /// Newest last, in microseconds.
    latencies_us: VecDeque<u32>,
}

/// A relay that bid in one of so many of its latest races lately bid. Arbitrary: a relay may have nothing for one slot, not for several.
const LATELY: u32 = 4;
/// Credits remembered, so that none is given twice. Arbitrary: more than are open between a block and its finality.
const CREDITS: usize = 256;
/// Latencies kept for quantiles.
const LATENCIES: usize = 64;
/// Weight of one delivery of a public record, in ordinary observations.
const PUBLIC_WEIGHT: f64 = 0.2;
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

/// Something to a relay's credit that was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Credit {
    slot: Slot,
    block_hash: B256,
    conduct: Conduct,
}

/// What is known of one relay.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reputation {
    /// Whether it is there.
    pub breaker: Breaker,
    /// What the breaker was last moved by.
    #[serde(rename = "breaker_why")]
    pub breaker_reason: String,
    /// Whether it is honest.
    pub trust: Trust,
    /// What it is being punished for, or was last: follows from `earlier` and `accusations`.
    pub quarantine: Option<Quarantine>,
    /// What offences led to that are too old to be taken back.
    pub earlier: Option<Quarantine>,
    /// What it is accused of, oldest first.
    pub accusations: Vec<Accusation>,
    /// What was counted to its credit lately.
    credits: VecDeque<Credit>,
    /// The operator's word.
    #[serde(rename = "hand")]
    pub operator_setting: Option<OperatorSetting>,
    /// How it does in races.
    pub record: RaceStats,
    /// What it did with blocks before this is forgiven.
    pub pardoned_at: UnixMillis,
    /// When its public record was taken in; 0 for never.
    pub seeded_at: UnixMillis,
}

/// An accusation that is new, has changed, or was taken back.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The accusation as it stands, or stood.
    pub accusation: Accusation,
    /// What follows from it now.
    pub ruling: Ruling,
    /// Whether something else followed from it before.
    pub is_new_ruling: bool,
}

impl Reputation {
    /// Takes up what an earlier process saved. Before accusations were kept one by one there was only what they had led to.
    pub fn restored(mut self) -> Self {
        if self.accusations.is_empty() && self.earlier.is_none() {
            self.earlier.clone_from(&self.quarantine);
        }
        self
    }

    /// Takes in an observation.
    pub fn step(&mut self, observation: &Observation, policy: &TrustPolicy) {
        if observation.at < self.pardoned_at {
            return;
        }
        if let Some((class, is_good)) = observation.class() {
            self.trust.add(class, is_good, 1.0, observation.at, policy.half_life_ms);
        }
        // A bid, good or bad, is an answer.
        if observation.outcome == BidOutcome::Bid {
            self.trust.add(FaultClass::Answers, true, 1.0, observation.at, policy.half_life_ms);
        }
        self.pulse(observation.pulse(), &observation.message, observation.at, policy);
    }

    /// Takes in a sign of life, or of none.
    pub fn pulse(&mut self, pulse: Pulse, reason: &str, now: UnixMillis, policy: &TrustPolicy) {
        let before = self.breaker;
        self.breaker = before.step(pulse, now, &policy.breaker);
        if pulse == Pulse::Failed {
            self.breaker_reason = reason.to_owned();
        }
    }

    /// Takes in all that is found of this relay and a block, in the place of what was found before: what no longer follows is taken back, and
    /// nothing is counted twice.
    pub fn apply(
        &mut self,
        block: &BlockRecord,
        verdicts: &[Verdict],
        now: UnixMillis,
        policy: &TrustPolicy,
    ) -> Option<Change> {
        if block.since < self.pardoned_at {
            return None;
        }
        for verdict in verdicts.iter().filter(|verdict| !verdict.conduct.is_offence()) {
            self.credit(block, verdict, now, policy);
        }
        let offence = verdicts
            .iter()
            .filter(|verdict| verdict.conduct.is_offence())
            // What stays uncertain once everything is known is no reason for anything.
            .filter(|verdict| verdict.stage == Stage::Provisional || verdict.evidence.confidence.convicts())
            .max_by_key(|verdict| verdict.evidence.confidence);
        let new = offence.map(|verdict| Accusation::new(block.slot, block.block_hash, verdict, now));
        let is_same = |known: &Accusation| (known.slot, known.block_hash) == (block.slot, block.block_hash);
        let old = self.accusations.iter().position(is_same).map(|index| self.accusations.remove(index));
        let change = match (old, new) {
            (None, None) => return None,
            (Some(old), None) => {
                self.weigh(&old, None, now, policy);
                Some(Change { accusation: old, ruling: Ruling::TakenBack, is_new_ruling: true })
            }
            (old, Some(mut new)) => {
                // It runs from when it first stood as it stands now.
                if let Some(old) = old.as_ref().filter(|old| old.is_counted() == new.is_counted()) {
                    new.at = old.at;
                }
                self.weigh_both(old.as_ref(), &new, now, policy);
                self.keep(new.clone(), policy);
                let is_new_ruling = old.as_ref().is_none_or(|old| old.ruling() != new.ruling());
                let is_news = is_new_ruling
                    || old.is_some_and(|old| (old.stage, old.conduct) != (new.stage, new.conduct));
                is_news.then(|| Change { ruling: new.ruling(), accusation: new, is_new_ruling })
            }
        };
        self.sentence(policy);
        change
    }

    fn credit(&mut self, block: &BlockRecord, verdict: &Verdict, now: UnixMillis, policy: &TrustPolicy) {
        let credit = Credit { slot: block.slot, block_hash: block.block_hash, conduct: verdict.conduct };
        if self.credits.contains(&credit) {
            return;
        }
        while self.credits.len() >= CREDITS {
            self.credits.pop_front();
        }
        self.credits.push_back(credit);
        let class = class_of_conduct(verdict.conduct);
        self.trust.add(class, true, stake(verdict.value), now, policy.half_life_ms);
    }

    fn weigh_both(
        &mut self,
        old: Option<&Accusation>,
        new: &Accusation,
        now: UnixMillis,
        policy: &TrustPolicy,
    ) {
        let weight = |accusation: &Accusation| {
            (accusation.is_counted(), class_of_conduct(accusation.conduct), accusation.value, accusation.at)
        };
        match old {
            // What weighs as it did goes on fading.
            Some(old) if weight(old) == weight(new) => {}
            Some(old) => self.weigh(old, Some(new), now, policy),
            None if new.is_counted() => self.blame(new, policy),
            None => {}
        }
    }

    /// Takes what an accusation weighed out of the score, and puts in what the one in its place weighs.
    fn weigh(&mut self, old: &Accusation, new: Option<&Accusation>, now: UnixMillis, policy: &TrustPolicy) {
        if old.is_counted() {
            let class = class_of_conduct(old.conduct);
            self.trust.retract(class, stake(old.value), old.at, now, policy.half_life_ms);
        }
        if let Some(new) = new.filter(|new| new.is_counted()) {
            self.blame(new, policy);
        }
    }

    fn blame(&mut self, accusation: &Accusation, policy: &TrustPolicy) {
        let class = class_of_conduct(accusation.conduct);
        self.trust.add(class, false, stake(accusation.value), accusation.at, policy.half_life_ms);
    }

    fn keep(&mut self, accusation: Accusation, policy: &TrustPolicy) {
        self.accusations.push(accusation);
        self.accusations.sort_by_key(|accusation| accusation.at);
        while self.accusations.len() > MAX_ACCUSATIONS {
            // A suspicion that is over goes first.
            let index = self.accusations.iter().position(|accusation| !accusation.is_counted()).unwrap_or(0);
            let oldest = self.accusations.remove(index);
            if oldest.is_counted() {
                self.earlier = Some(offended(self.earlier.as_ref(), &oldest, policy));
            }
        }
    }

    /// Works out anew what follows from all that counts.
    fn sentence(&mut self, policy: &TrustPolicy) {
        let counted = self.accusations.iter().filter(|accusation| accusation.is_counted());
        self.quarantine = counted.fold(self.earlier.clone(), |before, accusation| {
            Some(offended(before.as_ref(), accusation, policy))
        });
    }

    /// What it rests for without being guilty of it, if anything: the latest suspicion.
    pub fn suspicion(&self, now: UnixMillis) -> Option<&Accusation> {
        self.accusations.iter().rev().find(|accusation| accusation.is_suspected(now))
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
        level_at(self.quarantine.as_ref(), now, policy)
    }

    /// The quarantine it is in, if any.
    pub fn quarantined(&self, now: UnixMillis) -> Option<&Quarantine> {
        self.quarantine.as_ref().filter(|quarantine| now < quarantine.until)
    }

    /// Forgives everything before `now`.
    pub fn pardon(&mut self, now: UnixMillis) {
        *self = Self {
            operator_setting: self.operator_setting,
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

fn level_at(quarantine: Option<&Quarantine>, now: UnixMillis, policy: &TrustPolicy) -> u32 {
    let Some(quarantine) = quarantine else { return 0 };
    let quiet = now.saturating_sub(quarantine.since).max(0) / policy.half_life_ms.max(1);
    quarantine.level.saturating_sub(u32::try_from(quiet).unwrap_or(u32::MAX))
}

/// What an offence leads to after those before it.
fn offended(before: Option<&Quarantine>, accusation: &Accusation, policy: &TrustPolicy) -> Quarantine {
    let level = level_at(before, accusation.at, policy).saturating_add(1);
    let length = policy.quarantine_ms.saturating_mul(1 << (level - 1).min(30));
    Quarantine {
        level,
        until: accusation.at.saturating_add(length.min(policy.quarantine_max_ms)),
        since: accusation.at,
        reason: accusation.reason.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        events::{Confidence, Evidence, Method},
        types::{RelayId, Wei},
    };

    const DAY: i64 = 86_400_000;
    const HOUR: i64 = 3_600_000;

    fn block(slot: u64, since: i64) -> BlockRecord {
        BlockRecord::new(Slot::new(slot), B256::repeat_byte(1), since)
    }

    fn verdict(conduct: Conduct, stage: Stage, confidence: Confidence) -> Verdict {
        Verdict {
            relay: RelayId::parse("a").unwrap(),
            conduct,
            stage,
            evidence: Evidence { method: Method::Answers, confidence },
            value: Wei::parse_eth("0.05").unwrap(),
            reason: format!("{conduct:?}"),
        }
    }

    fn guilty(conduct: Conduct) -> Verdict {
        verdict(conduct, Stage::Provisional, Confidence::Medium)
    }

    #[test]
    fn quarantine_doubles_and_is_forgotten_in_time() {
        let policy = TrustPolicy::default();
        let mut reputation = Reputation::default();
        let mut offend = |at: i64| {
            let slot = u64::try_from(at).unwrap();
            reputation.apply(&block(slot, at), &[guilty(Conduct::Withheld)], at, &policy);
            let quarantine = reputation.quarantine.clone().unwrap();
            (quarantine.level, (quarantine.until - at) / HOUR)
        };
        assert_eq!(offend(0), (1, 6));
        assert_eq!(offend(DAY), (2, 12));
        assert_eq!(offend(2 * DAY), (3, 24));
        // Two half-lives of peace forgive two of three.
        assert_eq!(offend(31 * DAY), (2, 12));
        for day in 32..90 {
            offend(day * DAY);
        }
        assert_eq!(reputation.quarantine.as_ref().unwrap().until, 89 * DAY + 30 * DAY);
        assert!(reputation.quarantined(89 * DAY).is_some());
        assert!(reputation.quarantined(120 * DAY).is_none());
        assert!(reputation.accusations.len() <= MAX_ACCUSATIONS);
    }

    #[test]
    fn a_pardon_forgives_what_was_and_not_what_comes() {
        let policy = TrustPolicy::default();
        let mut reputation = Reputation::default();
        let offend = |reputation: &mut Reputation, slot: u64, since: i64, now: i64| {
            reputation.apply(&block(slot, since), &[guilty(Conduct::PaidLess)], now, &policy);
        };
        offend(&mut reputation, 1, 10, 10);
        reputation.pardon(20);
        assert_eq!(reputation.quarantined(21), None);
        // Found later, done before.
        offend(&mut reputation, 2, 15, 30);
        assert_eq!(reputation.quarantined(31), None);
        offend(&mut reputation, 3, 25, 30);
        assert_eq!(reputation.quarantined(31).map(|q| q.level), Some(1));
    }

    #[test]
    fn what_is_taken_back_leaves_nothing() {
        let policy = TrustPolicy::default();
        let mut reputation = Reputation::default();
        reputation.apply(&block(1, 0), &[guilty(Conduct::Withheld)], 0, &policy);
        let before = reputation.clone();
        let change = reputation.apply(&block(2, DAY), &[guilty(Conduct::NotOnChain)], DAY, &policy);
        assert_eq!(change.map(|change| change.ruling), Some(Ruling::Guilty));
        assert_eq!(reputation.level(DAY, &policy), 2);
        // The same again changes nothing.
        assert_eq!(reputation.apply(&block(2, DAY), &[guilty(Conduct::NotOnChain)], DAY + 5, &policy), None);
        assert_eq!(reputation.level(DAY, &policy), 2);
        let change = reputation.apply(&block(2, DAY), &[], DAY + HOUR, &policy);
        assert_eq!(change.map(|change| change.ruling), Some(Ruling::TakenBack));
        assert_eq!(
            (&reputation.quarantine, &reputation.accusations),
            (&before.quarantine, &before.accusations)
        );
        let score = |reputation: &Reputation| reputation.trust.score(2 * DAY, policy.half_life_ms);
        assert!((score(&reputation) - score(&before)).abs() < 1e-9);
        // The first of two is taken back: the second is the first.
        reputation.apply(&block(3, DAY), &[guilty(Conduct::PaidLess)], DAY, &policy);
        reputation.apply(&block(1, 0), &[], 2 * DAY, &policy);
        assert_eq!(reputation.quarantine.as_ref().map(|q| (q.level, q.until)), Some((1, DAY + 6 * HOUR)));
    }

    #[test]
    fn a_suspicion_rests_and_counts_for_nothing() {
        let policy = TrustPolicy::default();
        let mut reputation = Reputation::default();
        let weak = verdict(Conduct::Withheld, Stage::Provisional, Confidence::Low);
        let change = reputation.apply(&block(1, 0), std::slice::from_ref(&weak), 0, &policy);
        assert_eq!(change.map(|change| change.ruling), Some(Ruling::Suspected));
        assert_eq!((reputation.level(0, &policy), &reputation.quarantine), (0, &None));
        assert!((reputation.trust.score(0, policy.half_life_ms) - Trust::default().score(0, 1)).abs() < 1e-9);
        assert!(reputation.suspicion(super::super::SUSPICION_MS - 1).is_some());
        assert!(reputation.suspicion(super::super::SUSPICION_MS).is_none());
        // Proven later, it counts from then on; uncertain for good, it is over.
        let mut proven = reputation.clone();
        let change = proven.apply(&block(1, 0), &[guilty(Conduct::Withheld)], HOUR, &policy);
        assert_eq!(change.map(|change| change.ruling), Some(Ruling::Guilty));
        assert_eq!(proven.quarantine.as_ref().map(|q| (q.level, q.since)), Some((1, HOUR)));
        let for_good = verdict(Conduct::Withheld, Stage::Final, Confidence::Low);
        let change = reputation.apply(&block(1, 0), &[for_good], 5, &policy);
        assert_eq!(change.map(|change| change.ruling), Some(Ruling::TakenBack));
        assert!(reputation.suspicion(6).is_none());
    }

    #[test]
    fn credit_is_given_once() {
        let policy = TrustPolicy::default();
        let mut reputation = Reputation::default();
        let revealed = verdict(Conduct::Revealed, Stage::Final, Confidence::High);
        let mut score = || {
            reputation.apply(&block(1, 0), std::slice::from_ref(&revealed), 0, &policy);
            reputation.trust.score(0, policy.half_life_ms)
        };
        let (first, second) = (score(), score());
        assert!(first > Trust::default().score(0, 1));
        assert!((first - second).abs() < 1e-12);
    }

    #[test]
    fn no_answer_in_an_auction_quarantines() {
        let policy = TrustPolicy::default();
        for outcome in BidOutcome::all() {
            let mut reputation = Reputation::default();
            let observation = Observation {
                outcome,
                http_status: None,
                message: format!("did {outcome}"),
                is_corroborated: false,
                at: 1,
            };
            reputation.step(&observation, &policy);
            assert_eq!((reputation.quarantine, reputation.accusations.len()), (None, 0), "{outcome}");
        }
    }

    #[test]
    fn it_survives_the_ledger() {
        let policy = TrustPolicy::default();
        let mut reputation = Reputation::default();
        reputation.record.raced(true, true, Some(12_345));
        reputation.apply(&block(4, 77), &[guilty(Conduct::Mismatched)], 77, &policy);
        reputation.operator_setting = Some(OperatorSetting::Pinned);
        let json = serde_json::to_string(&reputation).unwrap();
        let restored = serde_json::from_str::<Reputation>(&json).unwrap().restored();
        assert_eq!(restored, reputation);
        // What was open can be taken back after a restart.
        let mut restored = restored;
        restored.apply(&block(4, 77), &[], 80, &policy);
        assert_eq!(restored.quarantine, None);
        // A later version may know more, an earlier one less.
        assert_eq!(serde_json::from_str::<Reputation>("{\"new\": 1}").unwrap(), Reputation::default());
    }

    /// As version 0.1.0 saved it.
    #[test]
    fn what_an_earlier_version_saved_still_counts() {
        let policy = TrustPolicy::default();
        let json = "{\"quarantine\":{\"level\":1,\"until\":21600000,\"since\":0,\"why\":\"slot 1\"},\"record\":{\"races\":3.0,\"tops\":1.0,\"latencies_us\":[5]}}";
        let mut reputation = serde_json::from_str::<Reputation>(json).unwrap().restored();
        assert_eq!(reputation.level(5, &policy), 1);
        reputation.apply(&block(9, 10), &[guilty(Conduct::Withheld)], 10, &policy);
        assert_eq!(reputation.level(11, &policy), 2);
        reputation.apply(&block(9, 10), &[], 12, &policy);
        assert_eq!(reputation.quarantine.as_ref().map(|q| (q.level, q.until)), Some((1, 6 * HOUR)));
    }

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

    #[test]
    fn quick_relays_that_win_rank_first() {
        let policy = TrustPolicy::default();
        let with = |tops: usize, latency_us: u64| {
            let mut reputation = Reputation::default();
            for n in 0..20 {
                reputation.record.raced(true, n < tops, Some(latency_us));
            }
            reputation.rank(0, &policy)
        };
        assert!(with(10, 50_000) > with(2, 50_000));
        assert!(with(10, 50_000) > with(10, 400_000));
        assert!(with(5, 50_000) > Reputation::default().rank(0, &policy));
    }
}
