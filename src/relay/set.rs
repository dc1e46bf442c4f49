//! The relays of the moment, as snapshots that readers take without waiting: who there is, where each one stands, who is asked.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwap;
use parking_lot::RwLock;

use super::{
    Relay,
    health::{Accusation, Eligibility, OperatorSetting, RaceStats, Ranking, Trust, chosen},
    metrics::{begin_relay, end_relay, record_unknown_up, record_up},
};
use crate::{
    breaker::Breaker,
    events::{ModeReason, ProbeResult, RelayMode},
    types::{RelayId, UnixMillis},
};

/// Where one relay stands, as its monitor last decided.
#[derive(Clone, Debug, PartialEq)]
pub struct RelayStatus {
    /// Whether it is asked: active, standby, quarantined or disabled.
    pub mode: RelayMode,
    /// How fit it is to be asked.
    pub eligibility: Eligibility,
    /// Its score, 0 to 1.
    pub score: f64,
    /// Its rank, higher is better.
    pub rank: f64,
    /// Why it is where it is, as a kind.
    pub reason: ModeReason,
    /// Why it is where it is, in words.
    pub message: String,
    /// Its trust, by class.
    pub trust: Trust,
    /// How often and how fast it bid, and how often its bid was the best.
    pub record: RaceStats,
    /// Whether it answers at all: open after failures in a row.
    pub breaker: Breaker,
    /// Offences that still count.
    pub offences: u32,
    /// Until when it is quarantined for them, or rests for a suspicion, if it does.
    pub quarantined_until: Option<UnixMillis>,
    /// What it is accused of, oldest first.
    pub accusations: Vec<Accusation>,
    /// The operator's word.
    pub operator_setting: Option<OperatorSetting>,
}

/// All statuses.
#[derive(Debug, Default)]
pub(super) struct StatusBoard {
    pub(super) statuses: HashMap<RelayId, RelayStatus>,
    pub(super) min_active: usize,
    pub(super) half_life_ms: i64,
}

/// All relays in the order of the configuration, their statuses, and what the last probe of each said.
#[derive(Debug)]
pub struct SharedRelays {
    all: ArcSwap<Vec<Arc<Relay>>>,
    board: ArcSwap<StatusBoard>,
    conditions: RwLock<HashMap<RelayId, ProbeResult>>,
    is_shedding: AtomicBool,
}

impl SharedRelays {
    /// The configured relays; before anybody judged them, the enabled ones are asked.
    pub fn new(all: Vec<Arc<Relay>>) -> Self {
        all.iter().for_each(|relay| begin_relay(relay.id()));
        Self {
            all: ArcSwap::from_pointee(all),
            board: ArcSwap::default(),
            conditions: RwLock::default(),
            is_shedding: AtomicBool::new(false),
        }
    }

    /// Puts other relays in their place. Calls under way go on with those they were begun with.
    pub fn replace(&self, all: Vec<Arc<Relay>>) {
        self.conditions.write().retain(|id, _| all.iter().any(|relay| relay.id() == id));
        all.iter().for_each(|relay| begin_relay(relay.id()));
        let before = self.all.swap(Arc::new(all));
        let now = self.all.load();
        for gone in before.iter().filter(|gone| now.iter().all(|relay| relay.id() != gone.id())) {
            end_relay(gone.id());
        }
    }

    /// Every configured relay.
    pub fn all(&self) -> Arc<Vec<Arc<Relay>>> {
        self.all.load_full()
    }

    /// Where all stand from now on. Of a disabled relay, whom nobody probes, the last probe says nothing any more.
    pub(super) fn set_board(&self, board: StatusBoard) {
        let is_disabled = |status: &RelayStatus| status.mode == RelayMode::Disabled;
        let disabled: Vec<RelayId> = board
            .statuses
            .iter()
            .filter(|(_, status)| is_disabled(status))
            .map(|(id, _)| id.clone())
            .collect();
        // The board first: a probe that ends now sees it under the lock, and is left out.
        self.board.store(Arc::new(board));
        let mut conditions = self.conditions.write();
        for id in disabled {
            conditions.remove(&id);
            record_unknown_up(&id);
        }
    }

