//! All upstreams as calls see them, and who of them can be asked.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::{
    Board, Feedback, RpcCall, RpcSettings, Session, Tier, belief, block_need,
    failovers::Failovers,
    lane::Lane,
    retry_budget::RetryBudget,
    select::{self, Candidate, Need, Seen},
};
use crate::{consensus::WallClock, types::UnixMillis};

/// All upstreams.
#[derive(Debug)]
pub(super) struct Lanes {
    all: Vec<Lane>,
    board: Board,
    attempt: Duration,
    block_time: Duration,
    hedge: bool,
    clock: WallClock,
    failovers: Failovers,
    retries: RetryBudget,
    background: TaskTracker,
}

impl Lanes {
    /// One for these upstreams, which are in the order of the configuration, as on the board.
    pub(super) fn new(settings: &RpcSettings, all: Vec<Lane>, board: Board, clock: WallClock) -> Arc<Self> {
        Arc::new(Self {
            all,
            board,
            attempt: settings.attempt,
            block_time: settings.block_time,
            hedge: settings.hedge,
            clock,
            failovers: Failovers::default(),
            retries: RetryBudget::new(Instant::now()),
            background: TaskTracker::new(),
        })
    }

    /// The upstreams, by their places.
    pub(super) fn all(&self) -> &[Lane] {
        &self.all
    }

    /// The upstream at a place.
    pub(super) fn at(&self, place: usize) -> Option<&Lane> {
        self.all.get(place)
    }

    /// What is known of the upstreams.
    pub(super) const fn board(&self) -> &Board {
        &self.board
    }

    /// The last calls that another upstream than the first answered.
    pub(super) const fn failovers(&self) -> &Failovers {
        &self.failovers
    }

    /// Calls that go on after their client has its answer. Each ends by its deadline.
    pub(super) const fn background(&self) -> &TaskTracker {
        &self.background
    }

    /// Longest time that one upstream may take while another could be asked.
    pub(super) const fn attempt(&self) -> Duration {
        self.attempt
    }

    /// How many second questions slow upstreams may cost.
    pub(super) const fn retries(&self) -> &RetryBudget {
        &self.retries
    }

    /// A call has waited so long for the upstream at a place. If it answered nothing else meanwhile, the next calls do not wait for it, and it is probed.
    pub(super) fn waited(&self, place: usize, waited: Duration) {
        let now = Instant::now();
        let (Some(lane), probed) = (self.at(place), self.board.probe_answered(place)) else { return };
        let is_alive = now
            .checked_sub(waited)
            .is_some_and(|then| lane.answered_since(then) || probed.is_some_and(|probed| probed >= then));
        if !is_alive && lane.note_silent(probed, now) {
            self.board.observed(place, Feedback::Silent);
        }
    }

    /// Whether another node of the operator's than the one at a place may answer in its stead. Paid upstreams stand in for nobody who may be only slow.
    pub(super) fn has_own_beside(&self, place: usize) -> bool {
        let snapshot = self.board.snapshot();
        let is_own = |place: usize| snapshot.upstreams.get(place).is_some_and(|one| one.tier != Tier::Backup);
        is_own(place)
            && snapshot.order.iter().any(|&other| other != place && is_own(other) && !self.is_silent(other))
    }

    /// Whether the upstream at a place answers nothing just now, as far as is known.
    pub(super) fn is_silent(&self, place: usize) -> bool {
        self.at(place).is_some_and(|lane| lane.is_silent(self.board.probe_answered(place), Instant::now()))
    }

    /// Who can be asked for a call, the best first.
    pub(super) fn candidates(&self, call: &RpcCall, session: &Session) -> Vec<Candidate> {
        let (now, snapshot) = (Instant::now(), self.board.snapshot());
        let seen: Vec<Seen> = self
            .all
            .iter()
            .enumerate()
            .map(|(place, lane)| {
                let (standing, probed) = (snapshot.upstreams.get(place), self.board.probe_answered(place));
                let seen = lane.seen(&call.method, standing, probed, now);
                Seen { latest: seen.latest.max(self.board.heard(place, now)), ..seen }
            })
            .collect();
        let (told_latest, told_finalized) = self.told(session);
        let (ceiling, known) = (self.ceiling(), self.known(told_latest));
        let block = block_need::of(&call.method, &call.params);
        let need = Need { block, told_latest, told_finalized, ceiling, known };
        select::candidates(&snapshot, &seen, need)
    }

    /// The highest block that there can be, as far as anybody who can be believed knows.
    pub(super) fn ceiling(&self) -> u64 {
        belief::ceiling(&self.board.snapshot(), self.clock.now(), self.block_time)
    }

    /// The highest block and the highest finalized one that a client was told of and that there can be. What was told and cannot be, such as by a
    /// node that lied, binds nobody.
    pub(super) fn told(&self, session: &Session) -> (u64, u64) {
        let ceiling = self.ceiling();
        (session.latest().min(ceiling), session.finalized().min(ceiling))
    }

    /// The highest block that there is, as far as the board, an upstream's answer or what a client was told shows.
    pub(super) fn known(&self, told_latest: u64) -> u64 {
        let snapshot = self.board.snapshot();
        let tip = snapshot.tip.map_or(0, |tip| tip.number);
        let serving = snapshot.order.iter().map(|place| self.latest(*place));
        serving.max().unwrap_or(0).max(tip).max(told_latest)
    }

    /// The highest block that the upstream at a place is known to have; 0: none.
    pub(super) fn latest(&self, place: usize) -> u64 {
        let snapshot = self.board.snapshot();
        let standing = snapshot.upstreams.get(place);
        let shown = self.at(place).map_or(0, |lane| lane.shown(standing).0);
        let head = standing.and_then(|standing| standing.head).map_or(0, |head| head.number);
        let heard = self.board.heard(place, Instant::now());
        head.max(shown).max(heard).min(self.ceiling())
    }

    /// Whether a slow read is asked of a second upstream.
    pub(super) const fn hedges(&self) -> bool {
        self.hedge
    }

    /// The time of day, for what people are shown.
    pub(super) fn time_of_day(&self) -> UnixMillis {
        self.clock.now()
    }
}
