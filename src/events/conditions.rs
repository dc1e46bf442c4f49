//! What is known of the service's own condition: set by whoever finds out, shown by whoever is asked.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::RwLock;

use super::set_degraded;

/// What a finding means for the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// All is well, or nothing is known.
    None,
    /// Something does not work as it should; proposers are served all the same.
    Degraded,
    /// No proposer can be served.
    NotReady,
}

/// One thing that `/readyz` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// What it means for readiness.
    pub effect: Effect,
    /// What was found, for people.
    pub message: String,
}

/// The newest word on each thing, by name. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Conditions(Arc<RwLock<BTreeMap<&'static str, Condition>>>);

impl Conditions {
    /// Replaces what was known of a thing.
    pub fn set(&self, name: &'static str, effect: Effect, message: impl Into<String>) {
        set_degraded(name, effect != Effect::None);
        self.0.write().insert(name, Condition { effect, message: message.into() });
    }

    /// All that is known, by name.
    pub fn all(&self) -> Vec<(&'static str, Condition)> {
        self.0.read().iter().map(|(name, condition)| (*name, condition.clone())).collect()
    }
}
