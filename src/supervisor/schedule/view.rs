//! How each task is, for the API and for people.

use serde::Serialize;

use super::{
    plan::{Phase, Task},
    record::Record,
};
use crate::{
    events::{TaskCause, TaskKind},
    ledger::TaskRunRow,
    types::{UnixMillis, labelled},
};

labelled! {
    /// How far a task is.
    pub enum TaskState {
        /// It runs by hand alone.
        Off = "off",
        /// It runs at its next time.
        Idle = "idle",
        /// It is to run, and something keeps it.
        Waiting = "waiting",
        /// It runs.
        Running = "running",
        /// Another part of relaymux has it done, at a time of its own.
        Elsewhere = "elsewhere",
    }
}

/// A run that has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunningView {
    /// Why it runs.
    pub cause: TaskCause,
    /// The time that it was planned for, in Unix milliseconds.
    pub planned_at: UnixMillis,
    /// When it began.
    pub started_at: UnixMillis,
    /// How far it is, where it says so.
    pub progress: Option<String>,
}

/// A task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TaskView {
    /// Its name.
    pub task: TaskKind,
    /// How far it is.
    pub state: TaskState,
    /// Why, as a sentence for people; empty where there is nothing to say.
    pub why: String,
    /// Its cron expression; empty where another part has it done.
    pub schedule: String,
    /// By whose clock.
    pub time_zone: String,
    /// The next planned time, in Unix milliseconds.
    pub next_planned_at: Option<UnixMillis>,
    /// When it begins then: jitter comes on top.
    pub next_at: Option<UnixMillis>,
    /// After how many seconds it is ended.
    pub timeout_secs: u64,
    /// The run that is under way.
    pub running: Option<RunningView>,
    /// The last run that has ended, or was left out.
    pub last: Option<TaskRunRow>,
    /// When it last went well, in Unix milliseconds.
    pub last_success_at: Option<UnixMillis>,
}

/// A task that this schedule has.
pub(super) fn view_of(
    task: &Task,
    record: &Record,
    progress: Option<String>,
    machine: &str,
    now: UnixMillis,
) -> TaskView {
    let next = task.next(machine, now);
    let (state, why, running) = match &task.phase {
        Phase::Idle if task.is_on => (TaskState::Idle, String::new(), None),
        Phase::Idle => (TaskState::Off, "It is off, and runs when somebody asks.".to_owned(), None),
        Phase::Waiting { why, .. } => (TaskState::Waiting, why.clone().unwrap_or_default(), None),
        Phase::Running { run, began_at } => {
            let (cause, planned_at, started_at) = (run.cause, run.planned_at, *began_at);
            let running = RunningView { cause, planned_at, started_at, progress };
            (TaskState::Running, String::new(), Some(running))
        }
    };
    TaskView {
        task: task.kind,
        state,
        why,
        schedule: task.settings.schedule.text().to_owned(),
        time_zone: task.settings.schedule.zone_name().to_owned(),
        next_planned_at: next.map(|(planned_at, _)| planned_at),
        next_at: next.map(|(_, at)| at),
        timeout_secs: task.settings.timeout.as_secs(),
        running,
        last: record.last.clone(),
        last_success_at: record.last_success_at,
    }
}

/// A task that another part has done.
pub(super) fn view_elsewhere(task: TaskKind, why: &str) -> TaskView {
    TaskView {
        task,
        state: TaskState::Elsewhere,
        why: why.to_owned(),
        schedule: String::new(),
        time_zone: String::new(),
        next_planned_at: None,
        next_at: None,
        timeout_secs: 0,
        running: None,
        last: None,
        last_success_at: None,
    }
}
