//! How hard the machine is worked: a share of one thread's time, at the lowest priority, with pauses in which everything else goes on.
//!
//! Work is counted in time, disk included: where the disk is slow, so are we, and the rest has it for itself most of the time.

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::BackupError;

/// Work at one go: well below what a header has.
const STRETCH: Duration = Duration::from_millis(5);
/// Longest pause: a stop is noticed after it.
const LONGEST_REST: Duration = Duration::from_millis(250);
/// Longest that anything of a backup may take, in hours.
const LONGEST_HOURS: u64 = 6;
/// The lowest priority there is.
const NICENESS: i32 = 19;

/// What is being done, for whoever watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The ledger is copied.
    CopyLedger,
    /// The journal is copied.
    CopyJournal,
    /// Hashes are made.
    Hash,
    /// The archive is written; out of so many bytes.
    Pack,
    /// The archive is read; out of so many bytes.
    Unpack,
    /// The databases are looked through.
    Inspect,
    /// Files are put in their place.
    Replace,
}

impl Phase {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::CopyLedger => "copying the ledger",
            Self::CopyJournal => "copying the journal",
            Self::Hash => "hashing",
            Self::Pack => "packing",
            Self::Unpack => "unpacking",
            Self::Inspect => "looking through the databases",
            Self::Replace => "putting files in their place",
        }
    }
}

/// Who is told how far it is: the phase, what is done of it, and of how much where that is known.
pub type Progress = Arc<dyn Fn(Phase, u64, Option<u64>) + Send + Sync>;

/// How hard the machine is worked, and when it ends.
#[derive(Clone)]
pub struct Pace {
    busy_percent: u32,
    stop: CancellationToken,
    progress: Option<Progress>,
    until: Option<Instant>,
}

impl fmt::Debug for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pace").field("busy_percent", &self.busy_percent).finish_non_exhaustive()
    }
}

impl Pace {
    /// Works this share of the time, 1 to 100, until `stop`.
    pub fn new(busy_percent: u32, stop: CancellationToken) -> Self {
        let until = Instant::now().checked_add(Duration::from_secs(LONGEST_HOURS * 3600));
        Self { busy_percent: busy_percent.clamp(1, 100), stop, progress: None, until }
    }

    /// Tells somebody how far it is.
    #[must_use]
    pub fn telling(self, progress: Progress) -> Self {
        Self { progress: Some(progress), ..self }
    }

    pub(super) fn tell(&self, phase: Phase, done: u64, of: Option<u64>) {
        if let Some(progress) = &self.progress {
            progress(phase, done, of);
        }
    }

    /// Begins to work.
    pub(super) fn begin(&self) -> Worker {
        Worker { pace: self.clone(), since: Instant::now() }
    }

    /// Why it has to end now.
    pub(super) fn ended(&self) -> Option<BackupError> {
        if self.stop.is_cancelled() {
            Some(BackupError::Stopped)
        } else if self.until.is_some_and(|until| Instant::now() >= until) {
            Some(BackupError::TooLong(LONGEST_HOURS))
        } else {
            None
        }
    }

    /// The error of a database that was told to end, in our words where it was us.
    pub(super) fn explain(&self, error: impl Into<BackupError>) -> BackupError {
        self.ended().unwrap_or_else(|| error.into())
    }
}

/// Somebody who works and rests.
#[derive(Debug)]
pub(super) struct Worker {
    pace: Pace,
    /// When this stretch of work began.
    since: Instant,
}

impl Worker {
    /// To be called often while working: rests when it is time, and says when to end.
    pub(super) fn go_on(&mut self) -> Result<(), BackupError> {
        let worked = self.since.elapsed();
        if worked < STRETCH {
            return Ok(());
        }
        if let Some(ended) = self.pace.ended() {
            return Err(ended);
        }
        rest(rest_after(worked, self.pace.busy_percent));
        self.since = Instant::now();
        Ok(())
    }
}

/// How long to rest after so much work, to be busy for a share of the time.
fn rest_after(worked: Duration, busy_percent: u32) -> Duration {
    let busy = busy_percent.clamp(1, 100);
    (worked * (100 - busy) / busy).min(LONGEST_REST)
}

#[expect(clippy::disallowed_methods, reason = "a thread of its own, on which nothing else waits")]
fn rest(time: Duration) {
    if !time.is_zero() {
        std::thread::sleep(time);
    }
}

/// Makes this thread, and those that it starts, the last that get a core.
pub(super) fn stand_back() {
    // On Linux a thread has a priority of its own.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::warn!(%error, "backups run at the same priority as everything else");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rest_is_in_proportion_to_work() {
        for (worked, busy, want) in [(10, 25, 30), (10, 50, 10), (10, 100, 0), (10, 0, 250), (1000, 25, 250)]
        {
            let rest = rest_after(Duration::from_millis(worked), busy);
            assert_eq!(rest, Duration::from_millis(want), "{worked} {busy}");
        }
    }

    #[test]
    fn who_is_told_to_stop_stops() {
        let stop = CancellationToken::new();
        let pace = Pace::new(100, stop.clone());
        assert!(pace.ended().is_none());
        stop.cancel();
        assert!(matches!(pace.ended(), Some(BackupError::Stopped)));
    }
}
