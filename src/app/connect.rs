//! Second part of a start: what rooms share, made of the configuration and of what was opened, and each room's own parts, made of that.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, sync::Arc};

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{
    age_source::AgeSource,
    alert_rules::alert_rules,
    alerting::Alerting,
    backup::keeper,
    budget_watch::BudgetWatchParts,
    chain_watch::ChainWatchParts,
    digests::Digests,
    disk::clean_parts,
    duties::DutyParts,
    host_source::HostSource,
    ledger_trim::TrimParts,
    metric_rules::metric_rules,
    policies::{Clients, LoadedKeys, build_policies, cached_keys},
    reload::{ConfigSource, Reloader},
    seed::SeedParts,
    start_error::StartError,
    supervisor::{NodeRuntimes, probe},
    unwatched::Watched,
};
use crate::{
    alerts::{Desk, Grading, MetricRules, MetricSource, RoomParts},
    auction::{Auction, AuctionParts, Validators},
    backup::BackupKeeper,
    builder_api::BuilderApiParts,
    bundles::BundleParts,
    bundles_api,
    config::Config,
    consensus::WallClock,
    ethereum::{BeaconNode, ExecutionNode},
    events::{AnswerMeter, Conditions, Spine},
    host::HostSize,
    http_client::HttpClients,
    ledger::{SignalBook, Stores},
    ops_api::{Degraded, DigestMaker, OpsParts, RpcView},
    profit::{ProfitParts, Reporter},
    relay::{
        ExpectedProposals, HealthMonitor, HealthMonitorHandle, ProbeParts, Relay, SavedHealth, SharedRelays,
        build_http_client,
    },
    serve::Door,
    sla::{Indicator, SlaNodes, SlaParts, SlaReader},
    supervisor::{SupervisorHandle, SupervisorParts, disk::DiskParts, schedule::ScheduleHandle},
};

/// What rooms share.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) config: Config,
    pub(super) clock: WallClock,
    pub(super) clients: Clients,
    /// Keys that loaders brought, as an earlier process left them.
    pub(super) loaded: LoadedKeys,
    pub(super) stores: Stores,
    pub(super) spine: Spine,
    pub(super) degraded: Degraded,
    pub(super) conditions: Conditions,
    pub(super) relays: Arc<SharedRelays>,
    pub(super) auction: Arc<Auction>,
    pub(super) monitor: HealthMonitorHandle,
    pub(super) beacon: Option<BeaconNode>,
    pub(super) execution: Option<ExecutionNode>,
    /// How the builder API's answers to its clients went.
    pub(super) answers: AnswerMeter,
    /// Cancelled once the service is stopping: it is not ready any more.
    pub(super) stopping: CancellationToken,
}

/// Makes what rooms share. What earlier processes left in `stores` for relays' reputations and the auction goes there.
pub(super) fn connect(
    config: Config,
    clock: WallClock,
    clients: Clients,
    mut stores: Stores,
    spine: Spine,
    degraded: Degraded,
) -> (Connected, HealthMonitor) {
    let all: Vec<Arc<Relay>> =
        config.relays.iter().map(|settings| clients.relay(settings, &config)).collect();
    let loaded = cached_keys(&config);
    let policies = build_policies(&config, &all, &loaded);
    let relays = Arc::new(SharedRelays::new(all));
    let http = &clients.http;
    let beacon = config.beacon.clone();
    let beacon = beacon.map(|url| BeaconNode::new(http.clone(), url, clock.clone()).of_network(&config.spec));
    let execution = config.execution.clone();
    let execution = execution.map(|url| ExecutionNode::new(http.clone(), url).of_chain(config.spec.chain_id));
    let saved = SavedHealth {
        reputations: std::mem::take(&mut stores.reputations),
        blocks: std::mem::take(&mut stores.block_records),
    };
    let (monitor, handle) =
        HealthMonitor::new(Arc::clone(&relays), config.monitor.clone(), spine.clone(), saved, clock.clone());
    let auction = Auction::new(AuctionParts {
        spec: config.spec.clone(),
        policies,
        beacon: beacon.clone(),
        relays: Arc::clone(&relays),
        spine: spine.clone(),
        journal: stores.journal.clone(),
        validators: Arc::new(Validators::new(config.spec.slot_ms)),
        clock: clock.clone(),
    });
    let (conditions, stopping) = (Conditions::default(), CancellationToken::new());
    let connected = Connected {
        config,
        clock,
        clients,
        loaded,
        stores,
        spine,
        degraded,
        conditions,
        relays,
        auction,
        monitor: handle,
        beacon,
        execution,
        answers: AnswerMeter::default(),
        stopping,
    };
    (connected, monitor)
}

