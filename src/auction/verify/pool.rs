//! The threads that check.

use std::{
    num::NonZero,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    thread,
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use tokio::{sync::oneshot, time::Instant};
use tracing::error;

use super::{
    cost::CheckCost,
    queue::{CheckQueue, Next, NotChecked},
};

/// Checks that may wait. Arbitrary: a quarter of a second of two threads' work, beyond which a header has no use of its turn.
const CAPACITY: usize = 512;

/// How much work of low priority stands back behind the rest: `nice`'s default step.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// Whether a thread stands back behind all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Priority {
    Ordinary,
    Low,
}

/// Threads for checks: a core of those there are, where there are more than two, is left to whatever asks.
const fn threads_for(cores: usize) -> usize {
    match cores {
        0 | 1 => 1,
        2 => 2,
        more => more - 1,
    }
}

/// A check, to be run or to be told why not; says whether it did anything that is worth measuring.
type Work = Box<dyn FnOnce(Result<(), NotChecked>) -> bool + Send>;

#[derive(Debug)]
struct State {
    queue: CheckQueue<WorkItem>,
    cost: CheckCost,
    is_closing: bool,
}

struct WorkItem(Work);

impl std::fmt::Debug for WorkItem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WorkItem(..)")
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    ready: Condvar,
}

/// The threads; they end when it is dropped.
#[derive(Debug)]
pub(in crate::auction) struct VerifyPool {
    shared: Arc<Shared>,
    threads: usize,
}

/// A check under way: a future of what it finds, or of why it found nothing. Dropped, the check is not begun any more.
#[derive(Debug)]
pub(in crate::auction) struct Pending<T>(oneshot::Receiver<Result<T, NotChecked>>);

impl<T> Future for Pending<T> {
    type Output = Result<T, NotChecked>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // An answer that nobody gives any more: the check panicked.
        Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or(Err(NotChecked::Broken)))
    }
}

impl VerifyPool {
    /// Threads for the bids' signatures: see [`threads_for`].
    pub(in crate::auction) fn for_bids() -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        Self::start("verify", threads_for(cores), Priority::Ordinary)
    }

    /// One thread for the validators' registrations: a hundred thousand first ones take a core for a minute, and no more than one.
    /// Where cores are scarce, headers go first.
    pub(in crate::auction) fn for_registrations() -> Self {
        Self::start("registrations", 1, Priority::Low)
    }

    fn start(name: &str, wanted: usize, priority: Priority) -> Self {
        let state =
            State { queue: CheckQueue::new(wanted, CAPACITY), cost: CheckCost::default(), is_closing: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), ready: Condvar::new() });
        let start = |number: &usize| {
            let shared = Arc::clone(&shared);
            let thread = thread::Builder::new().name(format!("{name}-{number}"));
            match thread.spawn(move || work(&shared, priority)) {
                Ok(_) => true,
                Err(failure) => {
                    error!(error = %failure, "the system has no thread for checking signatures");
                    false
                }
            }
        };
        let threads = (0..wanted).filter(start).count();
        Self { shared, threads }
    }

    /// How many threads there are.
    pub(in crate::auction) const fn threads(&self) -> usize {
        self.threads
    }

    /// How long a check takes, and how long one that came now would wait for its turn.
    pub(in crate::auction) fn load(&self) -> (Duration, Duration) {
        let state = self.shared.state.lock();
        let cost = state.cost.estimate();
        (cost, state.queue.wait(cost))
    }

    /// Has something checked that must be known by `by`. Never waits.
    pub(in crate::auction) fn check<T: Send + 'static>(
        &self,
        by: Instant,
        check: impl FnOnce() -> T + Send + 'static,
    ) -> Pending<T> {
        let (answer, pending) = oneshot::channel();
        let work: Work = Box::new(move |may_run| {
            // Nobody waits for it any more: the auction was decided without it.
            if answer.is_closed() {
                return false;
            }
            let _ = answer.send(may_run.map(|()| check()));
            may_run.is_ok()
        });
        if self.threads == 0 {
            // A machine that gives us no thread: a millisecond here is better than no answer.
            run(WorkItem(work), Ok(()));
            return Pending(pending);
        }
        let mut state = self.shared.state.lock();
        let cost = state.cost.estimate();
        let refused = state.queue.offer(by, Instant::now(), cost, WorkItem(work));
        drop(state);
        match refused {
            Ok(()) => {
                self.shared.ready.notify_one();
            }
            Err((reason, item)) => {
                run(item, Err(reason));
            }
        }
        Pending(pending)
    }
}

