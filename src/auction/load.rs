//! What is under way, and how late the runtime is: measured while races are held, and only then.

use std::{
    collections::VecDeque,
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, sleep_until, timeout_at},
};

use super::{
    admission::{LATE, Load, PeakLag, RaceLimit, Refusal, Seen, Turn},
    metrics::CapacityGauges,
    pace::Pace,
    verify::VerifyPool,
};

/// How often it is measured while a race is held. Arbitrary: some times in a usual race, so that one that gets near its deadline knows.
const STEP: Duration = Duration::from_millis(20);
/// How often while a single race is held, which is how most are: a wake-up costs more than all that the race itself computes.
const STEP_OF_ONE: Duration = Duration::from_millis(100);
/// What the timer may be late by without anything being wrong: it counts in whole milliseconds.
const TIMER: Duration = Duration::from_millis(2);
/// Longest wait of what stands back. Arbitrary: a third of the time that registrations have.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// Refusals that are written down, in one second. Each has its line in the log and its row in the ledger; a flood is only counted.
const TOLD_PER_SECOND: usize = 16;

#[derive(Debug)]
struct Measured {
    lag: PeakLag,
    limit: RaceLimit,
    pace: Pace,
    /// The longest that a check had to wait since that was last looked at.
    check_wait: Duration,
    /// Those who wait for their turn, who came first in front.
    line: VecDeque<oneshot::Sender<UnderWay>>,
    /// Second in which refusals were last told, and how many.
    told: (Option<Instant>, usize),
}

/// The counts. Locked for nanoseconds, never across an await.
#[derive(Debug)]
pub(super) struct LoadMeter {
    races: AtomicUsize,
    blocks: AtomicUsize,
    is_measuring: AtomicBool,
    measured: Mutex<Measured>,
    gauges: CapacityGauges,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Race { since: Instant },
    Block,
}

/// Something under way; over when dropped.
#[derive(Debug)]
pub(super) struct UnderWay {
    meter: Arc<LoadMeter>,
    what: What,
}

/// A race that is held, now or when others have ended.
#[derive(Debug)]
pub(super) enum Admitted {
    Now(UnderWay),
    Later { turn: oneshot::Receiver<UnderWay>, patience: Duration },
}

impl Admitted {
    /// Whether it may begin at once.
    pub(super) const fn is_now(&self) -> bool {
        matches!(self, Self::Now(_))
    }

    /// Waits for its turn; `None` where it has not come in time for a request that was received then.
    pub(super) async fn turn(self, received: Instant) -> Option<UnderWay> {
        match self {
            Self::Now(under_way) => Some(under_way),
            Self::Later { turn, patience } => timeout_at(received + patience, turn).await.ok()?.ok(),
        }
    }
}

impl Default for LoadMeter {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let measured = Measured {
            lag: PeakLag::default(),
            limit: RaceLimit::new(cores),
            pace: Pace::default(),
            check_wait: Duration::ZERO,
            line: VecDeque::new(),
            told: (None, 0),
        };
        Self {
            races: AtomicUsize::new(0),
            blocks: AtomicUsize::new(0),
            is_measuring: AtomicBool::new(false),
            measured: Mutex::new(measured),
            gauges: CapacityGauges::default(),
        }
    }
}

impl LoadMeter {
    /// The load of the moment.
    pub(super) fn load(&self, pool: &VerifyPool) -> Load {
        let (check, check_wait) = pool.load();
        let mut measured = self.measured.lock();
        measured.check_wait = measured.check_wait.max(check_wait);
        Load {
            races: self.races.load(Ordering::Relaxed),
            waiting: measured.line.len(),
            race: (measured.pace.usual(), measured.pace.most()),
            blocks: self.blocks.load(Ordering::Relaxed),
            lag: measured.lag.at(Instant::now()),
            check,
            check_wait,
        }
    }

