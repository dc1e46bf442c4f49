//! Tasks of the schedule: since when each has the schedule that it has, and what came of its runs.
//!
//! A run is written down before it begins. So a process that is killed in between leaves word of it, and no planned time is served twice.

use serde::Serialize;

use super::{Ledger, LedgerError, query::WriteTransaction, row::from_row};
use crate::{
    events::{TaskCause, TaskKind, TaskOutcome},
    types::{Label, UnixMillis},
};

/// Rows of history that are kept of each task: of one that runs every five minutes, three days.
const KEPT: i64 = 1000;

/// A run of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TaskRunRow {
    /// Its number within its task, from 1 on; given when it is written down.
    pub number: i64,
    /// Why it ran.
    pub cause: Label<TaskCause>,
    /// The time that it was planned for, in Unix milliseconds.
    pub planned_at: UnixMillis,
    /// When it began; none where it did not.
    pub started_at: Option<UnixMillis>,
    /// When it ended, or it was decided that it would not be.
    pub ended_at: Option<UnixMillis>,
    /// What came of it.
    pub outcome: Label<TaskOutcome>,
    /// What came of it, as sentences for people.
    pub message: String,
}

from_row!(|row| TaskRunRow { number, cause, planned_at, started_at, ended_at, outcome, message });

impl Ledger {
    /// Since when a task has its schedule, in Unix milliseconds: since now, unless the same was there before.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub async fn watch_task(
        &self,
        task: TaskKind,
        schedule: &str,
        now: UnixMillis,
    ) -> Result<UnixMillis, LedgerError> {
        let known =
            sqlx::query_as("SELECT schedule, since FROM maintenance_tasks WHERE instance = $1 AND task = $2");
        let known: Option<(String, i64)> =
            known.bind(self.instance()).bind(task.label()).fetch_optional(self.pool()).await?;
        if let Some((_, since)) = known.filter(|(before, _)| before == schedule) {
            return Ok(since);
        }
        let mut write = self.write().await?;
        sqlx::query(
            "INSERT INTO maintenance_tasks (task, schedule, since, instance) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (instance, task) DO UPDATE SET schedule = excluded.schedule, since = excluded.since",
        )
        .bind(task.label())
        .bind(schedule)
        .bind(now)
        .bind(write.instance)
        .execute(&mut *write.tx)
        .await?;
        write.commit().await?;
        Ok(now)
    }

    /// Forgets the schedule of a task that has none any more: given one again, it begins anew. Its history stays.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn forget_task(&self, task: TaskKind) -> Result<(), LedgerError> {
        let mut write = self.write().await?;
        sqlx::query("DELETE FROM maintenance_tasks WHERE instance = $1 AND task = $2")
            .bind(write.instance)
            .bind(task.label())
            .execute(&mut *write.tx)
            .await?;
        write.commit().await?;
        Ok(())
    }

    /// Writes down a run, one that begins or one that will not be, and gives it the number that is returned. Forgets what is beyond the newest thousand.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn add_task_run(&self, task: TaskKind, run: &TaskRunRow) -> Result<i64, LedgerError> {
        let mut write = self.write().await?;
        let number = next_number(&mut write, task).await?;
        sqlx::query(
            "INSERT INTO task_runs (task, number, cause, planned_at, started_at, ended_at, outcome, message, instance) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(task.label())
        .bind(number)
        .bind(run.cause.as_str())
        .bind(run.planned_at)
        .bind(run.started_at)
        .bind(run.ended_at)
        .bind(run.outcome.as_str())
        .bind(&run.message)
        .bind(write.instance)
        .execute(&mut *write.tx)
        .await?;
        sqlx::query("DELETE FROM task_runs WHERE instance = $1 AND task = $2 AND number <= $3")
            .bind(write.instance)
            .bind(task.label())
            .bind(number.saturating_sub(KEPT))
            .execute(&mut *write.tx)
            .await?;
        write.commit().await?;
        Ok(number)
    }

    /// Writes down what came of a run.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn end_task_run(
        &self,
        task: TaskKind,
        number: i64,
        outcome: TaskOutcome,
        message: &str,
        at: UnixMillis,
    ) -> Result<(), LedgerError> {
        let mut write = self.write().await?;
        sqlx::query(
            "UPDATE task_runs SET outcome = $1, message = $2, ended_at = $3 WHERE instance = $4 AND task = $5 AND number = $6",
        )
        .bind(outcome.label())
        .bind(message)
        .bind(at)
        .bind(write.instance)
        .bind(task.label())
        .bind(number)
        .execute(&mut *write.tx)
        .await?;
        write.commit().await?;
        Ok(())
    }

    /// Writes down that runs which an earlier process began did not end; how many.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn interrupt_task_runs(&self, message: &str, now: UnixMillis) -> Result<u64, LedgerError> {
        let mut write = self.write().await?;
        let done = sqlx::query(
            "UPDATE task_runs SET outcome = $1, message = $2, ended_at = $3 WHERE instance = $4 AND outcome = $5",
        )
        .bind(TaskOutcome::Interrupted.label())
        .bind(message)
        .bind(now)
        .bind(write.instance)
        .bind(TaskOutcome::Running.label())
        .execute(&mut *write.tx)
        .await?;
        write.commit().await?;
        Ok(done.rows_affected())
    }

    /// The last runs of a task, the newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn task_runs(&self, task: TaskKind, limit: u32) -> Result<Vec<TaskRunRow>, LedgerError> {
        let rows = sqlx::query_as(
            "SELECT number, cause, planned_at, started_at, ended_at, outcome, message FROM task_runs \
             WHERE instance = $1 AND task = $2 ORDER BY number DESC LIMIT $3",
        );
        let rows = rows.bind(self.instance()).bind(task.label()).bind(i64::from(limit));
        Ok(rows.fetch_all(self.pool()).await?)
    }
}

