//! `[maintenance]`: which tasks are done by the clock, and when.

use std::{path::Path, time::Duration};

use jiff::tz::TimeZone;

use super::{
    alert_people::time_zone,
    checker::Checker,
    durations::duration,
    raw_maintenance::{RawSchedule, RawTask, RawTaskTable},
    raw_text::Span,
    secrets::{Place, PlainHttp, secret_url},
};
use crate::{
    supervisor::schedule::{
        CronSchedule, DEFAULT_CATCH_UP, ScheduleSettings, TaskKind, TaskSettings, shipped,
    },
    types::SecretUrl,
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Nothing is made up for after more than this.
const LONGEST_CATCH_UP: Duration = Duration::from_secs(31 * 24 * 3600);
/// A validator of a large set proposes every few minutes: with more, nothing would ever run.
const LONGEST_CLEAR: Duration = HOUR;

/// What holds for every task that says nothing else.
struct Common {
    zone: TimeZone,
    catch_up: Duration,
    jitter: Duration,
    /// None: as each task has it.
    timeout: Option<Duration>,
    dead_man: Option<SecretUrl>,
}

/// Checks the section.
pub(super) fn maintenance(
    raw: Option<&RawSchedule>,
    folder: &Path,
    checker: &mut Checker,
) -> ScheduleSettings {
    let default = ScheduleSettings::default();
    let Some(raw) = raw else { return default };
    let common = common(raw, folder, checker);
    if raw.weekly_digest.is_some() {
        checker.wrong(
            "maintenance.weekly_digest",
            "digests are sent by [alerts], at a time of their own",
            "take it out, and write weekly_digest_on = \"monday\" and digest_at = \"08:00\" under [alerts]",
        );
    }
    let tasks = [
        (TaskKind::DiskClean, &raw.disk_clean),
        (TaskKind::HealthCheck, &raw.health_check),
        (TaskKind::ProfitCheck, &raw.profit_check),
        (TaskKind::LoadValidation, &raw.load_validation),
        (TaskKind::Backup, &raw.backup),
        (TaskKind::BackupVerify, &raw.backup_verify),
        (TaskKind::ClientVersions, &raw.client_versions),
    ];
    let mut found = ScheduleSettings {
        enabled: raw.enabled.unwrap_or(default.enabled),
        keep_clear: duration(
            "maintenance.keep_clear_of_proposals",
            raw.keep_clear_of_proposals.as_ref(),
            default.keep_clear,
            Duration::ZERO..=LONGEST_CLEAR,
            checker,
        ),
        start_delay: duration(
            "maintenance.start_delay",
            raw.start_delay.as_ref(),
            default.start_delay,
            Duration::ZERO..=DAY,
            checker,
        ),
        tasks: default.tasks,
    };
    for (kind, raw) in tasks {
        if let Some(settings) = task(kind, raw.as_ref(), &common, folder, checker) {
            found.tasks.insert(kind, settings);
        }
    }
    found
}

fn common(raw: &RawSchedule, folder: &Path, checker: &mut Checker) -> Common {
    let place = Place {
        section: "maintenance",
        key: "dead_man_url",
        text: raw.dead_man_url.as_ref(),
        file: raw.dead_man_url_file.as_ref(),
    };
    Common {
        zone: time_zone("maintenance.time_zone", raw.time_zone.as_ref(), &TimeZone::UTC, checker),
        catch_up: catch_up("maintenance", raw.catch_up_within.as_ref(), DEFAULT_CATCH_UP, checker),
        jitter: jitter("maintenance", raw.jitter.as_ref(), Duration::ZERO, checker),
        timeout: raw.timeout.as_ref().map(|_| timeout("maintenance", raw.timeout.as_ref(), HOUR, checker)),
        dead_man: secret_url(place, folder, PlainHttp::InPrivate, checker),
    }
}

fn task(
    kind: TaskKind,
    raw: Option<&RawTask>,
    common: &Common,
    folder: &Path,
    checker: &mut Checker,
) -> Option<TaskSettings> {
    let (text, limit) = shipped(kind)?;
    let section = format!("maintenance.{kind}");
    let (table, key) = match raw {
        None => (RawTaskTable::default(), section.clone()),
        Some(RawTask::Schedule(text)) => {
            (RawTaskTable { schedule: Some(text.clone()), ..RawTaskTable::default() }, section.clone())
        }
        Some(RawTask::Enabled(enabled)) => {
            (RawTaskTable { enabled: Some(*enabled), ..RawTaskTable::default() }, section.clone())
        }
        Some(RawTask::Table(table)) => (table.clone(), format!("{section}.schedule")),
    };
    let zone = time_zone(&format!("{section}.time_zone"), table.time_zone.as_ref(), &common.zone, checker);
    let text = table.schedule.as_deref().unwrap_or(text);
    let schedule = match CronSchedule::parse(text, zone) {
        Ok(schedule) => schedule,
        Err(error) => {
            let shown: String = text.chars().take(60).collect();
            checker.wrong(
                &key,
                format!("`{shown}` is no cron expression: {error}"),
                "write minute, hour, day of the month, month and day of the week, such as \"0 3 * * *\" (each day at 03:00), \
                 \"*/5 * * * *\" (every five minutes) or \"0 8 * * MON\" (Mondays at 08:00)",
            );
            return None;
        }
    };
    let place = Place {
        section: &section,
        key: "dead_man_url",
        text: table.dead_man_url.as_ref(),
        file: table.dead_man_url_file.as_ref(),
    };
    let settings = TaskSettings {
        enabled: table.enabled.unwrap_or(true),
        jitter: jitter(&section, table.jitter.as_ref(), common.jitter, checker),
        catch_up: catch_up(&section, table.catch_up_within.as_ref(), common.catch_up, checker),
        timeout: timeout(&section, table.timeout.as_ref(), common.timeout.unwrap_or(limit), checker),
        dead_man: secret_url(place, folder, PlainHttp::InPrivate, checker)
            .or_else(|| common.dead_man.clone()),
        is_named: raw.is_some(),
        schedule,
    };
    let interval = settings.schedule.shortest_interval_ms();
    if table.jitter.is_some() && settings.jitter.as_millis() >= interval.unsigned_abs().into() {
        checker.wrong(
            &format!("{section}.jitter"),
            format!("is as long as the {} s between two runs", interval / 1000),
            "write a shorter one, or a rarer schedule",
        );
    }
    Some(bounded(settings, interval))
}

/// A jitter for all tasks is no longer than half of the time between two runs of each.
fn bounded(settings: TaskSettings, interval_ms: i64) -> TaskSettings {
    let half = Duration::from_millis(interval_ms.unsigned_abs() / 2);
    TaskSettings { jitter: settings.jitter.min(half), ..settings }
}

fn catch_up(section: &str, raw: Option<&Span>, default: Duration, checker: &mut Checker) -> Duration {
    duration(&format!("{section}.catch_up_within"), raw, default, Duration::ZERO..=LONGEST_CATCH_UP, checker)
}

fn jitter(section: &str, raw: Option<&Span>, default: Duration, checker: &mut Checker) -> Duration {
    duration(&format!("{section}.jitter"), raw, default, Duration::ZERO..=6 * HOUR, checker)
}

fn timeout(section: &str, raw: Option<&Span>, default: Duration, checker: &mut Checker) -> Duration {
    duration(&format!("{section}.timeout"), raw, default, SECOND..=2 * DAY, checker)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> (ScheduleSettings, Vec<String>) {
        let raw: RawSchedule = toml::from_str(text).unwrap();
        let mut checker = Checker::default();
        let found = maintenance(Some(&raw), Path::new(""), &mut checker);
        (
            found,
            checker
                .mistakes
                .into_iter()
                .map(|mistake| format!("{}: {}", mistake.key, mistake.message))
                .collect(),
        )
    }

    #[test]
    fn an_empty_section_and_none_are_the_same() {
        let (found, mistakes) = checked("");
        assert_eq!((found, mistakes), (ScheduleSettings::default(), Vec::new()));
        assert_eq!(maintenance(None, Path::new(""), &mut Checker::default()), ScheduleSettings::default());
    }

    #[test]
    fn a_task_is_named_in_three_ways() {
        let (found, mistakes) = checked(
            "time_zone = \"Europe/Zurich\"\ntimeout = \"7m\"\njitter = \"10m\"\ncatch_up_within = \"1d\"\ndead_man_url = \"https://hc.example/all\"\n\
             health_check = \"30 3 * * *\"\nprofit_check = false\n\
             backup = { schedule = \"0 1 * * *\", time_zone = \"UTC\", timeout = \"2h\", jitter = \"0s\", dead_man_url = \"https://hc.example/own\" }",
        );
        assert_eq!(mistakes, Vec::<String>::new());
        let of = |kind: TaskKind| found.tasks[&kind].clone();
        let health = of(TaskKind::HealthCheck);
        assert_eq!(health.schedule.to_string(), "30 3 * * * Europe/Zurich");
        assert_eq!((health.timeout, health.jitter), (Duration::from_secs(420), Duration::from_secs(600)));
        assert!(health.enabled && health.is_named && health.catch_up == DAY);
        let profit = of(TaskKind::ProfitCheck);
        assert!(!profit.enabled && profit.schedule.to_string() == "*/5 * * * * Europe/Zurich");
        assert_eq!(profit.jitter, Duration::from_secs(150), "no longer than half of the time between two");
        let backup = of(TaskKind::Backup);
        assert_eq!(backup.schedule.to_string(), "0 1 * * * UTC");
        assert_eq!((backup.timeout, backup.jitter), (2 * HOUR, Duration::ZERO));
        let url = |settings: &TaskSettings| settings.dead_man.as_ref().unwrap().expose().to_string();
        assert_eq!(
            (url(&backup), url(&health)),
            ("https://hc.example/own".into(), "https://hc.example/all".into())
        );
        assert!(!of(TaskKind::DiskClean).is_named);
    }

    #[test]
    fn mistakes_are_said_by_their_place() {
        for (text, want) in [
            (
                "health_check = \"0 25 * * *\"",
                "maintenance.health_check: `0 25 * * *` is no cron expression: the hour `25` is not understood: expected 0 to 23",
            ),
            (
                "health_check = { schedule = \"x\" }",
                "maintenance.health_check.schedule: `x` is no cron expression",
            ),
            ("time_zone = \"Europe/Zürich\"", "maintenance.time_zone: there is no time zone `Europe/Zürich`"),
            (
                "backup = { time_zone = \"Mars\" }",
                "maintenance.backup.time_zone: there is no time zone `Mars`",
            ),
            ("timeout = \"0s\"", "maintenance.timeout: 0s is too short"),
            ("catch_up_within = \"32d\"", "maintenance.catch_up_within: 32d is too long"),
            ("keep_clear_of_proposals = \"2h\"", "maintenance.keep_clear_of_proposals: 2h is too long"),
            (
                "profit_check = { jitter = \"5m\" }",
                "maintenance.profit_check.jitter: is as long as the 300 s",
            ),
            ("weekly_digest = \"0 8 * * 1\"", "maintenance.weekly_digest: digests are sent by [alerts]"),
        ] {
            let (_, mistakes) = checked(text);
            assert_eq!(mistakes.len(), 1, "{text}: {mistakes:?}");
            assert!(mistakes[0].starts_with(want), "{text}: {mistakes:?}");
        }
    }
}