    /// Begins a race that has `budget` in all, if it can be held: now, or when its turn comes.
    ///
    /// # Errors
    /// The reason why not.
    pub(super) fn begin_race(self: &Arc<Self>, load: &Load, budget: Duration) -> Result<Admitted, Refusal> {
        let mut measured = self.measured.lock();
        while measured.line.front().is_some_and(oneshot::Sender::is_closed) {
            measured.line.pop_front();
        }
        let races = self.races.load(Ordering::SeqCst);
        let load = Load { races, waiting: measured.line.len(), ..*load };
        match measured.limit.admit(&load, budget)? {
            Turn::Now => {
                self.races.fetch_add(1, Ordering::SeqCst);
                drop(measured);
                self.keep_measuring();
                Ok(Admitted::Now(self.race_under_way()))
            }
            Turn::Later { patience } => {
                let (call, turn) = oneshot::channel();
                measured.line.push_back(call);
                Ok(Admitted::Later { turn, patience })
            }
        }
    }

    /// A race that is counted.
    fn race_under_way(self: &Arc<Self>) -> UnderWay {
        UnderWay { meter: Arc::clone(self), what: What::Race { since: Instant::now() } }
    }

    /// Has those begin whose turn it is.
    fn let_in(self: &Arc<Self>) {
        loop {
            let mut measured = self.measured.lock();
            if self.races.load(Ordering::SeqCst) >= measured.limit.get() {
                return;
            }
            let Some(next) = measured.line.pop_front() else { return };
            if next.is_closed() {
                continue;
            }
            self.races.fetch_add(1, Ordering::SeqCst);
            drop(measured);
            // Whoever left in this very moment has it back: dropped, it is the next one's turn.
            drop(next.send(self.race_under_way()));
        }
    }

    fn keep_measuring(self: &Arc<Self>) {
        if !self.is_measuring.swap(true, Ordering::SeqCst) {
            let meter = Arc::clone(self);
            tokio::spawn(async move { meter.measure().await });
        }
    }

    /// A signed block is on its way.
    pub(super) fn begin_block(self: &Arc<Self>) -> UnderWay {
        self.blocks.fetch_add(1, Ordering::Relaxed);
        UnderWay { meter: Arc::clone(self), what: What::Block }
    }

    /// Whether a refusal is to be written down: not every one of a flood.
    pub(super) fn may_tell(&self) -> bool {
        let now = Instant::now();
        let (since, count) = &mut self.measured.lock().told;
        if since.is_none_or(|since| now.saturating_duration_since(since) >= Duration::from_secs(1)) {
            (*since, *count) = (Some(now), 0);
        }
        *count += 1;
        *count <= TOLD_PER_SECOND
    }

    /// Waits while the runtime is late or a signed block is on its way, for a while: what can wait stands back behind headers and blocks.
    pub(super) async fn stand_back(&self) {
        let until = Instant::now() + LONGEST_WAIT;
        loop {
            let now = Instant::now();
            let is_free =
                self.blocks.load(Ordering::Relaxed) == 0 && self.measured.lock().lag.at(now) <= LATE;
            if now >= until || is_free {
                return;
            }
            sleep(STEP).await;
        }
    }

    /// Measures how late this task is woken, until no race is under way.
    async fn measure(self: Arc<Self>) {
        // Whatever ends it, the next race has it begin anew.
        let _guard = Measuring(&self.is_measuring);
        loop {
            let step = if self.races.load(Ordering::Relaxed) > 1 { STEP } else { STEP_OF_ONE };
            let due = Instant::now() + step;
            sleep_until(due).await;
            let now = Instant::now();
            let lag = now.saturating_duration_since(due).saturating_sub(TIMER);
            let races = self.races.load(Ordering::Relaxed);
            let mut measured = self.measured.lock();
            measured.lag.measured(lag, now);
            let check_wait = std::mem::take(&mut measured.check_wait);
            let race = measured.pace.usual();
            measured.limit.measured(Seen { lag, check_wait, races, race }, now);
            let limit = measured.limit.get();
            drop(measured);
            self.gauges.record(lag, limit);
            self.let_in();
            if races == 0 {
                self.is_measuring.store(false, Ordering::SeqCst);
                // One that began in this very moment has seen that somebody measures.
                if self.races.load(Ordering::SeqCst) == 0 || self.is_measuring.swap(true, Ordering::SeqCst) {
                    return;
                }
            }
        }
    }
}

