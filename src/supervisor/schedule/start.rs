//! Starts the schedule, and takes what people ask of it.

use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot, watch};

use super::{
    plan::RunRefused,
    rules::RULES,
    run::run,
    shared::{Asked, ScheduleParts, Shared},
    view::TaskView,
};
use crate::{events::TaskKind, supervisor::signals::run_signals, tasks::TaskGroup, types::UnixMillis};

/// What people asked and was not heard yet. Arbitrary: there are not so many tasks.
const WAITING: usize = 16;

/// Shows the schedule, and has a task done. Clones speak to the same schedule.
#[derive(Clone, Debug)]
pub struct ScheduleHandle {
    asked: mpsc::Sender<Asked>,
    views: watch::Receiver<Vec<TaskView>>,
}

impl ScheduleHandle {
    /// How every task is. Empty in the first moments.
    pub fn view(&self) -> Vec<TaskView> {
        self.views.borrow().clone()
    }

    /// Has a task done now; the time by which its run is known: `planned_at` in its history. Where something keeps it, it waits and says so.
    ///
    /// # Errors
    /// When there is no such task, or it runs or waits already.
    pub async fn run(&self, task: TaskKind, by: &str) -> Result<UnixMillis, RunRefused> {
        if let Some(view) =
            self.views.borrow().iter().find(|view| view.task == task && view.schedule.is_empty())
        {
            return Err(RunRefused::Busy(format!("{task} is not this schedule's to run. {}", view.why)));
        }
        let away = || RunRefused::Away("the schedule is stopping, or begins anew: ask again".to_owned());
        let (answer, answered) = oneshot::channel();
        self.asked.send(Asked { task, by: by.to_owned(), answer }).await.map_err(|_| away())?;
        Ok(answered.await.map_err(|_| away())??.planned_at)
    }
}

/// Starts keeping the schedule.
pub fn start(parts: ScheduleParts, group: &TaskGroup) -> ScheduleHandle {
    let (ask, asked) = mpsc::channel(WAITING);
    let (views, seen) = watch::channel(Vec::new());
    let (troubles, wrong) = watch::channel(None);
    let book = parts.signals.clone();
    let shared = Arc::new(Shared { parts, views, troubles });
    let asked = Arc::new(Mutex::new(asked));
    group.restarting("maintenance", move |stop| run(Arc::clone(&shared), Arc::clone(&asked), stop));
    group
        .restarting("maintenance_signals", move |stop| run_signals(book.clone(), RULES, wrong.clone(), stop));
    ScheduleHandle { asked: ask, views: seen }
}

#[cfg(test)]
mod tests;
