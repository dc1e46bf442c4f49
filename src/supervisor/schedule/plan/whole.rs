//! All tasks together: what keeps each from beginning, and what somebody asks for.

use std::time::Duration;

use super::{
    due::plan,
    remembered::Remembered,
    run::{Effect, Run, RunRefused},
    task::{Phase, Task},
};
use crate::{
    events::{TaskCause, TaskKind},
    supervisor::schedule::{near::held_until, settings::ScheduleSettings},
    types::UnixMillis,
};

/// All tasks.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) tasks: Vec<Task>,
    keep_clear: Duration,
    /// What tells this machine from others, for jitter.
    machine: String,
    /// The proposals of our own next to now: the one that comes, and the one that was.
    next_proposal: Option<UnixMillis>,
    last_proposal: Option<UnixMillis>,
    /// Nothing begins by itself before; `None` once that is over.
    quiet: Option<Quiet>,
}

/// The first moments after a start.
#[derive(Clone, Copy, Debug)]
struct Quiet {
    from: UnixMillis,
    until: UnixMillis,
}

impl Plan {
    /// The tasks of some kinds, with what is remembered of each.
    pub(crate) fn new(
        settings: &ScheduleSettings,
        remembered: Vec<Remembered>,
        machine: &str,
        now: UnixMillis,
    ) -> Self {
        let tasks = remembered.into_iter().filter_map(|remembered| {
            let of_task = settings.tasks.get(&remembered.task)?.clone();
            Some(Task::new(of_task, settings.enabled, remembered, now))
        });
        let delay = i64::try_from(settings.start_delay.as_millis()).unwrap_or(i64::MAX);
        Self {
            tasks: tasks.collect(),
            keep_clear: settings.keep_clear,
            machine: machine.to_owned(),
            next_proposal: None,
            last_proposal: None,
            quiet: (delay > 0).then_some(Quiet { from: now, until: now.saturating_add(delay) }),
        }
    }

    /// Time has passed. `next_proposal`: when our next proposal begins, where that is known.
    pub(crate) fn step(&mut self, now: UnixMillis, next_proposal: Option<UnixMillis>) -> Vec<Effect> {
        self.note_proposal(now, next_proposal);
        // A clock that was set back before the start says nothing of how long that was ago.
        self.quiet = self.quiet.filter(|quiet| (quiet.from..quiet.until).contains(&now));
        let mut effects = Vec::new();
        for task in &mut self.tasks {
            plan(task, &self.machine, now, &mut effects);
        }
        for index in 0..self.tasks.len() {
            self.begin(index, now, &mut effects);
        }
        effects
    }

    /// Somebody asks for a run, now. It begins with the next step, unless something keeps it.
    pub(crate) fn ask(&mut self, kind: TaskKind, now: UnixMillis) -> Result<Run, RunRefused> {
        let Some(task) = self.tasks.iter_mut().find(|task| task.kind == kind) else {
            return Err(RunRefused::Unknown(format!(
                "{kind} is no task of this service: nothing in its configuration needs it"
            )));
        };
        match &task.phase {
            Phase::Idle => {
                let run = Run { task: kind, cause: TaskCause::ByHand, planned_at: now, stands_for: 0 };
                task.phase = Phase::Waiting { run: run.clone(), why: None };
                Ok(run)
            }
            Phase::Waiting { why, .. } => {
                let why = why.as_deref().unwrap_or("It begins at once.");
                Err(RunRefused::Busy(format!("{kind} waits to run already. {why}")))
            }
            Phase::Running { began_at, .. } => Err(RunRefused::Busy(format!(
                "{kind} runs already, since {} s",
                now.saturating_sub(*began_at).max(0) / 1000
            ))),
        }
    }

    /// A run has ended.
    pub(crate) fn ended(&mut self, kind: TaskKind) {
        if let Some(task) = self.tasks.iter_mut().find(|task| task.kind == kind) {
            task.phase = Phase::Idle;
        }
    }

    fn note_proposal(&mut self, now: UnixMillis, next: Option<UnixMillis>) {
        // One that moved to another slot before its time came never was.
        let begun = [self.next_proposal, next].into_iter().flatten().filter(|at| *at <= now).max();
        self.last_proposal = begun.or(self.last_proposal);
        self.next_proposal = next;
    }

    fn begin(&mut self, index: usize, now: UnixMillis, effects: &mut Vec<Effect>) {
        let Some(Task { kind, phase: Phase::Waiting { run, why: before }, .. }) = self.tasks.get(index)
        else {
            return;
        };
        let why = self.kept_by(*kind, run.cause, now);
        let (run, is_news) = (run.clone(), why != *before);
        let Some(task) = self.tasks.get_mut(index) else { return };
        match why {
            Some(message) => {
                if is_news {
                    effects.push(Effect::Waits { task: task.kind, message: message.clone() });
                }
                task.phase = Phase::Waiting { run, why: Some(message) };
            }
            None => {
                task.begun(&run, now);
                effects.push(Effect::Begin(run));
            }
        }
    }

    /// What keeps a task from beginning now.
    fn kept_by(&self, kind: TaskKind, cause: TaskCause, now: UnixMillis) -> Option<String> {
        if self.quiet.is_some() && cause != TaskCause::ByHand {
            return Some("It waits until relaymux has been running for start_delay.".to_owned());
        }
        if let Some(until) = held_until([self.next_proposal, self.last_proposal], now, self.keep_clear) {
            let until = jiff::Timestamp::from_millisecond(until)
                .map_or_else(|_| "later".to_owned(), |at| at.strftime("%H:%M:%S UTC").to_string());
            return Some(format!("It waits until {until}, as a proposal of our own is near."));
        }
        let runs = |other: &&Task| matches!(other.phase, Phase::Running { .. });
        let other =
            self.tasks.iter().filter(|_| kind.is_heavy()).filter(runs).find(|other| other.kind.is_heavy())?;
        Some(format!("It waits for {} to end, as both are heavy.", other.kind))
    }
}
