//! What was done about backups.

use serde::Serialize;

use crate::types::{UnixMillis, labelled};

labelled! {
    /// What is done with a backup.
    pub enum BackupAction {
        /// One is made.
        Create = "create",
        /// One is restored into a folder of its own, and looked through.
        Verify = "verify",
    }
}

labelled! {
    /// What came of it.
    pub enum BackupResult {
        /// It is as it should be.
        Ok = "ok",
        /// It is not, or it could not be found out.
        Failed = "failed",
    }
}

/// A backup was made or verified, or could not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BackupFinished {
    /// When it was over, Unix milliseconds.
    pub at: UnixMillis,
    /// What was done.
    pub action: BackupAction,
    /// What came of it.
    pub result: BackupResult,
    /// The backup's file name; empty where there is none.
    pub file: String,
    /// Its size; 0 where there is none.
    pub bytes: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// What came of it, as a sentence.
    pub message: String,
}
