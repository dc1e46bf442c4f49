//! Puts a kind's shape and the operator's keys together.

use std::net::{IpAddr, Ipv4Addr};

use super::{
    super::{
        kind::NodeKind,
        launch::{LaunchSpec, Mount, Network, Port, Protocol},
    },
    beacon::{beacon, by_command, p2p_port},
    execution::{geth, reth},
    input::{Lack, Template},
    nitro::nitro,
    optimism::{op_node, op_reth},
    shape::{DATA, JWT, Lacks, Shape},
    solana::{agave, agave_by_command, test_validator},
};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Peers come from everywhere.
const ANYWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// How a container is started.
///
/// # Errors
/// Every key that is missing or that this kind cannot have.
pub fn launch(template: &Template) -> Result<LaunchSpec, Vec<Lack>> {
    let mut lacks = Lacks::default();
    let shape = shape(template, &mut lacks);
    if !lacks.0.is_empty() {
        return Err(lacks.0);
    }
    let mount = |source: &Option<std::path::PathBuf>, target: &str, read_only| {
        source.clone().map(|source| Mount { source, target: target.to_owned(), read_only })
    };
    let mounts = [mount(&template.data, shape.data, false), mount(&template.jwt_file, JWT, true)]
        .into_iter()
        .flatten();
    let env = shape.env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    // What the operator writes goes before what the template has.
    let env = env.filter(|(name, _)| template.env.iter().all(|(own, _)| own != name));
    let ports = ports(template, &shape);
    let mut networks = vec![Network::Internal];
    // Nothing of an internal network can be published, not even on loopback: for that, too, it needs the other one.
    if !ports.is_empty() || needs_the_way_out(template.kind) {
        networks.push(Network::P2p);
    }
    Ok(LaunchSpec {
        image: template.image.as_str().to_owned(),
        entrypoint: shape.entrypoint.map(str::to_owned),
        env: env.chain(template.env.iter().cloned()).collect(),
        user: template.user,
        mounts: mounts.collect(),
        tmpfs: Vec::new(),
        ports,
        networks,
        limits: template.limits.clone(),
        stop_grace: template.stop_grace,
        args: shape.args.into_iter().chain(template.args.iter().cloned()).collect(),
    })
}

fn shape(template: &Template, lacks: &mut Lacks) -> Shape {
    if let Some(command) = &template.command {
        // Ports and folders are the kind's all the same; what the template would need, the command says by itself.
        let mut unasked = Lacks::default();
        let shape = match template.kind {
            NodeKind::Agave => agave_by_command(),
            NodeKind::Beacon => by_command(p2p_port(template)),
            kind => of_kind(kind, template, &mut unasked),
        };
        // As in a compose file: the image's own program gets it.
        return Shape { entrypoint: None, args: command.clone(), env: Vec::new(), ..shape };
    }
    of_kind(template.kind, template, lacks)
}

fn of_kind(kind: NodeKind, template: &Template, lacks: &mut Lacks) -> Shape {
    match kind {
        NodeKind::Geth => geth(template, lacks),
        NodeKind::Reth => reth(template, lacks),
        NodeKind::Beacon => beacon(template, lacks),
        NodeKind::Nitro => nitro(template, lacks),
        NodeKind::OpNode => op_node(template, lacks),
        NodeKind::OpReth => op_reth(template, lacks),
        NodeKind::Agave => agave(lacks),
        NodeKind::SolanaTestValidator => test_validator(template, lacks),
        NodeKind::Generic => generic(template),
    }
}

/// Anything else: nothing is known of it but what the operator says. Its ports are the same inside and outside.
fn generic(template: &Template) -> Shape {
    let ports = &template.ports;
    Shape {
        data: DATA,
        rpc: ports.rpc.unwrap_or_default(),
        ws: ports.ws,
        engine: ports.engine,
        metrics: ports.metrics,
        p2p: ports.p2p.iter().flat_map(|port| [(*port, Protocol::Tcp), (*port, Protocol::Udp)]).collect(),
        ..Shape::default()
    }
}

fn ports(template: &Template, shape: &Shape) -> Vec<Port> {
    let outside = &template.ports;
    let own = [
        (outside.rpc, Some(shape.rpc)),
        (outside.ws, shape.ws),
        (outside.engine, shape.engine),
        (outside.metrics, shape.metrics),
    ];
    let own = own.into_iter().filter_map(|(outside, inside)| {
        Some(Port { host: LOOPBACK, host_port: outside?, port: inside?, protocol: Protocol::Tcp })
    });
    let peers = shape.p2p.iter().map(|(port, protocol)| Port {
        host: ANYWHERE,
        host_port: *port,
        port: *port,
        protocol: *protocol,
    });
    own.chain(peers).collect()
}

/// Whether a kind fetches something from the internet without having peers: nitro hears the sequencer's feed.
const fn needs_the_way_out(kind: NodeKind) -> bool {
    matches!(kind, NodeKind::Nitro)
}
