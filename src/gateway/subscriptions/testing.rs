//! Blocks of made-up chains, for the tests of this folder.

use alloy_primitives::{Address, B256, Bloom, keccak256};
use serde_json::{Value, json};

use super::Block;
use crate::gateway::RawJson;

/// Of which blocks are not from the future.
pub(crate) const NOW_S: u64 = 1_700_000_000;
/// Where branches part: before it, every branch is `a`.
pub(crate) const FORK: u64 = 100;

pub(crate) fn hash(number: u64, branch: char) -> B256 {
    let branch = if number < FORK { 'a' } else { branch };
    keccak256(format!("{number}{branch}"))
}

/// Who logs in the blocks of a branch.
pub(crate) fn logger(branch: char) -> Address {
    Address::repeat_byte(u8::try_from(u32::from(branch)).unwrap())
}

/// A block's one log: every block has one.
pub(crate) fn log(number: u64, branch: char) -> Value {
    json!({
        "address": logger(branch), "topics": [B256::repeat_byte(1)], "data": "0x",
        "blockNumber": format!("{number:#x}"), "blockHash": hash(number, branch), "logIndex": "0x0", "removed": false,
    })
}

pub(crate) fn header(number: u64, branch: char) -> Value {
    let mut bloom = Bloom::ZERO;
    bloom.accrue_raw_log(logger(branch), &[B256::repeat_byte(1)]);
    json!({
        "number": format!("{number:#x}"), "hash": hash(number, branch),
        "parentHash": hash(number.saturating_sub(1), branch), "timestamp": format!("{NOW_S:#x}"), "logsBloom": bloom,
    })
}

pub(crate) fn block(number: u64, branch: char) -> Block {
    Block::read(&RawJson::from_value(&header(number, branch))).unwrap()
}