impl Connected {
    /// Takes up what an earlier process left: registrations, and signed blocks without a fate.
    pub(super) fn resume_auction(&mut self) {
        self.auction.restore_registrations(&std::mem::take(&mut self.stores.registrations));
        for block in std::mem::take(&mut self.stores.unsettled) {
            self.auction.resume(block);
        }
    }

    /// Where the operator is told of what lasts.
    pub(super) fn signals(&self) -> SignalBook {
        SignalBook::new(self.stores.ledger.clone(), self.spine.clone(), self.clock.clone())
    }

    pub(super) fn builder_api(&self) -> BuilderApiParts {
        BuilderApiParts {
            settings: self.config.builder_api.clone(),
            auction: Arc::clone(&self.auction),
            relays: Arc::clone(&self.relays),
            ledger: self.stores.ledger.clone(),
            clock: self.clock.clone(),
            answers: self.answers.clone(),
        }
    }

    /// `meters`: parts whose answers are counted where they are given.
    pub(super) fn sla(&self, builder: SocketAddr, meters: Vec<(Indicator, AnswerMeter)>) -> SlaParts {
        SlaParts {
            clock: self.clock.clone(),
            slots: self.config.spec.clock(),
            ledger: self.stores.ledger.clone(),
            spine: self.spine.clone(),
            relays: Arc::clone(&self.relays),
            nodes: SlaNodes { beacon: self.beacon.clone(), execution: self.execution.clone() },
            builder: self.answers.clone(),
            builder_address: Some(builder),
            meters,
            // Of our own port, which no proxy reaches.
            http: build_http_client(&self.config.tls_roots, None)
                .unwrap_or_else(|_| self.clients.http.clone()),
            stopping: self.stopping.clone(),
            data_dir: self.config.data_dir.clone(),
        }
    }

    /// Reads availability against what the operator wants to hold.
    fn sla_reader(&self) -> SlaReader {
        SlaReader { ledger: self.stores.ledger.clone(), objective: self.config.sla }
    }

    /// The room that says who is told what.
    pub(super) fn alerts(&self, alerting: &Alerting, metrics: PrometheusHandle) -> RoomParts {
        let config = &self.config.alerts;
        let rules = metric_rules().into_iter().chain(config.rules.iter().cloned()).collect();
        let of_metrics = MetricSource::new(MetricRules::new(rules), Arc::new(move || metrics.render()));
        RoomParts {
            ledger: self.stores.ledger.clone(),
            clock: self.clock.clone(),
            spine: self.spine.clone(),
            signals: self.signals(),
            rules: alert_rules(),
            settings: alerting.settings(),
            channels: config.channels.clone(),
            sources: vec![
                Arc::new(of_metrics),
                Arc::clone(&alerting.foreign) as _,
                Arc::new(HostSource::new(&config.host_root, Arc::clone(&self.relays))),
                Arc::new(AgeSource::new(config.ages.clone())),
            ],
            grading: Grading { disabled: config.disabled.clone(), severities: config.severities.clone() },
            digests: Some(Arc::new(Digests(self.digest_maker()))),
            deadman: config.dead_man.clone(),
            http: self.clients.http.clone(),
        }
    }

