//! The execution node: blocks, receipts, balances, and where the ether went inside a block. Sources: execution-apis `eth`, geth's `debug`
//! namespace (`callTracer`), OpenEthereum's `trace` namespace.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use alloy_primitives::{Address, B256, Bytes, U64, U256};
use parking_lot::Mutex;
use reqwest::Client;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use super::{
    NodeError,
    http::rpc,
    syncing::{Syncing, read_syncing},
};

/// Frames of one block looked at. Arbitrary: ten times a full block of the emptiest calls seen.
const MAX_FRAMES: usize = 1_000_000;

/// Which block is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockId {
    /// The head, which a reorganisation may take back.
    Latest,
    /// The newest that is final.
    Finalized,
    /// The canonical one of a height.
    Number(u64),
    /// The one of a hash, canonical or not.
    Hash(B256),
}

/// A block with its transactions.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Block {
    /// Height.
    pub number: U64,
    /// Its hash, by which it is known.
    pub hash: B256,
    /// Hash of the block that it builds on.
    pub parent_hash: B256,
    /// Unix seconds.
    pub timestamp: U64,
    /// Who gets the priority fees.
    #[serde(rename = "miner")]
    pub coinbase: Address,
    /// What its builder left in it.
    #[serde(default)]
    pub extra_data: Bytes,
    /// Burnt per gas, in wei.
    #[serde(default)]
    pub base_fee_per_gas: U256,
    /// Gas used.
    pub gas_used: U64,
    /// Its transactions; empty where only the header was asked for.
    #[serde(default, deserialize_with = "whole_transactions")]
    pub transactions: Vec<Transaction>,
    /// Withdrawals of the consensus layer.
    #[serde(default)]
    pub withdrawals: Vec<ChainWithdrawal>,
}

/// A transaction in a block.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Transaction {
    /// Its hash, by which it is known.
    pub hash: B256,
    /// Address of whoever signed it.
    pub from: Address,
    /// Who it calls; nobody where it makes a contract.
    pub to: Option<Address>,
    /// Sent along, in wei.
    pub value: U256,
    /// The sender's counter.
    pub nonce: U64,
}

/// A withdrawal: `amount` is gwei.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct ChainWithdrawal {
    /// The address that the withdrawal is paid to.
    pub address: Address,
    /// In gwei.
    pub amount: U64,
}

/// What came of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// Hash of the transaction that it is of.
    pub transaction_hash: B256,
    /// 1 if it succeeded.
    pub status: U64,
    /// Gas used.
    pub gas_used: U64,
    /// Paid per gas, in wei.
    pub effective_gas_price: U256,
    /// Blob gas used.
    #[serde(default)]
    pub blob_gas_used: Option<U64>,
    /// Paid per blob gas, in wei.
    #[serde(default)]
    pub blob_gas_price: Option<U256>,
    /// Log entries of the contracts that it called, in order.
    #[serde(default)]
    pub logs: Vec<Log>,
}

/// A contract's log entry.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Log {
    /// The contract that wrote it.
    pub address: Address,
    /// Indexed fields, the event's own first.
    pub topics: Vec<B256>,
    /// Fields that are not indexed, ABI-encoded.
    pub data: Bytes,
}

/// Ether that moved, and stayed moved, inside a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Index of the transaction in its block.
    pub transaction: usize,
    /// From whom.
    pub from: Address,
    /// The address that gets it.
    pub to: Address,
    /// In wei.
    pub value: U256,
}

/// How far an execution node is, by its own account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecutionProgress {
    /// It says that it is there.
    Synced,
    /// It says that it is on its way.
    Syncing {
        /// Blocks that are left, where it says.
        remaining: Option<u64>,
        /// Time of its newest block, in Unix seconds; 0 where it has none.
        head_at: u64,
    },
}

/// An execution node's JSON-RPC. Clones share what was found out about it.
#[derive(Clone, Debug)]
pub struct ExecutionNode {
    http: Client,
    url: Url,
    /// The chain it is to be of.
    chain: Option<u64>,
    /// The other chain that it is of, as found last; 0 for none.
    other_chain: Arc<AtomicU64>,
    /// The `debug` and the `trace` namespace.
    debug: Arc<Namespace>,
    trace: Arc<Namespace>,
}

