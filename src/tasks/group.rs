//! Starts tasks, watches them, stops them together.

use std::{any::Any, fmt, sync::Arc, time::Duration};

use metrics::{counter, describe_counter};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Consequence, TaskFailure, TaskNews, injected};

/// First pause before a task begins anew; it doubles up to the second.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A task that ran this long before it failed has recovered from the failure before.
const RECOVERED: Duration = Duration::from_secs(600);
/// A failure does not end a process that is younger than this.
const YOUNG: Duration = Duration::from_secs(60);

/// Describes what is counted of tasks, and begins it at 0 for those that begin anew when they fail.
pub fn describe_metrics(restarting: &[&'static str]) {
    describe_counter!(
        "relaymux_task_restarts_total",
        "Panics of tasks that began anew: defects, please report them"
    );
    for task in restarting {
        counter!("relaymux_task_restarts_total", "task" => *task).increment(0);
    }
}

/// The tasks of a process, and who is told of them. Clones are of the same process.
#[derive(Clone)]
pub struct Tasks {
    started: Instant,
    tell: Arc<dyn Fn(TaskNews) + Send + Sync>,
    fatal: Arc<watch::Sender<Option<String>>>,
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks").field("started", &self.started).finish_non_exhaustive()
    }
}

/// Shows that the process has to end.
#[derive(Clone, Debug)]
pub struct Fatal(watch::Receiver<Option<String>>);

