//! How each part did, minute by minute, and the same by the hour. What a minute is, and what an hour sums up, the sla room decides.
//!
//! A minute is written once: what somebody watched for at least half of it stays, whatever is written later under the same minute, as after a
//! clock that was put back. Only the parts of it before and after a restart are added up. An hour's sums are away from the moment one of its minutes is written until they are made anew, and whoever asks
//! reads its minutes meanwhile.

use super::{Ledger, LedgerError, query::WriteTransaction, row::from_row, sla_host::save_host};
use crate::{
    events::LatencyCounts,
    ledger::HostRow,
    types::{Label, labelled},
};

/// How long a minute must have been watched to be known.
const KNOWN_MS: i64 = 30_000;
const MINUTE_MS: i64 = 60_000;

labelled! {
    /// How a part did in a minute.
    pub enum MinuteState {
        /// As it should.
        Good = "good",
        /// Away, or failing.
        Bad = "bad",
        /// There, and too late.
        Slow = "slow",
        /// Not as it should, in a time that was announced.
        Maintenance = "maintenance",
        /// Nobody can say.
        Unknown = "unknown",
    }
}

/// A part's minute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MinuteRow {
    /// Minutes since 1970-01-01 UTC.
    pub minute: i64,
    /// Name of the part.
    pub indicator: String,
    /// How it did.
    pub state: Label<MinuteState>,
    /// Answers or looks that were good.
    pub good: u64,
    /// Those that failed.
    pub bad: u64,
    /// Those that were too late.
    pub slow: u64,
    /// For how much of the minute somebody watched, in milliseconds.
    pub watched_ms: i64,
    /// How long answers took, as the text of `events::LatencyCounts`.
    pub latency: String,
}

from_row!(|row| MinuteRow { minute, indicator, state, good, bad, slow, watched_ms, latency });

/// A part's hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HourRow {
    /// Hours since 1970-01-01 UTC.
    pub hour: i64,
    /// Name of the part.
    pub indicator: String,
    /// Its sums, as JSON of the sla room's own.
    pub tally: String,
}

from_row!(|row| HourRow { hour, indicator, tally });

impl Ledger {
    /// How long a minute must have been watched to be known, in milliseconds: half of it.
    pub const KNOWN_MINUTE_MS: i64 = KNOWN_MS;
    /// A minute is bad when more than one in this many answers or looks failed: 5 %, as the large providers of machines count downtime.
    pub const FAILED_ONE_IN: u64 = 20;

    /// Writes minutes and what the machine was under in them, all or nothing. How many were news: a minute that is known already adds nothing.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn save_minutes(
        &self,
        minutes: &[MinuteRow],
        host: Option<&HostRow>,
    ) -> Result<u64, LedgerError> {
        let mut write = self.write().await?;
        let mut news = 0_u64;
        for row in minutes {
            news = news.saturating_add(save_minute(&mut write, row).await?);
        }
        if let Some(host) = host {
            save_host(&mut write, host).await?;
        }
        write.commit().await?;
        Ok(news)
    }

    /// Minutes from `from` on and before `until`, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn sla_minutes(&self, from: i64, until: i64) -> Result<Vec<MinuteRow>, LedgerError> {
        let rows = sqlx::query_as(
            "SELECT * FROM sla_minutes WHERE minute >= $1 AND minute < $2 ORDER BY minute, indicator",
        );
        Ok(rows.bind(from).bind(until).fetch_all(self.pool()).await?)
    }

    /// Hours from `from` on and before `until` that are summed up, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn sla_hours(&self, from: i64, until: i64) -> Result<Vec<HourRow>, LedgerError> {
        let rows =
            sqlx::query_as("SELECT * FROM sla_hours WHERE hour >= $1 AND hour < $2 ORDER BY hour, indicator");
        Ok(rows.bind(from).bind(until).fetch_all(self.pool()).await?)
    }

    /// The first and the last minute that was written down.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn sla_span(&self) -> Result<Option<(i64, i64)>, LedgerError> {
        // Two questions: each is the end of an index.
        let first: Option<i64> =
            sqlx::query_scalar("SELECT MIN(minute) FROM sla_minutes").fetch_one(self.pool()).await?;
        let last: Option<i64> =
            sqlx::query_scalar("SELECT MAX(minute) FROM sla_minutes").fetch_one(self.pool()).await?;
        Ok(first.zip(last))
    }

    /// Hours before `until` that have minutes and no sums, oldest first; from the hour `from` on.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn unsummed_hours(&self, from: i64, until: i64) -> Result<Vec<i64>, LedgerError> {
        let hours = sqlx::query_scalar(
            "SELECT hour FROM (SELECT DISTINCT minute / 60 AS hour FROM sla_minutes WHERE minute >= $1 AND minute < $2) AS found \
             WHERE NOT EXISTS (SELECT 1 FROM sla_hours h WHERE h.hour = found.hour) ORDER BY hour",
        );
        let (from, until) = (from.saturating_mul(60), until.saturating_mul(60));
        Ok(hours.bind(from).bind(until).fetch_all(self.pool()).await?)
    }

    /// Writes an hour's sums, of each part, in the place of any before.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn save_sla_hour(&self, hours: &[HourRow]) -> Result<(), LedgerError> {
        let mut write = self.write().await?;
        for row in hours {
            sqlx::query(
                "INSERT INTO sla_hours (hour, indicator, tally, instance) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (hour, indicator) DO UPDATE SET tally = excluded.tally",
            )
            .bind(row.hour)
            .bind(&row.indicator)
            .bind(&row.tally)
            .bind(write.instance)
            .execute(&mut *write.tx)
            .await?;
        }
        write.commit().await?;
        Ok(())
    }

    /// Forgets minutes before one, and hours before another. Their hours must be summed up before.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn forget_sla(&self, minutes_before: i64, hours_before: i64) -> Result<(), LedgerError> {
        let mut write = self.write().await?;
        sqlx::query("DELETE FROM sla_minutes WHERE minute < $1")
            .bind(minutes_before)
            .execute(&mut *write.tx)
            .await?;
        sqlx::query("DELETE FROM sla_hours WHERE hour < $1")
            .bind(hours_before)
            .execute(&mut *write.tx)
            .await?;
        write.commit().await?;
        Ok(())
    }
}

