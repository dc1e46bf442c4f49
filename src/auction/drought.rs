//! Own proposals that get no bid one after the other: one is no news, and several are no chance.

use std::collections::BTreeSet;

use parking_lot::Mutex;

use super::rules::NO_BIDS;
use crate::{
    events::{AlertSignal, AuctionRecord, count_signal},
    types::{Slot, UnixMillis},
};

/// Own proposals without a bid, one after the other, that are told. Arbitrary: one is no news, and three are no chance.
const TOLD_AFTER: usize = 3;
/// What `no_bids` is about.
const SUBJECT: &str = "own proposals";

/// Counts own proposals without a bid since the last one with.
#[derive(Debug, Default)]
pub(super) struct BidDrought(Mutex<Dry>);

#[derive(Debug, Default)]
struct Dry {
    slots: BTreeSet<Slot>,
    is_told: bool,
}

/// What a header request changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Nothing,
    Began,
    Ended,
}

impl Dry {
    fn note(&mut self, slot: Slot, has_bid: bool) -> Change {
        if has_bid {
            self.slots.clear();
            return if std::mem::take(&mut self.is_told) { Change::Ended } else { Change::Nothing };
        }
        if !self.is_told {
            self.slots.insert(slot);
        }
        if self.is_told || self.slots.len() < TOLD_AFTER {
            return Change::Nothing;
        }
        self.is_told = true;
        Change::Began
    }
}

impl BidDrought {
    /// What is to be told where own proposals get no bid one after the other, and when one has got one again.
    pub(super) fn note(&self, record: &AuctionRecord, now: UnixMillis) -> Option<AlertSignal> {
        match self.0.lock().note(record.slot, record.winner.is_some()) {
            Change::Nothing => None,
            Change::Began => {
                count_signal(&NO_BIDS);
                let message = format!(
                    "{TOLD_AFTER} proposals in a row got no bid, the last in slot {}: {}",
                    record.slot, record.no_bid_reason
                );
                Some(AlertSignal::raised(&NO_BIDS, SUBJECT, message, now))
            }
            Change::Ended => {
                let message = format!("slot {} got a bid", record.slot);
                Some(AlertSignal::over(&NO_BIDS, SUBJECT, message, now))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drought_is_told_once_and_its_end_once() {
        let mut dry = Dry::default();
        let table = [
            // slot, has a bid, what changes
            (1, false, Change::Nothing),
            (1, false, Change::Nothing),
            (1, false, Change::Nothing),
            (2, false, Change::Nothing),
            (3, true, Change::Nothing),
            (4, false, Change::Nothing),
            (5, false, Change::Nothing),
            (6, false, Change::Began),
            (7, false, Change::Nothing),
            (8, true, Change::Ended),
            (9, true, Change::Nothing),
            (10, false, Change::Nothing),
        ];
        for (slot, has_bid, want) in table {
            assert_eq!(dry.note(Slot::new(slot), has_bid), want, "slot {slot}");
        }
    }
}
