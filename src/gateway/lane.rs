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
    Ask, MethodClass, Standing, UpstreamId, UpstreamSettings,
    hedge::{Latencies, Quantiles},
    select::{MethodLists, Seen},
};

/// Rest of an upstream that says it is asked too often and not for how long. An arbitrary number.
const USUAL_REST: Duration = Duration::from_secs(1);
/// Longest rest, whatever it says.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// Longest that an upstream counts as silent without being asked again; its probes tell sooner. An arbitrary number.
const LONGEST_SILENCE: Duration = Duration::from_secs(10);

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
    shown: Mutex<Shown>,
    moments: Mutex<Moments>,
}

/// The highest blocks of its answers.
#[derive(Default)]
struct Shown {
    latest: Highest,
    finalized: Highest,
}

/// A height that answers showed, beside what probes saw then.
#[derive(Default)]
struct Highest {
    number: u64,
    probed: Option<u64>,
}

impl Highest {
    /// The height now: a probe that saw less since then is right, so that one answer that was too high is not believed for ever.
    const fn beside(&mut self, probed: Option<u64>) -> u64 {
        if let Some(now) = probed
            && !matches!(self.probed, Some(then) if then == now)
        {
            self.probed = probed;
            if now < self.number {
                self.number = now;
            }
        }
        self.number
    }

    fn note(&mut self, number: u64, probed: Option<u64>) {
        self.number = self.beside(probed).max(number);
    }
}

#[derive(Default)]
struct Moments {
    resting_until: Option<Instant>,
    last_answer: Option<Instant>,
    silent_since: Option<Instant>,
}

impl Moments {
    /// Whether it has answered nothing since it was found to be silent; `probed` is when it last answered a probe.
    fn is_silent(&self, probed: Option<Instant>, now: Instant) -> bool {
        self.silent_since.is_some_and(|since| {
            let answered = self.last_answer.max(probed).is_some_and(|last| last >= since);
            !answered && now.saturating_duration_since(since) < LONGEST_SILENCE
        })
    }
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
            shown: Mutex::default(),
            moments: Mutex::default(),
        }
    }

    /// What its answers showed, for a call of a method. `probed` is when it last answered a probe.
    pub(super) fn seen(
        &self,
        method: &str,
        standing: Option<&Standing>,
        probed: Option<Instant>,
        now: Instant,
    ) -> Seen {
        let (latest, finalized) = self.shown(standing);
        let (resting, stalled) = {
            let moments = self.moments.lock();
            (moments.resting_until.is_some_and(|until| now < until), moments.is_silent(probed, now))
        };
        Seen {
            latest,
            finalized,
            resting,
            stalled,
            may: self.lists.take(method) && self.ask.has_budget(),
        }
    }

    /// The highest block and the highest finalized one of its answers, 0 for none. Probes that saw less later count more.
    pub(super) fn shown(&self, standing: Option<&Standing>) -> (u64, u64) {
        let mut shown = self.shown.lock();
        (shown.latest.beside(head_of(standing)), shown.finalized.beside(finalized_of(standing)))
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

    /// It answers nothing although calls wait for it. Whether that was not known; `probed` is when it last answered a probe.
    pub(super) fn note_silent(&self, probed: Option<Instant>, now: Instant) -> bool {
        let mut moments = self.moments.lock();
        let was_known = moments.is_silent(probed, now);
        if !was_known {
            moments.silent_since = Some(now);
        }
        !was_known
    }

    /// Whether it answers nothing just now, as far as is known.
    pub(super) fn is_silent(&self, probed: Option<Instant>, now: Instant) -> bool {
        self.moments.lock().is_silent(probed, now)
    }

    /// It showed a block at its tip.
    pub(super) fn note_latest(&self, number: u64, standing: Option<&Standing>) {
        self.shown.lock().latest.note(number, head_of(standing));
    }

    /// It showed a finalized block.
    pub(super) fn note_finalized(&self, number: u64, standing: Option<&Standing>) {
        self.shown.lock().finalized.note(number, finalized_of(standing));
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

fn head_of(standing: Option<&Standing>) -> Option<u64> {
    Some(standing?.head?.number)
}

fn finalized_of(standing: Option<&Standing>) -> Option<u64> {
    standing?.finalized
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_that_sees_less_later_lowers_what_an_answer_showed() {
        let mut highest = Highest::default();
        highest.note(110, Some(100));
        assert_eq!([Some(100), None, Some(100)].map(|probed| highest.beside(probed)), [110; 3]);
        assert_eq!([Some(101), Some(101)].map(|probed| highest.beside(probed)), [101; 2]);
        highest.note(102, Some(101));
        assert_eq!([Some(101), Some(103)].map(|probed| highest.beside(probed)), [102; 2]);
    }
}
