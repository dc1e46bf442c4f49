//! An execution client's view of a simulated chain: blocks, receipts, balances and call traces over JSON-RPC, as execution-apis and geth
//! have them. What each block pays is up to whoever appends it, so that a relay's promise can be kept or broken.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use alloy_primitives::{Address, B256, U64, U256, keccak256};
use axum::{Json, Router, extract::State, routing::post};
use parking_lot::RwLock;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    serve::{ListenError, Listener},
    types::Wei,
};

/// Burnt per gas in every block, in wei.
const BASE_FEE: u64 = 7;
/// What a plain transfer costs.
const GAS: u64 = 21_000;

/// Who builds local blocks, and who trades.
const USER: Address = Address::repeat_byte(0x05);

/// A transaction: a plain transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SimTransfer {
    from: Address,
    to: Address,
    value: U256,
    /// Paid to the block's fee recipient per gas, in wei.
    tip_per_gas: U256,
}

/// A block.
#[derive(Clone, Debug)]
struct SimBlock {
    hash: B256,
    parent: B256,
    timestamp: u64,
    coinbase: Address,
    transfers: Vec<SimTransfer>,
}

#[derive(Debug)]
struct Chain {
    id: u64,
    /// Blocks below the head that are not final yet.
    depth: usize,
    /// By height; the first is genesis.
    blocks: Vec<SimBlock>,
}

/// A running chain. Stops when dropped.
#[derive(Debug)]
pub struct SimChain {
    address: SocketAddr,
    chain: Arc<RwLock<Chain>>,
    stop: CancellationToken,
}

impl Drop for SimChain {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl SimChain {
    /// Starts a chain with nothing but a genesis block. A block is final once `depth` blocks are above it.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(id: u64, genesis: B256, timestamp: u64, depth: usize) -> Result<Self, ListenError> {
        let first = SimBlock {
            hash: genesis,
            parent: B256::ZERO,
            timestamp,
            coinbase: Address::ZERO,
            transfers: Vec::new(),
        };
        let chain = Arc::new(RwLock::new(Chain { id, depth, blocks: vec![first] }));
        let router = Router::new().route("/", post(serve)).with_state(Arc::clone(&chain));
        let listener = Listener::bind("execution node", SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let (address, stop) = (listener.address(), CancellationToken::new());
        tokio::spawn(listener.serve(router, stop.clone(), Duration::ZERO));
        Ok(Self { address, chain, stop })
    }

    /// Its address, as `[execution] url` has it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Appends a builder's block that pays `recipient` with its last transaction.
    pub fn append(&self, hash: B256, timestamp: u64, builder: Address, recipient: Address, paid: Wei) {
        let trade = SimTransfer { from: USER, to: builder, value: U256::from(1), tip_per_gas: U256::from(1) };
        let payment =
            SimTransfer { from: builder, to: recipient, value: paid.as_u256(), tip_per_gas: U256::ZERO };
        self.push(hash, timestamp, builder, vec![trade, payment]);
    }

    /// Appends a block that the proposer's own client built: its fees go to `recipient`. Returns its hash.
    pub fn append_local(&self, timestamp: u64, recipient: Address, fees: Wei) -> B256 {
        let hash = keccak256([b"local".as_slice(), &timestamp.to_be_bytes()].concat());
        let tip_per_gas = fees.as_u256() / U256::from(GAS);
        let trade =
            SimTransfer { from: USER, to: Address::repeat_byte(0x06), value: U256::from(1), tip_per_gas };
        self.push(hash, timestamp, recipient, vec![trade]);
        hash
    }

    /// Makes everything final.
    pub fn finalize(&self) {
        self.chain.write().depth = 0;
    }

    fn push(&self, hash: B256, timestamp: u64, coinbase: Address, transfers: Vec<SimTransfer>) {
        let mut chain = self.chain.write();
        let parent = chain.blocks.last().map(|block| block.hash).unwrap_or_default();
        chain.blocks.push(SimBlock { hash, parent, timestamp, coinbase, transfers });
    }
}

impl SimBlock {
    fn transaction_hash(&self, index: usize) -> B256 {
        keccak256([self.hash.as_slice(), &index.to_be_bytes()].concat())
    }

    fn json(&self, number: usize, whole: bool) -> Value {
        let transactions = self.transfers.iter().enumerate().map(|(index, transfer)| {
            let hash = self.transaction_hash(index);
            if whole {
                json!({ "hash": hash, "from": transfer.from, "to": transfer.to, "value": transfer.value, "nonce": "0x0" })
            } else {
                json!(hash)
            }
        });
        json!({
            "number": quantity(number),
            "hash": self.hash,
            "parentHash": self.parent,
            "timestamp": U64::from(self.timestamp),
            "miner": self.coinbase,
            "extraData": "0x",
            "baseFeePerGas": U64::from(BASE_FEE),
            "gasUsed": quantity(self.transfers.len() * 21_000),
            "gasLimit": U64::from(60_000_000_u64),
            "transactions": transactions.collect::<Vec<_>>(),
            "withdrawals": [],
        })
    }

    fn receipts(&self) -> Value {
        let receipt = |(index, transfer): (usize, &SimTransfer)| {
            json!({
                "transactionHash": self.transaction_hash(index),
                "status": "0x1",
                "gasUsed": U64::from(GAS),
                "effectiveGasPrice": transfer.tip_per_gas.saturating_add(U256::from(BASE_FEE)),
                "logs": [],
            })
        };
        self.transfers.iter().enumerate().map(receipt).collect()
    }

