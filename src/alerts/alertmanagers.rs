//! Tells Alertmanagers the state of things: each minute, and at once when it changes. A task for each instance, so that one that hangs delays
//! no other.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use reqwest::Client;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
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

/// Since when no instance takes anything. One that takes is enough: all are of clusters, or are told the same.
#[derive(Debug, Default)]
pub struct Reach {
    /// Of each instance, since when it fails; none while it takes.
    failing: Mutex<Vec<Option<Instant>>>,
}

impl Reach {
    /// One instance more, which counts as reached until it fails. Its number.
    pub(super) fn join(&self) -> usize {
        let mut failing = self.failing.lock();
        failing.push(None);
        failing.len() - 1
    }

    pub(super) fn note(&self, instance: usize, is_taken: bool, now: Instant) {
        if let Some(since) = self.failing.lock().get_mut(instance) {
            *since = if is_taken { None } else { since.or(Some(now)) };
        }
    }

    /// For how long none has taken anything; none where one does, or there is none.
    pub fn away_for(&self, now: Instant) -> Option<Duration> {
        let failing = self.failing.lock();
        let latest = failing.iter().copied().collect::<Option<Vec<_>>>()?.into_iter().max()?;
        Some(now.saturating_duration_since(latest))
    }
}

/// Starts a task for each instance. `snapshot` has the state of things; it must be set again whenever something begins or ends.
pub fn start(
    group: &TaskGroup,
    settings: &AlertmanagerSettings,
    http: &Client,
    snapshot: &watch::Receiver<Arc<AlertmanagerSnapshot>>,
    clock: &WallClock,
) {
    start_watched(group, settings, http, snapshot, (clock, &Arc::default()));
}

/// The same, and says whether they take what they are told.
pub(super) fn start_watched(
    group: &TaskGroup,
    settings: &AlertmanagerSettings,
    http: &Client,
    snapshot: &watch::Receiver<Arc<AlertmanagerSnapshot>>,
    (clock, reach): (&WallClock, &Arc<Reach>),
) {
    for url in &settings.urls {
        let (url, http, snapshot, clock) = (url.clone(), http.clone(), snapshot.clone(), clock.clone());
        let (reach, instance) = (Arc::clone(reach), reach.join());
        group.restarting("alertmanager", move |stop| {
            let reach = (Arc::clone(&reach), instance);
            run(url.clone(), http.clone(), snapshot.clone(), clock.clone(), reach, stop)
        });
    }
}

async fn run(
    url: SecretUrl,
    http: Client,
    mut snapshot: watch::Receiver<Arc<AlertmanagerSnapshot>>,
    clock: WallClock,
    (reach, instance): (Arc<Reach>, usize),
    stop: CancellationToken,
) {
    let mut failures = 0;
    loop {
        let now = Arc::clone(&snapshot.borrow_and_update());
        let told = tokio::select! {
            told = round(&url, &http, &now, clock.now()) => told,
            () = stop.cancelled() => return,
        };
        reach.note(instance, told.is_ok(), Instant::now());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_must_be_away_and_one_that_takes_is_enough() {
        let reach = Reach::default();
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        assert_eq!(reach.away_for(at(9)), None, "there is none");
        let (a, b) = (reach.join(), reach.join());
        reach.note(a, false, at(0));
        assert_eq!(reach.away_for(at(100)), None);
        reach.note(b, false, at(50));
        reach.note(a, false, at(60));
        assert_eq!(reach.away_for(at(100)), Some(Duration::from_secs(50)));
        reach.note(a, true, at(100));
        assert_eq!(reach.away_for(at(101)), None);
        reach.note(a, false, at(110));
        assert_eq!(reach.away_for(at(111)), Some(Duration::from_secs(1)));
    }
}
