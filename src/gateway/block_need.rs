//! Which block a call is about, read from its parameters alone: whether an upstream has that block decides whether it is asked at all.
//!
//! Only what every node reads in the same way is read here. Anything else is [`BlockNeed::None`], so that the node itself says what is wrong with
//! it. No call is refused here.

mod parameter;

pub(in crate::gateway) use parameter::{nth, quantity};

pub use parameter::{Filter, Word, nth_parameter};

/// The block that a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockNeed {
    /// None in particular, or one that cannot be read.
    None,
    /// The newest; what a call means that names none.
    Latest,
    /// The one that is being built.
    Pending,
    /// The newest that the consensus layer holds to be safe.
    Safe,
    /// The newest finalized one.
    Finalized,
    /// The first that the node has.
    Earliest,
    /// The one at a height.
    Number(u64),
    /// All from one to another, both included, for logs.
    Range {
        /// The first.
        from: Bound,
        /// The last.
        to: Bound,
    },
    /// The one with a hash, whatever its height.
    Hash,
}

/// One end of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The newest block.
    Latest,
    /// The one that is being built.
    Pending,
    /// The newest safe one.
    Safe,
    /// The newest finalized one.
    Finalized,
    /// The first that the node has.
    Earliest,
    /// The one at a height.
    Number(u64),
}

/// Where a method names its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockPlace {
    /// Nowhere.
    None,
    /// The parameter at a place, from 0, is a number, a tag, or an EIP-1898 object.
    At(usize),
    /// The first parameter is a block's hash.
    FirstIsHash,
    /// The first parameter is a filter of logs.
    Filter,
}

/// Where a method names its block.
pub fn block_place(method: &str) -> BlockPlace {
    use BlockPlace::{At, Filter, FirstIsHash, None};
    match method {
        "eth_getBlockByNumber"
        | "eth_getHeaderByNumber"
        | "eth_getBlockReceipts"
        | "eth_getBlockTransactionCountByNumber"
        | "eth_getTransactionByBlockNumberAndIndex"
        | "eth_getRawTransactionByBlockNumberAndIndex"
        | "eth_getUncleCountByBlockNumber"
        | "eth_getUncleByBlockNumberAndIndex"
        | "eth_getBlockAccessListByBlockNumber"
        | "debug_getRawBlock"
        | "debug_getRawHeader"
        | "debug_getRawReceipts"
        | "debug_traceBlockByNumber"
        | "trace_block"
        | "trace_replayBlockTransactions" => At(0),
        "eth_getBalance"
        | "eth_getCode"
        | "eth_getTransactionCount"
        | "eth_call"
        | "eth_estimateGas"
        | "eth_createAccessList"
        | "eth_simulateV1"
        | "eth_feeHistory"
        | "eth_callMany"
        | "debug_traceCall"
        | "trace_callMany" => At(1),
        "eth_getStorageAt" | "eth_getProof" | "eth_getStorageValues" | "trace_call" => At(2),
        "eth_getBlockByHash"
        | "eth_getHeaderByHash"
        | "eth_getBlockTransactionCountByHash"
        | "eth_getTransactionByBlockHashAndIndex"
        | "eth_getRawTransactionByBlockHashAndIndex"
        | "eth_getUncleCountByBlockHash"
        | "eth_getUncleByBlockHashAndIndex"
        | "eth_getBlockAccessListByBlockHash"
        | "debug_traceBlockByHash" => FirstIsHash,
        "eth_getLogs" | "eth_newFilter" | "trace_filter" => Filter,
        _ => None,
    }
}

