//! One task: what is known of it, and what becomes of its planned times.

use super::{remembered::Remembered, run::Run, served::Served};
use crate::{
    events::{TaskCause, TaskKind},
    supervisor::schedule::{jitter::jitter_ms, settings::TaskSettings},
    types::UnixMillis,
};

/// How far a task is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing is to be done.
    Idle,
    /// It is to run, and something keeps it. `why`: what; none before anybody has looked.
    Waiting { run: Run, why: Option<String> },
    /// It runs.
    Running { run: Run, began_at: UnixMillis },
}

/// A task.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) kind: TaskKind,
    pub(crate) settings: TaskSettings,
    /// Whether it runs by itself.
    pub(crate) is_on: bool,
    pub(crate) phase: Phase,
    /// What was planned up to here is dealt with.
    pub(super) mark: UnixMillis,
    pub(super) served: Served,
    /// The newest planned time at some moment, and the one after it: no other lies between.
    known: Option<(UnixMillis, UnixMillis)>,
}

impl Task {
    pub(super) fn new(settings: TaskSettings, is_on: bool, remembered: Remembered, now: UnixMillis) -> Self {
        let (mark, served) = remembered.dealt_with(now);
        let is_on = is_on && settings.enabled;
        Self { kind: remembered.task, settings, is_on, phase: Phase::Idle, mark, served, known: None }
    }

    /// The newest planned time up to now.
    pub(super) fn last_planned(&mut self, now: UnixMillis) -> Option<UnixMillis> {
        match self.known {
            Some((last, next)) if (last..next).contains(&now) => Some(last),
            Some(_) | None => {
                let last = self.settings.schedule.last_until(now)?;
                self.known = self.settings.schedule.next_after(now).map(|next| (last, next));
                Some(last)
            }
        }
    }

    /// When it begins next by itself, jitter included: the planned time and the moment.
    pub(crate) fn next(&self, machine: &str, now: UnixMillis) -> Option<(UnixMillis, UnixMillis)> {
        let moment = |planned_at: UnixMillis| {
            planned_at.saturating_add(jitter_ms(machine, self.kind, planned_at, self.settings.jitter))
        };
        let schedule = &self.settings.schedule;
        // One that has passed may wait for its jitter.
        let passed = schedule.last_until(now).filter(|at| *at > self.mark && !self.served.has(*at));
        let planned_at = passed.filter(|at| moment(*at) > now).or_else(|| schedule.next_after(now));
        planned_at.filter(|_| self.is_on).map(|at| (at, moment(at)))
    }

    /// A run of it begins.
    pub(super) fn begun(&mut self, run: &Run, now: UnixMillis) {
        if run.cause != TaskCause::ByHand {
            self.served.add(run.planned_at);
        }
        self.phase = Phase::Running { run: run.clone(), began_at: now };
    }
}
