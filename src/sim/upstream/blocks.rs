//! The chain that simulated upstreams show: blocks that hang together, a log or more in each that was mined, and reorganisations.

use std::sync::Arc;

use alloy_primitives::{Address, B256, Bloom, keccak256};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::broadcast;

use crate::consensus::WallClock;

/// What is told and was not taken yet by a connection; more than that, and its upstream ends it.
const TOLD: usize = 4096;
/// Seconds between blocks that were there from the start.
const BLOCK_S: u64 = 12;

/// A chain. Clones are the same one: upstreams that have one show the same blocks.
#[derive(Clone, Debug)]
pub struct SimBlocks {
    state: Arc<Mutex<State>>,
    told: broadcast::Sender<Told>,
}

/// What subscribers are told.
#[derive(Clone, Debug)]
pub(super) enum Told {
    /// A new block's header.
    Head(Value),
    /// A transaction's hash.
    Pending(B256),
}

#[derive(Debug)]
struct State {
    /// The height at the start: blocks up to it have no logs.
    base: u64,
    /// When it was the head, in Unix seconds.
    began: u64,
    /// What was mined since.
    mined: Vec<Mined>,
    /// Blocks that were mined on all branches together.
    count: u64,
    /// Blocks that a reorganisation left, by their hashes: a node has them still.
    left: Vec<Mined>,
}

#[derive(Clone, Debug)]
struct Mined {
    number: u64,
    hash: B256,
    parent: B256,
    timestamp: u64,
    logs: u64,
}

impl SimBlocks {
    /// One with so many blocks, the last a moment old.
    pub fn new(height: u64) -> Self {
        let state = State { base: height, began: now(), mined: Vec::new(), count: 0, left: Vec::new() };
        Self { state: Arc::new(Mutex::new(state)), told: broadcast::Sender::new(TOLD) }
    }

    /// The number of the newest block.
    pub fn height(&self) -> u64 {
        self.state.lock().height()
    }

    /// The hash of the block at a height, if there is one.
    pub fn hash(&self, number: u64) -> Option<B256> {
        let state = self.state.lock();
        (number <= state.height()).then(|| state.hash(number))
    }

    /// How many logs the block of a hash has, on whichever branch.
    pub fn logs_of(&self, hash: &str) -> u64 {
        self.state.lock().find(hash).map_or(0, |block| block.logs)
    }

    /// One more block with a log, a moment old.
    pub fn mine(&self) {
        self.mine_with(1);
    }

    /// One more block with so many logs, at least one.
    pub fn mine_with(&self, logs: u64) {
        let header = self.state.lock().mine(logs);
        let _ = self.told.send(Told::Head(header));
    }

    /// The newest blocks are none any more, and one more than they were takes their place, each with a log. No deeper than to the start.
    pub fn reorganise(&self, depth: u64) {
        let headers: Vec<Value> = {
            let mut state = self.state.lock();
            let depth = usize::try_from(depth).unwrap_or(usize::MAX).min(state.mined.len());
            let kept = state.mined.len() - depth;
            let left = state.mined.split_off(kept);
            state.left.extend(left);
            (0..=depth).map(|_| state.mine(1)).collect()
        };
        for header in headers {
            let _ = self.told.send(Told::Head(header));
        }
    }

    /// A transaction is waiting for a block.
    pub fn pend(&self, hash: B256) {
        let _ = self.told.send(Told::Pending(hash));
    }

    pub(super) fn listen(&self) -> broadcast::Receiver<Told> {
        self.told.subscribe()
    }

    /// A block as `eth_getBlockByNumber` has it; `null` where there is none.
    pub(super) fn by_number(&self, which: &str) -> Value {
        let state = self.state.lock();
        let number = match which {
            "latest" | "pending" => state.height(),
            "finalized" | "safe" => state.height().saturating_sub(64),
            "earliest" => 0,
            number => u64::from_str_radix(number.trim_start_matches("0x"), 16).unwrap_or(u64::MAX),
        };
        if number > state.height() {
            return Value::Null;
        }
        whole(state.header(&state.at(number)))
    }

    /// A block by its hash, on whichever branch.
    pub(super) fn by_hash(&self, hash: &str) -> Value {
        let state = self.state.lock();
        state.find(hash).map_or(Value::Null, |block| whole(state.header(&block)))
    }

    /// The logs of a block by its hash; `None` where there is no such block.
    pub(super) fn logs(&self, hash: &str) -> Option<Value> {
        let state = self.state.lock();
        let block = state.find(hash)?;
        Some((0..block.logs).map(|index| log(&block, index)).collect())
    }
}

