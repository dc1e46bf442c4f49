//! From all reputations together to who is asked, and why.

use super::{OperatorSetting, Reputation, TrustPolicy};
use crate::{
    breaker::Breaker,
    events::{ModeReason, RelayMode},
    types::UnixMillis,
};

/// One relay as placement sees it.
#[derive(Clone, Copy, Debug)]
pub struct Contender<'a> {
    /// `enabled` in the configuration.
    pub enabled: bool,
    /// `pinned` in the configuration.
    pub pinned: bool,
    /// Everything observed of it so far.
    pub reputation: &'a Reputation,
    /// Why rotation keeps it out, if it does.
    pub shed: Option<&'a str>,
}

/// How fit a relay is to be asked, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Eligibility {
    /// The operator wants it asked, come what may.
    Pinned,
    /// Nothing against it.
    Fit,
    /// Nothing against it but pressure.
    Shed,
    /// Does not answer: asked when there are too few others, as that costs nothing.
    Away,
    /// Suspected of an offence, or guilty of one: asked when no other relay lately bid.
    Suspect,
    /// Offended again: not asked.
    RepeatOffender,
    /// The operator does not want it asked.
    Disabled,
}

/// Where a relay is placed.
#[derive(Clone, Debug, PartialEq)]
pub struct Placement {
    /// Whether it is asked: active, standby, quarantined or disabled.
    pub mode: RelayMode,
    /// Whether it may be asked, and under which condition.
    pub eligibility: Eligibility,
    /// Its score, 0 to 1.
    pub score: f64,
    /// Its rank, higher is better.
    pub rank: f64,
    /// Why, as a kind.
    pub reason: ModeReason,
    /// In words.
    pub message: String,
}

/// What decides whether a relay is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranking {
    /// Whether it may be asked, and under which condition.
    pub eligibility: Eligibility,
    /// Its rank, higher is better.
    pub rank: f64,
    /// Whether it lately bid: a relay that only ever answers that it has nothing is no alternative to one that bids.
    pub bids_lately: bool,
}

/// Which of some relays are asked, given where each stands. All that are fit; and if these are fewer than `min_active`, the best of those
/// that were shed, then of those that are away; and if none of them lately bid, the suspects. Never one that offended twice, never a
/// disabled one.
pub fn chosen(relays: &[Ranking], min_active: usize) -> Vec<bool> {
    let mut chosen: Vec<bool> = relays.iter().map(|relay| relay.eligibility <= Eligibility::Fit).collect();
    let mut order: Vec<(usize, Ranking)> = relays.iter().copied().enumerate().collect();
    order.sort_by(|(_, a), (_, b)| a.eligibility.cmp(&b.eligibility).then(b.rank.total_cmp(&a.rank)));
    let mut active = chosen.iter().filter(|is_chosen| **is_chosen).count();
    let mut has_bidder =
        relays.iter().any(|relay| relay.eligibility <= Eligibility::Fit && relay.bids_lately);
    for (index, relay) in order {
        let is_wanted = match relay.eligibility {
            Eligibility::Pinned | Eligibility::Fit | Eligibility::RepeatOffender | Eligibility::Disabled => {
                false
            }
            Eligibility::Shed | Eligibility::Away => active < min_active.max(1),
            Eligibility::Suspect => !has_bidder,
        };
        if is_wanted && let Some(slot) = chosen.get_mut(index) {
            *slot = true;
            active += 1;
            has_bidder |= relay.eligibility == Eligibility::Shed && relay.bids_lately;
        }
    }
    chosen
}

