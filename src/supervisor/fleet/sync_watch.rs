//! Whether a sync goes on, and how long it will take: what the fleet asks of whoever measures that.

use std::time::Duration;

use super::watched::WatchedMs;
use crate::supervisor::Sight;

/// A head that stands for so long while the node syncs: it is stalled. Snap sync heals its state for some minutes without a new block.
const STALLED_MS: i64 = 30 * 60_000;

/// Measures the sync of one run of a node.
pub(crate) trait SyncWatch: Send + std::fmt::Debug {
    /// Takes what a probe saw.
    fn see(&mut self, sight: &Sight, at: WatchedMs);

    /// How long it will take from now on; none where nothing can be said.
    fn eta(&self, at: WatchedMs) -> Option<Duration>;

    /// Why it does not go on, as a sentence for people; none while it does.
    fn stalled(&self, at: WatchedMs) -> Option<String>;
}

/// For a run that begins.
pub(super) fn new_sync() -> Box<dyn SyncWatch> {
    Box::new(HeadWatch::default())
}

/// Sees whether the head moves or the way to go shrinks.
#[derive(Debug, Default)]
pub(super) struct HeadWatch {
    best: Option<(Option<u64>, Option<u64>)>,
    moved: WatchedMs,
    first: Option<(WatchedMs, u64)>,
    last: Option<(WatchedMs, u64)>,
}

impl SyncWatch for HeadWatch {
    fn see(&mut self, sight: &Sight, at: WatchedMs) {
        let now = (sight.head, sight.behind);
        let has_moved = match self.best {
            None => true,
            Some((head, behind)) => {
                now.0 > head || matches!((now.1, behind), (Some(now), Some(before)) if now < before)
            }
        };
        if has_moved {
            self.best = Some(now);
            self.moved = at;
        }
        if let Some(behind) = sight.behind {
            self.first.get_or_insert((at, behind));
            self.last = Some((at, behind));
        }
    }

    fn eta(&self, _: WatchedMs) -> Option<Duration> {
        let ((began, before), (at, behind)) = (self.first?, self.last?);
        let (gone, took) = (before.checked_sub(behind)?, at.since(began));
        // Some minutes of slope at least: the first blocks are quick.
        if gone == 0 || took < 120_000 {
            return None;
        }
        let left = u128::from(behind).saturating_mul(u128::from(took.unsigned_abs())) / u128::from(gone);
        Some(Duration::from_millis(u64::try_from(left).ok()?))
    }

    fn stalled(&self, at: WatchedMs) -> Option<String> {
        self.best?;
        let stands = at.since(self.moved);
        (stands >= STALLED_MS).then(|| format!("Its sync has not moved for {} minutes.", stands / 60_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::Ready;

    fn sight(head: u64, behind: Option<u64>) -> Sight {
        Sight {
            ready: Ready::Syncing("It syncs.".to_owned()),
            head: Some(head),
            head_age: None,
            behind,
            peers: None,
            version: None,
            finalized_age: None,
            took: Duration::ZERO,
        }
    }

    #[test]
    fn a_sync_that_stands_is_stalled_and_one_that_goes_on_has_an_end() {
        let mut watch = HeadWatch::default();
        assert_eq!(
            (watch.eta(WatchedMs(0)), watch.stalled(WatchedMs(i64::MAX))),
            (None, None),
            "nothing was seen"
        );
        watch.see(&sight(100, Some(900)), WatchedMs(0));
        watch.see(&sight(200, Some(800)), WatchedMs(300_000));
        assert_eq!(watch.eta(WatchedMs(300_000)), Some(Duration::from_secs(2400)));
        watch.see(&sight(200, Some(800)), WatchedMs(300_000 + STALLED_MS - 1));
        assert_eq!(watch.stalled(WatchedMs(300_000 + STALLED_MS - 1)), None);
        assert_eq!(
            watch.stalled(WatchedMs(300_000 + STALLED_MS)).as_deref(),
            Some("Its sync has not moved for 30 minutes.")
        );
        // The way shrinks without a new head: snap sync's states.
        watch.see(&sight(200, Some(700)), WatchedMs(300_000 + STALLED_MS));
        assert_eq!(watch.stalled(WatchedMs(300_000 + STALLED_MS)), None);
    }
}
