//! The service, from configuration to a graceful stop.
//!
//! A start has three parts: open what may not be had (`open`), connect what rooms share (`connect`), and let each room start itself in a group
//! of tasks. A room more is its parts in `connect` and a line here.

use std::{net::SocketAddr, time::Duration};

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    alerting::Alerting,
    attributes_watch::start_attributes_watch,
    backup::start_backup_watch,
    budget_watch::watch_budgets,
    chain_watch::start_chain_watch,
    connect::{Connected, connect},
    data_dir::DataDirLock,
    duties::start_duties,
    gateway::{GatewayStart, RunningGateway, own_token, own_url, start_gateway},
    ledger_trim::trim_ledger,
    maintenance_watch::{MaintenanceWatchParts, watch_maintenance},
    open::{Opened, open},
    reload::ConfigSource,
    seed::start_seed,
    start_error::StartError,
    storage::publish_storage_troubles,
    supervisor::{NodeRuntimes, count_nodes, start_supervisor},
    task_news::tell_of_tasks,
    task_schedule::{Doers, schedule_parts},
    telemetry::start_upkeep,
    unwatched::{Watched, end_unwatched},
    watch_signals::resolve_of_earlier_processes,
};
use crate::{
    alerts, builder_api, bundles,
    config::Config,
    consensus::WallClock,
    events::Spine,
    ledger::start_writer,
    ops_api::{self, OpsParts},
    profit,
    relay::start_probes,
    serve::{Door, Listener},
    sla,
    supervisor::{Supervising, SupervisorHandle, disk, schedule},
    tasks::{Fatal, TaskGroup, Tasks},
};

/// Added to the longest submission deadline when stopping: time to write down the end.
const DRAIN_SLACK: Duration = Duration::from_secs(2);
/// Longest wait at a stop for bundles to write down theirs.
const BUNDLES_DRAIN: Duration = Duration::from_secs(8);

/// Longest wait at a stop for the gateway's calls in flight.
const GATEWAY_DRAIN: Duration = Duration::from_secs(6);

/// A running service.
#[derive(Debug)]
pub struct Service {
    addresses: Addresses,
    groups: Groups,
    connected: Connected,
    gateway: Option<RunningGateway>,
    runtimes: NodeRuntimes,
    fatal: Fatal,
    reload: mpsc::Sender<()>,
    /// Held until the files are shut.
    _lock: Option<DataDirLock>,
}

#[derive(Clone, Copy, Debug)]
struct Addresses {
    builder: SocketAddr,
    ops: SocketAddr,
    bundles: Option<SocketAddr>,
    rpc: Option<SocketAddr>,
}

impl Addresses {
    fn tell(&self, connected: &Connected) {
        let Connected { config, relays, .. } = connected;
        if let Some(address) = self.bundles {
            info!(api = "bundles", %address, "listening");
        }
        if let Some(address) = self.rpc {
            info!(api = "rpc", %address, "listening");
        }
        let (network, version) = (&config.spec.name, env!("CARGO_PKG_VERSION"));
        let (configured, asked) = (relays.all().len(), relays.active().len());
        info!(network, relays = configured, asked, version, "relaymux is up");
        info!(api = "builder", address = %self.builder, "listening");
        info!(api = "ops", address = %self.ops, "listening");
    }
}

/// The tasks, in the order in which they are told to stop.
#[derive(Debug)]
struct Groups {
    /// Serves the consensus client.
    builder: TaskGroup,
    /// Everything that watches.
    watchers: TaskGroup,
    /// Told with the watchers, and waited for no longer than it may take.
    bundles: TaskGroup,
    /// The gateway, in the same way.
    rpc: TaskGroup,
    /// Writes what all others publish until they have ended.
    writer: TaskGroup,
}

impl Groups {
    fn new(tasks: &Tasks) -> Self {
        Self {
            builder: tasks.group(),
            watchers: tasks.group(),
            bundles: tasks.group(),
            rpc: tasks.group(),
            writer: tasks.group(),
        }
    }

    /// Tells everything at once to end: for a start that failed.
    fn stop(&self) {
        let Self { builder, watchers, bundles, rpc, writer } = self;
        [builder, watchers, bundles, rpc, writer].into_iter().for_each(TaskGroup::stop);
    }
}

