//! Reads what was written down and puts it before the pure judges. Changes nothing, and works beside a running service.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Availability, BurnAlert, GasView, Indicator, Lately, MevFacts, Objective, Readiness, ReadinessFacts,
    ReadinessInputs, SlaReport, Tally, burn,
    keeper::MINUTES_KEPT,
    minutes::minute_of,
    readiness,
    report::{ReportInputs, make},
    window::{Period, Window},
};
use crate::{
    ledger::{HourRow, Ledger, LedgerError},
    types::UnixMillis,
};

/// The present rate of a budget goes by so many minutes.
const LATELY: i64 = 360;
/// What is read at once of a long window, in minutes: two days, some ten thousand rows where no hour is summed up.
const PART: i64 = 2 * 1440;
/// Hours of gas prices in a report at most: 30 days, whatever the window.
const GAS_HOURS: i64 = 720;

/// Sums of a part by their first minute, oldest first: of single minutes, and of hours where those are enough.
#[derive(Clone, Debug, Default)]
struct Pieces(Vec<(i64, Tally)>);

impl Lately for Pieces {
    /// Of a span longer than the single minutes reach, the first hour counts where it began in the span.
    fn tally(&self, until: i64, minutes: i64) -> Tally {
        let from = until.saturating_sub(minutes);
        let first = self.0.partition_point(|(at, _)| *at < from);
        let mut sum = Tally::default();
        self.0.iter().skip(first).filter(|(at, _)| *at < until).for_each(|(_, tally)| sum.add(tally));
        sum
    }
}

/// Answers questions about availability.
#[derive(Clone, Debug)]
pub struct SlaReader {
    /// Where minutes are read.
    pub ledger: Ledger,
    /// What must be held.
    pub objective: Objective,
}

impl SlaReader {
    /// A reader that holds all against 99.9 %.
    pub const fn new(ledger: Ledger) -> Self {
        Self { ledger, objective: Objective::THREE_NINES }
    }

