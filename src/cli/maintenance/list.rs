//! `relaymux maintenance list`: each task with its time, its next run, and what came of the last.

use std::process::ExitCode;

use jiff::{Timestamp, tz::TimeZone};

use super::seen::{Run, Task, Tasks, get};
use crate::{
    cli::{
        arguments::MaintenanceListArguments,
        exit::{FAILED, MISUSED},
        loading::load,
        service::Service,
        terminal,
    },
    events::TaskOutcome,
};

/// Prints them. Ends with 1 where the last run of one was not well, or the service does not answer.
pub(super) async fn list(arguments: MaintenanceListArguments) -> ExitCode {
    let config = match load(&arguments.config) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let service = match Service::of(&config, arguments.url.as_deref()) {
        Ok(service) => service,
        Err(message) => {
            terminal::complain(terminal::wrapped(&message, 0));
            return ExitCode::from(MISUSED);
        }
    };
    let (found, raw) = match get::<Tasks>(&service, "/api/v1/maintenance").await {
        Ok(found) => found,
        Err(trouble) => {
            terminal::complain(service.cannot(&trouble, "keeps no schedule"));
            return ExitCode::from(FAILED);
        }
    };
    let is_well = found.tasks.iter().all(|task| task.last.as_ref().is_none_or(is_well));
    if arguments.json {
        terminal::write(terminal::json(&raw));
    } else {
        let mut table = terminal::table(["task", "schedule", "state", "next", "last"]);
        for task in &found.tasks {
            table.add_row(cells(task));
        }
        terminal::say(table);
        for task in &found.tasks {
            for line in lines(task) {
                terminal::say(terminal::wrapped(&line, 2));
            }
        }
    }
    if is_well { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
}

/// Whether a run went well. What another version calls its end is taken for well: nothing is known against it.
fn is_well(run: &Run) -> bool {
    matches!(TaskOutcome::parse(&run.outcome), None | Some(TaskOutcome::Done | TaskOutcome::Running))
}

fn cells(task: &Task) -> [String; 5] {
    let schedule = match task.schedule.as_str() {
        "" => String::new(),
        text => format!("{text} {}", task.time_zone),
    };
    let last = task.last.as_ref().map_or_else(String::new, |run| {
        let at = run.started_at.or(run.ended_at).map(when).unwrap_or_default();
        format!("{} {at}", run.outcome.replace('_', " "))
    });
    let next = task.next_at.map(when).unwrap_or_default();
    [task.task.clone(), schedule, task.state.clone(), next, last]
}

/// What is to be said of a task: why it is as it is, and what its last run came to where that was not well.
fn lines(task: &Task) -> Vec<String> {
    let mut lines = Vec::new();
    if !task.why.is_empty() {
        lines.push(format!("{}: {}", task.task, task.why));
    }
    if let Some(running) = &task.running {
        let progress = running.progress.as_deref().unwrap_or("no word of how far it is");
        lines.push(format!("{}: runs since {}: {progress}", task.task, when(running.started_at)));
    }
    if let Some(run) = task.last.as_ref().filter(|run| !is_well(run)) {
        lines.push(format!("{}: {}: {}", task.task, run.outcome.replace('_', " "), run.message));
    }
    lines
}

/// A moment by this machine's clock.
fn when(at: i64) -> String {
    Timestamp::from_millisecond(at).map_or_else(
        |_| String::new(),
        |at| at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_task_is_a_row_and_what_is_wrong_a_line() {
        let task: Task = serde_json::from_value(json!({
            "task": "health_check", "state": "waiting", "why": "It waits until 03:03:00 UTC, as a proposal of our own is near.",
            "schedule": "0 3 * * *", "time_zone": "UTC", "later": 1,
            "last": {"cause": "schedule", "planned_at": 5, "ended_at": 7, "outcome": "timed_out", "message": "It was not done."},
        }))
        .unwrap();
        let cells = cells(&task);
        assert_eq!((&*cells[0], &*cells[1], &*cells[3]), ("health_check", "0 3 * * * UTC", ""));
        assert!(cells[4].starts_with("timed out "), "{cells:?}");
        let lines = lines(&task);
        assert!(lines[0].ends_with("a proposal of our own is near."), "{lines:?}");
        assert_eq!(lines[1], "health_check: timed out: It was not done.");
    }
}