/// Places every relay.
pub fn place_all(
    contenders: &[Contender<'_>],
    min_active: usize,
    now: UnixMillis,
    policy: &TrustPolicy,
) -> Vec<Placement> {
    let mut placements: Vec<Placement> =
        contenders.iter().map(|contender| placement(contender, now, policy)).collect();
    let rankings: Vec<Ranking> = placements
        .iter()
        .zip(contenders)
        .map(|(placement, contender)| Ranking {
            eligibility: placement.eligibility,
            rank: placement.rank,
            bids_lately: contender.reputation.record.bids_lately(),
        })
        .collect();
    for (placement, is_chosen) in placements.iter_mut().zip(chosen(&rankings, min_active)) {
        if !is_chosen || placement.eligibility <= Eligibility::Fit {
            continue;
        }
        placement.mode = RelayMode::Active;
        placement.message = match placement.eligibility {
            Eligibility::Shed => format!("asked all the same, fewer than {min_active} others are fit"),
            Eligibility::Away => {
                format!("asked all the same, fewer than {min_active} others are fit: {}", placement.message)
            }
            _ => {
                format!("asked all the same, there is no other relay that lately bid: {}", placement.message)
            }
        };
    }
    placements
}

fn placement(contender: &Contender<'_>, now: UnixMillis, policy: &TrustPolicy) -> Placement {
    let Contender { enabled, pinned, reputation, shed } = *contender;
    let quarantine = reputation.quarantined(now);
    let suspicion = reputation.suspicion(now);
    let (mode, eligibility, reason, message) = if !enabled {
        let message = "enabled = false in the configuration".to_owned();
        (RelayMode::Disabled, Eligibility::Disabled, ModeReason::Disabled, message)
    } else if reputation.operator_setting == Some(OperatorSetting::Disabled) {
        (RelayMode::Disabled, Eligibility::Disabled, ModeReason::Disabled, "disabled by hand".to_owned())
    } else if pinned || reputation.operator_setting == Some(OperatorSetting::Pinned) {
        let by = if pinned { "by the configuration" } else { "by hand" };
        let despite = quarantine.map(|q| &q.reason).or(suspicion.map(|accusation| &accusation.reason));
        let despite = despite.map(|reason| format!(", although: {reason}")).unwrap_or_default();
        (RelayMode::Active, Eligibility::Pinned, ModeReason::Pinned, format!("pinned {by}{despite}"))
    } else if let Some(quarantine) = quarantine {
        let eligibility = if reputation.level(now, policy) >= 2 {
            Eligibility::RepeatOffender
        } else {
            Eligibility::Suspect
        };
        let message = format!("{}; offence {}", quarantine.reason, quarantine.level);
        (RelayMode::Quarantined, eligibility, ModeReason::Dishonest, message)
    } else if let Some(accusation) = suspicion {
        let message = format!("suspected, not counted as an offence: {}", accusation.reason);
        (RelayMode::Quarantined, Eligibility::Suspect, ModeReason::Suspected, message)
    } else if !reputation.breaker.is_closed() {
        let probed =
            if matches!(reputation.breaker, Breaker::HalfOpen { .. }) { ", being probed" } else { "" };
        let message = format!("circuit open{probed}: {}", reputation.breaker_reason);
        (RelayMode::Quarantined, Eligibility::Away, ModeReason::Unreachable, message)
    } else if let Some(message) = shed {
        let message = format!("rotated out: {message}");
        (RelayMode::Standby, Eligibility::Shed, ModeReason::RotatedOut, message)
    } else {
        let again = reputation.quarantine.as_ref().filter(|_| reputation.level(now, policy) > 0);
        let message = again.map_or_else(
            || "fit".to_owned(),
            |quarantine| format!("out of quarantine, on probation: {}", quarantine.reason),
        );
        (RelayMode::Active, Eligibility::Fit, ModeReason::Fit, message)
    };
    let score = reputation.trust.score(now, policy.half_life_ms);
    Placement { mode, eligibility, score, rank: reputation.rank(now, policy), reason, message }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use Eligibility::{Away, Disabled, Fit, Pinned, RepeatOffender, Shed, Suspect};

    /// Relays that all lately bid, but for those of rank 0.
    fn rankings(relays: &[(Eligibility, f64)]) -> Vec<Ranking> {
        let ranking = |(eligibility, rank): &(Eligibility, f64)| Ranking {
            eligibility: *eligibility,
            rank: *rank,
            bids_lately: *rank > 0.0,
        };
        relays.iter().map(ranking).collect()
    }

    fn who(relays: &[(Eligibility, f64)], min_active: usize) -> Vec<usize> {
        let chosen = chosen(&rankings(relays), min_active);
        chosen.iter().enumerate().filter(|(_, is)| **is).map(|(index, _)| index).collect()
    }

    #[test]
    fn the_table_of_who_is_asked() {
        for (name, relays, min_active, want) in [
            ("all fit", vec![(Fit, 1.0), (Fit, 0.5)], 2, vec![0, 1]),
            ("pinned counts", vec![(Pinned, 0.1), (Shed, 0.5)], 1, vec![0]),
            ("shed ones fill up by rank", vec![(Fit, 1.0), (Shed, 0.1), (Shed, 0.2)], 2, vec![0, 2]),
            ("those away fill up after the shed", vec![(Away, 0.9), (Shed, 0.1), (Fit, 0.5)], 2, vec![1, 2]),
            ("all away: asked", vec![(Away, 0.9), (Away, 0.1)], 1, vec![0]),
            ("a suspect with an alternative is not asked", vec![(Suspect, 1.0), (Fit, 0.1)], 2, vec![1]),
            ("a suspect alone is asked", vec![(Suspect, 1.0)], 2, vec![0]),
            ("a suspect beside the dead is asked", vec![(Suspect, 1.0), (Away, 0.5)], 2, vec![0, 1]),
            (
                "one that only answers is no alternative",
                vec![(Suspect, 1.0), (Suspect, 0.5), (Fit, 0.0)],
                2,
                vec![0, 1, 2],
            ),
            (
                "one that bids among those that only answer",
                vec![(Suspect, 1.0), (Fit, 0.0), (Fit, 0.2)],
                2,
                vec![1, 2],
            ),
            ("a shed one that bids is an alternative", vec![(Suspect, 1.0), (Shed, 0.2)], 2, vec![1]),
            ("a shed one that does not is none", vec![(Suspect, 1.0), (Shed, 0.0)], 2, vec![0, 1]),
            ("a repeat offender is never asked", vec![(RepeatOffender, 1.0)], 2, vec![]),
            ("a repeat offender and a suspect", vec![(RepeatOffender, 1.0), (Suspect, 0.1)], 2, vec![1]),
            ("disabled is disabled", vec![(Disabled, 1.0), (Disabled, 1.0)], 2, vec![]),
            ("nobody", vec![], 2, vec![]),
        ] {
            assert_eq!(who(&relays, min_active), want, "{name}");
        }
    }

    fn eligibility() -> impl Strategy<Value = Eligibility> {
        proptest::sample::select(vec![Pinned, Fit, Shed, Away, Suspect, RepeatOffender, Disabled])
    }

    proptest! {
        #[test]
        fn repeat_offenders_and_disabled_are_never_asked_and_the_fit_always(
            relays in proptest::collection::vec((eligibility(), 0.0f64..1.0), 0..12), min_active in 0usize..5,
        ) {
            let chosen = chosen(&rankings(&relays), min_active);
            for ((eligibility, _), is_chosen) in relays.iter().zip(&chosen) {
                prop_assert!(!matches!(eligibility, RepeatOffender | Disabled) || !is_chosen);
                prop_assert!(*eligibility > Fit || *is_chosen);
            }
            let may = relays.iter().filter(|(eligibility, _)| *eligibility <= Suspect).count();
            prop_assert_eq!(chosen.iter().any(|is| *is), may > 0);
            let honest = relays.iter().filter(|(eligibility, _)| *eligibility <= Away).count();
            prop_assert!(chosen.iter().filter(|is| **is).count() >= honest.min(min_active));
        }
    }
}
