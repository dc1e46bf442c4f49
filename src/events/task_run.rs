//! Tasks that are done by the clock: which there are, why one runs, and what came of it.

use serde::Serialize;

use crate::types::{UnixMillis, labelled};

labelled! {
    /// What is done by the clock.
    pub enum TaskKind {
        /// Removes what fills disks and nobody needs.
        DiskClean = "disk_clean",
        /// Looks at relays, nodes, the ledger and the disk of `data_dir`.
        HealthCheck = "health_check",
        /// Looks whether what slots paid is known.
        ProfitCheck = "profit_check",
        /// Tells what a week came to.
        WeeklyDigest = "weekly_digest",
        /// A short load, to see that the targets still hold.
        LoadValidation = "load_validation",
        /// Makes a backup.
        Backup = "backup",
        /// Restores a backup into scratch, and looks at it.
        BackupVerify = "backup_verify",
        /// Looks whether clients are new enough for the forks that come.
        ClientVersions = "client_versions",
    }
}

impl TaskKind {
    /// Whether it reads or writes so much that no two such tasks run beside each other.
    pub const fn is_heavy(self) -> bool {
        match self {
            Self::DiskClean | Self::LoadValidation | Self::Backup | Self::BackupVerify => true,
            Self::HealthCheck | Self::ProfitCheck | Self::WeeklyDigest | Self::ClientVersions => false,
        }
    }
}

labelled! {
    /// Why a task runs.
    pub enum TaskCause {
        /// Its time has come.
        Schedule = "schedule",
        /// Its time came while nobody was there, and this makes up for it.
        CatchUp = "catch_up",
        /// A person asked.
        ByHand = "by_hand",
    }
}

labelled! {
    /// What came of a run.
    pub enum TaskOutcome {
        /// It has not ended.
        Running = "running",
        /// It was done, and all is well.
        Done = "done",
        /// It was done, and found something wrong that has an alert of its own.
        Found = "found",
        /// It could not be done, or found something wrong.
        Failed = "failed",
        /// It took too long, and was ended.
        TimedOut = "timed_out",
        /// relaymux itself ended meanwhile.
        Interrupted = "interrupted",
        /// It did not begin, as the run before it had not ended.
        Overlapped = "overlapped",
        /// It did not begin: nobody was there at its time, and afterwards it was too late.
        Missed = "missed",
    }
}

impl TaskOutcome {
    /// Whether the run began at all.
    pub const fn has_begun(self) -> bool {
        match self {
            Self::Running | Self::Done | Self::Found | Self::Failed | Self::TimedOut | Self::Interrupted => {
                true
            }
            Self::Overlapped | Self::Missed => false,
        }
    }
}

/// A run of a task that has begun, has ended, or will not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TaskRun {
    /// The task.
    pub task: TaskKind,
    /// Why it runs.
    pub cause: TaskCause,
    /// The time that it was planned for, in Unix milliseconds; by hand: when it was asked for.
    pub planned_at: UnixMillis,
    /// When it began; none where it did not.
    pub started_at: Option<UnixMillis>,
    /// When it ended; none while it runs.
    pub ended_at: Option<UnixMillis>,
    /// What came of it. Decisions go by this, never by the message.
    pub outcome: TaskOutcome,
    /// What came of it, as sentences for people.
    pub message: String,
    /// When this was told, in Unix milliseconds.
    pub at: UnixMillis,
}
