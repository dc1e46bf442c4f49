//! A block's header, as subscribers are told of it.

use std::collections::BTreeMap;

use alloy_primitives::{B256, Bloom, U64, b256};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use crate::gateway::{Head, RawJson};

/// Root of no receipts at all: such a block cannot have a log, whatever else it says.
const NO_RECEIPTS: B256 = b256!("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421");
/// What a block has beside its header. A node's `newHeads` has none of these.
const NOT_IN_HEADERS: [&str; 5] = ["transactions", "uncles", "withdrawals", "size", "totalDifficulty"];

/// A block's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its number, hash, parent and time.
    pub head: Head,
    /// Which addresses and topics its logs may have; none where the chain does not say.
    pub bloom: Option<Bloom>,
    /// Its header as clients are told it.
    pub raw: RawJson,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    number: U64,
    hash: B256,
    parent_hash: B256,
    timestamp: U64,
    #[serde(default)]
    logs_bloom: Option<Bloom>,
    #[serde(default)]
    receipts_root: Option<B256>,
    #[serde(default)]
    transactions: Option<IgnoredAny>,
}

impl Block {
    /// Reads a header, or a block whose transactions are left out; `None` for what is none, such as `null` or a pending block.
    pub fn read(raw: &RawJson) -> Option<Self> {
        let wire: Wire = raw.read().ok()?;
        let head = Head {
            number: wire.number.to(),
            hash: wire.hash,
            parent_hash: wire.parent_hash,
            timestamp: wire.timestamp.to(),
        };
        // Some chains leave the bloom empty whatever logs there are: then it says nothing, unless there was nothing to log.
        let bloom = wire.logs_bloom.filter(|bloom| {
            *bloom != Bloom::ZERO || wire.receipts_root.is_some_and(|root| root == NO_RECEIPTS)
        });
        let raw = match wire.transactions {
            None => raw.clone(),
            Some(IgnoredAny) => header_of(raw)?,
        };
        Some(Self { head, bloom, raw })
    }

    /// Its number.
    pub fn number(&self) -> u64 {
        self.head.number
    }

    /// Its hash.
    pub fn hash(&self) -> B256 {
        self.head.hash
    }
}

/// The header of a block.
fn header_of(block: &RawJson) -> Option<RawJson> {
    let mut fields: BTreeMap<&str, &RawValue> = block.read().ok()?;
    fields.retain(|name, _| !NOT_IN_HEADERS.contains(name));
    RawJson::parse(serde_json::to_vec(&fields).ok()?.into())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn block(more: &Value) -> RawJson {
        let mut block = json!({
            "number": "0x10", "hash": B256::repeat_byte(1), "parentHash": B256::repeat_byte(2), "timestamp": "0x5",
        });
        block.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        RawJson::from_value(&block)
    }

    #[test]
    fn a_header_is_passed_on_as_it_came_and_a_block_without_its_body() {
        let raw = block(&json!({"extraData": "0x"}));
        let read = Block::read(&raw).unwrap();
        assert_eq!((read.number(), read.head.timestamp, &read.raw), (16, 5, &raw));
        let whole = block(&json!({"transactions": ["0x1"], "uncles": [], "size": "0x9", "extraData": "0x"}));
        let read = Block::read(&whole).unwrap().raw.read::<Value>().unwrap();
        assert_eq!(read, raw.read::<Value>().unwrap());
    }

    #[test]
    fn an_empty_bloom_counts_where_there_are_no_receipts() {
        for (more, known) in [
            (json!({}), false),
            (json!({"logsBloom": Bloom::ZERO}), false),
            (json!({"logsBloom": Bloom::ZERO, "receiptsRoot": B256::repeat_byte(7)}), false),
            (json!({"logsBloom": Bloom::ZERO, "receiptsRoot": NO_RECEIPTS}), true),
            (json!({"logsBloom": Bloom::repeat_byte(1)}), true),
        ] {
            assert_eq!(Block::read(&block(&more)).unwrap().bloom.is_some(), known, "{more}");
        }
    }

    #[test]
    fn what_is_no_block_is_none() {
        for text in [json!(null), json!({}), json!("0x1"), json!({"number": null, "hash": null})] {
            assert_eq!(Block::read(&RawJson::from_value(&text)), None, "{text}");
        }
        assert_eq!(Block::read(&block(&json!({"hash": null}))), None, "a pending block has no hash");
    }
}
