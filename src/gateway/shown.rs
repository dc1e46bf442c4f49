//! What an answer shows of the chain's head.

use alloy_primitives::B256;
use serde::Deserialize;

use super::{BlockNeed, Head, Method, RawJson, methods::Shows, own_answer::read_quantity};

/// What an answer shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// Nothing of a head.
    Nothing,
    /// The newest block's number.
    Number(u64),
    /// The newest block.
    Latest(Head),
    /// The newest finalized block's number.
    Finalized(u64),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Block<'a> {
    number: &'a str,
    hash: B256,
    parent_hash: B256,
    timestamp: &'a str,
}

/// What an answer to a call shows. What cannot be read shows nothing.
pub(super) fn of(method: Method, block: BlockNeed, result: &RawJson) -> Shown {
    match (method.shows, block) {
        (Shows::Number, _) => {
            result.read::<&str>().ok().and_then(read_quantity).map_or(Shown::Nothing, Shown::Number)
        }
        (Shows::Block, BlockNeed::Latest) => head(result).map_or(Shown::Nothing, Shown::Latest),
        (Shows::Block, BlockNeed::Finalized) => {
            head(result).map_or(Shown::Nothing, |head| Shown::Finalized(head.number))
        }
        (Shows::Block | Shows::Nothing, _) => Shown::Nothing,
    }
}

fn head(result: &RawJson) -> Option<Head> {
    let block: Block<'_> = result.read().ok()?;
    Some(Head {
        number: read_quantity(block.number)?,
        hash: block.hash,
        parent_hash: block.parent_hash,
        timestamp: read_quantity(block.timestamp)?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn heads_are_read_where_a_call_asks_for_one() {
        let block = RawJson::from_value(&json!({
            "number": "0x1b", "hash": B256::repeat_byte(1), "parentHash": B256::repeat_byte(2),
            "timestamp": "0x10", "transactions": [{"number": "0x1"}],
        }));
        let by_number = Method::of("eth_getBlockByNumber");
        assert!(matches!(of(by_number, BlockNeed::Latest, &block), Shown::Latest(head) if head.number == 27));
        assert_eq!(of(by_number, BlockNeed::Finalized, &block), Shown::Finalized(27));
        assert_eq!(of(by_number, BlockNeed::Number(27), &block), Shown::Nothing);
        assert_eq!(of(Method::of("eth_getBlockByHash"), BlockNeed::Hash, &block), Shown::Nothing);
        let number = |text: &str| {
            of(Method::of("eth_blockNumber"), BlockNeed::None, &RawJson::from_value(&json!(text)))
        };
        assert_eq!(number("0x1b"), Shown::Number(27));
        assert_eq!(number("27"), Shown::Nothing);
        assert_eq!(of(by_number, BlockNeed::Latest, &RawJson::from_value(&json!(null))), Shown::Nothing);
    }
}
