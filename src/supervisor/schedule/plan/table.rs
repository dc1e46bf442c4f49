//! What a task does at a time, by tables: downtime, clocks that jump, daylight saving, proposals, tasks that take long.

use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};

use super::{Effect, Phase, Plan, Remembered, Run};
use crate::{
    events::{TaskCause, TaskKind, TaskOutcome},
    ledger::TaskRunRow,
    supervisor::schedule::{
        cron::CronSchedule,
        settings::{ScheduleSettings, TaskSettings},
    },
    types::UnixMillis,
};

const HEALTH: TaskKind = TaskKind::HealthCheck;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

pub(super) fn ms(text: &str) -> UnixMillis {
    text.parse::<Timestamp>().unwrap().as_millisecond()
}

/// Settings of one task by the clock of a zone, without a delay at the start.
pub(super) fn settings(task: TaskKind, cron: &str, zone: &str) -> ScheduleSettings {
    let schedule = CronSchedule::parse(cron, TimeZone::get(zone).unwrap()).unwrap();
    let settings = TaskSettings { schedule, ..TaskSettings::shipped(task).unwrap() };
    ScheduleSettings {
        start_delay: Duration::ZERO,
        tasks: [(task, settings)].into(),
        ..ScheduleSettings::default()
    }
}

/// A row of a run.
pub(super) fn row(cause: TaskCause, planned_at: UnixMillis, outcome: TaskOutcome) -> TaskRunRow {
    TaskRunRow {
        number: 0,
        cause: cause.into(),
        planned_at,
        started_at: outcome.has_begun().then_some(planned_at),
        ended_at: None,
        outcome: outcome.into(),
        message: String::new(),
    }
}

fn plan(settings: &ScheduleSettings, since: UnixMillis, runs: Vec<TaskRunRow>, now: UnixMillis) -> Plan {
    let task = *settings.tasks.keys().next().unwrap();
    Plan::new(settings, vec![Remembered { task, since, runs }], "machine", now)
}

/// What began at a step: cause, planned time, how many it stands for. It ends at once.
fn begun(plan: &mut Plan, now: UnixMillis) -> Vec<(TaskCause, UnixMillis, u32)> {
    let mut found = Vec::new();
    for effect in plan.step(now, None) {
        if let Effect::Begin(Run { task, cause, planned_at, stands_for }) = effect {
            found.push((cause, planned_at, stands_for));
            plan.ended(task);
        }
    }
    found
}

/// What was left out at a step.
fn left_out(effects: &[Effect]) -> Vec<(TaskOutcome, UnixMillis)> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::LeaveOut { run, outcome, .. } => Some((*outcome, run.planned_at)),
            Effect::Begin(_) | Effect::Waits { .. } => None,
        })
        .collect()
}

#[test]
fn a_task_runs_at_its_time_and_once() {
    let daily = settings(HEALTH, "0 3 * * *", "UTC");
    let start = ms("2026-11-24T12:00:00Z");
    let mut plan = plan(&daily, start, Vec::new(), start);
    assert_eq!(begun(&mut plan, start), [], "what was planned before the first start is nobody's");
    let planned = ms("2026-11-25T03:00:00Z");
    assert_eq!(begun(&mut plan, planned - 1), []);
    assert_eq!(begun(&mut plan, planned), [(TaskCause::Schedule, planned, 0)]);
    for later in [0, 1, 1000, HOUR, 23 * HOUR] {
        assert_eq!(begun(&mut plan, planned + later), [], "{later}");
    }
    assert_eq!(begun(&mut plan, planned + DAY + 500), [(TaskCause::Schedule, planned + DAY, 0)]);
}

#[test]
fn what_was_missed_while_nobody_was_there_is_done_once() {
    let last = ms("2026-11-20T03:00:00Z");
    let done = || vec![row(TaskCause::Schedule, last, TaskOutcome::Done)];
    for (name, now, catch_up, want) in [
        ("nothing was missed", last + 23 * HOUR, 7 * DAY, None),
        ("one", last + DAY + 10 * HOUR, 7 * DAY, Some((last + DAY, 0))),
        ("four: the newest stands for all", last + 4 * DAY + 10 * HOUR, 7 * DAY, Some((last + 4 * DAY, 3))),
        ("within what is made up for", last + DAY + HOUR, HOUR, Some((last + DAY, 0))),
        ("too late", last + DAY + HOUR + 1, HOUR, None),
        ("nothing is made up for", last + DAY + 2 * MINUTE, 0, None),
        ("a moment late is on time", last + DAY + 30_000, 0, Some((last + DAY, 0))),
    ] {
        let mut daily = settings(HEALTH, "0 3 * * *", "UTC");
        daily.tasks.get_mut(&HEALTH).unwrap().catch_up = Duration::from_millis(catch_up.unsigned_abs());
        let mut plan = plan(&daily, last - 9 * DAY, done(), now);
        let found: Vec<_> = begun(&mut plan, now).into_iter().map(|(_, at, before)| (at, before)).collect();
        assert_eq!(found, Vec::from_iter(want), "{name}");
        assert_eq!(begun(&mut plan, now + 1000), [], "{name}");
    }
}

