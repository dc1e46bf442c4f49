//! Which slots of ours are over, and why no header was asked for in one. Pure: the times, the duties and the nodes' state come in.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    auction::Refusal,
    consensus::SlotClock,
    events::NoRequestReason,
    types::{BlsPublicKey, Epoch, Slot, UnixMillis},
};

/// A slot is looked at once this many slots have begun after it: a late request is written down by then.
const GRACE_SLOTS: u64 = 2;
/// A slot whose duty the beacon node does not confirm is forgotten after so many slots: eight epochs.
const MAX_WAIT_SLOTS: u64 = 256;
/// The state of the beacon node is remembered for so many slots.
const STATES_KEPT: usize = 512;

/// What was wrong with the beacon node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BeaconTrouble {
    /// It did not answer.
    Away,
    /// It was catching up.
    Syncing,
}

/// Proposals of our validators, as the beacon node last said.
#[derive(Debug)]
pub(super) struct OwnDuties {
    slots: SlotClock,
    slots_per_epoch: u64,
    /// When this process began to serve.
    running_since: UnixMillis,
    /// The first slot that is looked at.
    since: Slot,
    duties: BTreeMap<Slot, BlsPublicKey>,
    /// Slots that were looked at.
    done: BTreeSet<Slot>,
    trouble: BTreeMap<Slot, BeaconTrouble>,
}

/// What is known when a slot is judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances {
    /// When the client last asked for anything in this process.
    pub(super) last_request: Option<UnixMillis>,
    /// When a request was last refused to it.
    pub(super) last_refusal: Option<UnixMillis>,
}

impl OwnDuties {
    pub(super) fn new(slots: SlotClock, slots_per_epoch: u64, running_since: UnixMillis) -> Self {
        // The slot in which it began may have been served before.
        let since = Slot::new(slots.slot_at(running_since).as_u64().saturating_add(1));
        let (duties, done, trouble) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        Self { slots, slots_per_epoch, running_since, since, duties, done, trouble }
    }

    /// Replaces what was known of an epoch: a duty that moved is not ours any more.
    pub(super) fn replace(&mut self, epoch: Epoch, ours: impl IntoIterator<Item = (Slot, BlsPublicKey)>) {
        self.duties.retain(|slot, _| slot.epoch(self.slots_per_epoch) != epoch);
        let ours = ours.into_iter().filter(|(slot, _)| slot.epoch(self.slots_per_epoch) == epoch);
        self.duties.extend(ours.filter(|(slot, _)| *slot >= self.since && !self.done.contains(slot)));
    }

    /// Looks at slots from an earlier one on: an earlier process ended then.
    pub(super) fn look_back_to(&mut self, since: Slot) {
        self.since = self.since.min(since);
    }

    /// What was seen of the beacon node in a slot; a slot in which it was well once is no trouble's.
    pub(super) fn note_beacon(&mut self, slot: Slot, trouble: Option<BeaconTrouble>) {
        match trouble {
            Some(trouble) => {
                self.trouble.insert(slot, trouble);
            }
            None => {
                self.trouble.remove(&slot);
            }
        }
        while self.trouble.len() > STATES_KEPT {
            self.trouble.pop_first();
        }
    }

    /// Slots of ours that are still to come, the present one included.
    pub(super) fn coming(&self, now: Slot) -> BTreeSet<Slot> {
        self.duties.range(now..).map(|(slot, _)| *slot).collect()
    }

    /// Slots of ours that are over and not looked at yet. Those that waited too long are forgotten.
    pub(super) fn over(&mut self, now: Slot) -> Vec<(Slot, BlsPublicKey)> {
        let oldest = Slot::new(now.as_u64().saturating_sub(MAX_WAIT_SLOTS));
        self.duties.retain(|slot, _| *slot >= oldest);
        self.done.retain(|slot| *slot >= oldest);
        let end = Slot::new((now.as_u64().saturating_add(1)).saturating_sub(GRACE_SLOTS));
        self.duties.range(..end).map(|(slot, key)| (*slot, *key)).collect()
    }

    /// A slot is looked at: it is not asked about again.
    pub(super) fn done(&mut self, slot: Slot) {
        self.duties.remove(&slot);
        self.done.insert(slot);
    }

