//! Calls that are under way: who asks for the same as somebody else just now gets the same answer, and the upstream is asked once.
//!
//! The work runs in a task of its own, so that a client that hangs up takes no answer from those who wait with it. It never decides what may be
//! shared: that a call is read-only is for whoever asks to know.

use std::{collections::HashMap, fmt, future::Future, hash::Hash, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::watch;
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

/// What is under way. Clones are the same.
pub struct Flights<K, T>(Arc<Inner<K, T>>);

struct Inner<K, T> {
    under_way: Mutex<HashMap<K, watch::Receiver<Option<T>>>>,
    most: usize,
    tasks: TaskTracker,
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
enum Seat<T, F> {
    /// In the flight that is under way, or that began with it.
    In { result: watch::Receiver<Option<T>>, led: bool },
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
        Self(Arc::new(Inner { under_way: Mutex::new(HashMap::new()), most, tasks: TaskTracker::new() }))
    }

    /// The answer to the call that `key` names: of the work that is under way for it, or else of what `make` makes, which must end by itself
    /// (it has a deadline) and goes on though the caller is dropped. `None` where the work ended without an answer, by a panic.
    pub async fn join<F>(&self, key: K, make: impl FnOnce() -> F) -> Option<Flown<T>>
    where
        F: Future<Output = T> + Send + 'static,
    {
        match self.seat(key, make) {
            Seat::Alone(work) => Some(Flown::Led(work.await)),
            Seat::In { mut result, led } => {
                let value = result.wait_for(Option::is_some).await.ok()?.clone()?;
                Some(if led { Flown::Led(value) } else { Flown::Followed(value) })
            }
        }
    }

    fn seat<F>(&self, key: K, make: impl FnOnce() -> F) -> Seat<T, F>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let (told, result) = {
            let mut under_way = self.0.under_way.lock();
            if let Some(result) = under_way.get(&key) {
                return Seat::In { result: result.clone(), led: false };
            }
            if under_way.len() >= self.0.most {
                drop(under_way);
                return Seat::Alone(make());
            }
            let (told, result) = watch::channel(None);
            under_way.insert(key.clone(), result.clone());
            (told, result)
        };
        let landing = Landing { flights: Arc::clone(&self.0), key };
        let work = make();
        self.0.tasks.spawn(async move {
            let value = work.await;
            // First, so that nobody joins what is over.
            drop(landing);
            let _ = told.send(Some(value));
        });
        Seat::In { result, led: true }
    }

    /// How many calls are under way.
    pub fn len(&self) -> usize {
        self.0.under_way.lock().len()
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

/// Takes a flight off the list, however it ends.
struct Landing<K: Eq + Hash, T> {
    flights: Arc<Inner<K, T>>,
    key: K,
}

impl<K: Eq + Hash, T> Drop for Landing<K, T> {
    fn drop(&mut self) {
        self.flights.under_way.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests;
