//! Tells Alertmanagers the state of things: each minute, and at once when it changes. A task for each instance, so that one that hangs delays
//! no other.

use std::{sync::Arc, time::Duration};

use reqwest::Client;
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    backoff::pause,
    call::{Call, call},
    channels::{
        AlertmanagerSettings, AlertmanagerSnapshot, Answer,
        alertmanager::{ROUND, classify, payload, requests},
    },
    delivery::{ATTEMPT_TIMEOUT, DeliveryOutcome},
    metrics,
};
use crate::{
    consensus::WallClock,
    tasks::TaskGroup,
    types::{SecretUrl, UnixMillis},
};

/// Shortest time between two rounds: changes come in bursts.
const SETTLE: Duration = Duration::from_millis(500);

/// Starts a task for each instance. `snapshot` has the state of things; it must be set again whenever something begins or ends.
pub fn start(
    group: &TaskGroup,
    settings: &AlertmanagerSettings,
    http: &Client,
    snapshot: &watch::Receiver<Arc<AlertmanagerSnapshot>>,
    clock: &WallClock,
) {
    for url in &settings.urls {
        let (url, http, snapshot, clock) = (url.clone(), http.clone(), snapshot.clone(), clock.clone());
        group.restarting("alertmanager", move |stop| {
            run(url.clone(), http.clone(), snapshot.clone(), clock.clone(), stop)
        });
    }
}

async fn run(
    url: SecretUrl,
    http: Client,
    mut snapshot: watch::Receiver<Arc<AlertmanagerSnapshot>>,
    clock: WallClock,
    stop: CancellationToken,
) {
    let mut failures = 0;
    loop {
        let now = Arc::clone(&snapshot.borrow_and_update());
        let told = tokio::select! {
            told = round(&url, &http, &now, clock.now()) => told,
            () = stop.cancelled() => return,
        };
        let wait = match told {
            Ok(()) => {
                if std::mem::take(&mut failures) > 0 {
                    info!("Alertmanager takes alerts again");
                }
                ROUND
            }
            Err(error) => {
                failures += 1;
                if failures == 1 {
                    warn!(error, "Alertmanager did not take alerts: it is told again");
                }
                pause(failures, rand::random()).min(ROUND)
            }
        };
        tokio::select! {
            () = sleep(SETTLE) => {}
            () = stop.cancelled() => return,
        }
        tokio::select! {
            () = sleep(wait) => {}
            // While it fails, changes do not hurry it.
            changed = snapshot.changed(), if failures == 0 => {
                if changed.is_err() {
                    // Nobody is left who could change anything: what is there is told on.
                    sleep(wait).await;
                }
            }
            () = stop.cancelled() => return,
        }
    }
}

/// Tells an instance everything once. An empty round is not sent: silence means the same.
async fn round(
    url: &SecretUrl,
    http: &Client,
    snapshot: &AlertmanagerSnapshot,
    now: UnixMillis,
) -> Result<(), String> {
    let mut refused = None;
    for request in requests(url, &payload(now, snapshot)) {
        let (outcome, result) = match call(http, request, now, ATTEMPT_TIMEOUT).await {
            Call::Answered(answer) => match classify(&answer) {
                Answer::Taken => (DeliveryOutcome::Sent, Ok(())),
                Answer::RetryLater { message, .. } => (DeliveryOutcome::Failed, Err(message)),
                // The other batches may be better.
                Answer::Never { message, .. } => {
                    refused = Some(message);
                    (DeliveryOutcome::Dead, Ok(()))
                }
            },
            Call::NotSent(message) | Call::Unanswered(message) => (DeliveryOutcome::Failed, Err(message)),
        };
        metrics::count_alertmanager(outcome);
        result?;
    }
    refused.map_or(Ok(()), Err)
}
