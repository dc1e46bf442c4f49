//! `/api/v1/digest`: what a day or a week came to.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use super::{
    facts::{self, money_facts},
    state::{Api, database_error},
};
use crate::{
    ledger::{Ledger, LedgerError},
    profit::Reporter,
    serve::ApiError,
    sla::{Cadence, Digest, DigestInputs, Period, RelayFacts, RestartFacts, SlaReader, make_digest},
    types::{UnixMillis, labelled},
};

/// The rule by which tasks that begin anew are told.
const TASK_FAILED: &str = "task_failed";
/// Alerts that are counted at most.
const MAX_ALERTS: u32 = 10_000;

labelled! {
    /// For whom.
    enum Format {
        /// For programs.
        Json = "json",
        /// For people: a mail in a terminal.
        Text = "text",
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    cadence: Option<String>,
    format: Option<String>,
}

impl Asked {
    fn read(&self) -> Result<(Cadence, Format), ApiError> {
        let cadence = self.cadence.as_deref().map_or(Some(Cadence::Weekly), Cadence::parse);
        let format = self.format.as_deref().map_or(Some(Format::Json), Format::parse);
        let expected = |name: &str, known: &str| ApiError::bad_request(format!("{name}: expected {known}"));
        Ok((
            cadence.ok_or_else(|| expected("cadence", &Cadence::ALL.map(Cadence::label).join(" or ")))?,
            format.ok_or_else(|| expected("format", &Format::ALL.map(Format::label).join(" or ")))?,
        ))
    }
}

/// `GET /api/v1/digest?cadence=weekly|daily&format=json|text`
pub(super) async fn digest(
    State(api): Api,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(asked) = query.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let (cadence, format) = asked.read()?;
    let maker = DigestMaker {
        ledger: api.ledger.clone(),
        reporter: api.reporter.clone(),
        sla: api.sla.clone(),
        source: api.source.clone(),
    };
    let made = maker.make(cadence, api.clock.now()).await.map_err(|error| database_error(&error))?;
    Ok(match format {
        Format::Json => Json(made).into_response(),
        Format::Text => {
            let kind = HeaderValue::from_static("text/plain; charset=utf-8");
            ([(header::CONTENT_TYPE, kind)], made.text()).into_response()
        }
    })
}

/// Makes digests of what is known of the box.
#[derive(Clone, Debug)]
pub struct DigestMaker {
    /// Where relays, alerts and restarts are read.
    pub ledger: Ledger,
    /// Makes profit reports.
    pub reporter: Reporter,
    /// Reads availability.
    pub sla: SlaReader,
    /// The name of this machine or sidecar.
    pub source: String,
}

impl DigestMaker {
    /// What the day or week until a time came to.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn make(&self, cadence: Cadence, until: UnixMillis) -> Result<Digest, LedgerError> {
        let period = Period::Days(cadence.days());
        let since = period.window(until).from.saturating_mul(60_000);
        let relays = facts::relays(self.ledger.relay_stats(since, until).await?);
        self.make_of(period, relays, until).await
    }

    /// What a period until a time came to, with what is known of relays.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn make_of(
        &self,
        period: Period,
        relays: Vec<RelayFacts>,
        until: UnixMillis,
    ) -> Result<Digest, LedgerError> {
        let since = period.window(until).from.saturating_mul(60_000);
        let money = money_facts(&self.reporter, period, until).await?;
        let alerts = self.ledger.alerts_between(since, until, MAX_ALERTS).await?;
        let restarts = self.ledger.notice_counts(since).await?;
        let inputs = DigestInputs {
            cadence: if period == Period::Days(1) { Cadence::Daily } else { Cadence::Weekly },
            source: self.source.clone(),
            report: self.sla.report(period, money.mev, until).await?,
            profit: money.profit,
            relays,
            disk_forecast: None,
            restarts: restarts
                .into_iter()
                .filter(|(rule, _, _)| rule == TASK_FAILED)
                .map(|(_, task, count)| RestartFacts { task, count })
                .collect(),
            alerts: facts::alerts(&alerts),
            expiries: Vec::new(),
        };
        Ok(make_digest(inputs, until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(cadence: Option<&str>, format: Option<&str>) -> Result<(Cadence, Format), ApiError> {
        Asked { cadence: cadence.map(str::to_owned), format: format.map(str::to_owned) }.read()
    }

    #[test]
    fn a_digest_is_of_a_week_and_for_programs_unless_it_is_said() {
        assert_eq!(read(None, None).unwrap(), (Cadence::Weekly, Format::Json));
        assert_eq!(read(Some("daily"), Some("text")).unwrap(), (Cadence::Daily, Format::Text));
        assert!(read(Some("hourly"), None).is_err());
        assert!(read(None, Some("csv")).is_err());
    }
}
