//! How much memory may be held at once, whoever holds it: taken before it is used, given back when its holder is dropped.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Bytes that may be held.
#[derive(Debug)]
pub(super) struct ByteBudget {
    limit: usize,
    used: AtomicUsize,
}

/// Bytes that are held.
#[derive(Debug)]
pub(super) struct HeldBytes {
    budget: Arc<ByteBudget>,
    bytes: usize,
}

impl ByteBudget {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicUsize::new(0) })
    }

    /// Takes bytes; none where they would be more than the limit.
    pub(super) fn take(self: &Arc<Self>, bytes: usize) -> Option<HeldBytes> {
        let fits = |used: usize| used.checked_add(bytes).filter(|total| *total <= self.limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).ok()?;
        Some(HeldBytes { budget: Arc::clone(self), bytes })
    }

    /// Takes bytes of what was held before a restart, or before a reorganisation: nobody can be refused any more.
    pub(super) fn take_back(self: &Arc<Self>, bytes: usize) -> HeldBytes {
        self.used.fetch_add(bytes, Ordering::Relaxed);
        HeldBytes { budget: Arc::clone(self), bytes }
    }

    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_counts_until_it_is_dropped() {
        let budget = ByteBudget::new(10);
        let first = budget.take(6).unwrap();
        assert!(budget.take(5).is_none() && budget.take(usize::MAX).is_none());
        let second = budget.take(4).unwrap();
        assert_eq!((budget.used(), budget.limit()), (10, 10));
        drop(first);
        assert!(budget.take(6).is_some());
        let over = budget.take_back(100);
        assert!(budget.take(1).is_none());
        drop((second, over));
        assert_eq!(budget.used(), 0);
    }
}
