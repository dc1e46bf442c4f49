//! What a window's sums say of a part: availability, coverage, and what is left of the error budget.

use serde::Serialize;

use super::{
    Indicator,
    tally::Tally,
    window::Window,
    words::{float, percent, share, span},
};

/// How much may fail, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Objective {
    allowed_ppm: u64,
}

impl Objective {
    /// 99.9 %: 43 minutes and 12 seconds of 30 days.
    pub const THREE_NINES: Self = Self { allowed_ppm: 1000 };

    /// So many percent must be good, to a thousandth: `None` below 50, and above 99.999, where no budget would be left.
    pub fn of_percent(percent: f64) -> Option<Self> {
        if !(50.0..=99.999).contains(&percent) {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "10 to 500,000, by the bounds above"
        )]
        let allowed_ppm = ((100.0 - percent) * 1000.0).round() as u64 * 10;
        Some(Self { allowed_ppm })
    }

    /// The share that must be good.
    pub fn target(self) -> f64 {
        1.0 - self.allowed_share()
    }

    /// The share that may fail.
    pub fn allowed_share(self) -> f64 {
        float(self.allowed_ppm) / 1_000_000.0
    }

    /// What may fail of so many seconds.
    pub const fn budget_secs(self, secs: u64) -> u64 {
        secs.saturating_mul(self.allowed_ppm) / 1_000_000
    }

    /// Whether so much failing of all is within it. Counted exactly: no rounding decides.
    pub fn holds(self, failed: u64, all: u64) -> bool {
        u128::from(failed) * 1_000_000 <= u128::from(all) * u128::from(self.allowed_ppm)
    }
}

/// Announced minutes of a window that do not count as down, at most: 4 hours of 30 days. Arbitrary: a disk changed, a node upgraded twice.
const MAINTENANCE_OF_30_DAYS: u64 = 240;

/// Minutes by what they were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MinuteCounts {
    /// As it should.
    pub good: u64,
    /// There, and too late.
    pub slow: u64,
    /// Away or failing.
    pub bad: u64,
    /// Watched by nobody between two bad ones: counted as bad.
    pub bad_unwatched: u64,
    /// Not good in an announced time, up to the cap.
    pub maintenance: u64,
    /// The same beyond the cap: counted as bad.
    pub maintenance_beyond_cap: u64,
    /// Nobody can say: in no ratio, and in the coverage.
    pub unknown: u64,
}

/// An error budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Budget {
    /// What may be down in the whole window, in seconds.
    pub allowed_secs: u64,
    /// What was.
    pub used_secs: u64,
    /// What is left; 0 where it is spent.
    pub left_secs: u64,
    /// Whether more is used than allowed.
    pub is_spent: bool,
    /// The same in words, with the time to its end at the present rate.
    pub in_words: String,
}

/// How a part did in a window.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Availability {
    /// The part.
    pub indicator: Indicator,
    /// What must be available, as a share.
    pub target: f64,
    /// The share of known minutes that were not down; none where none is known.
    pub availability: Option<f64>,
    /// The share of answers or looks that did not fail; none without any.
    pub good_events_share: Option<f64>,
    /// Answers or looks that were counted.
    pub events: u64,
    /// Those that failed.
    pub failed_events: u64,
    /// Whether minutes that were too late count as down.
    pub late_is_down: bool,
    /// The window's minutes.
    pub minutes: MinuteCounts,
    /// The share of the window's minutes of which something is known.
    pub coverage: f64,
    /// Whether the target is held by what is known; none where nothing is.
    pub is_met: Option<bool>,
    /// What is left of the error budget.
    pub budget: Budget,
    /// Half of the answers took as long or less, in milliseconds; none where none was timed. Off by 41 % at most.
    pub latency_p50_ms: Option<f64>,
    /// 95 of 100.
    pub latency_p95_ms: Option<f64>,
    /// 99 of 100.
    pub latency_p99_ms: Option<f64>,
}

