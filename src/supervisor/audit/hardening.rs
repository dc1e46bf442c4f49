//! What is wrong with any container, whatever runs in it.

use super::{
    client::{self, Client},
    facts::{ContainerFacts, Origin, Published},
    finding::Finding,
    rule::Rule,
};

/// Ports by which clients find and serve peers: open to everybody on purpose.
const PEER_PORTS: [u16; 13] =
    [30303, 30304, 30301, 42069, 42070, 9000, 9001, 9003, 9222, 12000, 13000, 4001, 30311];
/// Ports of Solana's gossip and transaction units: `--dynamic-port-range`.
const SOLANA_PORTS: std::ops::RangeInclusive<u16> = 8000..=8030;
/// Drivers that bound what they keep, or keep nothing.
const BOUNDED_DRIVERS: [&str; 5] = ["local", "journald", "none", "syslog", "fluentd"];
/// Tags that move.
const MOVING_TAGS: [&str; 7] = ["latest", "stable", "edge", "nightly", "main", "master", "unstable"];

/// Looks at one.
pub(super) fn hardening(facts: &ContainerFacts) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut add = |rule, line, message: String| found.push(Finding::new(rule, line, &facts.name, message));
    for port in facts.ports.iter().filter(|port| port.is_everywhere() && !is_for_peers(facts.client(), port))
    {
        let host = port.host.map_or_else(|| "a random port".to_owned(), |host| format!("port {host}"));
        add(
            Rule::PublishedEverywhere,
            port.line,
            format!("Its port {} is published as {host} of every address.", port.port),
        );
    }
    if facts.privileged {
        add(Rule::Privileged, facts.line, "It is privileged.".to_owned());
    }
    if facts.volumes.iter().any(|volume| volume.source.ends_with("/docker.sock")) {
        add(Rule::DockerSocket, facts.line, "Docker's socket is mounted.".to_owned());
    }
    if facts.host_network {
        add(Rule::HostNetwork, facts.line, "It is on the host's network.".to_owned());
    }
    if let Some(message) = moving(&facts.image) {
        add(Rule::UnpinnedImage, facts.line, message);
    }
    for variable in facts.env.iter().filter(|variable| variable.is_secret) {
        let name = super::finding::printable(&variable.name);
        if variable.name.to_ascii_uppercase().contains("JWT") {
            add(Rule::JwtInEnvironment, facts.line, format!("{name} is in its environment."));
        } else {
            add(Rule::SecretInEnvironment, facts.line, format!("{name} is in its environment."));
        }
    }
    if facts.memory.is_none() && !facts.for_once {
        add(Rule::NoMemoryLimit, facts.line, "It has no memory limit.".to_owned());
    }
    match facts.user.as_deref().map(|user| user.split(':').next().unwrap_or_default()) {
        Some("root" | "0") => add(Rule::RootUser, facts.line, "It runs as root.".to_owned()),
        None if facts.origin == Origin::Engine => {
            add(Rule::RootUser, facts.line, "It runs as root.".to_owned())
        }
        None => add(Rule::RootUser, facts.line, "No user is given: most images then run as root.".to_owned()),
        Some(_) => {}
    }
    if !facts.cap_drop.iter().any(|cap| cap == "ALL") {
        add(Rule::CapabilitiesKept, facts.line, "It keeps Docker's capabilities.".to_owned());
    }
    if !facts.security_opt.iter().any(|option| is_no_new_privileges(option)) {
        add(Rule::NewPrivileges, facts.line, "It may gain privileges.".to_owned());
    }
    if !facts.read_only {
        add(Rule::WritableRoot, facts.line, "Its root filesystem can be written.".to_owned());
    }
    let has_bounded_driver =
        facts.log_driver.as_deref().is_some_and(|driver| BOUNDED_DRIVERS.contains(&driver));
    if !facts.log_bounded && !has_bounded_driver && !facts.for_once {
        add(Rule::NoLogRotation, facts.line, "Its log has no bound.".to_owned());
    }
    found
}

fn is_no_new_privileges(option: &str) -> bool {
    matches!(option, "no-new-privileges" | "no-new-privileges:true" | "no-new-privileges=true")
}

fn is_for_peers(client: Client, port: &Published) -> bool {
    PEER_PORTS.contains(&port.port) || (client == Client::Solana && SOLANA_PORTS.contains(&port.port))
}

/// Why an image is not the same tomorrow; none for one that is pinned, built, or named by a variable.
fn moving(image: &str) -> Option<String> {
    if image.is_empty() || image.contains('@') || image.contains('$') {
        return None;
    }
    let shown = super::finding::printable(image);
    match client::tag(image) {
        None => Some(format!("The image {shown} has no tag, which means latest.")),
        Some(tag) if MOVING_TAGS.contains(&tag) => Some(format!("The image {shown} moves.")),
        Some(_) => None,
    }
}
