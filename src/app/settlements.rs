//! Starts the watchers of the operator's money: what slots paid, and what relays have registered.

use std::sync::Arc;

use reqwest::Client;
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::supervisor::Supervisor;
use crate::{
    config::Config,
    ethereum::{BeaconNode, ExecutionNode},
    events::Spine,
    ledger::Ledger,
    profit::{Reporter, Watcher, WatcherParts, follow_chain, run_checks, run_registration_checks},
    relay::SharedRelays,
};

/// News of the chain that wait for the watcher. One look serves any number of them.
const NEWS: usize = 16;

/// What is shared with the rest of the service.
pub(super) struct SettlementParts {
    pub(super) ledger: Ledger,
    pub(super) spine: Spine,
    pub(super) relays: Arc<SharedRelays>,
    pub(super) http: Client,
    pub(super) beacon: Option<BeaconNode>,
    pub(super) execution: Option<ExecutionNode>,
    pub(super) stop: CancellationToken,
}

/// What makes reports.
pub(super) fn reporter(config: &Config, ledger: Ledger) -> Reporter {
    Reporter {
        ledger,
        slots: config.spec.clock(),
        settings: config.profit.clone(),
        has_execution: config.execution.is_some(),
        has_beacon: config.beacon.is_some(),
    }
}

/// Starts what the configuration has the nodes for.
pub(super) fn start_settlements(
    config: &Config,
    parts: SettlementParts,
    supervisor: &Supervisor,
) -> Vec<JoinHandle<()>> {
    let SettlementParts { ledger, spine, relays, http, beacon, execution, stop } = parts;
    let reporter = reporter(config, ledger.clone());
    let mut tasks = vec![supervisor.restarting("profit_checks", &stop, {
        let (reporter, spine, stop) = (reporter.clone(), spine.clone(), stop.clone());
        move || run_checks(reporter.clone(), spine.clone(), stop.clone())
    })];
    if !config.profit.registrations_every.is_zero() && config.profit.data_api {
        let (spine, relays, http, until) = (spine.clone(), Arc::clone(&relays), http.clone(), stop.clone());
        tasks.push(supervisor.restarting("registration_checks", &stop, move || {
            let (spine, relays) = (spine.clone(), Arc::clone(&relays));
            run_registration_checks(reporter.clone(), spine, relays, http.clone(), until.clone())
        }));
    }
    let Some(execution) = execution else { return tasks };
    let parts = WatcherParts {
        ledger,
        spine,
        execution,
        beacon: beacon.clone(),
        relays,
        http,
        slots: config.spec.clock(),
        settings: config.profit.clone(),
    };
    let until = stop.clone();
    tasks.push(supervisor.restarting("settlements", &stop, move || {
        watch_payments(parts.clone(), beacon.clone(), until.clone())
    }));
    tasks
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
