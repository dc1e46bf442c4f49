//! How writing the ledger goes: kept by its writer, read by health checks.

use std::sync::Arc;

use parking_lot::Mutex;

/// The state of writing. Times are Unix milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteState {
    /// The last batch that was written; none before the first.
    pub last_write: Option<i64>,
    /// Since when the file refuses.
    pub failing_since: Option<i64>,
    /// Why the file refuses, in SQLite's words; empty while it does not.
    pub error: String,
    /// Events that wait to be written.
    pub waiting: usize,
    /// Events dropped because too many waited, since the process started.
    pub dropped: u64,
    /// Events left out because the file refused them for what they are, since the process started.
    pub skipped: u64,
}

impl WriteState {
    /// In words, for an operator.
    pub fn describe(&self, now: i64) -> String {
        let ago = |time: i64| format!("{} s ago", now.saturating_sub(time).max(0) / 1000);
        let mut text = match (self.failing_since, self.last_write) {
            (Some(since), _) => format!(
                "cannot be written since {}: {}; {} events are kept for it",
                ago(since),
                self.error,
                self.waiting
            ),
            (None, Some(last)) => format!("last written {}", ago(last)),
            (None, None) => "nothing to be written yet".to_owned(),
        };
        if self.dropped > 0 || self.skipped > 0 {
            text.push_str(&format!("; {} events dropped, {} refused", self.dropped, self.skipped));
        }
        text
    }
}

/// Where the writer keeps its state for whoever asks. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct WriteLog {
    state: Arc<Mutex<WriteState>>,
}

impl WriteLog {
    pub(super) fn state(&self) -> WriteState {
        self.state.lock().clone()
    }

    /// A batch was written, or refused with these words.
    pub(super) fn note(&self, now: i64, error: Option<String>) {
        let mut state = self.state.lock();
        match error {
            Some(error) => {
                state.failing_since.get_or_insert(now);
                state.error = error;
            }
            None => {
                state.last_write = Some(now);
                state.failing_since = None;
                state.error.clear();
            }
        }
    }

    pub(super) fn note_backlog(&self, waiting: usize, dropped: u64, skipped: u64) {
        let mut state = self.state.lock();
        (state.waiting, state.dropped, state.skipped) = (waiting, dropped, skipped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_from_its_first_moment_until_a_success() {
        let log = WriteLog::default();
        assert_eq!(log.state().describe(0), "nothing to be written yet");
        log.note(1_000, None);
        log.note(2_000, Some("disk full".to_owned()));
        log.note(9_000, Some("disk full".to_owned()));
        log.note_backlog(7, 1, 2);
        assert_eq!(
            log.state().describe(12_000),
            "cannot be written since 10 s ago: disk full; 7 events are kept for it; 1 events dropped, 2 refused"
        );
        log.note(13_000, None);
        assert_eq!((log.state().last_write, log.state().failing_since), (Some(13_000), None));
    }
}
