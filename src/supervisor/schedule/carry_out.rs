//! Carries out one run: written down before, ended when it takes too long, written down after, and told.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{plan::Run, runner::TaskContext, shared::Shared};
use crate::{
    events::{Event, TaskCause, TaskOutcome, TaskRun},
    ledger::TaskRunRow,
    types::{SecretUrl, UnixMillis},
};

/// Longest wait for the ledger: a run is not held up by its disk for longer.
const LEDGER_WITHIN: Duration = Duration::from_secs(10);
/// Longest message of a run that is kept, in characters.
const MAX_MESSAGE: usize = 4000;

/// A run that has ended, or was left out.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) run: Run,
    pub(super) row: TaskRunRow,
}

/// Does a run.
pub(super) async fn carry_out(
    shared: Arc<Shared>,
    run: Run,
    said: watch::Sender<Option<String>>,
    stop: CancellationToken,
) -> Ended {
    let parts = &shared.parts;
    let started_at = parts.clock.now();
    let mut row = TaskRunRow {
        number: 0,
        cause: run.cause.into(),
        planned_at: run.planned_at,
        started_at: Some(started_at),
        ended_at: None,
        outcome: TaskOutcome::Running.into(),
        message: beginning(&run),
    };
    let number = write_down(&shared, &run, &row).await;
    tell(&shared, &run, &row, TaskOutcome::Running, started_at);
    let settings = parts.settings.tasks.get(&run.task);
    let limit = settings.map_or(Duration::MAX, |settings| settings.timeout);
    let (outcome, message) = match parts.runners.of(run.task) {
        None => (TaskOutcome::Failed, "Nobody is there to do it.".to_owned()),
        Some(runner) => {
            let context = TaskContext {
                task: run.task,
                planned_at: run.planned_at,
                cause: run.cause,
                stop,
                said,
                next_proposal: Arc::clone(&parts.next_proposal),
                keep_clear: parts.settings.keep_clear,
                clock: parts.clock.clone(),
            };
            let running = AssertUnwindSafe(async { runner(context).await }).catch_unwind();
            match timeout(limit, running).await {
                Ok(Ok(Ok(report))) if report.is_well => (TaskOutcome::Done, report.message),
                Ok(Ok(Ok(report))) => (TaskOutcome::Found, report.message),
                Ok(Ok(Err(failed))) => (TaskOutcome::Failed, failed.0),
                Ok(Err(_)) => {
                    (TaskOutcome::Failed, "It panicked: a defect, please report it with the log.".to_owned())
                }
                Err(_) => (
                    TaskOutcome::TimedOut,
                    format!("It was not done after {} s, its timeout, and was ended.", limit.as_secs()),
                ),
            }
        }
    };
    let ended_at = parts.clock.now();
    row.message = [standing_for(&run), message].concat().chars().take(MAX_MESSAGE).collect();
    (row.ended_at, row.outcome) = (Some(ended_at), outcome.into());
    if let Some(number) = number {
        row.number = number;
        let written = parts.ledger.end_task_run(run.task, number, outcome, &row.message, ended_at);
        match timeout(LEDGER_WITHIN, written).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                warn!(%error, task = run.task.label(), "the end of a task is not in the ledger")
            }
            Err(_) => {
                warn!(task = run.task.label(), "the end of a task is not in the ledger: it is too slow")
            }
        }
    }
    tell(&shared, &run, &row, outcome, ended_at);
    Ended { run, row }
}

/// Writes down and tells of a run that will not be.
pub(super) async fn leave_out(shared: Arc<Shared>, run: Run, outcome: TaskOutcome, message: String) -> Ended {
    let now = shared.parts.clock.now();
    let mut row = TaskRunRow {
        number: 0,
        cause: run.cause.into(),
        planned_at: run.planned_at,
        started_at: None,
        ended_at: Some(now),
        outcome: outcome.into(),
        message: [standing_for(&run), message].concat(),
    };
    row.number = write_down(&shared, &run, &row).await.unwrap_or_default();
    tell(&shared, &run, &row, outcome, now);
    Ended { run, row }
}

/// Tells somebody outside how a run went. That it does not arrive is logged and no more: the next one says the same.
pub(super) async fn ping(shared: Arc<Shared>, url: SecretUrl, ended: TaskRunRow) {
    let is_well = ended.outcome == TaskOutcome::Done;
    if let Err(error) = (shared.parts.ping)(url, is_well, shared.parts.clock.now()).await {
        warn!(
            error,
            "nobody outside could be told that a task ran: whoever waits for it may raise the alarm"
        );
    }
}

async fn write_down(shared: &Shared, run: &Run, row: &TaskRunRow) -> Option<i64> {
    match timeout(LEDGER_WITHIN, shared.parts.ledger.add_task_run(run.task, row)).await {
        Ok(Ok(number)) => return Some(number),
        Ok(Err(error)) => warn!(%error, task = run.task.label(), "a run of a task is not in the ledger"),
        Err(_) => warn!(task = run.task.label(), "a run of a task is not in the ledger: it is too slow"),
    }
    None
}

fn beginning(run: &Run) -> String {
    [standing_for(run), "It runs.".to_owned()].concat()
}

fn standing_for(run: &Run) -> String {
    match (run.cause, run.stands_for) {
        (TaskCause::ByHand, _) | (TaskCause::Schedule, 0) => String::new(),
        (TaskCause::CatchUp, 0) => "It makes up for its time, which was missed. ".to_owned(),
        (TaskCause::Schedule | TaskCause::CatchUp, before) => {
            format!("It makes up for {before} earlier times, which were missed, too. ")
        }
    }
}

fn tell(shared: &Shared, run: &Run, row: &TaskRunRow, outcome: TaskOutcome, at: UnixMillis) {
    let (task, cause, message) = (run.task.label(), run.cause.label(), &row.message);
    match outcome {
        TaskOutcome::Running => debug!(task, cause, "task begun"),
        TaskOutcome::Done if run.cause == TaskCause::Schedule => debug!(task, cause, "task done: {message}"),
        TaskOutcome::Done => info!(task, cause, "task done: {message}"),
        TaskOutcome::Found
        | TaskOutcome::Failed
        | TaskOutcome::TimedOut
        | TaskOutcome::Interrupted
        | TaskOutcome::Overlapped
        | TaskOutcome::Missed => warn!(task, cause, outcome = outcome.label(), "task not well: {message}"),
    }
    shared.parts.spine.publish(Event::TaskRun(TaskRun {
        task: run.task,
        cause: run.cause,
        planned_at: run.planned_at,
        started_at: row.started_at,
        ended_at: row.ended_at,
        outcome,
        message: row.message.clone(),
        at,
    }));
}
