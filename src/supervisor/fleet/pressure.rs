//! Whether the machine is short of memory, and has been for a while.

use super::watched::WatchedMs;

/// Above this share of a minute the machine is short of memory, in percent (PSI memory full).
const PRESSED_PERCENT: f64 = 10.0;
/// And so it must stay before it is told. Peaks pass.
const PRESSED_MS: i64 = 60_000;

/// How short of memory the machine is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pressure {
    /// Since when, and how much of the last minute, in percent.
    pressed: Option<(WatchedMs, f64)>,
}

impl Pressure {
    pub(super) fn see(&mut self, percent: Option<f64>, at: WatchedMs) {
        let since = self.pressed.map_or(at, |(since, _)| since);
        self.pressed = percent.filter(|percent| *percent > PRESSED_PERCENT).map(|percent| (since, percent));
    }
    /// How much of the last minute, in percent, where it has lasted.
    pub(super) fn lasting(&self, at: WatchedMs) -> Option<f64> {
        self.pressed.filter(|(since, _)| at.since(*since) >= PRESSED_MS).map(|(_, percent)| percent)
    }
}
