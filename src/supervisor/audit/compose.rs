//! A compose file as facts, by the compose specification's keys.

use super::{
    docker_run::{ports, volume},
    facts::{ContainerFacts, Origin, Published, Volume, bytes},
    shell::words,
    yaml::{Node, Value},
};

/// What a compose file makes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Composed {
    pub(super) containers: Vec<ContainerFacts>,
    /// Networks of it: name, line, and whether there is a way out.
    pub(super) networks: Vec<(String, usize, bool)>,
}

/// Most services of one file.
const MAX_SERVICES: usize = 1_000;

/// Reads a document; nothing where it has no services.
pub(super) fn compose(root: &Node) -> Composed {
    let services = root.get("services").map(Node::entries).unwrap_or_default();
    let containers = services.iter().take(MAX_SERVICES).map(|(name, node)| service(name, node)).collect();
    let networks = root.get("networks").map(Node::entries).unwrap_or_default();
    // What is made elsewhere says nothing of itself here.
    let is_external = |node: &Node| node.get("external").is_some_and(|node| node.text() != Some("false"));
    let networks = networks
        .iter()
        .filter(|(_, node)| !is_external(node))
        .map(|(name, node)| (name.clone(), node.line, !node.get("internal").is_some_and(Node::is_true)))
        .collect();
    Composed { containers, networks }
}

fn service(name: &str, node: &Node) -> ContainerFacts {
    let mut facts = ContainerFacts::new(Origin::Compose, node.line);
    // A service's line is where its table begins; its name stands a line above, unless it is written in one.
    facts.line = node.get("image").map_or(node.line, |image| image.line);
    name.clone_into(&mut facts.name);
    let text = |key: &str| node.get(key).and_then(Node::text);
    facts.image = text("image").unwrap_or_default().to_owned();
    for key in ["entrypoint", "command"] {
        match node.get(key).map(|node| &node.value) {
            Some(Value::Scalar(line)) => facts.args.extend(words(line)),
            Some(Value::List(items)) => {
                facts.args.extend(items.iter().filter_map(Node::text).flat_map(argument));
            }
            Some(Value::Null | Value::Map(_)) | None => {}
        }
    }
    facts.ports = items(node, "ports").iter().flat_map(published).collect();
    facts.volumes = items(node, "volumes").iter().filter_map(mounted).collect();
    variables(node, &mut facts);
    facts.user = text("user").map(str::to_owned);
    let limit = node.at(&["deploy", "resources", "limits", "memory"]).and_then(Node::text);
    facts.memory = text("mem_limit").or(limit).and_then(bytes);
    facts.read_only = node.get("read_only").is_some_and(Node::is_true);
    facts.privileged = node.get("privileged").is_some_and(Node::is_true);
    facts.host_network = text("network_mode") == Some("host");
    let texts = |key: &str| items(node, key).iter().filter_map(Node::text).map(str::to_owned);
    facts.cap_drop = texts("cap_drop").map(|cap| cap.to_ascii_uppercase()).collect();
    facts.security_opt = texts("security_opt").collect();
    facts.networks = match node.get("networks").map(|node| &node.value) {
        Some(Value::Map(entries)) => entries.iter().map(|(name, _)| name.clone()).collect(),
        _ => texts("networks").collect(),
    };
    facts.log_driver = node.at(&["logging", "driver"]).and_then(Node::text).map(str::to_owned);
    facts.log_bounded = node.at(&["logging", "options", "max-size"]).is_some();
    facts
}

fn items<'a>(node: &'a Node, key: &str) -> &'a [Node] {
    node.get(key).map(Node::items).unwrap_or_default()
}

/// An argument; that of `sh -c` is a command of its own.
fn argument(text: &str) -> Vec<String> {
    if text.contains(char::is_whitespace) { words(text) } else { vec![text.to_owned()] }
}

/// `"127.0.0.1:8545:8545"`, or a table with `target`, `published`, `host_ip`, `protocol`.
fn published(node: &Node) -> Vec<Published> {
    if let Some(text) = node.text() {
        return ports(text, node.line);
    }
    let text = |key: &str| node.get(key).and_then(Node::text);
    let Some(port) = text("target").and_then(|text| text.parse().ok()) else { return Vec::new() };
    vec![Published {
        ip: text("host_ip").and_then(|text| text.parse().ok()),
        host: text("published").and_then(|text| text.parse().ok()),
        port,
        udp: text("protocol") == Some("udp"),
        line: node.line,
    }]
}

/// `"/data:/data:ro"`, or a table with `source`, `target`, `read_only`.
fn mounted(node: &Node) -> Option<Volume> {
    if let Some(text) = node.text() {
        return volume(text);
    }
    let text = |key: &str| node.get(key).and_then(Node::text);
    if text("type") == Some("tmpfs") {
        return None;
    }
    Some(Volume {
        source: text("source").unwrap_or_default().to_owned(),
        target: text("target")?.to_owned(),
        read_only: node.get("read_only").is_some_and(Node::is_true),
    })
}

fn variables(node: &Node, facts: &mut ContainerFacts) {
    let Some(environment) = node.get("environment") else { return };
    match &environment.value {
        Value::Map(entries) => {
            for (name, value) in entries {
                facts.add_variable(name, value.text().unwrap_or("$"));
            }
        }
        _ => {
            for text in environment.items().iter().filter_map(Node::text) {
                let (name, value) = text.split_once('=').unwrap_or((text, "$"));
                facts.add_variable(name, value);
            }
        }
    }
    for file in items(node, "env_file").iter().filter_map(Node::text) {
        if file.to_ascii_lowercase().contains("secret") {
            facts.add_variable("SECRETS", "$");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::audit::yaml::read;

    #[test]
    fn a_service_is_read_in_both_forms() {
        let text = r#"
services:
  geth:
    image: ethereum/client-go:v1.17.5
    command: geth --http --cache 2048
    user: "1000:1000"
    read_only: true
    cap_drop: [all]
    security_opt: ["no-new-privileges:true"]
    deploy: { resources: { limits: { memory: 12G } } }
    ports:
      - "127.0.0.1:8545:8545"
      - { target: 30303, published: "30303", protocol: udp }
    volumes:
      - data:/data
      - { type: bind, source: /jwt, target: /jwt, read_only: true }
    networks: { rpc: {}, p2p: {} }
    environment: { JWT_SECRET: "${JWT}" }
    logging: { options: { max-size: 10m } }
networks:
  rpc: { internal: true }
  p2p:
"#;
        let composed = compose(&read(text).unwrap());
        let geth = &composed.containers[0];
        assert_eq!(geth.args, ["geth", "--http", "--cache", "2048"]);
        assert_eq!((geth.memory, geth.ports.len(), geth.volumes.len()), (Some(12 << 30), 2, 2));
        assert_eq!(geth.ports[0].line, 12);
        assert!(geth.ports[1].udp && geth.volumes[1].read_only && geth.env[0].is_secret && geth.log_bounded);
        assert_eq!(geth.cap_drop, ["ALL"]);
        assert_eq!(geth.networks, ["rpc", "p2p"]);
        let networks: Vec<_> = composed.networks.iter().map(|(name, _, out)| (name.as_str(), *out)).collect();
        assert_eq!(networks, [("rpc", false), ("p2p", true)]);
    }
}
