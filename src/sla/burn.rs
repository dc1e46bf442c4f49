//! When an error budget burns so fast that somebody must know: by the rate over a long window, which says that it matters, and over a short
//! one, which says that it goes on. Source: Google's SRE workbook, "Alerting on SLOs", multiwindow multi-burn-rate.
//!
//! A rate alone would page for one failure at night: a single bad minute is more than 14.4 times what an hour may have. So there must be some
//! minutes, or some answers of many, before anybody is told. With that, the rules hold from the first hour on.

use serde::Serialize;

use super::{
    Indicator,
    availability::{Objective, time_to_end},
    minutes::minute_of,
    tally::Tally,
    words::{count, percent, share, span},
};
use crate::{
    events::Severity,
    types::{UnixMillis, labelled},
};

/// Minutes that any rule looks back.
pub(super) const LOOKS_BACK: i64 = 3 * 24 * 60;

labelled! {
    /// How fast a budget burns.
    pub enum BurnRate {
        /// 14.4 times over an hour and five minutes: a fiftieth of the month's budget in an hour.
        Fast = "fast",
        /// 6 times over 6 hours and 30 minutes: a twentieth of it.
        Steady = "steady",
        /// As fast as it comes over 3 days and 6 hours: a tenth of it.
        Slow = "slow",
    }
}

/// What a rule asks for.
struct Rule {
    rate: BurnRate,
    /// Times the share that may fail.
    factor: f64,
    long: i64,
    short: i64,
    /// Minutes that must be down in the long window.
    minutes: u64,
    severity: Severity,
}

const RULES: [Rule; 3] = [
    Rule { rate: BurnRate::Fast, factor: 14.4, long: 60, short: 5, minutes: 3, severity: Severity::P1 },
    Rule { rate: BurnRate::Steady, factor: 6.0, long: 360, short: 30, minutes: 5, severity: Severity::P2 },
    Rule { rate: BurnRate::Slow, factor: 1.0, long: 4320, short: 360, minutes: 10, severity: Severity::P3 },
];

/// Answers there must be before their share says anything, and failed ones among them. Arbitrary: one or two unlucky ones page nobody.
const MIN_EVENTS: u64 = 200;
const MIN_FAILED: u64 = 10;

/// A budget that burns too fast.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BurnAlert {
    /// Whose.
    pub indicator: Indicator,
    /// How fast.
    pub rate: BurnRate,
    /// How grave that is.
    pub severity: Severity,
    /// How many times as fast as the target allows, over the long window.
    pub times: f64,
    /// What happened and how long the budget lasts, in a sentence or two.
    pub message: String,
}

/// The sums of one part over the last so many minutes.
pub trait Lately {
    /// Sums of the `minutes` before `until`, a minute since 1970-01-01 UTC.
    fn tally(&self, until: i64, minutes: i64) -> Tally;
}

