//! How long a header race may last. All arithmetic is signed or saturating: no clock skew, in either direction, can make the
//! budget longer than configured.

use std::time::Duration;

use tokio::time::Instant;

/// When a race ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RaceTimes {
    /// Relays are waited for until then.
    pub(super) collect_by: Instant,
    /// The best bid in hand is taken then, whatever is still under way.
    pub(super) decide_by: Instant,
    /// The answer is to be out by then.
    pub(super) answer_by: Instant,
}

/// How long before a race's end it is looked at once more how much must be kept of its time, and how often from then on: what was measured
/// when it began may be long past. Arbitrary: most races are over by then.
const LAST_LOOKS: Duration = Duration::from_millis(100);
const LOOK_STEP: Duration = Duration::from_millis(25);

/// Relays' time that is a part of this less is still all their time. Arbitrary: a tenth.
const SLIGHTLY_LESS: u32 = 10;

impl RaceTimes {
    /// When to look at the reserve again, if not now or before.
    pub(super) fn next_look(&self, now: Instant) -> Instant {
        let first = self.collect_by.checked_sub(LAST_LOOKS).unwrap_or(now);
        if now < first { first } else { now + LOOK_STEP }
    }

    /// The times when so much is needed now: never later than they were. What is in hand by now is still given the time of a check.
    #[must_use]
    pub(super) fn with_reserve(self, needed: Reserve, now: Instant) -> Self {
        let Self { collect_by, decide_by, answer_by } = self;
        let before = |time: Duration| answer_by.checked_sub(time).unwrap_or(now);
        let collect_by = collect_by.min(before(needed.verify + needed.send));
        let checked_by = collect_by.max(now) + needed.verify;
        Self { collect_by, decide_by: decide_by.min(before(needed.send).max(checked_by)), answer_by }
    }

    /// Until when relays have time, less some, where no more than what is configured is kept of it, and the race did not wait for its turn:
    /// whoever is cut off before was not given the time to answer.
    pub(super) fn full_collect_by(&self, started: Instant, waited: Duration, reserve: Duration) -> Instant {
        let budget = self.answer_by.saturating_duration_since(started) + waited;
        let collect = budget.saturating_sub(reserve.min(budget / 4));
        started + collect.saturating_sub(collect / SLIGHTLY_LESS)
    }
}

/// What is kept of a budget for what comes after the relays' answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reserve {
    /// For checking signatures.
    pub verify: Duration,
    /// For the answer to be woken for, encoded and written.
    pub send: Duration,
}

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
    /// Kept for verifying and encoding, by the configuration.
    pub reserve: Duration,
    /// Needed for it at the moment, as measured: counts where it is more.
    pub needed: Reserve,
}

/// How long a race may last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// Too late in the slot: its block would not be published in time. No relay is asked.
    TooLate,
    /// Ask.
    Race {
        /// Relays are waited for this long.
        collect: Duration,
        /// The best bid in hand is taken then.
        decide: Duration,
        /// The answer is out within this.
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
    // A tiny budget is shared: three quarters to collect; half of it, where the machine is so busy that this much is needed.
    let Reserve { verify, send } = inputs.needed;
    let reserve = inputs.reserve.min(answer / 4).max((verify + send).min(answer / 2));
    let decide = answer.saturating_sub(send.min(reserve / 2));
    Budget::Race { collect: answer.saturating_sub(reserve), decide, answer }
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
            needed: Reserve { verify: ms(2), send: ms(3) },
        })
    }

    #[test]
    fn the_smallest_of_three_limits_holds() {
        let race =
            |answer| Budget::Race { collect: ms(answer - 10), decide: ms(answer - 3), answer: ms(answer) };
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
        let tiny = Budget::Race { collect: ms(2), decide: ms(3), answer: ms(4) };
        assert_eq!(at(0, Some(4), 0), tiny);
    }

    #[test]
    fn a_race_ends_earlier_when_more_is_needed_at_its_end_and_never_later() {
        let now = Instant::now();
        let at = |time: u64| now + ms(time);
        let times = RaceTimes { collect_by: at(940), decide_by: at(947), answer_by: at(950) };
        for (name, verify, send, collect, decide) in [
            ("as before", 2, 3, 940, 947),
            ("less than before", 0, 0, 940, 947),
            ("more", 22, 23, 905, 927),
            ("more than there is left", 500, 400, 50, 600),
            ("more than there ever was", 500, 1000, 0, 600),
        ] {
            let got = times.with_reserve(Reserve { verify: ms(verify), send: ms(send) }, at(100));
            let got_collect = got.collect_by.max(now);
            assert_eq!((got_collect, got.decide_by), (at(collect), at(decide)), "{name}");
            assert_eq!(got.answer_by, times.answer_by);
        }
        assert_eq!(times.full_collect_by(now, ms(0), ms(10)), at(846));
        assert_eq!(
            times.full_collect_by(at(400), ms(400), ms(10)),
            at(1246),
            "relays did not have the time that it waited"
        );
        assert_eq!(times.next_look(now), at(840));
        assert_eq!(times.next_look(at(840)), at(865));
        assert_eq!(times.next_look(at(930)), at(955));
    }

    #[test]
    fn a_busy_machine_keeps_more_for_the_answer() {
        for (name, timeout, reserve, needed, want) in [
            ("idle", 950, 10, (2, 3), (940, 947)),
            ("nothing configured", 950, 0, (2, 3), (945, 947)),
            ("slow to wake", 950, 10, (42, 43), (865, 907)),
            ("more configured than needed", 950, 100, (42, 43), (850, 907)),
            ("more needed than half of the time", 100, 10, (200, 300), (50, 75)),
        ] {
            let (verify, send) = needed;
            let got = budget(&BudgetInputs {
                timeout: ms(timeout),
                client_timeout: None,
                sent_ms_ago: 0,
                ms_into_slot: 0,
                late_in_slot_ms: 2000,
                reserve: ms(reserve),
                needed: Reserve { verify: ms(verify), send: ms(send) },
            });
            let (collect, decide) = want;
            let want = Budget::Race { collect: ms(collect), decide: ms(decide), answer: ms(timeout) };
            // Half of an odd reserve is no whole millisecond.
            let whole = |budget| match budget {
                Budget::Race { collect, decide, answer } => {
                    [collect, decide, answer].map(|time| time.as_millis())
                }
                Budget::TooLate => panic!("{name}"),
            };
            assert_eq!(whole(got), whole(want), "{name}");
        }
    }

    proptest! {
        #[test]
        fn the_budget_never_exceeds_any_limit(
            timeout in 1u64..10_000, client in proptest::option::of(0u64..u64::MAX / 2), sent in any::<i64>(),
            into in any::<i64>(), late in 0u64..20_000, reserve in 0u64..1000, verify in 0u64..1000, send in 0u64..1000,
        ) {
            let inputs = BudgetInputs {
                timeout: ms(timeout), client_timeout: client.map(ms), sent_ms_ago: sent, ms_into_slot: into,
                late_in_slot_ms: late, reserve: ms(reserve), needed: Reserve { verify: ms(verify), send: ms(send) },
            };
            if let Budget::Race { collect, decide, answer } = budget(&inputs) {
                prop_assert!(collect <= decide && decide <= answer && answer <= ms(timeout));
                prop_assert!(collect + ms(1) >= answer / 2);
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