    fn digest_maker(&self) -> DigestMaker {
        DigestMaker {
            ledger: self.stores.ledger.clone(),
            reporter: self.reporter(),
            sla: self.sla_reader(),
            source: self.config.alerts.settings.source.clone(),
        }
    }

    pub(super) fn budget_watch(&self) -> BudgetWatchParts {
        BudgetWatchParts { reader: self.sla_reader(), signals: self.signals(), clock: self.clock.clone() }
    }

    pub(super) fn ops_api(
        &self,
        metrics: PrometheusHandle,
        admin_token: String,
        alerts: Desk,
        alerting: &Alerting,
        rpc: Option<RpcView>,
        (nodes, schedule): (Option<SupervisorHandle>, ScheduleHandle),
    ) -> OpsParts {
        OpsParts {
            settings: self.config.ops.clone(),
            network: self.config.spec.name.clone(),
            relays: Arc::clone(&self.relays),
            ledger: self.stores.ledger.clone(),
            spine: self.spine.clone(),
            clock: self.clock.clone(),
            metrics,
            conditions: self.conditions.clone(),
            monitor: self.monitor.clone(),
            admin_token,
            reporter: self.reporter(),
            degraded: self.degraded.clone(),
            stopping: self.stopping.clone(),
            auction: Arc::clone(&self.auction),
            alerts,
            hook: Some(Arc::clone(&alerting.foreign)),
            ack_key: Some(alerting.key.clone()),
            sla: self.sla_reader(),
            rpc,
            nodes,
            schedule: Some(schedule),
            disk: None,
            backups: None,
            source: self.config.alerts.settings.source.clone(),
        }
    }

    /// Makes backups; none where no folder is configured for them.
    pub(super) fn backups(&self) -> Option<BackupKeeper> {
        let Self { config, stores, spine, clock, stopping, .. } = self;
        keeper(config, &stores.ledger, spine, self.signals(), clock, stopping.clone())
    }

    /// What trims the ledger; none where everything is kept for ever.
    pub(super) fn trim(&self) -> Option<TrimParts> {
        let retention = self.config.retention;
        (!retention.is_forever()).then(|| TrimParts {
            ledger: self.stores.ledger.clone(),
            retention,
            slots: self.config.spec.clock(),
            clock: self.clock.clone(),
        })
    }

