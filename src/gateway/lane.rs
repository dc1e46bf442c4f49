//! One upstream as calls see it: how it is asked, what it may be asked for, and what its answers showed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    Ask, MethodClass, UpstreamId, UpstreamSettings,
    hedge::{Latencies, Quantiles},
    select::{MethodLists, Seen},
};

/// Rest of an upstream that says it is asked too often and not for how long. An arbitrary number.
const USUAL_REST: Duration = Duration::from_secs(1);
/// Longest rest, whatever it says.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// One upstream.
pub(super) struct Lane {
    /// Its name.
    pub id: UpstreamId,
    /// How it is asked.
    pub ask: Arc<dyn Ask>,
    lists: MethodLists,
    sends: Latencies,
    reads: Latencies,
    heavy: Latencies,
    asked: AtomicU64,
    latest: AtomicU64,
    finalized: AtomicU64,
    moments: Mutex<Moments>,
}

#[derive(Default)]
struct Moments {
    resting_until: Option<Instant>,
    last_answer: Option<Instant>,
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Lane {
    /// An upstream that was not asked anything yet.
    pub(super) fn new(settings: &UpstreamSettings, ask: Arc<dyn Ask>) -> Self {
        Self {
            id: settings.id.clone(),
            ask,
            lists: MethodLists { only: settings.methods.clone(), never: settings.ignore_methods.clone() },
            sends: Latencies::default(),
            reads: Latencies::default(),
            heavy: Latencies::default(),
            asked: AtomicU64::new(0),
            latest: AtomicU64::new(0),
            finalized: AtomicU64::new(0),
            moments: Mutex::default(),
        }
    }

    /// What its answers showed, for a call of a method.
    pub(super) fn seen(&self, method: &str, now: Instant) -> Seen {
        Seen {
            latest: self.latest.load(Relaxed),
            finalized: self.finalized.load(Relaxed),
            resting: self.moments.lock().resting_until.is_some_and(|until| now < until),
            may: self.lists.take(method) && self.ask.has_budget(),
        }
    }

    /// It is asked for so many calls.
    pub(super) fn note_asked(&self, calls: usize) {
        self.asked.fetch_add(u64::try_from(calls).unwrap_or(u64::MAX), Relaxed);
    }

    /// It answered something whose time says nothing of single calls.
    pub(super) fn note_alive(&self, now: Instant) {
        self.moments.lock().last_answer = Some(now);
    }

    /// How many calls it was asked for since the start.
    pub(super) fn asked(&self) -> u64 {
        self.asked.load(Relaxed)
    }

    /// It answered after so long.
    pub(super) fn note_answer(&self, class: MethodClass, elapsed: Duration, now: Instant) {
        self.latencies(class).note(elapsed);
        self.note_alive(now);
    }

    /// Whether it answered anything since then: who does is alive, however slow one call is.
    pub(super) fn answered_since(&self, then: Instant) -> bool {
        self.moments.lock().last_answer.is_some_and(|last| last >= then)
    }

    /// It showed a block at its tip.
    pub(super) fn note_latest(&self, number: u64) {
        self.latest.fetch_max(number, Relaxed);
    }

    /// It showed a finalized block.
    pub(super) fn note_finalized(&self, number: u64) {
        self.finalized.fetch_max(number, Relaxed);
    }

    /// It asks us to come later.
    pub(super) fn rest(&self, retry_after: Option<Duration>, now: Instant) {
        let rest = retry_after.unwrap_or(USUAL_REST).min(LONGEST_REST);
        self.moments.lock().resting_until = now.checked_add(rest);
    }

    /// How long it takes for calls of a class.
    pub(super) fn quantiles(&self, class: MethodClass) -> Option<Quantiles> {
        self.latencies(class).quantiles()
    }

    const fn latencies(&self, class: MethodClass) -> &Latencies {
        match class {
            MethodClass::Send => &self.sends,
            MethodClass::Read => &self.reads,
            MethodClass::Heavy => &self.heavy,
        }
    }
}
