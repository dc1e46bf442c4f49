//! Names of chains: as `network` has them, and as each client calls them.

use super::super::NodeKind;

/// A second layer of the OP Stack.
pub(super) struct OpChain {
    /// As op-node and `network` call it.
    name: &'static str,
    /// As op-reth calls it.
    pub(super) reth: &'static str,
    /// Where its transactions go.
    pub(super) sequencer: &'static str,
    id: u64,
}

/// The chains of the OP Stack whose names are known here. Another one's is passed on as it is written.
const OP_CHAINS: [OpChain; 4] = [
    OpChain {
        name: "op-mainnet",
        reth: "optimism",
        sequencer: "https://mainnet-sequencer.optimism.io",
        id: 10,
    },
    OpChain {
        name: "op-sepolia",
        reth: "optimism-sepolia",
        sequencer: "https://sepolia-sequencer.optimism.io",
        id: 11_155_420,
    },
    OpChain { name: "base-mainnet", reth: "base", sequencer: "https://mainnet-sequencer.base.org", id: 8453 },
    OpChain {
        name: "base-sepolia",
        reth: "base-sepolia",
        sequencer: "https://sepolia-sequencer.base.org",
        id: 84_532,
    },
];

/// The chain of the OP Stack by its name.
pub(super) fn op_chain(name: &str) -> Option<&'static OpChain> {
    OP_CHAINS.iter().find(|chain| chain.name == name)
}

/// Ethereum and its test networks, as every client calls them.
pub(super) const LAYER_ONE: [(&str, u64); 4] =
    [("mainnet", 1), ("sepolia", 11_155_111), ("hoodi", 560_048), ("holesky", 17_000)];

/// Arbitrum's chains.
const ARBITRUM: [(&str, u64); 3] = [("arb1", 42_161), ("nova", 42_170), ("arb-sepolia", 421_614)];

/// The id of an Arbitrum chain by its name, or by the id itself.
pub(super) fn arbitrum_id(name: &str) -> Option<u64> {
    let named = ARBITRUM.iter().find(|(known, _)| *known == name).map(|(_, id)| *id);
    named.or_else(|| name.parse().ok())
}

/// Whether a snapshot of a chain is published under its name.
pub(super) fn has_snapshot(name: &str) -> bool {
    ARBITRUM.iter().any(|(known, id)| *known == name || id.to_string() == name)
}

/// The chain id that a node of a kind answers on a chain, where its name is known.
pub fn chain_id(kind: NodeKind, chain: &str) -> Option<u64> {
    match kind {
        NodeKind::Geth | NodeKind::Reth => {
            LAYER_ONE.iter().find(|(name, _)| *name == chain).map(|(_, id)| *id)
        }
        NodeKind::Nitro => arbitrum_id(chain),
        NodeKind::OpReth => op_chain(chain).map(|chain| chain.id),
        // These have no `eth_chainId`.
        NodeKind::Beacon
        | NodeKind::OpNode
        | NodeKind::Agave
        | NodeKind::SolanaTestValidator
        | NodeKind::Generic => None,
    }
}

impl NodeKind {
    /// The chain of a kind where `network` is not given, by the network of the whole configuration.
    pub fn usual_chain(self, network: &str) -> Option<&'static str> {
        let layer_one = LAYER_ONE.iter().find(|(name, _)| *name == network).map(|(name, _)| *name)?;
        match (self, layer_one) {
            (Self::Geth | Self::Reth | Self::Beacon, name) => Some(name),
            (Self::Nitro, "mainnet") => Some("arb1"),
            (Self::Nitro, "sepolia") => Some("arb-sepolia"),
            (Self::OpNode | Self::OpReth, "mainnet") => Some("op-mainnet"),
            (Self::OpNode | Self::OpReth, "sepolia") => Some("op-sepolia"),
            (
                Self::Nitro
                | Self::OpNode
                | Self::OpReth
                | Self::Agave
                | Self::SolanaTestValidator
                | Self::Generic,
                _,
            ) => None,
        }
    }
}
