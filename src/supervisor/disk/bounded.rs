//! Calls that may hang as long as a filesystem does: each on a thread of its own, and never two of one name.
//!
//! They are no tasks of the runtime: that waits for its blocking threads when it ends, and a network disk that is gone may keep one for ever.

use std::{
    collections::HashSet,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::oneshot, time::timeout};

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Hangs {
    /// It was asked now, and has not answered in time.
    #[error("it has not answered within {0} s")]
    TimedOut(u64),
    /// It has not answered since an earlier call.
    #[error("it still has not answered an earlier call")]
    Busy,
    /// There is no thread for it, or the call failed badly.
    #[error("it could not be asked")]
    NoThread,
}

/// Runs calls that may hang.
#[derive(Clone, Debug, Default)]
pub(super) struct Bounded {
    busy: Arc<Mutex<HashSet<String>>>,
}

impl Bounded {
    /// Runs one, and waits for it no longer than `within`. It goes on by itself.
    ///
    /// # Errors
    /// When it does not come to an end.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        name: &str,
        within: Duration,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Hangs> {
        if !self.busy.lock().insert(name.to_owned()) {
            return Err(Hangs::Busy);
        }
        let (tell, told) = oneshot::channel();
        let free = Free { busy: Arc::clone(&self.busy), name: name.to_owned() };
        let spawned = thread::Builder::new().name("disk".to_owned()).spawn(move || {
            let answer = {
                // Before anybody hears of it, as the next call may come at once; and also after a panic.
                let _free = free;
                call()
            };
            // Nobody waits any more.
            let _ = tell.send(answer);
        });
        if spawned.is_err() {
            return Err(Hangs::NoThread);
        }
        match timeout(within, told).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(_)) => Err(Hangs::NoThread),
            Err(_) => Err(Hangs::TimedOut(within.as_secs())),
        }
    }
}

/// The same without a runtime, for whoever checks a configuration. None: it has not come to an end.
pub(super) fn within<T: Send + 'static>(
    longest: Duration,
    call: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (tell, told) = mpsc::sync_channel(1);
    thread::Builder::new().spawn(move || tell.send(call())).ok()?;
    told.recv_timeout(longest).ok()
}

/// Frees a name however its call ends.
struct Free {
    busy: Arc<Mutex<HashSet<String>>>,
    name: String,
}

impl Drop for Free {
    fn drop(&mut self) {
        self.busy.lock().remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_hangs_holds_up_nobody_and_is_not_asked_twice() {
        let bounded = Bounded::default();
        let (release, held) = mpsc::channel::<()>();
        let hang = bounded.run("a", Duration::from_millis(20), move || held.recv().is_ok()).await;
        assert_eq!(hang, Err(Hangs::TimedOut(0)));
        let second = Duration::from_secs(60);
        assert_eq!(bounded.run("a", second, || 5).await, Err(Hangs::Busy));
        assert_eq!(bounded.run("b", second, || 5).await, Ok(5));
        release.send(()).unwrap();
        // It comes to its end by itself.
        while bounded.busy.lock().contains("a") {
            tokio::task::yield_now().await;
        }
        assert_eq!(bounded.run("a", second, || 7).await, Ok(7));
        assert_eq!(within(second, || 5), Some(5));
    }

    #[tokio::test]
    async fn one_call_may_follow_the_other_at_once() {
        let bounded = Bounded::default();
        for n in 0..2_000 {
            assert_eq!(bounded.run("a", Duration::from_secs(60), move || n).await, Ok(n));
        }
    }

    #[tokio::test]
    async fn a_panic_frees_the_name() {
        let bounded = Bounded::default();
        let second = Duration::from_secs(60);
        let failed: Result<(), _> = bounded.run("a", second, || panic!("on purpose")).await;
        assert_eq!(failed, Err(Hangs::NoThread));
        while bounded.busy.lock().contains("a") {
            tokio::task::yield_now().await;
        }
        assert_eq!(bounded.run("a", second, || 5).await, Ok(5));
    }
}