    pub(super) fn set_shedding(&self, is_shedding: bool) {
        self.is_shedding.store(is_shedding, Ordering::Relaxed);
    }

    /// Whether optional work should wait: the machine is under pressure. Never a reason not to serve a proposer.
    pub fn is_shedding(&self) -> bool {
        self.is_shedding.load(Ordering::Relaxed)
    }

    /// Where a relay stands; `None` before its monitor has seen it.
    pub fn status(&self, relay: &RelayId) -> Option<RelayStatus> {
        self.board.load().statuses.get(relay).cloned()
    }

    /// Reads a relay's record in races, a blank one before its monitor has seen it.
    pub fn by_record<T>(&self, relay: &RelayId, read: impl FnOnce(&RaceStats) -> T) -> T {
        match self.board.load().statuses.get(relay) {
            Some(status) => read(&status.record),
            None => read(&RaceStats::default()),
        }
    }

    /// In what time trust fades by half, in milliseconds.
    pub fn half_life_ms(&self) -> i64 {
        self.board.load().half_life_ms
    }

    /// Those of some relays that are asked now. A snapshot is read; nothing waits.
    pub fn asked_of(&self, relays: &[Arc<Relay>]) -> Vec<Arc<Relay>> {
        let board = self.board.load();
        let blank = |eligibility| Ranking { eligibility, rank: 0.0, bids_lately: false };
        let rankings: Vec<Ranking> = relays
            .iter()
            .map(|relay| match (relay.settings().enabled, board.statuses.get(relay.id())) {
                (false, _) => blank(Eligibility::Disabled),
                (true, Some(status)) => Ranking {
                    eligibility: status.eligibility,
                    rank: status.rank,
                    bids_lately: status.record.bids_lately(),
                },
                (true, None) => blank(Eligibility::Fit),
            })
            .collect();
        let is_asked = chosen(&rankings, board.min_active);
        relays
            .iter()
            .zip(is_asked)
            .filter(|(_, is_asked)| *is_asked)
            .map(|(relay, _)| Arc::clone(relay))
            .collect()
    }

    /// Those of all relays that are asked now.
    pub fn active(&self) -> Vec<Arc<Relay>> {
        self.asked_of(&self.all.load())
    }

    /// Those that are not disabled: signed blocks and registrations go to all of them, whatever became of their trust.
    pub fn enabled_of(&self, relays: &[Arc<Relay>]) -> Vec<Arc<Relay>> {
        let board = self.board.load();
        let is_enabled = |relay: &&Arc<Relay>| {
            relay.settings().enabled
                && board
                    .statuses
                    .get(relay.id())
                    .is_none_or(|status| status.eligibility != Eligibility::Disabled)
        };
        relays.iter().filter(is_enabled).cloned().collect()
    }

    /// What the last probe of a relay said; `None` before the first.
    pub fn condition(&self, relay: &RelayId) -> Option<ProbeResult> {
        self.conditions.read().get(relay).cloned()
    }

    /// Keeps what a probe said; whether that is another thing than the one before said. A probe that was under way while its relay was
    /// disabled is left out.
    pub(super) fn note_condition(&self, state: ProbeResult) -> bool {
        let mut conditions = self.conditions.write();
        let board = self.board.load();
        if board.statuses.get(&state.relay).is_some_and(|status| status.mode == RelayMode::Disabled) {
            return false;
        }
        let (relay, usable) = (state.relay.clone(), state.usable);
        record_up(&relay, usable);
        conditions.insert(relay, state).is_none_or(|before| before.usable != usable)
    }

    /// Whether a relay may be usable: not one of the active ones is known to be down, or at least one is known to be up.
    pub fn has_usable(&self) -> bool {
        let conditions = self.conditions.read();
        self.active().iter().any(|relay| conditions.get(relay.id()).is_none_or(|state| state.usable))
    }
}