impl Fatal {
    /// Waits until the process has to end, and says why. Cancel-safe.
    pub async fn message(&mut self) -> String {
        match self.0.wait_for(Option::is_some).await {
            Ok(message) => message.clone().unwrap_or_default(),
            // Nobody is left who could say so.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Tasks {
    /// No tasks yet. `tell` hears of every failure; it must not block.
    pub fn new(tell: impl Fn(TaskNews) + Send + Sync + 'static) -> (Self, Fatal) {
        let (fatal, seen) = watch::channel(None);
        (Self { started: Instant::now(), tell: Arc::new(tell), fatal: Arc::new(fatal) }, Fatal(seen))
    }

    /// A group of tasks that stop together.
    pub fn group(&self) -> TaskGroup {
        TaskGroup { tasks: self.clone(), stop: CancellationToken::new(), running: TaskTracker::new() }
    }

    fn failed(&self, task: &'static str, consequence: Consequence, message: String) {
        (self.tell)(TaskNews::Failed(TaskFailure { task, consequence, message }));
    }
}

/// Tasks that stop together. Clones are of the same group.
#[derive(Clone, Debug)]
pub struct TaskGroup {
    tasks: Tasks,
    stop: CancellationToken,
    running: TaskTracker,
}

impl TaskGroup {
    /// Cancelled when the group is to end.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Tells every task of the group to end.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until every task of the group has ended.
    pub async fn ended(&self) {
        self.running.close();
        self.running.wait().await;
    }

    /// Runs a task that is started anew when it fails.
    pub fn restarting<T>(
        &self,
        name: &'static str,
        mut start: impl FnMut(CancellationToken) -> T + Send + 'static,
    ) -> JoinHandle<()>
    where
        T: Future<Output = ()> + Send + 'static,
    {
        let restarts = counter!("relaymux_task_restarts_total", "task" => name);
        let group = self.clone();
        self.running.spawn(async move {
            let mut failures = 0;
            loop {
                let begun = Instant::now();
                let task = start(group.stop_token());
                let Some(failure) = run(name, failures, task, &group.stop).await else { return };
                failures = if begun.elapsed() >= RECOVERED { 1 } else { failures + 1 };
                let pause = pause_after(failures);
                restarts.increment(1);
                let message = format!("{failure}; it begins anew in {} s", pause.as_secs());
                group.tasks.failed(name, Consequence::BeginsAnew, message);
                tokio::select! {
                    () = sleep(pause) => (group.tasks.tell)(TaskNews::BeganAnew { task: name }),
                    () = group.stop.cancelled() => return,
                }
            }
        })
    }

    /// Runs a task without which the service goes on.
    pub fn optional<T>(
        &self,
        name: &'static str,
        start: impl FnOnce(CancellationToken) -> T,
    ) -> JoinHandle<()>
    where
        T: Future<Output = ()> + Send + 'static,
    {
        let (group, task) = (self.clone(), start(self.stop_token()));
        self.running.spawn(async move {
            let Some(failure) = run(name, 0, task, &group.stop).await else { return };
            let message = format!("{failure}; the service goes on without it until it is restarted");
            group.tasks.failed(name, Consequence::StaysAway, message);
        })
    }

    /// Runs a task that is done at some time; only a panic is a failure.
    pub fn finite<T>(&self, name: &'static str, start: impl FnOnce(CancellationToken) -> T) -> JoinHandle<()>
    where
        T: Future<Output = ()> + Send + 'static,
    {
        let (group, task) = (self.clone(), start(self.stop_token()));
        self.running.spawn(async move {
            let done = CancellationToken::new();
            let end = done.clone();
            let task = async move {
                task.await;
                end.cancel();
            };
            if let Some(failure) = run(name, 0, task, &done).await
                && !group.stop.is_cancelled()
            {
                group.tasks.failed(name, Consequence::LeftUndone, failure);
            }
        })
    }

    /// Runs a task that everything relies on: the process ends when it does.
    pub fn vital<T>(&self, name: &'static str, start: impl FnOnce(CancellationToken) -> T) -> JoinHandle<()>
    where
        T: Future<Output = ()> + Send + 'static,
    {
        let (group, task) = (self.clone(), start(self.stop_token()));
        self.running.spawn(async move {
            let Some(failure) = run(name, 0, task, &group.stop).await else { return };
            let message = format!("{failure}; the process ends, to be started again");
            group.tasks.failed(name, Consequence::EndsProcess, message.clone());
            tokio::select! {
                () = sleep_until(group.tasks.started + young()) => {}
                () = group.stop.cancelled() => return,
            }
            group.tasks.fatal.send_replace(Some(message));
        })
    }
}

/// Runs a task to its end; the failure that it ended by, unless it was told to stop.
async fn run(
    name: &'static str,
    failures: u32,
    task: impl Future<Output = ()> + Send + 'static,
    stop: &CancellationToken,
) -> Option<String> {
    match tokio::spawn(injected::run(name, failures, task)).await {
        Ok(()) if stop.is_cancelled() => None,
        Ok(()) => Some(format!("the task {name} ended by itself")),
        Err(end) => match end.try_into_panic() {
            Ok(panic) => Some(format!("the task {name} panicked: {}", panic_message(&*panic))),
            // The runtime is going away.
            Err(_) => None,
        },
    }
}

fn young() -> Duration {
    if injected::is_in_haste() { Duration::ZERO } else { YOUNG }
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::mpsc;

    use super::*;

    struct Watched {
        group: TaskGroup,
        fatal: Fatal,
        news: mpsc::Receiver<TaskNews>,
    }

    fn watched() -> Watched {
        let (tell, news) = mpsc::channel(64);
        let (tasks, fatal) = Tasks::new(move |news| tell.try_send(news).unwrap());
        Watched { group: tasks.group(), fatal, news }
    }

    impl Watched {
        async fn failure(&mut self) -> TaskFailure {
            match self.news.recv().await.unwrap() {
                TaskNews::Failed(failure) => failure,
                other @ TaskNews::BeganAnew { .. } => panic!("{other:?}"),
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
        let counted = Arc::clone(&starts);
        all.group.restarting("writer", move |stop| {
            let number = counted.fetch_add(1, Ordering::Relaxed);
            async move {
                match number {
                    0 => panic!("a row of another world"),
                    1 => {}
                    _ => stop.cancelled().await,
                }
            }
        });
        let first = all.failure().await;
        assert_eq!((first.task, first.consequence), ("writer", Consequence::BeginsAnew));
        assert!(first.message.contains("panicked: a row of another world"), "{}", first.message);
        assert_eq!(all.news.recv().await, Some(TaskNews::BeganAnew { task: "writer" }));
        assert!(all.failure().await.message.contains("ended by itself; it begins anew in 2 s"));
        assert_eq!(all.news.recv().await, Some(TaskNews::BeganAnew { task: "writer" }));
        sleep(Duration::from_secs(5)).await;
        all.group.stop();
        all.group.ended().await;
        assert_eq!(starts.load(Ordering::Relaxed), 3);
        assert!(all.news.try_recv().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_vital_tasks_panic_ends_the_process_but_not_a_young_one() {
        let mut all = watched();
        let task = all.group.vital("monitor", |_| async { panic!("no rank for {}", "r0") });
        assert_eq!(all.failure().await.consequence, Consequence::EndsProcess);
        assert!(tokio::time::timeout(YOUNG - Duration::from_secs(1), all.fatal.message()).await.is_err());
        let message = all.fatal.message().await;
        assert!(message.contains("monitor panicked: no rank for r0"), "{message}");
        task.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_service_goes_on_without_an_optional_task() {
        let mut all = watched();
        all.group.optional("bundles", |_| async {}).await.unwrap();
        let failure = all.failure().await;
        assert_eq!(failure.consequence, Consequence::StaysAway);
        assert!(failure.message.contains("bundles ended by itself"));
        all.group.finite("seed", |_| async {}).await.unwrap();
        all.group.finite("seed", |_| async { panic!("half-way") }).await.unwrap();
        let failure = all.failure().await;
        assert_eq!(failure.consequence, Consequence::LeftUndone);
        assert!(failure.message.contains("half-way"));
        assert!(tokio::time::timeout(YOUNG * 2, all.fatal.message()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_is_no_failure() {
        let mut all = watched();
        all.group.vital("a", CancellationToken::cancelled_owned);
        all.group.optional("b", CancellationToken::cancelled_owned);
        all.group.restarting("c", CancellationToken::cancelled_owned);
        all.group.finite("d", CancellationToken::cancelled_owned);
        assert!(tokio::time::timeout(YOUNG, all.group.ended()).await.is_err(), "nobody has told them");
        all.group.stop();
        all.group.ended().await;
        assert!(all.news.try_recv().is_err());
        assert!(tokio::time::timeout(YOUNG * 2, all.fatal.message()).await.is_err());
    }
}
