//! How often a question about one thing was asked in vain. A node may be slow with one block for ever: whoever waits for that answer stops.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// Questions that get no answer before it is done without one. Arbitrary: enough to outlast a node that is busy for a moment.
const TRIES: u32 = 3;
/// Things remembered at once; the lowest go first.
const REMEMBERED: usize = 1024;

/// Counts questions that got no answer, by what they were about.
#[derive(Debug)]
pub struct Tries<K>(Mutex<BTreeMap<K, u32>>);

impl<K> Default for Tries<K> {
    fn default() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }
}

impl<K: Ord> Tries<K> {
    /// Counts one that got no answer. Whether that was the last: it is done without from now on.
    pub fn failed(&self, about: K) -> bool {
        let mut tries = self.0.lock();
        let count = tries.entry(about).or_default();
        *count = count.saturating_add(1);
        let is_last = *count >= TRIES;
        while tries.len() > REMEMBERED {
            tries.pop_first();
        }
        is_last
    }

    /// Whether all tries were in vain.
    pub fn are_over(&self, about: &K) -> bool {
        self.0.lock().get(about).is_some_and(|count| *count >= TRIES)
    }

    /// It has its answer, or is not asked any more.
    pub fn forget(&self, about: &K) {
        self.0.lock().remove(about);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_in_vain_is_asked_three_times() {
        let tries = Tries::default();
        assert_eq!([tries.failed(7), tries.failed(7), tries.are_over(&7)], [false, false, false]);
        assert_eq!([tries.failed(7), tries.are_over(&7), tries.failed(7)], [true, true, true]);
        assert!(!tries.are_over(&8), "each by itself");
        tries.forget(&7);
        assert!(!tries.are_over(&7) && !tries.failed(7));
        for about in 100..3000 {
            tries.failed(about);
        }
        assert_eq!(tries.0.lock().len(), REMEMBERED);
    }
}