    /// The SLA report of a period. `mev`: own proposals in it, where somebody knows them.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn report(
        &self,
        period: Period,
        mev: Option<MevFacts>,
        now: UnixMillis,
    ) -> Result<SlaReport, LedgerError> {
        let window = period.window(now);
        let indicators = self.availability(window).await?;
        let hour = now.div_euclid(3_600_000).saturating_add(1);
        let inputs = ReportInputs {
            window,
            indicators,
            host: self.ledger.host_sums(window.from, window.until).await?,
            mev,
            burning: self.burning(now).await?,
            maintenance: self
                .ledger
                .maintenance(window.from.saturating_mul(60_000), window.until.saturating_mul(60_000))
                .await?,
            gas: GasView::new(
                self.ledger.newest_gas(window.until.saturating_add(1)).await?,
                self.ledger.gas_sums(window.from, window.until).await?,
                self.ledger
                    .gas_hours(window.from.div_euclid(60).max(hour.saturating_sub(GAS_HOURS)), hour)
                    .await?,
                now,
            ),
        };
        Ok(make(inputs, now))
    }

    /// How each part did in a window.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn availability(&self, window: Window) -> Result<Vec<Availability>, LedgerError> {
        // Single minutes of the last hours, for the present rate.
        let mut found = self.pieces(window.from, window.until.saturating_sub(LATELY), window.until).await?;
        // These two are in every answer, so that nobody looks for them in vain.
        for indicator in [Indicator::BuilderApi, Indicator::Relays] {
            found.entry(indicator).or_default();
        }
        let judged = found.into_iter().map(|(indicator, pieces)| {
            let whole = pieces.tally(window.until, window.until.saturating_sub(window.from));
            let lately = pieces.tally(window.until, LATELY);
            Availability::judge(indicator, (&whole, &lately), window, self.objective)
        });
        Ok(judged.collect())
    }

    /// Budgets that burn too fast now, gravest first.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn burning(&self, now: UnixMillis) -> Result<Vec<BurnAlert>, LedgerError> {
        let until = minute_of(now);
        // Every rule wants something down in its short window: without, there is nothing to read.
        let recent = self.pieces(until.saturating_sub(LATELY), until.saturating_sub(LATELY), until).await?;
        let is_quiet = recent.iter().all(|(indicator, pieces)| {
            let tally = pieces.tally(until, LATELY);
            let late = indicator.late_is_down();
            tally.down(late) == 0 && tally.failed_events(late) == 0
        });
        if is_quiet {
            return Ok(Vec::new());
        }
        let left = self.availability(Period::THIRTY_DAYS.window(now)).await?;
        let left: BTreeMap<Indicator, u64> =
            left.into_iter().map(|found| (found.indicator, found.budget.left_secs)).collect();
        let looked =
            self.pieces(until.saturating_sub(burn::LOOKS_BACK), until.saturating_sub(LATELY), until).await?;
        let mut alerts: Vec<BurnAlert> = looked
            .iter()
            .filter_map(|(indicator, pieces)| {
                let left = left.get(indicator).copied().unwrap_or(0);
                burn::judge(indicator, pieces, (self.objective, left), now)
            })
            .collect();
        alerts.sort_by_key(|alert| alert.severity);
        Ok(alerts)
    }

    /// Judges every criterion of the operator's phases. `facts` are what other rooms know.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn readiness(&self, facts: ReadinessFacts, now: UnixMillis) -> Result<Readiness, LedgerError> {
        let until = minute_of(now);
        let week = Period::Days(7).window(now);
        let hour = Window { from: until.saturating_sub(60), ..Period::Days(1).window(now) };
        let best = |found: &[Availability]| found.iter().map(|part| part.coverage).fold(0.0, f64::max);
        let last_hour = self.availability(hour).await?;
        let month = self.availability(Period::THIRTY_DAYS.window(now)).await?;
        let inputs = ReadinessInputs {
            newest_minute: self.ledger.sla_span().await?.map(|(_, last)| last.min(until)),
            hour_coverage: best(&last_hour),
            week_coverage: best(&self.availability(week).await?),
            endpoints: last_hour
                .into_iter()
                .filter(|part| matches!(part.indicator, Indicator::Node(_)))
                .collect(),
            uptime: month.into_iter().find(|part| part.indicator == Indicator::BuilderApi),
            host: self.ledger.newest_host(until).await?,
            criticals: self.ledger.criticals_since(week.from.saturating_mul(60_000)).await?,
            evidence: self.ledger.newest_evidence().await?,
            facts,
        };
        Ok(readiness::judge(&inputs, now))
    }

    /// Sums of each part from `from` on and before `until`: of hours where they are written down and begin before `single_from`, of minutes
    /// everywhere else. What is older than anybody looks at singly is one sum for every few days: two years are read in as little memory as a
    /// week, and between the parts others have their turn.
    async fn pieces(
        &self,
        from: i64,
        single_from: i64,
        until: i64,
    ) -> Result<BTreeMap<Indicator, Pieces>, LedgerError> {
        // Of minutes that are not kept any more, only whole hours can be had: from the first that begins in the span.
        let is_old = from < until.saturating_sub(MINUTES_KEPT);
        let from = if is_old { from.saturating_add(59).div_euclid(60).saturating_mul(60) } else { from };
        let singly = until.saturating_sub(burn::LOOKS_BACK).div_euclid(60).saturating_mul(60);
        let (mut at, mut found) = (from, BTreeMap::<Indicator, Pieces>::new());
        while at < singly {
            // Whole hours, but for the first part.
            let end = at.div_euclid(60).saturating_mul(60).saturating_add(PART).min(singly);
            for (indicator, pieces) in self.part(at, single_from, end).await? {
                let sum = pieces.tally(end, end.saturating_sub(at));
                found.entry(indicator).or_default().0.push((at, sum));
            }
            at = end;
        }
        for (indicator, pieces) in self.part(at, single_from, until).await? {
            found.entry(indicator).or_default().0.extend(pieces.0);
        }
        Ok(found)
    }

    /// The same of a few days, each hour or minute by itself.
    async fn part(
        &self,
        from: i64,
        single_from: i64,
        until: i64,
    ) -> Result<BTreeMap<Indicator, Pieces>, LedgerError> {
        let first = from.saturating_add(59).div_euclid(60);
        let last = single_from.min(until).div_euclid(60).max(first);
        let hours = self.ledger.sla_hours(first, last).await?;
        // Thousands of texts: not on a thread that serves.
        let parsing = tokio::task::spawn_blocking(move || parse_hours(&hours));
        let mut all = parsing.await.unwrap_or_default();
        let summed: BTreeSet<i64> = all.iter().map(|(at, _, _)| at.div_euclid(60)).collect();
        for (start, end) in missing(from, until, &summed) {
            for row in self.ledger.sla_minutes(start, end).await? {
                let tally = Tally::of(&row);
                all.push((row.minute, row.indicator, tally));
            }
        }
        all.sort_by_key(|(at, _, _)| *at);
        let mut found: BTreeMap<Indicator, Pieces> = BTreeMap::new();
        for (at, name, tally) in all {
            if let Some(indicator) = Indicator::parse(&name) {
                found.entry(indicator).or_default().0.push((at, tally));
            }
        }
        Ok(found)
    }
}

