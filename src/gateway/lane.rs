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
    pruned::{Past, Pruned},
    select::{MethodLists, Seen},
};

/// Rest of an upstream that says it is asked too often and not for how long; it doubles each time that it says so again after a rest. Arbitrary numbers.
const FIRST_REST: Duration = Duration::from_millis(250);
const MOST_DOUBLED: u32 = 7;
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
    pruned: Mutex<Pruned>,
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
    /// How often in a row it asked for rest.
    rests: u32,
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
            pruned: Mutex::default(),
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
            pruned: self.pruned.lock().up_to(Past::of(method), now),
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

    /// It said that it does not have what a call needs of a block's past; its own head is `latest`.
    pub(super) fn note_pruned(&self, past: Past, number: u64, latest: u64, now: Instant) {
        self.pruned.lock().note_lacks(past, number, latest, now);
    }

    /// It has it.
    pub(super) fn note_not_pruned(&self, past: Past, number: u64) {
        self.pruned.lock().note_has(past, number);
    }

    /// It showed a block at its tip.
    pub(super) fn note_latest(&self, number: u64, standing: Option<&Standing>) {
        self.shown.lock().latest.note(number, head_of(standing));
    }

    /// It showed a finalized block.
    pub(super) fn note_finalized(&self, number: u64, standing: Option<&Standing>) {
        self.shown.lock().finalized.note(number, finalized_of(standing));
    }

    /// It asks us to come later. When that is.
    pub(super) fn rest(&self, retry_after: Option<Duration>, now: Instant) -> Instant {
        let mut moments = self.moments.lock();
        let rest = match (retry_after, moments.resting_until) {
            (Some(rest), _) => rest.min(LONGEST_REST),
            // Others that were under way are refused, too: that is the same rest.
            (None, Some(until)) if now < until => return until,
            (None, _) => {
                let doubled = moments.rests.min(MOST_DOUBLED);
                moments.rests = moments.rests.saturating_add(1);
                FIRST_REST * 2_u32.pow(doubled)
            }
        };
        let until = now.checked_add(rest).unwrap_or(now);
        moments.resting_until = Some(until);
        until
    }

    /// It has answered a call, so that it is not asked too often any more.
    pub(super) fn note_rested(&self, now: Instant) {
        let mut moments = self.moments.lock();
        if moments.resting_until.is_some_and(|until| now >= until) {
            moments.resting_until = None;
            moments.rests = 0;
        }
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

    #[test]
    fn a_rest_grows_each_time_that_it_was_too_short() {
        let upstream = &crate::gateway::stage::Stage::new().settings.upstreams[0];
        let lane = Lane::new(upstream, crate::gateway::stage::Stage::new().asks().swap_remove(0));
        let (start, ms) = (Instant::now(), Duration::from_millis);
        let mut now = start;
        for want in [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 32_000] {
            let until = lane.rest(None, now);
            assert_eq!(until - now, ms(want));
            // A hundred calls that were under way are refused with it.
            assert!((0..100).all(|_| lane.rest(None, now + ms(1)) == until));
            now = until;
        }
        // An answer to a call of before is no proof; one of after is.
        let until = lane.rest(None, now);
        lane.note_rested(now);
        assert_eq!(lane.rest(None, until) - until, ms(32_000));
        let until = until + ms(32_000);
        lane.note_rested(until);
        assert_eq!(lane.rest(None, until) - until, ms(250));
        // What it says itself counts, up to a minute.
        assert_eq!(lane.rest(Some(ms(90_000)), now) - now, LONGEST_REST);
    }
}
