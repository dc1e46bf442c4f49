//! When a message that did not arrive is sent again.

use std::time::Duration;

use crate::types::UnixMillis;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);

/// The pause after so many attempts: a second, doubled each time up to five minutes, and of it between half and all, as `random` (0 to 1) says,
/// so that many senders do not come at once.
pub(super) fn pause(attempts: u32, random: f64) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    let whole = FIRST.saturating_mul(1 << doublings).min(LONGEST);
    let random = if random.is_finite() { random.clamp(0.0, 1.0) } else { 0.5 };
    whole.div_f64(2.0).saturating_add(whole.mul_f64(random / 2.0))
}

/// When the next attempt is due: after the pause, or when the service said.
pub(super) fn next_attempt(
    now: UnixMillis,
    attempts: u32,
    retry_after: Option<Duration>,
    random: f64,
) -> UnixMillis {
    let pause =
        retry_after.map_or_else(|| pause(attempts, random), |after| after.max(Duration::from_millis(250)));
    now.saturating_add(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pauses_double_up_to_five_minutes() {
        let cases = [(0, 1), (1, 1), (2, 2), (3, 4), (9, 256), (10, 300), (11, 300), (u32::MAX, 300)];
        for (attempts, seconds) in cases {
            assert_eq!(pause(attempts, 1.0), Duration::from_secs(seconds), "{attempts}");
            assert_eq!(pause(attempts, 0.0), Duration::from_millis(seconds * 500), "{attempts}");
        }
    }

    #[test]
    fn a_service_that_says_when_is_asked_then() {
        assert_eq!(next_attempt(1000, 7, Some(Duration::from_secs(30)), 0.3), 31_000);
        assert_eq!(next_attempt(1000, 1, Some(Duration::ZERO), 0.3), 1250);
        assert_eq!(next_attempt(i64::MAX, 1, None, 1.0), i64::MAX);
    }

    proptest! {
        #[test]
        fn a_pause_is_never_shorter_than_the_one_before(attempts in 1u32..40, random: f64) {
            prop_assert!(pause(attempts, random) <= LONGEST);
            prop_assert!(pause(attempts, random) >= FIRST / 2);
            prop_assert!(pause(attempts + 1, random) >= pause(attempts, random));
        }
    }
}
