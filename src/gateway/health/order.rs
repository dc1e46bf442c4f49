//! In which order upstreams are asked.
//!
//! One leads: it is asked first for as long as it is healthy, so that what a client reads comes from one node. Only one of an earlier tier that
//! has proved itself takes its place. Then come the other healthy ones by tier, then those that lag, by tier.

use crate::gateway::{Tier, UpstreamState};

/// An upstream, as its place in the order needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) tier: Tier,
    pub(super) state: UpstreamState,
    /// Whether it may take the lead back: it never lost it, or has been in step for long enough since.
    pub(super) is_settled: bool,
}

/// Who leads from now on.
pub(super) fn find_leader(candidates: &[Candidate], leader: Option<usize>) -> Option<usize> {
    let best = |fits: &dyn Fn(&Candidate) -> bool| {
        let fitting = candidates.iter().enumerate().filter(|(_, candidate)| fits(candidate));
        fitting.min_by_key(|(place, candidate)| (candidate.tier, *place)).map(|(place, _)| place)
    };
    let is_healthy = |candidate: &Candidate| candidate.state == UpstreamState::Healthy;
    let leading = leader.and_then(|place| candidates.get(place));
    match leading {
        Some(leading) if is_healthy(leading) => {
            best(&|it| is_healthy(it) && it.is_settled && it.tier < leading.tier).or(leader)
        }
        Some(leading) if leading.state.serves() => {
            best(&is_healthy).or_else(|| best(&|it| it.state.serves() && it.tier < leading.tier)).or(leader)
        }
        Some(_) | None => best(&is_healthy).or_else(|| best(&|it| it.state.serves())),
    }
}

/// All that serve, in the order in which they are asked.
pub(super) fn order(candidates: &[Candidate], leader: Option<usize>) -> Vec<usize> {
    let mut serving: Vec<(usize, &Candidate)> =
        candidates.iter().enumerate().filter(|(_, candidate)| candidate.state.serves()).collect();
    serving.sort_by_key(|(place, candidate)| {
        (candidate.state != UpstreamState::Healthy, Some(*place) != leader, candidate.tier, *place)
    });
    serving.into_iter().map(|(place, _)| place).collect()
}

#[cfg(test)]
mod tests {
    use UpstreamState::{Down, Healthy, Lagging};
    use proptest::prelude::*;

    use super::*;

    fn candidate((tier, state, is_settled): (Tier, UpstreamState, bool)) -> Candidate {
        Candidate { tier, state, is_settled }
    }

    #[test]
    fn the_leader_stays_until_it_fails_or_an_earlier_tier_has_proved_itself() {
        use Tier::{Backup, Primary, Replica};
        let lasting = |state| (state, true);
        let fresh = |state| (state, false);
        for (name, states, leader, want) in [
            ("at the start", [lasting(Healthy); 4], None, vec![0, 1, 2, 3]),
            ("sticky within its tier", [lasting(Healthy); 4], Some(1), vec![1, 0, 2, 3]),
            (
                "the primaries die",
                [lasting(Down), lasting(Down), lasting(Healthy), lasting(Healthy)],
                Some(0),
                vec![2, 3],
            ),
            (
                "a primary is back",
                [fresh(Healthy), lasting(Down), lasting(Healthy), lasting(Healthy)],
                Some(2),
                vec![2, 0, 3],
            ),
            (
                "it has proved itself",
                [lasting(Healthy), lasting(Down), lasting(Healthy), lasting(Healthy)],
                Some(2),
                vec![0, 2, 3],
            ),
            (
                "the leader dies meanwhile: a fresh primary before a paid one",
                [fresh(Healthy), lasting(Down), lasting(Down), lasting(Healthy)],
                Some(2),
                vec![0, 3],
            ),
            (
                "a healthy backup before a lagging primary",
                [lasting(Lagging), lasting(Lagging), lasting(Down), fresh(Healthy)],
                Some(0),
                vec![3, 0, 1],
            ),
            ("all lag", [lasting(Lagging); 4], Some(3), vec![0, 1, 2, 3]),
            ("nobody serves", [lasting(Down); 4], Some(3), vec![]),
        ] {
            let tiers = [Primary, Primary, Replica, Backup];
            let candidates: Vec<Candidate> = tiers
                .into_iter()
                .zip(states)
                .map(|(tier, (state, is_settled))| candidate((tier, state, is_settled)))
                .collect();
            let leader = find_leader(&candidates, leader);
            let found = order(&candidates, leader);
            assert_eq!(found, want, "{name}");
            assert_eq!(leader, want.first().copied(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn the_order_is_a_permutation_of_those_that_serve(
            all in proptest::collection::vec((0usize..3, 0usize..7, any::<bool>()), 0..8),
            leader in proptest::option::of(0usize..9),
        ) {
            let candidates: Vec<Candidate> = all
                .into_iter()
                .map(|(tier, state, settled)| candidate((Tier::ALL[tier], UpstreamState::ALL[state], settled)))
                .collect();
            let leader = find_leader(&candidates, leader);
            let found = order(&candidates, leader);
            prop_assert_eq!(leader, found.first().copied());
            let mut sorted = found.clone();
            sorted.sort_unstable();
            let serving: Vec<usize> =
                (0..candidates.len()).filter(|place| candidates[*place].state.serves()).collect();
            prop_assert_eq!(sorted, serving);
            let lagging = found.iter().map(|place| candidates[*place].state == Lagging);
            prop_assert!(lagging.is_sorted(), "a lagging one before a healthy one");
            // A leader that is still healthy gives way only to an earlier tier, and the choice is stable.
            prop_assert_eq!(find_leader(&candidates, leader), leader);
        }
    }
}
