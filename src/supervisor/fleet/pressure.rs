//! Whether the machine is short of memory or its disks are, and has been for a while.

use std::time::Duration;

use super::watched::WatchedMs;
use crate::{host::Stalls, supervisor::PsiGuard};

/// Above this share of a minute the machine is short of memory, in percent (PSI memory full), where nobody has said another.
const PRESSED_PERCENT: f64 = 10.0;
/// And so it must stay before it is told, or anything waits for it. Peaks pass.
const PRESSED_MS: i64 = 60_000;
/// Longest wait of a start for pressure to pass: what is down may be what others wait for.
const HELD_BACK: Duration = Duration::from_secs(600);

/// How short the machine is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pressure {
    guard: PsiGuard,
    /// Since when, and how much of the last minute, in percent.
    memory: Option<(WatchedMs, f64)>,
    guarded_memory: Option<(WatchedMs, f64)>,
    guarded_io: Option<(WatchedMs, f64)>,
}

impl Pressure {
    pub(super) const fn new(guard: PsiGuard) -> Self {
        Self { guard, memory: None, guarded_memory: None, guarded_io: None }
    }

    pub(super) fn see(&mut self, stalls: Stalls, at: WatchedMs) {
        let Stalls { memory, io } = stalls;
        self.memory = above(self.memory, memory, PRESSED_PERCENT, at);
        self.guarded_memory = above(self.guarded_memory, memory, self.guard.memory, at);
        self.guarded_io = above(self.guarded_io, io, self.guard.io, at);
    }

    /// How much of the last minute everything waited for memory, in percent, where it has lasted.
    pub(super) fn lasting(&self, at: WatchedMs) -> Option<f64> {
        lasted(self.memory, at)
    }

    /// Whether a start that was due at a time waits for the machine to have room again: more load would not help now.
    pub(super) fn holds_back(&self, due: WatchedMs, at: WatchedMs) -> bool {
        let is_pressed = lasted(self.guarded_memory, at).or(lasted(self.guarded_io, at)).is_some();
        is_pressed && !at.is_after(due, HELD_BACK)
    }
}

/// A limit of 0 is none.
fn above(
    before: Option<(WatchedMs, f64)>,
    percent: Option<f64>,
    limit: f64,
    at: WatchedMs,
) -> Option<(WatchedMs, f64)> {
    let since = before.map_or(at, |(since, _)| since);
    percent.filter(|percent| limit > 0.0 && *percent > limit).map(|percent| (since, percent))
}

fn lasted(pressed: Option<(WatchedMs, f64)>, at: WatchedMs) -> Option<f64> {
    pressed.filter(|(since, _)| at.since(*since) >= PRESSED_MS).map(|(_, percent)| percent)
}
