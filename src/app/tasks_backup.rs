//! The tasks `backup` and `backup_verify`: a backup is made, and the newest one restored on trial. What goes wrong with either has alerts of its
//! own where backups are made.

use crate::{
    backup::{BackupFailed, BackupKeeper, BackupReport},
    supervisor::schedule::{TaskContext, TaskFailed, TaskReport},
};

/// Makes a backup, clear of proposals.
pub(super) async fn make_backup(
    keeper: BackupKeeper,
    context: TaskContext,
) -> Result<TaskReport, TaskFailed> {
    context.until_clear().await;
    Ok(told(keeper.create_backup().await))
}

/// Restores the newest backup on trial, clear of proposals.
pub(super) async fn prove_backup(
    keeper: BackupKeeper,
    context: TaskContext,
) -> Result<TaskReport, TaskFailed> {
    context.until_clear().await;
    Ok(told(keeper.verify_backup().await))
}

fn told(done: Result<BackupReport, BackupFailed>) -> TaskReport {
    match done {
        Ok(report) => TaskReport::done(report.message),
        // It has an alert of its own.
        Err(failure) => TaskReport::found(failure.to_string()),
    }
}
