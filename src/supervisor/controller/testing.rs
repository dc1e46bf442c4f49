//! A runtime and a prober that do as they are told, for tests of the shell.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream, stream::BoxStream};
use parking_lot::Mutex;
use tokio::sync::{broadcast, watch};

use crate::{
    ledger::Ledger,
    supervisor::{
        DockerSettings, Inspection, Limits, NodeKind, NodeSettings, Probe, ProbeFailed, ProbeSettings,
        ProcessStatus, Ready, RestartPolicy, Runtime, RuntimeError, RuntimeEvent, RuntimeSettings,
        STALL_AFTER, Sight,
    },
    types::{NodeId, UnixMillis},
};

/// What is done to a container.
#[derive(Clone, Debug)]
struct Container {
    status: ProcessStatus,
    run: u32,
}

/// Containers without an engine.
#[derive(Debug)]
pub(super) struct Fake {
    containers: Mutex<HashMap<String, Container>>,
    /// Each call that changes something, with what the ledger said to be under way then.
    pub(super) calls: Mutex<Vec<(String, Option<String>)>>,
    /// Calls that do not end as long as they are here, such as `start a`.
    pub(super) hanging: Mutex<HashSet<String>>,
    /// Whether looks are told late, as they were when they were begun; and how many wait for it.
    pub(super) are_late: watch::Sender<bool>,
    pub(super) late: Mutex<HashSet<String>>,
    looks: Mutex<HashMap<String, u32>>,
    /// Nodes whose probes fail.
    pub(super) mute: Mutex<HashSet<String>>,
    ledger: Ledger,
    told: broadcast::Sender<RuntimeEvent>,
}

impl Fake {
    pub(super) fn new(ledger: Ledger) -> Arc<Self> {
        Arc::new(Self {
            containers: Mutex::default(),
            calls: Mutex::default(),
            hanging: Mutex::default(),
            are_late: watch::channel(false).0,
            late: Mutex::default(),
            looks: Mutex::default(),
            mute: Mutex::default(),
            ledger,
            told: broadcast::channel(64).0,
        })
    }

    /// A container becomes so, and its engine tells of it.
    pub(super) fn set(&self, node: &str, status: ProcessStatus) {
        {
            let mut containers = self.containers.lock();
            let run = containers.get(node).map_or(0, |container| container.run);
            let run = run + u32::from(matches!(status, ProcessStatus::Running { .. }));
            containers.insert(node.to_owned(), Container { status, run });
        }
        // Nobody may be listening yet.
        let _ = self.told.send(RuntimeEvent {
            node: NodeId::parse(node).unwrap(),
            what: "changed".to_owned(),
            at: None,
        });
    }

    pub(super) fn exits(&self, node: &str, code: i64) {
        self.set(node, ProcessStatus::Exited { code: Some(code), oom_killed: false, at: None });
    }