/// How long a namespace that was refused is not asked for. Arbitrary: one call a minute costs nobody anything.
const ASKED_AGAIN: Duration = Duration::from_secs(60);

/// A namespace that a node may lack. The operator may switch it on under the same address, so it is asked for again now and then.
#[derive(Debug, Default)]
struct Namespace(Mutex<Option<Instant>>);

impl Namespace {
    fn refused(&self) {
        *self.0.lock() = Some(Instant::now());
    }

    fn is_asked(&self) -> bool {
        self.0.lock().is_none_or(|refused| refused.elapsed() >= ASKED_AGAIN)
    }
}

impl ExecutionNode {
    /// A node at `url`, such as `http://127.0.0.1:8545`.
    pub fn new(http: Client, url: Url) -> Self {
        Self {
            http,
            url,
            chain: None,
            other_chain: Arc::default(),
            debug: Arc::default(),
            trace: Arc::default(),
        }
    }

    /// The same, but only if it is of a chain (EIP-155); of any, where that is not known.
    #[must_use]
    pub fn of_chain(self, chain: Option<u64>) -> Self {
        Self { chain, ..self }
    }

    /// The same node, through another client: connections of its own, and what was found out about it is shared.
    #[must_use]
    pub fn through(&self, http: Client) -> Self {
        Self { http, ..self.clone() }
    }

    /// Any call.
    ///
    /// # Errors
    /// When the node does not answer, or answers with an error, or is known to be of another chain.
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, NodeError> {
        match (self.chain, self.other_chain.load(Ordering::Relaxed)) {
            (Some(expected), got @ 1..) => Err(NodeError::other_chain(&self.url, expected, got)),
            (_, _) => self.call_anybody(method, params).await,
        }
    }

    /// That an answer is not what it should be.
    pub(super) fn unreadable(&self, message: impl Into<String>) -> NodeError {
        NodeError::answer(&self.url, message)
    }

    async fn call_anybody(&self, method: &str, params: Value) -> Result<Value, NodeError> {
        rpc(&self.http, &self.url, method, params).await
    }

    /// A call whose answer has a known shape; `None` for `null`.
    async fn typed<T: for<'de> Deserialize<'de>>(
        &self,
        method: &str,
        params: Value,
    ) -> Result<Option<T>, NodeError> {
        let answer = self.call(method, params).await?;
        serde_json::from_value(answer)
            .map_err(|error| NodeError::answer(&self.url, format!("{method}: {error}")))
    }

    /// Asks anew for the chain's number (EIP-155); what it finds holds for every other call. A node of another chain has no block of ours: whoever believed it
    /// would take every slot for missed and every relay for dishonest.
    ///
    /// # Errors
    /// When the node does not answer as it should, or is of another chain.
    pub async fn chain_id(&self) -> Result<u64, NodeError> {
        let id = self.call_anybody("eth_chainId", json!([])).await?;
        let id: Option<U64> = serde_json::from_value(id)
            .map_err(|error| NodeError::answer(&self.url, format!("eth_chainId: {error}")))?;
        let got = id.map(|id| id.to()).ok_or_else(|| NodeError::answer(&self.url, "eth_chainId is null"))?;
        match self.chain {
            Some(expected) if expected != got => {
                self.other_chain.store(got, Ordering::Relaxed);
                Err(NodeError::other_chain(&self.url, expected, got))
            }
            Some(_) | None => {
                self.other_chain.store(0, Ordering::Relaxed);
                Ok(got)
            }
        }
    }

    /// What it says of itself, at most 256 characters.
    ///
    /// # Errors
    /// When the node does not answer as it should.
    pub async fn client_version(&self) -> Result<String, NodeError> {
        let version: Option<String> = self.typed("web3_clientVersion", json!([])).await?;
        Ok(version.unwrap_or_default().chars().take(256).collect())
    }

    /// How far it is by its own account (`eth_syncing`).
    ///
    /// # Errors
    /// When the node does not answer as it should.
    pub async fn progress(&self) -> Result<ExecutionProgress, NodeError> {
        let said: Value = self.call("eth_syncing", json!([])).await?;
        match read_syncing(&said) {
            None => Err(self.unreadable("eth_syncing answers what it should not")),
            Some(Syncing::No) => Ok(ExecutionProgress::Synced),
            Some(Syncing::Yes { remaining }) => {
                let head = self.block(BlockId::Latest, false).await?;
                Ok(ExecutionProgress::Syncing {
                    remaining,
                    head_at: head.map_or(0, |head| head.timestamp.to()),
                })
            }
        }
    }

