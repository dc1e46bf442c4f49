//! What is known of each JSON-RPC method: how heavy it is, whether asking twice is the same as asking once, and what its answer may show.
//!
//! Sources: ethereum/execution-apis (`eth_`), go-ethereum's `internal/ethapi` and `eth/tracers` (`debug_`, `txpool_`), Erigon's and reth's
//! `trace_`, the documentation of op-node and Nitro. Where a method names its block is in `block_need`.

use crate::types::labelled;

labelled! {
    /// How urgent a call is and what it costs a node. When there is too much to do, the last class waits first.
    pub enum MethodClass {
        /// A transaction is sent.
        Send = "send",
        /// A read of one thing.
        Read = "read",
        /// Logs and traces, which may take seconds.
        Heavy = "heavy",
    }
}

/// Whether asking again, or two upstreams at once, is the same as asking once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// It is.
    Freely,
    /// It may have an effect each time, or what it does is not known.
    Never,
}

/// What a method has to do with filters, which live in the node that made them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterUse {
    /// Nothing.
    None,
    /// It makes one.
    Creates,
    /// Its first parameter is one's id.
    Uses,
}

/// What an answer shows of the chain's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// Nothing.
    Nothing,
    /// The number of the newest block.
    Number,
    /// A block, which is a head where the call names one by a tag.
    Block,
}

/// Whether a method is served without being asked for in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It is.
    Usual,
    /// Only where `rpc.methods.allow` has it.
    OnRequest,
    /// It acts with accounts whose keys are in a node: only where `rpc.methods.allow` has its whole name.
    Accounts,
}

/// What is known of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    /// Its name as a metric's label: `other` for one that is not in the table.
    pub label: &'static str,
    /// How heavy it is.
    pub class: MethodClass,
    /// Whether it may be repeated.
    pub repeat: Repeat,
    /// What it has to do with filters.
    pub filter: FilterUse,
    /// What its answer shows of the head.
    pub shows: Shows,
    /// Whether the answer null may mean that this upstream does not have it yet.
    pub may_be_absent: bool,
    /// Whether it is served.
    pub access: Access,
}

impl Method {
    /// What is known of a method.
    pub fn of(name: &str) -> Self {
        Self::known(name).unwrap_or_else(|| Self::unknown(name))
    }

    /// A method of the table.
    pub fn known(name: &str) -> Option<Self> {
        let place = TABLE.binary_search_by_key(&name, |method| method.label).ok()?;
        TABLE.get(place).copied()
    }

    fn unknown(name: &str) -> Self {
        // These namespaces have reads alone, whatever will be added to them.
        let reads = ["trace_", "arbtrace_", "ots_"].iter().any(|prefix| name.starts_with(prefix));
        let heavy = reads || name.starts_with("debug_");
        let class = if heavy { MethodClass::Heavy } else { MethodClass::Read };
        let method = on_request("other", class);
        if reads { method } else { once(method) }
    }
}

const fn read(label: &'static str) -> Method {
    Method {
        label,
        class: MethodClass::Read,
        repeat: Repeat::Freely,
        filter: FilterUse::None,
        shows: Shows::Nothing,
        may_be_absent: false,
        access: Access::Usual,
    }
}

const fn by_key(label: &'static str) -> Method {
    Method { may_be_absent: true, ..read(label) }
}

const fn block(label: &'static str) -> Method {
    Method { shows: Shows::Block, ..by_key(label) }
}

const fn filter(label: &'static str, class: MethodClass, filter: FilterUse) -> Method {
    Method { class, filter, repeat: Repeat::Never, ..read(label) }
}

const fn on_request(label: &'static str, class: MethodClass) -> Method {
    Method { class, access: Access::OnRequest, ..read(label) }
}

const fn once(method: Method) -> Method {
    Method { repeat: Repeat::Never, ..method }
}

const fn accounts(label: &'static str, class: MethodClass) -> Method {
    Method { class, access: Access::Accounts, repeat: Repeat::Never, ..read(label) }
}

use FilterUse::{Creates, Uses};
use MethodClass::{Heavy, Read, Send};

