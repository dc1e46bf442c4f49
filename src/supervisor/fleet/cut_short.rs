//! What an earlier process of relaymux had begun and not written down the end of. How long relaymux was away nobody knows beforehand: what happened to
//! a node long after it was begun is somebody else's doing, and not what is left of it.

use std::time::Duration;

use super::{about::About, input::UnderWay, watched::millis};
use crate::{events::NodeAction, supervisor::ProcessStatus, types::UnixMillis};

/// What an action takes at most beyond a node's grace; with images that are pulled first.
const LONGEST: Duration = Duration::from_secs(600);
const LONGEST_CREATE: Duration = Duration::from_secs(2400);

/// Something that was begun by an earlier process.
#[derive(Clone, Copy, Debug)]
pub(super) struct CutShort {
    begun: UnderWay,
    /// When this process found it.
    found_at: UnixMillis,
}

impl CutShort {
    pub(super) const fn new(begun: UnderWay, found_at: UnixMillis) -> Self {
        Self { begun, found_at }
    }

    pub(super) fn is(&self, action: NodeAction) -> bool {
        self.begun.action == action
    }

    /// Whether what is seen of a node's process came of it. `when`: its runtime's word; where it says nothing, it may have been just now.
    pub(super) fn explains(&self, status: &ProcessStatus, about: &About) -> bool {
        let when = match status {
            ProcessStatus::Running { since: Some(since) } if *since < self.begun.at => return false,
            ProcessStatus::Running { since } => *since,
            ProcessStatus::Exited { at, .. } => *at,
            ProcessStatus::Absent
            | ProcessStatus::Created
            | ProcessStatus::Paused
            | ProcessStatus::Stopping => None,
        };
        let beyond = if self.is(NodeAction::Create) { LONGEST_CREATE } else { LONGEST };
        let longest = millis(about.stop_grace.saturating_add(beyond));
        when.unwrap_or(self.found_at) <= self.begun.at.saturating_add(longest)
    }

    /// Whether a process that runs is the one that was to be stopped: nobody has started it since.
    pub(super) fn was_to_stop(&self, status: &ProcessStatus, about: &About) -> bool {
        match status {
            ProcessStatus::Running { since: Some(since) } => *since < self.begun.at,
            ProcessStatus::Running { since: None } => self.explains(status, about),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing, *};

    #[test]
    fn what_came_long_after_it_is_somebody_elses() {
        let about = testing::about("geth", "execution");
        let at = 1_000_000_000;
        let found = |action, found_at| CutShort::new(UnderWay { action, at }, found_at);
        let hour = 3_600_000;
        let runs = |since| ProcessStatus::Running { since };
        let ended = |at| ProcessStatus::Exited { code: Some(0), oom_killed: false, at };
        for (name, status, found_at, explained, to_stop) in [
            ("it ended soon after", ended(Some(at + 300_000)), at + 9 * hour, true, false),
            ("it had ended before", ended(Some(at - hour)), at + 9 * hour, true, false),
            ("it ended hours later", ended(Some(at + hour)), at + 9 * hour, false, false),
            ("nobody knows when, soon", ended(None), at + 60_000, true, false),
            ("nobody knows when, later", ended(None), at + hour, false, false),
            ("it runs since before", runs(Some(at - 1)), at + hour, false, true),
            ("it was started soon after", runs(Some(at + 1)), at + hour, true, false),
            ("it was started hours later", runs(Some(at + hour)), at + 2 * hour, false, false),
            ("nobody knows since when, soon", runs(None), at + 60_000, true, true),
            ("nobody knows since when, later", runs(None), at + hour, false, false),
        ] {
            let it = found(NodeAction::Restart, found_at);
            assert_eq!(it.explains(&status, &about), explained, "{name}");
            assert_eq!(it.was_to_stop(&status, &about), to_stop, "{name}");
        }
        // An image is pulled first.
        let absent = ProcessStatus::Absent;
        assert!(found(NodeAction::Create, at + hour / 2).explains(&absent, &about));
        assert!(!found(NodeAction::Start, at + hour / 2).explains(&absent, &about));
    }
}
