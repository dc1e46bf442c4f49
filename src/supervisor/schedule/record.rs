//! What is known of a task's runs: the last one, the last that went well, and what is wrong until one does. Pure.

use super::rules::{TASK_FAILED, TASK_MISSED, TASK_OVERRAN};
use crate::{
    events::{TaskKind, TaskOutcome},
    ledger::TaskRunRow,
    supervisor::fleet::Trouble,
    types::UnixMillis,
};

/// A task's runs so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// The last one that has ended, or was left out.
    pub(super) last: Option<TaskRunRow>,
    /// When one last went well, in Unix milliseconds.
    pub(super) last_success_at: Option<UnixMillis>,
    failed: Option<String>,
    missed: Option<String>,
    overran: Option<String>,
}

impl Record {
    /// Of rows, the newest first.
    pub(super) fn of(rows: &[TaskRunRow]) -> Self {
        let mut record = Self::default();
        for row in rows.iter().rev() {
            record.add(row.clone());
        }
        record
    }

    /// One more run, as it ended.
    pub(super) fn add(&mut self, row: TaskRunRow) {
        let message = || row.message.clone();
        match row.outcome.known() {
            Some(TaskOutcome::Running) => return,
            // It ran: what it found has an alert of its own.
            Some(TaskOutcome::Done | TaskOutcome::Found) => {
                (self.failed, self.missed, self.overran) = (None, None, None);
                self.last_success_at = row.ended_at.or(self.last_success_at);
            }
            Some(TaskOutcome::Failed | TaskOutcome::Interrupted) => self.failed = Some(message()),
            Some(TaskOutcome::TimedOut | TaskOutcome::Overlapped) => self.overran = Some(message()),
            Some(TaskOutcome::Missed) => self.missed = Some(message()),
            // Of another version.
            None => {}
        }
        self.last = Some(row);
    }

    /// What is wrong.
    pub(super) fn troubles(&self, task: TaskKind) -> impl Iterator<Item = Trouble> {
        let of = |rule, message: &Option<String>| {
            let message = message.clone()?;
            Some(Trouble { rule, subject: task.label().to_owned(), message: format!("{task}: {message}") })
        };
        [of(&TASK_FAILED, &self.failed), of(&TASK_MISSED, &self.missed), of(&TASK_OVERRAN, &self.overran)]
            .into_iter()
            .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::TaskCause;

    fn row(outcome: TaskOutcome, at: UnixMillis) -> TaskRunRow {
        TaskRunRow {
            number: at,
            cause: TaskCause::Schedule.into(),
            planned_at: at,
            started_at: None,
            ended_at: Some(at),
            outcome: outcome.into(),
            message: format!("{outcome}."),
        }
    }

    #[test]
    fn what_is_wrong_is_wrong_until_a_run_goes_well() {
        for (outcomes, wrong, success) in [
            (vec![], vec![], None),
            (vec![TaskOutcome::Failed], vec!["maintenance_failed"], None),
            (vec![TaskOutcome::Done, TaskOutcome::Interrupted], vec!["maintenance_failed"], Some(0)),
            (vec![TaskOutcome::Failed, TaskOutcome::Running], vec!["maintenance_failed"], None),
            (
                vec![TaskOutcome::TimedOut, TaskOutcome::Missed],
                vec!["maintenance_missed", "maintenance_overran"],
                None,
            ),
            (vec![TaskOutcome::Overlapped], vec!["maintenance_overran"], None),
            (vec![TaskOutcome::Failed, TaskOutcome::Missed, TaskOutcome::Done], vec![], Some(2)),
            (vec![TaskOutcome::Failed, TaskOutcome::Found], vec![], Some(1)),
        ] {
            let rows: Vec<_> = (0..).zip(&outcomes).map(|(at, outcome)| row(*outcome, at)).collect();
            let rows: Vec<_> = rows.into_iter().rev().collect();
            let record = Record::of(&rows);
            let troubles: Vec<_> = record.troubles(TaskKind::Backup).collect();
            let names: Vec<&str> = troubles.iter().map(|trouble| &*trouble.rule.name).collect();
            assert_eq!((names, record.last_success_at), (wrong, success), "{outcomes:?}");
            assert!(troubles.iter().all(|it| it.subject == "backup" && it.message.starts_with("backup: ")));
        }
    }
}
