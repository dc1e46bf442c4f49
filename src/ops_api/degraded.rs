//! What does not work as it should while the service goes on.
//!
//! Kept beside the checks of `/readyz` on purpose: a proposer without a ledger is served as well as one with it, and an orchestrator that takes
//! the process out of service, or restarts it, for its ledger would turn a lost record into lost slots.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::RwLock;

use crate::events::set_degraded;

/// The parts that are degraded, by name, each with what happened and what to do. Clones share one list.
#[derive(Clone, Debug, Default)]
pub struct Degraded(Arc<RwLock<BTreeMap<&'static str, String>>>);

impl Degraded {
    /// A part does not work as it should.
    pub fn set(&self, part: &'static str, message: impl Into<String>) {
        set_degraded(part, true);
        self.0.write().insert(part, message.into());
    }

    /// A part works again.
    pub fn clear(&self, part: &'static str) {
        set_degraded(part, false);
        self.0.write().remove(part);
    }

    /// All of them.
    pub fn list(&self) -> BTreeMap<&'static str, String> {
        self.0.read().clone()
    }
}
