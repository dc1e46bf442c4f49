//! Watches the long-lived tasks: none of them ends, by a panic or by itself, without being told and without consequence.
//!
//! What the consequence is depends on what is lost while the task is away, and is decided where it is started: a task that can begin anew is
//! started again; one without which a proposer is served all the same stays away, and the service is degraded; one that the rest relies on ends
//! the process in good order, so that whoever started it starts it again. Not in its first minute, though: a task that fails at
//! every start would otherwise keep the builder API away for good.

use std::{any::Any, sync::Arc, time::Duration};

use metrics::{counter, describe_counter};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::{
    consensus::WallClock,
    events::{Event, Notice, NoticeRule, Severity, Spine, count_notice},
    ops_api::Degraded,
};

/// First pause before a task begins anew; it doubles up to the second.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A task that ran this long before it failed has recovered from the failure before.
const RECOVERED: Duration = Duration::from_secs(600);
/// A failure does not end a process that is younger than this.
const YOUNG: Duration = Duration::from_secs(60);

/// Starts tasks and watches them.
#[derive(Clone, Debug)]
pub(super) struct Supervisor {
    started: Instant,
    spine: Spine,
    degraded: Degraded,
    fatal: Arc<watch::Sender<Option<String>>>,
}

/// Shows that the process has to end.
#[derive(Clone, Debug)]
pub(super) struct Fatal(watch::Receiver<Option<String>>);

impl Fatal {
    /// Waits until the process has to end, and says why. Cancel-safe.
    pub(super) async fn message(&mut self) -> String {
        let found = self.0.wait_for(Option::is_some).await.map(|message| message.clone().unwrap_or_default());
        match found {
            Ok(message) => message,
            // Nobody is left who could say so.
            Err(_) => std::future::pending().await,
        }
    }
}

/// The tasks that begin anew when they panic.
const RESTARTING: [&str; 8] = [
    "metrics",
    "chain_watch",
    "duties",
    "probes",
    "ledger_writer",
    "profit_checks",
    "registration_checks",
    "settlements",
];

/// Describes what is counted of tasks, and begins it at 0.
pub(super) fn describe_metrics() {
    describe_counter!(
        "relaymux_task_restarts_total",
        "Panics of tasks that began anew: defects, please report them"
    );
    for task in RESTARTING {
        counter!("relaymux_task_restarts_total", "task" => task).increment(0);
    }
}

impl Supervisor {
    pub(super) fn new(spine: Spine, degraded: Degraded) -> (Self, Fatal) {
        let (fatal, seen) = watch::channel(None);
        (Self { started: Instant::now(), spine, degraded, fatal: Arc::new(fatal) }, Fatal(seen))
    }

    /// A task that is started anew when it fails.
    pub(super) fn restarting<T>(
        &self,
        name: &'static str,
        stop: &CancellationToken,
        mut start: impl FnMut() -> T + Send + 'static,
    ) -> JoinHandle<()>
    where
        T: Future<Output = ()> + Send + 'static,
    {
        let (supervisor, stop) = (self.clone(), stop.clone());
        tokio::spawn(async move {
            let mut failures = 0;
            loop {
                let begun = Instant::now();
                let Some(failure) = supervisor.run(name, failures, start(), &stop).await else { return };
                failures = if begun.elapsed() >= RECOVERED { 1 } else { failures + 1 };
                let pause = pause_after(failures);
                counter!("relaymux_task_restarts_total", "task" => name).increment(1);
                let message = format!("{failure}; it begins anew in {} s", pause.as_secs());
                supervisor.notify(name, Severity::P3, &message);
                supervisor.degraded.set(name, message);
                tokio::select! {
                    () = sleep(pause) => supervisor.degraded.clear(name),
                    () = stop.cancelled() => return,
                }
            }
        })
    }

