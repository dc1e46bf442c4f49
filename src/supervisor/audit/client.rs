//! Which client a container is, and what follows from that.

use super::version::Version;

/// A client that the audit knows something of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// go-ethereum.
    Geth,
    /// Reth on L1.
    Reth,
    /// Nethermind.
    Nethermind,
    /// Besu.
    Besu,
    /// Erigon.
    Erigon,
    /// op-geth, which has ended.
    OpGeth,
    /// op-reth.
    OpReth,
    /// op-node.
    OpNode,
    /// Arbitrum.
    Nitro,
    /// A beacon node of any kind.
    Beacon,
    /// mev-boost.
    MevBoost,
    /// A Solana validator.
    Solana,
    /// Anything else.
    Other,
}

/// Parts of an image's or a program's name, the more special ones first.
const NAMES: [(&str, Client); 21] = [
    ("op-geth", Client::OpGeth),
    ("op-reth", Client::OpReth),
    ("op-node", Client::OpNode),
    ("nitro", Client::Nitro),
    ("mev-boost", Client::MevBoost),
    ("client-go", Client::Geth),
    ("geth", Client::Geth),
    ("nethermind", Client::Nethermind),
    ("besu", Client::Besu),
    ("erigon", Client::Erigon),
    ("reth", Client::Reth),
    ("lighthouse", Client::Beacon),
    ("prysm", Client::Beacon),
    ("beacon-chain", Client::Beacon),
    ("teku", Client::Beacon),
    ("nimbus", Client::Beacon),
    ("lodestar", Client::Beacon),
    ("grandine", Client::Beacon),
    ("agave", Client::Solana),
    ("solana", Client::Solana),
    ("jito", Client::Solana),
];

impl Client {
    /// By its image, else by its program.
    pub(super) fn of(image: &str, args: &[String]) -> Self {
        let repository = repository(image).to_ascii_lowercase();
        let last = repository.rsplit('/').next().unwrap_or_default();
        let program = args.first().map_or("", |arg| arg.rsplit('/').next().unwrap_or_default());
        let known =
            |name: &str| NAMES.iter().find(|(part, _)| name.contains(part)).map(|(_, client)| *client);
        let by_program = || NAMES.iter().find(|(part, _)| program == *part).map(|(_, client)| *client);
        known(last).or_else(by_program).or_else(|| known(&repository)).unwrap_or(Self::Other)
    }

    /// Whether it keeps a chain on disk.
    pub(super) const fn keeps_chain(self) -> bool {
        match self {
            Self::OpNode | Self::MevBoost | Self::Other => false,
            Self::Geth
            | Self::Reth
            | Self::Nethermind
            | Self::Besu
            | Self::Erigon
            | Self::OpGeth
            | Self::OpReth
            | Self::Nitro
            | Self::Beacon
            | Self::Solana => true,
        }
    }

    /// Whether it wants to be driven over the Engine API.
    pub(super) const fn is_execution(self) -> bool {
        matches!(
            self,
            Self::Geth
                | Self::Reth
                | Self::Nethermind
                | Self::Besu
                | Self::Erigon
                | Self::OpGeth
                | Self::OpReth
        )
    }

    /// Whether it talks to peers.
    pub(super) const fn has_peers(self) -> bool {
        !matches!(self, Self::Nitro | Self::MevBoost | Self::Other)
    }

    /// The lowest version that follows its mainnet, and why.
    pub(super) const fn floor(self) -> Option<(Version, &'static str)> {
        match self {
            // Offchain Labs' notes of v3.11.4: earlier ones cannot hash L1's headers after Glamsterdam.
            Self::Nitro => Some((Version(3, 11, 4), "earlier ones cannot read L1 after Glamsterdam")),
            // Jovian, December 2025. Current in September 2026: v1.19.6.
            Self::OpNode => Some((Version(1, 16, 0), "earlier ones miss forks from Fjord to Jovian")),
            // Fusaka, December 2025.
            Self::Geth => Some((Version(1, 16, 7), "earlier ones miss Fusaka")),
            Self::Reth
            | Self::Nethermind
            | Self::Besu
            | Self::Erigon
            | Self::OpGeth
            | Self::OpReth
            | Self::Beacon
            | Self::MevBoost
            | Self::Solana
            | Self::Other => None,
        }
    }
}

/// An image without tag and digest.
pub(super) fn repository(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or_default();
    match image.rsplit_once(':') {
        // A registry's port is no tag.
        Some((before, tag)) if !tag.contains('/') => before,
        Some(_) | None => image,
    }
}

/// An image's tag.
pub(super) fn tag(image: &str) -> Option<&str> {
    let image = image.split('@').next().unwrap_or_default();
    image.rsplit_once(':').map(|(_, tag)| tag).filter(|tag| !tag.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_known_by_image_and_program() {
        for (image, args, want) in [
            ("ethereum/client-go:v1.17.5", &[][..], Client::Geth),
            ("us-docker.pkg.dev/oplabs-tools-artifacts/images/op-node:v1.7.0", &[], Client::OpNode),
            ("us-docker.pkg.dev/oplabs-tools-artifacts/images/op-geth:v1", &[], Client::OpGeth),
            ("localhost:5000/op-reth@sha256:00", &[], Client::OpReth),
            ("offchainlabs/nitro-node:v3.6.5", &[], Client::Nitro),
            ("ghcr.io/paradigmxyz/reth:v1.9.0", &[], Client::Reth),
            ("sigp/lighthouse", &[], Client::Beacon),
            ("", &["/usr/local/bin/geth"], Client::Geth),
            ("alpine:3", &["sleep", "1"], Client::Other),
        ] {
            let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
            assert_eq!(Client::of(image, &args), want, "{image}");
        }
        assert_eq!((repository("localhost:5000/x"), tag("localhost:5000/x")), ("localhost:5000/x", None));
        assert_eq!((repository("x:v1@sha256:0"), tag("x:v1@sha256:0")), ("x", Some("v1")));
    }
}
