//! Whether a request that came at the wrong time came so because a clock is wrong. Pure.

use crate::consensus::ClockVerdict;

/// A header asked for this long before its slot, in milliseconds, is early: clients ask at its start, or some hundred milliseconds before.
const EARLY_MS: i64 = 1000;

/// What to say of a request without bid that came `ms_into_slot`, where headers are served until `late_ms`; `None` where it came in time.
pub(super) fn clock_note(ms_into_slot: i64, late_ms: u64, clock: ClockVerdict) -> Option<String> {
    let is_late = u64::try_from(ms_into_slot).is_ok_and(|ms| ms >= late_ms);
    let is_early = ms_into_slot < -EARLY_MS;
    if !is_late && !is_early {
        return None;
    }
    let when = if is_late { "late" } else { "early" };
    Some(match clock {
        ClockVerdict::Wrong(offset) | ClockVerdict::Suspect(offset) => {
            format!(
                "a request this {when} may be the clock's fault: this machine's clock is {offset}. Set it by NTP"
            )
        }
        ClockVerdict::Right(offset) => format!(
            "a request this {when} may be a clock's fault: this machine's is right ({offset}), the consensus client's may not be"
        ),
        ClockVerdict::NotKnown => format!(
            "a request this {when} may be a clock's fault: compare this machine's and the consensus client's with NTP"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::{ClockOffset, OffsetRange};

    #[test]
    fn only_requests_at_the_wrong_time_are_put_down_to_a_clock() {
        let offset = ClockOffset { range: OffsetRange { low: 1900, high: 2100 }, sources: 3 };
        for (ms_into_slot, clock, want) in [
            (0, ClockVerdict::Wrong(offset), None),
            (1999, ClockVerdict::NotKnown, None),
            (-1000, ClockVerdict::NotKnown, None),
            (
                2000,
                ClockVerdict::Wrong(offset),
                Some("this late may be the clock's fault: this machine's clock is 2.0 s ahead"),
            ),
            (-1001, ClockVerdict::NotKnown, Some("this early may be a clock's fault: compare")),
            (2000, ClockVerdict::Right(offset), Some("the consensus client's may not be")),
        ] {
            let said = clock_note(ms_into_slot, 2000, clock);
            match want {
                None => assert_eq!(said, None, "{ms_into_slot}"),
                Some(want) => assert!(said.as_ref().unwrap().contains(want), "{said:?}"),
            }
        }
    }
}
