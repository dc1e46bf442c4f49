//! When the consensus client last asked for anything, by what it asked for.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::types::UnixMillis;

/// The last request of the client. Written on every request: one atomic store.
#[derive(Debug, Default)]
pub struct ClientActivity(AtomicI64);

impl ClientActivity {
    /// A request came.
    pub fn note(&self, now: UnixMillis) {
        self.0.store(now, Ordering::Relaxed);
    }

    /// When the last one came; none since this process began.
    pub fn last(&self) -> Option<UnixMillis> {
        Some(self.0.load(Ordering::Relaxed)).filter(|at| *at != 0)
    }
}
