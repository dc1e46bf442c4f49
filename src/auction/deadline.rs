//! How long a header race may last. All arithmetic is signed or saturating: no clock skew, in either direction, can make the
//! budget longer than configured.

use std::time::Duration;

/// What the budget depends on.
#[derive(Clone, Copy, Debug)]
pub struct BudgetInputs {
    /// Configured limit.
    pub timeout: Duration,
    /// `X-Timeout-Ms`, where the client sent a usable one.
    pub client_timeout: Option<Duration>,
    /// Time since the client sent the request (`Date-Milliseconds`), in milliseconds; negative when its clock runs ahead.
    pub sent_ms_ago: i64,
    /// Where in the slot we are, in milliseconds; negative before it.
    pub ms_into_slot: i64,
    /// No answer later than this into the slot.
    pub late_in_slot_ms: u64,
    /// Kept for verifying and encoding.
    pub reserve: Duration,
}

/// How long a race may last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// Too late in the slot: a header would not be revealed in time. No relay is asked.
    TooLate,
    /// Ask.
    Race {
        /// Relays are waited for this long.
        collect: Duration,
        /// The answer leaves within this.
        answer: Duration,
    },
}

/// A clock difference above this is skew, not transit, and is ignored.
const MAX_TRANSIT_MS: i64 = 1000;

/// Computes the budget.
pub fn budget(inputs: &BudgetInputs) -> Budget {
    let late = i64::try_from(inputs.late_in_slot_ms).unwrap_or(i64::MAX);
    let until_late = late.saturating_sub(inputs.ms_into_slot);
    let Ok(until_late @ 1..) = u64::try_from(until_late) else { return Budget::TooLate };
    let transit = if (0..=MAX_TRANSIT_MS).contains(&inputs.sent_ms_ago) { inputs.sent_ms_ago } else { 0 };
    let transit = Duration::from_millis(transit.unsigned_abs());
    let by_client = inputs.client_timeout.map_or(Duration::MAX, |limit| limit.saturating_sub(transit));
    let answer = inputs.timeout.min(by_client).min(Duration::from_millis(until_late));
    // A tiny budget is shared: three quarters to collect.
    let reserve = inputs.reserve.min(answer / 4);
    Budget::Race { collect: answer.saturating_sub(reserve), answer }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn at(ms_into_slot: i64, client_timeout: Option<u64>, sent_ms_ago: i64) -> Budget {
        budget(&BudgetInputs {
            timeout: ms(950),
            client_timeout: client_timeout.map(ms),
            sent_ms_ago,
            ms_into_slot,
            late_in_slot_ms: 2000,
            reserve: ms(10),
        })
    }

    #[test]
    fn the_smallest_of_three_limits_holds() {
        let race = |answer| Budget::Race { collect: ms(answer - 10), answer: ms(answer) };
        for (case, ms_into_slot, client, sent_ago, want) in [
            ("on time", 0, None, 0, race(950)),
            ("before the slot", -40, None, 0, race(950)),
            ("long before the slot", -12_000, None, 0, race(950)),
            ("near the cut", 1900, None, 0, race(100)),
            ("at the cut", 2000, None, 0, Budget::TooLate),
            ("after the cut", 11_000, None, 0, Budget::TooLate),
            ("client in a hurry", 0, Some(300), 0, race(300)),
            ("client in a hurry, request under way for 20 ms", 0, Some(300), 20, race(280)),
            ("client's clock ahead", 0, Some(300), -500, race(300)),
            ("client's clock far behind", 0, Some(300), 100_000, race(300)),
            ("client with all the time", 0, Some(60_000), 0, race(950)),
        ] {
            assert_eq!(at(ms_into_slot, client, sent_ago), want, "{case}");
        }
        assert_eq!(at(0, Some(4), 0), Budget::Race { collect: ms(3), answer: ms(4) });
    }

    proptest! {
        #[test]
        fn the_budget_never_exceeds_any_limit(
            timeout in 1u64..10_000, client in proptest::option::of(0u64..u64::MAX / 2), sent in any::<i64>(),
            into in any::<i64>(), late in 0u64..20_000, reserve in 0u64..1000,
        ) {
            let inputs = BudgetInputs {
                timeout: ms(timeout), client_timeout: client.map(ms), sent_ms_ago: sent, ms_into_slot: into,
                late_in_slot_ms: late, reserve: ms(reserve),
            };
            if let Budget::Race { collect, answer } = budget(&inputs) {
                prop_assert!(collect <= answer && answer <= ms(timeout));
                prop_assert!(client.is_none_or(|client| answer <= ms(client)));
                prop_assert!(i128::try_from(answer.as_millis()).unwrap() <= i128::from(late) - i128::from(into));
            }
        }

        #[test]
        fn a_later_request_never_has_more_time(into in -20_000i64..20_000, later in 0i64..20_000) {
            let answer = |budget| match budget {
                Budget::TooLate => Duration::ZERO,
                Budget::Race { answer, .. } => answer,
            };
            prop_assert!(answer(at(into + later, None, 0)) <= answer(at(into, None, 0)));
        }
    }
}
