//! When the consensus client last asked for anything, and what was last refused to it.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use arc_swap::ArcSwapOption;

use crate::types::UnixMillis;

/// A request on a route of the builder API that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// When it was answered, Unix milliseconds.
    pub at: UnixMillis,
    /// The endpoint, as metrics name it.
    pub endpoint: &'static str,
    /// The HTTP status of the answer, 400 to 499.
    pub status: u16,
    /// What the answer says is wrong.
    pub message: String,
}

/// What was heard of the client. A request that is taken costs one atomic store.
#[derive(Debug, Default)]
pub struct ClientActivity {
    last: AtomicI64,
    refusals: AtomicU64,
    last_refusal: ArcSwapOption<Refusal>,
}

impl ClientActivity {
    /// A request came, on a route that consensus clients ask.
    pub fn note(&self, now: UnixMillis) {
        self.last.store(now, Ordering::Relaxed);
    }

    /// One was refused.
    pub fn note_refusal(&self, refusal: Refusal) {
        self.refusals.fetch_add(1, Ordering::Relaxed);
        self.last_refusal.store(Some(Arc::new(refusal)));
    }

    /// When the last one came; none since this process began.
    pub fn last(&self) -> Option<UnixMillis> {
        Some(self.last.load(Ordering::Relaxed)).filter(|at| *at != 0)
    }

    /// How many were refused since this process began, and the last of them; none if none was.
    pub fn refused(&self) -> Option<(u64, Arc<Refusal>)> {
        Some((self.refusals.load(Ordering::Relaxed), self.last_refusal.load_full()?))
    }
}
