//! Nodes of these tests, and waiting for what becomes of them.

use std::{path::Path, time::Duration};

use relaymux::{
    supervisor::{
        DockerSettings, Inspection, LaunchSpec, Limits, Mount, Network, NodeKind, NodeSettings, Port,
        ProcessStatus, Protocol, RestartPolicy, Runtime, RuntimeSettings,
    },
    types::NodeId,
};

use super::engine::IMAGE;

pub(crate) const MIB: u64 = 1 << 20;
pub(crate) const GRACE: Duration = Duration::from_secs(20);

/// A node of a command of the stand-in.
pub(crate) fn launch(command: &str) -> LaunchSpec {
    LaunchSpec {
        image: IMAGE.to_owned(),
        entrypoint: None,
        args: command.split(' ').map(str::to_owned).collect(),
        env: vec![("GREETING".to_owned(), "hello".to_owned())],
        user: (1000, 1000),
        mounts: Vec::new(),
        tmpfs: Vec::new(),
        ports: Vec::new(),
        networks: vec![Network::Internal],
        limits: Limits {
            memory: Some(64 * MIB),
            swap: 0,
            cpus: Some(0.5),
            cpuset: relaymux::supervisor::Cpuset::parse("0"),
            pids: Some(64),
        },
        stop_grace: GRACE,
    }
}

/// A node by its container's name, which is its own.
pub(crate) fn node(id: &str, launch: Option<LaunchSpec>) -> NodeSettings {
    let limits = launch.as_ref().map(|launch| launch.limits.clone()).unwrap_or_default();
    of(id, RuntimeSettings::Docker(DockerSettings { container: id.to_owned(), launch }), limits)
}

pub(crate) fn of(id: &str, runtime: RuntimeSettings, limits: Limits) -> NodeSettings {
    NodeSettings {
        id: NodeId::parse(id).unwrap(),
        kind: NodeKind::Generic,
        group: "other".to_owned(),
        runtime,
        limits,
        probe: None,
        restart: RestartPolicy::default(),
        stop_grace: GRACE,
    }
}

pub(crate) fn port(host: &str, host_port: u16) -> Port {
    Port { host: host.parse().unwrap(), host_port, port: 8545, protocol: Protocol::Tcp }
}

pub(crate) fn mount(source: &Path, target: &str) -> Mount {
    Mount { source: source.to_owned(), target: target.to_owned(), read_only: false }
}

/// Looks until it is so.
pub(crate) async fn until(
    runtime: &dyn Runtime,
    node: &NodeSettings,
    so: impl Fn(&Inspection) -> bool,
) -> Inspection {
    let mut last = None;
    for _ in 0..300 {
        let seen = runtime.inspect(node).await.unwrap();
        if so(&seen) {
            return seen;
        }
        last = Some(seen);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{}: {last:?}; {:?}", node.id, runtime.logs(node, 20).await);
}

/// How it ended: its code, and whether for its memory.
pub(crate) async fn end(runtime: &dyn Runtime, node: &NodeSettings) -> (Option<i64>, bool) {
    let seen = until(runtime, node, |seen| matches!(seen.status, ProcessStatus::Exited { .. })).await;
    let ProcessStatus::Exited { code, oom_killed, at } = seen.status else { unreachable!() };
    assert!(at.is_some());
    (code, oom_killed)
}

/// Waits for a line of its output.
pub(crate) async fn line(runtime: &dyn Runtime, node: &NodeSettings, wanted: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for _ in 0..300 {
        lines = runtime.logs(node, 100).await.unwrap();
        if lines.iter().any(|line| line.contains(wanted)) {
            return lines;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{} has not said {wanted:?}: {lines:?}; {:?}", node.id, runtime.inspect(node).await);
}

/// Creates and starts it.
pub(crate) async fn up(runtime: &dyn Runtime, node: &NodeSettings) {
    runtime.create(node).await.unwrap();
    runtime.start(node).await.unwrap();
}
