//! Whether a planned time of a task is due, and what becomes of it. Pure.

use super::{
    run::{Effect, Run},
    task::{Phase, Task},
};
use crate::{
    events::{TaskCause, TaskOutcome},
    supervisor::schedule::jitter::jitter_ms,
    types::UnixMillis,
};

/// What begins within a minute of its time is on time.
const ON_TIME_MS: i64 = 60_000;
/// Most planned times that are counted. Beyond it, so many are said.
const MAX_COUNTED: u32 = 1000;

/// Looks whether a planned time is due, and what becomes of it.
pub(super) fn plan(task: &mut Task, machine: &str, now: UnixMillis, effects: &mut Vec<Effect>) {
    if task.mark > now {
        // A clock that was set back: what was served is known, and everything else comes when its time comes, which may be now.
        task.mark = now.saturating_sub(1);
    }
    if matches!(&task.phase, Phase::Waiting { run, .. } if run.cause != TaskCause::ByHand && run.planned_at > now)
    {
        task.phase = Phase::Idle;
    }
    if !task.is_on {
        return;
    }
    let Some(due) = Due::find(task, machine, now) else { return };
    let (run, too_late) = (due.run(task), due.too_late(task));
    task.mark = due.planned_at;
    if let Some(left_out) = too_late {
        effects.push(left_out);
        return;
    }
    match &mut task.phase {
        Phase::Idle => task.phase = Phase::Waiting { run, why: None },
        // The newer one stands for both.
        Phase::Waiting { run: waiting, why } if waiting.cause != TaskCause::ByHand => {
            let why = why.take().unwrap_or_default();
            let message = format!("{why} Its next time came before it could begin.").trim_start().to_owned();
            let older = std::mem::replace(waiting, run);
            effects.push(Effect::LeaveOut { run: older, outcome: TaskOutcome::Missed, message });
        }
        Phase::Waiting { .. } => effects.push(Effect::LeaveOut {
            run,
            outcome: TaskOutcome::Overlapped,
            message: "A run that somebody asked for waits to begin at its time.".to_owned(),
        }),
        Phase::Running { began_at, .. } => effects.push(Effect::LeaveOut {
            run,
            outcome: TaskOutcome::Overlapped,
            message: format!(
                "The run before it had not ended at its time: it runs since {} s.",
                now.saturating_sub(*began_at).max(0) / 1000
            ),
        }),
    }
}

/// A planned time whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Due {
    planned_at: UnixMillis,
    /// By how much it is late, in milliseconds.
    late_ms: i64,
    /// How many planned times before it were not dealt with.
    before: u32,
}

impl Due {
    /// The newest planned time that is due and was not dealt with.
    fn find(task: &mut Task, machine: &str, now: UnixMillis) -> Option<Self> {
        let planned_at = task.last_planned(now)?;
        if planned_at <= task.mark {
            return None;
        }
        if task.served.has(planned_at) {
            // The clock was set back since.
            task.mark = planned_at;
            return None;
        }
        let due_at =
            planned_at.saturating_add(jitter_ms(machine, task.kind, planned_at, task.settings.jitter));
        (now >= due_at).then(|| Self {
            planned_at,
            late_ms: now.saturating_sub(due_at),
            before: count(task, planned_at),
        })
    }

    /// The run that it is.
    fn run(self, task: &Task) -> Run {
        let cause = if self.late_ms <= ON_TIME_MS { TaskCause::Schedule } else { TaskCause::CatchUp };
        Run { task: task.kind, cause, planned_at: self.planned_at, stands_for: self.before }
    }

    /// Why it is left out, if it is too late for it.
    fn too_late(self, task: &Task) -> Option<Effect> {
        let within = i64::try_from(task.settings.catch_up.as_millis()).unwrap_or(i64::MAX).max(ON_TIME_MS);
        (self.late_ms > within).then(|| Effect::LeaveOut {
            run: self.run(task),
            outcome: TaskOutcome::Missed,
            message: format!(
                "Nobody was there at its time, and {} s after it is too late: catch_up_within is {} s.",
                self.late_ms / 1000,
                task.settings.catch_up.as_secs()
            ),
        })
    }
}

/// Planned times between the mark and another that were not served.
fn count(task: &Task, until: UnixMillis) -> u32 {
    let mut count = 0;
    let mut at = task.mark;
    while let Some(next) = task.settings.schedule.next_after(at).filter(|next| *next < until) {
        if !task.served.has(next) {
            count += 1;
        }
        if count == MAX_COUNTED {
            break;
        }
        at = next;
    }
    count
}
