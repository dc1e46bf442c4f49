//! Child processes of ours.
//!
//! Each has a process group of its own and, where the cgroup file system may be written, a cgroup `relaymux/ID` under ours that holds it to its
//! limits; without, it is said that limits are not held. Its output goes into memory (the last lines) and into `nodes/ID.log` of the data
//! directory. It ends with us in good order: `shutdown` waits for it. Where we are killed, it lives on until it writes into the pipe that
//! nobody reads; whoever of those lives on is found by its file in the data directory, and taken over.

mod cgroups;
mod child;
mod found;
mod output;
mod program;

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    time::Duration,
};

use cgroups::OwnCgroups;
use child::{Child, Ended};
use futures_util::{
    FutureExt,
    future::{self, BoxFuture},
    stream::{self, BoxStream},
};
use parking_lot::Mutex;
use rustix::process::Signal;
use tokio::sync::broadcast::{self, error::RecvError};

use super::{
    Runtime, RuntimeError, RuntimeEvent,
    held::{self, Whole},
};
use crate::{
    consensus::WallClock,
    supervisor::{Inspection, Limits, NodeSettings, ProcessSettings, ProcessStatus, RuntimeSettings},
    types::NodeId,
};

/// Events that may wait. A listener that falls behind loses the oldest: it looks at every node all the same.
const WAITING: usize = 256;
/// How long a killed process may take to be gone.
const KILL: Duration = Duration::from_secs(15);

/// Our own children.
#[derive(Debug)]
pub struct ProcessRuntime {
    /// Where their output and their process numbers are.
    folder: PathBuf,
    clock: WallClock,
    cgroups: OwnCgroups,
    children: Mutex<HashMap<NodeId, Slot>>,
    events: broadcast::Sender<RuntimeEvent>,
    /// One start at a time: two of one node would be two processes.
    starts: tokio::sync::Mutex<()>,
    /// Nodes whose process is being started.
    starting: Mutex<HashSet<NodeId>>,
}

/// A node's newest process.
#[derive(Clone, Debug)]
struct Slot {
    child: Child,
    grace: Duration,
}

/// A node that is being started, until this is dropped.
struct Starting<'a> {
    all: &'a Mutex<HashSet<NodeId>>,
    node: NodeId,
}

impl<'a> Starting<'a> {
    fn begin(all: &'a Mutex<HashSet<NodeId>>, node: &NodeId) -> Self {
        all.lock().insert(node.clone());
        Self { all, node: node.clone() }
    }
}

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        self.all.lock().remove(&self.node);
    }
}

impl ProcessRuntime {
    /// Children whose output is kept in `nodes` of the data directory.
    pub fn new(data_dir: &Path, clock: WallClock) -> Self {
        Self {
            folder: data_dir.join("nodes"),
            clock,
            cgroups: OwnCgroups::under("/"),
            children: Mutex::new(HashMap::new()),
            events: broadcast::channel(WAITING).0,
            starts: tokio::sync::Mutex::new(()),
            starting: Mutex::default(),
        }
    }

    /// Kills every child that still runs, and what it started.
    pub fn kill(&self) {
        for slot in self.children.lock().values() {
            slot.child.signal(Signal::KILL);
        }
    }

    /// Asks every child to stop, each within its own grace, and kills the rest. Returns when none is left.
    pub async fn shutdown(&self) {
        let all: Vec<(NodeId, Slot)> =
            self.children.lock().iter().map(|(id, slot)| (id.clone(), slot.clone())).collect();
        future::join_all(all.into_iter().map(|(id, slot)| async move {
            if let Err(error) = stop(&id, &slot.child, slot.grace).await {
                tracing::error!(node = %id, %error, "child process could not be stopped");
            }
        }))
        .await;
    }

    /// The newest process of a node: one that we started, or one that an earlier run of ours left behind.
    fn newest(&self, node: &NodeSettings) -> Option<Child> {
        if let Some(slot) = self.children.lock().get(&node.id) {
            return Some(slot.child.clone());
        }
        // What is being started is on disk before it is in the table, and no earlier run's.
        if self.starting.lock().contains(&node.id) {
            return None;
        }
        let found = found::left_behind(&self.folder, &node.id)?;
        tracing::warn!(node = %node.id, pid = found.pid, "process of an earlier run is still there, and is taken over");
        let child =
            Child::taken_over(&found, &node.id, &self.folder, self.clock.clone(), self.events.clone());
        self.keep(node, child.clone());
        Some(child)
    }

    fn keep(&self, node: &NodeSettings, child: Child) {
        self.children.lock().insert(node.id.clone(), Slot { child, grace: node.stop_grace });
    }

    fn inspect(&self, node: &NodeSettings) -> Result<Inspection, RuntimeError> {
        let settings = process_of(node)?;
        let what = settings.program.display().to_string();
        let Some(child) = self.newest(node) else {
            return Ok(Inspection {
                status: ProcessStatus::Absent,
                ours: true,
                run: None,
                what,
                usage: None,
            });
        };
        let ended = child.ended();
        let status = match ended {
            Some(Ended { code, oom_killed, at }) => ProcessStatus::Exited { code, oom_killed, at: Some(at) },
            None if child.is_stopping() => ProcessStatus::Stopping,
            None => ProcessStatus::Running { since: child.since() },
        };
        let usage = ended.is_none().then(|| child.usage());
        Ok(Inspection { status, ours: true, run: Some(child.run()), what, usage })
    }

    /// There is nothing to be made but the program, which is the operator's.
    fn create(node: &NodeSettings) -> Result<(), RuntimeError> {
        let program = &process_of(node)?.program;
        if program::find(program).is_none() {
            return Err(RuntimeError::Refused(format!(
                "Node {} cannot be started: there is no program {}, or it is not executable. Install it, or correct `command`.",
                node.id,
                program.display()
            )));
        }
        Ok(())
    }

