//! All upstreams as calls see them, and who of them can be asked.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::{
    Board, RpcCall, RpcSettings, Session, block_need,
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
        let now = Instant::now();
        let seen: Vec<Seen> = self.all.iter().map(|lane| lane.seen(&call.method, now)).collect();
        let need = Need {
            block: block_need::of(&call.method, &call.params),
            told_latest: session.latest(),
            told_finalized: session.finalized(),
        };
        select::candidates(&self.board.snapshot(), &seen, need)
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
