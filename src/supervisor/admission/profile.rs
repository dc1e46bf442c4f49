//! Sets of nodes that make sense together, from small to large: what a machine could hold instead.

use super::{super::NodeKind, need::need};
use crate::types::labelled;

labelled! {
    /// A set of nodes.
    pub enum Profile {
        /// A Solana chain of one's own for tests, and no other node.
        SolanaTestValidator = "solana-test-validator",
        /// One execution client and its beacon node.
        L1Only = "l1-only",
        /// The same; second layers through a provider.
        L2Remote = "l2-remote",
        /// A second, small pair beside it.
        L1LightReplica = "l1-light-replica",
        /// An OP Stack pair beside it.
        L1OpStack = "l1-op-stack",
        /// An Arbitrum node beside it.
        L1Arbitrum = "l1-arbitrum",
    }
}

/// A second pair with small caches, which serves while the first one is away: geth with 8 GiB, a beacon node with 6.
const LIGHT_PAIR: (u64, f64) = (14 << 30, 2.5);

impl Profile {
    /// What it is, in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::SolanaTestValidator => "a solana-test-validator alone",
            Self::L1Only => "one execution client with its beacon node, and small things beside them",
            Self::L2Remote => {
                "one execution client with its beacon node; second layers through a provider, as [[rpc.upstreams]] of a gateway of their own"
            }
            Self::L1LightReplica => {
                "one execution client with its beacon node, and a second pair with small caches (geth with 8 GiB, a beacon node with 6 GiB)"
            }
            Self::L1OpStack => "one execution client with its beacon node, and an op-node with its op-reth",
            Self::L1Arbitrum => "one execution client with its beacon node, and an Arbitrum node",
        }
    }

    /// Memory in bytes and cores that it needs.
    pub fn needs(self) -> (u64, f64) {
        let of = |kinds: &[NodeKind]| {
            kinds.iter().map(|kind| need(*kind)).fold((0_u64, 0.0), |(memory, cpus), need| {
                (memory.saturating_add(need.memory), cpus + need.cpus)
            })
        };
        let pair = of(&[NodeKind::Geth, NodeKind::Beacon]);
        let beside = match self {
            Self::SolanaTestValidator => return of(&[NodeKind::SolanaTestValidator]),
            Self::L1Only | Self::L2Remote => (0, 0.0),
            Self::L1LightReplica => LIGHT_PAIR,
            Self::L1OpStack => of(&[NodeKind::OpNode, NodeKind::OpReth]),
            Self::L1Arbitrum => of(&[NodeKind::Nitro]),
        };
        (pair.0.saturating_add(beside.0), pair.1 + beside.1)
    }

    /// The largest that fits, among those that are about what was asked for. None: not even the smallest fits.
    pub fn largest(memory: u64, cpus: f64, kinds: &[NodeKind]) -> Option<Self> {
        use super::super::Layer;
        let asks = |layer| kinds.iter().any(|kind| kind.layer() == layer);
        let is_asked = |profile: &Self| match profile {
            Self::SolanaTestValidator | Self::L1LightReplica => true,
            Self::L1Only => !asks(Layer::L2),
            Self::L2Remote => asks(Layer::L2),
            Self::L1OpStack => kinds.iter().any(|kind| matches!(kind, NodeKind::OpNode | NodeKind::OpReth)),
            Self::L1Arbitrum => kinds.contains(&NodeKind::Nitro),
        };
        let fits = |profile: &Self| {
            let (needs_memory, needs_cpus) = profile.needs();
            needs_memory <= memory && needs_cpus <= cpus
        };
        Self::ALL.into_iter().rev().filter(is_asked).find(fits)
    }
}
