//! What waits to be written, and what to do when the file refuses it. Pure.
//!
//! A disk that refuses is asked again, with growing pauses, and what waits meanwhile is bounded: beyond that the oldest goes, and is
//! counted. A single event that is refused for what it is must not hold up the rest: what was before it is written, it is tried alone, and
//! if it is refused again it is left out and counted.

use std::{collections::VecDeque, time::Duration};

/// Events written in one transaction, at most. Arbitrary: bounds the time readers see an old state.
const BATCH: usize = 512;
/// Weight that may wait, in units of some 200 bytes: about 40 MiB. At one proposal an hour that is years of them; where every slot of a
/// network is observed with 8 relays, a day.
const MAX_WEIGHT: usize = 200_000;
/// The first pause after a refusal, doubled with each up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Whose fault a refusal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The file's or the disk's: it would have refused anything.
    Disk,
    /// That of one event of the batch, by its place.
    Event(usize),
}

/// What to do after a refusal.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum AfterFailure<T> {
    /// Try again after a pause.
    Wait(Duration),
    /// Try again at once: the next batch is another.
    Again,
    /// This one was refused alone: it is left out.
    Skipped(T),
}

/// How much of what waits is tried next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// As much as fits.
    Batch,
    /// What is before the suspect.
    Before(usize),
    /// The suspect by itself: if it fails again, it is its own fault.
    Alone,
}

/// What waits, oldest first.
#[derive(Debug)]
pub(super) struct Backlog<T> {
    waiting: VecDeque<(T, usize)>,
    weight: usize,
    next: Next,
    refusals: u32,
    dropped: u64,
    skipped: u64,
}

impl<T> Backlog<T> {
    pub(super) const fn new() -> Self {
        Self { waiting: VecDeque::new(), weight: 0, next: Next::Batch, refusals: 0, dropped: 0, skipped: 0 }
    }

    /// Adds one. Where it is too much, the oldest go.
    pub(super) fn push(&mut self, item: T, weight: usize) {
        self.waiting.push_back((item, weight));
        self.weight = self.weight.saturating_add(weight);
        while self.weight > MAX_WEIGHT && self.waiting.len() > 1 {
            self.take_first();
            self.dropped += 1;
            self.next = Next::Batch;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many events wait to be written.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether a batch is full.
    pub(super) fn has_batch(&self) -> bool {
        self.waiting.len() >= BATCH
    }

    /// How many were dropped because too much waited.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// How many were left out because the file refused them.
    pub(super) fn skipped(&self) -> u64 {
        self.skipped
    }

    /// What is to be tried next.
    pub(super) fn batch(&self) -> impl Iterator<Item = &T> {
        self.waiting.iter().take(self.batch_len()).map(|(item, _)| item)
    }

    fn batch_len(&self) -> usize {
        let most = match self.next {
            Next::Batch => BATCH,
            Next::Before(count) => count,
            Next::Alone => 1,
        };
        most.min(self.waiting.len())
    }

    /// The batch is written; how many that were.
    pub(super) fn written(&mut self) -> usize {
        let count = self.batch_len();
        for _ in 0..count {
            self.take_first();
        }
        self.refusals = 0;
        self.next = if matches!(self.next, Next::Before(_)) { Next::Alone } else { Next::Batch };
        count
    }

    /// The batch was refused, all of it.
    pub(super) fn refused(&mut self, fault: Fault) -> AfterFailure<T> {
        match (fault, self.next) {
            (Fault::Disk, _) => {
                self.refusals = self.refusals.saturating_add(1);
                let pause = FIRST_PAUSE.saturating_mul(1 << (self.refusals - 1).min(16));
                AfterFailure::Wait(pause.min(LONGEST_PAUSE))
            }
            (Fault::Event(_), Next::Alone) => {
                self.next = Next::Batch;
                match self.take_first() {
                    Some(item) => {
                        self.skipped += 1;
                        AfterFailure::Skipped(item)
                    }
                    None => AfterFailure::Again,
                }
            }
            (Fault::Event(place), Next::Batch | Next::Before(_)) => {
                self.next = if place == 0 { Next::Alone } else { Next::Before(place) };
                AfterFailure::Again
            }
        }
    }

    fn take_first(&mut self) -> Option<T> {
        let (item, weight) = self.waiting.pop_front()?;
        self.weight = self.weight.saturating_sub(weight);
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Writes until nothing waits, to a file that refuses some numbers and every `n`th batch; what was written and what was left out.
    fn write_all(backlog: &mut Backlog<u32>, poison: &[u32], every: usize) -> (Vec<u32>, Vec<u32>) {
        let (mut written, mut left_out, mut tries) = (Vec::new(), Vec::new(), 0);
        while !backlog.is_empty() {
            tries += 1;
            assert!(tries < 100_000, "no end");
            let batch: Vec<u32> = backlog.batch().copied().collect();
            let fault = if tries % every == 0 {
                Some(Fault::Disk)
            } else {
                batch.iter().position(|item| poison.contains(item)).map(Fault::Event)
            };
            match fault.map(|fault| backlog.refused(fault)) {
                None => {
                    assert_eq!(backlog.written(), batch.len());
                    written.extend(batch);
                }
                Some(AfterFailure::Skipped(item)) => left_out.push(item),
                Some(AfterFailure::Wait(_) | AfterFailure::Again) => {}
            }
        }
        (written, left_out)
    }

    #[test]
    fn pauses_grow_to_half_a_minute_and_start_anew_after_a_success() {
        let mut backlog = Backlog::new();
        backlog.push(1, 1);
        let mut pause = || match backlog.refused(Fault::Disk) {
            AfterFailure::Wait(pause) => pause.as_millis(),
            other => panic!("{other:?}"),
        };
        assert_eq!([pause(), pause(), pause(), pause()], [250, 500, 1000, 2000]);
        for _ in 0..100 {
            pause();
        }
        assert_eq!(pause(), 30_000);
        backlog.written();
        backlog.push(2, 1);
        assert_eq!(backlog.refused(Fault::Disk), AfterFailure::Wait(FIRST_PAUSE));
    }

    #[test]
    fn what_waits_is_bounded_and_what_goes_is_the_oldest() {
        let mut backlog = Backlog::new();
        for item in 0..10 {
            backlog.push(item, MAX_WEIGHT / 4);
        }
        assert_eq!((backlog.len(), backlog.dropped()), (4, 6));
        assert_eq!(backlog.batch().copied().collect::<Vec<_>>(), [6, 7, 8, 9]);
        // One that is too heavy by itself is still written.
        backlog.push(99, MAX_WEIGHT * 2);
        assert_eq!(backlog.batch().copied().collect::<Vec<_>>(), [99]);
    }

    proptest! {
        /// Whatever the file refuses: every event is written once and in order, or left out because it alone was refused.
        #[test]
        fn nothing_is_lost_but_what_is_refused_alone(
            count in 1u32..1500, poison in proptest::collection::vec(0u32..1500, 0..8), every in 2usize..5,
        ) {
            let mut backlog = Backlog::new();
            for item in 0..count {
                backlog.push(item, 1);
            }
            let (written, mut left_out) = write_all(&mut backlog, &poison, every);
            left_out.sort_unstable();
            let expected: Vec<u32> = (0..count).filter(|item| poison.contains(item)).collect();
            prop_assert_eq!(left_out.len() as u64, backlog.skipped());
            prop_assert_eq!(left_out, expected);
            prop_assert_eq!(written, (0..count).filter(|item| !poison.contains(item)).collect::<Vec<_>>());
            prop_assert_eq!(backlog.dropped(), 0);
        }
    }
}
