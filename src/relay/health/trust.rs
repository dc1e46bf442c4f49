//! The trust score: how likely a relay's next bid is worth what it says.
//!
//! A Beta distribution per class of fault: it starts with a prior (nearly, not wholly, trusted), every good and bad observation adds its
//! stake to one side, and both sides fade with the same half-life, so that the prior comes back in time. The score is the product
//! of the classes' means: to be paid, a proposer needs an answer, a bid that is right, a payload and an honest payment.

use serde::{Deserialize, Serialize};

use crate::types::{UnixMillis, Wei};

/// What can be wrong with a relay, by what it costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultClass {
    /// Whether it answers properly and in time. Costs a bid.
    Answers,
    /// Whether its bids say what they must. Costs a bid, and a check.
    Bids,
    /// Whether it reveals what it sold. Costs the slot.
    Reveals,
    /// Whether the promised payment arrives. Costs the difference.
    Payments,
}

/// Good and bad observations of one class, weighted and faded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Observed {
    good: f64,
    bad: f64,
}

/// What is known of a relay's honesty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trust {
    answers: Observed,
    bids: Observed,
    reveals: Observed,
    payments: Observed,
    /// Until when the evidence is faded.
    at: UnixMillis,
}

/// Weight of the prior, in ordinary observations. Arbitrary: ten deliveries outweigh what was assumed at first.
const PRIOR_WEIGHT: f64 = 10.0;
/// The prior's mean: a relay nobody knows is given one doubt in fifty.
const PRIOR_MEAN: f64 = 0.98;
/// The value, in gwei, at which an observation weighs 1: 0.05 ETH, about what a usual block pays.
const ORDINARY_STAKE_GWEI: f64 = 50_000_000.0;
/// Limits of an observation's weight: a worthless block still is a block, and no single block decides a relay's fate for ever.
const STAKE_LIMITS: (f64, f64) = (0.2, 20.0);

/// An observation's weight by what was at stake: 1 at 0.05 ETH, in proportion, between 0.2 and 20.
#[expect(clippy::cast_precision_loss, reason = "a weight, not money")]
pub fn stake(value: Wei) -> f64 {
    let gwei = value.whole_gwei() as f64;
    (gwei / ORDINARY_STAKE_GWEI).clamp(STAKE_LIMITS.0, STAKE_LIMITS.1)
}

impl Observed {
    fn mean(self) -> f64 {
        (PRIOR_WEIGHT * PRIOR_MEAN + self.good) / (PRIOR_WEIGHT + self.good + self.bad)
    }
}

impl Trust {
    /// Adds an observation of weight `weight`.
    pub fn add(&mut self, class: FaultClass, is_good: bool, weight: f64, now: UnixMillis, half_life_ms: i64) {
        *self = self.faded(now, half_life_ms);
        let evidence = match class {
            FaultClass::Answers => &mut self.answers,
            FaultClass::Bids => &mut self.bids,
            FaultClass::Reveals => &mut self.reveals,
            FaultClass::Payments => &mut self.payments,
        };
        if is_good { evidence.good += weight } else { evidence.bad += weight }
    }

    /// Takes a bad observation back that was added at `added`: what is left of its weight by now is taken out.
    #[expect(clippy::cast_precision_loss, reason = "times in milliseconds fit in 53 bits")]
    pub fn retract(
        &mut self,
        class: FaultClass,
        weight: f64,
        added: UnixMillis,
        now: UnixMillis,
        half_life_ms: i64,
    ) {
        *self = self.faded(now, half_life_ms);
        let age = self.at.saturating_sub(added).max(0);
        let left = weight * (-(age as f64) / half_life_ms.max(1) as f64).exp2();
        let evidence = match class {
            FaultClass::Answers => &mut self.answers,
            FaultClass::Bids => &mut self.bids,
            FaultClass::Reveals => &mut self.reveals,
            FaultClass::Payments => &mut self.payments,
        };
        evidence.bad = (evidence.bad - left).max(0.0);
    }

    /// The mean of one class at a time, 0 to 1.
    pub fn mean(&self, class: FaultClass, now: UnixMillis, half_life_ms: i64) -> f64 {
        let faded = self.faded(now, half_life_ms);
        match class {
            FaultClass::Answers => faded.answers,
            FaultClass::Bids => faded.bids,
            FaultClass::Reveals => faded.reveals,
            FaultClass::Payments => faded.payments,
        }
        .mean()
    }