async fn save_minute(write: &mut WriteTransaction, row: &MinuteRow) -> Result<u64, sqlx::Error> {
    let known = sqlx::query_as("SELECT * FROM sla_minutes WHERE minute = $1 AND indicator = $2");
    let known: Option<MinuteRow> =
        known.bind(row.minute).bind(&row.indicator).fetch_optional(&mut *write.tx).await?;
    let row = match &known {
        None => row.clone(),
        Some(known) => match together(known, row) {
            Some(both) if both != *known => both,
            Some(_) | None => return Ok(0),
        },
    };
    sqlx::query(
        "INSERT INTO sla_minutes (minute, indicator, state, good, bad, slow, watched_ms, latency, instance) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (minute, indicator) DO UPDATE SET state = excluded.state, \
         good = excluded.good, bad = excluded.bad, slow = excluded.slow, watched_ms = excluded.watched_ms, \
         latency = excluded.latency, instance = excluded.instance",
    )
    .bind(row.minute)
    .bind(&row.indicator)
    .bind(row.state.as_str())
    .bind(row.good.cast_signed())
    .bind(row.bad.cast_signed())
    .bind(row.slow.cast_signed())
    .bind(row.watched_ms)
    .bind(&row.latency)
    .bind(write.instance)
    .execute(&mut *write.tx)
    .await?;
    sqlx::query("DELETE FROM sla_hours WHERE hour = $1")
        .bind(row.minute.div_euclid(60))
        .execute(&mut *write.tx)
        .await?;
    Ok(1)
}

/// A minute of which something is known already, with what was watched of it since; none where it stays as it is.
///
/// Two spans that fit into one minute are the parts of it before and after a restart: they add up, and the worse of the two counts. More than
/// fits is the same time again, by a clock that was put back: what is known stays, and what hardly was gives place, unless it was bad.
fn together(known: &MinuteRow, rest: &MinuteRow) -> Option<MinuteRow> {
    let watched_ms = known.watched_ms.saturating_add(rest.watched_ms);
    if watched_ms > MINUTE_MS {
        let is_better = known.watched_ms < KNOWN_MS && rest.watched_ms > known.watched_ms;
        return (is_better && known.state != MinuteState::Bad).then(|| rest.clone());
    }
    let add = |one: u64, other: u64| one.saturating_add(other);
    let (good, bad, slow) =
        (add(known.good, rest.good), add(known.bad, rest.bad), add(known.slow, rest.slow));
    let mut latency = LatencyCounts::decode(&known.latency).unwrap_or_default();
    latency.merge(&LatencyCounts::decode(&rest.latency).unwrap_or_default());
    let mut state = worse(known.state.known()?, rest.state.known()?);
    // Each was too short to say that all was well.
    let total = add(good, add(bad, slow));
    if state == MinuteState::Unknown && watched_ms >= KNOWN_MS && total > 0 {
        let is_late = add(bad, slow).saturating_mul(Ledger::FAILED_ONE_IN) > total;
        state = if is_late { MinuteState::Slow } else { MinuteState::Good };
    }
    Some(MinuteRow {
        state: state.into(),
        good,
        bad,
        slow,
        watched_ms,
        latency: latency.encode(),
        ..known.clone()
    })
}

