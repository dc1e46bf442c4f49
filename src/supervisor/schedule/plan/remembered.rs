//! What an earlier process left of a task.

use super::served::Served;
use crate::{
    events::{TaskCause, TaskKind, TaskOutcome},
    ledger::TaskRunRow,
    types::UnixMillis,
};

/// What is remembered of a task.
#[derive(Clone, Debug)]
pub(crate) struct Remembered {
    pub(crate) task: TaskKind,
    /// Since when it has its schedule.
    pub(crate) since: UnixMillis,
    /// Its last runs, the newest first.
    pub(crate) runs: Vec<TaskRunRow>,
}

impl Remembered {
    /// Up to when what was planned is dealt with by `now`, and which planned times were served.
    pub(super) fn dealt_with(&self, now: UnixMillis) -> (UnixMillis, Served) {
        let again = self.is_to_be_done_again();
        let mut served = Served::default();
        let mut mark = self.since;
        for row in self.runs.iter().filter(|row| row.cause != TaskCause::ByHand) {
            if Some(row.planned_at) == again {
                continue;
            }
            // What a clock that was ahead has left is no word on the time until then.
            if row.planned_at <= now {
                mark = mark.max(row.planned_at);
            }
            // Of another version's outcome it is not known whether it was served: better not again.
            if row.outcome.known().is_none_or(TaskOutcome::has_begun) {
                served.add(row.planned_at);
            }
        }
        (mark, served)
    }

    /// The planned time of a run that was cut short. It is done once more: not again and again, as it may be what ended the process.
    fn is_to_be_done_again(&self) -> Option<UnixMillis> {
        let has_begun = |row: &&TaskRunRow| row.outcome.known().is_some_and(TaskOutcome::has_begun);
        let last = self.runs.iter().filter(has_begun).find(|row| row.cause != TaskCause::ByHand)?;
        let was_first = self.runs.iter().filter(|row| row.planned_at == last.planned_at).count() == 1;
        let was_cut_short = last.outcome == TaskOutcome::Interrupted;
        (was_cut_short && was_first && last.cause == TaskCause::Schedule).then_some(last.planned_at)
    }
}
