//! What an execution node's `eth_syncing` says. Sources: execution-apis; geth `internal/ethapi`, nitro `sync_monitor.go`.

use serde_json::{Map, Value};

/// How far an execution node is, by its own account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syncing {
    /// It is there.
    No,
    /// It is on its way.
    Yes {
        /// Blocks, or messages of a second layer, that are left; none: it does not say.
        remaining: Option<u64>,
    },
}

/// Reads it; none for what it never says. `false` and an empty object say that it is there, an object how far it is. geth gives an object also
/// while it only indexes old transactions or states, for hours: then no block is left, and it serves.
pub fn read_syncing(said: &Value) -> Option<Syncing> {
    match said {
        Value::Bool(false) => Some(Syncing::No),
        Value::Bool(true) => Some(Syncing::Yes { remaining: None }),
        Value::Object(fields) if fields.is_empty() || is_only_indexing(fields) => Some(Syncing::No),
        Value::Object(fields) => Some(Syncing::Yes { remaining: remaining(fields) }),
        Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) => None,
    }
}

/// Most stages that are read.
const MAX_STAGES: usize = 64;
/// What a snap sync counts of the state that it has: geth, and Besu.
const STATE: [&str; 6] = [
    "syncedAccounts",
    "syncedBytecodes",
    "syncedStorage",
    "healedTrienodes",
    "healedBytecodes",
    "pulledStates",
];

/// What it says that its sync has done beside blocks, as one count that only grows while it works: parts of the state in a snap sync, and the blocks
/// of each stage (reth, Erigon). None: it does not say.
pub fn sync_work(said: &Value) -> Option<u64> {
    let fields = said.as_object()?;
    let state = STATE.iter().filter_map(|key| number(fields, key));
    let stages = fields.get("stages").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let stages = stages.iter().take(MAX_STAGES).filter_map(|stage| {
        let stage = stage.as_object()?;
        number(stage, "block").or_else(|| number(stage, "block_number"))
    });
    state.chain(stages).reduce(u64::saturating_add)
}

fn remaining(fields: &Map<String, Value>) -> Option<u64> {
    let left = |target, done| Some(number(fields, target)?.saturating_sub(number(fields, done)?));
    left("highestBlock", "currentBlock").or_else(|| left("consensusMaxMessageCount", "messageOfLastBlock"))
}

fn is_only_indexing(fields: &Map<String, Value>) -> bool {
    let is_some = |key| number(fields, key).is_some_and(|left| left > 0);
    let indexes = is_some("txIndexRemainingBlocks") || is_some("stateIndexRemaining");
    let heals = is_some("healingTrienodes") || is_some("healingBytecode");
    indexes && !heals && remaining(fields) == Some(0)
}

/// A number, or hex in a text.
fn number(fields: &Map<String, Value>, key: &str) -> Option<u64> {
    let value = fields.get(key)?;
    value.as_u64().or_else(|| u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_each_client_says_it() {
        let yes = |remaining| Some(Syncing::Yes { remaining });
        for (text, want) in [
            ("false", Some(Syncing::No)),
            ("{}", Some(Syncing::No)),
            ("true", yes(None)),
            (r#"{"currentBlock":"0x10","highestBlock":"0x20"}"#, yes(Some(16))),
            (r#"{"currentBlock":"0x20","highestBlock":"0x0"}"#, yes(Some(0))),
            (r#"{"stages":[]}"#, yes(None)),
            (r#"{"blockNum":5,"messageOfLastBlock":7,"consensusMaxMessageCount":27}"#, yes(Some(20))),
            ("null", None),
            ("[1]", None),
            ("\"no\"", None),
            (r#"{"currentBlock":"0x1ffffffffffffffff","highestBlock":-1}"#, yes(None)),
        ] {
            assert_eq!(read_syncing(&serde_json::from_str(text).unwrap()), want, "{text}");
        }
    }

    #[test]
    fn what_is_done_beside_blocks_is_one_count() {
        for (text, want) in [
            ("false", None),
            ("true", None),
            (r#"{"currentBlock":"0x10","highestBlock":"0x20"}"#, None),
            (
                r#"{"currentBlock":"0x1","syncedAccounts":"0x10","syncedStorage":"0x2","healedTrienodes":"0x1"}"#,
                Some(19),
            ),
            (r#"{"syncedAccounts":"0x0","healingTrienodes":"0xff"}"#, Some(0)),
            (r#"{"pulledStates":"0x203ca","knownStates":"0x200636"}"#, Some(0x203ca)),
            (
                r#"{"stages":[{"name":"Headers","block":"0x64"},{"name":"Bodies","block":20},{"name":"x"},7]}"#,
                Some(120),
            ),
            (r#"{"stages":[{"stage_name":"Senders","block_number":"0x5"}]}"#, Some(5)),
            (r#"{"stages":[]}"#, None),
            (r#"{"stages":{}, "syncedAccounts":-1}"#, None),
            (r#"{"syncedAccounts":"0xffffffffffffffff","syncedStorage":"0x1"}"#, Some(u64::MAX)),
        ] {
            assert_eq!(sync_work(&serde_json::from_str(text).unwrap()), want, "{text}");
        }
    }

    /// As geth 1.17 says it, `--dev` included.
    #[test]
    fn geth_that_only_indexes_is_there() {
        for (current, highest, healing, transactions, states, want) in [
            (9, 9, 0, 1, 0, true),
            (0, 0, 0, 1, 0, true),
            (9, 9, 0, 0, 7, true),
            // It heals its state, or has blocks to go.
            (9, 9, 5, 1, 0, false),
            (9, 10, 0, 1, 0, false),
            (9, 9, 0, 0, 0, false),
        ] {
            let hex = |number: u64| format!("{number:#x}");
            let said = serde_json::json!({
                "currentBlock": hex(current), "highestBlock": hex(highest), "healingTrienodes": hex(healing),
                "healingBytecode": "0x0", "txIndexRemainingBlocks": hex(transactions), "stateIndexRemaining": hex(states),
            });
            assert_eq!(read_syncing(&said) == Some(Syncing::No), want, "{said}");
        }
    }
}
