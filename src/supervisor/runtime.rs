//! What a runtime can do with a node. Implemented by `runtime/docker`, `runtime/systemd` and `runtime/process`.

pub mod docker;
pub mod process;
pub mod systemd;

mod held;
mod kernel;
mod tail;
#[cfg(test)]
mod testing;

use std::time::Duration;

use futures_util::{future::BoxFuture, stream::BoxStream};

use super::{Inspection, Limits, NodeSettings};
use crate::types::{NodeId, UnixMillis};

/// Docker, systemd, or our own child processes. Each call ends within a time of its own: none waits for ever.
pub trait Runtime: Send + Sync {
    /// Looks at a node: its process, and what it uses.
    fn inspect<'a>(&'a self, node: &'a NodeSettings) -> BoxFuture<'a, Result<Inspection, RuntimeError>>;

    /// Creates it from its template, networks included. Does nothing where it is there.
    fn create<'a>(&'a self, node: &'a NodeSettings) -> BoxFuture<'a, Result<(), RuntimeError>>;

    /// Starts it. Does nothing where it runs.
    fn start<'a>(&'a self, node: &'a NodeSettings) -> BoxFuture<'a, Result<(), RuntimeError>>;

    /// Asks it to stop, and kills it once `grace` is over. Does nothing where it does not run.
    fn stop<'a>(&'a self, node: &'a NodeSettings, grace: Duration)
    -> BoxFuture<'a, Result<(), RuntimeError>>;

    /// Removes a container that we created; its data stays. Refuses one that we did not create.
    fn remove<'a>(&'a self, node: &'a NodeSettings) -> BoxFuture<'a, Result<(), RuntimeError>>;

    /// Changes limits while it runs, swap with memory; reads them back.
    fn resize<'a>(
        &'a self,
        node: &'a NodeSettings,
        limits: &'a Limits,
    ) -> BoxFuture<'a, Result<(), RuntimeError>>;

    /// Its last lines of output, oldest first; at most `lines`, and bounded in bytes.
    fn logs<'a>(
        &'a self,
        node: &'a NodeSettings,
        lines: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, RuntimeError>>;

    /// What happens to any of the nodes, as it happens. Ends when the runtime goes away: call it again.
    fn events<'a>(&'a self, nodes: &'a [NodeSettings]) -> BoxStream<'a, RuntimeEvent>;
}

/// Something happened to a node: look at it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeEvent {
    /// The node.
    pub node: NodeId,
    /// What, in the runtime's word: `die`, `oom`, `start`, `health_status`.
    pub what: String,
    /// When, in Unix milliseconds.
    pub at: Option<UnixMillis>,
}

/// Why a runtime did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuntimeError {
    /// The engine, or the bus, does not answer: nothing is known of any of its nodes.
    #[error("{0}")]
    Away(String),
    /// It refused, or it cannot be done; sentences for people that name what to do.
    #[error("{0}")]
    Refused(String),
    /// It took too long; whether it was done is not known.
    #[error("{0}")]
    TimedOut(String),
}
