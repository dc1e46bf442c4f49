//! From all standings together to who is asked, and why.

use super::{Breaker, HandSetting, Standing, TrustPolicy};
use crate::{consensus::UnixMillis, events::RelayPlace};

/// One relay as placing sees it.
#[derive(Clone, Copy, Debug)]
pub struct Contender<'a> {
    /// `enabled` in the configuration.
    pub enabled: bool,
    /// `pinned` in the configuration.
    pub pinned: bool,
    /// What is known of it.
    pub standing: &'a Standing,
    /// Why rotation keeps it out, if it does.
    pub shed: Option<&'a str>,
}

/// How fit a relay is to be asked, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fitness {
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
    Thief,
    /// The operator does not want it asked.
    Disabled,
}

/// Where a relay is placed.
#[derive(Clone, Debug, PartialEq)]
pub struct Placing {
    /// Its place.
    pub place: RelayPlace,
    /// How fit it is.
    pub fitness: Fitness,
    /// Its score, 0 to 1.
    pub score: f64,
    /// Its rank, higher is better.
    pub rank: f64,
    /// In words.
    pub why: String,
}

/// Which of some relays are asked, given each one's fitness and rank. All that are fit; and if these are fewer than `min_active`,
/// the best of those that were shed, then of those that are away; and if nobody there can be hoped to answer, the suspects. Never a
/// thief, never a disabled one.
pub fn chosen(relays: &[(Fitness, f64)], min_active: usize) -> Vec<bool> {
    let mut chosen: Vec<bool> = relays.iter().map(|(fitness, _)| *fitness <= Fitness::Fit).collect();
    let mut order: Vec<usize> = (0..relays.len()).collect();
    order.sort_by(|a, b| match (relays.get(*a), relays.get(*b)) {
        (Some((a, rank_a)), Some((b, rank_b))) => a.cmp(b).then(rank_b.total_cmp(rank_a)),
        _ => std::cmp::Ordering::Equal,
    });
    let fitness_of = |index: usize| relays.get(index).map_or(Fitness::Disabled, |(fitness, _)| *fitness);
    let mut active = chosen.iter().filter(|is_chosen| **is_chosen).count();
    let mut answering = active;
    for index in order {
        let wanted = match fitness_of(index) {
            Fitness::Pinned | Fitness::Fit | Fitness::Thief | Fitness::Disabled => false,
            Fitness::Shed => active < min_active.max(1),
            Fitness::Away => active < min_active.max(1),
            Fitness::Suspect => answering == 0,
        };
        if wanted && let Some(place) = chosen.get_mut(index) {
            *place = true;
            active += 1;
            if fitness_of(index) == Fitness::Shed {
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
) -> Vec<Placing> {
    let mut placings: Vec<Placing> =
        contenders.iter().map(|contender| placing(contender, now, policy)).collect();
    let fitness: Vec<(Fitness, f64)> = placings.iter().map(|p| (p.fitness, p.rank)).collect();
    for (placing, is_chosen) in placings.iter_mut().zip(chosen(&fitness, min_active)) {
        if !is_chosen || placing.fitness <= Fitness::Fit {
            continue;
        }
        placing.place = RelayPlace::Active;
        placing.why = match placing.fitness {
            Fitness::Shed => format!("asked all the same, fewer than {min_active} others are fit"),
            Fitness::Away => {
                format!("asked all the same, fewer than {min_active} others are fit: {}", placing.why)
            }
            _ => format!("asked all the same, there is no other relay that answers: {}", placing.why),
        };
    }
    placings
}

fn placing(contender: &Contender<'_>, now: UnixMillis, policy: &TrustPolicy) -> Placing {
    let Contender { enabled, pinned, standing, shed } = *contender;
    let quarantine = standing.quarantined(now);
    let (place, fitness, why) = if !enabled {
        (RelayPlace::Disabled, Fitness::Disabled, "enabled = false in the configuration".to_owned())
    } else if standing.hand == Some(HandSetting::Disabled) {
        (RelayPlace::Disabled, Fitness::Disabled, "disabled by hand".to_owned())
    } else if pinned || standing.hand == Some(HandSetting::Pinned) {
        let by = if pinned { "by the configuration" } else { "by hand" };
        let despite = quarantine.map(|q| format!(", although it {}", q.why)).unwrap_or_default();
        (RelayPlace::Active, Fitness::Pinned, format!("pinned {by}{despite}"))
    } else if let Some(quarantine) = quarantine {
        let fitness = if standing.level(now, policy) >= 2 { Fitness::Thief } else { Fitness::Suspect };
        let why = format!("{}; offence {}", quarantine.why, quarantine.level);
        (RelayPlace::Quarantined, fitness, why)
    } else if !standing.breaker.is_closed() {
        let probed = if matches!(standing.breaker, Breaker::HalfOpen { .. }) { ", being probed" } else { "" };
        let why = format!("circuit open{probed}: {}", standing.breaker_why);
        (RelayPlace::Quarantined, Fitness::Away, why)
    } else if let Some(why) = shed {
        (RelayPlace::Standby, Fitness::Shed, format!("rotated out: {why}"))
    } else {
        let again = standing.quarantine.as_ref().filter(|_| standing.level(now, policy) > 0);
        let why = again.map_or_else(
            || "fit".to_owned(),
            |quarantine| format!("out of quarantine, on probation: {}", quarantine.why),
        );
        (RelayPlace::Active, Fitness::Fit, why)
    };
    let score = standing.trust.score(now, policy.half_life_ms);
    Placing { place, fitness, score, rank: standing.rank(now, policy), why }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use Fitness::{Away, Disabled, Fit, Pinned, Shed, Suspect, Thief};

    fn who(relays: &[(Fitness, f64)], min_active: usize) -> Vec<usize> {
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
            ("a thief is never asked", vec![(Thief, 1.0)], 2, vec![]),
            ("a thief and a suspect", vec![(Thief, 1.0), (Suspect, 0.1)], 2, vec![1]),
            ("disabled is disabled", vec![(Disabled, 1.0), (Disabled, 1.0)], 2, vec![]),
            ("nobody", vec![], 2, vec![]),
        ] {
            assert_eq!(who(&relays, min_active), want, "{name}");
        }
    }

    fn fitness() -> impl Strategy<Value = Fitness> {
        proptest::sample::select(vec![Pinned, Fit, Shed, Away, Suspect, Thief, Disabled])
    }

    proptest! {
        #[test]
        fn thieves_and_disabled_are_never_asked_and_the_fit_always(
            relays in proptest::collection::vec((fitness(), 0.0f64..1.0), 0..12), min_active in 0usize..5,
        ) {
            let chosen = chosen(&relays, min_active);
            for ((fitness, _), is_chosen) in relays.iter().zip(&chosen) {
                prop_assert!(!matches!(fitness, Thief | Disabled) || !is_chosen);
                prop_assert!(*fitness > Fit || *is_chosen);
            }
            let may = relays.iter().filter(|(fitness, _)| *fitness <= Suspect).count();
            prop_assert_eq!(chosen.iter().any(|is| *is), may > 0);
            let honest = relays.iter().filter(|(fitness, _)| *fitness <= Away).count();
            prop_assert!(chosen.iter().filter(|is| **is).count() >= honest.min(min_active));
        }
    }
}