    /// Why no header was asked for in a slot, as far as is known.
    pub(super) fn reason(&self, slot: Slot, circumstances: Circumstances) -> NoRequestReason {
        let start = self.slots.start_of(slot);
        if start < self.running_since {
            return NoRequestReason::NotRunning;
        }
        match self.trouble.get(&slot) {
            Some(BeaconTrouble::Away) => return NoRequestReason::BeaconNodeAway,
            Some(BeaconTrouble::Syncing) => return NoRequestReason::BeaconNodeSyncing,
            None => {}
        }
        // Clients register every epoch, and many ask for the status every slot.
        let epoch_ms =
            i64::try_from(self.slots_per_epoch.saturating_mul(self.slots.slot_ms())).unwrap_or(i64::MAX);
        let heard = circumstances.last_request.is_some_and(|last| last >= start.saturating_sub(epoch_ms));
        // Headers are asked for from a slot before on. Where nothing was taken for an epoch, any refusal in it explains that.
        let slot_ms = i64::try_from(self.slots.slot_ms()).unwrap_or(i64::MAX);
        let explains = if heard { slot_ms } else { epoch_ms };
        let within = start.saturating_sub(explains)..start.saturating_add(epoch_ms);
        match circumstances.last_refusal {
            Some(at) if within.contains(&at) => NoRequestReason::ClientRefused,
            _ if heard => NoRequestReason::ClientDidNotAsk,
            _ => NoRequestReason::ClientSilent,
        }
    }
}