impl Availability {
    /// Judges the sums of a window; `lately` are those of its last hours, by which the present rate goes.
    pub fn judge(
        indicator: Indicator,
        (tally, lately): (&Tally, &Tally),
        window: Window,
        objective: Objective,
    ) -> Self {
        let late_is_down = indicator.late_is_down();
        let cap = MAINTENANCE_OF_30_DAYS.saturating_mul(window.whole) / 43_200;
        let beyond = tally.maintenance.saturating_sub(cap);
        let down = tally.down(late_is_down).saturating_add(beyond);
        let known = tally.known().saturating_add(beyond);
        let seen = tally.known().saturating_add(tally.maintenance);
        let minutes = MinuteCounts {
            good: tally.good,
            slow: tally.slow,
            bad: tally.bad,
            bad_unwatched: tally.gap,
            maintenance: tally.maintenance.saturating_sub(beyond),
            maintenance_beyond_cap: beyond,
            unknown: window.minutes().saturating_sub(seen),
        };
        let ms = |per_mille| tally.latency.quantile_us(per_mille).map(|us| float(us) / 1000.0);
        Self {
            target: objective.target(),
            availability: share(known.saturating_sub(down), known),
            good_events_share: tally.good_share_of_events(late_is_down),
            events: tally.events(),
            failed_events: tally.failed_events(late_is_down),
            late_is_down,
            minutes,
            coverage: share(seen, window.minutes()).unwrap_or(0.0).min(1.0),
            is_met: (known > 0).then(|| objective.holds(down, known)),
            budget: budget(down, window, objective, burning(lately, late_is_down)),
            latency_p50_ms: ms(500),
            latency_p95_ms: ms(950),
            latency_p99_ms: ms(990),
            indicator,
        }
    }

    /// Its figures in a line, each with what it is of.
    pub fn in_words(&self) -> String {
        let Some(availability) = self.availability else {
            return "nothing is known of it in this window".to_owned();
        };
        let known = [
            self.minutes.good,
            self.minutes.slow,
            self.minutes.bad,
            self.minutes.bad_unwatched,
            self.minutes.maintenance_beyond_cap,
        ];
        let known = known.into_iter().fold(0, u64::saturating_add);
        format!(
            "{} of {known} known minutes; {} of the window was watched",
            percent(availability),
            percent(self.coverage)
        )
    }
}

/// The share of the last known minutes that were down.
fn burning(lately: &Tally, late_is_down: bool) -> f64 {
    share(lately.down(late_is_down), lately.known()).unwrap_or(0.0)
}

fn budget(down: u64, window: Window, objective: Objective, burning: f64) -> Budget {
    let allowed_secs = objective.budget_secs(window.whole.saturating_mul(60));
    let used_secs = down.saturating_mul(60);
    let left_secs = allowed_secs.saturating_sub(used_secs);
    let in_words = if used_secs > allowed_secs {
        format!("spent: {} were down, and {} may be", span(used_secs), span(allowed_secs))
    } else if used_secs == 0 {
        format!("nothing used of {}", span(allowed_secs))
    } else {
        let end = time_to_end(left_secs, burning).map_or_else(String::new, |secs| {
            format!("; at the present rate the rest is gone in {}", span(secs))
        });
        format!("{} used of {}, {} left{end}", span(used_secs), span(allowed_secs), span(left_secs))
    };
    Budget { allowed_secs, used_secs, left_secs, is_spent: used_secs > allowed_secs, in_words }
}