impl State {
    fn height(&self) -> u64 {
        self.base + u64::try_from(self.mined.len()).unwrap_or(u64::MAX)
    }

    fn at(&self, number: u64) -> Mined {
        let mined = number.checked_sub(self.base + 1).and_then(|place| usize::try_from(place).ok());
        if let Some(mined) = mined.and_then(|place| self.mined.get(place)) {
            return mined.clone();
        }
        let age = (self.base - number.min(self.base)).saturating_mul(BLOCK_S);
        Mined {
            number,
            hash: first_hash(number),
            parent: first_hash(number.saturating_sub(1)),
            timestamp: self.began.saturating_sub(age),
            logs: 0,
        }
    }

    fn hash(&self, number: u64) -> B256 {
        self.at(number).hash
    }

    fn find(&self, hash: &str) -> Option<Mined> {
        let hash: B256 = hash.parse().ok()?;
        let mined = self.mined.iter().chain(&self.left).rev().find(|block| block.hash == hash).cloned();
        mined.or_else(|| {
            let number = (0..=self.base).rev().take(300).find(|number| first_hash(*number) == hash)?;
            Some(self.at(number))
        })
    }

    fn mine(&mut self, logs: u64) -> Value {
        let number = self.height() + 1;
        self.count += 1;
        let hash = keccak256([number.to_be_bytes(), self.count.to_be_bytes()].concat());
        let parent = self.hash(number - 1);
        let block = Mined { number, hash, parent, timestamp: now(), logs: logs.max(1) };
        self.mined.push(block.clone());
        self.header(&block)
    }

    fn header(&self, block: &Mined) -> Value {
        let mut bloom = Bloom::ZERO;
        for index in 0..block.logs {
            bloom.accrue_raw_log(LOGGER, &topics(index));
        }
        json!({
            "number": format!("{:#x}", block.number),
            "hash": block.hash,
            "parentHash": block.parent,
            "timestamp": format!("{:#x}", block.timestamp),
            "miner": "0x4675c7e5baafbffbca748158becba61ef3b0a263",
            "gasLimit": "0x2255100",
            "gasUsed": "0x0",
            "baseFeePerGas": "0x7",
            "logsBloom": bloom,
        })
    }
}

/// Who logs.
const LOGGER: Address = Address::repeat_byte(0xaa);

fn topics(index: u64) -> [B256; 2] {
    [B256::repeat_byte(1), B256::left_padding_from(&index.to_be_bytes())]
}

fn log(block: &Mined, index: u64) -> Value {
    json!({
        "address": LOGGER, "topics": topics(index), "data": "0x",
        "blockNumber": format!("{:#x}", block.number), "blockHash": block.hash,
        "transactionHash": block.hash, "transactionIndex": "0x0",
        "logIndex": format!("{index:#x}"), "removed": false,
    })
}

/// The hash of a block that was there from the start: the same for all chains.
fn first_hash(number: u64) -> B256 {
    if number == 0 { B256::ZERO } else { keccak256(number.to_be_bytes()) }
}

fn now() -> u64 {
    u64::try_from(WallClock::system().now() / 1000).unwrap_or_default()
}

fn whole(mut header: Value) -> Value {
    if let Some(fields) = header.as_object_mut() {
        fields.insert("transactions".to_owned(), json!([]));
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_hang_together_and_a_reorganisation_leaves_some() {
        let blocks = SimBlocks::new(100);
        let mut told = blocks.listen();
        blocks.mine();
        blocks.mine_with(3);
        let old = blocks.hash(102).unwrap();
        blocks.reorganise(1);
        assert_eq!(blocks.height(), 103);
        let mut parent = blocks.hash(100).unwrap();
        for number in 101..=103_u64 {
            let block = blocks.by_number(&format!("{number:#x}"));
            assert_eq!(block["parentHash"], json!(parent));
            parent = blocks.hash(number).unwrap();
            assert_eq!(block["hash"], json!(parent));
            assert_eq!(blocks.by_hash(&parent.to_string()), block);
        }
        assert_ne!(blocks.hash(102), Some(old));
        assert_eq!(blocks.logs(&old.to_string()).unwrap().as_array().map(Vec::len), Some(3));
        assert_eq!(blocks.by_number("0x68"), Value::Null);
        let mut heads = 0;
        while let Ok(Told::Head(_)) = told.try_recv() {
            heads += 1;
        }
        assert_eq!(heads, 4);
    }
}
