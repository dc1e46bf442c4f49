use std::{net::IpAddr, time::Duration};

use super::*;
use crate::{
    supervisor::{
        Cpuset, DockerSettings, Mount as HostMount, NodeKind, Port, Protocol, RestartPolicy, RuntimeSettings,
    },
    types::NodeId,
};

fn launch() -> LaunchSpec {
    LaunchSpec {
        image: "ethereum/client-go:v1.16.7".into(),
        entrypoint: None,
        args: vec!["--http".into()],
        env: vec![("TZ".into(), "UTC".into())],
        user: (1000, 1001),
        mounts: vec![HostMount { source: "/data/geth".into(), target: "/data".into(), read_only: false }],
        tmpfs: vec![("/run/geth".into(), 4096)],
        ports: Vec::new(),
        networks: vec![Network::Internal],
        limits: Limits {
            memory: Some(8 << 30),
            swap: 0,
            cpus: Some(1.5),
            cpuset: Cpuset::parse("0-1"),
            pids: Some(4096),
        },
        stop_grace: Duration::from_secs(300),
    }
}

fn node(launch: &LaunchSpec) -> NodeSettings {
    NodeSettings {
        id: NodeId::parse("geth-primary").unwrap(),
        kind: NodeKind::Geth,
        group: "execution".into(),
        runtime: RuntimeSettings::Docker(DockerSettings {
            container: "geth-primary".into(),
            launch: Some(launch.clone()),
        }),
        limits: launch.limits.clone(),
        probe: None,
        restart: RestartPolicy::default(),
        stop_grace: launch.stop_grace,
    }
}

#[test]
fn a_container_is_hardened_whatever_its_template_says() {
    let launch = launch();
    let body = body(&node(&launch), &launch, &networks(&launch), "1");
    let host = body.host_config.unwrap();
    assert_eq!(body.user.as_deref(), Some("1000:1001"));
    assert_eq!(host.readonly_rootfs, Some(true));
    assert_eq!(host.cap_drop, Some(vec!["ALL".into()]));
    assert_eq!(host.cap_add, None);
    assert_eq!(host.security_opt, Some(vec!["no-new-privileges".into()]));
    assert_eq!(host.privileged, Some(false));
    assert_eq!((host.memory, host.memory_swap), (Some(8 << 30), Some(8 << 30)));
    assert_eq!((host.nano_cpus, host.cpuset_cpus.as_deref()), (Some(1_500_000_000), Some("0-1")));
    assert_eq!(host.pids_limit, Some(4096));
    assert_eq!(host.init, Some(true));
    assert_eq!(body.stop_timeout, Some(300));
    assert_eq!(host.restart_policy.unwrap().name, Some(RestartPolicyNameEnum::NO));
    let tmpfs = host.tmpfs.unwrap();
    assert!(tmpfs["/tmp"].contains("noexec"));
    assert_eq!(tmpfs["/run/geth"], "rw,noexec,nosuid,nodev,size=4096,uid=1000,gid=1001,mode=0700");
    let log = host.log_config.unwrap();
    assert_eq!((log.typ.as_deref(), log.config.unwrap()["max-size"].as_str()), (Some("json-file"), "100m"));
    assert_eq!(body.labels.unwrap()[LABEL_NODE], "geth-primary");
    assert_eq!(host.network_mode.as_deref(), Some("relaymux-internal"));
}

#[test]
fn without_limits_none_is_sent() {
    let launch = LaunchSpec { limits: Limits::default(), ..launch() };
    let host = body(&node(&launch), &launch, &networks(&launch), "1").host_config.unwrap();
    assert_eq!((host.memory, host.memory_swap, host.nano_cpus, host.pids_limit), (None, None, None, None));
}

#[test]
fn what_publishes_a_port_is_on_the_network_of_peers_too() {
    let port = |host: &str, port, protocol| Port {
        host: host.parse::<IpAddr>().unwrap(),
        host_port: port,
        port,
        protocol,
    };
    let with_ports = LaunchSpec {
        ports: vec![
            port("127.0.0.1", 8545, Protocol::Tcp),
            port("0.0.0.0", 30303, Protocol::Tcp),
            port("0.0.0.0", 30303, Protocol::Udp),
        ],
        ..launch()
    };
    assert_eq!(networks(&launch()), [Network::Internal]);
    assert_eq!(networks(&LaunchSpec { networks: Vec::new(), ..launch() }), [Network::Internal]);
    assert_eq!(networks(&with_ports), [Network::Internal, Network::P2p]);
    let body = body(&node(&with_ports), &with_ports, &networks(&with_ports), "1");
    let bindings = body.host_config.unwrap().port_bindings.unwrap();
    assert_eq!(bindings.len(), 3);
    let rpc = bindings["8545/tcp"].as_ref().unwrap();
    assert_eq!((rpc[0].host_ip.as_deref(), rpc[0].host_port.as_deref()), (Some("127.0.0.1"), Some("8545")));
    assert_eq!(bindings["30303/udp"].as_ref().unwrap()[0].host_ip.as_deref(), Some("0.0.0.0"));
    // By the node's name on the first only: on the second are peers of others.
    let node = node(&with_ports);
    assert_eq!(endpoint(&node, &with_ports, Network::Internal).aliases, Some(vec!["geth-primary".into()]));
    assert_eq!(endpoint(&node, &with_ports, Network::P2p).aliases, None);
}

#[test]
fn cores_are_counted_in_billionths() {
    for (cores, nano) in [(1.5, 1_500_000_000), (0.1, 100_000_000), (0.0, 10_000_000), (64.0, 64_000_000_000)]
    {
        assert_eq!(nano_cpus(cores), nano);
    }
}
