//! The ruleset, as nftables reads it, and what it means in words.
//!
//! Two hooks, both before Docker's (priority `filter - 10`): `input` for what listens on this machine, `forward` for what Docker passes on to a
//! container. There the packet already has the container's address and port; the port that was asked for is the connection's own memory,
//! `ct original proto-dst`, which no DNAT changes. Ports and networks are in named sets, as nft 1.0 writes ranges of `proto-dst` in a way
//! that it does not read again.

use std::fmt::Write;

use super::settings::{FirewallSettings, PeerPorts};
use crate::supervisor::Protocol;

/// The table, and all that is touched.
pub const TABLE: &str = "inet relaymux";
/// Takes the table away, whether it is there or not.
pub const REMOVE: &str = "add table inet relaymux\ndelete table inet relaymux\n";

/// The whole ruleset: loaded as one transaction, it takes the earlier one's place.
pub fn ruleset(settings: &FirewallSettings) -> String {
    let FirewallSettings { allow_from, closed, peers, ssh } = settings;
    let of = |protocol: Protocol| {
        let is_of = move |peers: &&PeerPorts| peers.protocol == protocol;
        listed(peers.iter().filter(is_of).map(|peers| peers.ports.to_string()))
    };
    let mut out = format!(
        "# relaymux firewall: closes RPC to everybody but the operator's networks.\n{REMOVE}table {TABLE} {{\n"
    );
    set(
        &mut out,
        "allowed4",
        "ipv4_addr",
        &listed(allow_from.iter().filter(|net| net.is_ipv4()).map(ToString::to_string)),
    );
    set(
        &mut out,
        "allowed6",
        "ipv6_addr",
        &listed(allow_from.iter().filter(|net| !net.is_ipv4()).map(ToString::to_string)),
    );
    set(&mut out, "closed", "inet_service", &listed(closed.iter().map(ToString::to_string)));
    set(&mut out, "peers_tcp", "inet_service", &of(Protocol::Tcp));
    set(&mut out, "peers_udp", "inet_service", &of(Protocol::Udp));
    set(&mut out, "ssh", "inet_service", &listed(ssh.iter().map(ToString::to_string)));
    out.push_str(
        "\
\tchain input {
\t\ttype filter hook input priority filter - 10; policy accept;
\t\tiif \"lo\" accept
\t\tct state established,related accept
\t\tmeta l4proto { icmp, ipv6-icmp } accept
\t\ttcp dport @ssh accept
\t\ttcp dport @peers_tcp accept
\t\tudp dport @peers_udp accept
\t\ttcp dport @closed jump operators_only
\t}

\tchain forward {
\t\ttype filter hook forward priority filter - 10; policy accept;
\t\tct state established,related accept
\t\tmeta l4proto { icmp, ipv6-icmp } accept
\t\tmeta l4proto tcp ct status dnat ct original proto-dst @peers_tcp accept
\t\tmeta l4proto tcp ct status dnat ct original proto-dst @closed jump operators_only
\t\tct status dnat tcp dport @closed jump operators_only
\t\tiifname \"docker0\" accept
\t\tiifname \"br-*\" accept
\t\toifname \"docker0\" tcp dport @closed jump operators_only
\t\toifname \"br-*\" tcp dport @closed jump operators_only
\t}

\tchain operators_only {
\t\tip saddr @allowed4 return
\t\tip6 saddr @allowed6 return
\t\tcounter drop
\t}
}
",
    );
    out
}

/// Puts back what was there before: the table as nft listed it, or none.
pub fn restore(before: Option<&str>) -> String {
    format!("{REMOVE}{}", before.unwrap_or_default())
}

fn listed(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

fn set(out: &mut String, name: &str, kind: &str, elements: &str) {
    // A write to a string does not fail.
    let _ = write!(out, "\tset {name} {{\n\t\ttype {kind}\n\t\tflags interval\n\t\tauto-merge\n");
    if !elements.is_empty() {
        let _ = writeln!(out, "\t\telements = {{ {elements} }}");
    }
    out.push_str("\t}\n\n");
}

/// What the ruleset means, a sentence each.
pub fn words(settings: &FirewallSettings) -> Vec<String> {
    let FirewallSettings { allow_from, closed, peers, ssh } = settings;
    let from = if allow_from.is_empty() {
        "nobody but this machine itself".to_owned()
    } else {
        format!("this machine and {}", listed(allow_from.iter().map(ToString::to_string)))
    };
    let mut words = vec![
        format!("TCP ports {} are reached by {from}, also where Docker publishes them.", listed(closed.iter().map(ToString::to_string))),
        "A container's port of these numbers is closed as well where it is published under another one, or reached by the container's own address.".to_owned(),
    ];
    if !peers.is_empty() {
        words.push(format!("Ports for peers stay open: {}.", listed(peers.iter().map(ToString::to_string))));
    }
    words.push(format!("SSH stays open on {}.", listed(ssh.iter().map(ToString::to_string))));
    words.push("Connections that are open stay open; everything else is as it was, and other firewalls' rules still count.".to_owned());
    words.push(
        "Containers that call a node by the host's address (172.17.0.1) come from outside, too: name their network in allow_from, or better the node by its container's name."
            .to_owned(),
    );
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::firewall::{Net, Ports};

    fn settings() -> FirewallSettings {
        FirewallSettings {
            allow_from: ["192.168.1.0/24", "fd00::/8"].iter().filter_map(|text| Net::parse(text)).collect(),
            closed: ["8545-8546", "8551"].iter().filter_map(|text| Ports::parse(text)).collect(),
            peers: ["30303/tcp", "8000-8020/udp"].iter().filter_map(|text| PeerPorts::parse(text)).collect(),
            ssh: vec![22],
        }
    }

    #[test]
    fn the_ruleset_is_as_it_was_tried_on_a_kernel() {
        let golden = include_str!("../../../fixtures/firewall/ruleset.nft");
        if std::env::var_os("RELAYMUX_WRITE_FIXTURES").is_some() {
            std::fs::write("fixtures/firewall/ruleset.nft", ruleset(&settings())).unwrap();
        }
        assert_eq!(ruleset(&settings()), golden);
    }

    #[test]
    fn it_names_one_table_and_no_other() {
        let none = FirewallSettings { allow_from: vec![], closed: vec![], peers: vec![], ssh: vec![22] };
        for settings in [settings(), none] {
            let text = ruleset(&settings);
            let named: Vec<&str> = text.lines().filter(|line| line.contains("table ")).collect();
            assert!(named.iter().all(|line| line.contains(TABLE)), "{named:?}");
            assert!(!text.contains("flush") && !text.contains("elements = {  }"));
        }
        assert!(restore(None).ends_with(REMOVE));
        assert!(
            restore(Some("table inet relaymux {}"))
                .ends_with("delete table inet relaymux\ntable inet relaymux {}")
        );
    }

    #[test]
    fn the_words_say_who_gets_in() {
        let text = words(&settings()).join("\n");
        assert!(text.contains("8545-8546, 8551 are reached by this machine and 192.168.1.0/24, fd00::/8"));
        assert!(text.contains("30303/tcp, 8000-8020/udp"));
        let none = FirewallSettings { allow_from: vec![], ..settings() };
        assert!(words(&none)[0].contains("nobody but this machine itself"));
    }
}
