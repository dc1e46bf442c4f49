//! The schedule as a whole, with a ledger, an injected clock and runners of these tests.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use jiff::tz::TimeZone;
use parking_lot::Mutex as SyncMutex;
use tokio::sync::Notify;

use super::*;
use crate::{
    consensus::WallClock,
    events::{Event, Spine, Subscription, TaskCause, TaskOutcome, TaskRun},
    ledger::{Ledger, SignalBook, TaskRunRow},
    supervisor::schedule::{
        CronSchedule, ScheduleSettings, TaskFailed, TaskReport, TaskRunners, TaskSettings, TaskState,
    },
    tasks::Tasks,
    types::SecretUrl,
};

const HEALTH: TaskKind = TaskKind::HealthCheck;
const DAY: i64 = 86_400_000;
/// 2026-11-20 03:00 UTC
const AT: UnixMillis = 1_795_143_600_000;

fn settings() -> ScheduleSettings {
    let schedule = CronSchedule::parse("0 3 * * *", TimeZone::UTC).unwrap();
    let url = SecretUrl::parse("https://hc.example/secret").unwrap();
    let health = TaskSettings { schedule, dead_man: Some(url), ..TaskSettings::shipped(HEALTH).unwrap() };
    ScheduleSettings {
        start_delay: Duration::ZERO,
        tasks: [(HEALTH, health)].into(),
        ..ScheduleSettings::default()
    }
}

struct Ground {
    group: TaskGroup,
    handle: ScheduleHandle,
    events: Subscription,
    pings: Arc<SyncMutex<Vec<bool>>>,
}

impl Ground {
    fn new(ledger: &Ledger, clock: &WallClock, settings: ScheduleSettings, runners: TaskRunners) -> Self {
        let (spine, pings) = (Spine::new(), Arc::<SyncMutex<Vec<bool>>>::default());
        let events = spine.subscribe();
        let told = Arc::clone(&pings);
        let parts = ScheduleParts {
            settings,
            runners,
            elsewhere: vec![(TaskKind::WeeklyDigest, "[alerts] sends it.".to_owned())],
            next_proposal: Arc::new(|_| None),
            ping: Arc::new(move |url, is_well, _| {
                assert_eq!(url.expose().as_str(), "https://hc.example/secret");
                told.lock().push(is_well);
                Box::pin(async { Err("HTTP 503".to_owned()) })
            }),
            machine: "here".to_owned(),
            ledger: ledger.clone(),
            signals: SignalBook::new(ledger.clone(), spine.clone(), clock.clone()),
            spine,
            clock: clock.clone(),
        };
        let (tasks, _) = Tasks::new(|_| {});
        let group = tasks.group();
        let handle = start(parts, &group);
        Self { group, handle, events, pings }
    }

    /// The next run that has begun, has ended or was left out.
    async fn next(&mut self) -> TaskRun {
        loop {
            if let Event::TaskRun(run) = &*self.events.next().await.unwrap() {
                return run.clone();
            }
        }
    }

    /// The next signal: its rule, and whether it is over.
    async fn signal(&mut self) -> (String, String, bool) {
        loop {
            if let Event::AlertSignal(signal) = &*self.events.next().await.unwrap() {
                return (signal.rule.name.to_string(), signal.subject.clone(), signal.resolved);
            }
        }
    }

    /// Stops it; who was told outside by then, of each run whether all was well.
    async fn end(self) -> Vec<bool> {
        self.group.stop();
        self.group.ended().await;
        self.pings.lock().clone()
    }
}

fn well(runners: &mut TaskRunners) {
    runners.add(HEALTH, |_| async { Ok(TaskReport::done("All is well.")) });
}

async fn rows(ledger: &Ledger) -> Vec<(TaskCause, UnixMillis, TaskOutcome, String)> {
    let rows = ledger.task_runs(HEALTH, 100).await.unwrap();
    let row = |row: TaskRunRow| {
        (row.cause.known().unwrap(), row.planned_at, row.outcome.known().unwrap(), row.message)
    };
    rows.into_iter().map(row).collect()
}

