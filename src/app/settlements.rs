//! Starts the watchers of the operator's money: what slots paid, and what relays have registered.

use std::sync::Arc;

use reqwest::Client;
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

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
pub(super) fn start_settlements(config: &Config, parts: SettlementParts) -> Vec<JoinHandle<()>> {
    let SettlementParts { ledger, spine, relays, http, beacon, stop } = parts;
    let reporter = reporter(config, ledger.clone());
    let mut tasks = vec![tokio::spawn(run_checks(reporter.clone(), spine.clone(), stop.clone()))];
    if !config.profit.registrations_every.is_zero() && config.profit.data_api {
        let task =
            run_registration_checks(reporter, spine.clone(), Arc::clone(&relays), http.clone(), stop.clone());
        tasks.push(tokio::spawn(task));
    }
    let Some(url) = config.execution.clone() else { return tasks };
    let (tell, news) = mpsc::channel(NEWS);
    if let Some(beacon) = beacon.clone() {
        tasks.push(tokio::spawn(follow_chain(beacon, tell.clone(), stop.clone())));
    }
    let watcher = Watcher::new(WatcherParts {
        ledger,
        spine,
        execution: ExecutionNode::new(http.clone(), url).of_chain(config.spec.chain_id),
        beacon,
        relays,
        http,
        slots: config.spec.clock(),
        settings: config.profit.clone(),
    });
    tasks.push(tokio::spawn(async move {
        // Held as long as the watcher runs, so that a channel without news is not taken for its end.
        let _open = tell;
        watcher.run(news, stop).await;
    }));
    tasks
}
