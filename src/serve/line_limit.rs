//! Bounds how often one kind of line is logged: whoever reaches a port could otherwise fill the disk with what is refused to them.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The time in which no more than so many lines are let through. Both arbitrary: enough to see what is refused and to whom.
const WINDOW: Duration = Duration::from_secs(10);
const MAX_LINES: u32 = 5;

/// Lets some lines through in each window, and counts what it leaves out.
#[derive(Debug, Default)]
pub(super) struct LineLimit(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    /// The start of the present window; none before the first line.
    since: Option<Instant>,
    /// Lines let through in it.
    shown: u32,
    /// Lines left out since the last one that was let through.
    left_out: u64,
}

impl LineLimit {
    /// Whether a line is logged at a moment: then how many were left out before it.
    pub(super) fn admit(&self, now: Instant) -> Option<u64> {
        let mut window = self.0.lock();
        if window.since.is_none_or(|since| now.saturating_duration_since(since) >= WINDOW) {
            window.since = Some(now);
            window.shown = 0;
        }
        if window.shown == MAX_LINES {
            window.left_out = window.left_out.saturating_add(1);
            return None;
        }
        window.shown += 1;
        Some(std::mem::take(&mut window.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_lines_are_let_through_and_the_next_says_how_many_were_not() {
        let (limit, start) = (LineLimit::default(), Instant::now());
        let at = |secs| start + Duration::from_secs(secs);
        for _ in 0..MAX_LINES {
            assert_eq!(limit.admit(at(0)), Some(0));
        }
        for _ in 0..1000 {
            assert_eq!(limit.admit(at(9)), None);
        }
        assert_eq!(limit.admit(at(10)), Some(1000));
        assert_eq!(limit.admit(at(10)), Some(0));
        assert_eq!(limit.admit(at(60)), Some(0));
    }
}
