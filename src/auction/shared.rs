//! Requests for the same block share one race: two beacon nodes behind one sidecar, or a distributed validator whose nodes must all
//! sign the same block, get the same bid.
//!
//! A race is one slot, parent and proposer. Who comes while it runs joins it, who comes after it ended with a bid gets that bid
//! again. A race that ended without one is forgotten: a repeated request is a new chance. The race is a task of its own, so that
//! the client that began it may hang up without taking the others' answer along.

use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
    time::Duration,
};

use alloy_primitives::B256;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{VerifiedBid, gather::Hurry};
use crate::{
    events::Winner,
    types::{BlsPublicKey, Slot},
};

/// Races remembered. Arbitrary: some hundred validators of one operator do not propose in one slot.
const KEPT: usize = 64;

/// Requests that agree in this want the same block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RaceKey {
    pub(super) slot: Slot,
    pub(super) parent_hash: B256,
    pub(super) proposer: BlsPublicKey,
}

/// What a race was won with.
#[derive(Debug)]
pub(super) struct Won {
    pub(super) bid: VerifiedBid,
    pub(super) winner: Winner,
}

/// How a race ended.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    /// The bid, or none.
    pub(super) won: Option<Arc<Won>>,
    /// Whether time ran out before everybody had answered: who has more time may try again.
    pub(super) was_cut: bool,
}

/// A race under way, as those who wait for it see it.
#[derive(Debug)]
pub(super) struct Running {
    end: watch::Sender<Option<Ended>>,
    hurry: watch::Sender<Option<Hurry>>,
    /// After how long the client that began it hung up, if it did.
    pub(super) hung_up_after: OnceLock<Duration>,
}

impl Running {
    fn new() -> Self {
        Self {
            end: watch::Sender::new(None),
            hurry: watch::Sender::new(None),
            hung_up_after: OnceLock::new(),
        }
    }

    /// Where the end will be told. Whoever holds it counts as waiting.
    pub(super) fn wait(&self) -> watch::Receiver<Option<Ended>> {
        self.end.subscribe()
    }

    /// Whether anybody waits for the end.
    pub(super) fn is_awaited(&self) -> bool {
        self.end.receiver_count() > 0
    }

    /// Wishes an answer by an earlier time. The earliest of all wishes counts, so that everybody gets the same answer.
    pub(super) fn hurry(&self, times: Hurry) {
        self.hurry.send_if_modified(|asked| {
            let is_earlier = asked.is_none_or(|asked| times.answer_by < asked.answer_by);
            if is_earlier {
                *asked = Some(times);
            }
            is_earlier
        });
    }

    /// The wishes, for the race.
    pub(super) fn wishes(&self) -> watch::Receiver<Option<Hurry>> {
        self.hurry.subscribe()
    }
}

/// What a request finds.
#[derive(Debug)]
pub(super) enum Place {
    /// No such race: it is to be held, and its end to be told.
    First(Lead),
    /// One under way.
    Running(Arc<Running>),
    /// One that ended with a bid.
    Won(Arc<Won>),
}

#[derive(Debug)]
enum State {
    Running(Arc<Running>),
    Won(Arc<Won>),
}

/// The memory. Locked for microseconds, never across an await.
#[derive(Debug, Default)]
pub(super) struct SharedRaces {
    races: Mutex<VecDeque<(RaceKey, State)>>,
}

impl SharedRaces {
    /// Finds the race for a block, or opens it.
    pub(super) fn enter(self: &Arc<Self>, key: RaceKey) -> Place {
        let mut races = self.races.lock();
        match races.iter().rev().find(|(of, _)| *of == key) {
            Some((_, State::Running(running))) => return Place::Running(Arc::clone(running)),
            Some((_, State::Won(won))) => return Place::Won(Arc::clone(won)),
            None => {}
        }
        let running = Arc::new(Running::new());
        // One that is pushed out while it runs is not found again, and ends as ever for those who wait for it.
        if races.len() >= KEPT {
            races.pop_front();
        }
        races.push_back((key, State::Running(Arc::clone(&running))));
        Place::First(Lead { races: Arc::clone(self), running, is_over: false })
    }
}

/// The duty to tell a race's end. Dropped without an end, as when the race panics, it tells that there is no bid.
#[derive(Debug)]
pub(super) struct Lead {
    races: Arc<SharedRaces>,
    pub(super) running: Arc<Running>,
    is_over: bool,
}

impl Lead {
    /// The race is over: whoever waits is told, whoever comes later finds the bid.
    pub(super) fn conclude(mut self, ended: Ended) {
        self.notify(ended);
    }

    fn notify(&mut self, ended: Ended) {
        self.is_over = true;
        {
            let mut races = self.races.races.lock();
            let is_this =
                |state: &State| matches!(state, State::Running(of) if Arc::ptr_eq(of, &self.running));
            let place = races.iter().position(|(_, state)| is_this(state));
            match (place, &ended.won) {
                (Some(place), Some(won)) => {
                    if let Some((_, state)) = races.get_mut(place) {
                        *state = State::Won(Arc::clone(won));
                    }
                }
                (Some(place), None) => drop(races.remove(place)),
                (None, _) => {}
            }
        }
        self.running.end.send_replace(Some(ended));
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        if !self.is_over {
            self.notify(Ended { won: None, was_cut: true });
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn key(slot: u64) -> RaceKey {
        RaceKey { slot: Slot::new(slot), parent_hash: B256::ZERO, proposer: BlsPublicKey::default() }
    }

    fn first(place: Place) -> Lead {
        match place {
            Place::First(lead) => lead,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_same_race_is_joined_and_another_is_not() {
        let races = Arc::new(SharedRaces::default());
        let lead = first(races.enter(key(1)));
        assert!(matches!(races.enter(key(1)), Place::Running(_)));
        for other in [
            key(2),
            RaceKey { parent_hash: B256::repeat_byte(1), ..key(1) },
            RaceKey { proposer: BlsPublicKey([1; 48].into()), ..key(1) },
        ] {
            drop(first(races.enter(other)));
        }
        let end = lead.running.wait();
        lead.conclude(Ended { won: None, was_cut: false });
        assert!(end.borrow().as_ref().is_some_and(|ended| ended.won.is_none() && !ended.was_cut));
        // Without a bid it is forgotten.
        drop(first(races.enter(key(1))));
        assert!(races.races.lock().is_empty());
    }

    #[test]
    fn a_race_that_dies_tells_those_who_wait() {
        let races = Arc::new(SharedRaces::default());
        let lead = first(races.enter(key(1)));
        let end = lead.running.wait();
        drop(lead);
        assert!(end.borrow().is_some());
    }

    #[test]
    fn the_memory_is_bounded_and_the_oldest_goes() {
        let races = Arc::new(SharedRaces::default());
        let leads: Vec<_> = (0..1000).map(|slot| first(races.enter(key(slot)))).collect();
        assert_eq!(races.races.lock().len(), KEPT);
        assert!(matches!(races.enter(key(999)), Place::Running(_)));
        let end = leads[0].running.wait();
        drop(leads);
        assert!(end.borrow().is_some() && races.races.lock().is_empty());
    }

    #[test]
    fn the_earliest_wish_counts() {
        let running = Running::new();
        let at = |ms| {
            let by = Instant::now() + Duration::from_millis(ms);
            Hurry { collect_by: by, answer_by: by }
        };
        let (late, early) = (at(900), at(300));
        for asked in [late, early, late] {
            running.hurry(asked);
        }
        assert_eq!(*running.wishes().borrow(), Some(early));
    }
}
