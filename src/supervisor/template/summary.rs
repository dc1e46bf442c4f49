//! How a node is started, in a line for people. Arguments are left out: an address among them may hold a key.

use super::super::{
    launch::LaunchSpec,
    settings::{NodeSettings, RuntimeSettings},
};
use crate::types::ByteSize;

/// A line: what it is, how it runs, what it may use, where it is reached.
pub fn summary(node: &NodeSettings) -> String {
    let mut parts = vec![match &node.runtime {
        RuntimeSettings::Docker(docker) => match &docker.launch {
            Some(launch) => format!("container {} from {}", docker.container, launch.image),
            None => format!("container {}, attached to, never created", docker.container),
        },
        RuntimeSettings::Systemd(unit) => format!("unit {}, attached to, never written", unit.unit),
        RuntimeSettings::Process(process) => format!("process {}", process.program.display()),
    }];
    if let RuntimeSettings::Docker(docker) = &node.runtime
        && let Some(launch) = &docker.launch
    {
        parts.extend(of_launch(launch));
    }
    parts.extend(node.limits.memory.map(|memory| ByteSize(memory).to_string()));
    parts.extend(node.limits.cpus.map(|cpus| format!("{cpus} CPUs")));
    if !node.restart.on_failure {
        parts.push("watched only".to_owned());
    }
    format!("{}, {}", node.kind, parts.join(", "))
}

fn of_launch(launch: &LaunchSpec) -> Vec<String> {
    let mut parts = Vec::new();
    parts.extend(
        launch
            .mounts
            .iter()
            .filter(|mount| !mount.read_only)
            .map(|mount| format!("data in {}", mount.source.display())),
    );
    let of = |is_loopback| {
        let mut ports: Vec<String> = launch
            .ports
            .iter()
            .filter(|port| port.host.is_loopback() == is_loopback)
            .map(|port| port.host_port.to_string())
            .collect();
        ports.dedup();
        ports
    };
    let (own, peers) = (of(true), of(false));
    if !own.is_empty() {
        parts.push(format!("on 127.0.0.1:{}", own.join(", :")));
    }
    if !peers.is_empty() {
        parts.push(format!("peers on {}", peers.join(", ")));
    }
    parts
}
