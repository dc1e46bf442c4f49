//! All that is known of one relay, and what each observation changes in it.

use std::collections::VecDeque;

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

use super::{
    Accusation, BlockRecord, FaultClass, Observation, Quarantine, RaceStats, Trust, TrustPolicy, Verdict,
    accusation::{MAX_ACCUSATIONS, class_of_conduct},
    quarantine::{level_at, offended},
    stake,
};
use crate::{
    breaker::{Breaker, Pulse},
    events::{BidOutcome, Conduct, Ruling, Stage},
    types::{Slot, UnixMillis},
};

/// Credits remembered, so that none is given twice. Arbitrary: more than are open between a block and its finality.
const CREDITS: usize = 256;
/// Weight of one delivery of a public record, in ordinary observations.
const PUBLIC_WEIGHT: f64 = 0.2;

/// What the operator set by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperatorSetting {
    /// Always asked.
    Pinned,
    /// Never asked.
    Disabled,
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
    /// How often and how fast it bid, and how often its bid was the best.
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
    /// Whether the relay is suspected, guilty, or cleared of it now.
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

#[cfg(test)]
#[path = "reputation_tests.rs"]
mod tests;
