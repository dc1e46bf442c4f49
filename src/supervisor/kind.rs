//! What kinds of nodes there are.

use std::time::Duration;

use crate::types::labelled;

labelled! {
    /// What a node is, which says how it is probed and started.
    pub enum NodeKind {
        /// go-ethereum.
        Geth = "geth",
        /// Reth on Ethereum itself.
        Reth = "reth",
        /// A beacon node of any client.
        Beacon = "beacon",
        /// Arbitrum.
        Nitro = "nitro",
        /// The consensus half of an OP Stack node.
        OpNode = "op-node",
        /// The execution half of an OP Stack node.
        OpReth = "op-reth",
        /// A Solana validator or RPC node.
        Agave = "agave",
        /// A Solana chain of its own, for tests.
        SolanaTestValidator = "solana-test-validator",
        /// Anything else: a command, and a probe of the operator's choice.
        Generic = "generic",
    }
}

labelled! {
    /// What stands on what: a restart of one layer explains trouble of those above.
    pub enum Layer {
        /// Execution clients of Ethereum.
        Execution = "execution",
        /// Beacon nodes.
        Consensus = "consensus",
        /// Second layers.
        L2 = "l2",
        /// Solana.
        Solana = "solana",
        /// Anything else.
        Other = "other",
    }
}

impl NodeKind {
    /// Where it stands.
    pub const fn layer(self) -> Layer {
        match self {
            Self::Geth | Self::Reth => Layer::Execution,
            Self::Beacon => Layer::Consensus,
            Self::Nitro | Self::OpNode | Self::OpReth => Layer::L2,
            Self::Agave | Self::SolanaTestValidator => Layer::Solana,
            Self::Generic => Layer::Other,
        }
    }

    /// How long it may take to stop before it is killed. A database that is killed while it writes takes hours to recover: geth's own packages
    /// and eth-docker give it five minutes.
    pub const fn stop_grace(self) -> Duration {
        match self {
            Self::Geth | Self::Reth | Self::Nitro | Self::OpReth | Self::Agave => Duration::from_secs(300),
            Self::Beacon => Duration::from_secs(60),
            Self::OpNode | Self::SolanaTestValidator | Self::Generic => Duration::from_secs(30),
        }
    }
}