/// Somebody measures. Only a panic is told by its end: otherwise who measures next is worked out before.
struct Measuring<'a>(&'a AtomicBool);

impl Drop for Measuring<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(false, Ordering::SeqCst);
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        match self.what {
            What::Block => {
                self.meter.blocks.fetch_sub(1, Ordering::Relaxed);
            }
            What::Race { since } => {
                self.meter.measured.lock().pace.measured(since.elapsed());
                self.meter.races.fetch_sub(1, Ordering::SeqCst);
                self.meter.let_in();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn races_are_counted_and_measured_while_they_last() {
        let (meter, pool) = (Arc::new(LoadMeter::default()), VerifyPool::for_bids());
        let load = meter.load(&pool);
        let race = meter.begin_race(&load, Duration::from_secs(1)).unwrap();
        let block = meter.begin_block();
        assert_eq!((meter.load(&pool).races, meter.load(&pool).blocks), (1, 1));
        assert!(meter.is_measuring.load(Ordering::Relaxed));
        drop((race, block));
        assert_eq!((meter.load(&pool).races, meter.load(&pool).blocks), (0, 0));
        tokio::time::sleep(STEP_OF_ONE * 3).await;
        assert!(!meter.is_measuring.load(Ordering::Relaxed));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_begins_when_another_one_ends_and_who_leaves_is_passed_over() {
        let (meter, pool) = (Arc::new(LoadMeter::default()), VerifyPool::for_bids());
        let budget = Duration::from_secs(1);
        // Nobody measures, so that the limit stays as it is.
        meter.is_measuring.store(true, Ordering::Relaxed);
        let begin = || meter.begin_race(&meter.load(&pool), budget).unwrap();
        let mut held = Vec::new();
        let first = loop {
            match begin() {
                Admitted::Now(race) => held.push(race),
                later @ Admitted::Later { .. } => break later,
            }
        };
        let (limit, received) = (held.len(), Instant::now());
        let (second, third, leaves) = (begin(), begin(), begin());
        drop(leaves);
        let fifth = begin();
        assert_eq!((meter.load(&pool).races, meter.load(&pool).waiting), (limit, 5));
        held.truncate(limit - 2);
        let mut turns = Vec::new();
        for waits in [first, second] {
            turns.push(waits.turn(received).await.unwrap());
        }
        assert_eq!((meter.load(&pool).races, meter.load(&pool).waiting), (limit, 3));
        assert!(third.turn(received).await.is_none(), "nobody ended in the time that it had");
        assert!(received.elapsed() < budget);
        turns.pop();
        assert!(fifth.turn(Instant::now()).await.is_some());
        drop((held, turns));
        assert_eq!((meter.load(&pool).races, meter.load(&pool).waiting), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_can_wait_waits_while_the_runtime_is_late_and_not_for_ever() {
        let meter = Arc::new(LoadMeter::default());
        let waited = async || {
            let before = Instant::now();
            meter.stand_back().await;
            before.elapsed()
        };
        assert_eq!(waited().await, Duration::ZERO);
        let block = meter.begin_block();
        let (stands_back, ended) = (meter.stand_back(), tokio::time::sleep(STEP * 2));
        let before = Instant::now();
        tokio::join!(stands_back, async {
            ended.await;
            drop(block);
        });
        assert!((STEP * 2..LONGEST_WAIT).contains(&before.elapsed()), "a signed block goes first");
        meter.measured.lock().lag.measured(LATE * 2, Instant::now());
        let some = waited().await;
        assert!((Duration::from_millis(400)..LONGEST_WAIT).contains(&some), "{some:?}");
        meter.measured.lock().lag.measured(LATE * 100, Instant::now());
        assert!(waited().await >= LONGEST_WAIT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_refusals_is_told_in_part() {
        let meter = LoadMeter::default();
        let told = |meter: &LoadMeter| (0..1000).filter(|_| meter.may_tell()).count();
        assert_eq!(told(&meter), TOLD_PER_SECOND);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(told(&meter), TOLD_PER_SECOND);
    }
}
