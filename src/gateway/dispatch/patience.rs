//! How long one of the operator's nodes is waited for until another of them is asked beside it: much longer than its calls usually take, and far
//! shorter than what a slow call may take. A node that is frozen is left by then.

use std::time::Duration;

use crate::gateway::{MethodClass, hedge::Quantiles};

/// Below, a second question is worth nothing: many clients wait that long for a page. An arbitrary number.
pub(in crate::gateway) const SHORTEST: Duration = Duration::from_millis(400);
/// Where it is not known what is usual. An arbitrary number.
const UNKNOWN: Duration = Duration::from_millis(800);
/// So many times as long as nineteen of twenty calls take is unusual. An arbitrary number.
const TIMES: u32 = 10;

/// How long to wait for `calls` of a class together, by how long single ones take; `attempt` is the longest.
pub(in crate::gateway) fn patience(
    class: MethodClass,
    known: Option<Quantiles>,
    calls: usize,
    attempt: Duration,
) -> Duration {
    let calls = u32::try_from(calls.max(1)).unwrap_or(u32::MAX);
    let usual = match (known, class) {
        (Some(known), _) => known.p95.saturating_mul(TIMES).saturating_mul(calls).max(SHORTEST),
        // Logs and traces may take seconds.
        (None, MethodClass::Heavy) => attempt,
        (None, MethodClass::Read | MethodClass::Send) => UNKNOWN,
    };
    usual.min(attempt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_ten_times_what_is_usual_within_bounds() {
        let ms = Duration::from_millis;
        let known = |p95| Some(Quantiles { p50: ms(0), p90: ms(0), p95: ms(p95) });
        for (class, known, calls, attempt, want) in [
            (MethodClass::Read, known(1), 1, 2_500, 400),
            (MethodClass::Read, known(60), 1, 2_500, 600),
            (MethodClass::Read, known(60), 4, 2_500, 2_400),
            (MethodClass::Heavy, known(60), 1, 2_500, 600),
            (MethodClass::Heavy, known(900), 1, 2_500, 2_500),
            (MethodClass::Read, known(1), 1, 300, 300),
            (MethodClass::Read, None, 1, 2_500, 800),
            (MethodClass::Heavy, None, 1, 2_500, 2_500),
        ] {
            assert_eq!(patience(class, known, calls, ms(attempt)), ms(want), "{class:?} {known:?} {calls}");
        }
    }
}
