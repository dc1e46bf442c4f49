//! An OP Stack node's blocks, as op-node knows them: what it is judged by, and what its execution client is held against.

use alloy_primitives::B256;

/// A block, of either layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) number: u64,
    /// Unix seconds.
    pub(super) timestamp: u64,
    /// None where it is none.
    pub(super) hash: Option<B256>,
    /// Of the second layer: the block of the first that it stands on.
    pub(super) origin: Option<u64>,
}

/// The second layer's blocks, as it knows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Heads {
    /// Its newest block, as the sequencer tells it.
    pub(super) unsafe_l2: Block,
    /// Its newest block that the first layer has.
    pub(super) safe_l2: Block,
    pub(super) finalized_l2: Block,
}
