//! Requests for the same block share one race: two beacon nodes behind one sidecar, or a distributed validator whose nodes must all
//! sign the same block, get the same bid.
//!
//! A race is one slot, parent and proposer. Who comes while it runs joins it, who comes after it ended with a bid gets that bid
//! again. A race that ended without one is forgotten: a repeated request is a new chance. The race is a task of its own, so that
//! the client that began it may hang up without taking the others' answer along.
//!
//! A race shows the best proven bid it has in hand. Whoever waits and has no time left settles it with that one, and need not wait for
//! the race's own turn: the answer is in time however busy the machine is. What one client was given is what all get.

use std::{
    collections::VecDeque,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use alloy_primitives::B256;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{check::VerifiedBid, deadline::RaceTimes};
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

/// Requests that share a race and are written down each; of a flood beyond that, only the number is kept. Arbitrary: more than there are
/// beacon nodes behind one sidecar.
const MAX_TOLD: usize = 16;

/// Counts the requests that share something.
#[derive(Debug, Default)]
pub(super) struct Sharers(AtomicUsize);

impl Sharers {
    /// One more; says whether it is written down.
    pub(super) fn add(&self) -> bool {
        // It stays at the most, and never begins anew.
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
                (count < MAX_TOLD).then_some(count + 1)
            })
            .is_ok()
    }
}

/// What a race was won with.
#[derive(Debug)]
pub(super) struct Won {
    pub(super) bid: VerifiedBid,
    pub(super) winner: Winner,
    /// Requests that came after its end.
    pub(super) repeated: Sharers,
}

impl Won {
    pub(super) fn new(bid: VerifiedBid, winner: Winner) -> Self {
        Self { bid, winner, repeated: Sharers::default() }
    }
}

/// How a race ended.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    /// The bid, or none.
    pub(super) won: Option<Arc<Won>>,
    /// Whether time ran out before everybody had answered: who has more time may try again.
    pub(super) was_cut: bool,
}

/// What would be answered now.
#[derive(Debug, Default)]
struct InHand {
    best: Option<Arc<Won>>,
    /// Whether the end is told: it is told once.
    is_settled: bool,
}

/// A race under way, as those who wait for it see it.
#[derive(Debug)]
pub(super) struct Running {
    /// Locked for nanoseconds, never across an await.
    in_hand: Mutex<InHand>,
    end: watch::Sender<Option<Ended>>,
    hurry: watch::Sender<Option<RaceTimes>>,
    /// Requests that came while it ran.
    pub(super) joined: Sharers,
    /// After how long the client that began it hung up, if it did.
    pub(super) hung_up_after: OnceLock<Duration>,
}

impl Running {
    fn new() -> Self {
        Self {
            in_hand: Mutex::default(),
            end: watch::Sender::new(None),
            hurry: watch::Sender::new(None),
            joined: Sharers::default(),
            hung_up_after: OnceLock::new(),
        }
    }

    /// Where the end will be told. Whoever holds it counts as waiting.
    pub(super) fn wait(&self) -> watch::Receiver<Option<Ended>> {
        self.end.subscribe()
    }

    /// Whether anybody waits for the end, or has it already.
    pub(super) fn is_awaited(&self) -> bool {
        self.end.receiver_count() > 0 || self.is_settled()
    }

    /// Whether somebody has taken the best bid in hand.
    pub(super) fn is_settled(&self) -> bool {
        self.in_hand.lock().is_settled
    }

    /// Whether it ended without a bid for all who wait.
    fn is_given_up(&self) -> bool {
        let in_hand = self.in_hand.lock();
        in_hand.is_settled && self.end.borrow().as_ref().is_some_and(|ended| ended.won.is_none())
    }

    /// Shows the best proven bid in hand, or that there is none any more.
    pub(super) fn show(&self, best: Option<Arc<Won>>) {
        self.in_hand.lock().best = best;
    }

    /// Ends the race with the best bid in hand; `None` where there is none, and the race goes on for those who have more time.
    pub(super) fn settle(&self) -> Option<Ended> {
        let settled = {
            let mut in_hand = self.in_hand.lock();
            if in_hand.is_settled {
                return self.end.borrow().clone();
            }
            let won = in_hand.best.clone()?;
            in_hand.is_settled = true;
            let ended = Ended { won: Some(won), was_cut: true };
            self.end.send_replace(Some(ended.clone()));
            ended
        };
        // The race looks at its wishes, and finds that it is over.
        self.hurry.send_modify(|_| {});
        Some(settled)
    }

    /// Ends the race with what there is, and be it nothing: the time of the client it is held for is up.
    pub(super) fn give_up(&self) -> Ended {
        let ended = self.settle().unwrap_or_else(|| self.tell(Ended { won: None, was_cut: true }));
        self.hurry.send_modify(|_| {});
        ended
    }

