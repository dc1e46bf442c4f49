//! The connections of one listener: how many, and which has to go when there is no room.
//!
//! Connections wait for minutes between requests, so most of those that fill a listener are idle. A new one is not refused for them: the one
//! that was of least use goes. Nobody who is being served ever has to.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::phase::{Phase, PhaseWatch};

/// A head that takes longer than this is not on its way from a client of ours; it may be cut where room is needed.
const SLOW_HEAD: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Entry {
    phase: PhaseWatch,
    leave: CancellationToken,
}

/// All connections of a listener.
#[derive(Debug, Default)]
pub(super) struct Connections {
    open: Mutex<HashMap<u64, Entry>>,
    next: AtomicU64,
}

/// A connection's place; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    id: u64,
    of: Arc<Connections>,
    /// Somebody else needs the place.
    pub(super) leave: CancellationToken,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.of.open.lock().remove(&self.id);
    }
}

impl Connections {
    /// A place for a new connection; none when all `limit` of them are being served.
    pub(super) fn admit(self: &Arc<Self>, phase: PhaseWatch, limit: usize) -> Option<Place> {
        let mut open = self.open.lock();
        if open.len() >= limit && !evict(&mut open) {
            return None;
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let leave = CancellationToken::new();
        open.insert(id, Entry { phase, leave: leave.clone() });
        Some(Place { id, of: Arc::clone(self), leave })
    }

    /// Makes room for one more: the system has no file descriptors left.
    pub(super) fn make_room(&self) -> bool {
        evict(&mut self.open.lock())
    }
}

fn evict(open: &mut HashMap<u64, Entry>) -> bool {
    let phases = open.iter().map(|(id, entry)| (*id, entry.phase.now()));
    let Some(entry) = least_useful(phases, Instant::now()).and_then(|id| open.remove(&id)) else {
        return false;
    };
    entry.leave.cancel();
    true
}

/// Who goes first: heads that do not get on, then connections that never asked, then the one that last asked longest ago.
fn least_useful(phases: impl Iterator<Item = (u64, Phase)>, now: Instant) -> Option<u64> {
    let candidates = phases.filter_map(|(id, phase)| match phase {
        Phase::Head { since } if now.saturating_duration_since(since) > SLOW_HEAD => Some((0, since, id)),
        Phase::Waiting { since, served: false } => Some((1, since, id)),
        Phase::Waiting { since, served: true } => Some((2, since, id)),
        Phase::Head { .. } | Phase::Busy => None,
    });
    candidates.min().map(|(_, _, id)| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_useful_goes_and_nobody_who_is_served() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let now = at(100);
        let waiting = |secs, served| Phase::Waiting { since: at(secs), served };
        let head = |secs| Phase::Head { since: at(secs) };
        let table = [
            ("nobody there", vec![], None),
            ("all are served", vec![Phase::Busy, Phase::Busy], None),
            ("a head of this moment is let through", vec![head(100), Phase::Busy], None),
            ("the oldest of those that wait", vec![waiting(9, true), waiting(5, true), Phase::Busy], Some(1)),
            ("one that never asked, however new", vec![waiting(5, true), waiting(99, false)], Some(1)),
            ("a head that does not get on", vec![waiting(1, false), head(90)], Some(1)),
        ];
        for (name, phases, want) in table {
            let phases = phases.into_iter().enumerate().map(|(id, phase)| (id as u64, phase));
            assert_eq!(least_useful(phases, now), want, "{name}");
        }
    }
}