    /// A block, with its transactions or only its head; `None` when the node has none such.
    ///
    /// # Errors
    /// When the node does not answer as it should.
    pub async fn block(&self, id: BlockId, whole: bool) -> Result<Option<Block>, NodeError> {
        let (method, which) = match id {
            BlockId::Latest => ("eth_getBlockByNumber", json!("latest")),
            BlockId::Finalized => ("eth_getBlockByNumber", json!("finalized")),
            BlockId::Number(number) => ("eth_getBlockByNumber", json!(U64::from(number))),
            BlockId::Hash(hash) => ("eth_getBlockByHash", json!(hash)),
        };
        self.typed(method, json!([which, whole])).await
    }

    /// The receipts of a block, in its order.
    ///
    /// # Errors
    /// When the node does not answer as it should, or has not as many as the block has transactions.
    pub async fn receipts(&self, block: &Block) -> Result<Vec<Receipt>, NodeError> {
        let receipts: Option<Vec<Receipt>> = self.typed("eth_getBlockReceipts", json!([block.hash])).await?;
        let receipts = receipts.unwrap_or_default();
        let agree = receipts.len() == block.transactions.len()
            && receipts
                .iter()
                .zip(&block.transactions)
                .all(|(receipt, tx)| receipt.transaction_hash == tx.hash);
        if agree {
            Ok(receipts)
        } else {
            Err(NodeError::answer(&self.url, "the receipts are not the block's"))
        }
    }

    /// A balance in wei after a block of the canonical chain.
    ///
    /// # Errors
    /// When the node does not answer as it should, or has forgotten that block's state.
    pub async fn balance(&self, address: Address, number: u64) -> Result<U256, NodeError> {
        let balance: Option<U256> = self.typed("eth_getBalance", json!([address, U64::from(number)])).await?;
        balance.ok_or_else(|| NodeError::answer(&self.url, "eth_getBalance is null"))
    }

    /// An account's counter of transactions after a block of the canonical chain.
    ///
    /// # Errors
    /// When the node does not answer as it should, or has forgotten that block's state.
    pub async fn nonce(&self, address: Address, number: u64) -> Result<u64, NodeError> {
        let nonce: Option<U64> =
            self.typed("eth_getTransactionCount", json!([address, U64::from(number)])).await?;
        nonce
            .map(|nonce| nonce.to())
            .ok_or_else(|| NodeError::answer(&self.url, "eth_getTransactionCount is null"))
    }

