//! What two nodes cannot share: a name, a container, a unit, a folder, a port.

use std::path::Path;

use super::checker::Checker;
use crate::supervisor::{LaunchSpec, NodeSettings, Port, RuntimeSettings};

/// Says of each node what one before it has already.
pub(super) fn clashes(nodes: &[(usize, NodeSettings)], checker: &mut Checker) {
    for (position, (index, node)) in nodes.iter().enumerate() {
        for (other_index, other) in nodes.iter().take(position) {
            let pair = Pair { index: *index, node, other_index: *other_index, other };
            pair.names(checker);
            pair.folders(checker);
            pair.ports(checker);
        }
    }
}

struct Pair<'a> {
    index: usize,
    node: &'a NodeSettings,
    other_index: usize,
    other: &'a NodeSettings,
}

impl Pair<'_> {
    fn say(&self, key: &str, other_key: &str, message: String, hint: &str, checker: &mut Checker) {
        let (at, other) =
            (format!("nodes[{}].{key}", self.index), format!("nodes[{}].{other_key}", self.other_index));
        checker.contradicts(&at, &other, message, hint);
    }

    fn names(&self, checker: &mut Checker) {
        let Self { node, other, .. } = self;
        // Metrics and container names tell them apart by it, and case would not.
        if node.id.as_str().eq_ignore_ascii_case(other.id.as_str()) {
            let message = format!("`{}` is there twice", node.id);
            self.say("id", "id", message, "give each node a name of its own", checker);
            return;
        }
        match (&node.runtime, &other.runtime) {
            (RuntimeSettings::Docker(one), RuntimeSettings::Docker(two))
                if one.container == two.container =>
            {
                let message = format!("is the container of {}, too", other.id);
                self.say("container", "container", message, "give each node one of its own", checker);
            }
            (RuntimeSettings::Systemd(one), RuntimeSettings::Systemd(two)) if one.unit == two.unit => {
                let message = format!("is the unit of {}, too", other.id);
                self.say("unit", "unit", message, "give each node one of its own", checker);
            }
            _ => {}
        }
    }

    fn folders(&self, checker: &mut Checker) {
        let (Some(one), Some(two)) = (data(self.node), data(self.other)) else { return };
        if one.starts_with(two) || two.starts_with(one) {
            let message = format!(
                "{} and the folder of {}, {}, are one: two databases in it destroy each other",
                one.display(),
                self.other.id,
                two.display()
            );
            self.say("data", "data", message, "give each node a folder of its own", checker);
        }
    }

    fn ports(&self, checker: &mut Checker) {
        let (Some(one), Some(two)) = (launch(self.node), launch(self.other)) else {
            self.addresses(checker);
            return;
        };
        let shared = |port: &&Port| {
            two.ports.iter().any(|other| other.host_port == port.host_port && other.protocol == port.protocol)
        };
        let Some(port) = one.ports.iter().find(shared) else { return };
        let key = key_of(port, self.node);
        let message = format!("port {} is published for {} as well", port.host_port, self.other.id);
        let hint = match key {
            "p2p_port" => "give each node its own, such as p2p_port = 30304",
            _ => "give each node its own",
        };
        let other = two.ports.iter().find(|other| other.host_port == port.host_port);
        let other_key = other.map_or(key, |port| key_of(port, self.other));
        self.say(key, other_key, message, hint, checker);
    }

    /// Of nodes that are not made here, the address is all that is known.
    fn addresses(&self, checker: &mut Checker) {
        let address = |node: &NodeSettings| {
            let url = &node.probe.as_ref()?.url;
            Some((url.host_str()?.to_owned(), url.port_or_known_default(), url.path().to_owned()))
        };
        if let (Some(one), Some(two)) = (address(self.node), address(self.other))
            && one == two
        {
            let message = format!("is the address of {}, too", self.other.id);
            self.say("rpc_url", "rpc_url", message, "give each node its own", checker);
        }
    }
}

/// The key that a published port comes from.
fn key_of(port: &Port, node: &NodeSettings) -> &'static str {
    if !port.host.is_loopback() {
        return "p2p_port";
    }
    let rpc = node.probe.as_ref().and_then(|probe| probe.url.port_or_known_default());
    match port.port {
        _ if rpc == Some(port.host_port) => "rpc_url",
        8551 => "engine_port",
        8546 | 8548 | 8900 => "ws_port",
        _ => "metrics_port",
    }
}

fn launch(node: &NodeSettings) -> Option<&LaunchSpec> {
    match &node.runtime {
        RuntimeSettings::Docker(docker) => docker.launch.as_ref(),
        RuntimeSettings::Systemd(_) | RuntimeSettings::Process(_) => None,
    }
}

fn data(node: &NodeSettings) -> Option<&Path> {
    let mounts = launch(node)?.mounts.iter();
    mounts.filter(|mount| !mount.read_only).map(|mount| mount.source.as_path()).next()
}
