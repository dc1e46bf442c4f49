//! Puts minutes into the ledger, sums up hours that are over, and forgets what is old.

use std::{collections::BTreeMap, time::Duration};

use tracing::{error, warn};

use super::{
    Indicator,
    minutes::{ClosedMinute, MINUTE_MS, minute_of},
    tally::Tally,
};
use crate::{
    ledger::{HostRow, HourRow, Ledger, LedgerError, MaintenanceRow, MinuteRow, MinuteState},
    types::UnixMillis,
};

/// Minutes are kept for 90 days, and their hours for two years; hours of gas prices for one.
pub(super) const MINUTES_KEPT: i64 = 90 * 24 * 60;
const HOURS_KEPT: i64 = 730 * 24;
const GAS_HOURS_KEPT: i64 = 365 * 24;
/// Nothing is forgotten until the clock has been steady for so long: one that is a year ahead for a moment would cost a year's minutes.
const STEADY: Duration = Duration::from_secs(3600);
/// Hours looked back for those that are not summed up.
const LOOKS_BACK: i64 = 72;
/// Minutes that wait in memory while the ledger cannot be written.
const MAX_WAITING: usize = 60;

/// Minutes as rows: what was announced as maintenance is that, unless all was well.
pub(super) fn rows_of(closed: &ClosedMinute, announced: &[MaintenanceRow]) -> Vec<MinuteRow> {
    let begin = closed.minute.saturating_mul(MINUTE_MS);
    let end = begin.saturating_add(MINUTE_MS);
    let is_announced = |indicator: &str| {
        announced.iter().any(|row| {
            row.starts_at < end
                && row.ends_at > begin
                && (row.indicator.is_empty() || row.indicator == indicator)
        })
    };
    let row = |(indicator, bucket): (&Indicator, &super::bucket::Bucket)| {
        let indicator = indicator.to_string();
        let state = match bucket.state(closed.watched_ms) {
            MinuteState::Good => MinuteState::Good,
            _ if is_announced(&indicator) => MinuteState::Maintenance,
            other => other,
        };
        MinuteRow {
            minute: closed.minute,
            state: state.into(),
            good: bucket.seen().good,
            bad: bucket.seen().bad,
            slow: bucket.seen().slow,
            watched_ms: closed.watched_ms,
            latency: bucket.latency().encode(),
            indicator,
        }
    };
    closed.buckets.iter().filter(|(_, bucket)| !bucket.is_empty()).map(row).collect()
}

/// An hour's sums, of each part.
fn hour_of(hour: i64, rows: &[MinuteRow]) -> Vec<HourRow> {
    let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
    for row in rows {
        tallies.entry(&row.indicator).or_default().add(&Tally::of(row));
    }
    tallies
        .into_iter()
        .filter_map(|(indicator, tally)| {
            let tally = serde_json::to_string(&tally).ok()?;
            Some(HourRow { hour, indicator: indicator.to_owned(), tally })
        })
        .collect()
}

/// Writes minutes down.
#[derive(Debug)]
pub(super) struct Keeper {
    ledger: Ledger,
    waiting: Vec<(Vec<MinuteRow>, Option<HostRow>)>,
    /// The hour of which all before have been looked through for missing sums.
    summed_to: Option<i64>,
    forgot_on: Option<i64>,
}

impl Keeper {
    pub(super) const fn new(ledger: Ledger) -> Self {
        Self { ledger, waiting: Vec::new(), summed_to: None, forgot_on: None }
    }

    /// Writes down a minute that is over, with those that could not be written before; then whatever follows from it.
    pub(super) async fn keep(
        &mut self,
        closed: &ClosedMinute,
        host: Option<HostRow>,
        (now, steady): (UnixMillis, Duration),
    ) {
        let begin = closed.minute.saturating_mul(MINUTE_MS);
        let announced = self.ledger.maintenance(begin, begin.saturating_add(MINUTE_MS)).await;
        let announced = announced.unwrap_or_else(|error| {
            warn!(%error, "announced maintenance cannot be read; this minute counts without it");
            Vec::new()
        });
        if self.waiting.len() >= MAX_WAITING {
            self.waiting.remove(0);
        }
        self.waiting.push((rows_of(closed, &announced), host));
        if let Err(error) = self.write().await {
            error!(%error, waiting = self.waiting.len(), "minutes of availability are not written down");
            return;
        }
        if let Err(error) = self.follow_up(now, steady).await {
            warn!(%error, "hours of availability are not summed up; they are read minute by minute");
        }
    }

    async fn write(&mut self) -> Result<(), LedgerError> {
        while let Some((rows, host)) = self.waiting.first() {
            self.ledger.save_minutes(rows, host.as_ref()).await?;
            self.waiting.remove(0);
        }
        Ok(())
    }