    /// Every transfer of ether in a block by call traces; `None` when the node has none of the tracing namespaces.
    ///
    /// # Errors
    /// When the node does not answer, or traces another block.
    pub async fn transfers(&self, block: &Block) -> Result<Option<Vec<Transfer>>, NodeError> {
        if block.transactions.is_empty() {
            return Ok(Some(Vec::new()));
        }
        if self.debug.is_asked() {
            let params = json!([block.hash, { "tracer": "callTracer" }]);
            match self.typed::<Vec<CallTrace>>("debug_traceBlockByHash", params).await {
                Ok(Some(traces)) if traces.len() == block.transactions.len() => {
                    return self.flattened(traces).map(Some);
                }
                Ok(_) => {
                    return Err(NodeError::answer(&self.url, "traces of another number of transactions"));
                }
                Err(error) if error.is_unknown_method() => self.debug.refused(),
                Err(error) => return Err(error),
            }
        }
        if self.trace.is_asked() {
            match self.typed::<Vec<FlatTrace>>("trace_block", json!([block.number])).await {
                Ok(Some(traces)) => return self.unfold(block, &traces).map(Some),
                Ok(None) => return Err(NodeError::answer(&self.url, "no traces of that block")),
                Err(error) if error.is_unknown_method() => self.trace.refused(),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn flattened(&self, traces: Vec<CallTrace>) -> Result<Vec<Transfer>, NodeError> {
        let mut transfers = Vec::new();
        let mut seen = 0;
        for (transaction, trace) in traces.iter().enumerate() {
            let frame = trace
                .result
                .as_ref()
                .ok_or_else(|| NodeError::answer(&self.url, "a trace without result"))?;
            // By hand, not by recursion: how deep calls go is up to whoever wrote the transaction. Reversed, for the order of calls.
            let mut waiting = vec![frame];
            while let Some(frame) = waiting.pop() {
                seen += 1;
                if seen > MAX_FRAMES {
                    return Err(NodeError::answer(
                        &self.url,
                        format!("more than {MAX_FRAMES} calls in a block"),
                    ));
                }
                // What a failed call did is undone, and what it called too.
                if frame.error.is_some() {
                    continue;
                }
                let moves = matches!(frame.kind.as_str(), "CALL" | "CREATE" | "CREATE2" | "SELFDESTRUCT");
                if let (true, Some(value), Some(to)) = (moves, frame.value, frame.to)
                    && !value.is_zero()
                {
                    transfers.push(Transfer { transaction, from: frame.from, to, value });
                }
                waiting.extend(frame.calls.iter().rev());
            }
        }
        Ok(transfers)
    }

    fn unfold(&self, block: &Block, traces: &[FlatTrace]) -> Result<Vec<Transfer>, NodeError> {
        if traces.iter().any(|trace| trace.block_hash != block.hash) {
            return Err(NodeError::answer(&self.url, "traces of another block"));
        }
        // Where a call failed, everything below it is undone.
        let failed: Vec<(Option<usize>, &[usize])> = traces
            .iter()
            .filter(|trace| trace.error.is_some())
            .map(|trace| (trace.transaction_position, trace.trace_address.as_slice()))
            .collect();
        let undone = |trace: &FlatTrace| {
            failed.iter().any(|(position, address)| {
                *position == trace.transaction_position && trace.trace_address.starts_with(address)
            })
        };
        let mut transfers = Vec::new();
        for trace in traces {
            let Some(transaction) = trace.transaction_position else { continue };
            let action = &trace.action;
            let (from, to, value) = match trace.kind.as_str() {
                "call" if action.call_type.as_deref().is_none_or(|kind| kind == "call") => {
                    (action.from, action.to, action.value)
                }
                "create" => {
                    let made = trace.result.as_ref().and_then(|result| result.address);
                    (action.from, made, action.value)
                }
                "suicide" | "selfdestruct" => (action.address, action.refund_address, action.balance),
                _ => continue,
            };
            if let (Some(from), Some(to), Some(value)) = (from, to, value)
                && !value.is_zero()
                && !undone(trace)
            {
                transfers.push(Transfer { transaction, from, to, value });
            }
        }
        Ok(transfers)
    }
}

/// Transactions as objects; hashes alone (a head) are none.
fn whole_transactions<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Transaction>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Listed {
        Whole(Transaction),
        #[expect(dead_code, reason = "only to tell it apart")]
        Hash(B256),
    }
    let list = Vec::<Listed>::deserialize(deserializer)?;
    Ok(list
        .into_iter()
        .filter_map(|listed| match listed {
            Listed::Whole(transaction) => Some(transaction),
            Listed::Hash(_) => None,
        })
        .collect())
}

/// One transaction's trace of `debug_traceBlockByHash`.
#[derive(Deserialize)]
struct CallTrace {
    result: Option<Frame>,
}

#[derive(Deserialize)]
struct Frame {
    #[serde(rename = "type")]
    kind: String,
    from: Address,
    #[serde(default)]
    to: Option<Address>,
    #[serde(default)]
    value: Option<U256>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    calls: Vec<Frame>,
}

/// One entry of `trace_block`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FlatTrace {
    action: FlatAction,
    block_hash: B256,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    result: Option<FlatResult>,
    #[serde(default)]
    trace_address: Vec<usize>,
    #[serde(default)]
    transaction_position: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FlatAction {
    call_type: Option<String>,
    from: Option<Address>,
    to: Option<Address>,
    value: Option<U256>,
    address: Option<Address>,
    refund_address: Option<Address>,
    balance: Option<U256>,
}

#[derive(Deserialize)]
struct FlatResult {
    address: Option<Address>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_namespace_that_was_refused_is_asked_for_again() {
        let namespace = Namespace::default();
        assert!(namespace.is_asked());
        namespace.refused();
        tokio::time::advance(ASKED_AGAIN / 2).await;
        assert!(!namespace.is_asked());
        tokio::time::advance(ASKED_AGAIN / 2).await;
        assert!(namespace.is_asked());
    }
}
