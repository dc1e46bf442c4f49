//! Who is on another fork than the others.
//!
//! Any two upstreams are compared at the highest block below both their newest that both know. One is outvoted when others that agree with each
//! other, at least two, are more than half of all that it can be compared with, itself included. So no single upstream can accuse another, whatever
//! it shows, and of two that disagree nobody is guilty.

use alloy_primitives::B256;

use super::recent::Recent;

/// A block that two upstreams have different ones of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) height: u64,
    /// The upstream's hash.
    pub(super) here: B256,
    /// The other's.
    pub(super) there: B256,
}

/// What a comparison of all found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Forks {
    /// Places of those that the others outvote, with where they differ.
    pub(super) outvoted: Vec<(usize, Difference)>,
    /// Places of the majority, where somebody is outvoted.
    pub(super) majority: Vec<usize>,
    /// Two that disagree while nobody can tell who is right.
    pub(super) undecided: Option<(usize, usize, Difference)>,
}

/// Compares all, given by their places in the order in which they are asked.
pub(super) fn find_forks(chains: &[(usize, &Recent)]) -> Forks {
    let mut outvoted = Vec::new();
    let mut majority = Vec::new();
    for (place, chain) in chains {
        let others = || chains.iter().filter(|(other, _)| other != place);
        let differing: Vec<&(usize, &Recent)> =
            others().filter(|(_, other)| difference(chain, other).is_some()).collect();
        let voters = 1 + others().filter(|(_, other)| chain.compared(other).is_some()).count();
        let largest = differing
            .iter()
            .map(|(voice, view)| -> Vec<usize> {
                let agree = |(other, its): &(usize, &Recent)| other == voice || agrees(view, its);
                differing.iter().filter(|other| agree(other)).map(|(other, _)| *other).collect()
            })
            // The first of the largest.
            .rev()
            .max_by_key(Vec::len)
            .filter(|group| group.len() > 1 && group.len() * 2 > voters);
        if let Some(group) = largest
            && let Some(found) = differing.iter().find_map(|(_, other)| difference(chain, other))
        {
            outvoted.push((*place, found));
            majority = group;
        }
    }
    let is_outvoted = |place: &usize| outvoted.iter().any(|(other, _)| other == place);
    let undecided = chains.iter().enumerate().find_map(|(index, (one, here))| {
        chains.iter().skip(index + 1).find_map(|(other, there)| {
            let found = difference(here, there)?;
            (!is_outvoted(one) && !is_outvoted(other)).then_some((*one, *other, found))
        })
    });
    Forks { outvoted, majority, undecided }
}

fn agrees(one: &Recent, other: &Recent) -> bool {
    one.compared(other).is_some_and(|(_, here, there)| here == there)
}

fn difference(one: &Recent, other: &Recent) -> Option<Difference> {
    let (height, here, there) = one.compared(other)?;
    (here != there).then_some(Difference { height, here, there })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::health::tests::chain_head;

    fn chain(newest: u64, fork: u8) -> Recent {
        let mut recent = Recent::default();
        (newest - 5..=newest).for_each(|number| recent.note(&chain_head(number, fork, 95, 0)));
        recent
    }

    #[test]
    fn the_minority_is_named_and_of_two_nobody_is_guilty() {
        // (newest block, fork) of each, then who is outvoted and whether it is undecided.
        for (name, chains, outvoted, undecided) in [
            ("all agree", vec![(100, 0), (101, 0), (99, 0)], vec![], None),
            ("one against two", vec![(100, 1), (101, 0), (100, 0)], vec![0], None),
            ("one against one", vec![(100, 0), (100, 1)], vec![], Some((0, 1))),
            ("two against two", vec![(100, 0), (100, 1), (100, 0), (100, 1)], vec![], Some((0, 1))),
            ("three ways", vec![(100, 0), (100, 1), (100, 2)], vec![], Some((0, 1))),
            ("two and two strays", vec![(100, 0), (100, 0), (100, 1), (100, 2)], vec![], Some((0, 2))),
            ("two of three, one far away", vec![(100, 0), (900, 1), (100, 0)], vec![], None),
            ("one of two, one far away", vec![(100, 0), (900, 1)], vec![], None),
            ("three against two", vec![(100, 1), (100, 0), (100, 0), (100, 1), (99, 0)], vec![0, 3], None),
        ] {
            let chains: Vec<Recent> = chains.into_iter().map(|(newest, fork)| chain(newest, fork)).collect();
            let places: Vec<(usize, &Recent)> = chains.iter().enumerate().collect();
            let found = find_forks(&places);
            assert_eq!(
                found.outvoted.iter().map(|(place, _)| *place).collect::<Vec<_>>(),
                outvoted,
                "{name}"
            );
            assert_eq!(found.undecided.map(|(one, other, _)| (one, other)), undecided, "{name}");
            assert_eq!(found.majority.is_empty(), outvoted.is_empty(), "{name}");
        }
    }
}