    async fn start(&self, node: &NodeSettings) -> Result<(), RuntimeError> {
        let settings = process_of(node)?;
        let _one = self.starts.lock().await;
        if self.newest(node).is_some_and(|child| child.ended().is_none()) {
            return Ok(());
        }
        Self::create(node)?;
        let _starting = Starting::begin(&self.starting, &node.id);
        let cgroup = self.cgroups.of(&node.id, &node.limits);
        let child =
            Child::start(node, settings, &self.folder, cgroup, self.clock.clone(), self.events.clone())
                .await?;
        self.keep(node, child);
        Ok(())
    }

    async fn stop(&self, node: &NodeSettings, grace: Duration) -> Result<(), RuntimeError> {
        process_of(node)?;
        match self.newest(node) {
            Some(child) => stop(&node.id, &child, grace).await,
            None => Ok(()),
        }
    }

    fn remove(&self, node: &NodeSettings) -> Result<(), RuntimeError> {
        process_of(node)?;
        if self.newest(node).is_some_and(|child| child.ended().is_none()) {
            return Err(RuntimeError::Refused(format!(
                "Node {} runs: it is stopped before it is removed.",
                node.id
            )));
        }
        self.children.lock().remove(&node.id);
        Ok(())
    }

    fn resize(&self, node: &NodeSettings, limits: &Limits) -> Result<(), RuntimeError> {
        process_of(node)?;
        let child = self.newest(node).filter(|child| child.ended().is_none()).ok_or_else(|| {
            RuntimeError::Refused(format!(
                "Node {} does not run: it is held to its `limits` under [[nodes]] when it is started. Change them there, start relaymux again, then `relaymux nodes up`.",
                node.id
            ))
        })?;
        held::check(node.id.as_str(), limits, Some(&child.usage()))?;
        child.hold_to(node.id.as_str(), limits)?;
        let holds = child.usage().held_to.unwrap_or_default();
        held::compare(node.id.as_str(), limits, &holds, Whole::here(), child.swap_is_counted())
    }

    async fn logs(&self, node: &NodeSettings, lines: usize) -> Result<Vec<String>, RuntimeError> {
        process_of(node)?;
        let of_memory = self.newest(node).map(|child| child.last_lines(lines)).unwrap_or_default();
        if !of_memory.is_empty() {
            return Ok(of_memory);
        }
        Ok(output::of_file(&self.folder, &node.id, lines).await)
    }
}

impl Drop for ProcessRuntime {
    /// Whoever forgot `shutdown` (a panic, a test): children are asked to stop, and nobody waits.
    fn drop(&mut self) {
        for slot in self.children.lock().values() {
            slot.child.signal(Signal::TERM);
        }
    }
}

/// The settings of a node that is a child of ours.
fn process_of(node: &NodeSettings) -> Result<&ProcessSettings, RuntimeError> {
    match &node.runtime {
        RuntimeSettings::Process(settings) => Ok(settings),
        RuntimeSettings::Docker(_) | RuntimeSettings::Systemd(_) => {
            Err(RuntimeError::Refused(format!("Node {} is no process of ours.", node.id)))
        }
    }
}

async fn stop(id: &NodeId, child: &Child, grace: Duration) -> Result<(), RuntimeError> {
    child.ask_to_stop();
    if child.gone_within(grace).await {
        return Ok(());
    }
    tracing::warn!(node = %id, grace_s = grace.as_secs(), "process did not stop within its grace, and is killed");
    child.signal(Signal::KILL);
    if child.gone_within(KILL).await {
        return Ok(());
    }
    Err(RuntimeError::TimedOut(format!(
        "The process of node {id} was killed, and is still there after {} s: it waits for a disk that does not answer.",
        KILL.as_secs()
    )))
}

impl Runtime for ProcessRuntime {
    fn inspect<'a>(&'a self, node: &'a NodeSettings) -> BoxFuture<'a, Result<Inspection, RuntimeError>> {
        async { self.inspect(node) }.boxed()
    }

    fn create<'a>(&'a self, node: &'a NodeSettings) -> BoxFuture<'a, Result<(), RuntimeError>> {
        async { Self::create(node) }.boxed()
    }

    fn start<'a>(&'a self, node: &'a NodeSettings) -> BoxFuture<'a, Result<(), RuntimeError>> {
        self.start(node).boxed()
    }

    fn stop<'a>(
        &'a self,
        node: &'a NodeSettings,
        grace: Duration,
    ) -> BoxFuture<'a, Result<(), RuntimeError>> {
        self.stop(node, grace).boxed()
    }

    fn remove<'a>(&'a self, node: &'a NodeSettings) -> BoxFuture<'a, Result<(), RuntimeError>> {
        async { self.remove(node) }.boxed()
    }

    fn resize<'a>(
        &'a self,
        node: &'a NodeSettings,
        limits: &'a Limits,
    ) -> BoxFuture<'a, Result<(), RuntimeError>> {
        async { self.resize(node, limits) }.boxed()
    }

    fn logs<'a>(
        &'a self,
        node: &'a NodeSettings,
        lines: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, RuntimeError>> {
        self.logs(node, lines).boxed()
    }

    fn events<'a>(&'a self, nodes: &'a [NodeSettings]) -> BoxStream<'a, RuntimeEvent> {
        Box::pin(stream::unfold(self.events.subscribe(), move |mut told| async move {
            loop {
                match told.recv().await {
                    Ok(event) if nodes.iter().any(|node| node.id == event.node) => {
                        return Some((event, told));
                    }
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            }
        }))
    }
}

#[cfg(test)]
#[path = "process_tests.rs"]
mod tests;
