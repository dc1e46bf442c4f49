//! All upstreams as calls see them, and who of them can be asked.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::{
    Board, RpcCall, RpcSettings, Session, belief, block_need,
    failovers::Failovers,
    lane::Lane,
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

    /// Who can be asked for a call, the best first.
    pub(super) fn candidates(&self, call: &RpcCall, session: &Session) -> Vec<Candidate> {
        let (now, snapshot) = (Instant::now(), self.board.snapshot());
        let seen: Vec<Seen> = self
            .all
            .iter()
            .enumerate()
            .map(|(place, lane)| lane.seen(&call.method, snapshot.upstreams.get(place), now))
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
        head.max(shown).min(self.ceiling())
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