/// What to tell people of it. `refused` has how many requests were refused, and the last of them.
pub(super) fn message(
    reason: NoRequestReason,
    last_request: Option<UnixMillis>,
    refused: Option<&(u64, Arc<Refusal>)>,
    now: UnixMillis,
) -> String {
    let ago = |at: UnixMillis| now.saturating_sub(at).max(0) / 1000;
    let last = match last_request {
        Some(at) => format!("its last request of any kind came {} s ago", ago(at)),
        None => "it has asked for nothing since this process began".to_owned(),
    };
    match reason {
        NoRequestReason::ClientRefused => {
            let refused = refused.map_or_else(String::new, |(count, last)| {
                let Refusal { at, endpoint, status, message } = &**last;
                format!(
                    ": {count} since this process began, the last one {} s ago ({endpoint}, HTTP {status}: {message})",
                    ago(*at)
                )
            });
            format!(
                "no header was asked for that could be answered: requests came and were refused{refused}. Correct what the refusal names, \
                 in the client's settings or in [builder_api]"
            )
        }
        NoRequestReason::NotRunning => {
            "no header was asked for: relaymux was not running. The consensus client built locally, if it was up".to_owned()
        }
        NoRequestReason::BeaconNodeAway => format!(
            "no header was asked for: the beacon node did not answer at the time, so the client may not have proposed at all; {last}"
        ),
        NoRequestReason::BeaconNodeSyncing => format!(
            "no header was asked for: the beacon node was catching up at the time, and a client does not propose then; {last}"
        ),
        NoRequestReason::ClientSilent => format!(
            "no header was asked for, and {last}: the client was down, or its builder address is not this service. Look at its log, and \
             at its `--builder` setting"
        ),
        NoRequestReason::ClientDidNotAsk => format!(
            "no header was asked for, although the client speaks to this service ({last}): its circuit breaker was open after missed slots, \
             its request timed out on the way, or builder blocks are off for this validator. Its log of the slot says which"
        ),
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::FixedBytes;

    use super::*;

    const A: BlsPublicKey = BlsPublicKey(FixedBytes::repeat_byte(1));
    const B: BlsPublicKey = BlsPublicKey(FixedBytes::repeat_byte(2));

    fn duties() -> OwnDuties {
        OwnDuties::new(SlotClock::new(1000, 12_000), 32, 1_000_000 + 35 * 12_000)
    }

    fn slot(n: u64) -> Slot {
        Slot::new(n)
    }

    #[test]
    fn a_slot_is_looked_at_once_it_is_over_and_only_once() {
        let mut own = duties();
        own.replace(Epoch::new(1), [(slot(40), A), (slot(50), B), (slot(70), A)]);
        assert_eq!(own.coming(slot(40)), [slot(40), slot(50)].into(), "70 is of another epoch");
        assert!(own.over(slot(41)).is_empty(), "a late request may still come");
        assert_eq!(own.over(slot(42)), [(slot(40), A)]);
        own.done(slot(40));
        own.replace(Epoch::new(1), [(slot(40), A), (slot(50), B)]);
        assert!(own.over(slot(45)).is_empty());
        assert!(own.over(slot(50 + MAX_WAIT_SLOTS + 1)).is_empty(), "nobody confirmed it in time");
    }

    #[test]
    fn a_duty_that_moved_is_not_ours() {
        let mut own = duties();
        own.replace(Epoch::new(1), [(slot(40), A)]);
        own.replace(Epoch::new(1), [(slot(41), A)]);
        assert_eq!(own.over(slot(60)), [(slot(41), A)]);
        own.replace(Epoch::new(2), [(slot(64), A)]);
        assert_eq!(own.over(slot(66)).len(), 2, "another epoch's word changes nothing of this one's");
    }

    #[test]
    fn slots_before_the_first_start_are_nobodys() {
        let mut own = duties();
        own.replace(Epoch::new(1), [(slot(33), A), (slot(35), A), (slot(36), A)]);
        assert_eq!(own.over(slot(60)), [(slot(36), A)]);
        own.look_back_to(slot(34));
        own.replace(Epoch::new(1), [(slot(33), A), (slot(35), A), (slot(36), A)]);
        assert_eq!(own.over(slot(60)), [(slot(35), A), (slot(36), A)]);
    }

    #[test]
    fn the_reason_is_what_is_known() {
        let mut own = duties();
        let start = own.slots.start_of(slot(100));
        let none = Circumstances { last_request: None, last_refusal: None };
        own.note_beacon(slot(101), Some(BeaconTrouble::Away));
        own.note_beacon(slot(102), Some(BeaconTrouble::Syncing));
        own.note_beacon(slot(103), Some(BeaconTrouble::Away));
        own.note_beacon(slot(103), None);
        for (name, at, last_request, want) in [
            ("never heard of", 100, None, NoRequestReason::ClientSilent),
            ("silent for long", 100, Some(start - 32 * 12_000 - 1), NoRequestReason::ClientSilent),
            ("heard of lately", 100, Some(start - 32 * 12_000), NoRequestReason::ClientDidNotAsk),
            ("beacon node away", 101, Some(start), NoRequestReason::BeaconNodeAway),
            ("beacon node syncing", 102, Some(start), NoRequestReason::BeaconNodeSyncing),
            ("beacon node back within the slot", 103, Some(start), NoRequestReason::ClientDidNotAsk),
        ] {
            let circumstances = Circumstances { last_request, last_refusal: None };
            assert_eq!(own.reason(slot(at), circumstances), want, "{name}");
        }
        for (name, last_request, last_refusal, want) in [
            ("refused, and nothing else", None, start - 31 * 12_000, NoRequestReason::ClientRefused),
            ("the header itself", Some(start - 1), start + 900, NoRequestReason::ClientRefused),
            (
                "one before its header was due",
                Some(start - 1),
                start - 12_001,
                NoRequestReason::ClientDidNotAsk,
            ),
            ("long ago", None, start - 33 * 12_000, NoRequestReason::ClientSilent),
            ("long after", Some(start - 1), start + 33 * 12_000, NoRequestReason::ClientDidNotAsk),
        ] {
            let circumstances = Circumstances { last_request, last_refusal: Some(last_refusal) };
            assert_eq!(own.reason(slot(100), circumstances), want, "{name}");
        }
        own.running_since = start + 1;
        assert_eq!(own.reason(slot(100), none), NoRequestReason::NotRunning);
    }

    #[test]
    fn every_reason_says_what_to_look_at() {
        for reason in NoRequestReason::ALL {
            let message_of = "`x` is not known".to_owned();
            let refusal = Refusal { at: 1000, endpoint: "get_header", status: 403, message: message_of };
            let said = message(reason, Some(1000), Some(&(7, Arc::new(refusal))), 31_000);
            let names = said.contains("7 since") && said.contains("get_header, HTTP 403: `x` is not known");
            assert_eq!(names, reason == NoRequestReason::ClientRefused, "{said}");
            assert!(said.starts_with("no header was asked for"), "{said}");
            assert_eq!(said.contains("30 s ago"), reason != NoRequestReason::NotRunning, "{said}");
        }
    }
}
