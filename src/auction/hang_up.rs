//! Notes that a client did not wait for its answer: the server drops the request when the client closes its connection, and the
//! operator should see that it gave up and when. The race goes on, as others may wait for it.

use std::sync::Arc;

use tokio::time::Instant;
use tracing::warn;

use super::{
    metrics::{record_auction, record_hang_up},
    shared::Running,
};
use crate::{
    events::{AuctionRecord, Event, Spine},
    types::{Slot, micros},
};

/// Armed while a client waits.
pub(super) struct HangUp<'a> {
    running: Option<Arc<Running>>,
    own_record: Option<(&'a Spine, AuctionRecord)>,
    slot: Slot,
    received: Instant,
    is_armed: bool,
}

impl<'a> HangUp<'a> {
    /// Of the client that began the race: noted in the race's own record.
    pub(super) fn of_first(running: Arc<Running>, slot: Slot, received: Instant) -> Self {
        Self { running: Some(running), own_record: None, slot, received, is_armed: true }
    }

    /// Of one that joined it: a record of its own.
    pub(super) fn of_other(spine: &'a Spine, record: AuctionRecord, received: Instant) -> Self {
        let slot = record.slot;
        Self { running: None, own_record: Some((spine, record)), slot, received, is_armed: true }
    }

    /// The client has its answer.
    pub(super) fn disarm(mut self) {
        self.is_armed = false;
    }
}

impl Drop for HangUp<'_> {
    fn drop(&mut self) {
        if !self.is_armed {
            return;
        }
        let waited = self.received.elapsed();
        record_hang_up();
        warn!(slot = %self.slot, elapsed_ms = waited.as_millis(), "client hung up before its header came");
        if let Some(running) = &self.running {
            let _ = running.hung_up_after.set(waited);
        }
        if let Some((spine, mut record)) = self.own_record.take() {
            record.answered_in_us = micros(waited);
            record.no_bid_reason =
                format!("the client hung up after {} ms, before the answer", waited.as_millis());
            record_auction(&record, false);
            spine.publish(Event::Auction(record));
        }
    }
}