    /// What looks after the operator's nodes.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub(super) fn supervisor(&self, runtimes: &NodeRuntimes) -> Result<SupervisorParts, StartError> {
        let guard = self.config.nodes.as_ref().map(|nodes| nodes.psi).unwrap_or_default();
        let nodes = self.config.nodes.as_ref().map(|nodes| nodes.nodes.clone());
        Ok(SupervisorParts {
            nodes: nodes.unwrap_or_default(),
            runtimes: runtimes.all.clone(),
            probe: probe(&HttpClients::build(&self.config.tls_roots, None)?),
            ledger: self.stores.ledger.clone(),
            signals: self.signals(),
            spine: self.spine.clone(),
            clock: self.clock.clone(),
            host_root: self.config.alerts.host_root.clone(),
            guard,
            stopping: self.stopping.clone(),
            capacity: HostSize::read(Path::new("/"))
                .zip(self.config.nodes.as_ref().map(|nodes| nodes.reserve)),
        })
    }

    /// What watches disks; none without `[disk]`.
    pub(super) fn disks(&self, nodes: Option<SupervisorHandle>) -> Option<DiskParts> {
        Some(DiskParts {
            clean: clean_parts(&self.config, self.clock.clone())?,
            ledger: self.stores.ledger.clone(),
            signals: self.signals(),
            spine: self.spine.clone(),
            nodes,
        })
    }

    /// None where bundles are not taken.
    pub(super) fn bundles(&self, opened: Option<(Door, reqwest::Client)>) -> Option<BundleParts> {
        let (door, http) = opened?;
        Some(BundleParts {
            settings: self.config.bundles.clone()?,
            door,
            router: bundles_api::router,
            node: self.execution.as_ref()?.through(http.clone()),
            http,
            slot_secs: (self.config.spec.slot_ms / 1000).max(1),
            clock: self.clock.clone(),
            ledger: self.stores.ledger.clone(),
        })
    }

    pub(super) fn reporter(&self) -> Reporter {
        Reporter {
            ledger: self.stores.ledger.clone(),
            slots: self.config.spec.clock(),
            settings: self.config.profit.clone(),
            has_execution: self.config.execution.is_some(),
            has_beacon: self.config.beacon.is_some(),
        }
    }

    pub(super) fn profit(&self) -> ProfitParts {
        ProfitParts {
            reporter: self.reporter(),
            spine: self.spine.clone(),
            clock: self.clock.clone(),
            relays: Arc::clone(&self.relays),
            http: self.clients.http.clone(),
            beacon: self.beacon.clone(),
            execution: self.execution.clone(),
        }
    }

    /// None where trust begins without the relays' public record.
    pub(super) fn seed(&self) -> Option<SeedParts> {
        let rpc = self.config.execution.clone().filter(|_| self.config.seed_from_public_record)?;
        Some(SeedParts {
            http: self.clients.http.clone(),
            node: ExecutionNode::new(self.clients.http.clone(), rpc).of_chain(self.config.spec.chain_id),
            relays: Arc::clone(&self.relays),
            monitor: self.monitor.clone(),
        })
    }

    pub(super) fn chain_watch(&self, supervised: Option<SupervisorHandle>) -> ChainWatchParts {
        ChainWatchParts {
            auction: Arc::clone(&self.auction),
            relays: Arc::clone(&self.relays),
            beacon: self.beacon.clone(),
            execution: self.execution.clone(),
            conditions: self.conditions.clone(),
            signals: self.signals(),
            clock: self.clock.clone(),
            client_floors: self.config.alerts.client_floors.clone(),
            supervised,
            require_synced: self.config.builder_api.require_synced,
        }
    }

    /// None where bids are not compared with what the beacon node says of payloads.
    pub(super) fn attributes_watch(&self) -> Option<(BeaconNode, Arc<Auction>)> {
        let beacon = self.beacon.clone().filter(|_| self.config.follows_attributes)?;
        Some((beacon, Arc::clone(&self.auction)))
    }

    /// None without a beacon node, which knows who proposes when.
    pub(super) fn duties(&self, expected: watch::Sender<ExpectedProposals>) -> Option<DutyParts> {
        Some(DutyParts {
            beacon: self.beacon.clone()?,
            auction: Arc::clone(&self.auction),
            ledger: self.stores.ledger.clone(),
            spine: self.spine.clone(),
            expected,
            started_at: self.clock.now(),
            clock: self.clock.clone(),
        })
    }

    pub(super) fn probes(&self, expected: watch::Receiver<ExpectedProposals>) -> ProbeParts {
        ProbeParts {
            relays: Arc::clone(&self.relays),
            slots: self.config.spec.clock(),
            clock: self.clock.clone(),
            everybody: self.config.builder_api.relay_check,
            expected,
            monitor: self.monitor.clone(),
            spine: self.spine.clone(),
        }
    }

    /// None where there is no file to follow.
    pub(super) fn reloader(
        &self,
        source: Option<ConfigSource>,
        asked: mpsc::Receiver<()>,
        alerting: &Alerting,
    ) -> Option<Reloader> {
        Some(Reloader {
            source: source?,
            asked,
            running: self.config.clone(),
            auction: Arc::clone(&self.auction),
            relays: Arc::clone(&self.relays),
            monitor: self.monitor.clone(),
            clients: self.clients.clone(),
            loaded: self.loaded.clone(),
            due: BTreeMap::new(),
            alerting: alerting.clone(),
            signals: self.signals(),
            watched: Watched::new(&self.config),
        })
    }
}
