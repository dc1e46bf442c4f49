//! What `relaymux nodes up`, `down` and `resize` would do, before any of it is done.
//!
//! In: the configuration, what runtimes showed of each node, and whether the nodes fit. Out: steps in their order, each with its reason, and
//! where what runs differs from what is configured. Pure: whoever carries it out does so step by step and looks again, as a plan is
//! of one moment.
//!
//! It promises: a node that was not made here is never removed, and stopped only where a person names it; a node whose runtime does not
//! answer is left alone; data is in no step.

mod drift;
mod look;
mod step;
#[cfg(test)]
mod tests;
mod verbs;

pub use drift::{Drift, DriftOf, drifts};
pub use look::{Look, counted};
pub use step::{Plan, Step, StepKind};
pub use verbs::{down, resize, up};
