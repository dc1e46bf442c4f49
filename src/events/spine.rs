//! Publish and subscribe.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::broadcast::{
    self,
    error::{RecvError, TryRecvError},
};

use super::Event;

/// Events kept for a slow watcher before it loses the oldest. Arbitrary: some hundred slots' worth.
const CAPACITY: usize = 8192;

/// The publishing end; clones share one spine.
#[derive(Clone, Debug)]
pub struct Spine {
    sender: broadcast::Sender<Arc<Event>>,
    lost: Arc<AtomicU64>,
}

/// The reading end of one watcher.
#[derive(Debug)]
pub struct Subscription {
    receiver: broadcast::Receiver<Arc<Event>>,
    lost: Arc<AtomicU64>,
}

impl Spine {
    /// A spine without watchers.
    pub fn new() -> Self {
        Self { sender: broadcast::channel(CAPACITY).0, lost: Arc::default() }
    }

    /// Tells every watcher. Never waits; with no watcher the event is gone.
    pub fn publish(&self, event: Event) {
        // An error means nobody listens, which is no fault of the publisher's.
        let _ = self.sender.send(Arc::new(event));
    }

    /// Starts watching from now on.
    pub fn subscribe(&self) -> Subscription {
        Subscription { receiver: self.sender.subscribe(), lost: Arc::clone(&self.lost) }
    }

    /// Events that watchers have lost by lagging, in total.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Default for Spine {
    fn default() -> Self {
        Self::new()
    }
}

impl Subscription {
    /// The next event; `None` once the spine is gone. Lost events are counted and skipped. Cancel-safe.
    pub async fn next(&mut self) -> Option<Arc<Event>> {
        loop {
            match self.receiver.recv().await {
                Ok(event) => return Some(event),
                Err(RecvError::Lagged(count)) => {
                    self.lost.fetch_add(count, Ordering::Relaxed);
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// The next event if one is waiting.
    pub fn try_next(&mut self) -> Option<Arc<Event>> {
        loop {
            match self.receiver.try_recv() {
                Ok(event) => return Some(event),
                Err(TryRecvError::Lagged(count)) => {
                    self.lost.fetch_add(count, Ordering::Relaxed);
                }
                Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::ProbeResult;
    use crate::types::RelayId;

    fn event(n: usize) -> Event {
        Event::Relay(ProbeResult {
            relay: RelayId::parse("r").unwrap(),
            usable: true,
            message: n.to_string(),
            at: 0,
        })
    }

    #[tokio::test]
    async fn a_slow_watcher_loses_only_its_own_events() {
        let spine = Spine::new();
        let mut slow = spine.subscribe();
        let mut quick = spine.subscribe();
        for n in 0..CAPACITY + 10 {
            spine.publish(event(n));
            assert_eq!(*quick.next().await.unwrap(), event(n));
        }
        assert_eq!(*slow.next().await.unwrap(), event(10));
        assert_eq!(spine.lost(), 10);
    }
}
