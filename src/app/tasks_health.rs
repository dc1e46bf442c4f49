//! The task `health_check`: whether relays answer, nodes are ready, the ledger is whole and its disk has room. It looks, says all of it in words, and
//! fails where something is wrong.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use http::HeaderValue;
use tokio::{task::spawn_blocking, time::Instant};

use super::sync_gate::{Said, beacon_says, execution_says};
use crate::{
    consensus::WallClock,
    ethereum::{BeaconNode, ExecutionNode},
    events::{Conditions, Effect, NodeState, NodeWanted},
    ledger::Ledger,
    relay::{CallContext, SharedRelays},
    supervisor::{
        NodeView, SupervisorHandle,
        schedule::{TaskContext, TaskFailed, TaskReport},
    },
};

/// Longest wait for a relay.
const RELAY_WITHIN: Duration = Duration::from_secs(5);
/// A filesystem with less than this share free is short of room, in percent.
const LEAST_FREE_PERCENT: u64 = 10;
/// And one with less than this, in bytes.
const LEAST_FREE_BYTES: u64 = 1 << 30;

/// What is looked at.
#[derive(Clone, Debug)]
pub(super) struct HealthTask {
    pub(super) relays: Arc<SharedRelays>,
    pub(super) beacon: Option<BeaconNode>,
    pub(super) execution: Option<ExecutionNode>,
    pub(super) nodes: Option<SupervisorHandle>,
    pub(super) conditions: Conditions,
    pub(super) ledger: Ledger,
    pub(super) data_dir: PathBuf,
    pub(super) clock: WallClock,
}

/// What was found: sentences.
#[derive(Debug, Default, PartialEq, Eq)]
struct Findings {
    wrong: Vec<String>,
    well: Vec<String>,
}

impl Findings {
    /// The report: what is wrong first.
    fn report(self) -> Result<TaskReport, TaskFailed> {
        let Self { wrong, well } = self;
        if wrong.is_empty() {
            return Ok(TaskReport::done(format!("All is well. {}", well.join(" "))));
        }
        Err(TaskFailed([wrong, well].concat().join(" ")))
    }
}

/// Looks at everything.
pub(super) async fn check_health(task: HealthTask, context: TaskContext) -> Result<TaskReport, TaskFailed> {
    let mut found = Findings::default();
    context.progress("asking relays");
    relays(&task.relays, &mut found).await;
    context.progress("looking at nodes");
    nodes(&task, &mut found).await;
    context.progress("looking at the disk");
    let data_dir = task.data_dir.clone();
    // A disk that hangs holds up none of the runtime's threads.
    match spawn_blocking(move || room(&data_dir)).await {
        Ok(Some(room)) => disk(room, &task.data_dir, &mut found),
        Ok(None) | Err(_) => {
            found.wrong.push(format!("How full the disk of {} is cannot be read.", task.data_dir.display()));
        }
    }
    // It reads the whole file: not while somebody may need the disk.
    context.until_clear().await;
    context.progress("looking through the ledger");
    ledger(&task, &mut found).await;
    found.report()
}

async fn relays(relays: &SharedRelays, found: &mut Findings) {
    let user_agent = HeaderValue::from_static(concat!("relaymux/", env!("CARGO_PKG_VERSION")));
    let enabled = relays.enabled_of(&relays.all());
    let count = enabled.len();
    let mut asked: FuturesUnordered<_> = enabled
        .into_iter()
        .map(|relay| {
            let context =
                CallContext { user_agent: user_agent.clone(), deadline: Instant::now() + RELAY_WITHIN };
            async move { (relay.id().clone(), relay.status(&context).await) }
        })
        .collect();
    let mut silent = Vec::new();
    while let Some((id, answer)) = asked.next().await {
        if let Err(failure) = answer {
            silent.push(format!("The relay {id} is not well: {failure}."));
        }
    }
    silent.sort();
    found.well.push(format!("{} of {count} relays answer.", count - silent.len()));
    found.wrong.extend(silent);
}

async fn nodes(task: &HealthTask, found: &mut Findings) {
    for (name, condition) in task.conditions.all() {
        if condition.effect != Effect::None {
            found.wrong.push(format!("{}: {}.", name.replace('_', " "), condition.message));
        }
    }
    let beacon = match &task.beacon {
        Some(node) => Some(beacon_says(node.sync_status().await.ok().as_ref())),
        None => None,
    };
    let now = task.clock.now();
    let execution = match &task.execution {
        Some(node) => Some(execution_says(node.progress().await.ok().as_ref(), now)),
        None => None,
    };
    for (name, said) in [("beacon", beacon), ("execution", execution)] {
        match said {
            None => {}
            Some(Said::Synced) => found.well.push(format!("The {name} node is synced.")),
            Some(Said::NotSynced(words)) => found.wrong.push(sentence(&words)),
            Some(Said::Nothing) => found.wrong.push(format!("The {name} node does not say how far it is.")),
            // The conditions say it.
            Some(Said::NotOurs) => {}
        }
    }
    if let Some(nodes) = &task.nodes {
        supervised(&nodes.view(), found);
    }
}

