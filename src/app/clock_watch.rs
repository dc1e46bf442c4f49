//! Compares this machine's clock with those of the relays and the beacon node, and says when it is wrong.

use std::sync::Arc;

use metrics::{counter, gauge};

use super::{rules::CLOCK_WRONG, watch_signals::WatchSignals};
use crate::{
    auction::Auction,
    consensus::{ClockOffset, ClockVerdict, OffsetRange, SlotClock},
    ethereum::BeaconNode,
    events::{Conditions, Effect},
    relay::{SharedRelays, clock_offsets},
    types::{Slot, UnixMillis},
};

/// Name of the condition.
const CLOCK: &str = "clock";

/// Who is asked, and what was found last.
#[derive(Debug)]
pub(super) struct ClockWatch {
    pub(super) slots: SlotClock,
    pub(super) relays: Arc<SharedRelays>,
    pub(super) beacon: Option<BeaconNode>,
    pub(super) auction: Arc<Auction>,
    pub(super) conditions: Conditions,
    pub(super) was_wrong: bool,
}

impl ClockWatch {
    /// Compares what the others' answers have said so far. `head` is the beacon node's newest slot, where it is believed.
    pub(super) async fn look(&mut self, head: Option<Slot>, now: UnixMillis, signals: &mut WatchSignals) {
        let found = ClockOffset::of(&self.ranges(head, now));
        let verdict = ClockOffset::verdict(found, self.was_wrong);
        self.auction.note_clock(verdict);
        if let Some(offset) = found {
            gauge!("relaymux_clock_offset_seconds").set(seconds(offset.middle_ms()));
            gauge!("relaymux_clock_offset_uncertainty_seconds").set(seconds(offset.uncertainty_ms()));
        }
        gauge!("relaymux_clock_sources")
            .set(found.map_or(0.0, |offset| f64::from(u32::try_from(offset.sources).unwrap_or(u32::MAX))));
        let message = clock_message(verdict);
        let effect = match verdict {
            ClockVerdict::NotKnown | ClockVerdict::Right(_) | ClockVerdict::Suspect(_) => Effect::None,
            ClockVerdict::Wrong(offset) if offset.is_useless() => Effect::NotReady,
            ClockVerdict::Wrong(_) => Effect::Degraded,
        };
        self.conditions.set(CLOCK, effect, message.clone());
        match verdict {
            ClockVerdict::Wrong(_) => {
                if !self.was_wrong {
                    counter!("relaymux_clock_wrong_total").increment(1);
                }
                signals.raise(&CLOCK_WRONG, "this machine", &message).await;
            }
            ClockVerdict::NotKnown | ClockVerdict::Suspect(_) => {}
            ClockVerdict::Right(_) => signals.resolve(&CLOCK_WRONG, "this machine", &message).await,
        }
        self.was_wrong = matches!(verdict, ClockVerdict::Wrong(_));
    }

    /// A range per source: each host of relays; the beacon node, unless it has ours; the
    /// chain's head, where it is ahead of our clock, which it cannot be.
    fn ranges(&self, head: Option<Slot>, now: UnixMillis) -> Vec<OffsetRange> {
        let mut ranges = clock_offsets(&self.relays.all());
        if let Some(beacon) = self.beacon.as_ref().filter(|beacon| !beacon.is_local()) {
            ranges.extend(beacon.clock_offset());
        }
        ranges.extend(head.and_then(|head| ahead_of_us(self.slots, head, now)));
        ranges
    }
}

/// The bound that a head gives: it was proposed at its slot's start or later.
fn ahead_of_us(slots: SlotClock, head: Slot, now: UnixMillis) -> Option<OffsetRange> {
    let behind = slots.ms_into(head, now);
    (behind < 0).then_some(OffsetRange { low: i64::MIN / 2, high: behind })
}

/// What was found, for people.
pub(crate) fn clock_message(verdict: ClockVerdict) -> String {
    match verdict {
        ClockVerdict::NotKnown => "not compared yet: no relay has said the time".to_owned(),
        ClockVerdict::Right(offset) => {
            format!("this machine's clock is right, as far as others' answers tell: {offset}")
        }
        ClockVerdict::Suspect(offset) => format!(
            "one source says that this machine's clock is wrong ({offset}), which may be that source's own fault: compare with \
             `timedatectl` or `chronyc tracking`"
        ),
        ClockVerdict::Wrong(offset) => format!(
            "this machine's clock is wrong: {offset}. Headers are asked for at the wrong time, and bids are lost. Set the clock by NTP \
             (`timedatectl set-ntp true`, or chrony)"
        ),
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of a clock's error are far below 2^52")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_from_the_future_says_that_our_clock_is_behind() {
        let slots = SlotClock::new(1000, 12_000);
        let start = slots.start_of(Slot::new(50));
        assert_eq!(ahead_of_us(slots, Slot::new(50), start + 1), None);
        let range = ahead_of_us(slots, Slot::new(50), start - 4000).unwrap();
        assert_eq!(range.high, -4000);
        // Alone it proves nothing; with a relay that agrees it does.
        let relay = OffsetRange { low: -5000, high: -4500 };
        assert!(matches!(ClockOffset::verdict(ClockOffset::of(&[range]), false), ClockVerdict::Suspect(_)));
        assert!(matches!(
            ClockOffset::verdict(ClockOffset::of(&[range, relay]), false),
            ClockVerdict::Wrong(_)
        ));
    }

    #[test]
    fn every_verdict_says_what_to_do() {
        let offset = ClockOffset { range: OffsetRange { low: 1900, high: 2100 }, sources: 3 };
        assert!(clock_message(ClockVerdict::Wrong(offset)).contains("2.0 s ahead (± 0.1 s), by 3 sources"));
        assert!(clock_message(ClockVerdict::Suspect(offset)).contains("that source's own fault"));
    }
}
