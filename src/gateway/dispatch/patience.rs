//! How long one of the operator's nodes is waited for until another of them is asked beside it: much longer than its calls usually take, and far
//! shorter than what a slow call may take. A node that is frozen is left by then.

use std::time::Duration;

use crate::gateway::{Method, MethodClass, hedge::Quantiles, methods::Access};

/// Below, a second question is worth nothing: many clients wait that long for a page. An arbitrary number.
pub(in crate::gateway) const SHORTEST: Duration = Duration::from_millis(400);
/// Where it is not known what is usual. An arbitrary number.
const UNKNOWN: Duration = Duration::from_millis(800);
/// The same for logs, which may be many. An arbitrary number.
const UNKNOWN_LOGS: Duration = Duration::from_secs(1);
/// So many times as long as nineteen of twenty calls take is unusual. An arbitrary number.
const TIMES: u32 = 10;

/// What is usual of calls, where too few of their class are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway) enum Usual {
    /// They read one thing, or send it.
    Quick,
    /// They read many things, as logs do: as a rule that is as quick as the upstream's reads, if those are known.
    LikeReads(Option<Quantiles>),
    /// They may take seconds, as traces do.
    Slow,
}

impl Usual {
    /// What is usual of a method; `reads` is how long the upstream takes for reads.
    pub(in crate::gateway) fn of(method: Method, reads: Option<Quantiles>) -> Self {
        match (method.class, method.access) {
            (MethodClass::Read | MethodClass::Send, _) => Self::Quick,
            (MethodClass::Heavy, Access::Usual) => Self::LikeReads(reads),
            (MethodClass::Heavy, Access::OnRequest | Access::Accounts) => Self::Slow,
        }
    }
}

/// How long to wait for `calls` of a class together, by how long single ones take; `attempt` is the longest.
pub(in crate::gateway) fn patience(
    known: Option<Quantiles>,
    usual: Usual,
    calls: usize,
    attempt: Duration,
) -> Duration {
    let calls = u32::try_from(calls.max(1)).unwrap_or(u32::MAX);
    let unusual = |known: Quantiles| known.p95.saturating_mul(TIMES).saturating_mul(calls);
    let patience = match (known, usual) {
        (Some(known), _) => unusual(known).max(SHORTEST),
        (None, Usual::Quick) => UNKNOWN,
        (None, Usual::LikeReads(reads)) => reads.map_or(UNKNOWN_LOGS, unusual).max(UNKNOWN_LOGS),
        (None, Usual::Slow) => attempt,
    };
    patience.min(attempt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_ten_times_what_is_usual_within_bounds() {
        let ms = Duration::from_millis;
        let known = |p95| Some(Quantiles { p50: ms(0), p90: ms(0), p95: ms(p95) });
        for (method, known, reads, calls, attempt, want) in [
            ("eth_call", known(1), None, 1, 2_500, 400),
            ("eth_call", known(60), None, 1, 2_500, 600),
            ("eth_call", known(60), None, 4, 2_500, 2_400),
            ("eth_getLogs", known(60), known(900), 1, 2_500, 600),
            ("eth_getLogs", known(900), known(1), 1, 2_500, 2_500),
            ("eth_call", known(1), None, 1, 300, 300),
            ("eth_call", None, None, 1, 2_500, 800),
            ("eth_getLogs", None, None, 1, 2_500, 1_000),
            ("eth_getLogs", None, known(1), 1, 2_500, 1_000),
            ("eth_getLogs", None, known(150), 1, 2_500, 1_500),
            ("eth_getLogs", None, known(900), 1, 2_500, 2_500),
            ("eth_getLogs", None, None, 1, 300, 300),
            ("trace_block", None, known(1), 1, 2_500, 2_500),
        ] {
            let usual = Usual::of(Method::of(method), reads);
            assert_eq!(
                patience(known, usual, calls, ms(attempt)),
                ms(want),
                "{method} {known:?} {reads:?} {calls}"
            );
        }
    }
}
