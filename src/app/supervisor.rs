//! The supervisor of `[[nodes]]`: its parts, and how its nodes count for availability.

use std::{sync::Arc, time::Duration};

use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, ready},
    stream::{self, BoxStream},
};

use crate::{
    events::AnswerMeter,
    sla::Indicator,
    supervisor::{
        Inspection, Limits, NodeSettings, Probe, ProbeFailed, Runtime, RuntimeError, RuntimeEvent, Runtimes,
        Sight, Supervising, SupervisorHandle, SupervisorParts, start,
    },
    tasks::TaskGroup,
    types::UnixMillis,
};

/// Starts looking after nodes; none where none is configured. Their answers are added to `meters`, unless the gateway counts those of an upstream of
/// the same name: what its clients saw counts more than probes.
pub(super) fn start_supervisor(
    parts: SupervisorParts,
    meters: &mut Vec<(Indicator, AnswerMeter)>,
    group: &TaskGroup,
) -> Option<SupervisorHandle> {
    if parts.nodes.is_empty() {
        return None;
    }
    let Supervising { handle, meters: of_nodes } = start(parts, group);
    for (node, meter) in of_nodes {
        let indicator = Indicator::Node(node);
        if meters.iter().all(|(known, _)| *known != indicator) {
            meters.push((indicator, meter));
        }
    }
    Some(handle)
}

/// What runs nodes.
pub(super) fn runtimes() -> Runtimes {
    let none: Arc<dyn Runtime> = Arc::new(NotHere);
    Runtimes { docker: Arc::clone(&none), systemd: Arc::clone(&none), process: none }
}

/// Who asks them.
pub(super) fn probe() -> Arc<dyn Probe> {
    Arc::new(NotHere)
}

/// Stands in for what this build does not have.
struct NotHere;

const NOT_HERE: &str = "this build of relaymux has no such runtime";

fn away<'a, T: Send + 'a>() -> BoxFuture<'a, Result<T, RuntimeError>> {
    ready(Err(RuntimeError::Away(NOT_HERE.to_owned()))).boxed()
}

impl Runtime for NotHere {
    fn inspect<'a>(&'a self, _: &'a NodeSettings) -> BoxFuture<'a, Result<Inspection, RuntimeError>> {
        away()
    }

    fn create<'a>(&'a self, _: &'a NodeSettings) -> BoxFuture<'a, Result<(), RuntimeError>> {
        away()
    }

    fn start<'a>(&'a self, _: &'a NodeSettings) -> BoxFuture<'a, Result<(), RuntimeError>> {
        away()
    }

    fn stop<'a>(&'a self, _: &'a NodeSettings, _: Duration) -> BoxFuture<'a, Result<(), RuntimeError>> {
        away()
    }

    fn remove<'a>(&'a self, _: &'a NodeSettings) -> BoxFuture<'a, Result<(), RuntimeError>> {
        away()
    }

    fn resize<'a>(&'a self, _: &'a NodeSettings, _: &'a Limits) -> BoxFuture<'a, Result<(), RuntimeError>> {
        away()
    }

    fn logs<'a>(&'a self, _: &'a NodeSettings, _: usize) -> BoxFuture<'a, Result<Vec<String>, RuntimeError>> {
        away()
    }

    fn events<'a>(&'a self, _: &'a [NodeSettings]) -> BoxStream<'a, RuntimeEvent> {
        stream::empty().boxed()
    }
}

impl Probe for NotHere {
    fn probe<'a>(&'a self, _: &'a NodeSettings, _: UnixMillis) -> BoxFuture<'a, Result<Sight, ProbeFailed>> {
        ready(Err(ProbeFailed("This build of relaymux has no probes of nodes.".to_owned()))).boxed()
    }
}