#[test]
fn what_is_too_late_is_said_to_be_missed() {
    let mut daily = settings(HEALTH, "0 3 * * *", "UTC");
    daily.tasks.get_mut(&HEALTH).unwrap().catch_up = Duration::from_secs(3600);
    let last = ms("2026-11-20T03:00:00Z");
    let now = last + DAY + 10 * HOUR;
    let mut plan = plan(&daily, last, Vec::new(), now);
    assert_eq!(left_out(&plan.step(now, None)), [(TaskOutcome::Missed, last + DAY)]);
    assert_eq!(plan.step(now + 1000, None), []);
}

/// A run that a kill cut short is done once more, and not again and again.
#[test]
fn what_was_cut_short_is_done_once_more() {
    let daily = settings(HEALTH, "0 3 * * *", "UTC");
    let at = ms("2026-11-20T03:00:00Z");
    let (first, again) = (
        row(TaskCause::Schedule, at, TaskOutcome::Interrupted),
        row(TaskCause::CatchUp, at, TaskOutcome::Interrupted),
    );
    let by_hand = row(TaskCause::ByHand, at + HOUR, TaskOutcome::Interrupted);
    for (name, runs, want) in [
        ("cut short", vec![first.clone()], vec![(TaskCause::CatchUp, at, 0)]),
        ("twice", vec![again, first.clone()], vec![]),
        ("and one by hand since", vec![by_hand.clone(), first], vec![(TaskCause::CatchUp, at, 0)]),
        ("by hand alone", vec![by_hand, row(TaskCause::Schedule, at, TaskOutcome::Failed)], vec![]),
    ] {
        let mut plan = plan(&daily, at - DAY, runs, at + 2 * HOUR);
        assert_eq!(begun(&mut plan, at + 2 * HOUR), want, "{name}");
    }
}

#[test]
fn a_clock_that_jumps_makes_no_time_come_twice_and_none_be_lost() {
    let at = ms("2026-11-20T03:00:00Z");
    // Jumps in milliseconds from the time that was planned, and what begins at each reading.
    type Readings = Vec<(i64, Option<i64>)>;
    let cases: [(&str, Readings); 6] = [
        ("back by a moment", vec![(0, Some(0)), (-500, None), (0, None), (500, None)]),
        ("back by an hour", vec![(10, Some(0)), (-HOUR, None), (-1, None), (0, None), (DAY, Some(DAY))]),
        (
            "forward over it and back",
            vec![(-HOUR, None), (HOUR, Some(0)), (-HOUR, None), (0, None), (DAY, Some(DAY))],
        ),
        (
            "a month ahead and back: what comes is not silenced",
            vec![(-HOUR, None), (30 * DAY, Some(30 * DAY)), (-HOUR, None), (0, Some(0)), (DAY, Some(DAY))],
        ),
        (
            "and when that month has passed it is not done a second time",
            vec![
                (30 * DAY, Some(30 * DAY)),
                (29 * DAY, Some(29 * DAY)),
                (30 * DAY, None),
                (31 * DAY, Some(31 * DAY)),
            ],
        ),
        ("forward by an hour in the night", vec![(-2, None), (HOUR - 2, Some(0)), (HOUR, None)]),
    ];
    for (name, readings) in cases {
        let daily = settings(HEALTH, "0 3 * * *", "UTC");
        let mut plan = plan(&daily, at - HOUR, Vec::new(), at - HOUR);
        for (offset, want) in readings {
            let found: Vec<i64> = begun(&mut plan, at + offset).into_iter().map(|run| run.1 - at).collect();
            assert_eq!(found, Vec::from_iter(want), "{name}, at {offset}");
        }
    }
}

