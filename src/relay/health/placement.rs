//! From all reputations together to who is asked, and why.

use super::{Breaker, OperatorSetting, Reputation, TrustPolicy};
use crate::{consensus::UnixMillis, events::RelayMode};

/// One relay as placement sees it.
#[derive(Clone, Copy, Debug)]
pub struct Contender<'a> {
    /// `enabled` in the configuration.
    pub enabled: bool,
    /// `pinned` in the configuration.
    pub pinned: bool,
    /// What is known of it.
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
    /// Offended once: asked when there is no other at all.
    Suspect,
    /// Offended again: not asked.
    RepeatOffender,
    /// The operator does not want it asked.
    Disabled,
}

/// Where a relay is placed.
#[derive(Clone, Debug, PartialEq)]
pub struct Placement {
    /// Its place.
    pub place: RelayMode,
    /// How fit it is.
    pub eligibility: Eligibility,
    /// Its score, 0 to 1.
    pub score: f64,
    /// Its rank, higher is better.
    pub rank: f64,
    /// In words.
    pub why: String,
}

/// Which of some relays are asked, given each one's eligibility and rank. All that are fit; and if these are fewer than `min_active`,
/// the best of those that were shed, then of those that are away; and if nobody there can be hoped to answer, the suspects. Never a
/// thief, never a disabled one.
pub fn chosen(relays: &[(Eligibility, f64)], min_active: usize) -> Vec<bool> {
    let mut chosen: Vec<bool> =
        relays.iter().map(|(eligibility, _)| *eligibility <= Eligibility::Fit).collect();
    let mut order: Vec<usize> = (0..relays.len()).collect();
    order.sort_by(|a, b| match (relays.get(*a), relays.get(*b)) {
        (Some((a, rank_a)), Some((b, rank_b))) => a.cmp(b).then(rank_b.total_cmp(rank_a)),
        _ => std::cmp::Ordering::Equal,
    });
    let fitness_of =
        |index: usize| relays.get(index).map_or(Eligibility::Disabled, |(eligibility, _)| *eligibility);
    let mut active = chosen.iter().filter(|is_chosen| **is_chosen).count();
    let mut answering = active;
    for index in order {
        let wanted = match fitness_of(index) {
            Eligibility::Pinned | Eligibility::Fit | Eligibility::RepeatOffender | Eligibility::Disabled => {
                false
            }
            Eligibility::Shed => active < min_active.max(1),
            Eligibility::Away => active < min_active.max(1),
            Eligibility::Suspect => answering == 0,
        };
        if wanted && let Some(place) = chosen.get_mut(index) {
            *place = true;
            active += 1;
            if fitness_of(index) == Eligibility::Shed {
                answering += 1;
            }
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
    let eligibility: Vec<(Eligibility, f64)> = placements.iter().map(|p| (p.eligibility, p.rank)).collect();
    for (placement, is_chosen) in placements.iter_mut().zip(chosen(&eligibility, min_active)) {
        if !is_chosen || placement.eligibility <= Eligibility::Fit {
            continue;
        }
        placement.place = RelayMode::Active;
        placement.why = match placement.eligibility {
            Eligibility::Shed => format!("asked all the same, fewer than {min_active} others are fit"),
            Eligibility::Away => {
                format!("asked all the same, fewer than {min_active} others are fit: {}", placement.why)
            }
            _ => format!("asked all the same, there is no other relay that answers: {}", placement.why),
        };
    }
    placements
}

fn placement(contender: &Contender<'_>, now: UnixMillis, policy: &TrustPolicy) -> Placement {
    let Contender { enabled, pinned, reputation, shed } = *contender;
    let quarantine = reputation.quarantined(now);
    let (place, eligibility, why) = if !enabled {
        (RelayMode::Disabled, Eligibility::Disabled, "enabled = false in the configuration".to_owned())
    } else if reputation.hand == Some(OperatorSetting::Disabled) {
        (RelayMode::Disabled, Eligibility::Disabled, "disabled by hand".to_owned())
    } else if pinned || reputation.hand == Some(OperatorSetting::Pinned) {
        let by = if pinned { "by the configuration" } else { "by hand" };
        let despite = quarantine.map(|q| format!(", although it {}", q.why)).unwrap_or_default();
        (RelayMode::Active, Eligibility::Pinned, format!("pinned {by}{despite}"))
    } else if let Some(quarantine) = quarantine {
        let eligibility = if reputation.level(now, policy) >= 2 {
            Eligibility::RepeatOffender
        } else {
            Eligibility::Suspect
        };
        let why = format!("{}; offence {}", quarantine.why, quarantine.level);
        (RelayMode::Quarantined, eligibility, why)
    } else if !reputation.breaker.is_closed() {
        let probed =
            if matches!(reputation.breaker, Breaker::HalfOpen { .. }) { ", being probed" } else { "" };
        let why = format!("circuit open{probed}: {}", reputation.breaker_why);
        (RelayMode::Quarantined, Eligibility::Away, why)
    } else if let Some(why) = shed {
        (RelayMode::Standby, Eligibility::Shed, format!("rotated out: {why}"))
    } else {
        let again = reputation.quarantine.as_ref().filter(|_| reputation.level(now, policy) > 0);
        let why = again.map_or_else(
            || "fit".to_owned(),
            |quarantine| format!("out of quarantine, on probation: {}", quarantine.why),
        );
        (RelayMode::Active, Eligibility::Fit, why)
    };
    let score = reputation.trust.score(now, policy.half_life_ms);
    Placement { place, eligibility, score, rank: reputation.rank(now, policy), why }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use Eligibility::{Away, Disabled, Fit, Pinned, RepeatOffender, Shed, Suspect};

    fn who(relays: &[(Eligibility, f64)], min_active: usize) -> Vec<usize> {
        let chosen = chosen(relays, min_active);
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
            ("a thief is never asked", vec![(RepeatOffender, 1.0)], 2, vec![]),
            ("a thief and a suspect", vec![(RepeatOffender, 1.0), (Suspect, 0.1)], 2, vec![1]),
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
        fn thieves_and_disabled_are_never_asked_and_the_fit_always(
            relays in proptest::collection::vec((eligibility(), 0.0f64..1.0), 0..12), min_active in 0usize..5,
        ) {
            let chosen = chosen(&relays, min_active);
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
