//! The SSH connection over which somebody works: it is not to be cut.

use std::net::IpAddr;

use super::settings::FirewallSettings;

/// `SSH_CONNECTION`: who is connected to which port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SshConnection {
    /// The other side.
    pub from: IpAddr,
    /// Our port.
    pub port: u16,
}

impl SshConnection {
    /// Parses `CLIENT CLIENT_PORT SERVER SERVER_PORT`, as sshd sets it; `None` for what is none.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        // A link-local address has its interface behind it.
        let from = words.next()?.split('%').next()?.parse().ok()?;
        let port = words.nth(2)?.parse().ok()?;
        Some(Self { from, port })
    }

    /// Whether a new connection of the same kind would be refused. The present one would go on, until it breaks.
    pub fn is_cut_by(&self, settings: &FirewallSettings) -> bool {
        settings.closes(self.port, self.from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::firewall::{Net, Ports};

    #[test]
    fn the_connection_is_read() {
        for (text, want) in [
            ("192.168.1.9 50000 10.0.0.1 22", Some(("192.168.1.9", 22))),
            ("fe80::1%eth0 50000 fe80::2%eth0 2222", Some(("fe80::1", 2222))),
            ("UNKNOWN 65535 UNKNOWN 65535", None),
            ("10.0.0.1 22", None),
            ("", None),
        ] {
            let want = want.map(|(from, port)| SshConnection { from: from.parse().unwrap(), port });
            assert_eq!(SshConnection::parse(text), want, "{text}");
        }
    }

    #[test]
    fn a_closed_port_cuts_whoever_is_not_let_in() {
        let settings = |ssh: Vec<u16>, closed: &str| FirewallSettings {
            allow_from: vec![Net::parse("192.168.1.0/24").unwrap()],
            closed: vec![Ports::parse(closed).unwrap()],
            peers: vec![],
            ssh,
        };
        let from = |from: &str| SshConnection { from: from.parse().unwrap(), port: 2222 };
        assert!(from("203.0.113.5").is_cut_by(&settings(vec![22], "2000-3000")));
        assert!(!from("192.168.1.5").is_cut_by(&settings(vec![22], "2000-3000")), "let in");
        assert!(!from("203.0.113.5").is_cut_by(&settings(vec![2222], "2000-3000")), "SSH's own port");
        assert!(!from("203.0.113.5").is_cut_by(&settings(vec![22], "8545")), "not closed at all");
    }
}
