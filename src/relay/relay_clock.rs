//! The time by a relay's answers, to compare this machine's clock with.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use reqwest::header::{AGE, DATE, HeaderMap, HeaderName};

use super::Relay;
use crate::consensus::{ClockSample, OffsetRange, SourceClock, UnixMillis};

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

/// Bounds of our clock's difference from the relays', one for each host that said the time: two entries of one host have one clock.
pub fn clock_offsets(relays: &[Arc<Relay>]) -> Vec<OffsetRange> {
    let mut by_host: BTreeMap<(String, u16), OffsetRange> = BTreeMap::new();
    for relay in relays {
        let url = &relay.settings().url;
        let host = (url.host_str().unwrap_or_default().to_owned(), url.port_or_known_default().unwrap_or(0));
        if let Some(range) = relay.clock_offset() {
            by_host.entry(host).or_insert(range);
        }
    }
    by_host.into_values().collect()
}
