//! What is counted of tasks.

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

use super::record::Record;
use crate::{
    events::{TaskKind, TaskOutcome},
    types::UnixMillis,
};

const RUNS: &str = "relaymux_maintenance_runs_total";
const LAST_RUN: &str = "relaymux_maintenance_last_run_timestamp_seconds";
const LAST_SUCCESS: &str = "relaymux_maintenance_last_success_timestamp_seconds";
const DURATION: &str = "relaymux_maintenance_duration_seconds";

/// Describes them.
pub fn describe_metrics() {
    describe_counter!(RUNS, "Runs of maintenance tasks that ended or were left out, by task and outcome");
    describe_gauge!(LAST_RUN, Unit::Seconds, "When a maintenance task last ended, in Unix seconds");
    describe_gauge!(LAST_SUCCESS, Unit::Seconds, "When a maintenance task last went well, in Unix seconds");
    describe_gauge!(DURATION, Unit::Seconds, "How long the last run of a maintenance task took");
}

/// Begins a task's counters, and shows what is known of it from before.
pub(super) fn begin(task: TaskKind, record: &Record) {
    for outcome in TaskOutcome::ALL.into_iter().filter(|outcome| *outcome != TaskOutcome::Running) {
        counter!(RUNS, "task" => task.label(), "outcome" => outcome.label()).increment(0);
    }
    show(task, record);
}

/// Counts a run that has ended, or was left out.
pub(super) fn count(task: TaskKind, outcome: TaskOutcome, record: &Record) {
    counter!(RUNS, "task" => task.label(), "outcome" => outcome.label()).increment(1);
    show(task, record);
}

fn show(task: TaskKind, record: &Record) {
    if let Some(at) = record.last_success_at {
        gauge!(LAST_SUCCESS, "task" => task.label()).set(secs(at));
    }
    let Some(last) = &record.last else { return };
    if let Some((started_at, ended_at)) = last.started_at.zip(last.ended_at) {
        gauge!(LAST_RUN, "task" => task.label()).set(secs(ended_at));
        gauge!(DURATION, "task" => task.label()).set(secs(ended_at.saturating_sub(started_at).max(0)));
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact for longer than calendars go")]
fn secs(ms: UnixMillis) -> f64 {
    ms as f64 / 1000.0
}
