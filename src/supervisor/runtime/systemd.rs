//! Units of systemd, over the system bus: attached to, never written.
//!
//! Limits are set for this boot only (`SetUnitProperties` with `runtime`), so that unit files stay the operator's. A unit's own `Restart=` should be
//! `no`: two who restart one thing are one too many.

mod bus;
mod journal;
mod properties;

use std::{collections::HashMap, path::PathBuf, time::Duration};

use bus::{Bus, Job};
use futures_util::{
    FutureExt, StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use properties::Properties;

use super::{
    Runtime, RuntimeError, RuntimeEvent,
    held::{self, Whole},
    kernel,
};
use crate::{
    host::Cgroup,
    supervisor::{Inspection, Limits, NodeSettings, ProcessStatus, RuntimeSettings, Usage},
};

/// Longest start: a unit of `Type=notify` may take long to say that it is up.
const START: Duration = Duration::from_secs(120);
/// What is left for the kill when the grace of a stop is over.
const KILL: Duration = Duration::from_secs(15);

/// The manager of this machine's units.
#[derive(Debug)]
pub struct SystemdRuntime {
    bus: Bus,
    /// Where `/proc` and `/sys` are.
    root: PathBuf,
}

impl Default for SystemdRuntime {
    fn default() -> Self {
        Self::new()
    }
}

impl SystemdRuntime {
    /// By the system bus (`DBUS_SYSTEM_BUS_ADDRESS`, else its usual socket). Nothing is connected yet.
    pub fn new() -> Self {
        Self { bus: Bus::system(), root: PathBuf::from("/") }
    }

    async fn look(&self, unit: &str) -> Result<Properties, RuntimeError> {
        self.bus.properties(unit).await
    }

    async fn inspect(&self, node: &NodeSettings) -> Result<Inspection, RuntimeError> {
        let unit = unit_of(node)?;
        let found = self.look(unit).await?;
        Ok(Inspection {
            status: found.status(),
            ours: false,
            run: found.invocation(),
            what: found.what(unit),
            usage: found.runs().then(|| self.usage(unit, &found)),
        })
    }

    fn usage(&self, unit: &str, found: &Properties) -> Usage {
        let mut usage = found.usage();
        let cgroup = found.main_pid().and_then(|pid| Cgroup::of_pid(&self.root, pid));
        if let Some(cgroup) = cgroup.filter(|cgroup| cgroup.is_named(unit)) {
            // systemd counts the file cache as use; the cgroup tells it apart.
            usage.memory = cgroup.memory_used().or(usage.memory);
            kernel::complete(&mut usage, &cgroup);
        }
        usage
    }

    /// It is not written here: whether it is there is all that can be said.
    async fn create(&self, node: &NodeSettings) -> Result<(), RuntimeError> {
        let unit = unit_of(node)?;
        match self.look(unit).await?.status() {
            ProcessStatus::Absent => Err(RuntimeError::Refused(format!(
                "systemd has no unit {unit}, and relaymux writes none: write it, `systemctl daemon-reload`, or correct `unit` of node {}.",
                node.id
            ))),
            _ => Ok(()),
        }
    }

    async fn start(&self, node: &NodeSettings) -> Result<(), RuntimeError> {
        self.create(node).await?;
        self.bus.job(Job::Start, unit_of(node)?, START).await
    }

    async fn stop(&self, node: &NodeSettings, grace: Duration) -> Result<(), RuntimeError> {
        let unit = unit_of(node)?;
        if self.look(unit).await?.is_down() {
            return Ok(());
        }
        match self.bus.job(Job::Stop, unit, grace).await {
            Err(RuntimeError::TimedOut(_)) => {
                tracing::warn!(node = %node.id, unit, grace_s = grace.as_secs(), "unit did not stop within its grace, and is killed");
                self.bus.kill(unit).await?;
                // The job of before is still there, and ends with the last process; asking again joins it.
                self.bus.job(Job::Stop, unit, KILL).await
            }
            done => done,
        }
    }

    async fn resize(&self, node: &NodeSettings, limits: &Limits) -> Result<(), RuntimeError> {
        let unit = unit_of(node)?;
        let before = self.look(unit).await?;
        if before.status() == ProcessStatus::Absent {
            return self.create(node).await;
        }
        let usage = before.runs().then(|| self.usage(unit, &before));
        held::check(unit, limits, usage.as_ref())?;
        self.bus.set(unit, properties::of_limits(limits)).await?;
        let after = self.look(unit).await?;
        let holds = if after.runs() { self.usage(unit, &after).held_to } else { after.held_to() };
        // On cgroup v1 systemd has no limit of swap.
        let swap_is_counted = self.root.join("sys/fs/cgroup/cgroup.controllers").exists();
        held::compare(unit, limits, &holds.unwrap_or_default(), Whole::here(), swap_is_counted)
    }

    async fn logs(&self, node: &NodeSettings, lines: usize) -> Result<Vec<String>, RuntimeError> {
        journal::last(unit_of(node)?, lines).await
    }
}

/// The unit of a node that is one.
fn unit_of(node: &NodeSettings) -> Result<&str, RuntimeError> {
    match &node.runtime {
        RuntimeSettings::Systemd(settings) => Ok(&settings.unit),
        RuntimeSettings::Docker(_) | RuntimeSettings::Process(_) => {
            Err(RuntimeError::Refused(format!("Node {} is no unit of systemd.", node.id)))
        }
    }
}

impl Runtime for SystemdRuntime {
    fn inspect<'a>(&'a self, node: &'a NodeSettings) -> BoxFuture<'a, Result<Inspection, RuntimeError>> {
        self.inspect(node).boxed()
    }

    fn create<'a>(&'a self, node: &'a NodeSettings) -> BoxFuture<'a, Result<(), RuntimeError>> {
        self.create(node).boxed()
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
        async move {
            Err(RuntimeError::Refused(format!(
                "Unit {} was not written by relaymux, so it is not removed: `systemctl disable` it, and remove its file.",
                unit_of(node)?
            )))
        }
        .boxed()
    }

    fn resize<'a>(
        &'a self,
        node: &'a NodeSettings,
        limits: &'a Limits,
    ) -> BoxFuture<'a, Result<(), RuntimeError>> {
        self.resize(node, limits).boxed()
    }

    fn logs<'a>(
        &'a self,
        node: &'a NodeSettings,
        lines: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, RuntimeError>> {
        self.logs(node, lines).boxed()
    }

    fn events<'a>(&'a self, nodes: &'a [NodeSettings]) -> BoxStream<'a, RuntimeEvent> {
        let units: HashMap<&str, &NodeSettings> =
            nodes.iter().filter_map(|node| Some((unit_of(node).ok()?, node))).collect();
        stream::once(self.bus.changes(units))
            .flat_map(|changes| match changes {
                Ok(changes) => changes,
                Err(_) => stream::empty().boxed(),
            })
            .boxed()
    }
}

#[cfg(test)]
#[path = "systemd_tests.rs"]
mod tests;
