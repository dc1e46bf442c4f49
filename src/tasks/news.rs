//! What is told of tasks.

/// Something happened to a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskNews {
    /// It ended, and should not have.
    Failed(TaskFailure),
    /// It runs again after a failure.
    BeganAnew {
        /// The task's name, as in docs/architecture.md and in metrics.
        task: &'static str,
    },
}

/// A task that ended by a panic, or by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskFailure {
    /// The task's name, as in docs/architecture.md and in metrics.
    pub task: &'static str,
    /// What the process does without the task: begins it anew, goes on, or ends.
    pub consequence: Consequence,
    /// What happened and what follows, for people.
    pub message: String,
}

/// What follows from a task's failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consequence {
    /// It begins anew after a pause.
    BeginsAnew,
    /// The service goes on without it until it is restarted.
    StaysAway,
    /// It would have been done at some time anyway: nothing but what it had left to do is lost.
    LeftUndone,
    /// The process ends, to be started again.
    EndsProcess,
}
