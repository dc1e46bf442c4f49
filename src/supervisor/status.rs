//! What a runtime says of a node's process.

use super::Usage;
use crate::types::UnixMillis;

/// How its process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessStatus {
    /// There is no such container or unit, or no process was started.
    Absent,
    /// It is there, and was never started.
    Created,
    /// It runs.
    Running {
        /// Since when, in Unix milliseconds; none where the runtime does not say.
        since: Option<UnixMillis>,
    },
    /// It is frozen (`docker pause`): somebody did this by hand.
    Paused,
    /// It was asked to stop, and has not yet.
    Stopping,
    /// It ended.
    Exited {
        /// Its exit code, or 128 and the signal; none where nobody knows.
        code: Option<i64>,
        /// Whether the kernel killed it for its memory.
        oom_killed: bool,
        /// When, in Unix milliseconds; none where the runtime does not say.
        at: Option<UnixMillis>,
    },
}

/// One look at a node by its runtime.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspection {
    /// How its process is.
    pub status: ProcessStatus,
    /// Whether we made it: only then may it be removed.
    pub ours: bool,
    /// What tells this run from others: the container's id and start, the unit's invocation, the process's id.
    pub run: Option<String>,
    /// The image and its digest, or the command, for people.
    pub what: String,
    /// What it uses; none while it does not run.
    pub usage: Option<Usage>,
}
