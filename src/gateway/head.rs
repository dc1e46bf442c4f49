//! A block at the tip of a chain, as an upstream showed it.

use alloy_primitives::B256;
use serde::Serialize;

/// A block that an upstream has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Head {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
    /// Its parent's hash.
    pub parent_hash: B256,
    /// Its time, in seconds since 1970.
    pub timestamp: u64,
}