#[tokio::test]
async fn a_run_is_written_down_told_and_pinged() {
    let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
    let (clock, hand) = WallClock::manual(AT - 1000);
    let mut runners = TaskRunners::default();
    well(&mut runners);
    let mut ground = Ground::new(&ledger, &clock, settings(), runners);
    // What is planned from the first start on is what counts.
    let mut views = ground.handle.views.clone();
    views.wait_for(|views| !views.is_empty()).await.unwrap();
    hand.set(AT + 5);
    let begun = ground.next().await;
    assert_eq!((begun.task, begun.outcome, begun.planned_at), (HEALTH, TaskOutcome::Running, AT));
    let ended = ground.next().await;
    assert_eq!((ended.outcome, ended.message.as_str()), (TaskOutcome::Done, "All is well."));
    let seen = views.wait_for(|views| views[0].last.is_some()).await.unwrap()[0].clone();
    assert_eq!(
        (seen.state, seen.last_success_at, seen.next_at),
        (TaskState::Idle, Some(AT + 5), Some(AT + DAY))
    );
    assert_eq!(
        rows(&ledger).await,
        [(TaskCause::Schedule, AT, TaskOutcome::Done, "All is well.".to_owned())]
    );
    let elsewhere = ground.handle.view()[1].clone();
    assert_eq!((elsewhere.task, elsewhere.state), (TaskKind::WeeklyDigest, TaskState::Elsewhere));
    let refused = ground.handle.run(TaskKind::WeeklyDigest, "me").await.unwrap_err().to_string();
    assert!(refused.ends_with("[alerts] sends it."), "{refused}");
    assert!(ground.handle.run(TaskKind::Backup, "me").await.is_err(), "nobody can do it");
    assert_eq!(ground.end().await, [true], "that it did not arrive stops nothing");
}

/// A process that ended in the middle of a run leaves word of it; the next one does it once more, and is not told of it as planned.
#[tokio::test]
async fn what_a_kill_cut_short_is_done_once_more() {
    let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
    let (clock, _hand) = WallClock::manual(AT + 7_200_000);
    ledger.watch_task(HEALTH, "0 3 * * * UTC", AT - DAY).await.unwrap();
    let cut_short = TaskRunRow {
        number: 0,
        cause: TaskCause::Schedule.into(),
        planned_at: AT,
        started_at: Some(AT),
        ended_at: None,
        outcome: TaskOutcome::Running.into(),
        message: "It runs.".to_owned(),
    };
    ledger.add_task_run(HEALTH, &cut_short).await.unwrap();
    let mut runners = TaskRunners::default();
    well(&mut runners);
    let mut ground = Ground::new(&ledger, &clock, settings(), runners);
    assert_eq!(ground.next().await.cause, TaskCause::CatchUp);
    assert_eq!(ground.next().await.outcome, TaskOutcome::Done);
    ground.end().await;
    let ended = "relaymux itself ended while this ran.".to_owned();
    let again = "It makes up for its time, which was missed. All is well.".to_owned();
    assert_eq!(
        rows(&ledger).await,
        [
            (TaskCause::CatchUp, AT, TaskOutcome::Done, again),
            (TaskCause::Schedule, AT, TaskOutcome::Interrupted, ended)
        ]
    );
}

/// One process after another: what was served is not served again.
#[tokio::test]
async fn a_restart_serves_no_time_twice() {
    let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
    let (clock, hand) = WallClock::manual(AT + 2 * DAY + 1000);
    ledger.watch_task(HEALTH, "0 3 * * * UTC", AT - DAY).await.unwrap();
    let count = Arc::new(AtomicU32::new(0));
    for (now, want) in [(2 * DAY + 1000, 1), (2 * DAY + 5000, 1), (3 * DAY - 1, 1), (3 * DAY, 2)] {
        hand.set(AT + now);
        let mut runners = TaskRunners::default();
        let counted = Arc::clone(&count);
        runners.add(HEALTH, move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            async { Ok(TaskReport::done("Done.")) }
        });
        let ground = Ground::new(&ledger, &clock, settings(), runners);
        let mut views = ground.handle.views.clone();
        let is_settled = |views: &Vec<TaskView>| {
            views.first().is_some_and(|view| view.state == TaskState::Idle && view.last.is_some())
        };
        views.wait_for(is_settled).await.unwrap();
        ground.end().await;
        assert_eq!(count.load(Ordering::SeqCst), want, "{now}");
    }
    assert!(
        rows(&ledger).await[1].3.starts_with("It makes up for 2 earlier times"),
        "{:?}",
        rows(&ledger).await
    );
}