    async fn follow_up(&mut self, now: UnixMillis, steady: Duration) -> Result<(), LedgerError> {
        let hour = minute_of(now).div_euclid(60);
        if self.summed_to != Some(hour) {
            // All of them once at the start, then those that may have changed.
            let from = self.summed_to.map_or(0, |_| hour.saturating_sub(LOOKS_BACK));
            self.sum_hours(from, hour).await?;
            self.summed_to = Some(hour);
        }
        let day = hour.div_euclid(24);
        if steady >= STEADY && self.forgot_on != Some(day) {
            self.forget(minute_of(now)).await?;
            self.forgot_on = Some(day);
        }
        Ok(())
    }

    async fn sum_hours(&self, from: i64, until: i64) -> Result<(), LedgerError> {
        for hour in self.ledger.unsummed_hours(from, until).await? {
            let rows =
                self.ledger.sla_minutes(hour.saturating_mul(60), (hour + 1).saturating_mul(60)).await?;
            self.ledger.save_sla_hour(&hour_of(hour, &rows)).await?;
        }
        Ok(())
    }

    async fn forget(&self, now: i64) -> Result<(), LedgerError> {
        let (minutes, hour) = (now.saturating_sub(MINUTES_KEPT), now.div_euclid(60));
        self.sum_hours(0, minutes.div_euclid(60).saturating_add(1)).await?;
        self.ledger.forget_sla(minutes, hour.saturating_sub(HOURS_KEPT)).await?;
        self.ledger.forget_host(minutes, hour.saturating_sub(HOURS_KEPT)).await?;
        self.ledger.forget_gas(minutes, hour.saturating_sub(GAS_HOURS_KEPT)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{events::AnswerGrade, sla::bucket::Bucket};

    fn closed(minute: i64, watched_ms: i64, grade: AnswerGrade) -> ClosedMinute {
        let mut bucket = Bucket::default();
        bucket.note(grade);
        let buckets = [(Indicator::Relays, bucket), (Indicator::BuilderApi, Bucket::default())].into();
        ClosedMinute { minute, watched_ms, buckets }
    }

    #[test]
    fn what_was_announced_is_maintenance_unless_all_was_well() {
        let announced = |indicator: &str| MaintenanceRow {
            starts_at: 100 * MINUTE_MS,
            ends_at: 102 * MINUTE_MS,
            indicator: indicator.to_owned(),
            reason: "a new disk".to_owned(),
        };
        for (minute, grade, indicator, want) in [
            (99, AnswerGrade::Bad, "", MinuteState::Bad),
            (100, AnswerGrade::Bad, "", MinuteState::Maintenance),
            (101, AnswerGrade::Bad, "relays", MinuteState::Maintenance),
            (101, AnswerGrade::Bad, "builder_api", MinuteState::Bad),
            (101, AnswerGrade::Good, "", MinuteState::Good),
            (102, AnswerGrade::Bad, "", MinuteState::Bad),
        ] {
            let rows = rows_of(&closed(minute, 60_000, grade), &[announced(indicator)]);
            assert_eq!(rows.len(), 1, "nothing is said of what nobody looked at");
            assert_eq!(rows[0].state, want, "{minute} {indicator}");
        }
    }

    #[tokio::test]
    async fn hours_are_summed_when_they_are_over_and_old_minutes_go() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        let mut keeper = Keeper::new(ledger.clone());
        let first = 10_000_000 * 60;
        let mut keep = async |minute: i64, steady| {
            let now = ((minute + 1) * MINUTE_MS, Duration::from_secs(steady));
            keeper.keep(&closed(minute, 60_000, AnswerGrade::Good), None, now).await;
        };
        for minute in first..first + 121 {
            keep(minute, 0).await;
        }
        let hours = ledger.sla_hours(0, i64::MAX).await.unwrap();
        assert_eq!(hours.len(), 2);
        let tally: Tally = serde_json::from_str(&hours[0].tally).unwrap();
        assert_eq!((tally.good, tally.last_minute()), (60, Some(first + 59)));
        // A clock that is far ahead for a moment costs nothing.
        let later = first + MINUTES_KEPT + 90;
        keep(later, 60).await;
        assert_eq!(ledger.sla_minutes(0, i64::MAX).await.unwrap().len(), 122);
        keep(later + 1, 3600).await;
        let left = ledger.sla_minutes(0, i64::MAX).await.unwrap();
        assert_eq!(left[0].minute, first + 92);
        assert_eq!(ledger.sla_hours(0, i64::MAX).await.unwrap().len(), 2, "their hours stay");
    }

    #[tokio::test]
    async fn a_minute_that_comes_twice_adds_nothing() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        let mut keeper = Keeper::new(ledger.clone());
        for grade in [AnswerGrade::Bad, AnswerGrade::Good] {
            keeper.keep(&closed(100, 60_000, grade), None, (6_060_000, Duration::ZERO)).await;
        }
        let rows = ledger.sla_minutes(0, 1000).await.unwrap();
        assert_eq!((rows.len(), rows[0].state.known()), (1, Some(MinuteState::Bad)));
    }
}