    fn traces(&self) -> Value {
        let trace = |transfer: &SimTransfer| {
            let call =
                json!({ "type": "CALL", "from": transfer.from, "to": transfer.to, "value": transfer.value });
            json!({ "result": call })
        };
        self.transfers.iter().map(trace).collect()
    }
}

impl Chain {
    /// A block and its height, by a tag, a height or a hash.
    fn find(&self, which: &Value) -> Option<(usize, &SimBlock)> {
        let head = self.blocks.len().saturating_sub(1);
        let text = which.as_str()?;
        let height = match text {
            "latest" | "pending" => head,
            "finalized" | "safe" => head.saturating_sub(self.depth),
            "earliest" => 0,
            _ if text.len() == 66 => {
                let hash: B256 = text.parse().ok()?;
                self.blocks.iter().position(|block| block.hash == hash)?
            }
            _ => usize::try_from(u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()?).ok()?,
        };
        self.blocks.get(height).map(|block| (height, block))
    }

    /// What an address has after a block: what came less what went.
    fn balance(&self, address: Address, height: usize) -> U256 {
        let mut balance = U256::from(1_000_000_u64) * U256::from(1_000_000_000_000_000_000_u64);
        for block in self.blocks.iter().take(height.saturating_add(1)) {
            for transfer in &block.transfers {
                let fees = transfer.tip_per_gas * U256::from(GAS);
                if transfer.to == address {
                    balance += transfer.value;
                }
                if block.coinbase == address {
                    balance += fees;
                }
                if transfer.from == address {
                    balance = balance.saturating_sub(transfer.value + fees + U256::from(BASE_FEE * GAS));
                }
            }
        }
        balance
    }

    /// The answer to a call; `None` for a method that is not served.
    fn answer(&self, method: &str, params: &Value) -> Option<Value> {
        let param = |index: usize| params.get(index).unwrap_or(&Value::Null);
        let block = || self.find(param(0));
        Some(match method {
            "eth_chainId" => json!(U64::from(self.id)),
            "eth_blockNumber" => json!(quantity(self.blocks.len().saturating_sub(1))),
            "eth_getBlockByNumber" | "eth_getBlockByHash" => {
                let whole = param(1).as_bool().unwrap_or(false);
                block().map_or(Value::Null, |(height, block)| block.json(height, whole))
            }
            "eth_getBlockReceipts" => block().map_or(Value::Null, |(_, block)| block.receipts()),
            "debug_traceBlockByHash" => block().map_or(Value::Null, |(_, block)| block.traces()),
            "eth_getBalance" => {
                let address: Address = param(0).as_str()?.parse().ok()?;
                let height = self.find(param(1)).map_or(0, |(height, _)| height);
                json!(self.balance(address, height))
            }
            "eth_getTransactionCount" => json!("0x0"),
            _ => return None,
        })
    }
}

fn quantity(number: usize) -> U64 {
    U64::from(u64::try_from(number).unwrap_or(u64::MAX))
}

async fn serve(State(chain): State<Arc<RwLock<Chain>>>, Json(call): Json<Value>) -> Json<Value> {
    let method = call.get("method").and_then(Value::as_str).unwrap_or_default();
    let params = call.get("params").unwrap_or(&Value::Null);
    let id = call.get("id").cloned().unwrap_or_default();
    Json(match chain.read().answer(method, params) {
        Some(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        None => {
            let message = format!("the method {method} does not exist/is not available");
            json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -32601, "message": message } })
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ethereum::{BlockId, ExecutionNode},
        relay::{TlsRoots, build_http_client},
    };

    #[tokio::test]
    async fn our_own_client_reads_it() {
        let genesis = B256::repeat_byte(0x11);
        let chain = SimChain::start(5, genesis, 100, 1).await.unwrap();
        let (builder, us, hash) =
            (Address::repeat_byte(0xb1), Address::repeat_byte(0xee), B256::repeat_byte(2));
        chain.append(hash, 102, builder, us, Wei::new(U256::from(500)));
        let local = chain.append_local(104, us, Wei::new(U256::from(GAS * 10)));
        let http = build_http_client(&TlsRoots::Bundled, None).unwrap();
        let node = ExecutionNode::new(http, chain.url().parse().unwrap()).of_chain(Some(5));
        assert_eq!(node.chain_id().await.unwrap(), 5);
        let head = node.block(BlockId::Latest, true).await.unwrap().unwrap();
        assert_eq!((head.hash, head.parent_hash, head.number.to::<u64>()), (local, hash, 2));
        let last = node.block(BlockId::Finalized, true).await.unwrap().unwrap();
        assert_eq!(last.hash, hash);
        assert_eq!(node.receipts(&last).await.unwrap().len(), 2);
        let transfers = node.transfers(&last).await.unwrap().unwrap();
        assert_eq!((transfers[1].from, transfers[1].to, transfers[1].value), (builder, us, U256::from(500)));
        let gained = node.balance(us, 2).await.unwrap() - node.balance(us, 0).await.unwrap();
        assert_eq!(gained, U256::from(500 + GAS * 10));
        assert_eq!(node.block(BlockId::Number(9), false).await.unwrap(), None);
    }
}
