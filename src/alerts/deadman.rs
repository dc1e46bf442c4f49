//! A sign of life for somebody outside, in the manner of healthchecks.io: a box that is dead cannot say so.
//!
//! While all is well the address is called at every interval. `/fail` at its end says at once that something is wrong: that the ledger cannot
//! be written (then alerts are neither kept nor sent), and that the process ends because something failed. A stop that was asked for is
//! silent: if the service does not come back in time, whoever listens raises the alarm by itself. Calls that fail are counted and logged,
//! and no more: the next one says the same.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use reqwest::Client;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    call::{Call, call},
    channels::{Method, Request},
    delivery::DeliveryOutcome,
    metrics,
};
use crate::{
    consensus::WallClock,
    ledger::WriteState,
    tasks::TaskGroup,
    types::{SecretUrl, UnixMillis, labelled},
};

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for the last call of a process that ends.
const LAST_TIMEOUT: Duration = Duration::from_secs(3);
/// A ledger that refuses this long, in milliseconds, is not merely busy.
const LEDGER_FAILING_MS: i64 = 30_000;

labelled! {
    /// What is said.
    pub enum Ping {
        /// All is well.
        Alive = "alive",
        /// Something is wrong that alerts may not be able to say.
        Failing = "failing",
    }
}

/// Who is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadmanSettings {
    /// The check's address.
    pub url: SecretUrl,
    /// How often it is called. Default 60 s.
    pub interval: Duration,
}

/// What is said of the state of the ledger.
pub fn ping(ledger: &WriteState, now: UnixMillis) -> Ping {
    match ledger.failing_since {
        Some(since) if now.saturating_sub(since) >= LEDGER_FAILING_MS => Ping::Failing,
        Some(_) | None => Ping::Alive,
    }
}

fn request(settings: &DeadmanSettings, ping: Ping) -> Request {
    let url = match ping {
        Ping::Alive => settings.url.clone(),
        Ping::Failing => settings.url.join(&["fail"]),
    };
    Request { method: Method::Get, url, headers: Vec::new(), body: Bytes::new() }
}

/// Starts the task that calls. `ledger` says how writing goes.
pub fn start(
    group: &TaskGroup,
    settings: DeadmanSettings,
    http: Client,
    ledger: impl Fn() -> WriteState + Send + Sync + 'static,
    clock: WallClock,
) {
    let ledger: Arc<dyn Fn() -> WriteState + Send + Sync> = Arc::new(ledger);
    group.restarting("deadman", move |stop| {
        run(settings.clone(), http.clone(), Arc::clone(&ledger), clock.clone(), stop)
    });
}

async fn run(
    settings: DeadmanSettings,
    http: Client,
    ledger: Arc<dyn Fn() -> WriteState + Send + Sync>,
    clock: WallClock,
    stop: CancellationToken,
) {
    let mut ticks = interval(settings.interval.max(Duration::from_secs(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut arrives = true;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return,
        }
        let now = clock.now();
        let told = tokio::select! {
            told = tell(&settings, &http, ping(&ledger(), now), now, TIMEOUT) => told,
            () = stop.cancelled() => return,
        };
        match told {
            Ok(()) if !arrives => info!("signs of life arrive again"),
            Err(ref error) if arrives => {
                warn!(error, "a sign of life did not arrive: whoever waits for it may raise the alarm")
            }
            Ok(()) | Err(_) => {}
        }
        arrives = told.is_ok();
    }
}

/// Says once, and shortly, that the process ends because something failed.
pub async fn tell_of_bad_end(settings: &DeadmanSettings, http: &Client, now: UnixMillis) {
    if let Err(error) = tell(settings, http, Ping::Failing, now, LAST_TIMEOUT).await {
        warn!(error, "nobody outside could be told that the service ends");
    }
}

/// Says how something went that is done now and then: to a check of its own.
///
/// # Errors
/// In a few words that show nothing of the address, when nobody heard it.
pub async fn tell_of_task(
    url: SecretUrl,
    http: &Client,
    is_well: bool,
    now: UnixMillis,
) -> Result<(), String> {
    let settings = DeadmanSettings { url, interval: Duration::ZERO };
    tell(&settings, http, if is_well { Ping::Alive } else { Ping::Failing }, now, TIMEOUT).await
}

async fn tell(
    settings: &DeadmanSettings,
    http: &Client,
    ping: Ping,
    now: UnixMillis,
    limit: Duration,
) -> Result<(), String> {
    let called = call(http, request(settings, ping), now, limit).await;
    let (outcome, told) = match called {
        Call::Answered(answer) if (200..300).contains(&answer.status) => (DeliveryOutcome::Sent, Ok(())),
        // The check is gone: nobody listens.
        Call::Answered(answer) if matches!(answer.status, 404 | 410) => {
            (DeliveryOutcome::Dead, Err(format!("HTTP {}: there is no such check", answer.status)))
        }
        Call::Answered(answer) => (DeliveryOutcome::Failed, Err(format!("HTTP {}", answer.status))),
        Call::NotSent(message) | Call::Unanswered(message) => (DeliveryOutcome::Failed, Err(message)),
    };
    metrics::count_ping(outcome);
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_that_refuses_for_long_is_said() {
        let state = |failing_since| WriteState { failing_since, ..WriteState::default() };
        assert_eq!(ping(&state(None), 100_000), Ping::Alive);
        assert_eq!(ping(&state(Some(70_001)), 100_000), Ping::Alive);
        assert_eq!(ping(&state(Some(70_000)), 100_000), Ping::Failing);
        // A clock that was set back.
        assert_eq!(ping(&state(Some(200_000)), 100_000), Ping::Alive);
    }
}