/// Hours by their first minute. Those of another version are left out: their minutes say the same.
fn parse_hours(hours: &[HourRow]) -> Vec<(i64, String, Tally)> {
    let read = hours.iter().filter_map(|row| {
        let tally = serde_json::from_str(&row.tally).ok()?;
        Some((row.hour.saturating_mul(60), row.indicator.clone(), tally))
    });
    read.collect()
}

/// The spans of minutes from `from` on and before `until` that are in none of the hours.
fn missing(from: i64, until: i64, hours: &BTreeSet<i64>) -> Vec<(i64, i64)> {
    let mut spans = Vec::new();
    let mut at = from;
    for hour in hours {
        let start = hour.saturating_mul(60);
        if start > at {
            spans.push((at, start));
        }
        at = at.max(start.saturating_add(60));
    }
    if until > at {
        spans.push((at, until));
    }
    spans
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        events::AnswerGrade,
        ledger::MinuteState,
        sla::{BurnRate, keeper::Keeper, minutes::Minutes, tally::tests::row},
    };

    proptest! {
        #[test]
        fn every_minute_is_in_an_hour_or_in_a_span_and_in_one_alone(
            from in 0_i64..200, length in 0_i64..600, hours in proptest::collection::btree_set(0_i64..14, 0..8),
        ) {
            let until = from + length;
            let whole = |hour: &i64| hour * 60 >= from && (hour + 1) * 60 <= until;
            let hours: BTreeSet<i64> = hours.into_iter().filter(whole).collect();
            let spans = missing(from, until, &hours);
            for minute in from..until {
                let in_spans = spans.iter().filter(|(start, end)| (*start..*end).contains(&minute)).count();
                prop_assert_eq!(in_spans + usize::from(hours.contains(&(minute / 60))), 1);
            }
        }
    }

    /// A service that runs by two clocks which the test sets.
    struct Machine {
        wall: i64,
        monotonic: u64,
        minutes: Minutes,
        keeper: Keeper,
    }

    impl Machine {
        fn start(ledger: &Ledger, wall: i64) -> Self {
            let minutes = Minutes::new(wall, Duration::ZERO);
            Self { wall, monotonic: 0, minutes, keeper: Keeper::new(ledger.clone()) }
        }

        /// So many minutes go by in looks of 20 seconds, each of which finds this.
        async fn run(&mut self, minutes: i64, grade: AnswerGrade) {
            for _ in 0..minutes * 3 {
                self.minutes.bucket(Indicator::BuilderApi).note(grade);
                self.wall += 20_000;
                self.monotonic += 20_000;
                let now = Duration::from_millis(self.monotonic);
                if let Some(closed) = self.minutes.pass(self.wall, now) {
                    self.keeper.keep(&closed, None, (self.wall, self.minutes.steady_for())).await;
                }
            }
        }
    }

    const DAY: i64 = 86_400_000;
    const START: i64 = 1_795_824_000_000;

    async fn uptime(ledger: &Ledger, now: i64) -> Availability {
        let found =
            SlaReader::new(ledger.clone()).availability(Period::THIRTY_DAYS.window(now)).await.unwrap();
        found.into_iter().find(|part| part.indicator == Indicator::BuilderApi).unwrap()
    }

    /// Thirty days. The hours of all but the last are summed up as a service sums them; the minutes of most of those are left out here, as
    /// nobody reads them.
    async fn month(ledger: &Ledger, state: impl Fn(i64) -> Option<MinuteState>) {
        let first = START / 60_000;
        let of = |minute: i64| {
            let row = row(minute, state(minute - first)?);
            Some(crate::ledger::MinuteRow { indicator: "builder_api".to_owned(), ..row })
        };
        for hour in first / 60..first / 60 + 720 {
            let rows: Vec<_> = (hour * 60..hour * 60 + 60).filter_map(of).collect();
            if (3..713).contains(&(hour - first / 60)) {
                let tally = serde_json::to_string(&Tally::of_all(&rows)).unwrap();
                let row = HourRow { hour, indicator: "builder_api".to_owned(), tally };
                ledger.save_sla_hour(&[row]).await.unwrap();
            } else {
                ledger.save_minutes(&rows, None).await.unwrap();
            }
        }
    }

    /// The span is read in parts of two days; nothing is lost or counted twice where they meet.
    #[tokio::test]
    async fn a_gap_between_two_bad_minutes_counts_wherever_a_long_window_is_cut() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        let edge = PART;
        month(&ledger, |n| match n - edge {
            -11 | 10 => Some(MinuteState::Bad),
            -10..10 => None,
            _ => Some(MinuteState::Good),
        })
        .await;
        let found = uptime(&ledger, START + 30 * DAY).await;
        assert_eq!((found.minutes.bad, found.minutes.bad_unwatched), (2, 20));
        assert_eq!(found.minutes.good, 43_200 - 22);
    }

    #[tokio::test]
    async fn thirty_days_with_43_minutes_down_are_met_and_with_44_are_not() {
        for (down, is_met) in [(43, true), (44, false)] {
            let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
            // Over an hour's end, so that the outage is in two sums.
            let is_down = |n| (1435..1435 + down).contains(&n);
            month(&ledger, |n| Some(if is_down(n) { MinuteState::Bad } else { MinuteState::Good })).await;
            let found = uptime(&ledger, START + 30 * DAY).await;
            assert_eq!(found.minutes.bad, down.unsigned_abs());
            assert_eq!((found.is_met, found.minutes.unknown), (Some(is_met), 0));
            assert_eq!(found.minutes.good + found.minutes.bad, 43_200);
        }
    }

    #[tokio::test]
    async fn an_absence_between_two_bad_minutes_is_bad_and_any_other_unknown() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        month(&ledger, |n| match n {
            // Away for two hours, over the ends of hours, bad before and after.
            1400 | 1521 => Some(MinuteState::Bad),
            1401..1521 => None,
            // Away for a day; good before and after.
            20_000..21_440 => None,
            _ => Some(MinuteState::Good),
        })
        .await;
        let found = uptime(&ledger, START + 30 * DAY).await;
        assert_eq!((found.minutes.bad, found.minutes.bad_unwatched, found.minutes.unknown), (2, 120, 1440));
        assert_eq!(found.is_met, Some(false));
    }

    #[tokio::test]
    async fn a_service_that_is_killed_and_started_again_counts_each_minute_once() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        let mut machine = Machine::start(&ledger, START);
        machine.run(10, AnswerGrade::Good).await;
        // In the middle of the eleventh minute: 20 seconds of it are lost with the process.
        machine.minutes.bucket(Indicator::BuilderApi).note(AnswerGrade::Good);
        drop(machine);
        ledger.shut().await;
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        let mut machine = Machine::start(&ledger, START + 625_000);
        machine.run(5, AnswerGrade::Good).await;
        let found = uptime(&ledger, START + 16 * 60_000).await;
        // 35 seconds of the eleventh were watched.
        assert_eq!((found.minutes.good, found.minutes.unknown), (15, 43_185));
        // Killed later in a minute: too little of it is left.
        let mut machine = Machine::start(&ledger, START + 955_000);
        machine.run(2, AnswerGrade::Good).await;
        let found = uptime(&ledger, START + 17 * 60_000).await;
        assert_eq!(found.minutes.good, 16);
        let rows = ledger.sla_minutes(0, i64::MAX).await.unwrap();
        assert_eq!(rows.len(), 17, "each minute once");
    }

    #[tokio::test]
    async fn a_clock_that_is_put_back_counts_no_minute_twice_and_one_put_forward_leaves_unknown_ones() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        let mut machine = Machine::start(&ledger, START);
        machine.run(120, AnswerGrade::Bad).await;
        machine.wall -= 3_600_000;
        machine.run(30, AnswerGrade::Good).await;
        let now = START + 2 * 3_600_000;
        let found = uptime(&ledger, now).await;
        assert_eq!((found.minutes.bad, found.minutes.good), (120, 0), "what was known stays");
        // Back to where it was, and ahead: an hour that nobody watched.
        machine.wall = now + 3_600_000;
        machine.run(30, AnswerGrade::Good).await;
        let found = uptime(&ledger, machine.wall).await;
        assert_eq!((found.minutes.bad, found.minutes.good, found.minutes.unknown), (120, 30, 43_200 - 150));
    }

    #[tokio::test]
    async fn a_burning_budget_is_found_in_the_ledger_at_the_third_minute() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        let reader = SlaReader::new(ledger.clone());
        let mut machine = Machine::start(&ledger, START);
        machine.run(200, AnswerGrade::Good).await;
        assert_eq!(reader.burning(machine.wall).await.unwrap(), []);
        machine.run(2, AnswerGrade::Bad).await;
        assert_eq!(reader.burning(machine.wall).await.unwrap(), []);
        machine.run(1, AnswerGrade::Bad).await;
        let found = reader.burning(machine.wall).await.unwrap();
        assert_eq!((found.len(), found[0].rate), (1, BurnRate::Fast));
        assert_eq!(
            found[0].message,
            "The error budget of the builder API burns 50 times as fast as 99.9 % allow: 3 minutes down of the 60 known in the last 1 h \
             (5 %). At this rate what is left of the month's budget is gone in 13 h 24 m."
        );
    }

    #[tokio::test]
    async fn an_empty_ledger_has_a_report_without_an_empty_cell() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        let reader = SlaReader::new(ledger);
        for period in [Period::THIRTY_DAYS, Period::Month, Period::Days(400)] {
            let report = reader.report(period, None, START).await.unwrap();
            assert!(report.targets.iter().all(|target| !target.detail.is_empty()));
            assert_eq!(report.indicators.len(), 2);
        }
    }

    #[tokio::test]
    async fn an_hours_sums_and_its_minutes_say_the_same() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        let first = START / 60_000;
        let state = |n: i64| MinuteState::ALL[usize::try_from(n % 5).unwrap()];
        let rows: Vec<_> = (0..1000).filter(|n| n % 7 != 3).map(|n| row(first + n, state(n))).collect();
        ledger.save_minutes(&rows, None).await.unwrap();
        let reader = SlaReader::new(ledger.clone());
        let window = Window { from: first + 17, until: first + 990, ..Period::THIRTY_DAYS.window(START) };
        let by_minutes = reader.availability(window).await.unwrap();
        for hour in ledger.unsummed_hours(0, first / 60 + 16).await.unwrap() {
            let rows = ledger.sla_minutes(hour * 60, hour * 60 + 60).await.unwrap();
            let tally = serde_json::to_string(&Tally::of_all(&rows)).unwrap();
            ledger.save_sla_hour(&[HourRow { hour, indicator: "relays".to_owned(), tally }]).await.unwrap();
        }
        assert_eq!(reader.availability(window).await.unwrap(), by_minutes);
        let pieces = reader.pieces(first + 17, first + 630, first + 990).await.unwrap();
        let keys: Vec<i64> = pieces[&Indicator::Relays].0.iter().map(|(at, _)| at - first).collect();
        assert!(
            keys.contains(&60) && !keys.contains(&61) && keys.contains(&601) && keys.contains(&20),
            "{keys:?}"
        );
    }
}