/// When seconds of budget are gone with such a share of time being down; none where it does not burn.
pub(super) fn time_to_end(left_secs: u64, burning: f64) -> Option<u64> {
    let secs = float(left_secs) / burning;
    // Farther than a window is long, nothing is meant by it.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a finite number of seconds below a month"
    )]
    (burning > 0.0 && secs < 2_592_000.0).then_some(secs as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ledger::MinuteState,
        sla::{tally::tests::row, window::Period},
    };

    const NOW: i64 = 1_795_824_000_000;

    /// 30 days in which so many minutes were bad, and so many others unknown.
    fn month(bad: i64, unknown: i64) -> Availability {
        let window = Period::THIRTY_DAYS.window(NOW);
        let rows: Vec<_> = (window.from..window.until)
            .filter(|minute| !(window.from + 100..window.from + 100 + unknown).contains(minute))
            .map(|minute| {
                // Not side by side, so that none is between two others.
                let is_bad = (minute - window.from) % 900 == 7 && (minute - window.from) / 900 < bad;
                row(minute, if is_bad { MinuteState::Bad } else { MinuteState::Good })
            })
            .collect();
        let tally = Tally::of_all(&rows);
        Availability::judge(Indicator::Relays, (&tally, &Tally::default()), window, Objective::THREE_NINES)
    }

    #[test]
    fn forty_three_minutes_of_thirty_days_are_met_and_forty_four_are_not() {
        let met = month(43, 0);
        assert_eq!((met.is_met, met.minutes.bad, met.minutes.unknown), (Some(true), 43, 0));
        assert_eq!((met.budget.allowed_secs, met.budget.used_secs, met.budget.left_secs), (2592, 2580, 12));
        assert_eq!(met.budget.in_words, "43 m used of 43 m 12 s, 12 s left");
        assert!((met.coverage - 1.0).abs() < 1e-12);
        let missed = month(44, 0);
        assert_eq!((missed.is_met, missed.budget.is_spent), (Some(false), true));
        assert_eq!(missed.budget.in_words, "spent: 44 m were down, and 43 m 12 s may be");
    }

    #[test]
    fn what_nobody_watched_is_in_no_ratio_and_in_the_coverage() {
        let half = month(0, 21_600);
        assert_eq!((half.availability, half.is_met), (Some(1.0), Some(true)));
        assert_eq!(half.minutes.unknown, 21_600);
        assert!((half.coverage - 0.5).abs() < 1e-12);
        assert_eq!(half.in_words(), "100 % of 21600 known minutes; 50 % of the window was watched");
        let none = month(0, 43_100);
        assert_eq!(none.minutes.good, 100);
        let window = Period::THIRTY_DAYS.window(NOW);
        let nothing = (&Tally::default(), &Tally::default());
        let nothing = Availability::judge(Indicator::BuilderApi, nothing, window, Objective::THREE_NINES);
        assert_eq!((nothing.availability, nothing.is_met), (None, None));
        assert_eq!(nothing.in_words(), "nothing is known of it in this window");
    }

    #[test]
    fn announced_time_is_free_up_to_four_hours() {
        let window = Period::THIRTY_DAYS.window(NOW);
        for (announced, beyond, is_met) in [(240, 0, true), (282, 42, true), (283, 43, false)] {
            let rows = (0..43_200).map(|n| {
                row(window.from + n, if n < announced { MinuteState::Maintenance } else { MinuteState::Good })
            });
            let tally = Tally::of_all(&rows.collect::<Vec<_>>());
            let sums = (&tally, &Tally::default());
            let found = Availability::judge(Indicator::Relays, sums, window, Objective::THREE_NINES);
            let counts = (found.minutes.maintenance, found.minutes.maintenance_beyond_cap);
            assert_eq!((counts, found.is_met), ((240, beyond), Some(is_met)));
            assert!((found.coverage - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn the_end_of_a_budget_is_said_in_words() {
        let lately = Tally::of_all(&[row(1, MinuteState::Bad), row(2, MinuteState::Good)]);
        let window = Period::THIRTY_DAYS.window(NOW);
        let sums = (&lately, &lately);
        let found = Availability::judge(Indicator::Relays, sums, window, Objective::THREE_NINES);
        assert_eq!(
            found.budget.in_words,
            "1 m used of 43 m 12 s, 42 m 12 s left; at the present rate the rest is gone in 1 h 24 m"
        );
    }
}
