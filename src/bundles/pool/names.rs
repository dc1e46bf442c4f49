//! The last number that was given under each name. Builders that order what has one name by number take nothing below what they have seen: neither
//! after a cancellation, nor after a bundle that nobody took.

use std::collections::HashMap;

use alloy_primitives::Address;

/// Names that are remembered. Those that were used last are kept; a name is some block's, and nobody comes back to it after so many others.
const MAX_NAMES: usize = 100_000;

/// What was given last, by searcher and name.
#[derive(Debug, Default)]
pub(super) struct LastOfNames {
    given: HashMap<(Address, String), Given>,
    /// Counts every use, to tell which is the oldest.
    uses: u64,
}

#[derive(Clone, Copy, Debug)]
struct Given {
    sequence: u64,
    used: u64,
}

impl LastOfNames {
    /// The next number under a name: for a bundle, or for a cancellation.
    pub(super) fn next(&mut self, searcher: Address, name: &str) -> u64 {
        let last = self.given.get(&(searcher, name.to_owned()));
        let sequence = last.map_or(0, |last| last.sequence.saturating_add(1));
        self.note(searcher, name, sequence);
        sequence
    }

    /// Remembers a number that was given, unless a higher one was.
    pub(super) fn note(&mut self, searcher: Address, name: &str, sequence: u64) {
        self.uses = self.uses.saturating_add(1);
        let used = self.uses;
        let given = self.given.entry((searcher, name.to_owned())).or_insert(Given { sequence, used });
        *given = Given { sequence: given.sequence.max(sequence), used };
        if self.given.len() > MAX_NAMES {
            // The older half at once: seldom, and then for a long time not again.
            let since = self.uses.saturating_sub(MAX_NAMES as u64 / 2);
            self.given.retain(|_, given| given.used > since);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_a_name_only_rise() {
        let (one, two) = (Address::repeat_byte(1), Address::repeat_byte(2));
        let mut names = LastOfNames::default();
        assert_eq!([names.next(one, "a"), names.next(one, "a"), names.next(one, "b")], [0, 1, 0]);
        assert_eq!(names.next(two, "a"), 0, "each searcher's own");
        names.note(one, "a", 7);
        names.note(one, "a", 3);
        assert_eq!(names.next(one, "a"), 8);
    }

    #[test]
    fn names_that_nobody_uses_any_more_are_forgotten() {
        let (searcher, mut names) = (Address::ZERO, LastOfNames::default());
        names.next(searcher, "old");
        for n in 0..MAX_NAMES {
            names.next(searcher, &n.to_string());
        }
        assert!(names.given.len() <= MAX_NAMES / 2 + 1);
        assert_eq!(names.next(searcher, &(MAX_NAMES - 1).to_string()), 1);
        assert_eq!(names.next(searcher, "old"), 0);
    }
}
