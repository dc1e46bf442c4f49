//! Calls that are under way: who asks for the same as somebody else just now gets the same answer, and the upstream is asked once.
//!
//! Whoever asks first does the work, in its own task: waking another one costs more than most reads. When it hangs up while others wait, the work goes on
//! in a task of its own, and ends when the last of them has gone. It never decides what may be shared: that a call is read-only is for whoever asks to know.

use std::{
    collections::HashMap,
    fmt,
    future::{Future, poll_fn},
    hash::Hash,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};
use tokio_util::task::TaskTracker;

/// An answer, and whose work it came of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flown<T> {
    /// Of this call's own.
    Led(T),
    /// Of somebody else's who began it earlier. Its deadline was the nearer one: where the answer is that time was up, this call may have more.
    Followed(T),
}

impl<T> Flown<T> {
    /// The answer.
    pub fn into_inner(self) -> T {
        match self {
            Self::Led(value) | Self::Followed(value) => value,
        }
    }

    /// Whether it is of somebody else's work.
    pub const fn is_shared(&self) -> bool {
        matches!(self, Self::Followed(_))
    }
}

/// Which flights a call may join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boarding {
    /// The highest block and the highest finalized one that its client was told of. Whoever leads must have been told as much: its answer shows no
    /// less then.
    pub told: (u64, u64),
    /// How long ago the flight may have begun: what is slow is not waited for again.
    pub within: Duration,
}

/// What is under way. Clones are the same.
pub struct Flights<K, T>(Arc<Inner<K, T>>);

struct Inner<K, T> {
    /// The newest of each key.
    under_way: Mutex<HashMap<K, Flight<T>>>,
    /// How many are under way, those that a newer one has replaced included.
    count: AtomicUsize,
    most: usize,
    tasks: TaskTracker,
}

struct Flight<T> {
    answer: Arc<watch::Sender<Option<T>>>,
    began: Instant,
    told: (u64, u64),
}

impl<T> Flight<T> {
    fn takes(&self, boarding: Boarding) -> bool {
        let told = boarding.told;
        self.began.elapsed() < boarding.within && self.told.0 >= told.0 && self.told.1 >= told.1
    }
}

impl<K, T> Clone for Flights<K, T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, T> fmt::Debug for Flights<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not which: parameters are the clients' own.
        f.debug_struct("Flights").field("most", &self.0.most).finish_non_exhaustive()
    }
}

/// Where a call stands.
enum Seat<K, T, F>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
    F: Future<Output = T> + Send + 'static,
{
    /// In the flight that is under way.
    Follows(watch::Receiver<Option<T>>),
    /// It begins one.
    Leads(Leading<K, T, F>),
    /// In none: there are as many as there may be.
    Alone(F),
}

