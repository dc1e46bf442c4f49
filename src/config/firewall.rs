//! `[firewall]`: who reaches RPC, and which ports stay open to peers.

use url::{Host, Url};

use super::{checker::Checker, raw_firewall::RawFirewall, raw_text::Scalar};
use crate::supervisor::{
    NodeSettings, Protocol, RuntimeSettings,
    firewall::{DEFAULT_CLOSED, DEFAULT_PEERS, FirewallSettings, Net, PeerPorts, Ports},
};

/// Most entries of one list: a firewall of hosts, not of a provider.
const MAX_ENTRIES: usize = 256;

/// Checks the section. Ports of `nodes` come to what it says: those for peers stay open, those for RPC are closed.
pub(super) fn firewall(raw: &RawFirewall, nodes: &[NodeSettings], checker: &mut Checker) -> FirewallSettings {
    let nets = list(
        &raw.allow_from,
        "firewall.allow_from",
        Net::parse,
        checker,
        ("is not a network, or is everybody's", "write an address or a network, such as \"192.168.1.0/24\""),
    );
    let closed = ports(
        raw.closed_ports.as_deref(),
        "firewall.closed_ports",
        &DEFAULT_CLOSED,
        Ports::parse,
        checker,
        ("is not a port", "write 8545 or \"8545-8548\""),
    );
    let peers = ports(
        raw.p2p_ports.as_deref(),
        "firewall.p2p_ports",
        &DEFAULT_PEERS,
        PeerPorts::parse,
        checker,
        ("is not a port with its protocol", "write \"30303/tcp\" or \"8000-8020/udp\""),
    );
    let mut settings = FirewallSettings {
        allow_from: nets,
        closed,
        peers,
        ssh: raw.ssh_ports.clone().unwrap_or_else(|| vec![22]),
    };
    contradictions(&settings, raw, checker);
    for (index, node) in nodes.iter().enumerate() {
        node_ports(index, node, raw, &mut settings, checker);
    }
    settings
}

/// Ports of a node: of one whose container is made here all are known, of others where it answers.
fn node_ports(
    index: usize,
    node: &NodeSettings,
    raw: &RawFirewall,
    settings: &mut FirewallSettings,
    checker: &mut Checker,
) {
    let published = match &node.runtime {
        RuntimeSettings::Docker(docker) => docker.launch.as_ref().map(|launch| launch.ports.as_slice()),
        RuntimeSettings::Systemd(_) | RuntimeSettings::Process(_) => None,
    };
    let published = published.unwrap_or_default();
    for port in published.iter().filter(|port| !port.host.is_loopback()) {
        let peers = PeerPorts { ports: Ports::of(port.host_port), protocol: port.protocol };
        let is_closed = || settings.closed.iter().any(|closed| closed.contains(port.host_port));
        if port.protocol == Protocol::Tcp && is_closed() {
            checker.contradicts(
                &format!("nodes[{index}].p2p_port"),
                "firewall.closed_ports",
                format!("{peers} is for the peers of {}, and closed by [firewall]", node.id),
                "give the node another p2p_port, or write closed_ports without it",
            );
        } else if !settings.peers.iter().any(|known| known.covers(&peers)) {
            settings.peers.push(peers);
        }
    }
    // Who writes closed_ports says what is closed.
    if raw.closed_ports.is_some() {
        return;
    }
    let asked = node.probe.as_ref().filter(|probe| is_here(&probe.url));
    let asked = asked.and_then(|probe| probe.url.port_or_known_default());
    let own = published.iter().filter(|port| port.host.is_loopback() && port.protocol == Protocol::Tcp);
    for port in own.map(|port| port.host_port).chain(asked) {
        let is_open = settings.ssh.contains(&port)
            || settings
                .peers
                .iter()
                .any(|peers| peers.protocol == Protocol::Tcp && peers.ports.contains(port));
        if !is_open && !settings.closed.iter().any(|closed| closed.contains(port)) {
            settings.closed.push(Ports::of(port));
        }
    }
}