/// A process that began while the clock was ahead left rows of times to come.
#[test]
fn what_a_clock_ahead_has_left_in_the_ledger_silences_nothing() {
    let daily = settings(HEALTH, "0 3 * * *", "UTC");
    let at = ms("2026-11-20T03:00:00Z");
    let ahead = row(TaskCause::CatchUp, at + 30 * DAY, TaskOutcome::Done);
    let mut plan = plan(&daily, at + 30 * DAY, vec![ahead], at - HOUR);
    assert_eq!(begun(&mut plan, at), [(TaskCause::Schedule, at, 0)]);
    assert_eq!(begun(&mut plan, at + 29 * DAY).len(), 1);
    assert_eq!(begun(&mut plan, at + 30 * DAY), [], "it was done then");
}

/// Walks minute by minute through days on which clocks change: each task of a time of day runs once a day.
#[test]
fn daylight_saving_makes_no_day_miss_or_double_a_run() {
    for (zone, from) in [
        ("Europe/Zurich", "2026-03-27T12:00:00Z"),
        ("Europe/Zurich", "2026-10-23T12:00:00Z"),
        ("America/New_York", "2026-03-06T12:00:00Z"),
        ("Australia/Sydney", "2026-10-02T00:00:00Z"),
        ("Australia/Sydney", "2026-04-03T00:00:00Z"),
    ] {
        for cron in ["0 2 * * *", "30 2 * * *", "0 3 * * *", "59 1 * * *"] {
            let daily = settings(HEALTH, cron, zone);
            let from = ms(from);
            let mut plan = plan(&daily, from, Vec::new(), from);
            let runs: Vec<_> =
                (0..4 * 24 * 60).flat_map(|minute| begun(&mut plan, from + minute * MINUTE)).collect();
            assert_eq!(runs.len(), 4, "{zone} {cron} {runs:?}");
            assert!(
                runs.iter().all(|run| run.0 == TaskCause::Schedule && run.2 == 0),
                "{zone} {cron} {runs:?}"
            );
        }
    }
}

#[test]
fn a_task_that_still_runs_is_not_begun_a_second_time() {
    let often = settings(TaskKind::ProfitCheck, "*/5 * * * *", "UTC");
    let at = ms("2026-11-20T03:00:00Z");
    let mut plan = plan(&often, at - MINUTE, Vec::new(), at - MINUTE);
    assert!(matches!(plan.step(at, None).as_slice(), [Effect::Begin(_)]));
    assert_eq!(plan.step(at + 4 * MINUTE, None), []);
    let effects = plan.step(at + 5 * MINUTE, None);
    assert_eq!(left_out(&effects), [(TaskOutcome::Overlapped, at + 5 * MINUTE)]);
    let refused = plan.ask(TaskKind::ProfitCheck, at + 6 * MINUTE).unwrap_err().to_string();
    assert_eq!(refused, "profit_check runs already, since 360 s");
    plan.ended(TaskKind::ProfitCheck);
    assert_eq!(begun(&mut plan, at + 7 * MINUTE), [], "what overlapped is dealt with");
    assert_eq!(begun(&mut plan, at + 10 * MINUTE).len(), 1);
}

#[test]
fn nothing_begins_near_a_proposal_of_our_own() {
    let daily = settings(HEALTH, "0 3 * * *", "UTC");
    let at = ms("2026-11-20T03:00:00Z");
    let clear = 2 * MINUTE;
    let mut plan = plan(&daily, at - HOUR, Vec::new(), at - HOUR);
    let proposal = at + MINUTE;
    let effects = plan.step(at, Some(proposal));
    let want = "It waits until 03:03:00 UTC, as a proposal of our own is near.";
    assert_eq!(effects, [Effect::Waits { task: HEALTH, message: want.to_owned() }]);
    assert_eq!(plan.step(at + 1000, Some(proposal)), [], "it is said once");
    let waits = matches!(&plan.tasks[0].phase, Phase::Waiting { why: Some(why), .. } if why == want);
    assert!(waits, "{:?}", plan.tasks[0]);
    // The next one is far away, and this one was not long ago.
    assert_eq!(plan.step(proposal + clear, Some(proposal + DAY)), []);
    assert!(
        matches!(plan.step(proposal + clear + 1, None).as_slice(), [Effect::Begin(run)] if run.planned_at == at)
    );
}

