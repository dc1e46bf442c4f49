//! What a container is created from: pure.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, HostConfigLogConfig, Mount, MountType,
    NetworkingConfig, PortBinding, RestartPolicy, RestartPolicyNameEnum,
};

use crate::supervisor::{LaunchSpec, Limits, Network, NodeSettings};

/// The label that says which node a container is.
pub(super) const LABEL_NODE: &str = "relaymux.node";
/// The label that says which sidecar made it.
pub(super) const LABEL_INSTANCE: &str = "relaymux.instance";
/// Size of `/tmp`, which is memory.
const TMP_BYTES: u64 = 64 << 20;

/// The networks of a container. One that publishes a port is on the network for peers as well: Docker publishes nothing of a container that has
/// internal networks only, and does not say so.
pub(super) fn networks(launch: &LaunchSpec) -> Vec<Network> {
    let mut networks = launch.networks.clone();
    if networks.is_empty() {
        networks.push(Network::Internal);
    }
    if !launch.ports.is_empty() && !networks.contains(&Network::P2p) {
        networks.push(Network::P2p);
    }
    networks
}

/// How a container is on a network. On the first, others find it by the node's name as well as the container's.
pub(super) fn endpoint(node: &NodeSettings, launch: &LaunchSpec, network: Network) -> EndpointSettings {
    let is_first = networks(launch).first() == Some(&network);
    EndpointSettings {
        aliases: is_first.then(|| vec![node.id.as_str().to_owned()]),
        ..EndpointSettings::default()
    }
}

/// A container of a node. Hardened whatever the template says.
pub(super) fn body(
    node: &NodeSettings,
    launch: &LaunchSpec,
    networks: &[Network],
    instance: &str,
) -> ContainerCreateBody {
    let first = networks.first().copied().unwrap_or(Network::Internal);
    let port = |port: &crate::supervisor::Port| format!("{}/{}", port.port, port.protocol);
    let mut bindings: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for one in &launch.ports {
        let there = bindings.entry(port(one)).or_default().get_or_insert_default();
        there.push(PortBinding {
            host_ip: Some(one.host.to_string()),
            host_port: Some(one.host_port.to_string()),
        });
    }
    ContainerCreateBody {
        image: Some(launch.image.clone()),
        entrypoint: launch.entrypoint.clone().map(|program| vec![program]),
        cmd: Some(launch.args.clone()),
        env: Some(launch.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        user: Some(format!("{}:{}", launch.user.0, launch.user.1)),
        exposed_ports: Some(launch.ports.iter().map(port).collect()),
        labels: Some(HashMap::from([
            (LABEL_NODE.to_owned(), node.id.as_str().to_owned()),
            (LABEL_INSTANCE.to_owned(), instance.to_owned()),
        ])),
        // For those who stop it by hand: ours says it with each stop.
        stop_timeout: Some(i64::try_from(launch.stop_grace.as_secs()).unwrap_or(i64::MAX)),
        host_config: Some(HostConfig {
            network_mode: Some(first.label().to_owned()),
            port_bindings: Some(bindings),
            ..host_config(launch)
        }),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(
                first.label().to_owned(),
                endpoint(node, launch, first),
            )])),
        }),
        ..ContainerCreateBody::default()
    }
}

fn host_config(launch: &LaunchSpec) -> HostConfig {
    // Executable files have no business there, nor do devices.
    let folder = |bytes: u64| format!("rw,noexec,nosuid,nodev,size={bytes}");
    let mut tmpfs = HashMap::from([("/tmp".to_owned(), folder(TMP_BYTES))]);
    tmpfs.extend(launch.tmpfs.iter().map(|(path, bytes)| {
        (path.clone(), format!("{},uid={},gid={},mode=0700", folder(*bytes), launch.user.0, launch.user.1))
    }));
    let limits = limits(&launch.limits);
    HostConfig {
        readonly_rootfs: Some(true),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        cap_drop: Some(vec!["ALL".to_owned()]),
        privileged: Some(false),
        // A process that is told to reap children, as clients are not written to be the first process of a system.
        init: Some(true),
        tmpfs: Some(tmpfs),
        mounts: Some(
            launch
                .mounts
                .iter()
                .map(|mount| Mount {
                    typ: Some(MountType::BIND),
                    source: Some(mount.source.to_string_lossy().into_owned()),
                    target: Some(mount.target.clone()),
                    read_only: Some(mount.read_only),
                    ..Mount::default()
                })
                .collect(),
        ),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(HashMap::from([
                ("max-size".to_owned(), "100m".to_owned()),
                ("max-file".to_owned(), "3".to_owned()),
            ])),
        }),
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        ..limits
    }
}

/// Limits as the engine has them: swap is counted with memory, and the two are always named together.
fn limits(limits: &Limits) -> HostConfig {
    HostConfig {
        memory: limits.memory.map(to_i64),
        memory_swap: limits.memory.map(|memory| to_i64(memory.saturating_add(limits.swap))),
        nano_cpus: limits.cpus.map(nano_cpus),
        cpuset_cpus: limits.cpuset.as_ref().map(ToString::to_string),
        pids_limit: limits.pids.map(i64::from),
        ..HostConfig::default()
    }
}

/// Cores as the engine counts them.
pub(super) fn nano_cpus(cores: f64) -> i64 {
    // Through text: a cast of a float may lose what it does not say.
    format!("{:.0}", cores.clamp(0.01, 4096.0) * 1e9).parse().unwrap_or(i64::MAX)
}

/// A size as the engine has it.
pub(super) fn to_i64(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "create_tests.rs"]
mod tests;