/// What must be told of a part: the gravest rule that holds, or nothing. `left_secs` is what is left of the window's error budget.
pub(super) fn judge(
    indicator: &Indicator,
    lately: &impl Lately,
    (objective, left_secs): (Objective, u64),
    now: UnixMillis,
) -> Option<BurnAlert> {
    let until = minute_of(now);
    RULES.iter().find_map(|rule| {
        let (long, short) = (lately.tally(until, rule.long), lately.tally(until, rule.short));
        let late = indicator.late_is_down();
        let limit = objective.allowed_share() * rule.factor;
        let minutes = |tally: &Tally| share(tally.down(late), tally.known());
        let events = |tally: &Tally| share(tally.failed_events(late), tally.events());
        let burns = |of: &dyn Fn(&Tally) -> Option<f64>| {
            of(&long).filter(|share| *share >= limit && of(&short).is_some_and(|short| short >= limit))
        };
        let by_minutes = burns(&minutes).filter(|_| long.down(late) >= rule.minutes);
        let is_many = long.events() >= MIN_EVENTS && long.failed_events(late) >= MIN_FAILED;
        let by_events = burns(&events).filter(|_| is_many);
        let share = by_minutes.or(by_events)?;
        let over = span(rule.long.unsigned_abs().saturating_mul(60));
        let what = match by_minutes {
            Some(share) => format!(
                "{} down of the {} known in the last {over} ({})",
                count(long.down(late), "minute", "minutes"),
                long.known(),
                percent(share)
            ),
            None => format!(
                "{} failed of {} in the last {over} ({})",
                long.failed_events(late),
                count(long.events(), "answer", "answers"),
                percent(share)
            ),
        };
        let times = share / objective.allowed_share();
        let end = match (left_secs, time_to_end(left_secs, share)) {
            (0, _) => "The budget of the last 30 days is spent.".to_owned(),
            (_, Some(secs)) => {
                format!("At this rate what is left of the month's budget is gone in {}.", span(secs))
            }
            (_, None) => "At this rate the month's budget is used up within the month.".to_owned(),
        };
        let message = format!(
            "The error budget of {} burns {times:.0} times as fast as {} allow: {what}. {end}",
            indicator.in_words(),
            percent(objective.target())
        );
        // The names of severities are in the order of their gravity.
        let severity = rule.severity.max(indicator.gravest());
        Some(BurnAlert { indicator: indicator.clone(), rate: rule.rate, severity, times, message })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ledger::{MinuteRow, MinuteState},
        sla::tally::tests::row,
        types::RelayId,
    };

    struct Rows(Vec<MinuteRow>);

    impl Lately for Rows {
        fn tally(&self, until: i64, minutes: i64) -> Tally {
            Tally::of_all(self.0.iter().filter(|row| (until - minutes..until).contains(&row.minute)))
        }
    }

    /// From minute `from` on, good but for the bad ones.
    fn rows(from: i64, until: i64, is_bad: impl Fn(i64) -> bool) -> Rows {
        let state = |minute| if is_bad(minute) { MinuteState::Bad } else { MinuteState::Good };
        Rows((from..until).map(|minute| row(minute, state(minute))).collect())
    }

    fn at(rows: &Rows, minute: i64) -> Option<BurnRate> {
        let objective = (Objective::THREE_NINES, 2592);
        judge(&Indicator::Relays, rows, objective, minute * 60_000).map(|alert| alert.rate)
    }

    #[test]
    fn an_outage_is_told_after_its_third_minute_and_over_soon_after_its_end() {
        // A day, and an outage of 20 minutes at its end.
        let rows = rows(0, 3000, |minute| (1440..1460).contains(&minute));
        for minute in 1000..1443 {
            assert_eq!(at(&rows, minute), None, "{minute}");
        }
        for minute in 1443..1465 {
            assert_eq!(at(&rows, minute), Some(BurnRate::Fast), "{minute}");
        }
        // The last five minutes are good: it does not burn any more as fast; in half an hour, it does not burn.
        assert_eq!(at(&rows, 1465), Some(BurnRate::Steady));
        assert_eq!(at(&rows, 1489), Some(BurnRate::Steady));
        assert_eq!(at(&rows, 1490), Some(BurnRate::Slow));
        assert_eq!(at(&rows, 1820), None);
    }

    #[test]
    fn one_failure_at_night_pages_nobody_also_in_the_first_hour() {
        for first in [1439, 1400, 0] {
            let rows = rows(first, 1500, |minute| minute == 1440);
            for minute in first..1500 {
                assert_eq!(at(&rows, minute), None, "{minute} of {first}");
            }
        }
    }

    #[test]
    fn it_holds_from_the_first_minutes_on() {
        let rows = rows(100, 110, |_| true);
        assert_eq!((at(&rows, 102), at(&rows, 103)), (None, Some(BurnRate::Fast)));
    }

    #[test]
    fn slow_burning_is_told_as_that() {
        // Ten of six hours, one every 36 minutes: 28 times what may be, but never three in an hour.
        let slow = rows(0, 5000, |minute| minute % 36 == 0 && minute > 4000);
        let found: Vec<_> = (4000..5000).filter_map(|minute| at(&slow, minute)).collect();
        assert!(found.iter().all(|rate| *rate != BurnRate::Fast));
        assert!(found.contains(&BurnRate::Steady) && found.contains(&BurnRate::Slow));
    }

    #[test]
    fn many_answers_count_where_no_minute_is_bad() {
        let failing = |good, bad| {
            let mut rows = rows(0, 60, |_| false);
            rows.0.iter_mut().for_each(|row| (row.good, row.bad, row.slow) = (good, bad, 0));
            rows
        };
        // 4 % of all answers: no minute is bad by it.
        let found =
            judge(&Indicator::BuilderApi, &failing(96, 4), (Objective::THREE_NINES, 2592), 60 * 60_000)
                .unwrap();
        assert_eq!((found.rate, found.severity), (BurnRate::Fast, Severity::P1));
        assert_eq!(
            found.message,
            "The error budget of the builder API burns 40 times as fast as 99.9 % allow: 240 failed of 6000 answers in the last 1 h \
             (4 %). At this rate what is left of the month's budget is gone in 18 h."
        );
        // A few of few: a third of 180.
        assert_eq!(at(&failing(2, 1), 60), None);
    }

    #[test]
    fn a_relay_that_is_away_wakes_nobody() {
        let rows = rows(0, 100, |_| true);
        let relay = Indicator::Relay(RelayId::parse("r0").unwrap());
        let found = judge(&relay, &rows, (Objective::THREE_NINES, 0), 100 * 60_000).unwrap();
        assert_eq!((found.rate, found.severity), (BurnRate::Fast, Severity::P3));
        assert!(found.message.ends_with("The budget of the last 30 days is spent."), "{}", found.message);
        assert_eq!(judge(&relay, &Rows(vec![]), (Objective::THREE_NINES, 0), 0), None);
    }
}
