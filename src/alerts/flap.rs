//! Alerts that come and go: held until they are calm.
//!
//! Each time an alert begins or is over is a change. With the fourth within ten minutes it flaps: from then on it counts as firing until it was
//! away, or there, for ten minutes on end. One message says so; what it does in between nobody is told.

use std::{collections::VecDeque, time::Duration};

use serde::{Deserialize, Serialize};

use super::moment::Moment;

/// So many changes within [`WINDOW`] are flapping.
const CHANGES: usize = 4;
/// Within which changes count, and how long calm has to last.
pub(super) const WINDOW: Duration = Duration::from_secs(600);

/// What an alert did of late.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flap {
    /// Its last changes, oldest first; no more than [`CHANGES`].
    changes: VecDeque<Moment>,
    /// Since when it is held.
    held_since: Option<Moment>,
}

impl Flap {
    /// Notes that the alert began or was over. Whether it flaps from now on.
    pub(super) fn note(&mut self, now: Moment) -> bool {
        while self.changes.len() >= CHANGES {
            self.changes.pop_front();
        }
        self.changes.push_back(now);
        let oldest = self.changes.front().copied().unwrap_or(now);
        let flaps = self.changes.len() >= CHANGES && !now.is_after(oldest, WINDOW);
        let begins = flaps && self.held_since.is_none();
        if begins {
            self.held_since = Some(now);
        }
        begins
    }

    /// Whether it is held as firing.
    pub const fn is_held(&self) -> bool {
        self.held_since.is_some()
    }

    /// Whether nothing has changed for as long as calm has to last.
    pub(super) fn is_calm(&self, now: Moment) -> bool {
        self.changes.back().is_none_or(|last| now.is_after(*last, WINDOW))
    }

    /// It is calm: what it did counts no more.
    pub(super) fn release(&mut self) {
        self.changes.clear();
        self.held_since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Moment {
        Moment { at: 0, watched_ms: secs * 1000 }
    }

    #[test]
    fn four_changes_in_ten_minutes_flap() {
        for (name, changes, flaps_with) in [
            ("three are none", &[0, 10, 20][..], None),
            ("four at once", &[0, 10, 20, 30][..], Some(3)),
            ("told once", &[0, 10, 20, 30, 40, 50][..], Some(3)),
            ("too slow", &[0, 200, 400, 600, 800, 1000][..], None),
            ("slow at first", &[0, 500, 1000, 1010, 1020][..], Some(4)),
        ] {
            let mut flap = Flap::default();
            let begins: Vec<_> = changes
                .iter()
                .enumerate()
                .filter(|(_, secs)| flap.note(at(**secs)))
                .map(|(n, _)| n)
                .collect();
            assert_eq!(begins, Vec::from_iter(flaps_with), "{name}");
            assert_eq!(flap.is_held(), flaps_with.is_some(), "{name}");
        }
    }

    #[test]
    fn ten_minutes_without_a_change_are_calm() {
        let mut flap = Flap::default();
        assert!(flap.is_calm(at(0)));
        flap.note(at(5));
        assert!(!flap.is_calm(at(604)));
        assert!(flap.is_calm(at(605)));
    }
}
