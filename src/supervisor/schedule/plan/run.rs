//! Runs that are to be, and what follows from a step.

use crate::{
    events::{TaskCause, TaskKind, TaskOutcome},
    types::UnixMillis,
};

/// A run of a task that is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) task: TaskKind,
    pub(crate) cause: TaskCause,
    /// The time that it was planned for; by hand: when it was asked for.
    pub(crate) planned_at: UnixMillis,
    /// How many earlier planned times it stands for.
    pub(crate) stands_for: u32,
}

/// What follows from a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It is to begin now.
    Begin(Run),
    /// It will not be: it overlaps the one before, or it is too late.
    LeaveOut { run: Run, outcome: TaskOutcome, message: String },
    /// It waits, for a new reason.
    Waits { task: TaskKind, message: String },
}

/// Why a run that was asked for is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunRefused {
    /// There is no such task.
    #[error("{0}")]
    Unknown(String),
    /// It runs, or waits to.
    #[error("{0}")]
    Busy(String),
    /// Nobody is there to do it.
    #[error("{0}")]
    Away(String),
}