async fn next_number(write: &mut WriteTransaction, task: TaskKind) -> Result<i64, sqlx::Error> {
    let last = sqlx::query_scalar(
        "SELECT COALESCE(MAX(number), 0) FROM task_runs WHERE instance = $1 AND task = $2",
    );
    let last: i64 = last.bind(write.instance).bind(task.label()).fetch_one(&mut *write.tx).await?;
    Ok(last.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: TaskKind = TaskKind::HealthCheck;

    fn begun(planned_at: UnixMillis) -> TaskRunRow {
        TaskRunRow {
            number: 0,
            cause: TaskCause::Schedule.into(),
            planned_at,
            started_at: Some(planned_at + 1),
            ended_at: None,
            outcome: TaskOutcome::Running.into(),
            message: String::new(),
        }
    }

    #[tokio::test]
    async fn what_was_begun_is_known_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        let first = ledger.add_task_run(TASK, &begun(100)).await.unwrap();
        ledger.end_task_run(TASK, first, TaskOutcome::Done, "All is well.", 150).await.unwrap();
        ledger.add_task_run(TASK, &begun(200)).await.unwrap();
        ledger.shut().await;
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        assert_eq!(ledger.interrupt_task_runs("relaymux ended.", 300).await.unwrap(), 1);
        assert_eq!(ledger.interrupt_task_runs("relaymux ended.", 400).await.unwrap(), 0);
        let runs = ledger.task_runs(TASK, 10).await.unwrap();
        let done = TaskRunRow {
            number: 1,
            ended_at: Some(150),
            outcome: TaskOutcome::Done.into(),
            message: "All is well.".to_owned(),
            ..begun(100)
        };
        let cut_short = TaskRunRow {
            number: 2,
            ended_at: Some(300),
            outcome: TaskOutcome::Interrupted.into(),
            message: "relaymux ended.".to_owned(),
            ..begun(200)
        };
        assert_eq!(runs, [cut_short, done]);
        assert_eq!(ledger.task_runs(TaskKind::Backup, 10).await.unwrap(), []);
        let shown = serde_json::to_value(&runs[1]).unwrap();
        let wanted = serde_json::json!({
            "number": 1, "cause": "schedule", "planned_at": 100, "started_at": 101, "ended_at": 150, "outcome": "done",
            "message": "All is well.",
        });
        assert_eq!(shown, wanted);
    }

    #[tokio::test]
    async fn a_schedule_that_changed_begins_anew() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        assert_eq!(ledger.watch_task(TASK, "0 3 * * * UTC", 5).await.unwrap(), 5);
        assert_eq!(ledger.watch_task(TASK, "0 3 * * * UTC", 9).await.unwrap(), 5);
        assert_eq!(ledger.watch_task(TaskKind::Backup, "0 3 * * * UTC", 7).await.unwrap(), 7);
        assert_eq!(ledger.watch_task(TASK, "0 4 * * * UTC", 10).await.unwrap(), 10);
        ledger.forget_task(TASK).await.unwrap();
        assert_eq!(ledger.watch_task(TASK, "0 4 * * * UTC", 20).await.unwrap(), 20);
        assert_eq!(ledger.watch_task(TaskKind::Backup, "0 3 * * * UTC", 21).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn history_is_the_newest_thousand_of_each_task() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        ledger.add_task_run(TaskKind::Backup, &begun(1)).await.unwrap();
        for at in 1..=KEPT + 2 {
            ledger.add_task_run(TASK, &begun(at)).await.unwrap();
        }
        let runs = ledger.task_runs(TASK, 5000).await.unwrap();
        assert_eq!((runs.len(), runs[0].planned_at, runs[999].planned_at), (1000, KEPT + 2, 3));
        assert_eq!(ledger.task_runs(TaskKind::Backup, 5000).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_sound_file_has_no_damages() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        assert_eq!(ledger.damages().await.unwrap(), Vec::<String>::new());
    }
}
