//! The last calls that another upstream than the first answered, for people.

use std::{collections::VecDeque, time::Duration};

use parking_lot::Mutex;
use serde::Serialize;

use super::{UpstreamId, verdict::Reason};
use crate::types::UnixMillis;

/// How many are kept.
const KEPT: usize = 50;
/// Alike ones within this time, in milliseconds, are one: an upstream that dies under load is one event, not a thousand.
const ALIKE_MS: i64 = 60_000;

/// Calls that one upstream could not answer and another did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failover {
    /// When the first of them was answered, in Unix milliseconds.
    pub at: UnixMillis,
    /// When the last was.
    pub last: UnixMillis,
    /// Who was asked first.
    pub from: UpstreamId,
    /// Who answered.
    pub to: UpstreamId,
    /// Why the first did not.
    pub reason: Reason,
    /// How many calls.
    pub calls: u64,
    /// The longest that one of their clients waited, in milliseconds.
    pub longest_wait_ms: u64,
}

/// The last ones.
#[derive(Debug, Default)]
pub(super) struct Failovers(Mutex<VecDeque<Failover>>);

impl Failovers {
    /// A call was answered by another upstream than the first.
    pub(super) fn note(
        &self,
        from: &UpstreamId,
        to: &UpstreamId,
        reason: Reason,
        waited: Duration,
        now: UnixMillis,
    ) {
        let waited_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        let mut kept = self.0.lock();
        let alike = kept.iter_mut().rev().find(|known| {
            known.from == *from
                && known.to == *to
                && known.reason == reason
                && now.saturating_sub(known.last) <= ALIKE_MS
        });
        if let Some(known) = alike {
            known.last = now;
            known.calls = known.calls.saturating_add(1);
            known.longest_wait_ms = known.longest_wait_ms.max(waited_ms);
            return;
        }
        if kept.len() == KEPT {
            kept.pop_front();
        }
        let (from, to) = (from.clone(), to.clone());
        kept.push_back(Failover {
            at: now,
            last: now,
            from,
            to,
            reason,
            calls: 1,
            longest_wait_ms: waited_ms,
        });
    }

    /// The last ones, the newest first.
    pub(super) fn list(&self) -> Vec<Failover> {
        self.0.lock().iter().rev().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alike_ones_are_one_event_and_the_list_is_bounded() {
        let id = |name: &str| UpstreamId::parse(name).unwrap();
        let failovers = Failovers::default();
        for at in 0..1000 {
            failovers.note(&id("a"), &id("b"), Reason::TimedOut, Duration::from_millis(500), at);
        }
        failovers.note(&id("a"), &id("b"), Reason::TimedOut, Duration::from_millis(900), 2000);
        let [one] = &failovers.list()[..] else { panic!() };
        assert_eq!((one.at, one.last, one.calls, one.longest_wait_ms), (0, 2000, 1001, 900));
        failovers.note(&id("a"), &id("b"), Reason::Unreachable, Duration::ZERO, 2000);
        failovers.note(&id("a"), &id("b"), Reason::TimedOut, Duration::ZERO, 2000 + ALIKE_MS + 1);
        assert_eq!(failovers.list().len(), 3);
        for at in 0..200 {
            failovers.note(&id("a"), &id("b"), Reason::TimedOut, Duration::ZERO, at * 2 * ALIKE_MS);
        }
        assert_eq!(failovers.list().len(), KEPT);
    }
}