    /// A task without which the service goes on.
    pub(super) fn optional(
        &self,
        name: &'static str,
        stop: &CancellationToken,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        let (supervisor, stop) = (self.clone(), stop.clone());
        tokio::spawn(async move {
            let Some(failure) = supervisor.run(name, 0, task, &stop).await else { return };
            let message = format!("{failure}; the service goes on without it until it is restarted");
            supervisor.notify(name, Severity::P2, &message);
            supervisor.degraded.set(name, message);
        })
    }

    /// A task that is done at some time; only a panic is a failure.
    pub(super) fn finite(
        &self,
        name: &'static str,
        stop: &CancellationToken,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        let (supervisor, stop) = (self.clone(), stop.clone());
        tokio::spawn(async move {
            let done = CancellationToken::new();
            let end = done.clone();
            let task = async move {
                task.await;
                end.cancel();
            };
            if let Some(failure) = supervisor.run(name, 0, task, &done).await
                && !stop.is_cancelled()
            {
                supervisor.notify(name, Severity::P3, &failure);
            }
        })
    }

    /// A task that everything relies on: the process ends when it does.
    pub(super) fn vital(
        &self,
        name: &'static str,
        stop: &CancellationToken,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        let (supervisor, stop) = (self.clone(), stop.clone());
        tokio::spawn(async move {
            let Some(failure) = supervisor.run(name, 0, task, &stop).await else { return };
            let message = format!("{failure}; the process ends, to be started again");
            supervisor.notify(name, Severity::P1, &message);
            supervisor.degraded.set(name, message.clone());
            tokio::select! {
                () = sleep_until(supervisor.started + young()) => {}
                () = stop.cancelled() => return,
            }
            supervisor.fatal.send_replace(Some(message));
        })
    }

    /// Runs a task to its end; the failure that it ended by, in words, unless it was told to stop.
    async fn run(
        &self,
        name: &'static str,
        failures: u32,
        task: impl Future<Output = ()> + Send + 'static,
        stop: &CancellationToken,
    ) -> Option<String> {
        #[cfg(debug_assertions)]
        let task = injected::may_panic(name, failures, task);
        #[cfg(not(debug_assertions))]
        let _ = failures;
        match tokio::spawn(task).await {
            Ok(()) if stop.is_cancelled() => None,
            Ok(()) => Some(format!("the task {name} ended by itself")),
            Err(end) => match end.try_into_panic() {
                Ok(panic) => Some(format!("the task {name} panicked: {}", panic_message(&*panic))),
                // The runtime is going away.
                Err(_) => None,
            },
        }
    }

    fn notify(&self, name: &'static str, severity: Severity, message: &str) {
        if severity == Severity::P3 {
            warn!(task = name, "{message}")
        } else {
            error!(task = name, "{message}")
        }
        count_notice(NoticeRule::TaskFailed);
        self.spine.publish(Event::Notice(Notice {
            rule: NoticeRule::TaskFailed,
            subject: name.to_owned(),
            severity: Some(severity),
            message: message.to_owned(),
            resolved: false,
            at: WallClock.now(),
        }));
    }
}

fn young() -> Duration {
    #[cfg(debug_assertions)]
    if injected::is_in_haste() {
        return Duration::ZERO;
    }
    YOUNG
}

/// How long a task rests after so many failures in a row.
fn pause_after(failures: u32) -> Duration {
    let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE)
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}

/// Panics on demand, for the tests of the whole process. Debug builds only: in what is released this does not exist.
#[cfg(debug_assertions)]
mod injected {
    use std::env;

    /// Names of tasks, separated by commas, that panic at their first start.
    const VARIABLE: &str = "TEST_PANIC_IN_TASKS";
    /// Set: the process is not spared while it is young.
    const HASTE: &str = "TEST_END_AT_ONCE";

    pub(super) fn is_in_haste() -> bool {
        env::var_os(HASTE).is_some()
    }

