//! Hashes that were told lately: a bounded set that forgets the oldest first.

use std::collections::{HashSet, VecDeque};

use alloy_primitives::B256;

/// Hashes that were told lately.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    known: HashSet<B256>,
    order: VecDeque<B256>,
    max: usize,
}

impl Seen {
    /// Remembers so many. Takes no memory until there are any.
    pub(super) fn new(max: usize) -> Self {
        Self { known: HashSet::new(), order: VecDeque::new(), max }
    }

    /// Remembers a hash; whether it is new.
    pub(super) fn is_new(&mut self, hash: B256) -> bool {
        if !self.known.insert(hash) {
            return false;
        }
        self.order.push_back(hash);
        if self.order.len() > self.max
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }

    /// Forgets everything, and gives the memory back.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_new_once_until_it_is_forgotten() {
        let mut seen = Seen::new(2);
        let told: Vec<bool> = [1, 1, 2, 1, 3, 2, 1].map(|byte| seen.is_new(B256::repeat_byte(byte))).to_vec();
        assert_eq!(told, [true, false, true, false, true, false, true]);
        assert_eq!((seen.known.len(), seen.order.len()), (2, 2));
    }
}
