//! The service, from configuration to a graceful stop.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    attributes_watch::run_attributes_watch,
    bundles::{BUNDLES_DRAIN, start_bundles},
    chain_watch::{ChainWatchParts, run_chain_watch},
    data_dir::DataDirLock,
    duties::{DutyParts, run_duties},
    notices::resolve_of_earlier_processes,
    policies::{Clients, build_policies, cached_keys},
    reload::{ConfigSource, Reloader},
    seed::run_seed,
    settlements::{SettlementParts, reporter, start_settlements},
    start_error::StartError,
    storage::{Storage, open_storage, publish_storage_troubles, take_data_dir},
    supervisor::{Fatal, Supervisor},
    telemetry::process_metrics,
};
use crate::{
    auction::{Auction, AuctionParts, Validators},
    builder_api::{self, BuilderApiSettings},
    bundles::BundleParts,
    config::Config,
    consensus::WallClock,
    ethereum::{BeaconNode, ExecutionNode},
    events::{Conditions, Spine},
    ledger::{Journal, Ledger, Stores, run_writer},
    ops_api::{self, Degraded, OpsParts},
    relay::{
        HealthMonitor, HealthMonitorHandle, ProbeParts, Relay, SavedHealth, SharedRelays, build_http_client,
        run_probes,
    },
    serve::{HostGate, Listener},
};

/// Added to the submission deadline when stopping: time to write down the end.
const DRAIN_SLACK: Duration = Duration::from_secs(2);

/// A running service.
#[derive(Debug)]
pub struct Service {
    builder_address: SocketAddr,
    ops_address: SocketAddr,
    bundles_address: Option<SocketAddr>,
    bundles: Option<JoinHandle<()>>,
    fatal: Fatal,
    /// Held until the files are shut.
    _lock: Option<DataDirLock>,
    auction: Arc<Auction>,
    ledger: Ledger,
    journal: Journal,
    spine: Spine,
    drain: Duration,
    stopping: CancellationToken,
    stop_builder: CancellationToken,
    stop_watchers: CancellationToken,
    stop_writer: CancellationToken,
    reload: mpsc::Sender<()>,
    monitor: HealthMonitorHandle,
    builder: JoinHandle<()>,
    watchers: Vec<JoinHandle<()>>,
    writer: JoinHandle<()>,
}

