//! Decides who is turned away when there is too much: by class, the lower one first.
//!
//! Of the calls that may be under way at once, reads leave a tenth to sends, and logs and traces take a quarter, and none of the second half: a
//! storm of logs never keeps a read out, and neither keeps a transaction out. Under CPU pressure logs and traces are turned away altogether,
//! and where that is not enough, most reads. Sends are turned away only when all places are taken.

use std::sync::Arc;

use parking_lot::Mutex;

use super::class::Class;
use crate::types::labelled;

labelled! {
    /// How short CPU is.
    pub enum Pressure {
        /// There is enough.
        None = "none",
        /// Logs and traces are turned away.
        High = "high",
        /// Most reads, too.
        Extreme = "extreme",
    }
}

/// Calls under way, by class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct UnderWay {
    sends: usize,
    reads: usize,
    heavy: usize,
}

impl UnderWay {
    const fn total(self) -> usize {
        self.sends + self.reads + self.heavy
    }

    fn of(&mut self, class: Class) -> &mut usize {
        match class {
            Class::Send => &mut self.sends,
            Class::Read => &mut self.reads,
            Class::Heavy => &mut self.heavy,
        }
    }

    /// Whether one more call of a class fits into `max`.
    fn has_room(self, class: Class, max: usize, pressure: Pressure) -> bool {
        let lower = self.reads + self.heavy;
        match (class, pressure) {
            (Class::Send, _) => self.total() < max,
            (Class::Read, Pressure::Extreme) => lower < (max / 8).max(1) && self.total() < max,
            (Class::Read, Pressure::None | Pressure::High) => lower < max - max / 10 && self.total() < max,
            (Class::Heavy, Pressure::High | Pressure::Extreme) => false,
            (Class::Heavy, Pressure::None) => {
                self.heavy < (max / 4).max(1) && self.total() < (max / 2).max(1)
            }
        }
    }
}

/// The places for calls under way. Clones are of the same.
#[derive(Clone, Debug)]
pub(super) struct Places {
    taken: Arc<Mutex<UnderWay>>,
    max: usize,
}

/// A place that is taken; given back when it is dropped.
#[derive(Debug)]
pub(super) struct PlaceTaken {
    places: Places,
    class: Class,
}

impl Places {
    pub(super) fn new(max: usize) -> Self {
        Self { taken: Arc::default(), max: max.max(1) }
    }

    /// A place for a call; none: it is to be turned away.
    pub(super) fn take(&self, class: Class, pressure: Pressure) -> Option<PlaceTaken> {
        let mut taken = self.taken.lock();
        if !taken.has_room(class, self.max, pressure) {
            return None;
        }
        *taken.of(class) += 1;
        Some(PlaceTaken { places: self.clone(), class })
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> usize {
        self.taken.lock().total()
    }
}

impl Drop for PlaceTaken {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
        let count = taken.of(self.class);
        *count = count.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_lower_class_is_shed_first() {
        use Class::{Heavy, Read, Send};
        use Pressure::{Extreme, High, None};
        let table = [
            // sends, reads, heavy, class, pressure, is taken (of 40)
            (0, 0, 0, Heavy, None, true),
            (0, 0, 9, Heavy, None, true),
            (0, 0, 10, Heavy, None, false),
            (0, 19, 0, Heavy, None, true),
            (0, 20, 0, Heavy, None, false),
            (0, 0, 0, Heavy, High, false),
            (0, 35, 0, Read, None, true),
            (0, 36, 0, Read, None, false),
            (0, 35, 0, Read, High, true),
            (0, 4, 0, Read, Extreme, true),
            (0, 5, 0, Read, Extreme, false),
            (30, 4, 0, Read, Extreme, true),
            (40, 0, 0, Read, None, false),
            (3, 36, 0, Send, Extreme, true),
            (4, 36, 0, Send, None, false),
        ];
        for (sends, reads, heavy, class, pressure, want) in table {
            let now = UnderWay { sends, reads, heavy };
            assert_eq!(now.has_room(class, 40, pressure), want, "{now:?} {class:?} {pressure:?}");
        }
    }

    #[test]
    fn a_place_is_given_back() {
        let places = Places::new(1);
        let taken = places.take(Class::Read, Pressure::None).unwrap();
        assert!(places.take(Class::Send, Pressure::None).is_none());
        drop(taken);
        assert!(places.take(Class::Send, Pressure::None).is_some());
        assert_eq!(places.taken(), 0);
    }

    proptest! {
        /// Whoever has room has it in every class above, and with less pressure.
        #[test]
        fn a_higher_class_never_waits_for_a_lower_one(sends in 0_usize..50, reads in 0_usize..50, heavy in 0_usize..50, max in 1_usize..100) {
            let now = UnderWay { sends, reads, heavy };
            for pressure in Pressure::ALL {
                let has = |class| now.has_room(class, max, pressure);
                prop_assert!(!has(Class::Heavy) || has(Class::Read));
                prop_assert!(!has(Class::Read) || has(Class::Send));
                for class in Class::ALL {
                    prop_assert!(!has(class) || now.has_room(class, max, Pressure::None));
                }
            }
        }
    }
}