/// The block that a call of `method` with these parameters, as JSON text, is about.
pub fn of(method: &str, params: &[u8]) -> BlockNeed {
    match block_place(method) {
        BlockPlace::None => BlockNeed::None,
        BlockPlace::FirstIsHash => BlockNeed::Hash,
        // `eth_callMany` of Erigon has an object of its own there, `{"blockNumber": …, "transactionIndex": …}`, that reads like EIP-1898's.
        BlockPlace::At(place) => nth_parameter(params, place).map_or(BlockNeed::None, BlockNeed::from),
        BlockPlace::Filter => match parameter::nth::<Filter>(params, 0) {
            Some(Some(Filter { block_hash: None, from, to })) => match (from.bound(), to.bound()) {
                (Some(from), Some(to)) => BlockNeed::Range { from, to },
                _ => BlockNeed::None,
            },
            Some(Some(Filter { block_hash: Some(_), from: Word::Missing, to: Word::Missing })) => {
                BlockNeed::Hash
            }
            _ => BlockNeed::None,
        },
    }
}

impl From<Word> for BlockNeed {
    fn from(word: Word) -> Self {
        match word {
            Word::Missing | Word::Latest => Self::Latest,
            Word::Pending => Self::Pending,
            Word::Safe => Self::Safe,
            Word::Finalized => Self::Finalized,
            Word::Earliest => Self::Earliest,
            Word::Number(number) => Self::Number(number),
            Word::Hash(_) => Self::Hash,
        }
    }
}

