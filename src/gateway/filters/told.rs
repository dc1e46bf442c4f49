//! What a filter's client was told already, so that it is told nothing twice when the filter moves to another upstream.

use std::collections::{BTreeMap, VecDeque};

use alloy_primitives::B256;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::gateway::{RawJson, own_answer::read_quantity};

/// Blocks that are remembered: twice those that are read when a filter moves.
const BLOCKS: usize = 256;
/// Most logs of blocks beyond the last that are remembered. An arbitrary number: beyond, a move may tell something twice.
const MAX: usize = 20_000;

/// What was told: a log, as it came or as it was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    hash: B256,
    index: u64,
    removed: bool,
}

/// What was told of blocks after the last that was told wholly.
#[derive(Debug, Default)]
pub(super) struct Told {
    logs: BTreeMap<Key, u64>,
    /// A block's height is not told with its hash: the last ones, the oldest first.
    blocks: VecDeque<B256>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Item<'a> {
    #[serde(rename_all = "camelCase")]
    Log {
        block_hash: B256,
        #[serde(borrow)]
        block_number: &'a str,
        log_index: &'a str,
        #[serde(default)]
        removed: bool,
    },
    Hash(B256),
}

impl Told {
    /// What of a list was not told before; all up to `last` was.
    pub(super) fn only_new(&mut self, list: RawJson, last: u64) -> RawJson {
        let Ok(items) = list.read::<Vec<&RawValue>>() else { return list };
        let mut new = Vec::with_capacity(items.len());
        for item in &items {
            if self.is_new(item) {
                new.push(item.get());
            }
        }
        let all = new.len() == items.len();
        let text = if all { None } else { RawJson::parse(format!("[{}]", new.join(",")).into()) };
        self.logs.retain(|_, number| *number > last);
        text.unwrap_or(list)
    }

    /// Whether it was not told before; it is remembered. What cannot be read is new each time.
    fn is_new(&mut self, item: &RawValue) -> bool {
        match serde_json::from_str(item.get()) {
            Ok(Item::Log { block_hash: hash, block_number, log_index, removed }) => {
                let (Some(index), Some(number)) = (read_quantity(log_index), read_quantity(block_number))
                else {
                    return true;
                };
                let key = Key { hash, index, removed };
                let is_new = !self.logs.contains_key(&key);
                if is_new && self.logs.len() < MAX {
                    self.logs.insert(key, number);
                }
                is_new
            }
            Ok(Item::Hash(hash)) => {
                let is_new = !self.blocks.contains(&hash);
                if is_new {
                    if self.blocks.len() >= BLOCKS {
                        self.blocks.pop_front();
                    }
                    self.blocks.push_back(hash);
                }
                is_new
            }
            Err(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn log(block: u64, index: u64, removed: bool) -> Value {
        json!({
            "blockHash": B256::with_last_byte(block.to_le_bytes()[0]), "blockNumber": format!("{block:#x}"),
            "logIndex": format!("{index:#x}"), "removed": removed, "data": "0x",
        })
    }

    fn new(told: &mut Told, list: &Value, last: u64) -> Value {
        told.only_new(RawJson::from_value(list), last).read().unwrap()
    }

    #[test]
    fn a_log_is_told_once_and_taken_back_once() {
        let mut told = Told::default();
        let first = json!([log(5, 0, false), log(5, 1, false)]);
        assert_eq!(new(&mut told, &first, 4), first);
        let second = json!([log(5, 1, false), log(5, 1, true), log(6, 0, false)]);
        assert_eq!(new(&mut told, &second, 4), json!([log(5, 1, true), log(6, 0, false)]));
        assert_eq!(new(&mut told, &second, 4), json!([]));
        // What is told wholly needs no memory.
        assert_eq!(new(&mut told, &json!([]), 5), json!([]));
        assert_eq!(told.logs.len(), 1);
    }

    #[test]
    fn blocks_are_told_once_and_what_is_unknown_is_passed_on() {
        let mut told = Told::default();
        let hash = json!(B256::repeat_byte(7));
        assert_eq!(new(&mut told, &json!([hash]), 0), json!([hash]));
        assert_eq!(new(&mut told, &json!([hash, 3]), 0), json!([3]));
        assert_eq!(new(&mut told, &json!("no list"), 0), json!("no list"));
        // However many there are, the last ones are told once.
        let hash = |nth: u64| json!([B256::left_padding_from(&nth.to_be_bytes())]);
        for nth in 0..1_000 {
            assert_eq!(new(&mut told, &hash(nth), 0), hash(nth));
        }
        assert_eq!(new(&mut told, &hash(999), 0), json!([]));
        assert_eq!(told.blocks.len(), BLOCKS);
    }
}
