//! Long-lived tasks: none of them ends, by a panic or by itself, unnoticed or without consequence.
//!
//! What the consequence is depends on what is lost while the task is away, and whoever starts it chooses: a task that can begin anew is
//! started again; one without which a proposer is served all the same stays away, and the service is degraded; one that the rest relies on
//! ends the process in good order, so that whoever started it starts it again. Not in its first minute, though: a task that fails
//! at every start would otherwise keep the builder API away for good.
//!
//! Rooms start themselves in a [`TaskGroup`], which stops as one. This room knows none of them, and neither logs nor publishes: whoever makes
//! [`Tasks`] is told of each failure and says what it means.

mod group;
mod injected;
mod news;

pub use group::{Fatal, TaskGroup, Tasks, describe_metrics};
pub use news::{Consequence, TaskFailure, TaskNews};