impl Word {
    /// As one end of a range; `None` for a hash.
    pub fn bound(self) -> Option<Bound> {
        Some(match self {
            Self::Missing | Self::Latest => Bound::Latest,
            Self::Pending => Bound::Pending,
            Self::Safe => Bound::Safe,
            Self::Finalized => Bound::Finalized,
            Self::Earliest => Bound::Earliest,
            Self::Number(number) => Bound::Number(number),
            Self::Hash(_) => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{BlockNeed as Need, *};

    #[track_caller]
    fn check(method: &str, params: &str, want: Need) {
        assert_eq!(of(method, params.as_bytes()), want, "{method} {params}");
    }

    const HASH: &str = "\"0x00000000000000000000000000000000000000000000000000000000000000AB\"";

    #[test]
    fn each_method_names_its_block_at_its_place() {
        for (method, params) in [
            ("eth_getBlockByNumber", r#"["0x1b",true]"#),
            ("eth_getBlockReceipts", r#"["0x1b"]"#),
            ("eth_getTransactionByBlockNumberAndIndex", r#"["0x1b","0x0"]"#),
            ("eth_getUncleByBlockNumberAndIndex", r#"["0x1b","0x0"]"#),
            ("eth_getBlockTransactionCountByNumber", r#"["0x1b"]"#),
            ("eth_getBalance", r#"["0xaa","0x1b"]"#),
            ("eth_getCode", r#"["0xaa","0x1b"]"#),
            ("eth_getTransactionCount", r#"["0xaa","0x1b"]"#),
            ("eth_call", r#"[{"to":"0x1","data":"0x[]{}\""}, "0x1b", {"0x1":{"code":"0x"}}]"#),
            ("eth_estimateGas", r#"[{}, "0x1b"]"#),
            ("eth_createAccessList", r#"[{}, "0x1b"]"#),
            ("eth_simulateV1", r#"[{}, "0x1b"]"#),
            ("eth_feeHistory", r#"["0x4", "0x1b", [25, 75.5]]"#),
            ("eth_getStorageAt", r#"["0xaa","0x0","0x1b"]"#),
            ("eth_getProof", r#"["0xaa",["0x0","0x1"],"0x1b"]"#),
            ("debug_traceBlockByNumber", r#"["0x1b",{}]"#),
            ("trace_call", r#"[{},["trace"],"0x1b"]"#),
        ] {
            check(method, params, Need::Number(27));
        }
        for method in [
            "eth_getBlockByHash",
            "eth_getTransactionByBlockHashAndIndex",
            "eth_getBlockTransactionCountByHash",
        ] {
            check(method, &format!("[{HASH}]"), Need::Hash);
        }
        for method in [
            "eth_blockNumber",
            "eth_getTransactionByHash",
            "eth_sendRawTransaction",
            "eth_chainId",
            "nonsense",
        ] {
            check(method, r#"["0x1b","0x1b","0x1b"]"#, Need::None);
        }
    }

    #[test]
    fn every_way_to_name_a_block() {
        for (word, want) in [
            (r#""latest""#, Need::Latest),
            (r#""pending""#, Need::Pending),
            (r#""safe""#, Need::Safe),
            (r#""finalized""#, Need::Finalized),
            (r#""earliest""#, Need::Earliest),
            ("null", Need::Latest),
            (r#""0x0""#, Need::Number(0)),
            (r#""0xFf""#, Need::Number(255)),
            (r#""0xffffffffffffffff""#, Need::Number(u64::MAX)),
            (HASH, Need::Hash),
            (r#"{"blockNumber":"0x10"}"#, Need::Number(16)),
            (r#"{"blockNumber":"safe","requireCanonical":true}"#, Need::Safe),
            (&format!(r#"{{"blockHash":{HASH},"requireCanonical":false}}"#), Need::Hash),
            (&format!(r#"{{"blockHash":{HASH},"blockNumber":null}}"#), Need::Hash),
            // What nodes refuse, or read differently from each other.
            (&format!(r#"{{"blockHash":{HASH},"blockNumber":"0x1"}}"#), Need::None),
            (r#"{"blockHash":"0x12"}"#, Need::None),
            ("{}", Need::None),
            (r#""0x""#, Need::None),
            (r#""0x01""#, Need::None),
            (r#""0x10000000000000000""#, Need::None),
            (r#""0xg""#, Need::None),
            (r#""0x-1""#, Need::None),
            (r#""0x+1""#, Need::None),
            (r#""16""#, Need::None),
            ("16", Need::None),
            (r#""Latest""#, Need::None),
            (r#""""#, Need::None),
            ("[]", Need::None),
            ("true", Need::None),
        ] {
            check("eth_getBalance", &format!("[\"0xaa\", {word} ]"), want);
        }
    }

    #[test]
    fn a_missing_block_is_the_latest_and_what_is_no_list_is_left_to_the_node() {
        for params in [r#"["0xaa"]"#, "[]", " [ ] "] {
            check("eth_getBalance", params, Need::Latest);
        }
        for params in ["", "{}", r#"{"block":"0x1"}"#, "[\"0xaa\"", "null", "[,]", "[\"a\",\"0x1\"] x"] {
            check("eth_getBalance", params, Need::None);
        }
    }

    #[test]
    fn filters_name_a_range_or_a_hash() {
        let range = |from, to| Need::Range { from, to };
        for (filter, want) in [
            (r#"{"fromBlock":"0x1","toBlock":"0x2"}"#, range(Bound::Number(1), Bound::Number(2))),
            (r#"{"fromBlock":"0x1"}"#, range(Bound::Number(1), Bound::Latest)),
            (r#"{"toBlock":"finalized","topics":[null,["0x1"]]}"#, range(Bound::Latest, Bound::Finalized)),
            (r#"{"fromBlock":"earliest","toBlock":"safe"}"#, range(Bound::Earliest, Bound::Safe)),
            (r#"{"fromBlock":null,"toBlock":"pending"}"#, range(Bound::Latest, Bound::Pending)),
            ("{}", range(Bound::Latest, Bound::Latest)),
            (&format!(r#"{{"blockHash":{HASH},"address":"0x1"}}"#), Need::Hash),
            (&format!(r#"{{"blockHash":{HASH},"fromBlock":"0x1"}}"#), Need::None),
            (&format!(r#"{{"fromBlock":{HASH}}}"#), Need::None),
            (r#"{"fromBlock":1}"#, Need::None),
            (r#"{"fromBlock":"0x1","fromBlock":"0x2"}"#, Need::None),
            ("null", Need::None),
            ("\"0x1\"", Need::None),
        ] {
            check("eth_getLogs", &format!("[{filter}]"), want);
            check("eth_newFilter", &format!("[{filter}]"), want);
        }
        check("eth_getLogs", "[]", Need::None);
    }
}
