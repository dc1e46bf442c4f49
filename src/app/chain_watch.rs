//! Watches what everything else takes for granted: that this machine's clock is right, that the nodes are of the configured network
//! and new enough for coming forks, and that the network is on a fork that this version serves. Once a slot; nothing here is on the way of a header.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use metrics::{Unit, counter, describe_counter, describe_gauge};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    client_watch::ClientWatch, clock_watch::ClockWatch, conflict_watch::ConflictWatch, fork_watch::ForkWatch,
    node_watch::NodeWatch, sync_watch::SyncWatch, watch_signals::WatchSignals,
};
use crate::{
    auction::Auction,
    builder_api::RequireSynced,
    consensus::{BlobSchedule, WallClock},
    ethereum::{BeaconNode, ClientFloor, ExecutionNode},
    events::{Conditions, NoRequestReason},
    ledger::SignalBook,
    relay::SharedRelays,
    supervisor::SupervisorHandle,
    tasks::TaskGroup,
};

/// Shortest and longest time between two looks, whatever the slot's length.
const MIN_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(12);

/// What is watched, and who is told.
#[derive(Clone, Debug)]
pub(super) struct ChainWatchParts {
    pub(super) auction: Arc<Auction>,
    pub(super) relays: Arc<SharedRelays>,
    pub(super) beacon: Option<BeaconNode>,
    pub(super) execution: Option<ExecutionNode>,
    pub(super) conditions: Conditions,
    pub(super) signals: SignalBook,
    pub(super) clock: WallClock,
    /// Releases of clients that forks need, beside those known here.
    pub(super) client_floors: Vec<ClientFloor>,
    /// Nodes under supervision.
    pub(super) supervised: Option<SupervisorHandle>,
    /// Whether bids wait for nodes that say that they are not synced.
    pub(super) require_synced: RequireSynced,
}

/// Describes what the watches of chain and duties count, and begins their counters at 0, so that the first event is an increase.
pub(super) fn describe_metrics() {
    let offset = "This machine's clock minus the relays' and the beacon node's, positive when it is ahead";
    describe_gauge!("relaymux_clock_offset_seconds", Unit::Seconds, offset);
    let uncertainty = "Half of the range that the clock's offset lies in";
    describe_gauge!("relaymux_clock_offset_uncertainty_seconds", Unit::Seconds, uncertainty);
    describe_gauge!("relaymux_clock_sources", "Relays and nodes whose clocks were compared");
    describe_counter!("relaymux_clock_wrong_total", "How often this machine's clock was found wrong");
    describe_gauge!("relaymux_node_of_other_network", "1 for a node that is not of the configured network");
    describe_gauge!(
        "relaymux_node_not_synced",
        "1 for a node that says that it is not synced, or is optimistic"
    );
    let fork = "Time until a fork that this version does not serve, negative since it is in force, NaN while none is scheduled";
    describe_gauge!("relaymux_unserved_fork_seconds", Unit::Seconds, fork);
    describe_counter!(
        "relaymux_missed_requests_total",
        "Slots of ours in which no header was asked for, by reason"
    );
    counter!("relaymux_clock_wrong_total").increment(0);
    super::attributes_watch::describe_metrics();
    for reason in NoRequestReason::ALL {
        counter!("relaymux_missed_requests_total", "reason" => reason.label()).increment(0);
    }
}

/// Watches for as long as the group runs.
pub(super) fn start_chain_watch(parts: ChainWatchParts, group: &TaskGroup) {
    group.restarting("chain_watch", move |stop| run_chain_watch(parts.clone(), stop));
}

/// Watches until told to stop.
async fn run_chain_watch(parts: ChainWatchParts, stop: CancellationToken) {
    let ChainWatchParts {
        auction,
        relays,
        beacon,
        execution,
        conditions,
        signals,
        clock: wall,
        client_floors,
        supervised,
        require_synced,
    } = parts;
    let spec = auction.spec().clone();
    let pause = Duration::from_millis(spec.slot_ms).clamp(MIN_PAUSE, MAX_PAUSE);
    let mut signals = WatchSignals::new(signals);
    let slots = spec.clock();
    let mut clients = ClientWatch {
        spec: spec.clone(),
        beacon: beacon.clone(),
        execution: execution.clone(),
        floors: client_floors,
        supervised,
        looks: 0,
        said: BTreeMap::new(),
    };
    let mut forks = ForkWatch { spec, conditions: conditions.clone(), said: None };
    let mut nodes = NodeWatch { beacon: beacon.clone(), execution, conditions: conditions.clone() };
    let mut conflicts = beacon.as_ref().map(|_| ConflictWatch {
        slots,
        auction: Arc::clone(&auction),
        conditions: conditions.clone(),
        said: None,
    });
    let told = Arc::clone(&auction);
    let mut sync = SyncWatch::new(require_synced, Arc::clone(&auction), conditions.clone());
    let mut clock = ClockWatch { slots, relays, beacon, auction, conditions, was_wrong: false };
    // Before any node is asked: the configuration alone may say it, and a node may be slow.
    forks.look(None, wall.now(), &mut signals).await;
    let mut schedule = None;
    loop {
        let round = async {
            let seen = nodes.look(wall.now(), &mut signals).await;
            let (beacon_said, execution_said) = (seen.beacon_said.clone(), seen.execution_said.clone());
            sync.look(beacon_said, execution_said, wall.now(), &mut signals).await;
            match &seen.spec {
                // Only what is surely of this chain may raise its limits.
                Some(spec) if seen.is_ours => told.note_blob_schedule(spec.blobs.clone()),
                Some(_) | None => {}
            }
            if seen.is_other {
                told.note_blob_schedule(BlobSchedule::default());
                told.forget_attributes();
            }
            if let Some(conflicts) = &mut conflicts {
                conflicts.look(wall.now(), &mut signals).await;
            }
            // A node that is away for a moment takes nothing back.
            schedule = seen.spec.map(|spec| spec.forks).or(schedule.take());
            forks.look(schedule.as_deref(), wall.now(), &mut signals).await;
            clients.look(schedule.as_deref(), wall.now(), &mut signals).await;
            clock.look(seen.sync.map(|sync| sync.head), wall.now(), &mut signals).await;
        };
        tokio::select! {
            () = round => {}
            () = stop.cancelled() => return,
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = stop.cancelled() => return,
        }
    }
}