impl Service {
    /// Starts everything the configuration turns on. When this returns, both APIs answer. With a `source`, its changes are followed.
    ///
    /// # Errors
    /// When a folder, file or port cannot be had; nothing is left running then.
    pub async fn start(
        mut config: Config,
        source: Option<ConfigSource>,
        metrics: PrometheusHandle,
    ) -> Result<Self, StartError> {
        for warning in &config.warnings {
            warn!("{warning}");
        }
        let clock = WallClock::system();
        let Opened { lock, storage, degraded, clients, listeners } = open(&config, &clock).await?;
        let addresses = Addresses {
            builder: listeners.builder.address(),
            ops: listeners.ops.address(),
            bundles: match &listeners.bundles {
                Some((Door::Listener(listener), _)) => Some(listener.address()),
                Some((Door::Handed(_), _)) => listeners.rpc.as_ref().map(Listener::address),
                None => None,
            },
            rpc: listeners.rpc.as_ref().map(Listener::address),
        };
        let own_token = own_token(&config);
        if let Some((address, token)) = addresses.rpc.zip(own_token.as_ref()) {
            config.execution = own_url(address, token);
        }

        let supervises = config.nodes.is_some();
        let watches = (supervises, config.disk.is_some());
        resolve_of_earlier_processes(&storage.stores.ledger, watches, clock.now()).await;
        let runtimes = NodeRuntimes::new(config.nodes.as_ref(), &config.data_dir, clock.clone());
        let spine = Spine::new();
        let (tasks, fatal) = Tasks::new(tell_of_tasks(spine.clone(), degraded.clone(), clock.clone()));
        let groups = Groups::new(&tasks);
        // First of all: it has to see what the others publish while they start.
        start_writer(&storage.stores.ledger, &spine, &clock, &groups.writer);
        let (mut connected, monitor) = connect(config, clock, clients, storage.stores, spine, degraded);
        connected.resume_auction();

        let watchers = &groups.watchers;
        builder_api::start(connected.builder_api(), listeners.builder, DRAIN_SLACK, &groups.builder);
        let (ledger, clock) = (connected.stores.ledger.clone(), connected.clock.clone());
        let alerting = Alerting::new(&connected.config, ledger, clock, addresses.ops);
        let desk = alerts::start_room(connected.alerts(&alerting, metrics.clone()), watchers);
        let nodes = connected.supervisor(&runtimes).inspect_err(|_| groups.stop())?;
        let (nodes, of_nodes) =
            start_supervisor(nodes, watchers).map(|Supervising { handle, meters }| (handle, meters)).unzip();
        let gateway = match connected.config.rpc.clone().zip(listeners.rpc) {
            Some((settings, listener)) => {
                let (bundles, clock) = (listeners.bundles_through, connected.clock.clone());
                let parts = GatewayStart {
                    settings,
                    listener,
                    bundles,
                    own_token,
                    clock,
                    spine: connected.spine.clone(),
                    signals: connected.signals(),
                    nodes: nodes.as_ref().map(SupervisorHandle::states),
                    tls_roots: connected.config.tls_roots.clone(),
                    proxy: connected.config.proxy.clone(),
                };
                Some(start_gateway(parts, &groups.rpc).inspect_err(|_| groups.stop())?)
            }
            None => None,
        };
        let (view, meters) =
            gateway.as_ref().map(|gateway| (gateway.view.clone(), gateway.meters.clone())).unzip();
        let mut meters = meters.unwrap_or_default();
        count_nodes(of_nodes.unwrap_or_default(), &mut meters);
        let disk = connected.disks(nodes.clone()).map(|parts| disk::start(parts, watchers));
        let backups = connected.backups();
        let (expect, expected) = watch::channel(None);
        let doers = Doers { nodes: nodes.clone(), disk: disk.clone(), backups: backups.clone() };
        let tasks = schedule::start(schedule_parts(&connected, &doers, expected.clone()), watchers);
        let by_hand = (nodes.clone(), tasks);
        let ops = connected.ops_api(metrics.clone(), storage.admin_token, desk, &alerting, view, by_hand);
        ops_api::start(OpsParts { disk, backups: backups.clone(), ..ops }, listeners.ops, watchers);
        if let Some(parts) = connected.bundles(listeners.bundles) {
            bundles::start(parts, &groups.bundles).map_err(|error| {
                groups.stop();
                StartError::Thread(error)
            })?;
        }
        start_backup_watch(backups, watchers);
        if let Some(parts) = connected.trim() {
            watchers.restarting("ledger_trim", move |stop| trim_ledger(parts.clone(), stop));
        }
        profit::start(connected.profit(), watchers);
        monitor.start(watchers);
        start_upkeep(metrics, watchers);
        addresses.tell(&connected);
        publish_storage_troubles(&connected.signals(), &connected.stores.troubles).await;
        end_unwatched(&connected.signals(), &Watched::new(&connected.config)).await;
        start_seed(connected.seed(), watchers);
        let (reload, asked) = mpsc::channel(1);
        if let Some(reloader) = connected.reloader(source, asked, &alerting) {
            reloader.start(watchers);
        }
        start_chain_watch(connected.chain_watch(nodes), watchers);
        start_attributes_watch(connected.attributes_watch(), watchers);
        start_duties(connected.duties(expect), watchers);
        start_probes(connected.probes(expected), watchers);
        sla::start(connected.sla(addresses.builder, meters), watchers);
        let budgets = connected.budget_watch();
        watchers.restarting("error_budgets", move |stop| watch_budgets(budgets.clone(), stop));
        let windows = MaintenanceWatchParts {
            settings: alerting.settings(),
            ledger: connected.stores.ledger.clone(),
            clock: connected.clock.clone(),
        };
        watchers.restarting("maintenance_windows", move |stop| watch_maintenance(windows.clone(), stop));
        Ok(Self { addresses, groups, connected, gateway, runtimes, fatal, reload, _lock: lock })
    }