impl<K, T> Flights<K, T>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// Shares at most so many calls at once. More are made all the same, each by itself.
    pub fn new(most: usize) -> Self {
        let under_way = Mutex::new(HashMap::new());
        Self(Arc::new(Inner { under_way, count: AtomicUsize::new(0), most, tasks: TaskTracker::new() }))
    }

    /// The answer to the call that `key` names: of the work that is under way for it, where it may be joined, or else of what `make` makes, which
    /// must end by itself (it has a deadline), and goes on while anybody waits for it though this caller is dropped. `None` where the work ended
    /// without an answer, by a panic.
    pub async fn join<F>(&self, key: K, boarding: Boarding, make: impl FnOnce() -> F) -> Option<Flown<T>>
    where
        F: Future<Output = T> + Send + 'static,
    {
        match self.seat(key, boarding, make) {
            Seat::Alone(work) => Some(Flown::Led(work.await)),
            Seat::Follows(mut result) => {
                let value = result.wait_for(Option::is_some).await.ok()?.clone()?;
                Some(Flown::Followed(value))
            }
            Seat::Leads(mut leading) => leading.end().await.map(Flown::Led),
        }
    }

    fn seat<F>(&self, key: K, boarding: Boarding, make: impl FnOnce() -> F) -> Seat<K, T, F>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let answer = {
            let mut under_way = self.0.under_way.lock();
            if let Some(flight) = under_way.get(&key).filter(|flight| flight.takes(boarding)) {
                return Seat::Follows(flight.answer.subscribe());
            }
            if self.0.count.load(Relaxed) >= self.0.most {
                drop(under_way);
                return Seat::Alone(make());
            }
            self.0.count.fetch_add(1, Relaxed);
            let answer = Arc::new(watch::Sender::new(None));
            let flight = Flight { answer: Arc::clone(&answer), began: Instant::now(), told: boarding.told };
            under_way.insert(key.clone(), flight);
            answer
        };
        let landing = Landing { flights: Arc::clone(&self.0), key, answer };
        Seat::Leads(Leading { rest: Some((Box::pin(make()), landing)) })
    }

    /// How many calls are under way.
    pub fn len(&self) -> usize {
        self.0.count.load(Relaxed)
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until all that is under way has ended, for a stop in good order.
    pub async fn ended(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}

/// Work that has not ended, and the flight that it is for.
type Rest<K, T, F> = (Pin<Box<F>>, Landing<K, T>);

/// The work of whoever began a flight.
struct Leading<K, T, F>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
    F: Future<Output = T> + Send + 'static,
{
    /// None once it has ended.
    rest: Option<Rest<K, T, F>>,
}

impl<K, T, F> Leading<K, T, F>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
    F: Future<Output = T> + Send + 'static,
{
    /// Does it. `None` where it panics, which ends nothing but itself.
    async fn end(&mut self) -> Option<T> {
        let value = poll_fn(|context| match &mut self.rest {
            Some((work, _)) => catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)))
                .map_or(Poll::Ready(None), |polled| polled.map(Some)),
            None => Poll::Ready(None),
        })
        .await;
        let (_, landing) = self.rest.take()?;
        landing.lands_with(value.clone());
        value
    }
}

impl<K, T, F> Drop for Leading<K, T, F>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
    F: Future<Output = T> + Send + 'static,
{
    /// Its caller has gone. It goes on for those who wait with it.
    fn drop(&mut self) {
        let Some((mut work, landing)) = self.rest.take() else { return };
        if landing.lands_empty() {
            return;
        }
        let tasks = landing.flights.tasks.clone();
        tasks.spawn(async move {
            let value = loop {
                tokio::select! {
                    biased;
                    value = &mut work => break value,
                    () = landing.answer.closed() => if landing.lands_empty() { return },
                }
            };
            landing.lands_with(Some(value));
        });
    }
}

/// Takes a flight off the list, however it ends.
struct Landing<K: Eq + Hash, T> {
    flights: Arc<Inner<K, T>>,
    key: K,
    answer: Arc<watch::Sender<Option<T>>>,
}

impl<K: Eq + Hash, T> Landing<K, T> {
    /// Whether nobody waits for it; from then on nobody joins it.
    fn lands_empty(&self) -> bool {
        let mut under_way = self.flights.under_way.lock();
        let is_empty = self.answer.receiver_count() == 0;
        if is_empty {
            self.leave(&mut under_way);
        }
        is_empty
    }

    /// The answer is there. First off the list, so that nobody joins what is over.
    fn lands_with(self, value: Option<T>) {
        let answer = Arc::clone(&self.answer);
        drop(self);
        if value.is_some() {
            let _ = answer.send(value);
        }
    }

    fn leave(&self, under_way: &mut HashMap<K, Flight<T>>) {
        // A newer one may have its place.
        if under_way.get(&self.key).is_some_and(|flight| Arc::ptr_eq(&flight.answer, &self.answer)) {
            under_way.remove(&self.key);
        }
    }
}

impl<K: Eq + Hash, T> Drop for Landing<K, T> {
    fn drop(&mut self) {
        self.leave(&mut self.flights.under_way.lock());
        self.flights.count.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests;
