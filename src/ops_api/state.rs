//! What the handlers share, and the errors that several of them answer.

use std::{num::NonZeroU32, sync::Arc};

use axum::{extract::State, http::StatusCode};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use metrics_exporter_prometheus::PrometheusHandle;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{Degraded, OpsSettings, RpcView, access::Access};
use crate::{
    alerts::{Desk, ForeignSource, ack_link::AckKey},
    auction::Auction,
    backup::BackupKeeper,
    consensus::WallClock,
    events::{Conditions, Spine},
    host::HostSampler,
    ledger::{Ledger, LedgerError},
    profit::Reporter,
    relay::{HealthMonitorHandle, SharedRelays},
    serve::ApiError,
    sla::SlaReader,
    supervisor::{SupervisorHandle, disk::DiskHandle, schedule::ScheduleHandle},
};

/// What this API shows.
#[derive(Debug)]
pub struct OpsParts {
    /// The address, the limits and the read token.
    pub settings: OpsSettings,
    /// Network name, for the dashboard.
    pub network: String,
    /// The configured relays, with the mode and condition of each.
    pub relays: Arc<SharedRelays>,
    /// Where slots, bundles and statistics are read.
    pub ledger: Ledger,
    /// The events for `/api/v1/events`.
    pub spine: Spine,
    /// The wall clock.
    pub clock: WallClock,
    /// Renders the metrics.
    pub metrics: PrometheusHandle,
    /// What is known of clock, nodes and forks.
    pub conditions: Conditions,
    /// Takes the operator's commands to relays.
    pub monitor: HealthMonitorHandle,
    /// Opens the routes that change something.
    pub admin_token: String,
    /// Makes profit reports.
    pub reporter: Reporter,
    /// What does not work as it should.
    pub degraded: Degraded,
    /// The service is stopping: it is not ready any more.
    pub stopping: CancellationToken,
    /// Pages stand back behind its headers and blocks.
    pub auction: Arc<Auction>,
    /// Knows what is wrong, and takes that somebody takes care.
    pub alerts: Desk,
    /// Takes others' alerts; the same one that `alerts` looks at. None where they are not taken.
    pub hook: Option<Arc<ForeignSource>>,
    /// What links in messages are signed with; none where messages have none.
    pub ack_key: Option<AckKey>,
    /// Reads availability.
    pub sla: SlaReader,
    /// Shows how the gateway is; none where there is none.
    pub rpc: Option<RpcView>,
    /// Looks after the operator's nodes; none where there are none.
    pub nodes: Option<SupervisorHandle>,
    /// Keeps the schedule; none where nobody does.
    pub schedule: Option<ScheduleHandle>,
    /// Watches and cleans disks; none where there is no `[disk]`.
    pub disk: Option<DiskHandle>,
    /// Makes backups; none where none are made by themselves.
    pub backups: Option<BackupKeeper>,
    /// The name of this machine or sidecar, as in messages.
    pub source: String,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) network: String,
    pub(super) relays: Arc<SharedRelays>,
    pub(super) ledger: Ledger,
    pub(super) spine: Spine,
    pub(super) clock: WallClock,
    pub(super) metrics: PrometheusHandle,
    pub(super) conditions: Conditions,
    pub(super) monitor: HealthMonitorHandle,
    pub(super) access: Access,
    pub(super) degraded: Degraded,
    pub(super) reporter: Reporter,
    pub(super) stopping: CancellationToken,
    pub(super) auction: Arc<Auction>,
    pub(super) alerts: Desk,
    pub(super) hook: Option<Arc<ForeignSource>>,
    pub(super) ack_key: Option<AckKey>,
    pub(super) sla: SlaReader,
    pub(super) rpc: Option<RpcView>,
    pub(super) nodes: Option<SupervisorHandle>,
    pub(super) schedule: Option<ScheduleHandle>,
    pub(super) disk: Option<DiskHandle>,
    /// Looks at the machine.
    pub(super) host: Mutex<HostSampler>,
    pub(super) backups: Option<BackupKeeper>,
    pub(super) source: String,
    /// Ends event streams.
    pub(super) stop: CancellationToken,
    /// Bounds the requests of all callers without a token.
    pub(super) limiter: Option<DefaultDirectRateLimiter>,
    /// Bounds the requests of all callers with one, apart from the others.
    pub(super) known_limiter: Option<DefaultDirectRateLimiter>,
}

pub(super) type Api = State<Arc<Shared>>;

impl Shared {
    pub(super) fn new(parts: OpsParts, stop: CancellationToken) -> Self {
        let OpsParts {
            settings,
            network,
            relays,
            ledger,
            spine,
            clock,
            metrics,
            conditions,
            monitor,
            admin_token,
            reporter,
            degraded,
            stopping,
            auction,
            alerts,
            hook,
            ack_key,
            sla,
            rpc,
            nodes,
            schedule,
            disk,
            backups,
            source,
        } = parts;
        let access = Access::new(&settings, admin_token);
        let limit = NonZeroU32::new(settings.max_requests_per_second);
        let limiter = || limit.map(|limit| RateLimiter::direct(Quota::per_second(limit)));
        Self {
            network,
            relays,
            ledger,
            spine,
            clock,
            metrics,
            conditions,
            monitor,
            access,
            degraded,
            reporter,
            stopping,
            auction,
            alerts,
            hook,
            ack_key,
            sla,
            rpc,
            nodes,
            schedule,
            disk,
            host: Mutex::new(HostSampler::new()),
            backups,
            source,
            stop,
            limiter: limiter(),
            known_limiter: limiter(),
        }
    }
}

pub(super) fn database_error(error: &LedgerError) -> ApiError {
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

pub(super) fn unknown_relay(id: &str) -> ApiError {
    let shown: String = id.chars().take(64).collect();
    ApiError::new(
        StatusCode::NOT_FOUND,
        format!("no relay `{shown}` is configured: GET /api/v1/relays has their ids"),
    )
}