/// Whether an address is of this machine for sure.
fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn contradictions(settings: &FirewallSettings, raw: &RawFirewall, checker: &mut Checker) {
    if settings.ssh.is_empty() || settings.ssh.contains(&0) {
        checker.wrong("firewall.ssh_ports", "names no port on which you get in", "write ssh_ports = [22]");
    }
    // A port that both defaults and the file name: the file's word counts, and where both are its own, nobody knows which is meant.
    let is_closed = |ports: &Ports| settings.closed.iter().any(|closed| closed.meets(ports));
    for (index, peers) in settings.peers.iter().enumerate() {
        if peers.protocol == Protocol::Tcp && is_closed(&peers.ports) {
            let key = if raw.p2p_ports.is_some() {
                format!("firewall.p2p_ports[{index}]")
            } else {
                "firewall.closed_ports".to_owned()
            };
            checker.wrong(
                &key,
                format!("{peers} is for peers and closed at once"),
                "take it out of one of closed_ports and p2p_ports",
            );
        }
    }
    for (index, port) in settings.ssh.iter().enumerate() {
        if settings.closed.iter().any(|closed| closed.contains(*port)) {
            let key = if raw.ssh_ports.is_some() {
                format!("firewall.ssh_ports[{index}]")
            } else {
                "firewall.closed_ports".to_owned()
            };
            checker.wrong(
                &key,
                format!("{port} is SSH's and closed at once"),
                "take it out of one of closed_ports and ssh_ports",
            );
        }
    }
}

fn ports<T>(
    raw: Option<&[Scalar]>,
    key: &str,
    default: &[&str],
    parse: fn(&str) -> Option<T>,
    checker: &mut Checker,
    says: (&str, &str),
) -> Vec<T> {
    match raw {
        None => default.iter().filter_map(|text| parse(text)).collect(),
        Some(raw) => {
            list(&raw.iter().map(|scalar| scalar.0.clone()).collect::<Vec<_>>(), key, parse, checker, says)
        }
    }
}

