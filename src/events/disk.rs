//! What is done about a disk that is nearly full, and what cleanings came to.

use std::path::PathBuf;

use serde::Serialize;

use crate::types::{NodeId, UnixMillis, labelled};

labelled! {
    /// What is done about a filesystem that is nearly full, in the order in which it is tried; and what is undone once there is room again.
    pub enum DiskRung {
        /// Somebody is told.
        Alert = "alert",
        /// What may be deleted is.
        Clean = "clean",
        /// The workload that can be spared first is stopped.
        StopWorkload = "stop_workload",
        /// The file that was kept for the worst is deleted.
        ReleaseBallast = "release_ballast",
        /// There is room again: a workload that was stopped is started.
        StartWorkload = "start_workload",
        /// There is room again: the file for the worst is made again.
        RemakeBallast = "remake_ballast",
        /// It is over.
        Over = "over",
    }
}

/// Something was done about a filesystem, or could not be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DiskActed {
    /// The filesystem, by the folder that the configuration names.
    pub filesystem: PathBuf,
    /// What was done.
    pub rung: DiskRung,
    /// To which node, where it was to one.
    pub node: Option<NodeId>,
    /// Why, as sentences for people.
    #[serde(rename = "why")]
    pub message: String,
    /// What went wrong with it, in words; none when it was done.
    pub error: Option<String>,
    /// When, in Unix milliseconds.
    pub at: UnixMillis,
}

/// A cleaning has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DiskCleaned {
    /// Its number.
    pub run: u64,
    /// Why it was done.
    pub reason: String,
    /// Files that were deleted.
    pub files: u64,
    /// Room that they took, in bytes.
    pub bytes: u64,
    /// Classes that failed or were refused.
    pub failed: Vec<String>,
    /// When it ended, in Unix milliseconds.
    pub at: UnixMillis,
}