#[test]
fn who_asks_waits_for_a_proposal_too_and_the_time_of_a_task_is_as_it_was() {
    let daily = settings(HEALTH, "0 3 * * *", "UTC");
    let at = ms("2026-11-20T03:00:00Z");
    let mut plan = plan(&daily, at - HOUR, Vec::new(), at - HOUR);
    let asked = plan.ask(HEALTH, at - HOUR).unwrap();
    assert_eq!((asked.cause, asked.planned_at), (TaskCause::ByHand, at - HOUR));
    assert!(
        plan.ask(HEALTH, at - HOUR).unwrap_err().to_string().starts_with("health_check waits to run already")
    );
    assert!(matches!(plan.step(at - HOUR, Some(at - HOUR)).as_slice(), [Effect::Waits { .. }]));
    assert_eq!(begun(&mut plan, at - 30 * MINUTE), [(TaskCause::ByHand, at - HOUR, 0)]);
    assert_eq!(begun(&mut plan, at), [(TaskCause::Schedule, at, 0)]);
    assert!(
        plan.ask(TaskKind::Backup, at)
            .unwrap_err()
            .to_string()
            .starts_with("backup is no task of this service")
    );
}

#[test]
fn heavy_tasks_wait_for_each_other_and_light_ones_for_nobody() {
    let at = ms("2026-11-20T03:00:00Z");
    let kinds = [TaskKind::DiskClean, TaskKind::Backup, HEALTH];
    let mut all = settings(HEALTH, "0 3 * * *", "UTC");
    all.tasks = kinds
        .into_iter()
        .map(|kind| (kind, settings(kind, "0 3 * * *", "UTC").tasks[&kind].clone()))
        .collect();
    let remembered = kinds.map(|task| Remembered { task, since: at - HOUR, runs: Vec::new() });
    let mut plan = Plan::new(&all, remembered.into(), "machine", at - HOUR);
    let begins = |effects: Vec<Effect>| -> Vec<TaskKind> {
        effects
            .into_iter()
            .filter_map(|effect| if let Effect::Begin(run) = effect { Some(run.task) } else { None })
            .collect()
    };
    assert_eq!(begins(plan.step(at, None)), [TaskKind::DiskClean, HEALTH]);
    assert_eq!(begins(plan.step(at + 1000, None)), []);
    plan.ended(TaskKind::DiskClean);
    assert_eq!(begins(plan.step(at + 2000, None)), [TaskKind::Backup]);
}

#[test]
fn after_a_start_nothing_runs_by_itself_for_a_while() {
    let mut daily = settings(HEALTH, "0 3 * * *", "UTC");
    daily.start_delay = Duration::from_secs(60);
    let now = ms("2026-11-20T12:00:00Z");
    let mut slow = plan(&daily, now - DAY, Vec::new(), now);
    assert!(matches!(slow.step(now, None).as_slice(), [Effect::Waits { .. }]));
    assert_eq!(begun(&mut slow, now + 59_999), []);
    assert_eq!(begun(&mut slow, now + 60_000), [(TaskCause::CatchUp, now - 9 * HOUR, 0)]);
    let mut asked = plan(&daily, now, Vec::new(), now);
    asked.ask(HEALTH, now).unwrap();
    assert_eq!(begun(&mut asked, now), [(TaskCause::ByHand, now, 0)], "who asks is served at once");
}

#[test]
fn what_is_off_runs_by_hand_alone() {
    let now = ms("2026-11-20T12:00:00Z");
    for off in ["all", "one"] {
        let mut daily = settings(HEALTH, "0 3 * * *", "UTC");
        daily.enabled = off != "all";
        daily.tasks.get_mut(&HEALTH).unwrap().enabled = off != "one";
        let mut plan = plan(&daily, now - DAY, Vec::new(), now);
        assert_eq!(begun(&mut plan, now), [], "{off}");
        assert_eq!(plan.tasks[0].next("machine", now), None);
        plan.ask(HEALTH, now).unwrap();
        assert_eq!(begun(&mut plan, now).len(), 1);
    }
}

#[test]
fn jitter_moves_the_beginning_and_not_the_time() {
    let mut daily = settings(HEALTH, "0 3 * * *", "UTC");
    daily.tasks.get_mut(&HEALTH).unwrap().jitter = Duration::from_secs(1800);
    let at = ms("2026-11-20T03:00:00Z");
    let mut plan = plan(&daily, at - HOUR, Vec::new(), at - HOUR);
    let (planned, moment) = plan.tasks[0].next("machine", at - HOUR).unwrap();
    assert_eq!(planned, at);
    assert!((at + 1..=at + 30 * MINUTE).contains(&moment), "{moment}");
    assert_eq!(begun(&mut plan, moment - 1), []);
    assert_eq!(plan.tasks[0].next("machine", moment - 1), Some((planned, moment)), "it is still to come");
    assert_eq!(begun(&mut plan, moment), [(TaskCause::Schedule, at, 0)]);
    assert_eq!(plan.tasks[0].next("machine", moment).map(|next| next.0), Some(at + DAY));
}
