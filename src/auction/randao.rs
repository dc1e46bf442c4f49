//! Which bids' `prev_randao` the other relays contradict.
//!
//! The randomness of a slot follows from the parent's state: of two values on one parent at most one is right, and a consensus client
//! refuses a block with the other one when it is too late for a block of its own. Without a beacon node to ask, what other relays say
//! is the only evidence there is. It decides what is returned, and nobody is blamed by it: two relays may be wrong together.

use std::collections::BTreeMap;

use alloy_primitives::B256;

/// Relays that must agree on another value before a lone one is not returned. One against one proves nothing.
const ENOUGH: usize = 2;
/// Values of one relay that are counted. Arbitrary: an honest one has a single value, and what is counted must stay small.
const MAX_VALUES: usize = 4;

/// What the relays of an auction say: of each value, the relays that have bids with it and how many. A relay is one, however many bids
/// it sends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RandaoViews(BTreeMap<B256, BTreeMap<usize, usize>>);

/// What stands against a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Contradiction {
    /// What most of the others say.
    pub(super) others_say: B256,
    /// How many of them do.
    pub(super) relays: usize,
}

impl RandaoViews {
    /// A relay has a bid with this value; says whether that is a new view.
    pub(super) fn add(&mut self, relay: usize, randao: B256) -> bool {
        let is_known = self.0.get(&randao).is_some_and(|relays| relays.contains_key(&relay));
        let values = self.0.values().filter(|relays| relays.contains_key(&relay)).count();
        if !is_known && values >= MAX_VALUES {
            return false;
        }
        *self.0.entry(randao).or_default().entry(relay).or_default() += 1;
        !is_known
    }

    /// A bid of a relay turned out not to be signed by it: it says nothing.
    pub(super) fn remove(&mut self, relay: usize, randao: B256) {
        let Some(relays) = self.0.get_mut(&randao) else { return };
        if let Some(bids) = relays.get_mut(&relay) {
            *bids = bids.saturating_sub(1);
        }
        relays.retain(|_, bids| *bids > 0);
        self.0.retain(|_, relays| !relays.is_empty());
    }

    /// What stands against a value: at most one relay has it, and at least two others agree on another one.
    pub(super) fn against(&self, randao: B256) -> Option<Contradiction> {
        let own = self.0.get(&randao);
        if own.is_some_and(|own| own.len() > 1) {
            return None;
        }
        let is_other = |relay: &&usize| own.is_none_or(|own| !own.contains_key(*relay));
        let others = self.0.iter().filter(|(other, _)| **other != randao);
        let others = others.map(|(other, relays)| (relays.keys().filter(is_other).count(), *other));
        let (relays, others_say) = others.max()?;
        (relays >= ENOUGH).then_some(Contradiction { others_say, relays })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_falls_only_alone_and_against_two_that_agree() {
        // Relay and value of each bid; the value asked about; how many stand against it.
        type Row<'a> = (&'a [(usize, u8)], u8, Option<usize>);
        let rows: [Row<'_>; 9] = [
            (&[(0, 1)], 1, None),
            (&[(0, 1), (1, 2)], 1, None),
            (&[(0, 1), (1, 2), (2, 2)], 1, Some(2)),
            (&[(0, 1), (1, 2), (2, 2)], 2, None),
            (&[(0, 1), (1, 2), (2, 2), (3, 2)], 1, Some(3)),
            // Two who differ from each other as well agree on nothing.
            (&[(0, 1), (1, 2), (2, 3)], 1, None),
            // Two against three: not alone.
            (&[(0, 1), (1, 1), (2, 2), (3, 2), (4, 2)], 1, None),
            // One relay that says it twice is one, and a relay does not contradict itself.
            (&[(0, 1), (1, 2), (1, 2)], 1, None),
            (&[(0, 1), (0, 2), (1, 2)], 1, None),
        ];
        for (said, asked, expected) in rows {
            let mut views = RandaoViews::default();
            for (relay, value) in said {
                views.add(*relay, B256::repeat_byte(*value));
            }
            let against = views.against(B256::repeat_byte(asked));
            assert_eq!(against.map(|against| against.relays), expected, "{said:?} {asked}");
        }
    }

    #[test]
    fn what_was_not_signed_says_nothing() {
        let [lone, agreed] = [1, 2].map(B256::repeat_byte);
        let mut views = RandaoViews::default();
        assert!(views.add(0, lone) && views.add(1, agreed) && views.add(2, agreed) && !views.add(2, agreed));
        views.remove(2, agreed);
        assert!(views.against(lone).is_some(), "another bid of it says so");
        views.remove(2, agreed);
        assert_eq!(views.against(lone), None);
    }

    #[test]
    fn a_relay_with_ever_new_values_is_counted_for_a_few() {
        let mut views = RandaoViews::default();
        for n in 0..100 {
            views.add(0, B256::repeat_byte(n));
        }
        assert_eq!(views.0.len(), MAX_VALUES);
        let agreed = B256::repeat_byte(200);
        assert!(views.add(1, agreed) && views.add(2, agreed));
        assert!(views.against(B256::repeat_byte(99)).is_some(), "one that is not counted is alone as well");
    }
}
