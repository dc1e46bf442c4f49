//! The task that owns the plan: waits for time to pass, for a run to end or for somebody to ask, steps, and carries out what follows.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, mpsc, watch},
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    carry_out::{Ended, carry_out, leave_out, ping},
    metrics,
    plan::{Effect, Plan, Remembered},
    record::Record,
    shared::{Asked, Shared},
    view::{view_elsewhere, view_of},
};
use crate::{
    events::TaskKind,
    ledger::{LedgerError, TaskRunRow},
    types::UnixMillis,
};

/// Between two looks at the clock.
const TICK: Duration = Duration::from_secs(1);
/// Longest wait for the ledger at the start.
const RESTORE_WITHIN: Duration = Duration::from_secs(10);
/// How long runs have to end at a stop, and the ledger to write down that they did not.
const STOP_WITHIN: Duration = Duration::from_secs(2);
/// Rows of a task's history that are looked at: all that are kept.
const ROWS: u32 = 1000;

/// Something that went on beside the plan.
enum Job {
    /// A run has ended, or was left out.
    Ended(Ended),
    /// Nothing follows from it.
    Aside,
}

/// Keeps the schedule until told to stop.
pub(super) async fn run(
    shared: Arc<Shared>,
    asked: Arc<Mutex<mpsc::Receiver<Asked>>>,
    stop: CancellationToken,
) {
    let mut asked = asked.lock().await;
    let mut keeper = Keeper::new(shared, stop.clone()).await;
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            Some(asked) = asked.recv() => keeper.asked(asked),
            Some(job) = keeper.jobs.join_next() => match job {
                Ok(Job::Ended(ended)) => keeper.ended(ended),
                Ok(Job::Aside) => {}
                // What a task does is caught; this is the schedule's own, which begins anew with what is in the ledger.
                Err(error) => if let Ok(panic) = error.try_into_panic() {
                    std::panic::resume_unwind(panic);
                },
            },
            () = stop.cancelled() => break,
        }
        keeper.step();
    }
    keeper.end().await;
}

struct Keeper {
    shared: Arc<Shared>,
    plan: Plan,
    records: BTreeMap<TaskKind, Record>,
    /// How far what runs is.
    said: BTreeMap<TaskKind, watch::Receiver<Option<String>>>,
    jobs: JoinSet<Job>,
    stop: CancellationToken,
}

impl Keeper {
    async fn new(shared: Arc<Shared>, stop: CancellationToken) -> Self {
        let now = shared.parts.clock.now();
        let remembered = restore(&shared, now).await;
        let records: BTreeMap<TaskKind, Record> =
            remembered.iter().map(|task| (task.task, Record::of(&task.runs))).collect();
        for (task, record) in &records {
            metrics::begin(*task, record);
        }
        let plan = Plan::new(&shared.parts.settings, remembered, &shared.parts.machine, now);
        Self { shared, plan, records, said: BTreeMap::new(), jobs: JoinSet::new(), stop }
    }

    fn asked(&mut self, Asked { task, by, answer }: Asked) {
        let answered = self.plan.ask(task, self.shared.parts.clock.now());
        if answered.is_ok() {
            info!(task = task.label(), by, "a run of a task was asked for");
        }
        // Who asked may be gone: it runs all the same.
        let _ = answer.send(answered);
    }

    fn step(&mut self) {
        let now = self.shared.parts.clock.now();
        let next_proposal = (self.shared.parts.next_proposal)(now);
        for effect in self.plan.step(now, next_proposal) {
            match effect {
                Effect::Begin(run) => {
                    let (say, said) = watch::channel(None);
                    self.said.insert(run.task, said);
                    let work = carry_out(Arc::clone(&self.shared), run, say, self.stop.child_token());
                    self.jobs.spawn(async { Job::Ended(work.await) });
                }
                Effect::LeaveOut { run, outcome, message } => {
                    let work = leave_out(Arc::clone(&self.shared), run, outcome, message);
                    self.jobs.spawn(async { Job::Ended(work.await) });
                }
                Effect::Waits { task, message } => info!(task = task.label(), "task waits: {message}"),
            }
        }
        self.show(now);
    }