#[tokio::test]
async fn what_goes_wrong_is_an_alert_until_it_goes_well() {
    let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
    let (clock, _hand) = WallClock::manual(AT + 7_200_000);
    let turn = Arc::new(AtomicU32::new(0));
    let mut runners = TaskRunners::default();
    runners.add(HEALTH, move |_| {
        let turn = turn.fetch_add(1, Ordering::SeqCst);
        async move {
            match turn {
                0 => Err(TaskFailed("The ledger is damaged.".to_owned())),
                1 => panic!("a test asked"),
                2 => std::future::pending().await,
                _ => Ok(TaskReport::done("All is well.")),
            }
        }
    });
    let mut short = settings();
    short.tasks.get_mut(&HEALTH).unwrap().timeout = Duration::from_secs(1);
    let mut ground = Ground::new(&ledger, &clock, short, runners);
    let mut views = ground.handle.views.clone();
    views.wait_for(|views| !views.is_empty()).await.unwrap();
    for (outcome, message, rule) in [
        (TaskOutcome::Failed, "The ledger is damaged.", Some(("maintenance_failed", false))),
        (TaskOutcome::Failed, "It panicked: a defect, please report it with the log.", None),
        (
            TaskOutcome::TimedOut,
            "It was not done after 1 s, its timeout, and was ended.",
            Some(("maintenance_overran", false)),
        ),
        (TaskOutcome::Done, "All is well.", Some(("maintenance_failed", true))),
    ] {
        ground.handle.run(HEALTH, "me").await.unwrap();
        assert_eq!(ground.next().await.cause, TaskCause::ByHand);
        let ended = ground.next().await;
        assert_eq!((ended.outcome, ended.message.as_str()), (outcome, message));
        if let Some((rule, is_over)) = rule {
            assert_eq!(ground.signal().await, (rule.to_owned(), "health_check".to_owned(), is_over));
        }
        // Asked before that it has ended is known, it would be refused.
        views.wait_for(|views| views[0].state == TaskState::Idle).await.unwrap();
    }
    assert_eq!(ground.signal().await, ("maintenance_overran".to_owned(), "health_check".to_owned(), true));
    assert_eq!(ground.end().await, [false, false, false, true]);
}

#[tokio::test]
async fn a_stop_ends_what_runs_and_writes_that_down() {
    let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
    let (clock, _hand) = WallClock::manual(AT + 7_200_000);
    let begun = Arc::new(Notify::new());
    let mut runners = TaskRunners::default();
    let tell = Arc::clone(&begun);
    runners.add(HEALTH, move |context: crate::supervisor::schedule::TaskContext| {
        context.progress("half of it");
        tell.notify_one();
        std::future::pending()
    });
    let ground = Ground::new(&ledger, &clock, settings(), runners);
    ground.handle.run(HEALTH, "me").await.unwrap();
    begun.notified().await;
    let refused = ground.handle.run(HEALTH, "me").await.unwrap_err();
    assert!(matches!(refused, RunRefused::Busy(_)), "{refused}");
    let mut views = ground.handle.views.clone();
    let is_told = |views: &Vec<TaskView>| {
        let running = views.first().and_then(|view| view.running.as_ref());
        running.is_some_and(|running| running.progress.as_deref() == Some("half of it"))
    };
    views.wait_for(is_told).await.unwrap();
    ground.end().await;
    let stopped = "relaymux was stopped while this ran.".to_owned();
    assert_eq!(rows(&ledger).await, [(TaskCause::ByHand, AT + 7_200_000, TaskOutcome::Interrupted, stopped)]);
}