fn worse(one: MinuteState, other: MinuteState) -> MinuteState {
    let badness = |state: MinuteState| match state {
        MinuteState::Unknown => 0,
        MinuteState::Good => 1,
        MinuteState::Slow => 2,
        MinuteState::Maintenance => 3,
        MinuteState::Bad => 4,
    };
    if badness(other) > badness(one) { other } else { one }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(minute: i64, state: MinuteState, watched_ms: i64) -> MinuteRow {
        MinuteRow {
            minute,
            indicator: "relays".to_owned(),
            state: state.into(),
            good: 1,
            bad: 2,
            slow: 3,
            watched_ms,
            latency: "A".to_owned(),
        }
    }

    #[tokio::test]
    async fn a_known_minute_is_written_once_and_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        let first = row(100, MinuteState::Bad, 60_000);
        assert_eq!(ledger.save_minutes(std::slice::from_ref(&first), None).await.unwrap(), 1);
        ledger.shut().await;
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        for again in [row(100, MinuteState::Good, 60_000), row(100, MinuteState::Good, 59_000)] {
            assert_eq!(ledger.save_minutes(&[again], None).await.unwrap(), 0);
        }
        assert_eq!(ledger.sla_minutes(100, 101).await.unwrap(), [first]);
        assert_eq!(ledger.sla_span().await.unwrap(), Some((100, 100)));
    }

    #[tokio::test]
    async fn what_is_known_better_stands_in_the_place_of_what_was_hardly_seen() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        for (state, watched, want) in [
            (MinuteState::Unknown, 10_000, "unknown"),
            (MinuteState::Bad, 20_000, "bad"),
            (MinuteState::Unknown, 25_000, "bad"),
            (MinuteState::Good, 40_000, "bad"),
        ] {
            ledger.save_minutes(&[row(5, state, watched)], None).await.unwrap();
            assert_eq!(ledger.sla_minutes(5, 6).await.unwrap()[0].state.as_str(), want);
        }
    }

    /// A restart in the middle of a minute: first and second part, and what the minute is.
    #[tokio::test]
    async fn the_parts_of_a_minute_add_up_and_the_worse_counts() {
        use MinuteState as S;
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        let cases = [
            ("a bad beginning", (S::Bad, 20_000), (S::Good, 40_000), "bad", 60_000),
            ("a bad rest", (S::Good, 40_000), (S::Bad, 5_000), "bad", 45_000),
            ("a late beginning", (S::Slow, 30_000), (S::Good, 30_000), "slow", 60_000),
            ("hardly watched, and good", (S::Unknown, 20_000), (S::Good, 35_000), "good", 55_000),
            ("each hardly watched", (S::Unknown, 20_000), (S::Unknown, 20_000), "slow", 40_000),
            ("both hardly watched", (S::Unknown, 10_000), (S::Unknown, 10_000), "unknown", 20_000),
        ];
        for (minute, (name, first, second, want, watched)) in (0..).zip(cases) {
            for (state, watched_ms) in [first, second] {
                assert_eq!(
                    ledger.save_minutes(&[row(minute, state, watched_ms)], None).await.unwrap(),
                    1,
                    "{name}"
                );
            }
            let kept = ledger.sla_minutes(minute, minute + 1).await.unwrap().remove(0);
            assert_eq!((kept.state.as_str(), kept.watched_ms), (want, watched), "{name}");
            assert_eq!((kept.good, kept.bad, kept.slow), (2, 4, 6), "{name}");
        }
        // The same time again, by a clock that was put back.
        for (first, second, want) in [(S::Unknown, S::Good, "good"), (S::Bad, S::Good, "bad")] {
            let minute = 100 + i64::from(first == S::Bad);
            ledger.save_minutes(&[row(minute, first, 20_000)], None).await.unwrap();
            ledger.save_minutes(&[row(minute, second, 50_000)], None).await.unwrap();
            let kept = ledger.sla_minutes(minute, minute + 1).await.unwrap().remove(0);
            assert_eq!((kept.state.as_str(), kept.good), (want, 1));
        }
    }

    #[tokio::test]
    async fn an_hours_sums_are_away_once_one_of_its_minutes_changes() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        ledger
            .save_minutes(&[row(60, MinuteState::Good, 60_000), row(180, MinuteState::Good, 60_000)], None)
            .await
            .unwrap();
        assert_eq!(ledger.unsummed_hours(0, 10).await.unwrap(), [1, 3]);
        assert_eq!(ledger.unsummed_hours(2, 3).await.unwrap(), Vec::<i64>::new());
        let hour = HourRow { hour: 1, indicator: "relays".to_owned(), tally: "{}".to_owned() };
        ledger.save_sla_hour(std::slice::from_ref(&hour)).await.unwrap();
        assert_eq!(ledger.sla_hours(0, 10).await.unwrap(), [hour]);
        // Nothing new: the sums stay.
        ledger.save_minutes(&[row(60, MinuteState::Bad, 60_000)], None).await.unwrap();
        assert_eq!(ledger.unsummed_hours(0, 10).await.unwrap(), [3]);
        ledger.save_minutes(&[row(61, MinuteState::Bad, 60_000)], None).await.unwrap();
        assert_eq!(ledger.unsummed_hours(0, 10).await.unwrap(), [1, 3]);
        ledger.forget_sla(100, 2).await.unwrap();
        assert_eq!(ledger.sla_span().await.unwrap(), Some((180, 180)));
    }
}
