//! What the operator wants of the schedule.

use std::{collections::BTreeMap, time::Duration};

use jiff::tz::TimeZone;

use super::cron::CronSchedule;
use crate::{
    events::TaskKind,
    types::{DAY_MS, SecretUrl},
};

/// `[maintenance]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleSettings {
    /// `enabled`: whether anything runs by itself. By hand everything does. Default: yes.
    pub enabled: bool,
    /// `keep_clear_of_proposals`: no task begins so near before or after a proposal of our own. Default 2 minutes.
    pub keep_clear: Duration,
    /// `start_delay`: after a start nothing runs by itself for so long. Default 1 minute.
    pub start_delay: Duration,
    /// The tasks that there could be, by their kind.
    pub tasks: BTreeMap<TaskKind, TaskSettings>,
}

/// A task's time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskSettings {
    /// When it runs.
    pub schedule: CronSchedule,
    /// Whether it runs by itself.
    pub enabled: bool,
    /// `jitter`: it begins up to so long after its time; how long is by the machine, the task and the time. Default: not at all.
    pub jitter: Duration,
    /// `catch_up_within`: a run that was missed is made up for until so long after its time. Default a week.
    pub catch_up: Duration,
    /// `timeout`: after so long it is ended.
    pub timeout: Duration,
    /// `dead_man_url`: who is told that it ran.
    pub dead_man: Option<SecretUrl>,
    /// Whether the configuration names it.
    pub is_named: bool,
}

impl TaskSettings {
    /// What is in force where nothing is said. `None` for a task that has no time of its own.
    pub fn shipped(task: TaskKind) -> Option<Self> {
        let (text, timeout) = shipped(task)?;
        Some(Self {
            schedule: CronSchedule::parse(text, TimeZone::UTC).ok()?,
            enabled: true,
            jitter: Duration::ZERO,
            catch_up: DEFAULT_CATCH_UP,
            timeout,
            dead_man: None,
            is_named: false,
        })
    }
}

/// A missed run is made up for within a week, where nothing is said: as long as the weekly ones have.
pub const DEFAULT_CATCH_UP: Duration = Duration::from_millis(7 * DAY_MS.unsigned_abs());

/// The times that tasks have where nothing is said, and after how long each is ended. `None`: it is somebody else's; digests are sent by `[alerts]`.
pub const fn shipped(task: TaskKind) -> Option<(&'static str, Duration)> {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 3600;
    let (text, secs) = match task {
        TaskKind::DiskClean => ("0 2 * * *", HOUR),
        TaskKind::HealthCheck => ("0 3 * * *", 10 * MINUTE),
        TaskKind::ProfitCheck => ("*/5 * * * *", 2 * MINUTE),
        TaskKind::WeeklyDigest => return None,
        TaskKind::LoadValidation => ("0 4 * * SAT", 15 * MINUTE),
        TaskKind::Backup => ("30 2 * * *", 3 * HOUR),
        TaskKind::BackupVerify => ("0 5 * * SUN", 3 * HOUR),
        TaskKind::ClientVersions => ("0 6 * * *", 2 * MINUTE),
    };
    Some((text, Duration::from_secs(secs)))
}

impl Default for ScheduleSettings {
    fn default() -> Self {
        let tasks = TaskKind::ALL.into_iter();
        Self {
            enabled: true,
            keep_clear: Duration::from_secs(120),
            start_delay: Duration::from_secs(60),
            tasks: tasks.filter_map(|task| Some((task, TaskSettings::shipped(task)?))).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_that_is_shipped_can_be_read() {
        let settings = ScheduleSettings::default();
        assert_eq!(settings.tasks.len(), TaskKind::ALL.len() - 1, "digests have their own");
        for (task, settings) in settings.tasks {
            let interval = settings.schedule.shortest_interval_ms();
            assert!(settings.timeout.as_millis() < interval.unsigned_abs().into(), "{task} may not overlap");
        }
    }
}
