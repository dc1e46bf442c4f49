//! Whether bids wait for a node of the operator's, by what it says of itself. Pure.
//!
//! Only a node that says that it syncs, or that it follows blocks which its execution client has not checked, holds bids back, and only when it
//! says so twice in a row. One that does not answer, or is not there at all, holds nothing back; one that falls silent after it said so is
//! forgotten. A node that says that all is well is believed here, however old its head is: a chain that stands must not cost its
//! proposers their bids.

use std::time::Duration;

use crate::{
    ethereum::{ExecutionProgress, SyncStatus},
    types::UnixMillis,
};

/// Looks in a row that must say the same until it holds.
const IN_A_ROW: u32 = 2;
/// After so long without a word what was said is forgotten. Arbitrary: some looks, each of which may wait for a node that hangs.
pub(super) const FORGOTTEN_AFTER: Duration = Duration::from_secs(90);
/// Slots behind that are none: clients call it syncing when they miss a slot.
const NEAR_SLOTS: u64 = 2;
/// Age of an execution node's head up to which it is there, whatever it says: geth says that it syncs while it indexes.
const YOUNG: Duration = Duration::from_secs(60);

/// What one look at a node brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Said {
    /// It is there.
    Synced,
    /// It is not, in words for people.
    NotSynced(String),
    /// Nothing: it does not answer, or does not serve this.
    #[default]
    Nothing,
    /// It is of another network: nothing that it says or said is used.
    NotOurs,
}

/// What a beacon node says.
pub(super) fn beacon_says(status: Option<&SyncStatus>) -> Said {
    let Some(status) = status else { return Said::Nothing };
    if status.is_syncing && status.distance.is_none_or(|slots| slots > NEAR_SLOTS) {
        let left = status.distance.map(|slots| format!(", {slots} slots to go")).unwrap_or_default();
        return Said::NotSynced(format!("the beacon node says that it is syncing{left}"));
    }
    if status.is_optimistic {
        return Said::NotSynced(
            "the beacon node says that its execution client has not checked its newest blocks (optimistic)"
                .to_owned(),
        );
    }
    Said::Synced
}

/// What an execution node says.
pub(super) fn execution_says(progress: Option<&ExecutionProgress>, now: UnixMillis) -> Said {
    match progress {
        None => Said::Nothing,
        Some(ExecutionProgress::Synced) => Said::Synced,
        Some(ExecutionProgress::Syncing { remaining, head_at }) => {
            let head_ms = i64::try_from(head_at.saturating_mul(1000)).unwrap_or(i64::MAX);
            if now.saturating_sub(head_ms) <= millis(YOUNG) {
                return Said::Synced;
            }
            let left = remaining.map(|blocks| format!(", {blocks} blocks to go")).unwrap_or_default();
            Said::NotSynced(format!("the execution node says that it is syncing{left}"))
        }
    }
}

/// What is known of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SyncGate {
    /// Looks in a row by which it is not there, and by which it is.
    against: u32,
    well: u32,
    holds: bool,
    /// What it said last that was against it, and when.
    last: Option<(String, UnixMillis)>,
}

impl SyncGate {
    /// Takes in one look.
    pub(super) fn step(self, said: Said, now: UnixMillis) -> Self {
        let known = if self.is_forgotten(now) { Self::default() } else { self };
        match said {
            Said::NotOurs => Self::default(),
            Said::Nothing => known,
            Said::NotSynced(reason) => {
                let against = known.against.saturating_add(1);
                let holds = known.holds || against >= IN_A_ROW;
                Self { against, well: 0, holds, last: Some((reason, now)) }
            }
            Said::Synced => {
                let well = known.well.saturating_add(1);
                if !known.holds || well >= IN_A_ROW {
                    return Self { well, ..Self::default() };
                }
                // Until it says so again it is as it was: this look does not prolong it.
                Self { against: 0, well, ..known }
            }
        }
    }

    /// Why bids wait for it, and until when that holds without another word; none: they do not.
    pub(super) fn holds(&self, now: UnixMillis) -> Option<(&str, UnixMillis)> {
        let (reason, at) = self.last.as_ref().filter(|_| self.holds && !self.is_forgotten(now))?;
        Some((reason, at.saturating_add(millis(FORGOTTEN_AFTER))))
    }

    /// Whether it said at the last look that it is not there: of one that has just begun to, nothing can be said to be over.
    pub(super) const fn is_in_doubt(&self) -> bool {
        self.against > 0
    }