    /// Waits until a task has failed that the service cannot do without, and says so in words; the process should then stop. Cancel-safe.
    pub async fn failed(&mut self) -> String {
        self.fatal.message().await
    }

    /// Reads the configuration again, now.
    pub fn reload(&self) {
        // A full channel means that a request is waiting already.
        let _ = self.reload.try_send(());
    }

    /// Rotates the relays, now.
    pub async fn rotate(&self, reason: &str) {
        if self.connected.monitor.rotate(reason).await.is_none() {
            warn!("relays not rotated: the monitor has ended");
        }
    }

    /// Where the builder API listens.
    pub fn builder_address(&self) -> SocketAddr {
        self.addresses.builder
    }

    /// Where the ops API listens.
    pub fn ops_address(&self) -> SocketAddr {
        self.addresses.ops
    }

    /// Where bundles are taken, if they are.
    pub fn bundles_address(&self) -> Option<SocketAddr> {
        self.addresses.bundles
    }

    /// Where the gateway listens, if it does.
    pub fn rpc_address(&self) -> Option<SocketAddr> {
        self.addresses.rpc
    }

    /// The event spine, to watch.
    pub fn spine(&self) -> &Spine {
        &self.connected.spine
    }

    /// Stops: the block of every returned header may still come, until it is too late for it or `impatience` says so; then no new
    /// connections, requests and submissions in flight finish, everything is written down.
    pub async fn stop(self, impatience: CancellationToken) {
        let Connected { auction, stores, stopping, .. } = &self.connected;
        let Groups { builder, watchers, bundles, rpc, writer } = &self.groups;
        stopping.cancel();
        auction.begin_stop();
        tokio::select! {
            () = auction.until_revealed() => {}
            () = impatience.cancelled() => {}
        }
        builder.stop();
        builder.ended().await;
        // By the policies of now: a set may have a longer time than `[auction]`, and a reload another one than the start.
        let drain = auction.policies().longest_submission() + DRAIN_SLACK;
        if timeout(drain, auction.drain()).await.is_err() {
            warn!("submissions still in flight at the end of the drain; the journal has them");
        }
        watchers.stop();
        bundles.stop();
        rpc.stop();
        watchers.ended().await;
        self.runtimes.end_children(&impatience).await;
        let _ = timeout(BUNDLES_DRAIN, bundles.ended()).await;
        let _ = timeout(GATEWAY_DRAIN, async {
            rpc.ended().await;
            if let Some(gateway) = &self.gateway {
                gateway.drained().await;
            }
        })
        .await;
        // Its threads end with it.
        drop(self.gateway);
        writer.stop();
        writer.ended().await;
        stores.ledger.shut().await;
        stores.journal.shut().await;
        info!("stopped");
    }
}
