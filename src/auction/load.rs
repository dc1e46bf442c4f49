//! What is under way, and how late the runtime is: measured while races are held, and only then.

use std::{
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    admission::{LATE, Load, PeakLag, RaceLimit, Refusal},
    metrics::CapacityGauges,
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

/// Something under way; over when dropped.
#[derive(Debug)]
pub(super) struct UnderWay {
    meter: Arc<LoadMeter>,
    is_block: bool,
}

impl Default for LoadMeter {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let measured = Measured { lag: PeakLag::default(), limit: RaceLimit::new(cores), told: (None, 0) };
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
        Load {
            races: self.races.load(Ordering::Relaxed),
            blocks: self.blocks.load(Ordering::Relaxed),
            lag: self.measured.lock().lag.at(Instant::now()),
            check,
            check_wait,
        }
    }

    /// Begins a race that has `budget` in all, if it can be held.
    ///
    /// # Errors
    /// The reason why not.
    pub(super) fn begin_race(self: &Arc<Self>, load: &Load, budget: Duration) -> Result<UnderWay, Refusal> {
        self.measured.lock().limit.admit(load, budget)?;
        self.races.fetch_add(1, Ordering::SeqCst);
        if !self.is_measuring.swap(true, Ordering::SeqCst) {
            let meter = Arc::clone(self);
            tokio::spawn(async move { meter.measure().await });
        }
        Ok(UnderWay { meter: Arc::clone(self), is_block: false })
    }

    /// A signed block is on its way.
    pub(super) fn begin_block(self: &Arc<Self>) -> UnderWay {
        self.blocks.fetch_add(1, Ordering::Relaxed);
        UnderWay { meter: Arc::clone(self), is_block: true }
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
            measured.limit.measured(lag, races, now);
            let limit = measured.limit.get();
            drop(measured);
            self.gauges.record(lag, limit);
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
        let counter = if self.is_block { &self.meter.blocks } else { &self.meter.races };
        counter.fetch_sub(1, Ordering::Relaxed);
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
