//! Which execution client an op-node drives, among `[[nodes]]`: the two are compared.

use url::{Host, Url};

use crate::supervisor::{NodeKind, NodeSettings, RuntimeSettings};

/// Tells each op-node's probe where its execution client answers. `engines`: each node's `engine_url` by its place in the file.
///
/// By the name in `engine_url`; where that is none of another machine's, by being the only op-reth of its chain. In doubt nothing is compared.
pub(super) fn pair(nodes: &mut [(usize, NodeSettings)], engines: &[Option<String>]) {
    let found: Vec<Option<Url>> = nodes
        .iter()
        .map(|(index, node)| execution_of(node, engines.get(*index).and_then(Option::as_deref), nodes))
        .collect();
    for ((_, node), execution) in nodes.iter_mut().zip(found) {
        if let Some(probe) = &mut node.probe {
            probe.execution = execution;
        }
    }
}

fn execution_of(node: &NodeSettings, engine: Option<&str>, nodes: &[(usize, NodeSettings)]) -> Option<Url> {
    let probe = node.probe.as_ref().filter(|_| node.kind == NodeKind::OpNode)?;
    let engine = engine.and_then(|url| Url::parse(url).ok());
    let named = engine.as_ref().filter(|url| !is_here(url)).and_then(Url::host_str);
    let mut candidates = nodes.iter().map(|(_, other)| other).filter(|other| {
        let is_of_its_chain = other.probe.as_ref().is_some_and(|other| {
            other.chain_id.zip(probe.chain_id).is_none_or(|(one, another)| one == another)
        });
        other.kind == NodeKind::OpReth && is_of_its_chain && named.is_none_or(|host| is_called(other, host))
    });
    let found = candidates.next()?.probe.as_ref()?.url.clone();
    candidates.next().is_none().then_some(found)
}

/// Whether an address is this machine's own, which names nobody.
fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name == "host.docker.internal",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => true,
    }
}

fn is_called(node: &NodeSettings, host: &str) -> bool {
    let container = match &node.runtime {
        RuntimeSettings::Docker(docker) => Some(docker.container.as_str()),
        RuntimeSettings::Systemd(_) | RuntimeSettings::Process(_) => None,
    };
    // Names of URLs are in lower case.
    let is_name = |name: &str| name.eq_ignore_ascii_case(host);
    let is_address = node.probe.as_ref().and_then(|probe| probe.url.host_str()).is_some_and(is_name);
    is_name(node.id.as_str()) || container.is_some_and(is_name) || is_address
}