    fn is_forgotten(&self, now: UnixMillis) -> bool {
        // Also when the clock was set back: what was said later than now says nothing.
        self.last.as_ref().is_some_and(|(_, at)| {
            let elapsed = now.saturating_sub(*at);
            elapsed < 0 || elapsed >= millis(FORGOTTEN_AFTER)
        })
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::Slot;

    fn bad() -> Said {
        Said::NotSynced("it syncs".to_owned())
    }

    #[test]
    fn bids_wait_only_for_one_that_says_so_and_says_so_again() {
        use Said::{NotOurs, Nothing, Synced};
        // A look each 12 s; after each, whether bids wait.
        for (name, looks, want) in [
            ("once is not enough", vec![bad(), Synced, bad(), Synced], vec![false; 4]),
            ("twice is", vec![bad(), bad()], vec![false, true]),
            ("silence between says nothing", vec![bad(), Nothing, bad()], vec![false, false, true]),
            ("nor does it free", vec![bad(), bad(), Nothing, Nothing], vec![false, true, true, true]),
            ("once well is not enough", vec![bad(), bad(), Synced, bad()], vec![false, true, true, true]),
            ("twice is, too", vec![bad(), bad(), Synced, Synced], vec![false, true, true, false]),
            (
                "then it begins anew",
                vec![bad(), bad(), Synced, Synced, bad()],
                vec![false, true, true, false, false],
            ),
            (
                "another network says nothing",
                vec![bad(), bad(), NotOurs, Nothing],
                vec![false, true, false, false],
            ),
            ("nobody there", vec![Nothing; 9], vec![false; 9]),
            (
                "silent for 90 s",
                [vec![bad(), bad()], vec![Nothing; 9]].concat(),
                [vec![false], vec![true; 8], vec![false; 2]].concat(),
            ),
        ] {
            let (mut gate, mut got) = (SyncGate::default(), Vec::new());
            for (look, said) in (0_i64..).zip(looks) {
                gate = gate.step(said, look * 12_000);
                got.push(gate.holds(look * 12_000).is_some());
            }
            assert_eq!(got, want, "{name}");
        }
    }

    #[test]
    fn it_ends_by_itself() {
        let gate = SyncGate::default().step(bad(), 0).step(bad(), 12_000);
        assert_eq!(gate.holds(12_000), Some(("it syncs", 102_000)));
        assert_eq!(gate.holds(101_999), Some(("it syncs", 102_000)));
        assert_eq!(gate.holds(102_000), None);
        assert_eq!(gate.holds(11_999), None, "the clock was set back");
    }

    #[test]
    fn a_beacon_node_is_not_there_while_it_says_so() {
        let status = SyncStatus {
            head: Slot::new(5),
            distance: Some(0),
            is_syncing: false,
            is_optimistic: false,
            is_execution_offline: false,
        };
        for (status, want) in [
            (None, None),
            (Some(status), Some(false)),
            (Some(SyncStatus { is_syncing: true, distance: Some(3), ..status }), Some(true)),
            (Some(SyncStatus { is_syncing: true, distance: None, ..status }), Some(true)),
            // It contradicts itself.
            (Some(SyncStatus { is_syncing: true, distance: Some(2), ..status }), Some(false)),
            (Some(SyncStatus { distance: Some(900), ..status }), Some(false)),
            (Some(SyncStatus { is_optimistic: true, ..status }), Some(true)),
            // Builders' blocks are what is left then.
            (Some(SyncStatus { is_execution_offline: true, ..status }), Some(false)),
        ] {
            let said = match beacon_says(status.as_ref()) {
                Said::Synced => Some(false),
                Said::NotSynced(_) => Some(true),
                Said::Nothing | Said::NotOurs => None,
            };
            assert_eq!(said, want, "{status:?}");
        }
    }

    #[test]
    fn an_execution_node_is_not_there_while_it_says_so_and_its_head_is_old() {
        let syncing = |head_at| ExecutionProgress::Syncing { remaining: Some(9), head_at };
        for (progress, want) in [
            (None, Said::Nothing),
            (Some(ExecutionProgress::Synced), Said::Synced),
            (Some(syncing(1_000)), Said::Synced),
            (Some(syncing(940)), Said::Synced),
            (Some(syncing(u64::MAX)), Said::Synced),
            (
                Some(syncing(939)),
                Said::NotSynced("the execution node says that it is syncing, 9 blocks to go".to_owned()),
            ),
            (
                Some(syncing(0)),
                Said::NotSynced("the execution node says that it is syncing, 9 blocks to go".to_owned()),
            ),
        ] {
            assert_eq!(execution_says(progress.as_ref(), 1_000_000), want, "{progress:?}");
        }
    }

    proptest! {
        #[test]
        fn who_never_said_it_twice_holds_nothing(
            looks in prop::collection::vec((0_u8..3, 0_i64..40_000), 0..60),
        ) {
            let (mut gate, mut now, mut in_a_row) = (SyncGate::default(), 0, 0);
            let mut was_twice = false;
            for (said, gap) in looks {
                now += gap;
                let said = match said {
                    0 => Said::Synced,
                    1 => bad(),
                    _ => Said::Nothing,
                };
                match said {
                    Said::NotSynced(_) => in_a_row += 1,
                    Said::Synced => in_a_row = 0,
                    Said::Nothing | Said::NotOurs => {}
                }
                was_twice |= in_a_row >= 2;
                gate = gate.step(said, now);
                if let Some((_, until)) = gate.holds(now) {
                    prop_assert!(was_twice && until > now && until <= now + 90_000);
                }
            }
        }
    }
}