    /// The product of all classes: the probability that asking it ends well, as far as its observations tell.
    pub fn score(&self, now: UnixMillis, half_life_ms: i64) -> f64 {
        let faded = self.faded(now, half_life_ms);
        faded.answers.mean() * faded.bids.mean() * faded.reveals.mean() * faded.payments.mean()
    }

    #[expect(clippy::cast_precision_loss, reason = "times in milliseconds fit in 53 bits")]
    fn faded(self, now: UnixMillis, half_life_ms: i64) -> Self {
        let passed = now.saturating_sub(self.at);
        if passed <= 0 {
            return self;
        }
        let factor = (-(passed as f64) / half_life_ms.max(1) as f64).exp2();
        let fade = |e: Observed| Observed { good: e.good * factor, bad: e.bad * factor };
        let Self { answers, bids, reveals, payments, at: _ } = self;
        Self {
            answers: fade(answers),
            bids: fade(bids),
            reveals: fade(reveals),
            payments: fade(payments),
            at: now,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: i64 = 86_400_000;
    const HALF_LIFE: i64 = 14 * DAY;

    fn eth(text: &str) -> Wei {
        Wei::parse_eth(text).unwrap()
    }

    #[test]
    fn an_observation_weighs_what_was_at_stake() {
        for (value, weight) in [("0", 0.2), ("0.05", 1.0), ("0.5", 10.0), ("5", 20.0), ("0.00001", 0.2)] {
            assert!((stake(eth(value)) - weight).abs() < 1e-9, "{value}");
        }
    }

    #[test]
    fn one_withheld_block_weighs_more_than_one_delivered() {
        let mut trust = Trust::default();
        let before = trust.score(0, HALF_LIFE);
        assert!((before - PRIOR_MEAN.powi(4)).abs() < 1e-9);
        trust.add(FaultClass::Reveals, true, 1.0, 0, HALF_LIFE);
        let better = trust.score(0, HALF_LIFE);
        trust.add(FaultClass::Reveals, false, 1.0, 0, HALF_LIFE);
        let worse = trust.score(0, HALF_LIFE);
        assert!(better > before && worse < before);
        assert!(before - worse > 10.0 * (better - before));
    }

    #[test]
    fn old_observations_fade_to_the_prior() {
        let mut trust = Trust::default();
        trust.add(FaultClass::Payments, false, 20.0, 0, HALF_LIFE);
        let mean = |days: i64| trust.mean(FaultClass::Payments, days * DAY, HALF_LIFE);
        assert!((mean(0) - 9.8 / 30.0).abs() < 1e-9);
        assert!((mean(14) - 9.8 / 20.0).abs() < 1e-9);
        assert!(mean(365) > 0.97);
    }

    proptest! {
        #[test]
        fn what_is_taken_back_leaves_nothing(weight in 0.2f64..20.0, wait in 0i64..40 * DAY, other in 0.2f64..20.0) {
            let (mut with, mut without) = (Trust::default(), Trust::default());
            for trust in [&mut with, &mut without] {
                trust.add(FaultClass::Reveals, false, other, 0, HALF_LIFE);
            }
            with.add(FaultClass::Reveals, false, weight, DAY, HALF_LIFE);
            with.retract(FaultClass::Reveals, weight, DAY, DAY + wait, HALF_LIFE);
            let at = DAY + wait;
            prop_assert!((with.score(at, HALF_LIFE) - without.score(at, HALF_LIFE)).abs() < 1e-9);
        }

        #[test]
        fn the_score_is_a_probability_and_moves_the_right_way(
            observations in proptest::collection::vec((0usize..4, any::<bool>(), 0.2f64..20.0, 0i64..40 * DAY), 0..50)
        ) {
            let classes = [FaultClass::Answers, FaultClass::Bids, FaultClass::Reveals, FaultClass::Payments];
            let (mut trust, mut now) = (Trust::default(), 0);
            for (class, is_good, weight, wait) in observations {
                now += wait;
                let before = trust.score(now, HALF_LIFE);
                trust.add(classes[class], is_good, weight, now, HALF_LIFE);
                let after = trust.score(now, HALF_LIFE);
                prop_assert!((0.0..=1.0).contains(&after));
                let moved_right = if is_good { after >= before } else { after < before };
                prop_assert!(moved_right);
            }
        }
    }
}
