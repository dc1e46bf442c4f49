//! Starts the watchers of the operator's money: what slots paid, and what relays have registered.

use std::sync::Arc;

use reqwest::Client;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    Reporter, Watcher, WatcherParts,
    checks::{CheckParts, run_checks, run_registration_checks},
    follow_chain,
};
use crate::{
    consensus::WallClock,
    ethereum::{BeaconNode, ExecutionNode},
    events::Spine,
    ledger::SignalBook,
    relay::SharedRelays,
    tasks::TaskGroup,
};

/// News of the chain that wait for the watcher. One look serves any number of them.
const NEWS: usize = 16;

/// What this room works with.
#[derive(Clone, Debug)]
pub struct ProfitParts {
    /// Makes reports; knows the ledger, the slots and the settings.
    pub reporter: Reporter,
    /// Carries settlements and signals to the watchers.
    pub spine: Spine,
    /// The wall clock.
    pub clock: WallClock,
    /// The relays and what they have registered.
    pub relays: Arc<SharedRelays>,
    /// For the relays' Data API.
    pub http: Client,
    /// Knows proposers and their rewards, where there is one.
    pub beacon: Option<BeaconNode>,
    /// Where the blocks are; without it nothing is settled.
    pub execution: Option<ExecutionNode>,
}

/// Starts what there are settings and nodes for.
pub fn start(parts: ProfitParts, group: &TaskGroup) {
    let ProfitParts { reporter, spine, clock, relays, http, beacon, execution } = parts;
    let signals = SignalBook::new(reporter.ledger.clone(), spine.clone(), clock.clone());
    let checks = CheckParts { reporter: reporter.clone(), signals, clock: clock.clone() };
    group.restarting("profit_checks", {
        let checks = checks.clone();
        move |stop| run_checks(checks.clone(), stop)
    });
    let settings = reporter.settings.clone();
    if !settings.registrations_every.is_zero() && settings.data_api {
        let (relays, http) = (Arc::clone(&relays), http.clone());
        group.restarting("registration_checks", move |stop| {
            run_registration_checks(checks.clone(), Arc::clone(&relays), http.clone(), stop)
        });
    }
    let Some(execution) = execution else { return };
    let Reporter { ledger, slots, .. } = reporter;
    let parts = WatcherParts {
        ledger,
        spine,
        execution,
        beacon: beacon.clone(),
        relays,
        http,
        slots,
        clock,
        settings,
    };
    group.restarting("settlements", move |stop| watch_payments(parts.clone(), beacon.clone(), stop));
}

/// Settles slots, and hears the beacon node's news of them: one task, as neither is of use without the other.
async fn watch_payments(parts: WatcherParts, beacon: Option<BeaconNode>, stop: CancellationToken) {
    // Its sender is held as long as the watcher runs, so that a channel without news is not taken for its end.
    let (news_sender, news) = mpsc::channel(NEWS);
    let watching = Watcher::new(parts).run(news, stop.clone());
    match beacon {
        Some(beacon) => {
            tokio::join!(watching, follow_chain(beacon, news_sender, stop));
        }
        None => {
            watching.await;
            drop(news_sender);
        }
    }
}
