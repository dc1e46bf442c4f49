//! What a filter's client was told already, so that it is told nothing twice when the filter moves to another upstream.

use std::collections::BTreeMap;

use alloy_primitives::B256;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::gateway::{RawJson, own_answer::read_quantity};

/// Most things of blocks beyond the last that are remembered. An arbitrary number: beyond, a move may tell something twice.
const MAX: usize = 20_000;

/// What was told: a log, as it came or as it was taken back, or a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    hash: B256,
    index: u64,
    removed: bool,
}

/// What was told of blocks after the last that was told wholly.
#[derive(Debug, Default)]
pub(super) struct Told(BTreeMap<Key, u64>);

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
            let Some((key, number)) = key(item) else {
                new.push(item.get());
                continue;
            };
            if !self.0.contains_key(&key) {
                if self.0.len() < MAX {
                    self.0.insert(key, number);
                }
                new.push(item.get());
            }
        }
        let all = new.len() == items.len();
        let text = if all { None } else { RawJson::parse(format!("[{}]", new.join(",")).into()) };
        self.0.retain(|_, number| *number > last);
        text.unwrap_or(list)
    }
}

fn key(item: &RawValue) -> Option<(Key, u64)> {
    match serde_json::from_str(item.get()).ok()? {
        Item::Log { block_hash: hash, block_number, log_index, removed } => {
            Some((Key { hash, index: read_quantity(log_index)?, removed }, read_quantity(block_number)?))
        }
        // A block's height is not told with its hash: it is kept as long as there is room, which is bounded.
        Item::Hash(hash) => Some((Key { hash, index: 0, removed: false }, u64::MAX)),
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
        assert_eq!(told.0.len(), 1);
    }

    #[test]
    fn blocks_are_told_once_and_what_is_unknown_is_passed_on() {
        let mut told = Told::default();
        let hash = json!(B256::repeat_byte(7));
        assert_eq!(new(&mut told, &json!([hash]), 0), json!([hash]));
        assert_eq!(new(&mut told, &json!([hash, 3]), 0), json!([3]));
        assert_eq!(new(&mut told, &json!("no list"), 0), json!("no list"));
    }
}