    /// Waits until a look at a node has begun from now on, and the one before was heard.
    pub(super) async fn inspected_again(&self, node: &str) {
        let looks = || self.looks.lock().get(node).copied().unwrap_or(0);
        let before = looks();
        while looks() < before + 2 {
            // An event makes it look again.
            let node = NodeId::parse(node).unwrap();
            let _ = self.told.send(RuntimeEvent { node, what: "changed".to_owned(), at: None });
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(super) fn runs(&self, node: &str) -> bool {
        let containers = self.containers.lock();
        containers.get(node).is_some_and(|it| matches!(it.status, ProcessStatus::Running { .. }))
    }

    pub(super) fn called(&self) -> Vec<String> {
        self.calls.lock().iter().map(|(call, _)| call.clone()).collect()
    }

    /// Waits until a call was begun.
    pub(super) async fn until_called(&self, call: &str) {
        while !self.called().iter().any(|called| called == call) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn call(&self, what: &str, node: &NodeSettings) {
        let under_way = self.ledger.node_memories().await.unwrap_or_default();
        let under_way = under_way.into_iter().find(|row| row.node == node.id.as_str());
        let under_way = under_way.and_then(|row| Some(row.under_way?.to_string()));
        let call = format!("{what} {}", node.id);
        self.calls.lock().push((call.clone(), under_way));
        self.hang(&call).await;
    }

    async fn hang(&self, call: &str) {
        while self.hanging.lock().contains(call) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Runtime for Fake {
    fn inspect<'a>(&'a self, node: &'a NodeSettings) -> BoxFuture<'a, Result<Inspection, RuntimeError>> {
        async move {
            self.hang(&format!("inspect {}", node.id)).await;
            *self.looks.lock().entry(node.id.to_string()).or_default() += 1;
            let container = self.containers.lock().get(node.id.as_str()).cloned();
            let Container { status, run } =
                container.unwrap_or(Container { status: ProcessStatus::Absent, run: 0 });
            let mut are_late = self.are_late.subscribe();
            if *are_late.borrow() {
                self.late.lock().insert(node.id.to_string());
                are_late.wait_for(|are_late| !are_late).await.unwrap();
            }
            Ok(Inspection {
                status,
                ours: true,
                run: Some(run.to_string()),
                what: "fake".to_owned(),
                usage: None,
            })
        }
        .boxed()
    }

    fn create<'a>(&'a self, node: &'a NodeSettings) -> BoxFuture<'a, Result<(), RuntimeError>> {
        async move {
            self.call("create", node).await;
            self.set(node.id.as_str(), ProcessStatus::Created);
            Ok(())
        }
        .boxed()
    }

    fn start<'a>(&'a self, node: &'a NodeSettings) -> BoxFuture<'a, Result<(), RuntimeError>> {
        async move {
            self.call("start", node).await;
            self.set(node.id.as_str(), ProcessStatus::Running { since: None });
            Ok(())
        }
        .boxed()
    }

    fn stop<'a>(&'a self, node: &'a NodeSettings, _: Duration) -> BoxFuture<'a, Result<(), RuntimeError>> {
        async move {
            self.call("stop", node).await;
            self.exits(node.id.as_str(), 0);
            Ok(())
        }
        .boxed()
    }

    fn remove<'a>(&'a self, node: &'a NodeSettings) -> BoxFuture<'a, Result<(), RuntimeError>> {
        async move {
            self.call("remove", node).await;
            self.set(node.id.as_str(), ProcessStatus::Absent);
            Ok(())
        }
        .boxed()
    }

    fn resize<'a>(
        &'a self,
        node: &'a NodeSettings,
        _: &'a Limits,
    ) -> BoxFuture<'a, Result<(), RuntimeError>> {
        async move {
            self.call("resize", node).await;
            Err(RuntimeError::Refused("It uses more than that.".to_owned()))
        }
        .boxed()
    }

    fn logs<'a>(
        &'a self,
        _: &'a NodeSettings,
        lines: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, RuntimeError>> {
        async move { Ok(vec!["a line".to_owned(); lines.min(2)]) }.boxed()
    }

    fn events<'a>(&'a self, _: &'a [NodeSettings]) -> BoxStream<'a, RuntimeEvent> {
        let told = self.told.subscribe();
        stream::unfold(told, |mut told| async move { Some((told.recv().await.ok()?, told)) }).boxed()
    }
}

impl Probe for Fake {
    fn probe<'a>(
        &'a self,
        node: &'a NodeSettings,
        _: UnixMillis,
    ) -> BoxFuture<'a, Result<Sight, ProbeFailed>> {
        async move {
            let containers = self.containers.lock();
            let container = containers.get(node.id.as_str());
            let runs = container.is_some_and(|it| matches!(it.status, ProcessStatus::Running { .. }));
            if !runs || self.mute.lock().contains(node.id.as_str()) {
                return Err(ProbeFailed("Connection refused.".to_owned()));
            }
            Ok(Sight { head: Some(7), ..Sight::only(Ready::Yes) })
        }
        .boxed()
    }
}

/// A container that is looked at often, and started again soon.
pub(super) fn settings(name: &str, group: &str) -> NodeSettings {
    let probe = ProbeSettings {
        url: "http://127.0.0.1:1/".parse().unwrap(),
        every: Duration::from_millis(20),
        timeout: Duration::from_secs(1),
        block_time: None,
        chain_id: None,
        lag_age: None,
        path: None,
        vote_account: None,
        stall_after: STALL_AFTER,
        execution: None,
    };
    let restart = RestartPolicy {
        backoff: Duration::from_millis(1),
        max_backoff: Duration::from_millis(1),
        hung_after: 3,
        ..RestartPolicy::default()
    };
    NodeSettings {
        id: NodeId::parse(name).unwrap(),
        kind: NodeKind::Geth,
        group: group.to_owned(),
        runtime: RuntimeSettings::Docker(DockerSettings { container: name.to_owned(), launch: None }),
        limits: Limits::default(),
        probe: Some(probe),
        restart,
        stop_grace: Duration::from_secs(300),
    }
}
