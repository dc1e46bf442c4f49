//! Who does what a task is for: `app` names a runner for each task that this configuration can do. A task without one does not exist.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use super::near::held_until;
use crate::{
    consensus::WallClock,
    events::{TaskCause, TaskKind},
    types::UnixMillis,
};

/// Between two looks whether a proposal is still near.
const LOOK: Duration = Duration::from_secs(1);

/// When the next proposal of our own begins, by what is known at a moment; none where none is known. One whose slot has begun and is not over is the next.
pub type NextProposal = Arc<dyn Fn(UnixMillis) -> Option<UnixMillis> + Send + Sync>;

/// Does a task. It may be dropped at any of its waits: at a stop, and when it takes too long.
pub type TaskRunner =
    Arc<dyn Fn(TaskContext) -> BoxFuture<'static, Result<TaskReport, TaskFailed>> + Send + Sync>;

/// What a runner is told.
#[derive(Clone)]
pub struct TaskContext {
    /// The task.
    pub task: TaskKind,
    /// The time that it was planned for, in Unix milliseconds.
    pub planned_at: UnixMillis,
    /// Why it runs.
    pub cause: TaskCause,
    /// Cancelled when it is to end: the service stops.
    pub stop: CancellationToken,
    pub(super) said: watch::Sender<Option<String>>,
    pub(super) next_proposal: NextProposal,
    pub(super) keep_clear: Duration,
    pub(super) clock: WallClock,
}

impl TaskContext {
    /// Says how far it is, in a few words for people.
    pub fn progress(&self, words: impl Into<String>) {
        self.said.send_replace(Some(words.into()));
    }

    /// Waits while a proposal of our own is near: for tasks that take long, between their steps.
    pub async fn until_clear(&self) {
        loop {
            let now = self.clock.now();
            if held_until([(self.next_proposal)(now)], now, self.keep_clear).is_none() {
                return;
            }
            sleep(LOOK).await;
        }
    }
}

impl fmt::Debug for TaskContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskContext").field("task", &self.task).finish_non_exhaustive()
    }
}

/// What a task came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskReport {
    /// What was done and found, as sentences for people.
    pub message: String,
    /// Whether all is well. What is wrong has an alert of its own; a task that has none for it fails.
    pub is_well: bool,
}

impl TaskReport {
    /// It is done, and all is well.
    pub fn done(message: impl Into<String>) -> Self {
        Self { message: message.into(), is_well: true }
    }

    /// It is done, and found something that has an alert of its own.
    pub fn found(message: impl Into<String>) -> Self {
        Self { message: message.into(), is_well: false }
    }
}

/// Why a task could not be done, or what it found wrong that nobody else tells: as sentences for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TaskFailed(pub String);

/// Who does what.
#[derive(Clone, Default)]
pub struct TaskRunners(BTreeMap<TaskKind, TaskRunner>);

impl TaskRunners {
    /// Says who does a task.
    pub fn add<F>(&mut self, task: TaskKind, runner: impl Fn(TaskContext) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<TaskReport, TaskFailed>> + Send + 'static,
    {
        self.0.insert(task, Arc::new(move |context| Box::pin(runner(context))));
    }

    /// The tasks that can be done.
    pub fn kinds(&self) -> impl Iterator<Item = TaskKind> {
        self.0.keys().copied()
    }

    /// Who does a task.
    pub(super) fn of(&self, task: TaskKind) -> Option<&TaskRunner> {
        self.0.get(&task)
    }
}

impl fmt::Debug for TaskRunners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
