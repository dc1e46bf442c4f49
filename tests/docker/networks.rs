//! Who reaches whom: on loopback, from beside, and from outside this machine, which is another network namespace.

use std::process::{Child, Command, Stdio};

use relaymux::supervisor::{Network, Runtime};

use super::{
    engine::{engine, prepared},
    world::{GRACE, launch, line, node, port, up},
};

/// Asks a stand-in; none where it cannot be reached.
pub(crate) fn call(address: &str, method: &str) -> Option<String> {
    call_with(address, method, "")
}

pub(crate) fn call_with(address: &str, method: &str, param: &str) -> Option<String> {
    answer(Command::new(prepared().join("image/stand_in")).args(["call", address, method, param]))
}

fn answer(command: &mut Command) -> Option<String> {
    let output = command.output().unwrap();
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A neighbour of this machine: a network namespace, and a cable to it. Its routes lead through us.
struct Outside(Child);

impl Outside {
    const OURS: &str = "198.51.100.1";

    fn new() -> Self {
        let child =
            Command::new("unshare").args(["--net", "sleep", "600"]).stdin(Stdio::null()).spawn().unwrap();
        let outside = Self(child);
        let pid = outside.0.id().to_string();
        // It has a namespace of its own once it sleeps.
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        while std::fs::read_link(format!("/proc/{pid}/ns/net")).is_ok_and(|its| its == own) {
            std::thread::yield_now();
        }
        ip(&["link", "add", "cable", "type", "veth", "peer", "name", "uplink", "netns", &pid]);
        ip(&["addr", "add", &format!("{}/24", Self::OURS), "dev", "cable"]);
        ip(&["link", "set", "cable", "up"]);
        outside.ip(&["addr", "add", "198.51.100.2/24", "dev", "uplink"]);
        outside.ip(&["link", "set", "uplink", "up"]);
        outside.ip(&["route", "add", "default", "via", Self::OURS]);
        outside
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.0.id().to_string(), "--net", program]);
        command
    }

    fn ip(&self, arguments: &[&str]) {
        assert!(self.command("ip").args(arguments).status().unwrap().success(), "{arguments:?}");
    }

    fn call(&self, address: &str) -> Option<String> {
        let stand_in = prepared().join("image/stand_in");
        answer(self.command(stand_in.to_str().unwrap()).args(["call", address, "eth_chainId"]))
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ip(arguments: &[&str]) {
    assert!(Command::new("ip").args(arguments).status().unwrap().success(), "{arguments:?}");
}

#[tokio::test]
async fn rpc_is_reached_on_loopback_and_by_neighbours_and_peers_from_outside() {
    let engine = engine().await;
    let runtime = engine.runtime();
    // With RPC on loopback; with a port for peers; with nothing published at all.
    let mut spec = launch("serve 8545");
    spec.ports = vec![port("127.0.0.1", 18_547)];
    let rpc = node("net-rpc", Some(spec));
    let mut spec = launch("serve 8545");
    spec.networks = vec![Network::Internal, Network::P2p];
    spec.ports = vec![port("0.0.0.0", 30_303)];
    let peers = node("net-peers", Some(spec));
    let closed = node("net-closed", Some(launch("serve 8545")));
    for node in [&rpc, &peers, &closed] {
        up(&runtime, node).await;
        line(&runtime, node, "listening").await;
    }
    let internal = |name: &str| {
        let format = "{{(index .NetworkSettings.Networks \"relaymux-internal\").IPAddress}}";
        format!("{}:8545", engine.says(&["inspect", "--format", format, name]))
    };
    let of_network = |name: &str| engine.says(&["network", "inspect", "--format", "{{.Internal}}", name]);
    assert_eq!(
        (of_network("relaymux-internal"), of_network("relaymux-p2p")),
        ("true".into(), "false".into())
    );

    let outside = Outside::new();
    assert!(call("127.0.0.1:18547", "eth_chainId").is_some(), "published on loopback");
    assert_eq!(outside.call(&format!("{}:18547", Outside::OURS)), None, "loopback only");
    // The cable works, and whatever is published to all is reached by it: the three refusals here are no accident.
    assert!(outside.call(&format!("{}:30303", Outside::OURS)).is_some(), "for peers");
    assert_eq!(outside.call(&internal("net-closed")), None);
    assert_eq!(outside.call(&internal("net-rpc")), None);
    // Neighbours reach each other by the node's name.
    let beside = |target: &str| {
        engine.docker(&[
            "run",
            "--rm",
            "--network",
            "relaymux-internal",
            super::engine::IMAGE,
            "call",
            target,
            "eth_chainId",
        ])
    };
    assert!(beside(&internal("net-closed")).status.success());
    let aliases = engine.says(&[
        "inspect",
        "--format",
        "{{(index .NetworkSettings.Networks \"relaymux-internal\").Aliases}}",
        "net-rpc",
    ]);
    assert!(aliases.contains("net-rpc"), "{aliases}");
    // From the network of peers there is no way to the internal one.
    let from_peers = engine.docker(&[
        "run",
        "--rm",
        "--network",
        "relaymux-p2p",
        super::engine::IMAGE,
        "call",
        &internal("net-closed"),
        "eth_chainId",
    ]);
    assert!(!from_peers.status.success());
    for node in [&rpc, &peers, &closed] {
        runtime.stop(node, GRACE).await.unwrap();
        runtime.remove(node).await.unwrap();
    }
}
