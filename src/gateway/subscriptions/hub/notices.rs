//! The bounded queue to one client: an entry for each head, each transaction and each block's logs, taken apart where the client is told.
//!
//! One block may have thousands of logs, and nobody reads thousands of messages in no time. So it is not logs that are counted, but entries,
//! and the bytes of all of them: however large one block's logs are, they alone cut nobody.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use tokio::sync::mpsc;

use crate::gateway::{
    RawJson,
    subscriptions::{logs::Log, topic::SubscriptionId},
};

/// Most bytes that wait for a client before anything more is put behind them. Arbitrary: hundreds of full blocks. Those who are told the same share
/// the memory.
const MAX_WAITING_BYTES: usize = 64 << 20;

/// Something that a subscriber is told.
#[derive(Clone, Debug)]
pub struct Notice {
    /// Which of its subscriptions it is for.
    pub subscription: SubscriptionId,
    /// What it is told.
    pub result: RawJson,
    /// The block that it then knows of.
    pub latest: Option<u64>,
}

/// What one subscription is told at once.
pub(super) enum Results {
    /// A head or a transaction.
    One(RawJson),
    /// The logs of a block, of which there is at least one.
    Logs(Vec<Arc<Log>>),
}

impl Results {
    fn bytes(&self) -> usize {
        match self {
            Self::One(result) => result.as_bytes().len(),
            Self::Logs(logs) => logs.iter().map(|log| log.raw.as_bytes().len()).sum(),
        }
    }
}

struct Entry {
    subscription: SubscriptionId,
    results: Results,
    latest: Option<u64>,
}

/// A queue of at most so many entries.
pub(super) fn queue(max: usize) -> (Queue, Notices) {
    let (entries, receiver) = mpsc::channel(max.max(1));
    let waiting = Arc::new(AtomicUsize::new(0));
    let notices = Notices { entries: receiver, begun: VecDeque::new(), waiting: Arc::clone(&waiting) };
    (Queue { entries, waiting }, notices)
}

/// The hub's end.
pub(super) struct Queue {
    entries: mpsc::Sender<Entry>,
    waiting: Arc<AtomicUsize>,
}

impl Queue {
    /// Whether too many bytes wait for anything to be put behind them.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.load(Relaxed) >= MAX_WAITING_BYTES
    }

    /// Puts something behind what waits; whether there was room, and somebody to take it.
    pub(super) fn put(&self, subscription: SubscriptionId, results: Results, latest: Option<u64>) -> bool {
        // Before it can be taken.
        self.waiting.fetch_add(results.bytes(), Relaxed);
        self.entries.try_send(Entry { subscription, results, latest }).is_ok()
    }

    /// Whether nobody takes anything any more.
    pub(super) fn is_closed(&self) -> bool {
        self.entries.is_closed()
    }
}

/// What a connection is told, one by one.
#[derive(Debug)]
pub struct Notices {
    entries: mpsc::Receiver<Entry>,
    /// What is left of the entry that was taken last.
    begun: VecDeque<Notice>,
    waiting: Arc<AtomicUsize>,
}

impl Notices {
    /// The next; none when the hub is gone, or has cut this client. Cancel-safe.
    pub async fn recv(&mut self) -> Option<Notice> {
        if self.begun.is_empty() {
            let entry = self.entries.recv().await?;
            self.begin(entry);
        }
        self.take()
    }

    /// The next, if there is one already.
    pub fn try_recv(&mut self) -> Option<Notice> {
        if self.begun.is_empty() {
            let entry = self.entries.try_recv().ok()?;
            self.begin(entry);
        }
        self.take()
    }

    fn begin(&mut self, Entry { subscription, results, latest }: Entry) {
        let notice = |result: &RawJson| Notice { subscription, result: result.clone(), latest };
        match results {
            Results::One(result) => self.begun.push_back(notice(&result)),
            Results::Logs(logs) => self.begun.extend(logs.iter().map(|log| notice(&log.raw))),
        }
    }

    fn take(&mut self) -> Option<Notice> {
        let notice = self.begun.pop_front()?;
        // What a busy block needed is given back.
        if self.begun.is_empty() {
            self.begun = VecDeque::new();
        }
        self.waiting.fetch_sub(notice.result.as_bytes().len(), Relaxed);
        Some(notice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(bytes: usize) -> Results {
        Results::One(RawJson::from_value(&"x".repeat(bytes.saturating_sub(2)).into()))
    }

    #[test]
    fn entries_and_bytes_are_bounded_and_one_entry_of_any_size_has_room() {
        let id = SubscriptionId::random();
        let (queue, mut notices) = queue(2);
        assert!(queue.put(id, results(10), None) && queue.put(id, results(10), None));
        assert!(!queue.put(id, results(10), None), "a third");
        assert_eq!(notices.try_recv().unwrap().result.as_bytes().len(), 10);
        assert!(!queue.is_full());
        assert!(queue.put(id, results(MAX_WAITING_BYTES), Some(7)), "behind what is small");
        assert!(queue.is_full());
        assert_eq!(notices.try_recv().unwrap().latest, None);
        assert!(queue.is_full());
        assert_eq!(notices.try_recv().unwrap().latest, Some(7));
        assert!(notices.try_recv().is_none() && !queue.is_full());
    }
}
