//! Headers that were returned and whose blocks have not come: what a stop waits for.
//!
//! A client that has signed a header cannot build locally any more. So whatever stops the process, the builder port stays open until
//! the block of every returned header has come and is revealed, or until it is too late for it: relays refuse blocks about 4 s into the
//! slot. While it waits, no header of another slot is given, so that the wait ends.

use std::{collections::BTreeMap, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::timeout};

use crate::{
    consensus::{SlotClock, WallClock},
    types::{Slot, UnixMillis},
};

/// How far into its slot a block is waited for, in milliseconds; at most the slot. mev-boost-relay's and Helix's cutoff.
const REVEAL_CUTOFF_MS: i64 = 4000;
/// Longest wait for a race that was open when the stop came: more than any budget. Its header is waited for from then on.
const LONGEST_RACE_MS: i64 = 4000;

/// What is awaited. Pure.
#[derive(Debug, Default)]
struct Awaited {
    /// Until when (Unix milliseconds) the block of a slot is waited for.
    slots: BTreeMap<Slot, UnixMillis>,
    races: usize,
    is_stopping: bool,
}

impl Awaited {
    /// A header of a slot goes to the client.
    fn returned(&mut self, slot: Slot, clock: &SlotClock, now: UnixMillis) {
        let slot_ms = i64::try_from(clock.slot_ms()).unwrap_or(i64::MAX);
        let cutoff = REVEAL_CUTOFF_MS.min(slot_ms);
        let until = clock.start_of(slot).saturating_add(cutoff);
        // A header for a slot far away says more about somebody's clock than about a block to come.
        let longest = now.saturating_add(slot_ms).saturating_add(cutoff);
        self.slots.retain(|_, until| *until > now);
        self.slots.insert(slot, until.min(longest));
    }

    /// Whether a header of a slot may be given: always, but while stopping only for a slot that is waited for anyway.
    fn may_race(&self, slot: Slot) -> bool {
        !self.is_stopping || self.slots.contains_key(&slot)
    }

    /// Until when to wait at most, if there is anything to wait for.
    fn wait_until(&self, now: UnixMillis) -> Option<UnixMillis> {
        let race = (self.races > 0).then(|| now.saturating_add(LONGEST_RACE_MS));
        self.slots.values().copied().filter(|until| *until > now).chain(race).max()
    }
}

/// The shared state. Locked for microseconds, never across an await.
#[derive(Debug, Default)]
pub(super) struct AwaitedBlocks {
    state: Mutex<Awaited>,
    changed: Notify,
}

/// A race under way; over when dropped.
#[derive(Debug)]
pub(super) struct OpenRace<'a>(&'a AwaitedBlocks);

impl Drop for OpenRace<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.races = state.races.saturating_sub(1);
        drop(state);
        self.0.changed.notify_waiters();
    }
}

impl AwaitedBlocks {
    /// Begins a race for a slot's header; `None` if none may begin any more.
    pub(super) fn open_race(&self, slot: Slot) -> Option<OpenRace<'_>> {
        let mut state = self.state.lock();
        if !state.may_race(slot) {
            return None;
        }
        state.races += 1;
        Some(OpenRace(self))
    }

    /// A header of a slot goes to the client.
    pub(super) fn returned(&self, slot: Slot, clock: &SlotClock, now: UnixMillis) {
        self.state.lock().returned(slot, clock, now);
    }

    /// A block of a slot is revealed.
    pub(super) fn revealed(&self, slot: Slot) {
        self.state.lock().slots.remove(&slot);
        self.changed.notify_waiters();
    }
}

impl AwaitedBlocks {
    /// From now on no race begins but for slots whose block is awaited: which are they?
    pub(super) fn begin_stop(&self, now: UnixMillis) -> Vec<Slot> {
        let mut state = self.state.lock();
        state.is_stopping = true;
        state.slots.retain(|_, until| *until > now);
        state.slots.keys().copied().collect()
    }

    /// Waits until the block of every returned header is revealed, or is too late.
    pub(super) async fn until_revealed(&self, clock: &WallClock) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let now = clock.now();
            let Some(until) = self.state.lock().wait_until(now) else { return };
            let left = Duration::from_millis(u64::try_from(until.saturating_sub(now)).unwrap_or(0));
            let _ = timeout(left, changed).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::Network;

    fn clock() -> SlotClock {
        Network::Mainnet.spec().clock()
    }

    #[test]
    fn a_block_is_waited_for_until_it_is_too_late_for_it() {
        let (clock, slot) = (clock(), Slot::new(100));
        let start = clock.start_of(slot);
        let mut awaited = Awaited::default();
        assert_eq!(awaited.wait_until(start), None);
        awaited.returned(slot, &clock, start + 300);
        assert_eq!(awaited.wait_until(start + 400), Some(start + 4000));
        assert_eq!(awaited.wait_until(start + 4000), None);
        awaited.slots.remove(&slot);
        assert_eq!(awaited.wait_until(start + 400), None);
    }

    #[test]
    fn a_header_of_a_far_slot_is_not_waited_for_for_ever() {
        let (clock, slot) = (clock(), Slot::new(1_000_000));
        let now = clock.start_of(Slot::new(100));
        let mut awaited = Awaited::default();
        awaited.returned(slot, &clock, now);
        assert_eq!(awaited.wait_until(now), Some(now + 16_000));
    }

    #[test]
    fn while_stopping_only_slots_that_are_waited_for_get_a_header() {
        let (clock, slot) = (clock(), Slot::new(100));
        let mut awaited = Awaited::default();
        awaited.returned(slot, &clock, clock.start_of(slot));
        assert!(awaited.may_race(Slot::new(101)));
        awaited.is_stopping = true;
        assert!(awaited.may_race(slot) && !awaited.may_race(Slot::new(101)));
    }

    #[test]
    fn an_open_race_is_waited_for() {
        let awaited = AwaitedBlocks::default();
        let race = awaited.open_race(Slot::new(1)).unwrap();
        assert!(awaited.state.lock().wait_until(0).is_some());
        drop(race);
        assert!(awaited.state.lock().wait_until(0).is_none());
    }
}
