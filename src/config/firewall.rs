//! `[firewall]`: who reaches RPC, and which ports stay open to peers.

use super::{checker::Checker, raw_firewall::RawFirewall, raw_text::Scalar};
use crate::supervisor::{
    Protocol,
    firewall::{DEFAULT_CLOSED, DEFAULT_PEERS, FirewallSettings, Net, PeerPorts, Ports},
};

/// Most entries of one list: a firewall of hosts, not of a provider.
const MAX_ENTRIES: usize = 256;

/// Checks the section.
pub(super) fn firewall(raw: &RawFirewall, checker: &mut Checker) -> FirewallSettings {
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
    let settings = FirewallSettings {
        allow_from: nets,
        closed,
        peers,
        ssh: raw.ssh_ports.clone().unwrap_or_else(|| vec![22]),
    };
    contradictions(&settings, raw, checker);
    settings
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
        let found = firewall(raw, &mut checker);
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
}
