//! What is wrong with networks: peers without a way out, and two that want one port.

use std::collections::BTreeMap;

use super::{
    docker_run::engine_words,
    facts::{ContainerFacts, Published},
    finding::{Finding, printable},
    rule::Rule,
    shell::Command,
};

/// With so many of one port a next one is compared.
const MAX_COMPARED: usize = 16;

/// A network that is created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Network {
    pub(super) name: String,
    pub(super) line: usize,
    /// Whether there is a way out.
    pub(super) has_exit: bool,
}

/// Networks of `docker network create`, and who joins them later by `docker network connect`.
pub(super) fn created(script: &[Command], containers: &mut [ContainerFacts]) -> Vec<Network> {
    let mut networks = Vec::new();
    for command in script {
        let Some(words) = engine_words(command) else { continue };
        let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
        let names: Vec<&str> = names(&texts);
        match texts.as_slice() {
            ["network", "create", rest @ ..] => {
                let has_exit = !rest.iter().any(|word| matches!(*word, "--internal" | "--internal=true"));
                if let Some(name) = names.last() {
                    networks.push(Network { name: (*name).to_owned(), line: command.line(), has_exit });
                }
            }
            ["network", "connect", ..] => {
                if let [.., network, container] = names.as_slice()
                    && let Some(facts) = containers.iter_mut().find(|facts| facts.name == *container)
                {
                    facts.networks.push((*network).to_owned());
                }
            }
            _ => {}
        }
    }
    networks
}

/// Words of `network create` that are no flag and no flag's value.
fn names<'a>(texts: &[&'a str]) -> Vec<&'a str> {
    const ALONE: [&str; 5] = ["--internal", "--ipv6", "--attachable", "--ingress", "--config-only"];
    let mut names = Vec::new();
    let mut rest = texts.iter().skip(2);
    while let Some(text) = rest.next() {
        if !text.starts_with('-') {
            names.push(*text);
        } else if !text.contains('=') && !ALONE.contains(text) {
            rest.next();
        }
    }
    names
}

/// Looks at the networks of one text and at who is on them.
pub(super) fn networks(networks: &[Network], containers: &[ContainerFacts]) -> Vec<Finding> {
    let mut found = Vec::new();
    let is_internal =
        |name: &String| networks.iter().any(|network| network.name == *name && !network.has_exit);
    for facts in containers.iter().filter(|facts| !facts.networks.is_empty()) {
        if !facts.networks.iter().all(is_internal) {
            continue;
        }
        if facts.client().has_peers() {
            let message = "It finds no peers: all of its networks are internal.";
            found.push(Finding::new(Rule::InternalNetworkWithPeers, facts.line, &facts.name, message));
        } else if let Some(port) = facts.ports.first() {
            let message = format!("Port {} is published from internal networks alone.", port.port);
            found.push(Finding::new(Rule::InternalNetworkWithPeers, port.line, &facts.name, message));
        }
    }
    // Only an internal network is made, for nodes of which nothing says where else they are.
    let has_exit = networks.iter().any(|network| network.has_exit);
    if let Some(network) = networks.iter().find(|network| !network.has_exit && !has_exit)
        && !containers.iter().any(|facts| facts.networks.iter().any(|name| !is_internal(name)))
        && found.is_empty()
    {
        let message =
            format!("{} is internal, and there is no second network for peers.", printable(&network.name));
        found.push(Finding::new(Rule::InternalNetworkWithPeers, network.line, &network.name, message));
    }
    found
}

/// Two containers of one text that publish one port of one address.
pub(super) fn clashes(containers: &[ContainerFacts]) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut taken: BTreeMap<(u16, bool), Vec<(&ContainerFacts, &Published)>> = BTreeMap::new();
    for facts in containers {
        for port in &facts.ports {
            let Some(host) = port.host else { continue };
            let others = taken.entry((host, port.udp)).or_default();
            let meets =
                |other: &Published| other.ip == port.ip || other.is_everywhere() || port.is_everywhere();
            if let Some((first, _)) =
                others.iter().find(|(other, there)| other.name != facts.name && meets(there))
            {
                let message = format!("Port {host} of the host is {}'s already.", printable(&first.name));
                found.push(Finding::new(Rule::PortClash, port.line, &facts.name, message));
            }
            if others.len() < MAX_COMPARED {
                others.push((facts, port));
            }
        }
    }
    found
}