impl Service {
    /// Starts everything the configuration turns on. When this returns, both APIs answer. With a `source`, its changes are followed.
    ///
    /// # Errors
    /// When a folder, file or port cannot be had; nothing is left running then.
    pub async fn start(
        config: Config,
        source: Option<ConfigSource>,
        metrics: PrometheusHandle,
    ) -> Result<Self, StartError> {
        for warning in &config.warnings {
            warn!("{warning}");
        }
        let lock = take_data_dir(&config)?;
        let clients = Clients::for_config(&config)?;
        let BuilderApiSettings { listen, allowed_hosts, .. } = &config.builder_api;
        let gate = HostGate::for_programs("builder_api", *listen, allowed_hosts);
        let builder_listener = Listener::bind("builder", *listen).await?.behind(gate);
        let gate = HostGate::for_people("ops", &config.ops.allowed_hosts);
        let ops_listener = Listener::bind("ops", config.ops.listen).await?.behind(gate);
        let bundles_listener = match &config.bundles {
            Some(bundles) => {
                let gate = HostGate::for_programs("bundles", bundles.listen, &bundles.allowed_hosts);
                Some(Listener::bind("bundles", bundles.listen).await?.behind(gate))
            }
            None => None,
        };
        let degraded = Degraded::default();
        let Storage { admin_token, stores } = open_storage(&config, &degraded).await?;
        let Stores { ledger, journal, unsettled, registrations, reputations, block_records, troubles } =
            stores;
        resolve_of_earlier_processes(&ledger).await;
        let spine = Spine::new();
        let (supervisor, fatal) = Supervisor::new(spine.clone(), degraded.clone());
        let (stop_builder, stop_watchers, stop_writer) =
            (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
        let writer = start_writer(&supervisor, &ledger, &spine, &stop_writer);
        let all: Vec<Arc<Relay>> =
            config.relays.iter().map(|settings| clients.relay(settings, &config)).collect();
        let loaded = cached_keys(&config);
        let policies = build_policies(&config, &all, &loaded);
        let relays = Arc::new(SharedRelays::new(all));
        let seed_from = config.execution.clone().filter(|_| config.seed_from_public_record);
        let beacon = config
            .beacon
            .clone()
            .map(|url| BeaconNode::new(clients.http.clone(), url).of_network(&config.spec));
        let execution = config.execution.clone();
        let execution =
            execution.map(|url| ExecutionNode::new(clients.http.clone(), url).of_chain(config.spec.chain_id));
        let conditions = Conditions::default();
        let running = config.clone();
        let saved = SavedHealth { reputations, blocks: block_records };
        let (monitor, monitor_handle) =
            HealthMonitor::new(Arc::clone(&relays), config.monitor.clone(), spine.clone(), saved);
        let drain = config.auction.timeout_get_payload + DRAIN_SLACK;
        let slots = config.spec.clock();
        let network = config.spec.name.clone();
        let follows_attributes = config.follows_attributes;
        let auction = Auction::new(AuctionParts {
            spec: config.spec,
            policies,
            beacon: beacon.clone(),
            relays: Arc::clone(&relays),
            spine: spine.clone(),
            journal: journal.clone(),
            validators: Arc::new(Validators::new(slots.slot_ms())),
        });
        auction.restore_registrations(&registrations);
        for block in unsettled {
            auction.resume(block);
        }

        let (builder_address, ops_address) = (builder_listener.address(), ops_listener.address());
        let relay_check = config.builder_api.relay_check;
        let builder_router = builder_api::router(
            Arc::clone(&auction),
            Arc::clone(&relays),
            ledger.clone(),
            config.builder_api,
        );
        let stopping = CancellationToken::new();
        let ops_router = ops_api::router(OpsParts {
            stopping: stopping.clone(),
            settings: config.ops,
            network: network.clone(),
            relays: Arc::clone(&relays),
            ledger: ledger.clone(),
            spine: spine.clone(),
            metrics: metrics.clone(),
            conditions: conditions.clone(),
            monitor: monitor_handle.clone(),
            admin_token,
            reporter: reporter(&running, ledger.clone()),
            degraded: degraded.clone(),
            stop: stop_watchers.clone(),
        });
        let serving = builder_listener.serve(builder_router, stop_builder.clone(), drain);
        let builder = supervisor.vital("builder_api", &stop_builder, serving);
        let serving = ops_listener.serve(ops_router, stop_watchers.clone(), Duration::from_secs(2));
        let mut watchers = vec![supervisor.optional("ops_api", &stop_watchers, serving)];
        let mut bundles_address = None;
        let mut bundles = None;
        if let (Some(settings), Some(listener), Some(execution)) =
            (running.bundles.clone(), bundles_listener, &execution)
        {
            let address = listener.address();
            info!(api = "bundles", %address, "listening");
            // Connections of its own, too: no builder ever waits in a relay's pool, nor a relay in a builder's.
            let http = build_http_client(&running.tls_roots, running.proxy.as_deref())?;
            let parts = BundleParts {
                settings,
                listener,
                node: execution.through(http.clone()),
                http,
                slot_secs: (running.spec.slot_ms / 1000).max(1),
                ledger: ledger.clone(),
                stop: stop_watchers.clone(),
            };
            let ended = start_bundles(parts).map_err(StartError::Thread)?;
            bundles = Some(supervisor.optional("bundles", &stop_watchers, ended));
            bundles_address = Some(address);
        }
        let settlement_parts = SettlementParts {
            ledger: ledger.clone(),
            spine: spine.clone(),
            relays: Arc::clone(&relays),
            http: clients.http.clone(),
            beacon: beacon.clone(),
            execution: execution.clone(),
            stop: stop_watchers.clone(),
        };
        watchers.extend(start_settlements(&running, settlement_parts, &supervisor));
        watchers.push(supervisor.vital("monitor", &stop_watchers, monitor.run(stop_watchers.clone())));
        watchers.push(supervisor.restarting("metrics", &stop_watchers, {
            let stop = stop_watchers.clone();
            move || keep_metrics(metrics.clone(), stop.clone())
        }));
        let (configured, asked) = (relays.all().len(), relays.active().len());
        info!(network, relays = configured, asked, version = env!("CARGO_PKG_VERSION"), "relaymux is up");
        info!(api = "builder", address = %builder_address, "listening");
        info!(api = "ops", address = %ops_address, "listening");
        publish_storage_troubles(&ledger, &spine, &troubles).await;
        if let Some(rpc) = seed_from {
            let (http, relays) = (clients.http.clone(), Arc::clone(&relays));
            let (monitor, stop) = (monitor_handle.clone(), stop_watchers.clone());
            let seed = run_seed(http, rpc, running.spec.chain_id, relays, monitor, stop);
            watchers.push(supervisor.finite("public_record", &stop_watchers, seed));
        }
        let (reload, asked) = mpsc::channel(1);
        if let Some(source) = source {
            let (auction, relays) = (Arc::clone(&auction), Arc::clone(&relays));
            let monitor = monitor_handle.clone();
            let due = BTreeMap::new();
            let reloader = Reloader { source, running, auction, relays, monitor, clients, loaded, due };
            let task = reloader.run(asked, stop_watchers.clone());
            watchers.push(supervisor.optional("reload", &stop_watchers, task));
        }
        let chain_watch = ChainWatchParts {
            auction: Arc::clone(&auction),
            relays: Arc::clone(&relays),
            beacon: beacon.clone(),
            execution,
            conditions,
            ledger: ledger.clone(),
            spine: spine.clone(),
        };
        watchers.push(supervisor.restarting("chain_watch", &stop_watchers, {
            let stop = stop_watchers.clone();
            move || run_chain_watch(chain_watch.clone(), stop.clone())
        }));
        let (expect, expected) = watch::channel(None);
        if let Some(beacon) = beacon {
            if follows_attributes {
                let (beacon, auction) = (beacon.clone(), Arc::clone(&auction));
                let stop = stop_watchers.clone();
                let follow = move || run_attributes_watch(beacon.clone(), Arc::clone(&auction), stop.clone());
                watchers.push(supervisor.restarting("payload_attributes", &stop_watchers, follow));
            }
            let (auction, ledger, spine) = (Arc::clone(&auction), ledger.clone(), spine.clone());
            let started_at = WallClock.now();
            let duties = DutyParts { beacon, auction, ledger, spine, expected: expect, started_at };
            let stop = stop_watchers.clone();
            watchers.push(
                supervisor
                    .restarting("duties", &stop_watchers, move || run_duties(duties.clone(), stop.clone())),
            );
        }
        let probes = ProbeParts {
            relays,
            slots,
            everybody: relay_check,
            expected,
            monitor: monitor_handle.clone(),
            spine: spine.clone(),
        };
        watchers.push(supervisor.restarting("probes", &stop_watchers, {
            let stop = stop_watchers.clone();
            move || run_probes(probes.clone(), stop.clone())
        }));
        Ok(Self {
            builder_address,
            ops_address,
            bundles_address,
            bundles,
            fatal,
            _lock: lock,
            auction,
            ledger,
            journal,
            spine,
            drain,
            stopping,
            stop_builder,
            stop_watchers,
            stop_writer,
            reload,
            monitor: monitor_handle,
            builder,
            watchers,
            writer,
        })
    }

    /// Waits until a task has failed that the service cannot do without, and says so in words; the process should then stop. Cancel-safe.
    pub async fn failed(&mut self) -> String {
        self.fatal.message().await
    }

    /// Reads the configuration again, now.
    pub fn reload(&self) {
        // A full channel means that a wish is waiting already.
        let _ = self.reload.try_send(());
    }

    /// Rotates the relays, now.
    pub async fn rotate(&self, reason: &str) {
        if self.monitor.rotate(reason).await.is_none() {
            warn!("relays not rotated: the monitor has ended");
        }
    }

    /// Where the builder API listens.
    pub fn builder_address(&self) -> SocketAddr {
        self.builder_address
    }

    /// Where the ops API listens.
    pub fn ops_address(&self) -> SocketAddr {
        self.ops_address
    }

    /// Where bundles are taken, if they are.
    pub fn bundles_address(&self) -> Option<SocketAddr> {
        self.bundles_address
    }

    /// The event spine, to watch.
    pub fn spine(&self) -> &Spine {
        &self.spine
    }

    /// Stops: the block of every returned header may still come, until it is too late for it or `impatience` says so; then no new
    /// connections, requests and submissions in flight finish, everything is written down.
    pub async fn stop(self, impatience: CancellationToken) {
        self.stopping.cancel();
        self.auction.begin_stop();
        tokio::select! {
            () = self.auction.until_revealed() => {}
            () = impatience.cancelled() => {}
        }
        self.stop_builder.cancel();
        let _ = self.builder.await;
        if timeout(self.drain, self.auction.drain()).await.is_err() {
            warn!("submissions still in flight at the end of the drain; the journal has them");
        }
        self.stop_watchers.cancel();
        for watcher in self.watchers {
            let _ = watcher.await;
        }
        if let Some(bundles) = self.bundles {
            let _ = timeout(BUNDLES_DRAIN, bundles).await;
        }
        self.stop_writer.cancel();
        let _ = self.writer.await;
        self.ledger.shut().await;
        self.journal.shut().await;
        info!("stopped");
    }
}

/// Starts the writer of the ledger. It watches from this moment on, whenever it first runs.
fn start_writer(
    supervisor: &Supervisor,
    ledger: &Ledger,
    spine: &Spine,
    stop: &CancellationToken,
) -> JoinHandle<()> {
    let (ledger, spine, until) = (ledger.clone(), spine.clone(), stop.clone());
    let mut first = Some(spine.subscribe());
    supervisor.restarting("ledger_writer", stop, move || {
        let events = first.take().unwrap_or_else(|| spine.subscribe());
        run_writer(ledger.clone(), events, until.clone())
    })
}

/// Folds histograms now and then, as they grow until someone scrapes, and reads what the process uses.
async fn keep_metrics(metrics: PrometheusHandle, stop: CancellationToken) {
    let process = process_metrics();
    let mut tick = tokio::time::interval(Duration::from_secs(5));
    loop {
        tokio::select! {
            _ = tick.tick() => {
                metrics.run_upkeep();
                process.collect();
            }
            () = stop.cancelled() => return,
        }
    }
}
