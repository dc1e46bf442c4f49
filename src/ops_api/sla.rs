//! `/api/v1/sla`, `/api/v1/readiness` and `/api/v1/gas`: what was held, how far the box is, and what gas costs.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use serde::Deserialize;

use super::{
    facts::money_facts,
    state::{Api, database_error},
};
use crate::{
    events::RelayMode,
    serve::ApiError,
    sla::{GasView, Period, Readiness, ReadinessFacts, SlaReport},
};

/// Hours of gas prices in an answer at most: 30 days, whatever the window.
const GAS_HOURS: i64 = 720;

#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    window: Option<String>,
}

fn period(window: Option<&str>) -> Result<Period, ApiError> {
    let Some(text) = window else { return Ok(Period::THIRTY_DAYS) };
    let wrong = || ApiError::bad_request("window: expected days such as 30d, from 1d to 730d, or month");
    Period::parse(text).ok_or_else(wrong)
}

fn asked(query: Result<Query<Asked>, QueryRejection>) -> Result<Period, ApiError> {
    let Query(asked) = query.map_err(|error| ApiError::bad_request(error.body_text()))?;
    period(asked.window.as_deref())
}

/// `GET /api/v1/sla?window=30d|month`
pub(super) async fn sla_report(
    State(api): Api,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<SlaReport>, ApiError> {
    let (period, now) = (asked(query)?, api.clock.now());
    let known = money_facts(&api.reporter, period, now).await.map_err(|error| database_error(&error))?;
    Ok(Json(api.sla.report(period, known.mev, now).await.map_err(|error| database_error(&error))?))
}

/// `GET /api/v1/readiness`
pub(super) async fn readiness(State(api): Api) -> Result<Json<Readiness>, ApiError> {
    let now = api.clock.now();
    let known =
        money_facts(&api.reporter, Period::THIRTY_DAYS, now).await.map_err(|error| database_error(&error))?;
    let all = api.relays.all();
    let is_off = |relay| api.relays.status(relay).is_some_and(|status| status.mode == RelayMode::Disabled);
    let used: Vec<_> = all.iter().filter(|relay| !is_off(relay.id())).collect();
    let is_usable = |relay| api.relays.condition(relay).is_some_and(|found| found.usable);
    let facts = ReadinessFacts {
        relays: used.len(),
        usable_relays: Some(used.iter().filter(|relay| is_usable(relay.id())).count()),
        profit: known.profit,
    };
    Ok(Json(api.sla.readiness(facts, now).await.map_err(|error| database_error(&error))?))
}

/// `GET /api/v1/gas?window=30d|month`
pub(super) async fn gas(
    State(api): Api,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<GasView>, ApiError> {
    let (period, now) = (asked(query)?, api.clock.now());
    let window = period.window(now);
    let hour = now.div_euclid(3_600_000).saturating_add(1);
    let first = window.from.div_euclid(60).max(hour.saturating_sub(GAS_HOURS));
    let ledger = &api.sla.ledger;
    let newest =
        ledger.newest_gas(window.until.saturating_add(1)).await.map_err(|error| database_error(&error))?;
    let sums = ledger.gas_sums(window.from, window.until).await.map_err(|error| database_error(&error))?;
    let hours = ledger.gas_hours(first, hour).await.map_err(|error| database_error(&error))?;
    Ok(Json(GasView::new(newest, sums, hours, now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_days_or_the_month() {
        assert_eq!(period(None).unwrap(), Period::THIRTY_DAYS);
        assert_eq!(period(Some("month")).unwrap(), Period::Month);
        assert_eq!(period(Some("7d")).unwrap(), Period::Days(7));
        for wrong in ["", "0d", "731d", "week", "30"] {
            assert_eq!(period(Some(wrong)).unwrap_err().status(), 400, "{wrong}");
        }
    }
}
