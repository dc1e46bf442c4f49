//! The planned times of a task that were served.

use std::collections::BTreeSet;

use crate::types::UnixMillis;

/// How many are kept: those of three days of a task that runs every five minutes. The newest by the calendar stay, as it is those that a clock which
/// was ahead may come to a second time.
const KEPT: usize = 1000;

/// Planned times that were served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Served(BTreeSet<UnixMillis>);

impl Served {
    /// One more.
    pub(super) fn add(&mut self, planned_at: UnixMillis) {
        self.0.insert(planned_at);
        while self.0.len() > KEPT {
            self.0.pop_first();
        }
    }

    /// Whether a time was served.
    pub(super) fn has(&self, planned_at: UnixMillis) -> bool {
        self.0.contains(&planned_at)
    }
}