/// By name, in the order of their bytes.
const TABLE: &[Method] = &[
    on_request("arb_checkPublisherHealth", Read),
    on_request("arb_getRawBlockMetadata", Read),
    on_request("arbtrace_block", Heavy),
    on_request("arbtrace_call", Heavy),
    on_request("arbtrace_filter", Heavy),
    on_request("arbtrace_transaction", Heavy),
    on_request("debug_getBadBlocks", Heavy),
    on_request("debug_getRawBlock", Heavy),
    on_request("debug_getRawHeader", Heavy),
    on_request("debug_getRawReceipts", Heavy),
    on_request("debug_getRawTransaction", Heavy),
    on_request("debug_storageRangeAt", Heavy),
    on_request("debug_traceBlockByHash", Heavy),
    on_request("debug_traceBlockByNumber", Heavy),
    on_request("debug_traceCall", Heavy),
    on_request("debug_traceTransaction", Heavy),
    accounts("eth_accounts", Read),
    read("eth_blobBaseFee"),
    Method { shows: Shows::Number, ..read("eth_blockNumber") },
    read("eth_call"),
    once(on_request("eth_callBundle", Heavy)),
    on_request("eth_callMany", Heavy),
    read("eth_capabilities"),
    read("eth_chainId"),
    on_request("eth_coinbase", Read),
    read("eth_config"),
    read("eth_createAccessList"),
    read("eth_estimateGas"),
    read("eth_feeHistory"),
    accounts("eth_fillTransaction", Read),
    read("eth_gasPrice"),
    read("eth_getBalance"),
    by_key("eth_getBlockAccessListByBlockHash"),
    by_key("eth_getBlockAccessListByBlockNumber"),
    by_key("eth_getBlockByHash"),
    block("eth_getBlockByNumber"),
    by_key("eth_getBlockReceipts"),
    by_key("eth_getBlockTransactionCountByHash"),
    by_key("eth_getBlockTransactionCountByNumber"),
    read("eth_getCode"),
    filter("eth_getFilterChanges", Read, Uses),
    filter("eth_getFilterLogs", Heavy, Uses),
    by_key("eth_getHeaderByHash"),
    block("eth_getHeaderByNumber"),
    Method { class: Heavy, ..read("eth_getLogs") },
    read("eth_getProof"),
    by_key("eth_getRawTransactionByBlockHashAndIndex"),
    by_key("eth_getRawTransactionByBlockNumberAndIndex"),
    by_key("eth_getRawTransactionByHash"),
    read("eth_getStorageAt"),
    read("eth_getStorageValues"),
    by_key("eth_getTransactionByBlockHashAndIndex"),
    by_key("eth_getTransactionByBlockNumberAndIndex"),
    by_key("eth_getTransactionByHash"),
    read("eth_getTransactionCount"),
    by_key("eth_getTransactionReceipt"),
    by_key("eth_getUncleByBlockHashAndIndex"),
    by_key("eth_getUncleByBlockNumberAndIndex"),
    by_key("eth_getUncleCountByBlockHash"),
    by_key("eth_getUncleCountByBlockNumber"),
    on_request("eth_hashrate", Read),
    read("eth_maxPriorityFeePerGas"),
    on_request("eth_mining", Read),
    filter("eth_newBlockFilter", Read, Creates),
    filter("eth_newFilter", Read, Creates),
    filter("eth_newPendingTransactionFilter", Read, Creates),
    on_request("eth_pendingTransactions", Read),
    read("eth_protocolVersion"),
    accounts("eth_resend", Send),
    once(on_request("eth_sendBundle", Send)),
    once(on_request("eth_sendPrivateTransaction", Send)),
    // The same however often it is sent, and sent in a way of its own: `send`.
    Method { class: Send, ..read("eth_sendRawTransaction") },
    once(on_request("eth_sendRawTransactionConditional", Send)),
    once(on_request("eth_sendRawTransactionSync", Send)),
    accounts("eth_sendTransaction", Send),
    accounts("eth_sign", Send),
    accounts("eth_signTransaction", Send),
    accounts("eth_signTypedData", Send),
    accounts("eth_signTypedData_v4", Send),
    Method { class: Heavy, ..read("eth_simulateV1") },
    once(on_request("eth_submitHashrate", Send)),
    once(on_request("eth_submitWork", Send)),
    read("eth_syncing"),
    filter("eth_uninstallFilter", Read, Uses),
    read("net_listening"),
    read("net_peerCount"),
    read("net_version"),
    on_request("optimism_outputAtBlock", Read),
    on_request("optimism_rollupConfig", Read),
    on_request("optimism_syncStatus", Read),
    on_request("optimism_version", Read),
    on_request("rpc_modules", Read),
    on_request("trace_block", Heavy),
    on_request("trace_call", Heavy),
    on_request("trace_callMany", Heavy),
    on_request("trace_filter", Heavy),
    on_request("trace_get", Heavy),
    on_request("trace_rawTransaction", Heavy),
    on_request("trace_replayBlockTransactions", Heavy),
    on_request("trace_replayTransaction", Heavy),
    on_request("trace_transaction", Heavy),
    on_request("txpool_content", Heavy),
    on_request("txpool_contentFrom", Read),
    on_request("txpool_inspect", Heavy),
    on_request("txpool_status", Read),
    read("web3_clientVersion"),
    read("web3_sha3"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_each_method_is_found() {
        for pair in TABLE.windows(2) {
            assert!(pair[0].label < pair[1].label, "{} stands before {}", pair[0].label, pair[1].label);
        }
        for method in TABLE {
            assert_eq!(Method::of(method.label), *method);
        }
        assert_eq!(Method::known("other"), None);
    }

    #[test]
    fn what_may_have_an_effect_twice_is_never_repeated() {
        for name in [
            "eth_sendTransaction",
            "eth_signTransaction",
            "eth_newFilter",
            "eth_newBlockFilter",
            "eth_newPendingTransactionFilter",
            // It takes what it answers out of the filter.
            "eth_getFilterChanges",
            "eth_submitWork",
            "eth_sendBundle",
            "debug_setHead",
            "admin_addPeer",
            "personal_unlockAccount",
            "eth_somethingNew",
        ] {
            assert_eq!(Method::of(name).repeat, Repeat::Never, "{name}");
        }
        for name in ["eth_call", "eth_getLogs", "trace_somethingNew", "debug_traceTransaction"] {
            assert_eq!(Method::of(name).repeat, Repeat::Freely, "{name}");
        }
    }

    #[test]
    fn classes_are_by_what_a_call_costs() {
        for (name, class) in [
            ("eth_sendRawTransaction", Send),
            ("eth_call", Read),
            ("eth_getLogs", Heavy),
            ("trace_block", Heavy),
            ("debug_whatever", Heavy),
            ("somebody_else", Read),
        ] {
            assert_eq!(Method::of(name).class, class, "{name}");
        }
    }

    #[test]
    fn only_reads_and_raw_transactions_are_served_unasked() {
        for method in TABLE.iter().filter(|method| method.access == Access::Usual) {
            let usual = ["eth_", "net_", "web3_"].iter().any(|prefix| method.label.starts_with(prefix));
            assert!(usual, "{}", method.label);
            assert!(method.class != Send || method.label == "eth_sendRawTransaction", "{}", method.label);
        }
    }
}
