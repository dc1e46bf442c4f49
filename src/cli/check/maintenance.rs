//! The tasks that are done by the clock, and when each runs next. Nobody is asked.

use jiff::Timestamp;
use serde_json::json;

use super::super::findings::Findings;
use crate::{
    app::{scheduled_tasks, weekly_digest},
    config::Config,
    events::TaskKind,
    supervisor::schedule::TaskSettings,
    types::UnixMillis,
};

/// A line for each task that this configuration has something to do for.
pub(super) fn report_maintenance(config: &Config, now: UnixMillis, findings: &mut Findings) {
    let settings = &config.maintenance;
    let tasks: Vec<(TaskKind, &TaskSettings)> = scheduled_tasks(config)
        .into_iter()
        .filter_map(|task| Some((task, settings.tasks.get(&task)?)))
        .collect();
    let next =
        |task: &TaskSettings| task.schedule.next_after(now).filter(|_| settings.enabled && task.enabled);
    let digest = weekly_digest(&config.alerts.settings);
    let mut lines: Vec<String> = tasks
        .iter()
        .map(|(kind, task)| match next(task).and_then(|at| Timestamp::from_millisecond(at).ok()) {
            Some(at) => {
                format!("task {kind}: {}, next on {}", task.schedule, at.strftime("%Y-%m-%d %H:%M UTC"))
            }
            None => format!("task {kind}: off, by hand alone"),
        })
        .collect();
    lines.push(format!("task {}: {digest}", TaskKind::WeeklyDigest));
    let named = settings.tasks.iter().filter(|(_, task)| task.is_named && task.enabled);
    for (kind, _) in named.filter(|(kind, _)| tasks.iter().all(|(there, _)| there != *kind)) {
        lines.push(format!(
            "task {kind}: never, as this configuration, or this version, has nothing to do for it"
        ));
    }
    let document = json!(
        tasks
            .iter()
            .map(|(kind, task)| json!({
                "task": kind,
                "schedule": task.schedule.text(),
                "time_zone": task.schedule.zone_name(),
                "enabled": settings.enabled && task.enabled,
                "next_at": next(task),
            }))
            .collect::<Vec<_>>()
    );
    findings.detail("maintenance", lines.join("\n"), document);
}
