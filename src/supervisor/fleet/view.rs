//! What is shown of a node.

use serde::Serialize;

use super::{
    about::RuntimeKind,
    node::Node,
    sync_watch::SyncView,
    watched::{WatchedMs, millis},
    whole::Fleet,
};
use crate::{
    events::{NodeAction, NodeHold, NodeState, NodeWanted},
    supervisor::{Layer, Limits, NodeKind, Usage},
    types::{NodeId, UnixMillis},
};

/// A node as the ops API shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeView {
    /// Its name.
    pub id: NodeId,
    /// What it is.
    pub kind: NodeKind,
    /// What stands on what.
    pub layer: Layer,
    /// Where it runs.
    pub runtime: RuntimeKind,
    /// Nodes of one group stand in for each other.
    pub group: String,
    /// The image, unit or command.
    pub what: String,
    /// How it is.
    pub state: NodeState,
    /// Since when, in Unix milliseconds.
    pub since: UnixMillis,
    /// Why, as sentences for people.
    pub why: String,
    /// What it is wanted to be.
    pub wanted: NodeWanted,
    /// What keeps the supervisor's hands off it.
    pub hold: NodeHold,
    /// What is being done to it.
    pub doing: Option<NodeAction>,
    /// Whether we created it.
    pub ours: bool,
    /// Number of its newest block or slot.
    pub head: Option<u64>,
    /// Age of that, in milliseconds, now.
    pub head_age_ms: Option<i64>,
    /// Blocks or slots that it has yet to go.
    pub behind: Option<u64>,
    /// How long its sync will take, in seconds; none: it does not sync, or no number is worth giving.
    pub eta_secs: Option<u64>,
    /// What can be said of its sync; none: it does not sync.
    pub sync: Option<SyncView>,
    /// Peers.
    pub peers: Option<u64>,
    /// Client and version, as it calls itself.
    pub version: Option<String>,
    /// Probes that failed in a row.
    pub failed_probes: u32,
    /// What it may use.
    pub limits: LimitsView,
    /// What it uses.
    pub usage: UsageView,
    /// How often the kernel ended it for its memory, since this process of relaymux began.
    pub oom_kills: u64,
    /// Restarts by the supervisor within the window of its policy.
    pub restarts: usize,
    /// So many are a crash loop.
    pub restarts_allowed: u32,
    /// The window, in seconds.
    pub restarts_window_secs: u64,
    /// In how many seconds it is started again.
    pub restart_in_secs: Option<i64>,
}

/// Limits, in JSON. What is none has no limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LimitsView {
    /// In bytes.
    pub memory_bytes: Option<u64>,
    /// In bytes, beside the memory.
    pub swap_bytes: u64,
    /// Cores.
    pub cpus: Option<f64>,
    /// On which cores.
    pub cpuset: Option<String>,
    /// Processes and threads.
    pub pids: Option<u32>,
}

/// What is used, in JSON. What is none is not known.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct UsageView {
    /// In bytes.
    pub memory_bytes: Option<u64>,
    /// CPU time since it was started, in microseconds.
    pub cpu_us: Option<u64>,
    /// Periods in which it wanted more CPU than it may have.
    pub throttled: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Processes of it that the kernel killed for memory.
    pub oom_kills: Option<u64>,
    /// PSI `some avg10` of its memory, in percent.
    pub memory_psi: Option<f64>,
}

impl LimitsView {
    fn of(limits: &Limits) -> Self {
        let Limits { memory, swap, cpus, cpuset, pids } = limits;
        let cpuset = cpuset.as_ref().map(ToString::to_string);
        Self { memory_bytes: *memory, swap_bytes: *swap, cpus: *cpus, cpuset, pids: *pids }
    }
}

impl UsageView {
    fn of(usage: &Usage) -> Self {
        let Usage { memory, cpu_us, throttled, pids, oom_kills, memory_psi, held_to: _ } = usage;
        Self {
            memory_bytes: *memory,
            cpu_us: *cpu_us,
            throttled: *throttled,
            pids: *pids,
            oom_kills: *oom_kills,
            memory_psi: *memory_psi,
        }
    }
}

impl Fleet {
    /// All nodes as they are now.
    pub(crate) fn view(&self) -> Vec<NodeView> {
        self.nodes.iter().map(|node| self.view_of(node)).collect()
    }

    fn view_of(&self, node: &Node) -> NodeView {
        let Node {
            about,
            wanted,
            hold,
            state,
            since,
            why,
            process,
            probes,
            restarts,
            doing,
            job: _,
            cut_short: _,
            found_at: _,
            removal_at: _,
            to_tell: _,
        } = node;
        let at = self.clock.now();
        let sight = probes.sight.as_ref();
        let sync = (*state == NodeState::Syncing).then(|| probes.sync.view(at, about.stall_after));
        let in_window = |begun: &&WatchedMs| !at.is_after(**begun, about.restart.burst_window);
        NodeView {
            id: about.id.clone(),
            kind: about.kind,
            layer: about.layer(),
            runtime: about.runtime,
            group: about.group.clone(),
            what: process.what.clone(),
            state: *state,
            since: *since,
            why: why.clone(),
            wanted: *wanted,
            hold: hold.kind,
            doing: doing.as_ref().map(|doing| doing.action),
            ours: process.ours,
            head: sight.and_then(|sight| sight.head),
            head_age_ms: sight
                .and_then(|sight| sight.head_age)
                .map(|age| millis(age).saturating_add(at.since(probes.seen_at))),
            behind: sight.and_then(|sight| sight.behind),
            eta_secs: sync.as_ref().and_then(|sync| sync.eta_secs),
            sync,
            peers: sight.and_then(|sight| sight.peers),
            version: sight.and_then(|sight| sight.version.clone()),
            failed_probes: probes.fails,
            limits: LimitsView::of(&about.limits),
            usage: process.usage.as_ref().map(UsageView::of).unwrap_or_default(),
            oom_kills: restarts.oom_kills,
            restarts: restarts.begun.iter().filter(in_window).count(),
            restarts_allowed: about.restart.burst,
            restarts_window_secs: about.restart.burst_window.as_secs(),
            restart_in_secs: restarts.due.map(|due| due.since(at).max(0) / 1000),
        }
    }
}
