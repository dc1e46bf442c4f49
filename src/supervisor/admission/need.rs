//! What each kind needs, as its makers or EIP-7870 say. Bytes are of 1024s: what is short by that much is short.

use super::super::NodeKind;

/// What a node of a kind needs on its chain's main network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Need {
    /// Memory, in bytes.
    pub memory: u64,
    /// Cores.
    pub cpus: f64,
    /// Memory below which it does not even get through its start or its sync, in bytes.
    pub least: u64,
    /// Who says so.
    pub source: &'static str,
}

const GIB: u64 = 1 << 30;

/// What a kind needs.
pub const fn need(kind: NodeKind) -> Need {
    match kind {
        // The pair and its system have 32 GB there: 16 for the one, 12 for the other, the rest for the system.
        NodeKind::Geth => Need { memory: 16 * GIB, cpus: 2.0, least: 5 * GIB, source: "EIP-7870" },
        NodeKind::Reth => Need { memory: 16 * GIB, cpus: 2.0, least: 8 * GIB, source: "EIP-7870" },
        NodeKind::Beacon => Need { memory: 12 * GIB, cpus: 2.0, least: 4 * GIB, source: "EIP-7870" },
        NodeKind::Nitro => {
            Need { memory: 64 * GIB, cpus: 8.0, least: 16 * GIB, source: "Arbitrum's documentation" }
        }
        NodeKind::OpReth => {
            Need { memory: 16 * GIB, cpus: 4.0, least: 8 * GIB, source: "the OP Stack's documentation" }
        }
        NodeKind::OpNode => Need {
            memory: 2 * GIB,
            cpus: 1.0,
            least: GIB,
            source: "a rule of thumb beside its execution client",
        },
        NodeKind::Agave => {
            Need { memory: 256 * GIB, cpus: 12.0, least: 128 * GIB, source: "Agave's documentation" }
        }
        NodeKind::SolanaTestValidator => {
            Need { memory: 4 * GIB, cpus: 1.0, least: GIB, source: "a rule of thumb" }
        }
        NodeKind::Generic => {
            Need { memory: GIB, cpus: 0.5, least: 0, source: "a guess: nothing is known of it" }
        }
    }
}