    pub(super) async fn may_panic(name: &'static str, failures: u32, task: impl Future<Output = ()>) {
        let asked = env::var(VARIABLE).unwrap_or_default();
        assert!(
            failures > 0 || !asked.split(',').any(|asked| asked == name),
            "a test asked {name} for a panic"
        );
        task.await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    struct Watched {
        supervisor: Supervisor,
        fatal: Fatal,
        degraded: Degraded,
        events: crate::events::Subscription,
        stop: CancellationToken,
    }

    fn watched() -> Watched {
        let (spine, degraded) = (Spine::new(), Degraded::default());
        let events = spine.subscribe();
        let (supervisor, fatal) = Supervisor::new(spine, degraded.clone());
        Watched { supervisor, fatal, degraded, events, stop: CancellationToken::new() }
    }

    impl Watched {
        async fn notice(&mut self) -> Notice {
            match &*self.events.next().await.unwrap() {
                Event::Notice(notice) => notice.clone(),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let secs: Vec<u64> = [1, 2, 3, 6, 7, 8, 40, 1000].map(|n| pause_after(n).as_secs()).to_vec();
        assert_eq!(secs, [1, 2, 4, 32, 60, 60, 60, 60]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_begins_anew_until_it_is_told_to_stop() {
        let mut all = watched();
        let starts = Arc::new(AtomicU32::new(0));
        let (counted, stop) = (Arc::clone(&starts), all.stop.clone());
        let task = all.supervisor.restarting("writer", &all.stop, move || {
            let (number, stop) = (counted.fetch_add(1, Ordering::Relaxed), stop.clone());
            async move {
                match number {
                    0 => panic!("a row of another world"),
                    1 => {}
                    _ => stop.cancelled().await,
                }
            }
        });
        let first = all.notice().await;
        assert_eq!((first.rule.label(), first.subject.as_str()), ("task_failed", "writer"));
        assert!(first.message.contains("panicked: a row of another world"), "{}", first.message);
        assert!(all.degraded.list().contains_key("writer"));
        assert!(all.notice().await.message.contains("ended by itself; it begins anew in 2 s"));
        sleep(Duration::from_secs(5)).await;
        assert_eq!(starts.load(Ordering::Relaxed), 3);
        assert!(all.degraded.list().is_empty());
        all.stop.cancel();
        task.await.unwrap();
        assert_eq!(starts.load(Ordering::Relaxed), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_vital_tasks_panic_ends_the_process_but_not_a_young_one() {
        let mut all = watched();
        let task = all.supervisor.vital("monitor", &all.stop, async { panic!("no rank for {}", "r0") });
        let notice = all.notice().await;
        assert_eq!(notice.severity, Some(Severity::P1));
        assert!(tokio::time::timeout(YOUNG - Duration::from_secs(1), all.fatal.message()).await.is_err());
        let message = all.fatal.message().await;
        assert!(message.contains("monitor panicked: no rank for r0"), "{message}");
        task.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_service_goes_on_without_an_optional_task() {
        let mut all = watched();
        all.supervisor.optional("bundles", &all.stop, async {}).await.unwrap();
        assert!(all.notice().await.message.contains("bundles ended by itself"));
        assert!(all.degraded.list().contains_key("bundles"));
        all.supervisor.finite("seed", &all.stop, async {}).await.unwrap();
        all.supervisor.finite("seed", &all.stop, async { panic!("half-way") }).await.unwrap();
        assert!(all.notice().await.message.contains("half-way"));
        assert!(tokio::time::timeout(YOUNG * 2, all.fatal.message()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_is_no_failure() {
        let mut all = watched();
        let stop = || all.stop.clone().cancelled_owned();
        let tasks = [
            all.supervisor.vital("a", &all.stop, stop()),
            all.supervisor.optional("b", &all.stop, stop()),
            all.supervisor.restarting("c", &all.stop, {
                let stop = all.stop.clone();
                move || stop.clone().cancelled_owned()
            }),
        ];
        all.stop.cancel();
        for task in tasks {
            task.await.unwrap();
        }
        assert!(all.events.try_next().is_none() && all.degraded.list().is_empty());
        assert!(tokio::time::timeout(YOUNG * 2, all.fatal.message()).await.is_err());
    }
}