impl Drop for VerifyPool {
    fn drop(&mut self) {
        self.shared.state.lock().is_closing = true;
        self.shared.ready.notify_all();
    }
}

/// Runs one check; says whether it ran to its end and did something.
fn run(WorkItem(work): WorkItem, may_run: Result<(), NotChecked>) -> bool {
    catch_unwind(AssertUnwindSafe(|| work(may_run))).unwrap_or_else(|_| {
        error!("a check of a signature panicked: a defect of relaymux, please report it");
        false
    })
}

/// The life of a thread.
fn work(shared: &Shared, priority: Priority) {
    if priority == Priority::Low {
        // On Linux a thread has a priority of its own.
        #[cfg(target_os = "linux")]
        if let Err(failure) = rustix::process::setpriority_process(None, NICENESS) {
            tracing::warn!(error = %failure, "registrations are checked at the same priority as everything else");
        }
    }
    loop {
        let next = {
            let mut state = shared.state.lock();
            loop {
                if state.is_closing {
                    return;
                }
                let cost = state.cost.estimate();
                match state.queue.take(Instant::now(), cost) {
                    Some(next) => break next,
                    None => shared.ready.wait(&mut state),
                }
            }
        };
        match next {
            Next::TooLate(item) => {
                run(item, Err(NotChecked::NoTime));
            }
            Next::Run(item) => {
                let started = Instant::now();
                let has_worked = run(item, Ok(()));
                let mut state = shared.state.lock();
                state.queue.done();
                if has_worked {
                    state.cost.measured(started.elapsed());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn in_a_minute() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    /// Keeps a thread of the pool at work until what is returned is dropped.
    fn keep_busy(pool: &VerifyPool) -> (mpsc::Sender<()>, Pending<bool>) {
        let (release, held) = mpsc::channel::<()>();
        let (begin, begun) = mpsc::channel();
        let busy = pool.check(in_a_minute(), move || {
            begin.send(()).unwrap();
            held.recv().is_err()
        });
        begun.recv().unwrap();
        (release, busy)
    }

    #[test]
    fn one_core_of_several_is_left_to_the_rest() {
        let rows = [(0, 1), (1, 1), (2, 2), (3, 2), (4, 3), (64, 63)];
        for (cores, threads) in rows {
            assert_eq!(threads_for(cores), threads, "{cores}");
        }
    }

    #[tokio::test]
    async fn a_check_is_answered_by_a_thread_of_the_pool() {
        let pool = VerifyPool::start("verify", 2, Priority::Low);
        let name = pool.check(in_a_minute(), || thread::current().name().map(str::to_owned)).await;
        assert!(name.unwrap().unwrap().starts_with("verify-"));
    }

    #[tokio::test]
    async fn a_panic_costs_its_own_answer_and_nothing_else() {
        let pool = VerifyPool::start("verify", 1, Priority::Ordinary);
        for _ in 0..3 {
            let broken = pool.check(in_a_minute(), || -> u8 { panic!("as a defect would") });
            assert_eq!(broken.await, Err(NotChecked::Broken));
        }
        assert_eq!(pool.check(in_a_minute(), || 7).await, Ok(7));
    }

    #[tokio::test]
    async fn what_is_too_late_or_too_much_is_said_at_once() {
        let pool = VerifyPool::start("verify", 1, Priority::Ordinary);
        assert_eq!(pool.check(Instant::now(), || 7).await, Err(NotChecked::NoTime));
        let (release, busy) = keep_busy(&pool);
        let waiting: Vec<_> = (0..CAPACITY).map(|n| pool.check(in_a_minute(), move || n)).collect();
        assert_eq!(pool.check(in_a_minute(), || 0).await, Err(NotChecked::QueueFull));
        drop(release);
        assert_eq!(busy.await, Ok(true));
        for (n, waiting) in waiting.into_iter().enumerate() {
            assert_eq!(waiting.await, Ok(n));
        }
    }

    #[tokio::test]
    async fn a_check_that_nobody_waits_for_is_not_begun() {
        let pool = VerifyPool::start("verify", 1, Priority::Ordinary);
        let (release, busy) = keep_busy(&pool);
        let (tell, told) = mpsc::channel();
        drop(pool.check(in_a_minute(), move || tell.send(())));
        drop(release);
        assert_eq!(busy.await, Ok(true));
        assert_eq!(pool.check(in_a_minute(), || 7).await, Ok(7));
        assert!(told.try_recv().is_err());
    }
}