/// Nodes under supervision that are not as they are wanted.
fn supervised(nodes: &[NodeView], found: &mut Findings) {
    let mut well = 0;
    for node in nodes {
        if is_as_wanted(node.state, node.wanted) {
            well += 1;
        } else {
            let state = node.state.label().replace('_', " ");
            found.wrong.push(format!("The node {} is {state}: {}", node.id, sentence(&node.why)));
        }
    }
    if !nodes.is_empty() {
        found.well.push(format!("{well} of {} nodes are as they are wanted.", nodes.len()));
    }
}

fn is_as_wanted(state: NodeState, wanted: NodeWanted) -> bool {
    match state {
        NodeState::Healthy | NodeState::Syncing | NodeState::Starting => true,
        NodeState::Absent | NodeState::Stopped => wanted != NodeWanted::Up,
        NodeState::Pruning | NodeState::Maintenance => true,
        NodeState::Unknown
        | NodeState::Lagging
        | NodeState::Hung
        | NodeState::Crashed
        | NodeState::OutOfMemory
        | NodeState::CrashLoop => false,
    }
}

async fn ledger(task: &HealthTask, found: &mut Findings) {
    let state = task.ledger.write_state();
    if state.failing_since.is_some() {
        found.wrong.push(format!("The ledger {}.", state.describe(task.clock.now())));
    }
    match task.ledger.damages().await {
        Ok(damages) if damages.is_empty() => found.well.push("The ledger is whole.".to_owned()),
        Ok(damages) => found.wrong.push(format!(
            "The ledger is damaged: {}. Restore a backup, or move the file away: a new one is begun then.",
            damages.join("; ")
        )),
        Err(error) => found.wrong.push(format!("The ledger cannot be looked through: {error}.")),
    }
}

/// What a filesystem has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Room {
    free: u64,
    total: u64,
    free_inodes: u64,
    inodes: u64,
}

fn room(folder: &Path) -> Option<Room> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(Room {
        free: disk.f_bavail.saturating_mul(disk.f_frsize),
        // As `df` has it: without what is kept for root.
        total: (disk.f_blocks.saturating_sub(disk.f_bfree).saturating_add(disk.f_bavail))
            .saturating_mul(disk.f_frsize),
        free_inodes: disk.f_favail,
        inodes: disk.f_files,
    })
}

fn disk(room: Room, folder: &Path, found: &mut Findings) {
    let percent = room.free.saturating_mul(100).checked_div(room.total).unwrap_or(0);
    let words =
        format!("{} MiB of the disk of {} are free ({percent} %).", room.free >> 20, folder.display());
    let is_short = percent < LEAST_FREE_PERCENT || room.free < LEAST_FREE_BYTES;
    if is_short {
        found.wrong.push(words)
    } else {
        found.well.push(words)
    }
    // Filesystems without a table of inodes say 0.
    if room.inodes > 0 && room.free_inodes.saturating_mul(100) / room.inodes < LEAST_FREE_PERCENT {
        let Room { free_inodes, inodes, .. } = room;
        found
            .wrong
            .push(format!("It has room for few more files: {free_inodes} of {inodes} inodes are free."));
    }
}

/// A text as a sentence.
fn sentence(text: &str) -> String {
    let mut chars = text.trim().trim_end_matches('.').chars();
    let first = chars.next().map(|first| first.to_uppercase().collect::<String>()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_comes_first_and_fails_the_task() {
        let well = || vec!["3 of 3 relays answer.".to_owned()];
        let report = Findings { wrong: Vec::new(), well: well() }.report().unwrap();
        assert_eq!((report.is_well, report.message.as_str()), (true, "All is well. 3 of 3 relays answer."));
        let wrong = vec!["The ledger is damaged: page 7.".to_owned()];
        let failed = Findings { wrong, well: well() }.report().unwrap_err();
        assert_eq!(failed.0, "The ledger is damaged: page 7. 3 of 3 relays answer.");
    }

    #[test]
    fn a_disk_is_short_of_bytes_or_files() {
        let gib = 1 << 30;
        for (name, free, total, free_inodes, inodes, wrong) in [
            ("room", 50 * gib, 100 * gib, 50, 100, 0),
            ("few percent", 9 * gib, 100 * gib, 50, 100, 1),
            ("few bytes", gib - 1, 2 * gib, 50, 100, 1),
            ("few files", 50 * gib, 100 * gib, 9, 100, 1),
            ("no inodes to speak of", 50 * gib, 100 * gib, 0, 0, 0),
            ("nothing", 0, 0, 0, 100, 2),
        ] {
            let mut found = Findings::default();
            disk(Room { free, total, free_inodes, inodes }, Path::new("/data"), &mut found);
            assert_eq!(found.wrong.len(), wrong, "{name}: {found:?}");
        }
        assert!(room(Path::new("/")).unwrap().total > 0);
    }

    #[test]
    fn nodes_are_judged_by_what_they_are_wanted_to_be() {
        for (state, wanted, want) in [
            (NodeState::Healthy, NodeWanted::Up, true),
            (NodeState::Stopped, NodeWanted::Stopped, true),
            (NodeState::Stopped, NodeWanted::Up, false),
            (NodeState::Absent, NodeWanted::Watched, true),
            (NodeState::Lagging, NodeWanted::Watched, false),
            (NodeState::CrashLoop, NodeWanted::Up, false),
            (NodeState::Maintenance, NodeWanted::Up, true),
        ] {
            assert_eq!(is_as_wanted(state, wanted), want, "{state} {wanted:?}");
        }
        assert_eq!(sentence("the node says that it is syncing"), "The node says that it is syncing.");
    }
}