    /// Tells the end, unless somebody settled it before: what counts is returned.
    fn tell(&self, ended: Ended) -> Ended {
        let mut in_hand = self.in_hand.lock();
        if in_hand.is_settled
            && let Some(settled) = self.end.borrow().clone()
        {
            return settled;
        }
        in_hand.is_settled = true;
        self.end.send_replace(Some(ended.clone()));
        ended
    }

    /// Wishes an answer by an earlier time. The earliest of all wishes counts, so that everybody gets the same answer.
    pub(super) fn hurry(&self, times: RaceTimes) {
        self.hurry.send_if_modified(|asked| {
            let is_earlier = asked.is_none_or(|asked| times.decide_by < asked.decide_by);
            if is_earlier {
                *asked = Some(times);
            }
            is_earlier
        });
    }

    /// The wishes, for the race.
    pub(super) fn wishes(&self) -> watch::Receiver<Option<RaceTimes>> {
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
            // One that was given up and has not ended yet has nothing for anybody.
            Some((_, State::Running(running))) if running.is_given_up() => {}
            Some((_, State::Running(running))) => return Place::Running(Arc::clone(running)),
            Some((_, State::Won(won))) => return Place::Won(Arc::clone(won)),
            None => {}
        }
        races.retain(|(of, _)| *of != key);
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
    /// The race is over: whoever waits is told, whoever comes later finds the bid. Returns the end that counts, which is another one
    /// where somebody could wait no longer.
    pub(super) fn conclude(mut self, ended: Ended) -> Ended {
        self.notify(ended)
    }

    fn notify(&mut self, ended: Ended) -> Ended {
        self.is_over = true;
        let mut races = self.races.races.lock();
        let ended = self.running.tell(ended);
        let is_this = |state: &State| matches!(state, State::Running(of) if Arc::ptr_eq(of, &self.running));
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
        ended
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

    fn won(value: u64) -> Arc<Won> {
        let (bid, winner) = crate::auction::check::example(value);
        Arc::new(Won::new(bid, winner))
    }

    fn value_of(ended: &Ended) -> Option<crate::types::Wei> {
        ended.won.as_ref().map(|won| won.winner.value)
    }

    #[test]
    fn what_one_client_was_given_is_what_all_get() {
        let races = Arc::new(SharedRaces::default());
        let lead = first(races.enter(key(1)));
        let running = Arc::clone(&lead.running);
        let (end, mut wishes) = (running.wait(), running.wishes());
        assert!(running.settle().is_none(), "nothing in hand: the race goes on");
        running.show(Some(won(5)));
        running.show(None);
        assert!(running.settle().is_none(), "what was in hand does not hold any more");
        running.show(Some(won(5)));
        wishes.borrow_and_update();
        let settled = running.settle().unwrap();
        assert!(running.is_settled() && wishes.has_changed().unwrap(), "the race is told");
        running.show(Some(won(9)));
        assert_eq!(value_of(&running.settle().unwrap()), value_of(&settled));
        // The race itself ends with a better bid a moment later: too late for everybody.
        let ended = lead.conclude(Ended { won: Some(won(9)), was_cut: false });
        assert_eq!(value_of(&ended), value_of(&won(5).into()));
        assert_eq!(end.borrow().as_ref().map(value_of), Some(value_of(&settled)));
        assert!(
            matches!(races.enter(key(1)), Place::Won(won) if Some(won.winner.value) == value_of(&settled))
        );
    }

    #[test]
    fn who_it_is_held_for_ends_it_with_nothing_if_there_is_nothing() {
        let races = Arc::new(SharedRaces::default());
        let lead = first(races.enter(key(1)));
        let running = Arc::clone(&lead.running);
        assert!(running.give_up().won.is_none());
        assert!(running.is_settled() && running.is_awaited());
        // Whoever comes before its end is told begins another one, which is not forgotten with it.
        let next = first(races.enter(key(1)));
        let ended = lead.conclude(Ended { won: Some(won(9)), was_cut: false });
        assert!(ended.won.is_none() && ended.was_cut, "a bid that came too late was given to nobody");
        assert!(matches!(races.enter(key(1)), Place::Running(of) if Arc::ptr_eq(&of, &next.running)));
        drop(next);
        drop(first(races.enter(key(1))));
    }

    impl From<Arc<Won>> for Ended {
        fn from(won: Arc<Won>) -> Self {
            Self { won: Some(won), was_cut: false }
        }
    }

    #[test]
    fn of_a_flood_only_the_first_are_written_down() {
        let sharers = Sharers::default();
        assert_eq!((0..1000).filter(|_| sharers.add()).count(), MAX_TOLD);
    }

    #[test]
    fn the_earliest_wish_counts() {
        let running = Running::new();
        let at = |ms| {
            let by = Instant::now() + Duration::from_millis(ms);
            RaceTimes { collect_by: by, decide_by: by, answer_by: by }
        };
        let (late, early) = (at(900), at(300));
        for asked in [late, early, late] {
            running.hurry(asked);
        }
        assert_eq!(*running.wishes().borrow(), Some(early));
    }
}
