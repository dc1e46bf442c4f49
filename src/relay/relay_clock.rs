//! The time by a relay's answers, to compare this machine's clock with.

use http::{
    HeaderMap, HeaderName,
    header::{AGE, DATE},
};
use parking_lot::Mutex;

use crate::{
    consensus::{ClockSample, OffsetRange, SourceClock},
    types::UnixMillis,
};

/// What a relay's `Date` headers have said lately. Written by every call's path: a parse of 30 bytes and a lock nobody holds for long.
#[derive(Debug, Default)]
pub(super) struct RelayClock(Mutex<SourceClock>);

impl RelayClock {
    /// Takes in the head of an answer to a request that left at `sent`.
    pub(super) fn note(&self, headers: &HeaderMap, sent: UnixMillis, received: UnixMillis) {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        if let Some(sample) = ClockSample::of_http(text(DATE), text(AGE), sent, received) {
            self.0.lock().add(sample);
        }
    }

    /// The bounds of our clock's difference from the relay's.
    pub(super) fn range(&self, now: UnixMillis) -> Option<OffsetRange> {
        self.0.lock().range(now)
    }
}