fn list<T>(
    raw: &[String],
    key: &str,
    parse: fn(&str) -> Option<T>,
    checker: &mut Checker,
    (wrong, hint): (&str, &str),
) -> Vec<T> {
    if raw.len() > MAX_ENTRIES {
        checker.wrong(
            key,
            format!("has {} entries", raw.len()),
            format!("{MAX_ENTRIES} at most: write networks and ranges"),
        );
        return Vec::new();
    }
    let mut found = Vec::new();
    for (index, text) in raw.iter().enumerate() {
        match parse(text) {
            Some(value) => found.push(value),
            None => checker.wrong(&format!("{key}[{index}]"), format!("`{text}` {wrong}"), hint),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(raw: &RawFirewall) -> (FirewallSettings, Vec<String>) {
        let mut checker = Checker::default();
        let found = firewall(raw, &[], &mut checker);
        (found, checker.mistakes.into_iter().map(|mistake| mistake.key).collect())
    }

    fn scalars(texts: &[&str]) -> Option<Vec<Scalar>> {
        Some(texts.iter().map(|text| Scalar((*text).to_owned())).collect())
    }

    #[test]
    fn an_empty_section_closes_what_is_known() {
        let (found, mistakes) = checked(&RawFirewall::default());
        assert_eq!(mistakes, Vec::<String>::new());
        for port in [8545, 8546, 8547, 8551, 9545, 8899, 5052] {
            assert!(found.closes(port, "203.0.113.1".parse().unwrap()), "{port}");
        }
        for port in [22, 30303, 8001, 443] {
            assert!(!found.closes(port, "203.0.113.1".parse().unwrap()), "{port}");
        }
        assert!(!found.closes(8545, "127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn what_is_written_takes_the_defaults_place() {
        let raw = RawFirewall {
            allow_from: vec!["192.168.1.0/24".to_owned()],
            closed_ports: scalars(&["8545", "8600-8700"]),
            p2p_ports: scalars(&["30303/udp"]),
            ssh_ports: Some(vec![2222]),
        };
        let (found, mistakes) = checked(&raw);
        assert_eq!(mistakes, Vec::<String>::new());
        assert_eq!((found.closed.len(), found.peers.len(), found.ssh), (2, 1, vec![2222]));
    }

    #[test]
    fn mistakes_are_said_by_their_place() {
        for (raw, want) in [
            (
                RawFirewall { allow_from: vec!["0.0.0.0/0".into()], ..RawFirewall::default() },
                "firewall.allow_from[0]",
            ),
            (
                RawFirewall { closed_ports: scalars(&["8545", "x"]), ..RawFirewall::default() },
                "firewall.closed_ports[1]",
            ),
            (
                RawFirewall { p2p_ports: scalars(&["30303"]), ..RawFirewall::default() },
                "firewall.p2p_ports[0]",
            ),
            (
                RawFirewall { p2p_ports: scalars(&["8545/tcp"]), ..RawFirewall::default() },
                "firewall.p2p_ports[0]",
            ),
            (
                RawFirewall { closed_ports: scalars(&["22"]), ..RawFirewall::default() },
                "firewall.closed_ports",
            ),
            (RawFirewall { ssh_ports: Some(vec![8545]), ..RawFirewall::default() }, "firewall.ssh_ports[0]"),
            (RawFirewall { ssh_ports: Some(vec![]), ..RawFirewall::default() }, "firewall.ssh_ports"),
            (
                RawFirewall { allow_from: vec!["10.0.0.1".into(); 300], ..RawFirewall::default() },
                "firewall.allow_from",
            ),
        ] {
            assert_eq!(checked(&raw).1, [want], "{raw:?}");
        }
    }

    const NODES: &str = "[[relays]]\nid = \"a\"\nurl = \"https://0xac6e77dfe25ecd6110b8e780608cce0dab71fdd5ebea22a16c0205200f2f8e2e3ad3b71d3499c54ad14d6c21b41a37ae@relay.example\"\n\
        [[nodes]]\nid = \"geth\"\nkind = \"geth\"\nimage = \"ethereum/client-go:v1.16.7\"\ndata = \"/data/geth\"\njwt_file = \"/srv/jwt.hex\"\n\
        rpc_url = \"http://127.0.0.1:18745\"\np2p_port = 30404\nmetrics_port = 16060\n\
        [[nodes]]\nid = \"unit\"\nkind = \"reth\"\nunit = \"reth\"\nrpc_url = \"http://127.0.0.1:18746\"\n\
        [[nodes]]\nid = \"far\"\nkind = \"geth\"\nunit = \"tunnel\"\nrpc_url = \"http://10.0.0.7:443\"\n";

    fn read(section: &str) -> Result<FirewallSettings, Vec<String>> {
        use crate::config::{Config, ConfigError};
        let path = std::path::Path::new("/nowhere/relays.toml");
        match Config::parse(&format!("{NODES}{section}"), path, &[], &[]) {
            Ok(config) => Ok(config.firewall.unwrap()),
            Err(ConfigError::Wrong { mistakes, .. }) => {
                Err(mistakes.into_iter().map(|mistake| mistake.key).collect())
            }
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn ports_of_nodes_come_to_what_is_written() {
        let is_open = |found: &FirewallSettings, text: &str| {
            let asked = PeerPorts::parse(text).unwrap();
            found.peers.iter().any(|peers| peers.covers(&asked))
        };
        let anybody = "203.0.113.1".parse().unwrap();
        for section in ["[firewall]\n", "[firewall]\np2p_ports = [\"30303/tcp\"]\n"] {
            let found = read(section).unwrap();
            assert!(is_open(&found, "30404/tcp") && is_open(&found, "30404/udp"), "{found:?}");
            for port in [18745, 16060, 18746, 8545] {
                assert!(found.closes(port, anybody), "{port}: {found:?}");
            }
            // What is asked on another machine is no port of this one.
            assert!(!found.closes(443, anybody) && !found.closes(30404, anybody), "{found:?}");
        }
        let found = read("[firewall]\nclosed_ports = [8545]\n").unwrap();
        assert!(!found.closes(18745, anybody), "what is closed was written: {found:?}");
        assert!(is_open(&found, "30404/udp"));
        assert_eq!(
            read("[firewall]\nclosed_ports = [\"30400-30500\"]\n"),
            Err(vec!["nodes[0].p2p_port".to_owned()])
        );
        assert!(
            read("[firewall]\nssh_ports = [22, 18746]\n").is_ok_and(|found| !found.closes(18746, anybody))
        );
    }
}