    fn ended(&mut self, Ended { run, row }: Ended) {
        let outcome = row.outcome.known();
        if row.started_at.is_some() {
            self.plan.ended(run.task);
            self.said.remove(&run.task);
            let url = self.shared.parts.settings.tasks.get(&run.task).and_then(|task| task.dead_man.clone());
            if let Some(url) = url {
                let telling = ping(Arc::clone(&self.shared), url, row.clone());
                self.jobs.spawn(async {
                    telling.await;
                    Job::Aside
                });
            }
        }
        let record = self.records.entry(run.task).or_default();
        record.add(row);
        if let Some(outcome) = outcome {
            metrics::count(run.task, outcome, record);
        }
    }

    /// Shows how every task is, and what is wrong.
    fn show(&self, now: UnixMillis) {
        let parts = &self.shared.parts;
        let none = Record::default();
        let of_plan = self.plan.tasks.iter().map(|task| {
            let progress = self.said.get(&task.kind).and_then(|said| said.borrow().clone());
            let record = self.records.get(&task.kind).unwrap_or(&none);
            view_of(task, record, progress, &parts.machine, now)
        });
        let elsewhere = parts.elsewhere.iter().map(|(task, why)| view_elsewhere(*task, why));
        let views = of_plan.chain(elsewhere).collect::<Vec<_>>();
        self.shared.views.send_if_modified(|shown| {
            let is_news = *shown != views;
            *shown = views;
            is_news
        });
        // What is off is nobody's worry.
        let on = self.plan.tasks.iter().filter(|task| task.is_on);
        let wrong = on.filter_map(|task| Some(self.records.get(&task.kind)?.troubles(task.kind)));
        let wrong = Some(wrong.flatten().collect::<Vec<_>>());
        self.shared.troubles.send_if_modified(|shown| {
            let is_news = *shown != wrong;
            *shown = wrong;
            is_news
        });
    }

    /// What runs has a moment to end; of what does not, it is written down.
    async fn end(mut self) {
        let ending = async { while self.jobs.join_next().await.is_some() {} };
        if timeout(STOP_WITHIN, ending).await.is_ok() {
            return;
        }
        self.jobs.abort_all();
        let parts = &self.shared.parts;
        let message = "relaymux was stopped while this ran.";
        let written = parts.ledger.interrupt_task_runs(message, parts.clock.now());
        if !matches!(timeout(STOP_WITHIN, written).await, Ok(Ok(_))) {
            warn!("tasks that were under way are not in the ledger as such: the next start writes it down");
        }
    }
}

/// What earlier processes left of each task that there is. Where the ledger cannot be read, every task begins anew.
async fn restore(shared: &Shared, now: UnixMillis) -> Vec<Remembered> {
    let parts = &shared.parts;
    let of_settings = |task: &TaskKind| parts.settings.tasks.contains_key(task);
    let tasks: Vec<TaskKind> = parts.runners.kinds().filter(of_settings).collect();
    let read = async {
        let message = "relaymux itself ended while this ran.";
        parts.ledger.interrupt_task_runs(message, now).await?;
        let mut left = Vec::new();
        for task in &tasks {
            left.push(remembered(shared, *task, now).await?);
        }
        Ok::<_, LedgerError>(left)
    };
    match timeout(RESTORE_WITHIN, read).await {
        Ok(Ok(left)) => return left,
        Ok(Err(error)) => warn!(%error, "when tasks ran last cannot be read: nothing is made up for"),
        Err(_) => warn!("when tasks ran last cannot be read in time: nothing is made up for"),
    }
    tasks.into_iter().map(|task| Remembered { task, since: now, runs: Vec::new() }).collect()
}

async fn remembered(shared: &Shared, task: TaskKind, now: UnixMillis) -> Result<Remembered, LedgerError> {
    let (ledger, settings) = (&shared.parts.ledger, &shared.parts.settings);
    let runs: Vec<TaskRunRow> = ledger.task_runs(task, ROWS).await?;
    let on = settings.tasks.get(&task).filter(|task| settings.enabled && task.enabled);
    let since = match on {
        Some(of_task) => ledger.watch_task(task, &of_task.schedule.to_string(), now).await?,
        None => {
            ledger.forget_task(task).await?;
            now
        }
    };
    Ok(Remembered { task, since, runs })
}
