//! How many blocks of logs an upstream looks through at once, as far as that is known.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Of one upstream. What it said itself counts until a restart; what is configured, always.
#[derive(Debug)]
pub struct LogsLimit {
    /// [`u64::MAX`]: none is known.
    blocks: AtomicU64,
}

impl LogsLimit {
    /// By the configuration, which may say nothing.
    pub const fn new(max_logs_range: Option<u64>) -> Self {
        Self {
            blocks: AtomicU64::new(match max_logs_range {
                Some(blocks) => blocks,
                None => u64::MAX,
            }),
        }
    }

    /// Most blocks; `None`: no limit is known.
    pub fn blocks(&self) -> Option<u64> {
        Some(self.blocks.load(Relaxed)).filter(|&blocks| blocks != u64::MAX)
    }

    /// It said how many it takes. The smaller number counts.
    pub(super) fn learn(&self, blocks: u64) {
        self.blocks.fetch_min(blocks.max(1), Relaxed);
    }
}
