//! `relaymux maintenance run TASK`: has the service do a task now, and says what came of it.

use std::{process::ExitCode, time::Duration};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::seen::{Run, Task, get};
use crate::{
    cli::{
        arguments::MaintenanceRunArguments,
        exit::{FAILED, MISUSED},
        loading::load,
        progress::Progress,
        service::{Service, Trouble},
        terminal,
    },
    events::{TaskKind, TaskOutcome},
};

/// How often it is asked how far the task is.
const EVERY: Duration = Duration::from_millis(500);
/// How long the service may be silent.
const SILENCE: Duration = Duration::from_secs(25);

/// Has it done. Ends with 0 where it was done and all is well.
pub(super) async fn run(arguments: MaintenanceRunArguments) -> ExitCode {
    let Some(task) = TaskKind::parse(&arguments.task.replace('-', "_")) else {
        let known = TaskKind::ALL.map(TaskKind::label).join(", ");
        terminal::complain(terminal::wrapped(
            &format!("there is no task `{}`: expected one of {known}", arguments.task),
            0,
        ));
        return ExitCode::from(MISUSED);
    };
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
    match carry_out(&service, task, &arguments).await {
        Ok(is_well) if is_well => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(FAILED),
        Err(message) => {
            terminal::complain(terminal::wrapped(&message, 0));
            ExitCode::from(FAILED)
        }
    }
}

async fn carry_out(
    service: &Service,
    task: TaskKind,
    arguments: &MaintenanceRunArguments,
) -> Result<bool, String> {
    let by = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER"));
    let asked = json!({ "by": by.unwrap_or_else(|_| "the command line".to_owned()) });
    let begun =
        match service.ask(Method::POST, &format!("/api/v1/maintenance/{task}/run"), Some(&asked)).await {
            Ok(begun) => begun,
            // Its own words are about this task.
            Err(Trouble::Refused(status, message)) if status != 401 && !message.is_empty() => {
                return Err(message);
            }
            Err(trouble) => return Err(service.cannot(&trouble, "keeps no schedule")),
        };
    let planned_at = begun.get("planned_at").and_then(Value::as_i64).unwrap_or_default();
    if arguments.no_wait {
        if arguments.json {
            terminal::write(terminal::json(&begun));
        } else {
            terminal::say(format_args!("{task} begins: `relaymux maintenance list` shows how it goes."));
        }
        return Ok(true);
    }
    let run = follow(service, task, planned_at, arguments).await?;
    let is_well = TaskOutcome::parse(&run.outcome) == Some(TaskOutcome::Done);
    if arguments.json {
        terminal::write(terminal::json(&json!({
            "task": task,
            "cause": run.cause,
            "planned_at": run.planned_at,
            "started_at": run.started_at,
            "ended_at": run.ended_at,
            "outcome": run.outcome,
            "message": run.message,
        })));
    } else {
        let took = run.ended_at.zip(run.started_at).map_or(0, |(ended, started)| (ended - started).max(0));
        let line = format!(
            "{task}: {} after {:.1} s: {}",
            run.outcome.replace('_', " "),
            seconds(took),
            run.message
        );
        terminal::say(terminal::wrapped(&line, 2));
    }
    Ok(is_well)
}

/// Waits until the run has ended; says what keeps it and how far it is.
async fn follow(
    service: &Service,
    task: TaskKind,
    planned_at: i64,
    arguments: &MaintenanceRunArguments,
) -> Result<Run, String> {
    let _progress = Progress::of(None, format!("waiting for {task}"));
    let (begun, mut heard, mut shown) = (Instant::now(), Instant::now(), String::new());
    loop {
        match get::<Task>(service, &format!("/api/v1/maintenance/{task}")).await {
            Ok((seen, _)) => {
                heard = Instant::now();
                let is_it = |run: &&Run| run.planned_at == planned_at && run.cause == "by_hand";
                let ended = seen.history.iter().find(is_it).filter(|run| run.ended_at.is_some());
                if let Some(run) = ended {
                    return Ok(run.clone());
                }
                let running = seen.running.filter(|running| running.planned_at == planned_at);
                let word = running.map_or(seen.why, |running| running.progress.unwrap_or_default());
                if word != shown && !word.is_empty() && !arguments.json {
                    terminal::say(terminal::wrapped(&format!("{task}: {word}"), 2));
                }
                shown = word;
            }
            Err(trouble) if heard.elapsed() > SILENCE => {
                return Err(service.cannot(&trouble, "keeps no schedule"));
            }
            Err(_) => {}
        }
        if begun.elapsed() > arguments.timeout {
            return Err(format!(
                "{task} is not done after {} s. It goes on by itself: `relaymux maintenance list` shows how it goes.",
                arguments.timeout.as_secs()
            ));
        }
        sleep(EVERY).await;
    }
}

/// Milliseconds as seconds. What is shown of it has a tenth.
#[expect(clippy::cast_precision_loss, reason = "a task lasts two days at most")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}
