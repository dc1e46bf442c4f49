//! `[firewall]`, checked, and the values in it.

use std::{fmt, net::IpAddr};

use crate::supervisor::Protocol;

/// Ports that are closed without being listed: RPC, Engine API, beacon API and metrics of what relaymux knows.
pub const DEFAULT_CLOSED: [&str; 16] = [
    "3500",        // Prysm's beacon API
    "5051-5052",   // Teku's, Lighthouse's
    "6060",        // geth's metrics
    "6070-6071",   // nitro's metrics and profiles
    "7300",        // op-node's metrics
    "8545-8548",   // execution clients' and nitro's RPC
    "8550",        // where guides publish an OP Stack node
    "8551",        // Engine API
    "8899-8900",   // Solana's RPC
    "9001",        // reth's metrics
    "9100",        // Prometheus' node exporter
    "9545-9546",   // op-node's RPC
    "9596",        // Lodestar's beacon API
    "18550-18552", // relaymux itself
    "2375",        // Docker's API without a key
    "2376",        // and with one
];
/// Ports for peers without being listed: geth and its discovery, Lighthouse, Solana.
pub const DEFAULT_PEERS: [&str; 6] =
    ["30303/tcp", "30303/udp", "9000/tcp", "9000/udp", "8000-8020/tcp", "8000-8020/udp"];

/// `[firewall]`, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirewallSettings {
    /// Networks from which the closed ports are reached all the same.
    pub allow_from: Vec<Net>,
    /// TCP ports that are closed to everybody else.
    pub closed: Vec<Ports>,
    /// Ports for peers, which stay open.
    pub peers: Vec<PeerPorts>,
    /// TCP ports of SSH, which stay open.
    pub ssh: Vec<u16>,
}

impl FirewallSettings {
    /// Whether a TCP port of this machine is closed to an address.
    pub fn closes(&self, port: u16, from: IpAddr) -> bool {
        let is_peers = |peers: &PeerPorts| peers.protocol == Protocol::Tcp && peers.ports.contains(port);
        !self.ssh.contains(&port)
            && !self.peers.iter().any(is_peers)
            && self.closed.iter().any(|ports| ports.contains(port))
            && !from.is_loopback()
            && !self.allow_from.iter().any(|net| net.contains(from))
    }
}

/// A network: an address and how many of its bits count. The others are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Net {
    addr: IpAddr,
    prefix: u8,
}

impl Net {
    /// Parses `192.168.1.0/24`, `fd00::/8` or a single address; bits behind the prefix are cleared. `None` for what is none, and for a network of
    /// everybody.
    pub fn parse(text: &str) -> Option<Self> {
        let (addr, prefix) = text.trim().split_once('/').map_or((text.trim(), None), |(a, p)| (a, Some(p)));
        let addr: IpAddr = addr.parse().ok()?;
        let longest = if addr.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Some(longest), |prefix| prefix.parse().ok())?;
        if prefix == 0 || prefix > longest {
            return None;
        }
        Some(Self { addr: masked(addr, prefix), prefix })
    }

    /// Whether an address is in it. One of IPv4 that came over IPv6 is one of IPv4.
    pub fn contains(&self, addr: IpAddr) -> bool {
        let addr = addr.to_canonical();
        addr.is_ipv4() == self.addr.is_ipv4() && masked(addr, self.prefix) == self.addr
    }

    /// Whether it is of IPv4.
    pub const fn is_ipv4(&self) -> bool {
        self.addr.is_ipv4()
    }
}

fn masked(addr: IpAddr, prefix: u8) -> IpAddr {
    match addr {
        IpAddr::V4(addr) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(prefix.into())).unwrap_or(0);
            IpAddr::V4((u32::from(addr) & mask).into())
        }
        IpAddr::V6(addr) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(prefix.into())).unwrap_or(0);
            IpAddr::V6((u128::from(addr) & mask).into())
        }
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.prefix)
    }
}

/// A port, or a range of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ports {
    first: u16,
    last: u16,
}

impl Ports {
    /// Parses `8545` or `8545-8548`; `None` for what is none, or has port 0.
    pub fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last): (u16, u16) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        (first > 0 && first <= last).then_some(Self { first, last })
    }

    /// One port; 0 is none that anybody calls.
    pub const fn of(port: u16) -> Self {
        Self { first: port, last: port }
    }

    /// Whether a port is in it.
    pub const fn contains(&self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }

    /// Whether they have a port in common.
    pub const fn meets(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

/// Ports for peers, with what they speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerPorts {
    /// The ports.
    pub ports: Ports,
    /// What they speak.
    pub protocol: Protocol,
}

impl PeerPorts {
    /// Whether others are among these.
    pub fn covers(&self, other: &Self) -> bool {
        self.protocol == other.protocol
            && self.ports.contains(other.ports.first)
            && self.ports.contains(other.ports.last)
    }

    /// Parses `30303/tcp` or `8000-8020/udp`; `None` for what is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (ports, protocol) = text.split_once('/')?;
        Some(Self { ports: Ports::parse(ports)?, protocol: Protocol::parse(protocol)? })
    }
}

impl fmt::Display for PeerPorts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ports, self.protocol)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn networks_are_read_and_contain_addresses() {
        for (text, shown) in [
            ("192.168.1.7/24", Some("192.168.1.0/24")),
            ("10.0.0.1", Some("10.0.0.1/32")),
            ("fd00:1::5/16", Some("fd00::/16")),
            ("::1", Some("::1/128")),
            ("0.0.0.0/0", None),
            ("::/0", None),
            ("10.0.0.0/33", None),
            ("host/24", None),
            ("", None),
        ] {
            assert_eq!(Net::parse(text).map(|net| net.to_string()).as_deref(), shown, "{text}");
        }
        let net = Net::parse("192.168.1.0/24").unwrap();
        assert!(
            net.contains("192.168.1.9".parse().unwrap())
                && net.contains("::ffff:192.168.1.9".parse().unwrap())
        );
        assert!(!net.contains("192.168.2.9".parse().unwrap()) && !net.contains("fd00::1".parse().unwrap()));
    }

    #[test]
    fn ports_are_read() {
        for (text, shown) in [
            ("8545", Some("8545")),
            ("8545-8548", Some("8545-8548")),
            ("0", None),
            ("9-8", None),
            ("65536", None),
            ("x", None),
        ] {
            assert_eq!(Ports::parse(text).map(|ports| ports.to_string()).as_deref(), shown, "{text}");
        }
        for text in ["30303", "30303/sctp", "/tcp", "1-/udp"] {
            assert_eq!(PeerPorts::parse(text), None, "{text}");
        }
        assert!(DEFAULT_CLOSED.iter().all(|text| Ports::parse(text).is_some()));
        assert!(DEFAULT_PEERS.iter().all(|text| PeerPorts::parse(text).is_some()));
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(bits in any::<u32>(), prefix in 1_u8..=32, first in 1_u16.., more in 0_u16..100) {
            let net = Net::parse(&format!("{}/{prefix}", std::net::Ipv4Addr::from(bits))).unwrap();
            prop_assert_eq!(Net::parse(&net.to_string()), Some(net));
            prop_assert!(net.contains(std::net::Ipv4Addr::from(bits).into()));
            let ports = Ports::parse(&format!("{first}-{}", first.saturating_add(more))).unwrap();
            prop_assert_eq!(Ports::parse(&ports.to_string()), Some(ports));
        }
    }
}
